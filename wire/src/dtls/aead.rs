//! The AEADs of DTLS 1.2: lengths, and what a protected record gives them (RFC 6347 section 4.1.2, RFC 5246
//! section 6.2.3.3). The algorithms themselves are the caller's.

use super::record::{ContentType, DTLS_1_2, MAX_PLAINTEXT, Record, RecordNumber};

/// Bytes of a nonce, for all of them (RFC 5116 section 3.1).
pub const NONCE: usize = 12;

/// The AEADs of RFC 5288, RFC 6655 and RFC 7905.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aead {
    /// RFC 7905: key of 32 bytes, no explicit nonce, tag of 16 bytes
    ChaCha20Poly1305,
    /// RFC 5288: key of 16 bytes, explicit nonce of 8, tag of 16 bytes
    Aes128Gcm,
    /// RFC 5288: key of 32 bytes, explicit nonce of 8, tag of 16 bytes
    Aes256Gcm,
    /// RFC 6655: key of 16 bytes, explicit nonce of 8, tag of 16 bytes
    Aes128Ccm,
    /// RFC 6655: key of 32 bytes, explicit nonce of 8, tag of 16 bytes
    Aes256Ccm,
    /// RFC 6655: key of 16 bytes, explicit nonce of 8, tag of 8 bytes
    Aes128Ccm8,
    /// RFC 6655: key of 32 bytes, explicit nonce of 8, tag of 8 bytes
    Aes256Ccm8,
}

impl Aead {
    /// Returns the length of the key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Aead::Aes128Gcm | Aead::Aes128Ccm | Aead::Aes128Ccm8 => 16,
            Aead::Aes256Gcm | Aead::Aes256Ccm | Aead::Aes256Ccm8 | Aead::ChaCha20Poly1305 => 32,
        }
    }
    /// Returns how many bytes of the nonce the key block gives: the salt (RFC 5288 section 3) or the whole
    /// mask (RFC 7905 section 2).
    pub const fn iv_len(self) -> usize {
        match self {
            Aead::ChaCha20Poly1305 => NONCE,
            _ => 4,
        }
    }
    /// Returns how many bytes of the nonce travel in the record.
    pub const fn explicit_len(self) -> usize {
        NONCE - self.iv_len()
    }
    /// Returns the length of the tag in bytes.
    pub const fn tag_len(self) -> usize {
        match self {
            Aead::Aes128Ccm8 | Aead::Aes256Ccm8 => 8,
            _ => 16,
        }
    }
    /// Returns whether the mode is CCM (NIST SP 800-38C), which has to know the lengths beforehand.
    pub const fn is_ccm(self) -> bool {
        match self {
            Aead::Aes128Ccm | Aead::Aes256Ccm | Aead::Aes128Ccm8 | Aead::Aes256Ccm8 => true,
            Aead::ChaCha20Poly1305 | Aead::Aes128Gcm | Aead::Aes256Gcm => false,
        }
    }
}

/// The parts of a protected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What the nonce is made of besides the key block: the part that travels in the record, or the number
    /// of the record where none does.
    pub explicit: [u8; 8],
    /// The encrypted content, as long as the plaintext.
    pub ciphertext: &'a [u8],
    /// The tag that vouches for it.
    pub tag: &'a [u8],
}

/// Why a record cannot be one that this AEAD has sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// The header has the version of DTLS 1.0.
    #[error("a protected record has the version of DTLS 1.0")]
    Version,
    /// The fragment is shorter than explicit nonce and tag.
    #[error("{0} bytes are fewer than nonce and tag have")]
    TooShort(usize),
    /// The plaintext would be longer than [`MAX_PLAINTEXT`].
    #[error("{0} bytes are more than a record may contain")]
    TooLong(usize),
}

impl<'a> Sealed<'a> {
    /// Takes a protected record apart.
    #[inline]
    pub fn of(aead: Aead, record: &Record<'a>) -> Result<Sealed<'a>, Unsealable> {
        if record.version() != DTLS_1_2 {
            return Err(Unsealable::Version);
        }
        let too_short = Unsealable::TooShort(record.fragment.len());
        let (explicit, protected) = match aead.explicit_len() {
            0 => (record.number.to_wire(), record.fragment),
            _ => record.fragment.split_first_chunk().map(|(own, rest)| (*own, rest)).ok_or(too_short)?,
        };
        let length = protected.len().checked_sub(aead.tag_len()).ok_or(too_short)?;
        let (ciphertext, tag) = protected.split_at_checked(length).ok_or(too_short)?;
        // With a Connection ID the plaintext has a type and zeros besides the content (RFC 9146 section 4).
        if length > MAX_PLAINTEXT && record.content_type != ContentType::ConnectionId {
            return Err(Unsealable::TooLong(length));
        }
        Ok(Sealed { explicit, ciphertext, tag })
    }
}

/// Makes the additional data of RFC 5246 section 6.2.3.3 for `length` bytes of plaintext, with the record
/// number of RFC 6347 section 4.1.2.1. With a Connection ID it is another:
/// [`super::connection_id::additional_data`].
#[inline]
pub fn additional_data(content_type: ContentType, number: RecordNumber, length: usize) -> [u8; 13] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_wire();
    let [l0, l1] = (length as u16).to_be_bytes();
    [n0, n1, n2, n3, n4, n5, n6, n7, content_type as u8, DTLS_1_2[0], DTLS_1_2[1], l0, l1]
}

#[cfg(test)]
mod tests {
    use super::super::record::{self, DTLS_1_0, header};
    use super::*;

    fn record(content_type: ContentType, version: [u8; 2], fragment: &[u8]) -> Vec<u8> {
        let header = header(content_type, version, RecordNumber::new(1, 5), fragment.len() as u16);
        [&header[..], fragment].concat()
    }

    #[test]
    fn a_record_comes_apart_by_the_lengths_of_its_aead() {
        let bytes = record(ContentType::ApplicationData, DTLS_1_2, &(0..30).collect::<Vec<u8>>());
        let (record, _) = record::parse(&bytes).unwrap();
        let number = [0, 1, 0, 0, 0, 0, 0, 5];
        let own = [0, 1, 2, 3, 4, 5, 6, 7];
        for (aead, explicit, from, to) in [
            (Aead::ChaCha20Poly1305, number, 0, 14),
            (Aead::Aes128Gcm, own, 8, 14),
            (Aead::Aes256Gcm, own, 8, 14),
            (Aead::Aes128Ccm, own, 8, 14),
            (Aead::Aes256Ccm, own, 8, 14),
            (Aead::Aes128Ccm8, own, 8, 22),
            (Aead::Aes256Ccm8, own, 8, 22),
        ] {
            let sealed = Sealed::of(aead, &record).unwrap();
            let expected = (explicit, &record.fragment[from..to], &record.fragment[to..]);
            assert_eq!((sealed.explicit, sealed.ciphertext, sealed.tag), expected, "{aead:?}");
        }
    }

    #[test]
    fn what_no_aead_can_have_sealed_says_why() {
        let why = |aead, bytes: &[u8]| {
            let (record, _) = record::parse_with_id(bytes, 0).unwrap();
            Sealed::of(aead, &record).err()
        };
        let [data, with_id] = [ContentType::ApplicationData, ContentType::ConnectionId];
        assert_eq!(why(Aead::Aes128Gcm, &record(data, DTLS_1_0, &[0; 40])), Some(Unsealable::Version));
        for (aead, least) in [
            (Aead::ChaCha20Poly1305, 16),
            (Aead::Aes128Gcm, 24),
            (Aead::Aes256Ccm8, 16),
            (Aead::Aes128Ccm, 24),
        ] {
            for length in 0..least {
                let bytes = record(data, DTLS_1_2, &vec![0; length]);
                assert_eq!(why(aead, &bytes), Some(Unsealable::TooShort(length)), "{aead:?}");
            }
            assert_eq!(why(aead, &record(data, DTLS_1_2, &vec![0; least])), None);
            assert_eq!(why(aead, &record(data, DTLS_1_2, &vec![0; least + MAX_PLAINTEXT])), None);
            let long = vec![0; least + MAX_PLAINTEXT + 1];
            let too_long = Some(Unsealable::TooLong(MAX_PLAINTEXT + 1));
            assert_eq!(why(aead, &record(data, DTLS_1_2, &long)), too_long);
            assert_eq!(why(aead, &record(with_id, DTLS_1_2, &long)), None);
        }
    }

    #[test]
    fn the_additional_data_is_number_type_version_and_length() {
        let data = additional_data(ContentType::ApplicationData, RecordNumber::new(1, 0x0203), 0x0405);
        assert_eq!(data, [0, 1, 0, 0, 0, 0, 2, 3, 23, 0xfe, 0xfd, 4, 5]);
    }
}

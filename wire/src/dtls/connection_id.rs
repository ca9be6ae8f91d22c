//! Records with a Connection ID (RFC 9146): their header, what is protected of them, and what is inside.
//!
//! Such a record does not say what it contains. That stands behind the content, inside the protection, and
//! zeros may follow it, so that the length says less:
//!
//! ```text
//! plaintext of the AEAD: content | type 1 | zeros
//! ```

use super::record::{ContentType, DTLS_1_2, MAX_PLAINTEXT, RecordNumber};

/// Longest Connection ID, in bytes (RFC 9146 section 3).
pub const MAX_LENGTH: usize = 255;

/// Makes the header of a record with `length` bytes of fragment (RFC 9146 section 4). Of an id above
/// [`MAX_LENGTH`] the rest is left out.
pub fn header(number: RecordNumber, id: &[u8], length: u16) -> Vec<u8> {
    let id = id.get(..MAX_LENGTH).unwrap_or(id);
    let number = number.to_wire();
    [&[ContentType::ConnectionId as u8][..], &DTLS_1_2, &number, id, &length.to_be_bytes()].concat()
}

/// Makes the additional data of a record whose plaintext, with type and zeros, has `length` bytes (RFC 9146
/// section 5.3). Of an id above [`MAX_LENGTH`] the rest is left out.
pub fn additional_data(number: RecordNumber, id: &[u8], length: usize) -> Vec<u8> {
    const TYPE: u8 = ContentType::ConnectionId as u8;
    const PLACEHOLDER: [u8; 8] = [0xff; 8];
    let id = id.get(..MAX_LENGTH).unwrap_or(id);
    let [v0, v1] = DTLS_1_2;
    let fixed = [TYPE, id.len() as u8, TYPE, v0, v1];
    [&PLACEHOLDER[..], &fixed, &number.to_wire(), id, &(length as u16).to_be_bytes()].concat()
}

/// Makes the plaintext for a record that contains `content`, with this many zeros at its end.
pub fn wrap(content_type: ContentType, content: &[u8], zeros: usize) -> Vec<u8> {
    let mut plaintext = Vec::with_capacity(content.len() + 1 + zeros);
    plaintext.extend(content);
    plaintext.push(content_type as u8);
    plaintext.resize(plaintext.len() + zeros, 0);
    plaintext
}

/// What is wrong with the plaintext of a record with a Connection ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// All bytes are zero: no type stands there (RFC 9146 section 4).
    #[error("the record does not say what it contains")]
    NoType,
    /// The type is not one of a record, or once more that of a record with a Connection ID.
    #[error("{0} is not a type that a record contains")]
    Type(u8),
    /// The content is longer than [`MAX_PLAINTEXT`].
    #[error("{0} bytes are more than a record may contain")]
    TooLong(usize),
}

/// Returns what a decrypted plaintext contains, and of which type it is.
pub fn unwrap(plaintext: &[u8]) -> Result<(ContentType, &[u8]), Malformed> {
    let end = plaintext.iter().rposition(|byte| *byte != 0).ok_or(Malformed::NoType)?;
    let (content, after) = plaintext.split_at_checked(end).ok_or(Malformed::NoType)?;
    let number = after.first().copied().ok_or(Malformed::NoType)?;
    let content_type = ContentType::from_wire(number)
        .filter(|known| *known != ContentType::ConnectionId)
        .ok_or(Malformed::Type(number))?;
    if content.len() > MAX_PLAINTEXT {
        return Err(Malformed::TooLong(content.len()));
    }
    Ok((content_type, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_id_between_number_and_length() {
        let bytes = header(RecordNumber::new(1, 0x0203), b"id", 0x0405);
        assert_eq!(bytes, [25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 2, 3, b'i', b'd', 4, 5]);
        assert_eq!(header(RecordNumber::new(1, 0), &[1; 300], 0).len(), 13 + MAX_LENGTH);
    }

    #[test]
    fn the_additional_data_has_the_fields_of_section_5_3_in_their_order() {
        let bytes = additional_data(RecordNumber::new(1, 0x0203), b"id", 0x0405);
        let mut expected = vec![0xff; 8];
        expected.extend([25, 2, 25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 2, 3, b'i', b'd', 4, 5]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_wrapped_comes_out_again_without_the_zeros() {
        for content in [&b""[..], b"x", b"ends in zeros\0\0"] {
            for zeros in [0, 1, 40] {
                let plaintext = wrap(ContentType::ApplicationData, content, zeros);
                assert_eq!(plaintext.len(), content.len() + 1 + zeros);
                assert_eq!(unwrap(&plaintext), Ok((ContentType::ApplicationData, content)));
            }
        }
    }

    #[test]
    fn a_plaintext_without_a_type_that_fits_says_what_is_wrong() {
        assert_eq!(unwrap(b""), Err(Malformed::NoType));
        assert_eq!(unwrap(&[0; 20]), Err(Malformed::NoType));
        assert_eq!(unwrap(b"content\x18\0"), Err(Malformed::Type(24)));
        assert_eq!(unwrap(b"content\x19"), Err(Malformed::Type(25)));
        let long = wrap(ContentType::Alert, &[1; MAX_PLAINTEXT + 1], 3);
        assert_eq!(unwrap(&long), Err(Malformed::TooLong(MAX_PLAINTEXT + 1)));
    }
}

//! Sealing and opening protected records (RFC 6347 section 4.1.2, RFC 5246 section 6.2.3.3).
//!
//! One pair of OpenSSL contexts per AEAD serves all sessions and gets the key anew for each record. A context
//! of its own would cost a session more memory than all the rest of the session (measured: 0.6 to 1.2 kB for
//! each direction), and a record with a shared context takes half the time that it takes with a fresh one
//! (0.5 to 1.1 us).
//!
//! The explicit nonce is the record number, which is never used twice under one key. The only record that
//! OpenSSL has sealed under the same key, its Finished, has number 0 there (CCM) or eight random bytes (GCM).

use super::keys::DirectionKeys;
use super::record::{self, ContentType, DTLS_1_2, MAX_PLAINTEXT, Record, RecordNumber};
use super::suite::Aead;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

/// The shared contexts, made when first needed.
#[derive(Default)]
pub(super) struct Aeads {
    pairs: Vec<Pair>,
}

struct Pair {
    aead: Aead,
    seal: CipherCtx,
    open: CipherCtx,
}

/// RFC 6655 section 3: nonces have 12 bytes; OpenSSL's CCM needs both lengths before the key.
const NONCE_LEN: usize = 12;

impl Aeads {
    fn pair(&mut self, aead: Aead) -> Result<&mut Pair, ErrorStack> {
        let at = match self.pairs.iter().position(|p| p.aead == aead) {
            Some(at) => at,
            None => {
                let (mut seal, mut open) = (CipherCtx::new()?, CipherCtx::new()?);
                seal.encrypt_init(Some(aead.cipher()), None, None)?;
                open.decrypt_init(Some(aead.cipher()), None, None)?;
                for context in [&mut seal, &mut open] {
                    context.set_iv_length(NONCE_LEN)?;
                }
                self.pairs.push(Pair { aead, seal, open });
                self.pairs.len() - 1
            }
        };
        // The position was just found or made.
        self.pairs.get_mut(at).ok_or_else(ErrorStack::get)
    }

    /// Seals a whole record. `plaintext` must not be longer than a record may be.
    pub(super) fn seal(
        &mut self,
        aead: Aead,
        keys: &DirectionKeys,
        number: RecordNumber,
        content_type: ContentType,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        let context = &mut self.pair(aead)?.seal;
        let nonce = keys.nonce(aead, number.to_wire());
        if aead == Aead::Aes128Ccm8 {
            context.set_tag_length(aead.tag_len())?;
        }
        context.encrypt_init(None, Some(keys.key(aead)), Some(&nonce))?;
        if aead == Aead::Aes128Ccm8 {
            context.set_data_len(plaintext.len())?;
        }
        context.cipher_update(&additional_data(content_type, number, plaintext.len()), None)?;

        let length = aead.explicit_len() + plaintext.len() + aead.tag_len();
        let mut out = Vec::with_capacity(record::HEADER + length);
        out.extend(record::header(content_type, DTLS_1_2, number, length as u16));
        if aead.explicit_len() > 0 {
            out.extend(number.to_wire());
        }
        context.cipher_update_vec(plaintext, &mut out)?;
        context.cipher_final(&mut [])?;
        let start = out.len();
        out.resize(start + aead.tag_len(), 0);
        context.tag(out.get_mut(start..).unwrap_or_default())?;
        Ok(out)
    }

    /// Opens a record; None if it is not authentic.
    pub(super) fn open(&mut self, aead: Aead, keys: &DirectionKeys, record: &Record<'_>) -> Option<Vec<u8>> {
        if record.raw.get(1..3) != Some(&DTLS_1_2) {
            return None;
        }
        let (explicit, protected) = match aead.explicit_len() {
            0 => (record.number.to_wire(), record.fragment),
            _ => record.fragment.split_first_chunk::<8>().map(|(explicit, rest)| (*explicit, rest))?,
        };
        let (ciphertext, tag) = protected.split_at_checked(protected.len().checked_sub(aead.tag_len())?)?;
        if ciphertext.len() > MAX_PLAINTEXT {
            return None;
        }
        self.open_parts(aead, keys, record, keys.nonce(aead, explicit), ciphertext, tag).ok()
    }

    fn open_parts(
        &mut self,
        aead: Aead,
        keys: &DirectionKeys,
        record: &Record<'_>,
        nonce: [u8; NONCE_LEN],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        let context = &mut self.pair(aead)?.open;
        let aad = additional_data(record.content_type, record.number, ciphertext.len());
        let mut plaintext = Vec::with_capacity(ciphertext.len());
        if aead == Aead::Aes128Ccm8 {
            context.set_tag(tag)?;
            context.decrypt_init(None, Some(keys.key(aead)), Some(&nonce))?;
            context.set_data_len(ciphertext.len())?;
            context.cipher_update(&aad, None)?;
            // CCM verifies here, without a final step.
            context.cipher_update_vec(ciphertext, &mut plaintext)?;
        } else {
            context.decrypt_init(None, Some(keys.key(aead)), Some(&nonce))?;
            context.cipher_update(&aad, None)?;
            context.cipher_update_vec(ciphertext, &mut plaintext)?;
            context.set_tag(tag)?;
            context.cipher_final(&mut [])?;
        }
        Ok(plaintext)
    }
}

/// Makes the additional data of RFC 5246 section 6.2.3.3, with the record number of RFC 6347 section 4.1.2.1.
fn additional_data(content_type: ContentType, number: RecordNumber, length: usize) -> [u8; 13] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_wire();
    let [l0, l1] = (length as u16).to_be_bytes();
    [n0, n1, n2, n3, n4, n5, n6, n7, content_type as u8, DTLS_1_2[0], DTLS_1_2[1], l0, l1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::keys::{Keys, Role, Secrets};
    use crate::dtls::suite::Suite;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    const ALL: [[u8; 2]; 4] = [[0xcc, 0xa9], [0xc0, 0x2b], [0xc0, 0x2c], [0xc0, 0xae]];

    fn keys(id: [u8; 2]) -> (Keys, Keys) {
        let secrets = Secrets {
            suite: Suite::from_id(id).unwrap(),
            master: Zeroizing::new([7; 48]),
            client_random: [1; 32],
            server_random: [2; 32],
        };
        (Keys::derive(&secrets, Role::Client), Keys::derive(&secrets, Role::Server))
    }

    fn seal(aeads: &mut Aeads, keys: &Keys, sequence: u64, plaintext: &[u8]) -> Vec<u8> {
        let number = RecordNumber::new(1, sequence);
        aeads.seal(keys.aead, &keys.write, number, ContentType::ApplicationData, plaintext).unwrap()
    }

    fn open(aeads: &mut Aeads, keys: &Keys, bytes: &[u8]) -> Option<Vec<u8>> {
        aeads.open(keys.aead, &keys.read, &record::parse(bytes)?.0)
    }

    #[test]
    fn what_one_end_seals_the_other_opens_with_sessions_interleaved() {
        let mut aeads = Aeads::default();
        for sequence in 0..3 {
            for id in ALL {
                let (client, server) = keys(id);
                for plaintext in [b"".as_slice(), b"x", &[9; 1200], &[1; MAX_PLAINTEXT]] {
                    let bytes = seal(&mut aeads, &client, sequence, plaintext);
                    assert_eq!(open(&mut aeads, &server, &bytes).as_deref(), Some(plaintext), "{id:x?}");
                    assert_eq!(open(&mut aeads, &client, &bytes), None, "own record of {id:x?}");
                }
            }
        }
    }

    #[test]
    fn overhead_is_37_bytes_for_gcm_and_29_for_the_others() {
        let mut aeads = Aeads::default();
        let overheads = ALL.map(|id| seal(&mut aeads, &keys(id).0, 1, b"abc").len() - 3);
        assert_eq!(overheads, [29, 37, 37, 29]);
    }

    #[test]
    fn a_record_changed_or_cut_at_any_byte_is_not_opened_and_does_no_harm() {
        for id in ALL {
            let mut aeads = Aeads::default();
            let (client, server) = keys(id);
            let bytes = seal(&mut aeads, &client, 5, b"hello");
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut forged = bytes.clone();
                    forged[at] ^= 1 << bit;
                    assert_eq!(open(&mut aeads, &server, &forged), None, "{id:x?} byte {at} bit {bit}");
                }
                let mut cut = bytes[..at].to_vec();
                if let Some(length) = cut.len().checked_sub(record::HEADER) {
                    cut[12] = length as u8;
                }
                assert_eq!(open(&mut aeads, &server, &cut), None, "{id:x?} cut at {at}");
            }
            assert_eq!(open(&mut aeads, &server, &bytes).as_deref(), Some(b"hello".as_slice()));
        }
    }

    proptest! {
        #[test]
        fn random_fragments_are_never_opened(
            fragment in proptest::collection::vec(any::<u8>(), 0..64),
            which in 0..4usize,
        ) {
            let (_, server) = keys(ALL[which]);
            let number = RecordNumber::new(1, 1);
            let mut bytes =
                record::header(ContentType::ApplicationData, DTLS_1_2, number, fragment.len() as u16).to_vec();
            bytes.extend(&fragment);
            prop_assert_eq!(open(&mut Aeads::default(), &server, &bytes), None);
        }
    }
}

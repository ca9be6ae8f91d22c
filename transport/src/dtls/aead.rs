//! Sealing and opening protected records (RFC 6347 section 4.1.2, RFC 5246 section 6.2.3.3).
//!
//! One pair of OpenSSL contexts per AEAD serves all sessions and gets the key anew where the session is not
//! that of the record before; the blocks of a body come in bursts. A context of its own would cost a session
//! more memory than all the rest of the session (measured: 0.6 to 1.2 kB for each direction), and a record
//! with a shared context takes half the time that it takes with a fresh one (0.5 to 1.1 us).
//!
//! The explicit nonce is the record number, which is never used twice under one key. The only record that
//! OpenSSL has sealed under the same key, its Finished, has number 0 there (CCM) or eight random bytes (GCM).

use lowband_wire::dtls::aead::{Aead, NONCE, Sealed, additional_data};
use lowband_wire::dtls::keys::DirectionKeys;
use lowband_wire::dtls::record::{self, ContentType, DTLS_1_2, Record, RecordNumber};
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use zeroize::Zeroizing;

/// The shared contexts, made when first needed.
#[derive(Default)]
pub(super) struct Aeads {
    pairs: Vec<Pair>,
}

struct Pair {
    aead: Aead,
    seal: Shared,
    open: Shared,
}

/// A context, and the key that it has.
struct Shared {
    context: CipherCtx,
    key: Zeroizing<Vec<u8>>,
}

impl Shared {
    fn new(context: CipherCtx) -> Shared {
        Shared { context, key: Zeroizing::default() }
    }

    /// Returns the key if the context does not have it from the record before. From here on the context
    /// counts as having it: [`Shared::forget_key`] must follow an error.
    fn missing_key<'k>(&mut self, aead: Aead, keys: &'k DirectionKeys) -> Option<&'k [u8]> {
        let key = keys.key(aead);
        // OpenSSL's CCM takes in the lengths of tag and nonce with the key.
        if !aead.is_ccm() && self.key.as_slice() == key {
            return None;
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        Some(key)
    }

    /// Has the next record set its key, whatever state an error has left the context in.
    fn forget_key(&mut self) {
        self.key.clear();
    }
}

/// Returns OpenSSL's cipher of an AEAD; its CCM needs lengths of nonce and tag before the key.
fn cipher(aead: Aead) -> &'static CipherRef {
    match aead {
        Aead::ChaCha20Poly1305 => Cipher::chacha20_poly1305(),
        Aead::Aes128Gcm => Cipher::aes_128_gcm(),
        Aead::Aes256Gcm => Cipher::aes_256_gcm(),
        Aead::Aes128Ccm | Aead::Aes128Ccm8 => Cipher::aes_128_ccm(),
        Aead::Aes256Ccm | Aead::Aes256Ccm8 => Cipher::aes_256_ccm(),
    }
}

impl Aeads {
    fn pair(&mut self, aead: Aead) -> Result<&mut Pair, ErrorStack> {
        let at = match self.pairs.iter().position(|p| p.aead == aead) {
            Some(at) => at,
            None => {
                let (mut seal, mut open) = (CipherCtx::new()?, CipherCtx::new()?);
                seal.encrypt_init(Some(cipher(aead)), None, None)?;
                open.decrypt_init(Some(cipher(aead)), None, None)?;
                for context in [&mut seal, &mut open] {
                    context.set_iv_length(NONCE)?;
                }
                self.pairs.push(Pair { aead, seal: Shared::new(seal), open: Shared::new(open) });
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
        let shared = &mut self.pair(aead)?.seal;
        let key = shared.missing_key(aead, keys);
        let sealed = Aeads::seal_with(&mut shared.context, aead, key, keys, number, content_type, plaintext);
        sealed.inspect_err(|_| shared.forget_key())
    }

    fn seal_with(
        context: &mut CipherCtx,
        aead: Aead,
        key: Option<&[u8]>,
        keys: &DirectionKeys,
        number: RecordNumber,
        content_type: ContentType,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        let nonce = keys.nonce(aead, number.to_wire());
        if aead.is_ccm() {
            context.set_tag_length(aead.tag_len())?;
        }
        context.encrypt_init(None, key, Some(&nonce))?;
        if aead.is_ccm() {
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
        let sealed = Sealed::of(aead, record).ok()?;
        let shared = &mut self.pair(aead).ok()?.open;
        let key = shared.missing_key(aead, keys);
        let opened = Aeads::open_with(&mut shared.context, aead, key, keys, record, &sealed);
        opened.inspect_err(|_| shared.forget_key()).ok()
    }

    fn open_with(
        context: &mut CipherCtx,
        aead: Aead,
        key: Option<&[u8]>,
        keys: &DirectionKeys,
        record: &Record<'_>,
        sealed: &Sealed<'_>,
    ) -> Result<Vec<u8>, ErrorStack> {
        let &Sealed { explicit, ciphertext, tag } = sealed;
        let nonce = keys.nonce(aead, explicit);
        let aad = additional_data(record.content_type, record.number, ciphertext.len());
        let mut plaintext = Vec::with_capacity(ciphertext.len());
        if aead.is_ccm() {
            context.set_tag(tag)?;
            context.decrypt_init(None, key, Some(&nonce))?;
            context.set_data_len(ciphertext.len())?;
            context.cipher_update(&aad, None)?;
            // CCM verifies here, without a final step.
            context.cipher_update_vec(ciphertext, &mut plaintext)?;
        } else {
            context.decrypt_init(None, key, Some(&nonce))?;
            context.cipher_update(&aad, None)?;
            context.cipher_update_vec(ciphertext, &mut plaintext)?;
            context.set_tag(tag)?;
            context.cipher_final(&mut [])?;
        }
        Ok(plaintext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::dtls::keys::{Keys, Role, Secrets};
    use lowband_wire::dtls::record::MAX_PLAINTEXT;
    use lowband_wire::dtls::suite::Suite;
    use proptest::prelude::*;

    const ALL: [u16; 4] = [0xcca9, 0xc02b, 0xc02c, 0xc0ae];

    fn keys(id: u16) -> (Keys, Keys) {
        let secrets = Secrets::new(Suite::from_id(id).unwrap(), &[7; 48], [1; 32], [2; 32]);
        (Keys::derive(&secrets, Role::Client), Keys::derive(&secrets, Role::Server))
    }

    fn seal(aeads: &mut Aeads, keys: &Keys, sequence: u64, plaintext: &[u8]) -> Vec<u8> {
        let number = RecordNumber::new(1, sequence);
        aeads.seal(keys.aead, &keys.write, number, ContentType::ApplicationData, plaintext).unwrap()
    }

    fn open(aeads: &mut Aeads, keys: &Keys, bytes: &[u8]) -> Option<Vec<u8>> {
        aeads.open(keys.aead, &keys.read, &record::parse(bytes).ok()?.0)
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
    fn the_key_is_set_once_for_a_burst_and_anew_after_another_session_or_an_error() {
        let mut aeads = Aeads::default();
        let (client, server) = keys(0xcca9);
        let (burst, other): (Vec<_>, _) = {
            let burst = (0..4).map(|sequence| seal(&mut aeads, &client, sequence, b"block")).collect();
            (burst, seal(&mut aeads, &server, 0, b"other"))
        };
        let is_set = |aeads: &Aeads| !aeads.pairs[0].open.key.is_empty();
        assert_eq!(open(&mut aeads, &server, &burst[0]).as_deref(), Some(&b"block"[..]));
        assert!(aeads.pairs[0].open.missing_key(Aead::ChaCha20Poly1305, &server.read).is_none());
        assert_eq!(open(&mut aeads, &server, &burst[1]).as_deref(), Some(&b"block"[..]));
        assert_eq!(open(&mut aeads, &client, &other).as_deref(), Some(&b"other"[..]));
        assert_eq!(open(&mut aeads, &server, &burst[2]).as_deref(), Some(&b"block"[..]));
        assert!(is_set(&aeads));
        assert_eq!(open(&mut aeads, &server, &other), None);
        assert!(!is_set(&aeads));
        assert_eq!(open(&mut aeads, &server, &burst[3]).as_deref(), Some(&b"block"[..]));
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

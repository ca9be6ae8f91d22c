//! Opening protected records (RFC 6347 section 4.1.2.1, RFC 9146 section 5.3) by whatever AEAD two ends may
//! have agreed on.
//!
//! An [`Opener`] is made once for each direction of a session, so that the schedule of its key is too, and
//! opens into a buffer of its caller. Nothing here seals: a capture is only read.

use aes::{Aes128, Aes256};
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::{U8, U12, U16};
use aes_gcm::aead::{AeadInOut, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use lowband_wire::dtls::aead::{Aead, Sealed, additional_data};
use lowband_wire::dtls::connection_id;
use lowband_wire::dtls::keys::{DirectionKeys, Keys, Role, Secrets};
use lowband_wire::dtls::record::{ContentType, Record};

/// A cipher with its key. The large ones are boxed, so that the small ones stay small.
enum Cipher {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    Aes128Ccm(Box<Ccm<Aes128, U16, U12>>),
    Aes256Ccm(Box<Ccm<Aes256, U16, U12>>),
    Aes128Ccm8(Box<Ccm<Aes128, U8, U12>>),
    Aes256Ccm8(Box<Ccm<Aes256, U8, U12>>),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl Cipher {
    fn new(aead: Aead, key: &[u8]) -> Option<Cipher> {
        Some(match aead {
            Aead::Aes128Gcm => Cipher::Aes128Gcm(boxed(key)?),
            Aead::Aes256Gcm => Cipher::Aes256Gcm(boxed(key)?),
            Aead::Aes128Ccm => Cipher::Aes128Ccm(boxed(key)?),
            Aead::Aes256Ccm => Cipher::Aes256Ccm(boxed(key)?),
            Aead::Aes128Ccm8 => Cipher::Aes128Ccm8(boxed(key)?),
            Aead::Aes256Ccm8 => Cipher::Aes256Ccm8(boxed(key)?),
            Aead::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305(ChaCha20Poly1305::new_from_slice(key).ok()?),
        })
    }

    /// Decrypts in place; None if the tag does not vouch for it.
    fn open(&self, nonce: [u8; 12], data: &[u8], buffer: &mut [u8], tag: &[u8]) -> Option<()> {
        match self {
            Cipher::Aes128Gcm(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::Aes256Gcm(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::Aes128Ccm(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::Aes256Ccm(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::Aes128Ccm8(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::Aes256Ccm8(cipher) => open(&**cipher, nonce, data, buffer, tag),
            Cipher::ChaCha20Poly1305(cipher) => open(cipher, nonce, data, buffer, tag),
        }
    }
}

fn boxed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
    C::new_from_slice(key).ok().map(Box::new)
}

fn open<C: AeadInOut<NonceSize = U12>>(
    cipher: &C,
    nonce: [u8; 12],
    data: &[u8],
    buffer: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let tag = <&Tag<C>>::try_from(tag).ok()?;
    cipher.decrypt_inout_detached(&Array(nonce), data, buffer.into(), tag).ok()
}

/// What opens the records of one direction of a session. Keys are overwritten when it is dropped: those of
/// the ciphers by the feature `zeroize` of their crates.
pub(crate) struct Opener {
    aead: Aead,
    cipher: Cipher,
    keys: DirectionKeys,
}

/// What opens what the client sends, and what the server sends.
pub(crate) struct Openers {
    pub(crate) up: Opener,
    pub(crate) down: Opener,
}

impl Openers {
    /// Derives the keys of both directions; None if the keys do not fit the ciphers, which cannot be.
    pub(crate) fn derive(secrets: &Secrets) -> Option<Openers> {
        let Keys { aead, write, read } = Keys::derive(secrets, Role::Client);
        Some(Openers { up: Opener::new(aead, write)?, down: Opener::new(aead, read)? })
    }
}

impl Opener {
    fn new(aead: Aead, keys: DirectionKeys) -> Option<Opener> {
        Some(Opener { aead, cipher: Cipher::new(aead, keys.key(aead))?, keys })
    }

    /// Opens a record: `out` becomes its plaintext, in which RFC 9146 may still hide the type. Returns false
    /// if the record is not authentic; then `out` has no meaning.
    pub(crate) fn open(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        let Ok(Sealed { explicit, ciphertext, tag }) = Sealed::of(self.aead, record) else { return false };
        out.clear();
        out.extend_from_slice(ciphertext);
        let (nonce, length) = (self.keys.nonce(self.aead, explicit), ciphertext.len());
        let opened = if record.content_type == ContentType::ConnectionId {
            let data = connection_id::additional_data(record.number, record.connection_id, length);
            self.cipher.open(nonce, &data, out, tag)
        } else {
            let data = additional_data(record.content_type, record.number, length);
            self.cipher.open(nonce, &data, out, tag)
        };
        opened.is_some()
    }
}

#[cfg(test)]
mod tests;

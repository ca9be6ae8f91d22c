//! The cipher suites that are offered and accepted: ECDHE with an AEAD, by preference.
//!
//! ChaCha20-Poly1305 comes first: 29 bytes a record instead of the 37 of AES-GCM (no explicit nonce), and it
//! is fast on phones without AES instructions. CCM_8 is mandatory for CoAP by RFC 7252 section 9.1.3.3; it
//! comes last for its short tag.
//!
//! With a key log the order is another: an operator who logs keys wants to read captures, and Wireshark
//! cannot read ChaCha20-Poly1305 in DTLS. The nonce takes the epoch as part of the sequence number (RFC 7905
//! section 2); Wireshark leaves it out.

use openssl::cipher::{Cipher, CipherRef};

/// The AEADs of RFC 5288, RFC 6655 and RFC 7905.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aead {
    ChaCha20Poly1305,
    Aes128Gcm,
    Aes256Gcm,
    Aes128Ccm8,
}

impl Aead {
    pub(super) const fn key_len(self) -> usize {
        match self {
            Aead::Aes128Gcm | Aead::Aes128Ccm8 => 16,
            Aead::Aes256Gcm | Aead::ChaCha20Poly1305 => 32,
        }
    }
    /// Returns how many bytes of the nonce the key block gives: the salt (RFC 5288 section 3) or the whole
    /// mask (RFC 7905 section 2).
    pub(super) const fn iv_len(self) -> usize {
        match self {
            Aead::ChaCha20Poly1305 => 12,
            _ => 4,
        }
    }
    /// Returns how many bytes of the nonce travel in the record.
    pub(super) const fn explicit_len(self) -> usize {
        12 - self.iv_len()
    }
    pub(super) const fn tag_len(self) -> usize {
        match self {
            Aead::Aes128Ccm8 => 8,
            _ => 16,
        }
    }
    /// Returns how many records of one session may fail their authentication: each may be an attempt to forge
    /// one. RFC 9147 section 4.5.3 allows 2^36 where the tag has 16 bytes.
    ///
    /// The RFC allows none with a tag of 8 bytes, with which each attempt succeeds with a chance of 2^-64.
    /// Its bound for the others, 2^-57 for a session, would mean 128 attempts: so few that an attacker who
    /// can forge a client's address could end its session by 128 datagrams. With 2^16 the chance is 2^-48,
    /// and takes half an hour at 40 datagrams a second.
    pub(super) const fn max_forged(self) -> u64 {
        match self {
            Aead::ChaCha20Poly1305 | Aead::Aes128Gcm | Aead::Aes256Gcm => 1 << 36,
            Aead::Aes128Ccm8 => 1 << 16,
        }
    }
    pub(super) fn cipher(self) -> &'static CipherRef {
        match self {
            Aead::ChaCha20Poly1305 => Cipher::chacha20_poly1305(),
            Aead::Aes128Gcm => Cipher::aes_128_gcm(),
            Aead::Aes256Gcm => Cipher::aes_256_gcm(),
            Aead::Aes128Ccm8 => Cipher::aes_128_ccm(),
        }
    }
}

/// The hash of the PRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrfHash {
    Sha256,
    Sha384,
}

/// What the record layer must know about a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// Number in IANA's registry.
    id: [u8; 2],
    /// Name in OpenSSL's lists.
    name: &'static str,
    pub(super) aead: Aead,
    pub(super) prf: PrfHash,
}

const fn suite(id: u16, name: &'static str, aead: Aead, prf: PrfHash) -> Suite {
    Suite { id: id.to_be_bytes(), name, aead, prf }
}

#[rustfmt::skip]
const SUITES: [Suite; 7] = [
    suite(0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xcca8, "ECDHE-RSA-CHACHA20-POLY1305",   Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0xc02f, "ECDHE-RSA-AES128-GCM-SHA256",   Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xc030, "ECDHE-RSA-AES256-GCM-SHA384",   Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xc0ae, "ECDHE-ECDSA-AES128-CCM8",       Aead::Aes128Ccm8,       PrfHash::Sha256),
];

impl Suite {
    /// Returns OpenSSL's cipher list of what a server accepts: all of them, with a key log the
    /// readable ones first.
    pub(super) fn accepted(key_log: bool) -> String {
        let (first, last): (Vec<_>, Vec<_>) = SUITES.iter().partition(|s| !key_log || s.is_readable());
        names(first.into_iter().chain(last))
    }
    /// Returns OpenSSL's cipher list of what a client offers: with a key log the readable ones alone, because
    /// the server chooses.
    pub(super) fn offered(key_log: bool) -> String {
        names(SUITES.iter().filter(|s| !key_log || s.is_readable()))
    }
    /// Returns whether Wireshark can read the suite, given a key log.
    fn is_readable(&self) -> bool {
        self.aead != Aead::ChaCha20Poly1305
    }
    pub(super) fn from_id(id: [u8; 2]) -> Option<Suite> {
        SUITES.into_iter().find(|s| s.id == id)
    }
}

fn names<'s>(suites: impl Iterator<Item = &'s Suite>) -> String {
    suites.map(|s| s.name).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::super::record;
    use super::*;
    use crate::page_of_protocol;
    use openssl::ssl::{Ssl, SslContext, SslMethod};

    #[test]
    fn openssl_knows_each_suite_by_our_name_and_number() {
        let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
        for suite in SUITES {
            context.set_cipher_list(&format!("{}:@SECLEVEL=0", suite.name)).unwrap();
        }
        for list in
            [Suite::accepted(false), Suite::accepted(true), Suite::offered(false), Suite::offered(true)]
        {
            context.set_cipher_list(&format!("{list}:@SECLEVEL=0")).unwrap();
        }
        let ssl = Ssl::new(&context.build()).unwrap();
        drop(ssl);
        let count = |list: String| list.split(':').count();
        assert_eq!(count(Suite::accepted(true)), SUITES.len());
        assert_eq!(count(Suite::offered(true)), SUITES.len() - 2);
        for suite in SUITES {
            assert_eq!(Suite::from_id(suite.id), Some(suite));
            assert_eq!(suite.aead.cipher().key_length(), suite.aead.key_len());
        }
        assert_eq!(Suite::from_id([0xc0, 0x2d]), None);
    }

    #[test]
    fn the_page_of_the_protocol_has_these_suites() {
        let head = "| number | suite, by OpenSSL's name | bytes a record |";
        let Some(rows) = page_of_protocol::rows(head) else { return };
        let known = SUITES.map(|Suite { id, name, aead, .. }| {
            let bytes = record::HEADER + aead.explicit_len() + aead.tag_len();
            format!("| `{:#06x}` | `{name}` | {bytes} |", u16::from_be_bytes(id))
        });
        assert_eq!(rows, known);
    }
}

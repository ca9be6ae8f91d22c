//! The cipher suites of DTLS 1.2 that have an AEAD: numbers and names of IANA's registry, and what the record
//! layer must know about each.
//!
//! Sources: RFC 5288, RFC 5289, RFC 5487, RFC 6655, RFC 7251, RFC 7905 and RFC 8442. Left out: suites without
//! authentication, with keys of DSS, or with a fixed key of Diffie-Hellman, and those with ciphers of one
//! country.

use super::aead::Aead;

/// The hash of the PRF (RFC 5246 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrfHash {
    /// SHA-256, that of all suites without another
    Sha256,
    /// SHA-384, that of AES-256-GCM
    Sha384,
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Number in IANA's registry, e.g. 0xc02b.
    pub id: u16,
    /// Name in IANA's registry, e.g. `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
    pub name: &'static str,
    /// What protects the records.
    pub aead: Aead,
    /// What derives the keys.
    pub prf: PrfHash,
}

impl Suite {
    /// All of them, by number.
    pub const ALL: &'static [Suite] = &SUITES;

    /// Returns the suite of a number; None for one that has no AEAD or is not listed.
    pub fn from_id(id: u16) -> Option<Suite> {
        SUITES.iter().find(|suite| suite.id == id).copied()
    }
}

const fn suite(id: u16, name: &'static str, aead: Aead, prf: PrfHash) -> Suite {
    Suite { id, name, aead, prf }
}

#[rustfmt::skip]
const SUITES: [Suite; 45] = [
    suite(0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256",               Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384",               Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",           Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",           Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0x00a8, "TLS_PSK_WITH_AES_128_GCM_SHA256",               Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0x00a9, "TLS_PSK_WITH_AES_256_GCM_SHA384",               Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0x00aa, "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256",           Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0x00ab, "TLS_DHE_PSK_WITH_AES_256_GCM_SHA384",           Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0x00ac, "TLS_RSA_PSK_WITH_AES_128_GCM_SHA256",           Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0x00ad, "TLS_RSA_PSK_WITH_AES_256_GCM_SHA384",           Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",       Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",       Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",         Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",         Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xc09c, "TLS_RSA_WITH_AES_128_CCM",                      Aead::Aes128Ccm,        PrfHash::Sha256),
    suite(0xc09d, "TLS_RSA_WITH_AES_256_CCM",                      Aead::Aes256Ccm,        PrfHash::Sha256),
    suite(0xc09e, "TLS_DHE_RSA_WITH_AES_128_CCM",                  Aead::Aes128Ccm,        PrfHash::Sha256),
    suite(0xc09f, "TLS_DHE_RSA_WITH_AES_256_CCM",                  Aead::Aes256Ccm,        PrfHash::Sha256),
    suite(0xc0a0, "TLS_RSA_WITH_AES_128_CCM_8",                    Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xc0a1, "TLS_RSA_WITH_AES_256_CCM_8",                    Aead::Aes256Ccm8,       PrfHash::Sha256),
    suite(0xc0a2, "TLS_DHE_RSA_WITH_AES_128_CCM_8",                Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xc0a3, "TLS_DHE_RSA_WITH_AES_256_CCM_8",                Aead::Aes256Ccm8,       PrfHash::Sha256),
    suite(0xc0a4, "TLS_PSK_WITH_AES_128_CCM",                      Aead::Aes128Ccm,        PrfHash::Sha256),
    suite(0xc0a5, "TLS_PSK_WITH_AES_256_CCM",                      Aead::Aes256Ccm,        PrfHash::Sha256),
    suite(0xc0a6, "TLS_DHE_PSK_WITH_AES_128_CCM",                  Aead::Aes128Ccm,        PrfHash::Sha256),
    suite(0xc0a7, "TLS_DHE_PSK_WITH_AES_256_CCM",                  Aead::Aes256Ccm,        PrfHash::Sha256),
    suite(0xc0a8, "TLS_PSK_WITH_AES_128_CCM_8",                    Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xc0a9, "TLS_PSK_WITH_AES_256_CCM_8",                    Aead::Aes256Ccm8,       PrfHash::Sha256),
    suite(0xc0aa, "TLS_PSK_DHE_WITH_AES_128_CCM_8",                Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xc0ab, "TLS_PSK_DHE_WITH_AES_256_CCM_8",                Aead::Aes256Ccm8,       PrfHash::Sha256),
    suite(0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",              Aead::Aes128Ccm,        PrfHash::Sha256),
    suite(0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",              Aead::Aes256Ccm,        PrfHash::Sha256),
    suite(0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",            Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xc0af, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",            Aead::Aes256Ccm8,       PrfHash::Sha256),
    suite(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",   Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",     Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xccab, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256",         Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xccac, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",   Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xccad, "TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256",     Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xccae, "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256",     Aead::ChaCha20Poly1305, PrfHash::Sha256),
    suite(0xd001, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256",         Aead::Aes128Gcm,        PrfHash::Sha256),
    suite(0xd002, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384",         Aead::Aes256Gcm,        PrfHash::Sha384),
    suite(0xd003, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256",       Aead::Aes128Ccm8,       PrfHash::Sha256),
    suite(0xd005, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256",         Aead::Aes128Ccm,        PrfHash::Sha256),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_stand_by_number_and_their_names_say_what_protects_the_records() {
        assert!(SUITES.windows(2).all(|pair| pair[0].id < pair[1].id));
        for suite in SUITES {
            let aead = match suite.name.split_once("_WITH_").unwrap().1 {
                "AES_128_GCM_SHA256" => Aead::Aes128Gcm,
                "AES_256_GCM_SHA384" => Aead::Aes256Gcm,
                "AES_128_CCM" | "AES_128_CCM_SHA256" => Aead::Aes128Ccm,
                "AES_256_CCM" => Aead::Aes256Ccm,
                "AES_128_CCM_8" | "AES_128_CCM_8_SHA256" => Aead::Aes128Ccm8,
                "AES_256_CCM_8" => Aead::Aes256Ccm8,
                "CHACHA20_POLY1305_SHA256" => Aead::ChaCha20Poly1305,
                other => panic!("{other}"),
            };
            let prf = if suite.name.ends_with("SHA384") { PrfHash::Sha384 } else { PrfHash::Sha256 };
            assert_eq!((suite.aead, suite.prf), (aead, prf), "{}", suite.name);
            assert_eq!(Suite::from_id(suite.id), Some(suite));
        }
        assert_eq!(Suite::from_id(0xc0ae).unwrap().name, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8");
        assert_eq!(Suite::from_id(0xc013), None);
    }
}

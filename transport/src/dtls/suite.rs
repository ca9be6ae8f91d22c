//! The cipher suites that are offered and accepted: ECDHE with an AEAD, by preference.
//!
//! ChaCha20-Poly1305 comes first: 29 bytes a record instead of the 37 of AES-GCM (no explicit nonce), and it
//! is fast on phones without AES instructions. CCM_8 is mandatory for CoAP by RFC 7252 section 9.1.3.3; it
//! comes last for its short tag.
//!
//! With a key log the order is another: an operator who logs keys wants to read captures, and Wireshark
//! cannot read ChaCha20-Poly1305 in DTLS. The nonce takes the epoch as part of the sequence number (RFC 7905
//! section 2); Wireshark leaves it out.

use lowband_wire::dtls::aead::Aead;
use lowband_wire::dtls::suite::Suite;

/// Number of each suite that we accept, and its name in OpenSSL's lists.
#[rustfmt::skip]
const ACCEPTED: [(u16, &str); 7] = [
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"),
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0xc0ae, "ECDHE-ECDSA-AES128-CCM8"),
];

/// Returns the suite of a number; None for one that we neither offer nor accept.
pub(super) fn accepted(id: u16) -> Option<Suite> {
    ACCEPTED.iter().any(|(known, _)| *known == id).then(|| Suite::from_id(id)).flatten()
}

/// Returns OpenSSL's cipher list of what a server accepts: all of them, with a key log the readable ones
/// first.
pub(super) fn list_to_accept(key_log: bool) -> String {
    let (first, last): (Vec<_>, Vec<_>) = ACCEPTED.iter().partition(|(id, _)| !key_log || is_readable(*id));
    names(first.into_iter().chain(last))
}

/// Returns OpenSSL's cipher list of what a client offers: with a key log the readable ones alone, because the
/// server chooses.
pub(super) fn list_to_offer(key_log: bool) -> String {
    names(ACCEPTED.iter().filter(|(id, _)| !key_log || is_readable(*id)))
}

/// Returns whether Wireshark can read the suite, given a key log.
fn is_readable(id: u16) -> bool {
    Suite::from_id(id).is_some_and(|suite| suite.aead != Aead::ChaCha20Poly1305)
}

fn names<'s>(suites: impl Iterator<Item = &'s (u16, &'static str)>) -> String {
    suites.map(|(_, name)| *name).collect::<Vec<_>>().join(":")
}

/// Returns how many records of one session may fail their authentication: each may be an attempt to forge
/// one. RFC 9147 section 4.5.3 allows 2^36 where the tag has 16 bytes.
///
/// The RFC allows none with a tag of 8 bytes, with which each attempt succeeds with a chance of 2^-64.
/// Its bound for the others, 2^-57 for a session, would mean 128 attempts: so few that an attacker who
/// can forge a client's address could end its session by 128 datagrams. With 2^16 the chance is 2^-48,
/// and takes half an hour at 40 datagrams a second.
pub(super) const fn max_forged(aead: Aead) -> u64 {
    if aead.tag_len() < 16 { 1 << 16 } else { 1 << 36 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_of_protocol;
    use lowband_wire::dtls::record;
    use openssl::ssl::{Ssl, SslContext, SslMethod};

    #[test]
    fn openssl_knows_each_suite_by_our_name_and_number() {
        let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
        for (_, name) in ACCEPTED {
            context.set_cipher_list(&format!("{name}:@SECLEVEL=0")).unwrap();
        }
        let lists = [list_to_accept(false), list_to_accept(true), list_to_offer(false), list_to_offer(true)];
        for list in lists {
            context.set_cipher_list(&format!("{list}:@SECLEVEL=0")).unwrap();
        }
        let ssl = Ssl::new(&context.build()).unwrap();
        drop(ssl);
        let count = |list: String| list.split(':').count();
        assert_eq!(count(list_to_accept(true)), ACCEPTED.len());
        assert_eq!(count(list_to_offer(true)), ACCEPTED.len() - 2);
        for (id, _) in ACCEPTED {
            assert_eq!(accepted(id).map(|suite| suite.id), Some(id));
        }
    }

    #[test]
    fn no_other_suite_is_accepted() {
        let accepted = Suite::ALL.iter().filter(|suite| accepted(suite.id).is_some());
        assert_eq!(accepted.count(), ACCEPTED.len());
        assert_eq!((super::accepted(0xc02d), super::accepted(0x009c)), (None, None));
    }

    #[test]
    fn only_a_short_tag_bears_few_attempts_to_forge_a_record() {
        for suite in Suite::ALL {
            let is_short = matches!(suite.aead, Aead::Aes128Ccm8 | Aead::Aes256Ccm8);
            assert_eq!(max_forged(suite.aead), if is_short { 1 << 16 } else { 1 << 36 }, "{}", suite.name);
        }
    }

    #[test]
    fn the_page_of_the_protocol_has_these_suites() {
        let head = "| number | suite, by OpenSSL's name | bytes a record |";
        let Some(rows) = page_of_protocol::rows(head) else { return };
        let known = ACCEPTED.map(|(id, name)| {
            let aead = accepted(id).unwrap().aead;
            let bytes = record::HEADER + aead.explicit_len() + aead.tag_len();
            format!("| `{id:#06x}` | `{name}` | {bytes} |")
        });
        assert_eq!(rows, known);
    }
}

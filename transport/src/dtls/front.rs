//! The stateless front: what a ClientHello gets before anything is allocated for its sender.

use super::cookie::{COOKIE_LEN, Cookies};
use super::counters::Counters;
use super::fragments::HELLO_VERIFY_REQUEST;
use super::hello::{self, ClientHello, HelloError};
use super::record::{self, ContentType, DTLS_1_0};
use std::net::SocketAddr;
use std::time::Instant;

/// A client that was asked for its cookie again (the secret had changed) has a higher message_seq; each one costs a walk
/// of OpenSSL past one more HelloVerifyRequest. As a client we answer no more of them than we would send.
pub(super) const MAX_MESSAGE_SEQ: u16 = 3;

/// What to do with a ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Its sender receives at its address: a handshake may begin.
    Proven(ClientHello<'a>),
    /// Answer with this HelloVerifyRequest.
    Verify(Vec<u8>),
    /// Counted.
    Drop,
}

pub(super) fn judge<'a>(
    cookies: &mut Cookies,
    counters: &mut Counters,
    now: Instant,
    peer: SocketAddr,
    datagram: &'a [u8],
) -> Verdict<'a> {
    let hello = match hello::parse(datagram) {
        Ok(hello) => hello,
        Err(error) => {
            *match error {
                HelloError::Malformed => &mut counters.hellos_malformed,
                HelloError::Fragmented => &mut counters.hellos_fragmented,
                HelloError::OldVersion => &mut counters.hellos_old_version,
            } += 1;
            return Verdict::Drop;
        }
    };
    if !hello.cookie.is_empty() {
        // A cookie answers a HelloVerifyRequest, so it never comes with the first message.
        if (1..=MAX_MESSAGE_SEQ).contains(&hello.message_seq)
            && cookies.is_valid(now, peer, hello.random, hello.session_id, hello.cookie)
        {
            return Verdict::Proven(hello);
        }
        counters.cookies_invalid += 1;
    }
    // The hello that an answer brings would not be taken. With one, the two ends would go on asking each other at the
    // speed of the link, for as long as the client's patience lasts.
    if hello.message_seq >= MAX_MESSAGE_SEQ {
        counters.hellos_over_message_seq += 1;
        return Verdict::Drop;
    }
    counters.cookies_sent += 1;
    let cookie = cookies.make(now, peer, hello.random, hello.session_id);
    Verdict::Verify(hello_verify_request(&hello, cookie))
}

/// RFC 6347 section 4.2.1: under the record number of the hello; version 1.0 whatever will be negotiated. 36 bytes,
/// where the shortest hello has 67: nothing is amplified.
///
/// The message_seq is the hello's too, which is what a server that remembers would send: so a client whose cookie is no
/// longer ours (we have been restarted) takes the new one.
fn hello_verify_request(hello: &ClientHello<'_>, cookie: [u8; COOKIE_LEN]) -> Vec<u8> {
    const BODY: u8 = 2 + 1 + COOKIE_LEN as u8;
    let [s0, s1] = hello.message_seq.to_be_bytes();
    let message_header = [HELLO_VERIFY_REQUEST, 0, 0, BODY, s0, s1, 0, 0, 0, 0, 0, BODY];
    let length = message_header.len() as u16 + u16::from(BODY);
    let header = record::header(ContentType::Handshake, DTLS_1_0, hello.record.number, length);
    [&header[..], &message_header, &DTLS_1_0, &[COOKIE_LEN as u8], &cookie].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::hello::tests::sample;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    struct Front(Cookies, Counters, Instant);

    impl Front {
        fn new() -> Front {
            Front(Cookies::new(ChaCha20Rng::from_seed([1; 32])), Counters::default(), Instant::now())
        }
        fn judge<'a>(&mut self, datagram: &'a [u8]) -> Verdict<'a> {
            judge(&mut self.0, &mut self.1, self.2, "192.0.2.1:5000".parse().unwrap(), datagram)
        }
        fn verify(&mut self, datagram: &[u8]) -> Vec<u8> {
            match self.judge(datagram) {
                Verdict::Verify(answer) => answer,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_answer_carries_the_numbers_of_the_hello_and_is_smaller() {
        let hello = sample(0x0102_0304, 0, [7; 32], b"");
        let answer = Front::new().verify(&hello);
        assert_eq!(answer.len(), 36);
        assert_eq!(answer[..13], [22, 0xfe, 0xff, 0, 0, 0, 0, 1, 2, 3, 4, 0, 23]);
        assert_eq!(answer[13..28], [3, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 11, 0xfe, 0xff, 8]);
        assert!(hello::canned(0).len() > answer.len(), "the shortest hello");
    }

    #[test]
    fn only_the_cookie_that_was_sent_is_taken() {
        let mut front = Front::new();
        let cookie = front.verify(&sample(0, 0, [7; 32], b""))[28..].to_vec();
        assert!(matches!(front.judge(&sample(1, 1, [7; 32], &cookie)), Verdict::Proven(_)));
        assert!(matches!(front.judge(&sample(1, 1, [8; 32], &cookie)), Verdict::Verify(_)), "another random");
        assert!(
            matches!(front.judge(&sample(1, 0, [7; 32], &cookie)), Verdict::Verify(_)),
            "a first message"
        );
        assert_eq!(front.judge(&sample(1, 4, [7; 32], &cookie)), Verdict::Drop, "too many messages");
        for at in 0..cookie.len() {
            let mut wrong = cookie.clone();
            wrong[at] ^= 0x80;
            assert!(matches!(front.judge(&sample(1, 1, [7; 32], &wrong)), Verdict::Verify(_)), "byte {at}");
        }
        assert_eq!(front.1.cookies_invalid, 11);
        assert_eq!(front.1.cookies_sent, 11);
    }

    #[test]
    fn a_client_whose_cookie_never_fits_is_not_asked_for_ever() {
        let mut front = Front::new();
        for message_seq in 0..MAX_MESSAGE_SEQ {
            front.verify(&sample(0, message_seq, [7; 32], b"outdated"));
        }
        for message_seq in [MAX_MESSAGE_SEQ, MAX_MESSAGE_SEQ + 1, u16::MAX] {
            assert_eq!(front.judge(&sample(0, message_seq, [7; 32], b"outdated")), Verdict::Drop);
        }
        assert_eq!(front.1.hellos_over_message_seq, 3);
    }

    #[test]
    fn a_client_with_an_outdated_cookie_is_asked_again_under_its_message_seq() {
        let mut front = Front::new();
        let answer = front.verify(&sample(5, 1, [7; 32], b"outdated"));
        assert_eq!(answer[17..19], [0, 1]);
        assert!(matches!(front.judge(&sample(6, 2, [7; 32], &answer[28..])), Verdict::Proven(_)));
    }

    #[test]
    fn each_fault_of_a_hello_is_counted_under_its_own_name() {
        let mut front = Front::new();
        let mut fragmented = sample(0, 0, [7; 32], b"");
        fragmented[16] = 200;
        let mut old = sample(0, 0, [7; 32], b"");
        old[26] = 0xff;
        for datagram in [&fragmented, &old, &old[..20].to_vec()] {
            assert_eq!(front.judge(datagram), Verdict::Drop);
        }
        let counters = front.1;
        assert_eq!(
            (counters.hellos_fragmented, counters.hellos_old_version, counters.hellos_malformed),
            (1, 1, 1)
        );
    }
}

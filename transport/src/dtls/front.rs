//! The stateless front: how a ClientHello is answered before anything is allocated for its sender.
//!
//! | hello | its sender is proven | how it is answered |
//! |---|---|---|
//! | breaks the format | no | silence: no client sends it |
//! | of a client that does not know DTLS 1.2 | no | alert protocol_version, 15 bytes; silence where we talk to that address already, because anyone can forge it as the sender of a hello |
//! | without a cookie, or with one that is not ours | no | HelloVerifyRequest, 36 bytes |
//! | without our cookie, asked too often | no | silence: otherwise it would go on for ever |
//! | a piece that is not the first | no | silence, or a place in the hello that is being gathered |
//! | with our cookie, but asked too often | yes | alert internal_error |
//! | with our cookie, to a server that is about to end | yes | alert internal_error |
//! | with our cookie, beyond a limit (sessions, length) | yes | alert internal_error |
//! | with our cookie, beyond the limits of new handshakes, a second or waiting | yes | silence, and to the third repeat of the hello alert internal_error |
//! | with our cookie, put together from pieces and broken | yes | alert decode_error |
//! | with our cookie, but nothing in common (suites, groups, ...) | yes | OpenSSL's alert, handshake_failure as a rule |
//! | with our cookie, again | yes | the flight again; nothing once the session is there |
//!
//! An alert ends the handshake of OpenSSL, pion and libcoap at once. GnuTLS on a blocking socket reads it
//! when its hello comes again, a second later: the alert carries the record number of each hello, and how
//! often one is sent is not limited. So a client falls back to HTTPS without waiting for its own deadline. A
//! sender that has not proved its address never gets more bytes than it sent.

use super::cookie::{COOKIE_LEN, Cookies};
use super::counters::Counters;
use lowband_wire::dtls::alert::plaintext_alert;
use lowband_wire::dtls::fragments::Fragment;
use lowband_wire::dtls::handshake::HELLO_VERIFY_REQUEST;
use lowband_wire::dtls::hello::{self, ClientHello, Hello, HelloError, Piece};
use lowband_wire::dtls::record::{self, ContentType, DTLS_1_0, Record};
use std::net::SocketAddr;
use std::time::Instant;

/// Highest message_seq of a hello that we answer. It grows each time that a client is asked for its cookie
/// again (the secret had changed), and each step makes OpenSSL walk past one more HelloVerifyRequest. As a
/// client we answer no more of them than we would send.
pub(super) const MAX_MESSAGE_SEQ: u16 = 3;

/// What to do with a ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// The sender receives at its address: a handshake may begin.
    Proven(ClientHello<'a>),
    /// A later piece of a hello whose beginning may have been proven.
    Later(Piece<'a>),
    /// To be answered with this HelloVerifyRequest.
    Verify(Vec<u8>),
    /// The sender does not know DTLS 1.2. Counted already.
    OldVersion(Record<'a>),
    /// The sender receives at its address, but there will be no handshake. Counted already.
    Refuse(ClientHello<'a>),
    /// To be ignored; counted already.
    Drop,
}

/// Makes a fatal alert under the number of the hello and the version of its record, which its sender reads.
pub(super) fn refusal(hello: &Record<'_>, description: u8) -> Vec<u8> {
    plaintext_alert(hello.version(), hello.number, description)
}

/// Judges the first record of a datagram, and returns what follows it.
pub(super) fn judge<'a>(
    cookies: &mut Cookies,
    counters: &mut Counters,
    now: Instant,
    peer: SocketAddr,
    datagram: &'a [u8],
) -> (Verdict<'a>, &'a [u8]) {
    match hello::parse(datagram) {
        Ok((Hello::First(hello), after)) => (judge_hello(cookies, counters, now, peer, hello), after),
        Ok((Hello::Later(piece), after)) => (Verdict::Later(piece), after),
        Err(HelloError::Malformed) => {
            counters.hellos_malformed += 1;
            (Verdict::Drop, &[])
        }
        Err(HelloError::OldVersion(record)) => {
            counters.hellos_old_version += 1;
            (Verdict::OldVersion(record), &[])
        }
    }
}

fn judge_hello<'a>(
    cookies: &mut Cookies,
    counters: &mut Counters,
    now: Instant,
    peer: SocketAddr,
    hello: ClientHello<'a>,
) -> Verdict<'a> {
    let message_seq = hello.piece.message_seq;
    if !hello.cookie.is_empty() {
        // A cookie answers a HelloVerifyRequest, so it never comes with the first message.
        if message_seq > 0 && cookies.is_valid(now, peer, hello.random, hello.session_id, hello.cookie) {
            if message_seq <= MAX_MESSAGE_SEQ {
                return Verdict::Proven(hello);
            }
            counters.hellos_over_message_seq += 1;
            return Verdict::Refuse(hello);
        }
        counters.cookies_invalid += 1;
    }
    // The hello that an answer would draw would not be accepted. If it were answered, the two ends would go
    // on asking each other at the speed of the link, for as long as the client's patience lasts.
    if message_seq >= MAX_MESSAGE_SEQ {
        counters.hellos_over_message_seq += 1;
        return Verdict::Drop;
    }
    counters.cookies_sent += 1;
    let cookie = cookies.make(now, peer, hello.random, hello.session_id);
    Verdict::Verify(hello_verify_request(&hello, cookie))
}

/// Makes a HelloVerifyRequest (RFC 6347 section 4.2.1), under the record number of the hello, and of version
/// 1.0 regardless of what will be negotiated. The answer has 36 bytes; the shortest hello has 67 and the
/// shortest first piece of one 61, so nothing is amplified.
///
/// The message_seq is the hello's too, as a server with state would send it. So a client whose cookie we do
/// not recognise any more (we have been restarted) takes the new one.
fn hello_verify_request(hello: &ClientHello<'_>, cookie: [u8; COOKIE_LEN]) -> Vec<u8> {
    const BODY: usize = 2 + 1 + COOKIE_LEN;
    let message = Fragment {
        kind: HELLO_VERIFY_REQUEST,
        length: BODY,
        message_seq: hello.piece.message_seq,
        offset: 0,
    };
    let message_header = message.header(BODY);
    let length = (message_header.len() + BODY) as u16;
    let header = record::header(ContentType::Handshake, DTLS_1_0, hello.record.number, length);
    [&header[..], &message_header, &DTLS_1_0, &[COOKIE_LEN as u8], &cookie].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::context::canned_hello;
    use lowband_wire::dtls::alert::PROTOCOL_VERSION;
    use lowband_wire::dtls::fragments::HANDSHAKE_HEADER;
    use lowband_wire::dtls::record::RecordNumber;

    struct Front(Cookies, Counters, Instant);

    impl Front {
        fn new() -> Front {
            Front(Cookies::new([1; 32]), Counters::default(), Instant::now())
        }
        fn judge<'a>(&mut self, datagram: &'a [u8]) -> Verdict<'a> {
            judge(&mut self.0, &mut self.1, self.2, "192.0.2.1:5000".parse().unwrap(), datagram).0
        }
        fn verify(&mut self, datagram: &[u8]) -> Vec<u8> {
            match self.judge(datagram) {
                Verdict::Verify(answer) => answer,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Makes a hello as a client sends it: two suites, one extension.
    fn sample(sequence: u64, message_seq: u16, random: [u8; 32], cookie: &[u8]) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend(random);
        body.extend([3, 1, 2, 3]);
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 4, 0xc0, 0x2b, 0xcc, 0xa9, 1, 0]);
        body.extend([0, 8, 0, 0x17, 0, 0, 0xff, 0x01, 0, 0]);
        hello::build(RecordNumber::new(0, sequence), message_seq, &body)
    }

    /// Cuts off the first `length` bytes of a hello, in a record of their own.
    fn piece(hello: &[u8], length: usize) -> Vec<u8> {
        let mut piece = hello[..record::HEADER + HANDSHAKE_HEADER + length].to_vec();
        piece[11..13].copy_from_slice(&((HANDSHAKE_HEADER + length) as u16).to_be_bytes());
        piece[22..25].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        piece
    }

    #[test]
    fn the_answer_carries_the_numbers_of_the_hello_and_is_smaller() {
        let hello = sample(0x0102_0304, 0, [7; 32], b"");
        let answer = Front::new().verify(&hello);
        assert_eq!(answer.len(), 36);
        assert_eq!(answer[..13], [22, 0xfe, 0xff, 0, 0, 0, 0, 1, 2, 3, 4, 0, 23]);
        assert_eq!(answer[13..28], [3, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 11, 0xfe, 0xff, 8]);
        assert!(canned_hello(0).len() > answer.len(), "the shortest hello");
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
        assert!(
            matches!(front.judge(&sample(1, 4, [7; 32], &cookie)), Verdict::Refuse(_)),
            "too many messages, but proven"
        );
        for at in 0..cookie.len() {
            let mut wrong = cookie.clone();
            wrong[at] ^= 0x80;
            assert!(matches!(front.judge(&sample(1, 1, [7; 32], &wrong)), Verdict::Verify(_)), "byte {at}");
        }
        assert_eq!((front.1.cookies_invalid, front.1.hellos_over_message_seq), (10, 1));
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
    fn the_first_piece_of_a_hello_is_judged_like_the_whole() {
        let mut front = Front::new();
        // Up to the cookie, and no further.
        let piece =
            |message_seq, cookie: &[u8]| piece(&sample(5, message_seq, [7; 32], cookie), 39 + cookie.len());
        let asked = piece(0, b"");
        let answer = front.verify(&asked);
        assert_eq!((answer.len(), &answer[..13]), (36, &[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 23][..]));
        assert!(answer.len() < asked.len());
        let proven = piece(1, &answer[28..]);
        assert!(matches!(front.judge(&proven), Verdict::Proven(hello) if !hello.piece.is_whole()));
        let (mut cookies, mut counters) = (Cookies::new([2; 32]), Counters::default());
        let elsewhere =
            judge(&mut cookies, &mut counters, front.2, "192.0.2.2:1".parse().unwrap(), &proven).0;
        assert!(matches!(elsewhere, Verdict::Verify(_)), "to somebody else");
    }

    #[test]
    fn a_client_without_dtls_1_2_gets_an_alert_that_is_shorter_than_its_hello() {
        for version in [DTLS_1_0, [0xfe, 0xfd]] {
            let mut front = Front::new();
            let mut old = sample(9, 0, [7; 32], b"");
            old[26] = 0xff;
            old[1..3].copy_from_slice(&version);
            for hello in [&old[..], &piece(&old, 40)] {
                let [major, minor] = version;
                let alert = [21, major, minor, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 70];
                let Verdict::OldVersion(record) = front.judge(hello) else { panic!() };
                assert_eq!(refusal(&record, PROTOCOL_VERSION), alert);
            }
            assert_eq!(front.1.hellos_old_version, 2);
        }
    }

    #[test]
    fn each_fault_of_a_hello_is_counted_under_its_own_name() {
        let mut front = Front::new();
        let hello = sample(0, 0, [7; 32], b"");
        for datagram in [&hello[..20], &piece(&hello, 38)] {
            assert_eq!(front.judge(datagram), Verdict::Drop);
        }
        assert_eq!(front.1.hellos_malformed, 2);
    }
}

//! The hello parser and the stateless front: one datagram from a stranger.
//!
//! The datagram may be answered by one smaller datagram and leaves nothing behind. If the answer is a cookie,
//! the same hello with that cookie goes on to OpenSSL from its own address and no other: at once if it is
//! whole, and after the rest has come if it is the first piece of a longer one.

use crate::dtls::{self, Server};
use lowband_wire::dtls::fragments::HANDSHAKE_HEADER;
use lowband_wire::dtls::record::{self, HEADER, MAX_PLAINTEXT};
use std::time::Duration;

/// Length of record header, message header, version and random.
const BEFORE_SESSION_ID: usize = HEADERS + 2 + 32;

/// Length of record header and message header.
const HEADERS: usize = HEADER + HANDSHAKE_HEADER;

pub fn run(data: &[u8]) {
    let mut server = Server::new();
    let answer = server.receive(dtls::CLIENT, data);
    let counters = *server.endpoint.counters();
    assert_eq!(
        (counters.half_open, counters.hellos_gathering, counters.sessions),
        (0, 0, 0),
        "nothing is kept"
    );
    assert!(server.endpoint.poll_event().is_none() && server.endpoint.poll_timeout().is_none());
    assert!(answer.iter().map(Vec::len).sum::<usize>() < data.len().max(1), "nothing is amplified");
    if answer.is_empty() {
        let counted = counters.each().map(|(_, count)| count).sum::<u64>();
        assert!(counted > 0, "what is dropped is counted");
        return;
    }
    let answered = counters.cookies_sent + counters.hellos_old_version + counters.lost_sessions_told;
    assert_eq!((answer.len(), answered), (1, 1));
    if counters.cookies_sent == 1 {
        // If a datagram has several pieces, the first has been answered.
        let (record, _) = record::parse(data).expect("what is answered is a record");
        let hello = with_cookie(record.raw, &answer[0][28..]);
        match hello[14..17] == hello[22..25] {
            true => proven(&mut server, hello),
            false => proven_piece(&mut server, &hello),
        }
    }
}

/// Makes the second hello as RFC 6347 section 4.2.1 requires: equal to the first except for the cookie and
/// the numbers.
fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let cookie_at = BEFORE_SESSION_ID + 1 + usize::from(hello[BEFORE_SESSION_ID]);
    let after = cookie_at + 1 + usize::from(hello[cookie_at]);
    let mut hello = [&hello[..cookie_at], &[cookie.len() as u8], cookie, &hello[after..]].concat();
    let longer = (1 + cookie.len()).wrapping_sub(after - cookie_at);
    let [_, l0, l1, l2] = length(&hello).wrapping_add(longer as u32).to_be_bytes();
    hello[14..17].copy_from_slice(&[l0, l1, l2]);
    hello[17..19].copy_from_slice(&[0, 1]);
    set_here(&mut hello);
    hello
}

/// Returns the length of the whole message.
fn length(hello: &[u8]) -> u32 {
    u32::from_be_bytes([0, hello[14], hello[15], hello[16]])
}

/// Sets the length of the part in this record.
fn set_here(hello: &mut [u8]) {
    let record = (hello.len() - HEADER) as u16;
    let [_, h0, h1, h2] = ((hello.len() - HEADERS) as u32).to_be_bytes();
    hello[11..13].copy_from_slice(&record.to_be_bytes());
    hello[22..25].copy_from_slice(&[h0, h1, h2]);
}

/// Checks a piece with a valid cookie: if the rest comes, the hello is assembled and judged as a whole; if
/// not, its time ends.
fn proven_piece(server: &mut Server, first: &[u8]) {
    // A hello of 2^24 bytes has no room for the cookie.
    let length = length(first) as usize;
    if first.len() > HEADER + MAX_PLAINTEXT || length < first.len() - HEADERS {
        return;
    }
    let elsewhere = server.receive(dtls::STRANGER, first);
    assert_eq!((elsewhere.len(), server.endpoint.counters().hellos_gathering), (1, 0));
    let answer = server.receive(dtls::CLIENT, first);
    let counters = *server.endpoint.counters();
    assert_eq!(counters.hellos_gathering + counters.hellos_over_length, 1, "it is kept or refused");
    assert_eq!(answer.len() as u64, counters.hellos_over_length);
    if counters.hellos_gathering == 1 && length.is_multiple_of(2) {
        let mut rest = [&first[..HEADERS], &vec![0; length + HEADERS - first.len()]].concat();
        let [_, o0, o1, o2] = ((first.len() - HEADERS) as u32).to_be_bytes();
        rest[19..22].copy_from_slice(&[o0, o1, o2]);
        set_here(&mut rest);
        server.receive(dtls::CLIENT, &rest);
        let counters = *server.endpoint.counters();
        let over = counters.hellos_malformed + counters.handshakes_failed + counters.half_open;
        assert_eq!((counters.hellos_gathering, over), (0, 1), "it is judged once");
    }
    forgets(server);
}

fn proven(server: &mut Server, hello: Vec<u8>) {
    // A hello near the longest record has no room for the cookie.
    if hello.len() > HEADER + MAX_PLAINTEXT {
        return;
    }
    let before = *server.endpoint.counters();
    let elsewhere = server.receive(dtls::STRANGER, &hello);
    let counters = *server.endpoint.counters();
    assert_eq!(counters.cookies_invalid, before.cookies_invalid + 1, "a cookie is good at one address only");
    assert_eq!((elsewhere.len(), counters.half_open), (1, 0));

    let flight = server.receive(dtls::CLIENT, &hello);
    let counters = *server.endpoint.counters();
    assert_eq!(counters.cookies_invalid, before.cookies_invalid + 1, "the cookie is taken");
    assert_eq!(counters.half_open + counters.handshakes_failed, 1, "OpenSSL answers or refuses");
    assert!(counters.half_open == 0 || !flight.is_empty());
    let again = server.receive(dtls::CLIENT, &hello);
    // The repeated flight has new record numbers (RFC 6347 section 4.1).
    let lengths = |flight: &[Vec<u8>]| flight.iter().map(Vec::len).collect::<Vec<_>>();
    assert!(
        counters.half_open == 0 || lengths(&again) == lengths(&flight),
        "a repeat brings the same flight"
    );
    forgets(server);
}

/// Checks that the server forgets a client that sends nothing more.
fn forgets(server: &mut Server) {
    while let Some(due) = server.endpoint.poll_timeout() {
        assert!(due <= server.start + Duration::from_secs(61), "a handshake has its limit");
        server.now = server.now.max(due);
        server.endpoint.handle_timeout(due);
        while server.endpoint.poll_transmit().is_some() {}
    }
    let counters = server.endpoint.counters();
    assert_eq!((counters.half_open, counters.hellos_gathering), (0, 0), "it leaves nothing behind");
    assert!(server.endpoint.poll_event().is_none(), "and nobody has heard of it");
}

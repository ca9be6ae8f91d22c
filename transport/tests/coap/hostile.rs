//! Messages made to hurt: each is refused as the RFC says, counted under its own name, and never
//! ends the session.

use super::peer::*;
use super::sim::SECOND;
use lowband_transport::coap::{Code, Counters};
use proptest::prelude::*;

type Count = fn(&Counters) -> u64;

#[test]
fn malformed_messages_get_a_reset_or_silence_and_are_counted() {
    let table: &[(&[u8], bool, Count)] = &[
        (b"", false, |counters| counters.malformed_too_short),
        (b"\x40\x01\x00", false, |counters| counters.malformed_too_short),
        (b"\x00\x01\x00\x01", false, |counters| counters.malformed_version),
        (b"\xc0\x01\x00\x01", false, |counters| counters.malformed_version),
        (b"\x49\x01\x00\x01123456789", true, |counters| counters.malformed_token_length),
        (b"\x59\x01\x00\x01123456789", false, |counters| counters.malformed_token_length),
        (b"\x48\x01\x00\x01123", true, |counters| counters.malformed_token_length),
        (b"\x40\x01\x00\x01\xf0", true, |counters| counters.malformed_option),
        (b"\x50\x01\x00\x01\xf0", false, |counters| counters.malformed_option),
        (b"\x40\x01\x00\x01\x1d", true, |counters| counters.malformed_option),
        (b"\x40\x01\x00\x01\xe0\xff\xff", true, |counters| counters.malformed_option),
        (b"\x40\x01\x00\x01\xff", true, |counters| counters.malformed_payload_marker),
        (b"\x40\x00\x00\x01\xffx", true, |counters| counters.malformed_empty),
        (b"\x41\x00\x00\x01t", true, |counters| counters.malformed_empty),
        (b"\x40\x20\x00\x01", true, |counters| counters.malformed_code),
        (b"\x40\xe1\x00\x01", true, |counters| counters.malformed_code),
        (b"\x50\xc0\x00\x01", false, |counters| counters.malformed_code),
        (b"\x60\x20\x00\x01", false, |counters| counters.malformed_code),
        (b"\x50\x00\x00\x01", false, |counters| counters.empty_non_confirmable),
        (b"\x60\x00\x00\x01", false, |counters| counters.unmatched),
        (b"\x70\x00\x00\x01", false, |counters| counters.unmatched),
        (b"\x40\x45\x00\x01", true, |counters| counters.unexpected_responses),
        (b"\x50\x45\x00\x01", false, |counters| counters.unexpected_responses),
        (b"\x60\x45\x00\x01", false, |counters| counters.unexpected_responses),
    ];
    let mut peer = Peer::new();
    for (at, (bytes, reset, count)) in table.iter().enumerate() {
        let before = count(&peer.server.counters());
        let answers = peer.send_bytes(SESSION, bytes);
        let got: Vec<_> = answers.iter().map(|got| (got.kind(), got.code(), got.id())).collect();
        let expected = if *reset { vec![(RST, Code::EMPTY, 1)] } else { vec![] };
        assert_eq!(got, expected, "{bytes:02x?}");
        assert_eq!(count(&peer.server.counters()), before + 1, "{bytes:02x?}");
        assert_eq!(peer.events(), []);
        peer.is_served(1000 + at as u16);
    }
}

#[test]
fn what_is_wrong_with_a_request_is_counted_whether_it_is_refused_or_not() {
    let get = |id| make(CON, GET, id).path("x");
    let table: [(Make, bool, Count); 8] = [
        (get(1).option(9, b""), true, |counters| counters.options_unknown),
        (get(2).option(258, b""), false, |counters| counters.options_unknown),
        (get(3).option(17, b"123"), true, |counters| counters.options_bad_length),
        (get(4).option(6, b"").option(6, b""), false, |counters| counters.options_repeated),
        (get(5).path(".."), true, |counters| counters.options_bad_value),
        (get(6).option(35, b"coap://x"), true, |counters| counters.proxying_refused),
        (make(CON, Code::new(0, 5), 7).path("x"), true, |counters| counters.methods_refused),
        (get(8).option(AUTHORIZATION, b"\xff"), true, |counters| counters.options_bad_value),
    ];
    let mut peer = Peer::new();
    for (message, is_refused, count) in table {
        let before = count(&peer.server.counters());
        let answers = peer.send(&message);
        assert_eq!(count(&peer.server.counters()), before + 1, "{answers:?}");
        assert_eq!(peer.events().is_empty(), is_refused, "{answers:?}");
    }
}

#[test]
fn bad_options_are_4_02_when_confirmable_and_dropped_when_not() {
    let mut peer = Peer::new();
    for (number, value) in [(9u16, b"".as_slice()), (5, b""), (65001, b""), (17, b"123"), (257, b"12345")] {
        let refused = peer.ask(&make(CON, GET, number).path("x").option(number, value));
        assert_eq!((refused.kind(), refused.code()), (ACK, Code::BAD_OPTION), "{number}");
        assert!(!refused.payload().is_empty(), "a diagnostic text");
        assert_eq!(peer.send(&make(NON, GET, number).path("x").option(number, value)), []);
    }
    assert_eq!(peer.server.counters().non_confirmable_dropped, 5);
    assert_eq!(peer.events(), []);
    peer.is_served(1);
}

#[test]
fn unknown_methods_and_proxying_have_their_own_codes() {
    let mut peer = Peer::new();
    for detail in [5, 6, 7, 31] {
        let refused = peer.ask(&make(CON, Code::new(0, detail), detail.into()).path("x"));
        assert_eq!(refused.code(), Code::METHOD_NOT_ALLOWED);
    }
    assert_eq!(peer.ask(&make(CON, GET, 40).option(35, b"coap://x/")).code(), Code::PROXYING_NOT_SUPPORTED);
    assert_eq!(peer.ask(&make(CON, GET, 41).path("a/../b")).code(), Code::BAD_REQUEST);
    assert_eq!(peer.ask(&make(CON, GET, 42).option(URI_PATH, b"\xff")).code(), Code::BAD_OPTION);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_refusal_is_the_same_at_every_copy_and_takes_no_memory() {
    let mut peer = Peer::new();
    let bad = make(CON, GET, 7).option(9, b"x");
    let first = peer.ask(&bad);
    assert_eq!(peer.ask(&bad), first);
    assert_eq!(peer.server.sessions_in_memory(), 0);
}

#[test]
fn tokens_of_every_length_come_back() {
    let mut peer = Peer::new();
    for length in 0..=8 {
        peer.send(&make(CON, GET, length).path("x").token(&vec![9; length.into()]));
        let (exchange, _) = peer.request();
        assert_eq!(peer.respond(exchange, b"").remove(0).token(), vec![9; length.into()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Messages that are nearly right, with bytes changed and cut, mixed with honest ones.
    #[test]
    fn no_sequence_of_damaged_messages_hurts_the_server(
        damaged in proptest::collection::vec((0usize..7, any::<u16>(), any::<u8>(), any::<u16>()), 0..60)
    ) {
        let mut peer = Peer::new();
        let honest = [
            make(CON, GET, 1).path("a").option(256, b"token"),
            make(CON, PUT, 2).path("a").block(BLOCK1, 0, true, 64).payload(&[0; 64]),
            make(NON, PUT, 3).path("a").block(BLOCK1, 1, false, 64).payload(&[0; 9]),
            make(CON, GET, 4).path("a").block(BLOCK2, 1, false, 64),
            make(CON, GET, 5).path("a").block(BLOCK2, 0, false, 16),
            empty(ACK, 6),
            empty(RST, 7),
        ];
        for (which, at, value, id) in damaged {
            let mut bytes = honest[which].bytes();
            let length = bytes.len();
            bytes[2..4].copy_from_slice(&id.to_be_bytes());
            if let Some(byte) = bytes.get_mut(usize::from(at) % (length * 2)) {
                *byte = value;
            } else {
                bytes.truncate(usize::from(at) % length);
            }
            peer.send_bytes(SESSION, &bytes);
            for event in peer.events() {
                if let lowband_transport::coap::ServerEvent::Request { exchange, .. } = event {
                    peer.respond(exchange, &[3; 200]);
                }
            }
            peer.wait(SECOND / 4);
        }
        peer.wait(600 * SECOND);
        prop_assert_eq!(peer.server.open_exchanges(), 0);
        peer.is_served(60_000);
        // What sticks to a session stays until its end; nothing else does.
        peer.server.session_closed(peer.now, SESSION);
        prop_assert_eq!((peer.server.sessions_in_memory(), peer.server.blockwise_bytes()), (0, 0));
    }
}

//! A server that does not know a session any more, and what its client makes of it.

use crate::pair::{End, LATENCY, Pair, data};
use lowband_transport::dtls::Event;
use std::time::Duration;

/// A fatal alert (RFC 5246 section 7.2) without protection.
fn alert(level: u8, description: u8) -> [u8; 15] {
    [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, 2, level, description]
}

#[test]
fn a_fatal_alert_that_anybody_can_write_is_told_as_a_doubt_and_ends_nothing() {
    let (mut pair, session, _) = Pair::connected();
    for description in [80, 49] {
        pair.inject(End::Client, &alert(2, description));
    }
    assert_eq!(pair.client_events, [Event::Doubted { session }], "once");
    pair.run_for(Duration::from_secs(10));
    pair.inject(End::Client, &alert(2, 80));
    assert_eq!(pair.client_events, [Event::Doubted { session }, Event::Doubted { session }], "10 s later");
    assert_eq!(pair.client.counters().alerts_unprotected, 3);
    pair.client.send(pair.now, session, b"still here").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(data(&pair.server_events), [b"still here"]);
}

#[test]
fn no_doubt_comes_from_warnings_from_what_is_no_alert_or_to_who_has_accepted_the_session() {
    let (mut pair, _, _) = Pair::connected();
    let empty = [&alert(2, 80)[..11], &[0, 0]].concat();
    let handshake = [&[22], &alert(2, 80)[1..]].concat();
    for bytes in [&alert(1, 0)[..], &alert(0, 80), &empty, &handshake] {
        pair.inject(End::Client, bytes);
    }
    pair.inject(End::Server, &alert(2, 80));
    assert_eq!((pair.client_events, pair.server_events), (vec![], vec![]));
}

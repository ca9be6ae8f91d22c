//! A server that no longer knows a session, and how its client reacts.

use crate::pair::{End, LATENCY, Pair, data, server_config};
use lowband_transport::dtls::{CloseReason, Endpoint, Event};
use std::net::SocketAddr;
use std::time::Duration;

/// Makes a fatal alert (RFC 5246 section 7.2) without protection.
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

/// Makes a pair whose server was restarted and has forgotten all sessions.
fn restarted() -> (Pair, lowband_transport::SessionId) {
    let (mut pair, session, _) = Pair::connected();
    pair.server = Endpoint::new(server_config(), [9; 32]).unwrap();
    (pair, session)
}

#[test]
fn a_client_of_a_session_that_is_lost_is_told_by_less_than_it_sent_and_connects_anew() {
    let (mut pair, session) = restarted();
    pair.client.send(pair.now, session, b"x").unwrap();
    pair.run_for(LATENCY * 2);
    let [record, alert] = &pair.trace[..] else { panic!("{:?}", pair.trace) };
    // Fatal, unexpected_message; its number is outside the handshake's.
    assert_eq!(alert.bytes[..5], [21, 0xfe, 0xfd, 0, 0]);
    assert_eq!(alert.bytes[5..], [0x80, 0, 0, 0, 0, record.bytes[10], 0, 2, 2, 10]);
    assert!(alert.bytes.len() < record.bytes.len());
    assert_eq!(pair.client_events, [Event::Doubted { session }]);
    assert_eq!(pair.server.counters().lost_sessions_told, 1);
    pair.clear();
    pair.connect();
    pair.run_for(LATENCY * 6);
    assert!(matches!(
        pair.client_events[..],
        [Event::Closed { why: CloseReason::Replaced, .. }, Event::Connected { .. }]
    ));
}

#[test]
fn nothing_but_protected_data_of_an_unknown_session_is_answered() {
    let (mut pair, session) = restarted();
    pair.client.send(pair.now, session, b"x").unwrap();
    let data = pair.client.poll_transmit().unwrap().bytes;
    for content_type in [20, 21, 22] {
        pair.inject(End::Server, &[&[content_type], &data[1..]].concat());
    }
    // Records of epoch 0, and the shortest that parse.
    pair.inject(End::Server, &[&data[..3], &[0, 0], &data[5..]].concat());
    for length in [0u8, 1, 2] {
        pair.inject(End::Server, &[&data[..12], &[length], &data[13..13 + usize::from(length)]].concat());
    }
    assert!(pair.trace.is_empty(), "{:?}", pair.trace);
    // Records that a live session or a handshake under way cannot place do not draw an alert either.
    pair.connect();
    pair.run_for(LATENCY * 3);
    assert_eq!(pair.server.counters().half_open, 1);
    pair.clear();
    pair.inject(End::Server, &data);
    pair.run_for(LATENCY * 5);
    pair.inject(End::Server, &[&data[..20], &[0; 20], &data[40.min(data.len())..]].concat());
    assert_eq!(pair.server.counters().lost_sessions_told, 0);
}

#[test]
fn a_network_is_told_40_times_and_then_10_times_a_second_and_others_are_told_meanwhile() {
    let (mut pair, session) = restarted();
    pair.client.send(pair.now, session, b"x").unwrap();
    let record = pair.client.poll_transmit().unwrap().bytes;
    let mut told = |at: Duration, peer: SocketAddr| {
        pair.server.handle_datagram(pair.start + at, peer, None, &record);
        std::iter::from_fn(|| pair.server.poll_transmit()).filter(|alert| alert.peer == peer).count()
    };
    let address = |last: u8, port: u16| SocketAddr::from(([203, 0, 113, last], port));
    let at = Duration::from_secs(1);
    assert_eq!((0..1000).map(|port| told(at, address(1, port))).sum::<usize>(), 40);
    assert_eq!(told(at, address(2, 1)), 1);
    let later = at + Duration::from_secs(1);
    assert_eq!((0..1000).map(|port| told(later, address(1, port))).sum::<usize>(), 10);
    // The limit for all together: each client comes from a network of its own.
    let far = |number: u32| SocketAddr::from(((0x0b00_0000 + (number << 8)).to_be_bytes(), 1));
    let later = at + Duration::from_secs(60);
    assert_eq!((0..10_000).map(|number| told(later, far(number))).sum::<usize>(), 4_000);
    assert_eq!(pair.server.counters().lost_sessions_untold, 960 + 990 + 6_000);
}

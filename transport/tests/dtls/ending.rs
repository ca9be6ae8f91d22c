//! How sessions end: close_notify, silence, replacement by a client that began anew; and what does
//! not end them.

use crate::pair::{End, LATENCY, Pair, client_config, data};
use lowband_transport::dtls::{CloseReason, Endpoint, Event, HandshakeFailure, Limits, SendError};
use std::time::Duration;

fn closed(events: &[Event]) -> Vec<CloseReason> {
    let why = |event: &Event| match event {
        Event::Closed { why, .. } => Some(why.clone()),
        _ => None,
    };
    events.iter().filter_map(why).collect()
}

#[test]
fn close_notify_ends_the_session_at_both_ends_and_is_answered() {
    let (mut pair, client, server) = Pair::connected();
    pair.client.close(pair.now, client);
    pair.run_for(LATENCY * 3);
    assert_eq!(closed(&pair.client_events), [CloseReason::Local]);
    assert_eq!(closed(&pair.server_events), [CloseReason::CloseNotify]);
    let from: Vec<End> = pair.trace.iter().map(|sent| sent.from).collect();
    assert_eq!(from, [End::Client, End::Server]);
    assert_eq!(pair.server.send(pair.now, server, b"x"), Err(SendError::NoSession));
    for counters in [pair.client.counters(), pair.server.counters()] {
        assert_eq!(counters.sessions, 0);
    }
    assert_eq!(pair.server.counters().sessions_closed_by_peer, 1);
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None), "nothing is left");
}

#[test]
fn plaintext_alerts_hellos_and_bad_cookies_do_not_touch_a_live_session() {
    let (mut pair, client, server) = Pair::connected();
    let alert = |level, description| [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, level, description];
    for end in [End::Client, End::Server] {
        for description in [0, 10, 20, 40, 80] {
            pair.inject(end, &alert(2, description));
            pair.inject(end, &alert(1, description));
        }
    }
    assert_eq!(pair.server.counters().alerts_unprotected, 10);
    assert_eq!(pair.client.counters().alerts_unprotected, 10);

    let mut stranger = Endpoint::new(client_config(), [9; 32]).unwrap();
    stranger.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let hello = stranger.poll_transmit().unwrap().bytes;
    for _ in 0..20 {
        pair.inject(End::Server, &hello);
    }
    pair.run_for(LATENCY);
    assert_eq!(pair.server.counters().half_open, 0);

    pair.clear();
    pair.client.send(pair.now, client, b"still").unwrap();
    pair.server.send(pair.now, server, b"here").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(data(&pair.server_events), [b"still"]);
    assert_eq!(data(&pair.client_events), [b"here"]);
}

#[test]
fn a_client_that_begins_anew_at_its_address_replaces_its_session_only_when_its_handshake_has_finished() {
    let (mut pair, old_session, server_session) = Pair::connected();
    let again = Endpoint::new(client_config(), [5; 32]).unwrap();
    let mut old = std::mem::replace(&mut pair.client, again);

    // The new handshake hangs: its last flight is lost.
    pair.link =
        Box::new(|sent| if sent.from == End::Client && sent.number == 2 { vec![] } else { vec![LATENCY] });
    let new_session = pair.connect();
    pair.run_for(LATENCY * 6);
    assert_eq!(pair.server.counters().half_open, 1);
    old.send(pair.now, old_session, b"alive").unwrap();
    let record = old.poll_transmit().unwrap().bytes;
    pair.inject(End::Server, &record);
    assert_eq!(data(&pair.server_events), [b"alive"]);
    assert_eq!(closed(&pair.server_events), []);

    // The client repeats it and finishes; nothing more is lost.
    pair.clear();
    pair.link = Box::new(|_| vec![LATENCY]);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.server_events, [Event::Closed { session: server_session, why: CloseReason::Replaced }]);
    pair.client.send(pair.now, new_session, b"new").unwrap();
    pair.run_for(LATENCY);
    let [_, Event::Connected { session, .. }, Event::Data { .. }] = pair.server_events[..] else {
        panic!("{:?}", pair.server_events)
    };
    assert_ne!(session, server_session, "ids are not used again");
    assert_eq!(pair.server.counters().sessions, 1);
    assert_eq!(pair.server.counters().sessions_replaced, 1);
}

#[test]
fn a_session_nobody_has_heard_of_for_the_idle_limit_is_closed() {
    let idle = Duration::from_secs(100);
    let mut pair = Pair::with_limits(Limits { idle, ..Limits::default() });
    let (client, _) = pair.establish();
    pair.run_for(idle - Duration::from_secs(10));
    pair.client.send(pair.now, client, b"x").unwrap();
    pair.run_for(idle / 2);
    // Records that we send do not count: the client has heard nothing and has said goodbye.
    assert_eq!(closed(&pair.client_events), [CloseReason::Idle]);
    assert_eq!(closed(&pair.server_events), [CloseReason::CloseNotify]);

    let mut pair = Pair::with_limits(Limits { idle, ..Limits::default() });
    pair.establish();
    pair.link = Box::new(|_| vec![]);
    pair.run_for(idle - Duration::from_secs(1));
    assert_eq!(pair.server_events, []);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(closed(&pair.server_events), [CloseReason::Idle]);
    assert_eq!(pair.server.counters().sessions_idle, 1);
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn a_session_whose_peer_never_said_anything_ends_without_an_event() {
    let mut pair = Pair::default();
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.server.counters().sessions, pair.server_events.len()), (1, 0));
    let [silent] = pair.server.session_ids()[..] else { panic!() };
    pair.clear();
    pair.server.close(pair.now, silent);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.server_events, []);
    assert_eq!(closed(&pair.client_events), [CloseReason::CloseNotify]);
}

#[test]
fn a_second_connect_to_the_same_server_ends_the_handshake_under_way() {
    let mut pair = Pair::default();
    let first = pair.connect();
    let second = pair.connect();
    pair.run_for(Duration::from_secs(1));
    let [
        Event::Closed { session: gone, why: CloseReason::Handshake(HandshakeFailure::Superseded) },
        Event::Connected { session, .. },
    ] = &pair.client_events[..]
    else {
        panic!("{:?}", pair.client_events)
    };
    assert_eq!((*gone, *session), (first, second));
}

#[test]
fn a_handshake_can_be_given_up() {
    let mut pair = Pair::default();
    let session = pair.connect();
    assert_eq!(pair.client.send(pair.now, session, b"x"), Err(SendError::NoSession));
    pair.client.close(pair.now, session);
    pair.run_for(Duration::from_secs(100));
    assert_eq!(closed(&pair.client_events), [CloseReason::Local]);
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None));
}

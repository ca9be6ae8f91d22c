//! Limits, each of which is reached, counted, and lets clients pass again.

use crate::pair::{End, LATENCY, Pair, client_config, oddities};
use lowband_transport::SessionId;
use lowband_transport::dtls::{CloseReason, Endpoint, Event, HandshakeFailure, Limits};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Lets a client at `address` go as far as its hello with a cookie; after that it is never heard again.
fn half_open(pair: &mut Pair, address: SocketAddr) {
    let mut client = Endpoint::new(client_config(), [7; 32]).unwrap();
    client.connect(pair.now, End::Server.address(), "server.test").unwrap();
    for _ in 0..2 {
        let Some(hello) = client.poll_transmit() else { return };
        pair.server.handle_datagram(pair.now, address, None, &hello.bytes);
        while let Some(answer) = pair.server.poll_transmit() {
            // Anything for another address is the close_notify to a session that has to make room.
            if answer.peer == address && answer.bytes.len() < hello.bytes.len() {
                client.handle_datagram(pair.now, End::Server.address(), None, &answer.bytes);
            }
        }
    }
}

/// Makes a whole handshake of a client at `address`, and sends its first message; nothing is lost.
fn finish(pair: &mut Pair, client: &mut Endpoint, address: SocketAddr) -> SessionId {
    let session = client.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let mut said = false;
    loop {
        while let Some(sent) = client.poll_transmit() {
            pair.server.handle_datagram(pair.now, address, None, &sent.bytes);
        }
        let Some(answer) = pair.server.poll_transmit() else { break };
        client.handle_datagram(pair.now, End::Server.address(), None, &answer.bytes);
        if !said && matches!(client.poll_event(), Some(Event::Connected { .. })) {
            client.send(pair.now, session, b"hello").unwrap();
            said = true;
        }
    }
    loop {
        match pair.server.poll_event() {
            Some(Event::Connected { session, .. }) => {
                assert!(matches!(pair.server.poll_event(), Some(Event::Data { .. })));
                return session;
            }
            Some(of_another) => pair.server_events.push(of_another),
            None => panic!("not connected"),
        }
    }
}

fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    (ip, port).into()
}

#[test]
fn half_open_handshakes_are_limited_in_all_and_end_by_their_time() {
    let mut pair = Pair::with_limits(Limits { half_open: 10, ..Limits::default() });
    for n in 0..15 {
        half_open(&mut pair, at([203, 0, 113, n], 1000));
    }
    assert_eq!(pair.server.counters().half_open, 10);
    assert_eq!(oddities(pair.server.counters()), [("handshakes_evicted", 5)]);
    // The repeats do not pass the link: they go to addresses of their own.
    let mut repeats = 0;
    while let Some(due) = pair.server.poll_timeout() {
        pair.now = due;
        pair.server.handle_timeout(due);
        while pair.server.poll_transmit().is_some() {
            repeats += 1;
        }
    }
    assert_eq!(pair.now - pair.start, Duration::from_secs(60));
    assert_eq!(
        repeats,
        10 * (6 + 5 * 2),
        "after 1, 3, 7, 13, 19 ... 55 seconds; five of them in two datagrams"
    );
    assert_eq!(pair.server.counters().handshakes_timed_out, 10);
    assert_eq!(pair.server.counters().half_open, 0);
    pair.establish();
}

#[test]
fn half_open_handshakes_are_limited_per_address_and_per_ipv6_network() {
    let mut pair = Pair::with_limits(Limits { half_open_per_address: 3, ..Limits::default() });
    for port in 0..5 {
        half_open(&mut pair, at([203, 0, 113, 1], 1000 + port));
        let v6: IpAddr = format!("2001:db8::{port}").parse().unwrap();
        half_open(&mut pair, (v6, 1000).into());
        let mapped: IpAddr = format!("::ffff:203.0.114.{port}").parse().unwrap();
        half_open(&mut pair, (mapped, 1000).into());
    }
    assert_eq!(pair.server.counters().half_open, 3 + 3 + 5);
    assert_eq!(oddities(pair.server.counters()), [("handshakes_evicted", 4)]);
}

#[test]
fn sessions_are_limited_but_a_client_that_has_one_may_begin_anew() {
    let mut pair = Pair::with_limits(Limits { sessions: 1, ..Limits::default() });
    let (_, proven) = pair.establish();
    pair.server.vouch(proven);
    half_open(&mut pair, at([203, 0, 113, 1], 1000));
    assert_eq!(pair.server.counters().half_open, 0);
    assert_eq!(oddities(pair.server.counters()), [("hellos_over_sessions", 1)]);

    pair.client = Endpoint::new(client_config(), [8; 32]).unwrap();
    let session = pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert!(matches!(pair.server_events[..], [Event::Closed { why: CloseReason::Replaced, .. }]));
    pair.server_events.clear();
    pair.client.close(pair.now, session);
    pair.run_for(Duration::from_secs(1));
    half_open(&mut pair, at([203, 0, 113, 1], 1000));
    assert_eq!(pair.server.counters().half_open, 1);
}

#[test]
fn when_all_places_are_taken_the_client_that_left_longest_ago_gives_way_and_one_that_is_there_does_not() {
    let make_room_after = Duration::from_secs(600);
    let mut pair = Pair::with_limits(Limits { sessions: 2, make_room_after, ..Limits::default() });
    let minute = Duration::from_secs(60);
    // Another client takes the other place, and vanishes.
    let mut other = Endpoint::new(client_config(), [9; 32]).unwrap();
    let vanished = finish(&mut pair, &mut other, at([203, 0, 113, 1], 1000));
    let (there, at_the_server) = pair.establish();
    pair.server.vouch(vanished);
    pair.server.vouch(at_the_server);
    for _ in 0..11 {
        half_open(&mut pair, at([203, 0, 113, 2], 1000));
        assert_eq!(pair.server.counters().half_open, 0, "nobody has been silent for long enough");
        pair.client.send(pair.now, there, b"ping").unwrap();
        pair.run_for(minute - Duration::from_secs(1));
    }
    half_open(&mut pair, at([203, 0, 113, 2], 1000));
    assert_eq!(pair.server.counters().half_open, 1);
    assert_eq!(pair.server.session_ids().len(), 2, "nobody goes before a newcomer is there");
    let mut newcomer = Endpoint::new(client_config(), [10; 32]).unwrap();
    let newest = finish(&mut pair, &mut newcomer, at([203, 0, 113, 3], 1000));
    let closed = pair.server_events.iter().find(|event| matches!(event, Event::Closed { .. }));
    let Some(Event::Closed { session, why: CloseReason::Evicted }) = closed.cloned() else { panic!() };
    assert_eq!(session, vanished);
    assert_eq!(pair.server.counters().sessions_evicted, 1);
    assert_eq!(pair.server.session_ids(), [at_the_server, newest]);
}

#[test]
fn nobody_gives_way_to_a_handshake_that_is_never_finished() {
    let limits = Limits { sessions: 1, half_open_per_address: 1, ..Limits::default() };
    let make_room_after = limits.make_room_after;
    let mut pair = Pair::with_limits(limits);
    let mut other = Endpoint::new(client_config(), [9; 32]).unwrap();
    finish(&mut pair, &mut other, at([203, 0, 113, 1], 1000));
    pair.now += make_room_after;
    for port in 1000..1010 {
        half_open(&mut pair, at([203, 0, 113, 2], port));
    }
    assert_eq!((pair.server.counters().sessions, pair.server.counters().half_open), (1, 1));
    assert_eq!(oddities(pair.server.counters()), [("handshakes_evicted", 9)]);
    // A handshake that finishes does take the place of the session.
    let mut newcomer = Endpoint::new(client_config(), [10; 32]).unwrap();
    let newest = finish(&mut pair, &mut newcomer, at([203, 0, 113, 3], 1000));
    assert_eq!(pair.server.session_ids(), [newest]);
}

#[test]
fn a_newer_hello_from_the_same_address_takes_the_place_of_a_half_open_handshake() {
    let mut pair = Pair::default();
    for _ in 0..5 {
        half_open(&mut pair, at([203, 0, 113, 1], 1000));
    }
    assert_eq!(pair.server.counters().half_open, 1);
    assert_eq!(oddities(pair.server.counters()), [("handshakes_superseded", 4)]);
}

#[test]
fn a_client_without_an_answer_repeats_its_hello_and_gives_up() {
    for (lost_from, reason) in [(0, HandshakeFailure::NoAnswer), (1, HandshakeFailure::FellSilent)] {
        let mut pair = Pair::default();
        pair.link = Box::new(move |sent| {
            if sent.from == End::Server && sent.number >= lost_from { vec![] } else { vec![LATENCY] }
        });
        let session = pair.connect();
        pair.run_for(Duration::from_secs(61));
        let why = CloseReason::Handshake(reason);
        assert_eq!(pair.client_events, [Event::Closed { session, why }]);
        let seconds: Vec<u64> =
            pair.trace.iter().filter(|sent| sent.from == End::Client).map(|sent| sent.at.as_secs()).collect();
        let first: &[u64] = if lost_from == 0 { &[] } else { &[0] };
        assert_eq!(seconds, [first, &[0, 1, 3, 7, 13, 19, 25, 31, 37, 43, 49, 55]].concat());
        assert_eq!(pair.client.poll_timeout(), None);
    }
}

/// Makes a HelloVerifyRequest, with nothing around it.
fn asks_for_a_cookie(message_seq: u16) -> Vec<u8> {
    let [s0, s1] = message_seq.to_be_bytes();
    [&[3, 0, 0, 11, s0, s1, 0, 0, 0, 0, 0, 11, 0xfe, 0xff, 8][..], b"a cookie"].concat()
}

/// Makes a plaintext record of handshake messages.
fn plain(number: u8, messages: &[u8]) -> Vec<u8> {
    let [l0, l1] = (messages.len() as u16).to_be_bytes();
    [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, number, l0, l1][..], messages].concat()
}

#[test]
fn a_client_answers_three_requests_for_a_cookie_in_one_record_or_in_many_and_no_more() {
    let one_by_one: Vec<_> = (0..50).map(|seq| plain(seq as u8, &asks_for_a_cookie(seq))).collect();
    let all_in_one: Vec<u8> = (0..50).flat_map(asks_for_a_cookie).collect();
    for (records, answered) in [(one_by_one, 3), (vec![plain(0, &all_in_one)], 0)] {
        let mut pair = Pair::default();
        pair.link = Box::new(|_| vec![]);
        let session = pair.connect();
        pair.run_for(LATENCY);
        for record in &records {
            pair.inject(End::Client, record);
        }
        assert_eq!(pair.trace.len(), 1 + answered, "hellos");
        let over = records.len() - answered;
        assert_eq!(oddities(pair.client.counters()), [("cookies_over_message_seq", over as u64)]);
        // The handshake goes on until its time is over, repeating its newest hello.
        pair.run_for(Duration::from_secs(61));
        assert!(
            matches!(pair.client_events[..], [Event::Closed { session: closed, .. }] if closed == session)
        );
    }
}

#[test]
fn a_request_for_a_cookie_that_comes_again_does_not_count() {
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| {
        let copies = if sent.from == End::Server && sent.number == 0 { 20 } else { 1 };
        (0..copies).map(|copy| LATENCY + Duration::from_millis(copy)).collect()
    });
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]));
    assert_eq!(oddities(pair.client.counters()), []);
    assert_eq!(pair.trace.len(), 6, "no copy is answered");
}

#[test]
fn an_endpoint_that_has_stopped_accepting_keeps_its_sessions() {
    let (mut pair, client, _) = Pair::connected();
    pair.server.stop_accepting();
    half_open(&mut pair, at([203, 0, 113, 1], 1000));
    assert_eq!(oddities(pair.server.counters()), [("hellos_not_accepting", 1)]);
    pair.client.send(pair.now, client, b"x").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(pair.server_events.len(), 1);
}

#[test]
fn a_handshake_answers_at_most_twelve_repeats_of_a_hello() {
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| if sent.number < 2 { vec![LATENCY] } else { vec![] });
    pair.connect();
    pair.run_for(LATENCY * 3);
    let hello =
        pair.trace.iter().rfind(|sent| sent.from == End::Client && sent.number == 1).unwrap().bytes.clone();
    for _ in 0..50 {
        pair.inject(End::Server, &hello);
    }
    assert_eq!(pair.server.counters().flights_repeated, 12);
    assert_eq!(pair.server.counters().flights_over_repeats, 38);
}

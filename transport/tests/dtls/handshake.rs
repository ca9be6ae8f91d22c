//! Handshakes: on a good link, and with each datagram lost, repeated, delayed once.

use crate::certificates::{Authority, p256, rsa};
use crate::pair::{End, LATENCY, Pair, Sent, client_config, data, oddities, server_config};
use lowband_transport::dtls::{Config, Endpoint, Event};
use lowband_wire::dtls::extension::SERVER_NAME;
use lowband_wire::dtls::fragments::Fragments;
use lowband_wire::dtls::handshake::SERVER_HELLO;
use lowband_wire::dtls::hello::body::ServerHello;
use lowband_wire::dtls::record;
use std::time::Duration;

/// Connects and exchanges a message each way within `limit`.
fn converse(pair: &mut Pair, limit: Duration) {
    let session = pair.connect();
    let end = pair.now + limit;
    let step = Duration::from_millis(100);
    while pair.client_events.is_empty() && pair.now < end {
        pair.run_for(step);
    }
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]), "{:?}", pair.client_events);
    pair.client.send(pair.now, session, b"request").unwrap();
    pair.run_for(step);
    assert_eq!(data(&pair.server_events), [b"request"], "{:?}", pair.server_events);
    let [Event::Connected { session, peer, .. }, _] = pair.server_events[..] else {
        panic!("{:?}", pair.server_events)
    };
    assert_eq!(peer, End::Client.address());
    pair.server.send(pair.now, session, b"response").unwrap();
    pair.run_for(step);
    assert_eq!(data(&pair.client_events), [b"response"]);
}

fn with_key(key: &openssl::pkey::PKey<openssl::pkey::Private>) -> Pair {
    let server = Config { server: Some(Authority::new().identity(key)), ..Config::default() };
    Pair::new(client_config(), server)
}

fn sizes(trace: &[Sent]) -> Vec<(End, usize)> {
    trace.iter().map(|sent| (sent.from, sent.bytes.len())).collect()
}

#[test]
fn a_handshake_takes_six_datagrams_with_a_p256_certificate_and_with_an_rsa_one() {
    for key in [p256(), rsa()] {
        let mut pair = with_key(&key);
        converse(&mut pair, Duration::from_secs(1));
        let from: Vec<End> = pair.trace.iter().map(|sent| sent.from).collect();
        assert_eq!(from, [End::Client, End::Server].repeat(4), "{:?}", sizes(&pair.trace));
        assert!(pair.trace.iter().all(|sent| sent.bytes.len() <= 1232), "{:?}", sizes(&pair.trace));
        assert_eq!(oddities(pair.client.counters()), []);
        assert_eq!(oddities(pair.server.counters()), []);
    }
}

#[test]
fn both_ends_measure_the_round_trip() {
    let mut pair = Pair::default();
    converse(&mut pair, Duration::from_secs(1));
    for events in [&pair.client_events, &pair.server_events] {
        let Event::Connected { round_trip, .. } = events[0] else { panic!("{events:?}") };
        assert_eq!(round_trip, Some(LATENCY * 2));
    }
}

#[test]
fn both_ends_tell_how_long_the_handshake_took() {
    let mut pair = Pair::default();
    converse(&mut pair, Duration::from_secs(1));
    // The client begins with the hello that asks for a cookie; the server with the one that brings it.
    for (events, expected) in [(&pair.client_events, LATENCY * 6), (&pair.server_events, LATENCY * 2)] {
        let Event::Connected { took, .. } = events[0] else { panic!("{events:?}") };
        assert_eq!(took, expected);
    }
}

#[test]
fn a_handshake_survives_the_loss_of_any_one_datagram() {
    for key in [p256(), rsa()] {
        for end in [End::Client, End::Server] {
            for lost in 0..3 {
                let mut pair = with_key(&key);
                pair.link =
                    Box::new(
                        move |sent| {
                            if sent.from == end && sent.number == lost { vec![] } else { vec![LATENCY] }
                        },
                    );
                converse(&mut pair, Duration::from_millis(1_500));
                assert_eq!(pair.server.counters().handshakes, 1);
            }
        }
    }
}

#[test]
fn a_handshake_survives_any_two_losses_in_a_row() {
    for end in [End::Client, End::Server] {
        for lost in 0..3 {
            let mut pair = Pair::default();
            pair.link = Box::new(move |sent| {
                if sent.from == end && (lost..lost + 2).contains(&sent.number) {
                    vec![]
                } else {
                    vec![LATENCY]
                }
            });
            converse(&mut pair, Duration::from_secs(4));
        }
    }
}

/// Returns content types and fragments, without the record numbers.
fn fragments(datagram: &[u8]) -> Vec<(u8, &[u8])> {
    let mut rest = datagram;
    let mut fragments = Vec::new();
    while !rest.is_empty() {
        let end = 13 + usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        fragments.push((rest[0], &rest[13..end]));
        rest = &rest[end..];
    }
    fragments
}

#[test]
fn what_is_sent_again_holds_the_same_fragments() {
    let mut pair = Pair::default();
    pair.link =
        Box::new(|sent| if sent.from == End::Server && sent.number == 1 { vec![] } else { vec![LATENCY] });
    converse(&mut pair, Duration::from_secs(2));
    let flights: Vec<_> = pair.trace.iter().filter(|sent| sent.bytes.len() > 300).collect();
    assert!(flights.len() >= 2);
    for again in &flights[1..] {
        assert_eq!(fragments(&again.bytes), fragments(&flights[0].bytes));
        assert_ne!(again.bytes, flights[0].bytes, "under new numbers");
    }
}

#[test]
fn duplicates_of_all_datagrams_change_nothing() {
    for key in [p256(), rsa()] {
        let mut pair = with_key(&key);
        pair.link = Box::new(|_| vec![LATENCY, LATENCY + Duration::from_millis(3)]);
        converse(&mut pair, Duration::from_secs(1));
        assert_eq!(pair.server.counters().handshakes, 1);
        assert_eq!(pair.client.counters().handshakes, 1);
    }
}

#[test]
fn a_datagram_delayed_beyond_its_repeats_changes_nothing() {
    for end in [End::Client, End::Server] {
        for late in 0..3 {
            let mut pair = Pair::default();
            pair.link = Box::new(move |sent| {
                let delay = if sent.from == end && sent.number == late {
                    Duration::from_millis(2_500)
                } else {
                    LATENCY
                };
                vec![delay]
            });
            converse(&mut pair, Duration::from_secs(2));
            pair.run_for(Duration::from_secs(100));
            for counters in [pair.client.counters(), pair.server.counters()] {
                assert_eq!((counters.sessions, counters.half_open, counters.handshakes_timed_out), (1, 0, 0));
            }
        }
    }
}

#[test]
fn a_hello_that_comes_again_after_its_handshake_begins_nothing() {
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| {
        if sent.from == End::Client && sent.number == 1 {
            vec![LATENCY, Duration::from_secs(5)]
        } else {
            vec![LATENCY]
        }
    });
    converse(&mut pair, Duration::from_secs(1));
    let sent = pair.trace.len();
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.trace.len(), sent);
    assert_eq!(oddities(pair.server.counters()), [("hellos_repeated", 1)]);
}

/// Returns the epoch-0 record number of a datagram.
fn number(bytes: &[u8]) -> u8 {
    assert_eq!(bytes[3..10], [0; 7]);
    bytes[10]
}

#[test]
fn the_servers_record_numbers_go_on_from_those_of_the_hello() {
    // Two hellos without an answer, then an answered one; the hello with the cookie twice as well.
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| match (sent.from, sent.number) {
        (End::Client, 0 | 1 | 3) => vec![],
        _ => vec![LATENCY],
    });
    converse(&mut pair, Duration::from_secs(10));
    let from = |end| pair.trace.iter().filter(move |sent| sent.from == end);
    let hellos: Vec<u8> = from(End::Client).take(5).map(|sent| number(&sent.bytes)).collect();
    assert_eq!(hellos, [0, 1, 2, 3, 4]);
    let answers: Vec<u8> = from(End::Server).take(2).map(|sent| number(&sent.bytes)).collect();
    assert_eq!(answers, [2, 4]);

    // A client that leaves gaps in its record numbers.
    let mut client = Endpoint::new(client_config(), [1; 32]).unwrap();
    let mut server = Endpoint::new(server_config(), [1; 32]).unwrap();
    let now = std::time::Instant::now();
    client.connect(now, End::Server.address(), "server.test").unwrap();
    for expected in [77, 99] {
        let mut hello = client.poll_transmit().unwrap().bytes;
        hello[10] = expected;
        server.handle_datagram(now, End::Client.address(), None, &hello);
        let answer = server.poll_transmit().unwrap().bytes;
        assert_eq!(number(&answer), expected);
        client.handle_datagram(now, End::Server.address(), None, &answer);
    }
}

#[test]
fn a_server_that_restarts_between_cookie_and_hello_asks_again_and_goes_on() {
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| vec![LATENCY + Duration::from_millis(sent.number as u64)]);
    let session = pair.connect();
    pair.run_for(LATENCY * 2 + Duration::from_millis(1));
    assert_eq!(pair.trace.len(), 3, "the hello with the cookie is on its way");
    pair.server = Endpoint::new(server_config(), [77; 32]).unwrap();
    pair.run_for(Duration::from_millis(500));
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]), "{:?}", pair.client_events);
    assert_eq!(pair.server.counters().cookies_invalid, 1);
    pair.client.send(pair.now, session, b"x").unwrap();
    pair.run_for(LATENCY * 2);
    assert_eq!(data(&pair.server_events), [b"x"]);
}

#[test]
fn the_server_hello_does_not_acknowledge_sni_and_has_no_session_id() {
    let mut pair = Pair::default();
    converse(&mut pair, Duration::from_secs(1));
    assert!(pair.trace[2].bytes.windows(11).any(|window| window == b"server.test"), "the client sends it");
    let (record, _) = record::parse(&pair.trace[3].bytes).unwrap();
    let (message, body) = Fragments::new(record.fragment).bodies().next().unwrap();
    assert_eq!((message.kind, message.length), (SERVER_HELLO, body.len()));
    let hello = ServerHello::parse(body).unwrap();
    assert_eq!(hello.extensions.get(SERVER_NAME), None);
    assert!(hello.extensions.has_extended_master_secret());
    assert_eq!(hello.session_id, &[]);
}

#[test]
fn an_endpoint_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Endpoint>();
}

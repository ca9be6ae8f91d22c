//! `Server` and `Client`: CoAP over DTLS over a simulated network of datagrams.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "dtls/certificates.rs"]
#[allow(dead_code, reason = "shared with the tests of the DTLS layer")]
mod certificates;
#[path = "full_stack/net.rs"]
mod net;
#[path = "coap/sim.rs"]
#[allow(dead_code, reason = "shared with the tests of the CoAP layer")]
mod sim;

use lowband_transport::coap::{Code, FailReason, Limits, ResponseOptions, Times};
use lowband_transport::dtls::{self, CloseReason, HandshakeFailure, Verification};
use lowband_transport::{Client, Server, client, server};
use net::{CLIENT, Net, SERVER, new_client, new_client_with};
use sim::{MS, SECOND, body, get, post, put};
use std::net::SocketAddr;

#[test]
fn a_request_made_before_the_handshake_travels_with_its_end() {
    let mut net = Net::new(1);
    let session = net.connect();
    let exchange = net.client.request(net.now, session, put("x", b"hello".to_vec()));
    let started = net.now;
    assert!(net.run(10 * SECOND, |net| net.result(exchange).is_some()));
    assert_eq!(net.result(exchange).unwrap().unwrap().body, b"hello");
    // Cookie, server's flight, client's flight and Finished, request and response: four round trips.
    println!("connect, PUT, response: {} datagrams, {} bytes of UDP payload", net.datagrams, net.bytes);
    assert_eq!(net.now - started, 400 * MS);
    assert!(net.datagrams <= 8, "{}", net.datagrams);
    assert!(matches!(&net.client_events[0],
        client::Event::Connected { round_trip: Some(round_trip), .. } if *round_trip == 100 * MS));
    assert!(matches!(
        &net.server_events[..],
        [server::Event::SessionOpened { .. }, server::Event::Request { .. }]
    ));
}

#[test]
fn short_records_carry_bodies_of_every_size_both_ways() {
    use dtls::MaxFragmentLength::*;
    for (asked, longest) in [(Bytes512, 512), (Bytes1024, 1024), (Bytes2048, 2048), (Bytes4096, 4096)] {
        let mut net = Net::new(1);
        net.client = new_client_with(2, Some(asked));
        let session = net.connect();
        for length in [0, 200, 256, 257, 512, 900, 1024, 1100, 30_000] {
            let exchange = net.client.request(net.now, session, post("x", body(length, 4)));
            assert!(net.run(60 * SECOND, |net| net.result(exchange).is_some()), "{asked:?}: {length}");
            let response = net.result(exchange).unwrap();
            assert!(
                response.is_ok_and(|response| response.body == body(length, 4)),
                "{asked:?}: {response:?}"
            );
        }
        // The records of a message: header and tag of ChaCha20-Poly1305.
        assert!(net.longest_message <= 13 + 16 + longest, "{asked:?}: {}", net.longest_message);
        let unsendable = net.server.counters().1.unsendable + net.client.counters().1.unsendable;
        assert_eq!(unsendable, 0);
    }
}

#[test]
fn at_a_fifth_lost_each_way_everything_completes_once_the_handshake_included() {
    for seed in 0..6 {
        let mut net = Net::new(seed);
        net.loss = 0.2;
        let session = net.connect();
        let bodies: Vec<_> = (0..12).map(|n| body((n * n * n * 13) as usize, n)).collect();
        let exchanges: Vec<_> =
            bodies.iter().map(|body| net.client.request(net.now, session, post("x", body.clone()))).collect();
        assert!(
            net.run(3600 * SECOND, |net| exchanges.iter().all(|exchange| net.result(*exchange).is_some())),
            "seed {seed}"
        );
        for (exchange, body) in exchanges.iter().zip(&bodies) {
            let response = net.result(*exchange).unwrap();
            assert!(response.is_ok_and(|response| response.body == *body), "seed {seed}: {response:?}");
        }
        net.executed.sort();
        let mut expected = bodies.clone();
        expected.sort();
        assert!(net.executed == expected, "seed {seed}: each request reached the caller once");
    }
}

/// A path of 576 bytes: the handshake with a chain of three datagrams, then a body in each direction. A
/// client that waits pings, as `lowband-client` does.
#[test]
fn a_path_of_576_bytes_takes_the_handshake_and_bodies_both_ways() {
    for (seed, loss) in [(1, 0.0), (2, 0.0), (3, 0.05), (4, 0.05), (5, 0.1)] {
        let (authority, key) = (certificates::Authority::new(), certificates::p256());
        let mut chain = vec![authority.issue(&key)];
        chain.extend(vec![authority.certificate.clone(); 9]);
        let mut net = Net::with(seed, certificates::identity(&chain, &key));
        (net.most, net.loss, net.answer) = (548, loss, body(10_000, 1));
        let session = net.connect();
        for (request, expected, within) in [
            (get("down"), body(10_000, 1), 150),
            (post("up", body(10_000, 2)), body(10_000, 2), 60),
            (get("down"), body(10_000, 1), 60),
        ] {
            let exchange = net.client.request(net.now, session, request);
            let began = net.now;
            while !net.run(5 * SECOND, |net| net.result(exchange).is_some()) {
                assert!(net.now - began < 600 * SECOND, "seed {seed}");
                net.client.ping(net.now, session);
            }
            let response = net.result(exchange).unwrap();
            assert!(response.is_ok_and(|response| response.body == expected), "seed {seed}: {response:?}");
            println!("seed {seed}, loss {loss}: {:?}", net.now - began);
            assert!(loss > 0.0 || net.now - began < within * SECOND, "{:?}", net.now - began);
        }
    }
}

/// Both ends know what the handshake has shown: neither sends anything large, and no pings are needed.
#[test]
fn a_session_whose_handshake_came_in_small_datagrams_begins_with_small_blocks() {
    for (request, expected) in [
        (get("down"), body(20_000, 1)),
        (put("up", body(40_000, 2)), body(40_000, 2)),
        (get("down"), body(900, 1)),
    ] {
        let mut net = Net::with(1, certificates::Authority::new().identity(&certificates::rsa()));
        (net.most, net.answer) = (548, expected.clone());
        let session = net.connect();
        assert!(net.run(10 * SECOND, |net| !net.client_events.is_empty()));
        assert_eq!(net.client.path_is_narrow(session), Some(true));
        let began = net.now;
        let exchange = net.client.request(net.now, session, request);
        assert!(net.run(60 * SECOND, |net| net.result(exchange).is_some()));
        assert!(net.result(exchange).unwrap().is_ok_and(|response| response.body == expected));
        assert!(net.longest_message <= 548, "{}", net.longest_message);
        assert_eq!(net.client.counters().1.retransmissions, 0);
        println!("{} bytes: {:?}", expected.len(), net.now - began);
    }
}

#[test]
fn what_an_earlier_session_has_learnt_holds_unless_the_handshake_shows_the_contrary() {
    for (mtu, is_taken, narrow) in [(548, true, true), (548, false, false), (1232, true, false)] {
        let mut net = Net::new(1);
        let identity = certificates::Authority::new().identity(&certificates::rsa());
        let limits = dtls::Limits { mtu, ..dtls::Limits::default() };
        let dtls = dtls::Config { server: Some(identity), limits, ..dtls::Config::default() };
        let config = server::Config { dtls, times: Times::measured(), limits: Limits::default() };
        net.server = Server::new(config, [1; 32]).unwrap();
        net.answer = body(5000, 1);
        let session = net.connect();
        if is_taken {
            net.client.take_for_narrow(session);
        }
        let exchange = net.client.request(net.now, session, get("down"));
        assert!(net.run(60 * SECOND, |net| net.result(exchange).is_some()));
        assert_eq!(net.client.path_is_narrow(session), Some(narrow), "{mtu}");
        assert_eq!(net.longest_message <= 548, narrow, "{mtu}: {}", net.longest_message);
        net.client.close(net.now, session);
        assert_eq!(net.client.path_is_narrow(session), None);
    }
}

/// A client of ours knows better than its server whether long datagrams have passed, and its first request
/// shows it.
#[test]
fn a_path_that_loses_at_random_is_seldom_taken_for_a_narrow_one() {
    for (loss, most) in [(0.0, 0), (0.1, 0), (0.3, 4)] {
        let mut narrow = 0;
        for seed in 0..60 {
            let mut net = Net::with(seed, certificates::Authority::new().identity(&certificates::rsa()));
            (net.loss, net.answer) = (loss, body(5_000, 1));
            let session = net.connect();
            let exchange = net.client.request(net.now, session, get("down"));
            net.run(600 * SECOND, |net| net.result(exchange).is_some());
            net.longest_message = 0;
            let exchange = net.client.request(net.now, session, get("down"));
            net.run(600 * SECOND, |net| net.result(exchange).is_some());
            narrow += u32::from(net.longest_message < 1024);
        }
        println!("loss {loss}: {narrow} of 60 sessions have small blocks");
        assert!(narrow <= most, "{loss}: {narrow}");
    }
}

#[test]
fn a_server_that_closes_tells_its_client_which_fails_what_was_open() {
    let mut net = Net::new(1);
    net.silent = true;
    let session = net.connect();
    let exchange = net.client.request(net.now, session, get("slow"));
    net.pass(5 * SECOND);
    assert_eq!(net.server.open_exchanges(), 1);
    let at_server = net.server.session_ids()[0];
    net.server.close(net.now, at_server);
    net.pass(SECOND);
    assert!(matches!(
        &net.server_events[2..],
        [server::Event::Cancelled { .. }, server::Event::SessionClosed { why: CloseReason::Local, .. }]
    ));
    assert!(matches!(&net.client_events[1..], [
        client::Event::Failed { exchange: failed, why: FailReason::SessionClosed, sent: true },
        client::Event::Closed { why: CloseReason::CloseNotify, .. },
    ] if *failed == exchange));
    assert_eq!((net.server.open_exchanges(), net.server.session_ids().len()), (0, 0));
}

#[test]
fn a_client_that_closes_cancels_its_requests() {
    let mut net = Net::new(1);
    net.silent = true;
    let session = net.connect();
    net.client.request(net.now, session, get("slow"));
    net.pass(5 * SECOND);
    net.client.close(net.now, session);
    net.pass(SECOND);
    assert!(matches!(
        &net.server_events[2..],
        [server::Event::Cancelled { .. }, server::Event::SessionClosed { why: CloseReason::CloseNotify, .. }]
    ));
}

#[test]
fn a_client_that_comes_back_from_the_same_address_replaces_its_session() {
    let mut net = Net::new(1);
    net.silent = true;
    let session = net.connect();
    net.client.request(net.now, session, get("slow"));
    net.pass(5 * SECOND);
    net.client = new_client(3);
    net.client_events.clear();
    net.silent = false;
    let session = net.connect();
    let exchange = net.client.request(net.now, session, put("x", b"again".to_vec()));
    net.pass(5 * SECOND);
    assert_eq!(net.result(exchange).unwrap().unwrap().body, b"again");
    assert!(net.server_events.iter().any(|event| matches!(event, server::Event::Cancelled { .. })));
    assert!(
        net.server_events.iter().any(|event| {
            matches!(event, server::Event::SessionClosed { why: CloseReason::Replaced, .. })
        })
    );
    assert_eq!(net.server.session_ids().len(), 1);
}

#[test]
fn a_session_replaced_in_the_middle_of_a_body_leaves_nothing_of_it_and_the_new_one_is_served() {
    // The session is replaced in the middle of the request, and of the response.
    for (seed, executed) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        let mut net = Net::new(seed);
        net.loss = 0.05;
        let session = net.connect();
        net.client.request(net.now, session, post("x", body(50_000, seed)));
        let is_under_way =
            |net: &Net| net.executed.len() == executed && net.server.blockwise_bytes() > 10_000;
        assert!(net.run(60 * SECOND, is_under_way), "seed {seed}");
        assert_eq!((net.executed.len(), net.client_events.len()), (executed, 1), "seed {seed}");
        assert!(net.server.blockwise_bytes() > 10_000, "seed {seed}");
        net.client = new_client(3);
        net.client_events.clear();
        let session = net.connect();
        let exchange = net.client.request(net.now, session, put("x", b"again".to_vec()));
        assert!(net.run(60 * SECOND, |net| net.result(exchange).is_some()), "seed {seed}");
        assert_eq!(net.result(exchange).unwrap().unwrap().body, b"again", "seed {seed}");
        assert!(net.server_events.iter().any(|event| {
            matches!(event, server::Event::SessionClosed { why: CloseReason::Replaced, .. })
        }));
        assert_eq!((net.server.blockwise_bytes(), net.server.session_ids().len()), (0, 1), "seed {seed}");
        assert_eq!(net.executed.len(), executed + 1, "seed {seed}: half a body is never executed");
    }
}

#[test]
fn nobody_at_the_other_end_fails_the_request_and_then_the_session() {
    let mut net = Net::new(1);
    net.loss = 1.0;
    let session = net.connect();
    let exchange = net.client.request(net.now, session, get("x"));
    net.pass(300 * SECOND);
    assert!(matches!(&net.client_events[..], [
        client::Event::Failed { exchange: failed, why: FailReason::SessionClosed, sent: false },
        client::Event::Closed { why: CloseReason::Handshake(HandshakeFailure::NoAnswer), .. },
    ] if *failed == exchange));
    assert_eq!(net.client.poll_timeout(), None);
}

#[test]
fn a_server_that_is_gone_ends_the_session_when_a_ping_is_not_answered_and_wakes_who_waits() {
    let mut net = Net::new(1);
    net.silent = true;
    let session = net.connect();
    let poll = net.client.request(net.now, session, get("sync"));
    net.pass(5 * SECOND);
    net.client_events.clear();
    net.loss = 1.0;
    net.client.ping(net.now, session);
    net.pass(10 * SECOND + MS);
    assert!(
        matches!(&net.client_events[..], [
            client::Event::Failed { exchange, why: FailReason::SessionClosed, sent: true },
            client::Event::Closed { session: closed, why: CloseReason::Dead },
        ] if (*exchange, *closed) == (poll, session)),
        "{:?}",
        net.client_events
    );
    assert_eq!(net.client.poll_timeout(), None);
}

#[test]
fn impossible_times_are_a_mistake_of_the_configuration() {
    let dtls = dtls::Config { client: Some(Verification::None), ..dtls::Config::default() };
    let times = Times { backoff: -1.0, ..Times::measured() };
    let config = client::Config { dtls, times, limits: Limits::default() };
    let error = Client::new(config, [1; 32]).unwrap_err();
    assert_eq!(error.to_string(), "factor backoff is -1; it must be 1 to 10");
}

#[test]
fn messages_made_to_hurt_do_not_end_the_session() {
    let mut net = Net::new(1);
    let config = dtls::Config { client: Some(Verification::None), ..dtls::Config::default() };
    let mut raw = dtls::Endpoint::new(config, [9; 32]).unwrap();
    let (server, client): (SocketAddr, SocketAddr) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
    let session = raw.connect(net.now, server, "server.test").unwrap();
    let mut got = Vec::new();
    let mut exchange = |raw: &mut dtls::Endpoint, net: &mut Net| {
        loop {
            net.now += MS;
            if let Some(transmit) = raw.poll_transmit() {
                net.server.handle_datagram(net.now, client, None, &transmit.bytes);
                while let Some(event) = net.server.poll_event() {
                    if let server::Event::Request { exchange, .. } = event {
                        net.server.respond_head(net.now, exchange, Code::CONTENT, ResponseOptions::default());
                        net.server.respond_chunk(net.now, exchange, b"served", true);
                    }
                }
            } else if let Some(transmit) = net.server.poll_transmit() {
                raw.handle_datagram(net.now, server, None, &transmit.bytes);
            } else {
                break;
            }
        }
        while let Some(event) = raw.poll_event() {
            if let dtls::Event::Data { bytes, .. } = event {
                got.push(bytes);
            }
        }
        got.split_off(0)
    };
    exchange(&mut raw, &mut net);
    let hurtful: &[&[u8]] = &[
        b"x",
        b"\x40\x01\x00",
        b"\x49\x01\x00\x01123456789",
        b"\x40\x01\x00\x02\xf0",
        b"\x40\x00\x00\x03\xffx",
        b"\x40\x01\x00\x04\xff",
        b"\x40\x45\x00\x05",
        b"\xff\xff\xff\xff\xff",
        b"\x40\x01\x00\x06\x90",
        b"\x40\x03\x00\x07\xd1\x0e\x07",
        b"\x70\x00\x00\x08",
    ];
    for bytes in hurtful {
        raw.send(net.now, session, bytes).unwrap();
        exchange(&mut raw, &mut net);
    }
    raw.send(net.now, session, b"\x40\x01\xab\xcd\xb1x").unwrap();
    assert_eq!(exchange(&mut raw, &mut net), [b"\x60\x45\xab\xcd\xffserved"]);
    assert_eq!(net.server.session_ids().len(), 1);
    let counters = net.server.counters().1;
    assert_eq!((counters.malformed_too_short, counters.malformed_token_length, counters.pings), (2, 1, 0));
}

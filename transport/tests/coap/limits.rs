//! Limits that no other file reaches, and what sessions cost.

use super::peer::*;
use super::sim::{SECOND, Sim, body, get};
use lowband_transport::SessionId;
use lowband_transport::coap::{Code, FailReason, Limits, ProtocolError, ServerEvent, Times};
use lowband_transport::shares::Network;
use std::time::Duration;

#[test]
fn one_request_too_many_of_a_session_is_5_03_and_others_are_served() {
    let mut peer = Peer::with(Limits { exchanges_per_session: 3, ..Limits::default() });
    for id in 0..3 {
        assert_eq!(peer.send(&make(CON, GET, id).path("slow")), []);
    }
    let waiting: Vec<_> = peer.events();
    let refused = peer.ask(&make(CON, GET, 3).path("slow"));
    assert_eq!((refused.code(), refused.number(MAX_AGE)), (Code::SERVICE_UNAVAILABLE, Some(5)));
    let refused = peer.ask(&make(NON, GET, 4).path("slow"));
    assert_eq!((refused.kind(), refused.code()), (NON, Code::SERVICE_UNAVAILABLE));
    assert_eq!(peer.send_bytes(SessionId(2), &make(CON, GET, 1).path("x").bytes()), []);
    assert_eq!((peer.events().len(), peer.server.counters().exchanges_refused), (1, 2));
    // A copy of the refused request may find room.
    let ServerEvent::Request { exchange, .. } = waiting[0] else { panic!() };
    peer.respond(exchange, b"");
    assert_eq!(peer.send(&make(CON, GET, 3).path("slow")), []);
    peer.request();
}

#[test]
fn answers_that_nobody_acknowledges_count_as_well() {
    let mut peer = Peer::with(Limits { exchanges_per_session: 2, ..Limits::default() });
    for id in 0..4 {
        assert_eq!(peer.send(&make(CON, GET, id).path("slow")), []);
        let (exchange, _) = peer.request();
        peer.wait(SECOND / 2);
        peer.respond(exchange, b"separate");
    }
    assert_eq!(peer.ask(&make(CON, GET, 9).path("slow")).code(), Code::SERVICE_UNAVAILABLE);
    peer.wait(93 * SECOND);
    assert_eq!(peer.send(&make(CON, GET, 9).path("slow")), []);
}

#[test]
fn what_separate_answers_take_is_bounded_in_all_and_the_heaviest_lose_theirs() {
    const MOST: usize = 256 << 10;
    let mut peer = Peer::with(Limits { answers_total: MOST, ..Limits::default() });
    let network = |number: u64| Network::of(std::net::Ipv4Addr::from_bits((number as u32) << 8).into());
    // Clients that ask, are acknowledged, and then acknowledge nothing: a modest one, and a hundred that ask
    // for 32 answers each.
    let asks = std::iter::once((1000, 1)).chain((0..100).map(|greedy| (greedy, 32)));
    for (session, answers) in asks {
        for id in 0..answers {
            let request = make(CON, GET, id).path("slow");
            assert_eq!(peer.send_from(SessionId(session), network(session), &request), []);
        }
    }
    peer.wait(2 * SECOND);
    for event in peer.events() {
        let ServerEvent::Request { exchange, .. } = event else { panic!("{event:?}") };
        peer.respond(exchange, &body(900, 1));
        assert!(peer.server.counters().waiting_bytes <= MOST as u64);
    }
    peer.wait(Duration::ZERO);
    let held = (peer.server.exchanges_of(SessionId(1000)).len(), peer.server.open_exchanges());
    let gone = peer.server.counters().answers_gave_way as usize;
    assert!(held.0 == 1 && held.1 + gone == 3201 && gone > 3000, "{held:?} {gone}");
    // No client has acknowledged: finished exchanges are forgotten, and all room is given back.
    peer.wait(100 * SECOND);
    assert_eq!((peer.server.open_exchanges(), peer.server.counters().waiting_bytes), (0, 0));
    peer.is_served(99);
}

#[test]
fn a_download_above_the_clients_limit_fails_and_ends_at_the_server_too() {
    let limits = Limits { download: 10_000, ..Limits::default() };
    let mut sim = Sim::with(1, Times::rfc7252(), Times::rfc7252(), limits);
    sim.answer = Box::new(|_| super::sim::Answer::new(body(10_001, 1)));
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(100 * SECOND);
    let too_large = ProtocolError::TooLarge { limit: 10_000 };
    assert_eq!(sim.results[&exchange], Err(FailReason::Protocol(too_large)));
    assert_eq!(sim.client.counters().downloads_too_large, 1);
    assert_eq!(sim.server.blockwise_bytes(), 0);
    sim.answer = Box::new(|_| super::sim::Answer::new(body(10_000, 1)));
    assert_eq!(sim.ask(session, get("x")).body.len(), 10_000);
}

#[test]
fn ten_thousand_sessions_at_rest_cost_nothing() {
    let mut peer = Peer::new();
    for session in 0..10_000 {
        peer.server.session_opened(peer.now, SessionId(session), Some(SECOND));
        peer.send_bytes(SessionId(session), &make(CON, PUT, 1).path("x").payload(b"y").bytes());
        let (exchange, _) = peer.request();
        peer.respond(exchange, b"z");
    }
    assert_eq!(peer.server.sessions_in_memory(), 10_000);
    peer.wait(247 * SECOND);
    assert_eq!((peer.server.sessions_in_memory(), peer.server.poll_timeout()), (0, None));
}

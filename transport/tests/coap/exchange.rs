//! Requests and responses on a link without faults: piggybacked, separate,
//! non-confirmable, overlapping, queued.

use super::sim::*;
use lowband_transport::coap::{Code, FailReason, Limits, Times, Unsendable};
use std::time::Duration;

#[test]
fn a_quick_answer_takes_two_messages_and_one_round_trip() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    let exchange = sim.request(session, get("a/b"));
    sim.pass(SECOND);
    let response = sim.results[&exchange].clone().unwrap();
    assert_eq!((response.code, response.body), (Code::CONTENT, b"a/b".to_vec()));
    assert_eq!(response.options.content_format, Some(60));
    assert_eq!((sim.sent.len(), sim.took(exchange)), (2, 40 * MS));
}

#[test]
fn a_slow_answer_is_acknowledged_after_half_a_second_and_sent_separately() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(30 * SECOND));
    let session = sim.open(1);
    let exchange = sim.request(session, get("sync"));
    sim.pass(519 * MS);
    assert_eq!(sim.sent.len(), 1);
    sim.pass(MS);
    assert_eq!(sim.sent[1].1.len(), 4, "an empty acknowledgement");
    sim.pass(60 * SECOND);
    assert_eq!(sim.results[&exchange].clone().unwrap().body, b"late");
    assert_eq!(sim.took(exchange), 30 * SECOND + 40 * MS);
    // Request, acknowledgement, response, acknowledgement.
    assert_eq!(sim.sent.len(), 4);
    assert_eq!((sim.server.counters().empty_acks, sim.server.counters().separate_responses), (1, 1));
    assert_eq!(sim.server.open_exchanges(), 0);
}

#[test]
fn requests_wait_for_the_session_and_overlap_once_it_is_open() {
    let mut sim = Sim::new(1);
    let session = lowband_transport::SessionId(9);
    sim.client.session_opening(session);
    let exchanges: Vec<_> = (0..5).map(|n| sim.request(session, get(&format!("r{n}")))).collect();
    sim.pass(SECOND);
    assert_eq!(sim.sent.len(), 0);
    sim.open(9);
    sim.pass(SECOND);
    for (n, exchange) in exchanges.iter().enumerate() {
        assert_eq!(sim.results[exchange].clone().unwrap().body, format!("r{n}").into_bytes());
        assert_eq!(sim.took(*exchange), SECOND + 40 * MS);
    }
}

#[test]
fn requests_beyond_the_limit_wait_for_their_turn() {
    let limits = Limits { exchanges_per_session: 3, ..Limits::default() };
    let mut sim = Sim::with(1, Times::rfc7252(), Times::rfc7252(), limits);
    sim.answer = Box::new(|_| Answer::new(vec![]).after(100 * MS));
    let session = sim.open(1);
    let exchanges: Vec<_> = (0..9).map(|n| sim.request(session, get(&format!("r{n}")))).collect();
    sim.pass(10 * SECOND);
    let times: Vec<_> = exchanges.iter().map(|exchange| sim.took(*exchange).as_millis() / 140).collect();
    assert_eq!(times, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert_eq!(sim.server.counters().exchanges_refused, 0);
}

#[test]
fn a_request_on_a_session_that_is_not_there_fails_at_once() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    sim.client.session_closed(sim.now, session);
    let exchange = sim.request(session, get("x"));
    assert_eq!(sim.results[&exchange], Err(FailReason::SessionClosed));
}

#[test]
fn a_ping_is_answered() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    sim.client.ping(sim.now, session);
    sim.pass(SECOND);
    assert_eq!((sim.pongs, sim.sent.len(), sim.server.counters().pings), (1, 2, 1));
}

#[test]
fn what_does_not_fit_into_coap_fails_with_a_reason() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    let exchange = sim.request(session, get(&"p".repeat(256)));
    assert_eq!(sim.results[&exchange], Err(FailReason::Unsendable(Unsendable::PathSegment { bytes: 256 })));
    let mut many = get("x");
    many.options.query = vec!["q".repeat(200); 100];
    let exchange = sim.request(session, many);
    assert_eq!(sim.results[&exchange], Err(FailReason::Unsendable(Unsendable::Message { most: 1 << 14 })));
    // The session goes on.
    assert_eq!(sim.ask(session, get("y")).body, b"y");
}

#[test]
fn a_failing_upstream_is_told_in_words() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    sim.answer = Box::new(|_| Answer::new(vec![]).after(Duration::from_secs(3600)));
    let exchange = sim.request(session, get("x"));
    sim.pass(SECOND);
    let asked = sim.executed[0].exchange;
    sim.server.fail(sim.now, asked, Code::new(5, 4), &"ü".repeat(400));
    sim.pass(SECOND);
    let response = sim.results[&exchange].clone().unwrap();
    assert_eq!((response.code, response.body), (Code::new(5, 4), "ü".repeat(256).into_bytes()));
}

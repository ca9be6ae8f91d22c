//! Messages that get lost: which end sends what again, how often, and what comes of it.

use super::sim::*;
use lowband_transport::coap::{FailReason, Times};

/// Loses the messages of these numbers, counted in each direction from 0.
fn lose(up: &'static [usize], down: &'static [usize]) -> Loss {
    let mut count = [0, 0];
    Box::new(move |to, _| {
        let (at, list) = if to == To::Server { (0, up) } else { (1, down) };
        count[at] += 1;
        list.contains(&(count[at] - 1))
    })
}

#[test]
fn a_lost_request_is_sent_again_after_two_to_three_seconds() {
    let mut sim = Sim::new(1);
    sim.lose = lose(&[0], &[]);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(60 * SECOND);
    assert!((2040..3040).contains(&sim.took(exchange).as_millis()));
    assert_eq!((sim.sent_to(To::Server), sim.executed.len()), (2, 1));
    assert_eq!(sim.client.counters().retransmissions, 1);
}

#[test]
fn a_lost_answer_is_repeated_from_memory() {
    let mut sim = Sim::new(1);
    sim.lose = lose(&[], &[0, 1]);
    let session = sim.open(1);
    let exchange = sim.request(session, put("x", vec![1]));
    sim.pass(60 * SECOND);
    assert!(sim.results[&exchange].is_ok());
    assert_eq!((sim.sent_to(To::Server), sim.executed.len(), sim.server.counters().duplicates), (3, 1, 2));
}

#[test]
fn a_request_that_nobody_answers_is_reported_after_five_copies_and_93_seconds_at_most() {
    let mut sim = Sim::new(1);
    sim.lose = Box::new(|_, _| true);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(200 * SECOND);
    assert_eq!(sim.results[&exchange], Err(FailReason::Timeout));
    assert!((62..=93).contains(&sim.took(exchange).as_secs()));
    // The five transmissions, and one probe of the path.
    assert_eq!((sim.sent.len(), sim.client.counters().gave_up), (5 + 1, 1));
}

#[test]
fn with_measured_times_more_copies_go_out_in_the_same_order_of_time() {
    let mut sim = Sim::with(1, Times::rfc7252(), Times::measured(), Default::default());
    sim.lose = Box::new(|_, _| true);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(200 * SECOND);
    assert_eq!(sim.results[&exchange], Err(FailReason::Timeout));
    assert!(sim.took(exchange) < 165 * SECOND, "{:?}", sim.took(exchange));
    let probes = sim.sent.iter().filter(|(_, bytes)| bytes.len() == 4).count();
    assert_eq!((sim.sent.len() - probes, probes), (28, 9));
}

#[test]
fn a_lost_early_acknowledgement_costs_one_copy_and_no_second_execution() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(10 * SECOND));
    sim.lose = lose(&[], &[0]);
    let session = sim.open(1);
    let exchange = sim.request(session, put("x", vec![1]));
    sim.pass(60 * SECOND);
    assert_eq!(sim.took(exchange), 10 * SECOND + 40 * MS);
    // Request and its copy, acknowledgement of the response; two acknowledgements and the response.
    assert_eq!((sim.sent_to(To::Server), sim.sent_to(To::Client), sim.executed.len()), (3, 3, 1));
}

#[test]
fn a_separate_response_is_repeated_until_it_is_acknowledged() {
    // After the early acknowledgement, three copies are lost.
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(SECOND));
    sim.lose = lose(&[], &[1, 2, 3]);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(200 * SECOND);
    assert_eq!(sim.results[&exchange].clone().unwrap().body, b"late");
    assert!((15..23).contains(&sim.took(exchange).as_secs()), "{:?}", sim.took(exchange));
    assert_eq!((sim.server.counters().retransmissions, sim.server.open_exchanges()), (3, 0));
}

#[test]
fn a_lost_acknowledgement_of_a_separate_response_is_given_again_and_the_response_taken_once() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(SECOND));
    sim.lose = lose(&[1, 2], &[]);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(200 * SECOND);
    assert!(sim.results[&exchange].is_ok());
    assert_eq!(sim.client.counters().duplicates, 2);
    assert_eq!((sim.server.counters().gave_up, sim.server.open_exchanges()), (0, 0));
}

#[test]
fn a_separate_response_that_overtakes_its_acknowledgement_ends_the_exchange() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(501 * MS));
    // The early acknowledgement never comes at all.
    sim.lose = lose(&[], &[0]);
    let session = sim.open(1);
    let exchange = sim.request(session, get("x"));
    sim.pass(200 * SECOND);
    assert_eq!(sim.took(exchange), 541 * MS);
    assert_eq!((sim.client.counters().retransmissions, sim.sent_to(To::Server)), (0, 2));
}

#[test]
fn a_lost_block_is_asked_for_again_and_nothing_else_is() {
    let mut sim = Sim::new(1);
    let answer = body(5000, 3);
    sim.answer = Box::new(move |_| Answer::new(answer.clone()));
    // The third request and, of the rest, the third answer.
    sim.lose = lose(&[2], &[3]);
    let session = sim.open(1);
    let response = sim.ask(session, get("x"));
    assert!(response.body == body(5000, 3));
    assert_eq!((sim.sent_to(To::Server), sim.executed.len()), (7, 1));
    assert_eq!(sim.server.counters().snapshot_blocks, 6);
}

#[test]
fn a_lost_last_block_of_an_upload_executes_the_request_once() {
    for lost in [lose(&[4], &[]), lose(&[], &[4]), lose(&[], &[0, 2, 4, 6])] {
        let mut sim = Sim::new(1);
        sim.lose = lost;
        sim.answer = Box::new(echo);
        let session = sim.open(1);
        let sent = body(5000, 3);
        assert!(sim.ask(session, post("x", sent.clone())).body == sent);
        assert_eq!(sim.executed.len(), 1);
    }
}

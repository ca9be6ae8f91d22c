//! Bodies that the server no longer knows when their next block is asked for.

use super::sim::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{Code, Limits, Request, Times};
use std::time::Duration;

const LENGTH: usize = 50_000;

/// Makes a link to a server that forgets bodies after `idle`; each body differs from the one before.
fn forgets_after(idle: Duration) -> (Sim, SessionId) {
    let server = Times { snapshot_idle: idle, ..Times::measured() };
    let mut sim = Sim::with(1, server, Times::measured(), Limits::default());
    let mut seed = 0;
    sim.answer = Box::new(move |_| {
        seed += 1;
        Answer::new(body(LENGTH, seed))
    });
    let session = sim.open(1);
    (sim, session)
}

/// Lets three blocks arrive, and then nothing for `silence`.
fn interrupted(request: Request, silence: Duration) -> (Sim, Code, Vec<u8>) {
    let (mut sim, session) = forgets_after(60 * SECOND);
    let exchange = sim.request(session, request);
    sim.run(SECOND, |sim| sim.sent_to(To::Client) >= 3);
    sim.lose = Box::new(|_, _| true);
    sim.pass(silence);
    sim.lose = Box::new(|_, _| false);
    sim.run(60 * SECOND, |sim| !sim.results.is_empty());
    let response = sim.results[&exchange].clone().unwrap();
    (sim, response.code, response.body)
}

#[test]
fn a_get_whose_body_has_been_forgotten_meanwhile_begins_again() {
    let (sim, code, got) = interrupted(get("x"), 30 * SECOND);
    assert_eq!((code, got == body(LENGTH, 1), sim.executed.len()), (Code::CONTENT, true, 1));
    let (sim, code, got) = interrupted(get("x"), 100 * SECOND);
    assert_eq!((code, got == body(LENGTH, 2), sim.executed.len()), (Code::CONTENT, true, 2));
    assert_eq!(sim.client.counters().downloads_restarted, 1);
}

#[test]
fn what_may_do_harm_when_it_is_executed_twice_is_left_to_its_caller() {
    for request in [post("x", vec![1]), put("x", vec![1])] {
        let (sim, code, _) = interrupted(request, 100 * SECOND);
        assert_eq!((code, sim.executed.len()), (Code::REQUEST_ENTITY_INCOMPLETE, 1));
    }
}

#[test]
fn a_server_that_forgets_at_once_is_not_asked_for_ever() {
    let (mut sim, session) = forgets_after(MS);
    let response = sim.ask(session, get("x"));
    assert_eq!((response.code, sim.executed.len()), (Code::REQUEST_ENTITY_INCOMPLETE, 3));
}

#[test]
fn a_body_that_has_changed_between_two_blocks_is_read_from_its_beginning() {
    let (mut sim, session) = forgets_after(60 * SECOND);
    let first = sim.request(session, get("x"));
    sim.run(SECOND, |sim| sim.sent_to(To::Client) >= 3);
    // Another client of this session asks for the same path: the newer answer replaces the older.
    sim.say_as(session, super::peer::make(super::peer::CON, super::peer::GET, 7777).path("x").bytes());
    sim.run(60 * SECOND, |sim| !sim.results.is_empty());
    let response = sim.results[&first].clone().unwrap();
    assert_eq!((response.code, response.body.len()), (Code::CONTENT, LENGTH));
    assert!([2, 3].iter().any(|seed| response.body == body(LENGTH, *seed)), "of one piece");
    assert_eq!(sim.client.counters().downloads_restarted, 1);
}

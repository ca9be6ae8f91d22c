//! One end vanishes without notice: what the other end notices, when, and how much it still sends.

use super::sim::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{FailReason, Limits, Times};
use std::time::Duration;

/// Silence in both directions after which the client's own task pings.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

fn measured(seed: u64, way: Way) -> (Sim, SessionId) {
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    sim.answer = Box::new(|_| Answer::new(vec![1; 1000]).after(30 * SECOND));
    let session = sim.open(1);
    (sim, session)
}

/// Returns how long the client takes to find out, from the time it asked.
fn found_dead(sim: &mut Sim, session: SessionId) -> Duration {
    let asked = sim.now;
    sim.pass(KEEP_ALIVE);
    sim.client.ping(sim.now, session);
    assert!(sim.run(200 * SECOND, |sim| !sim.dead.is_empty()));
    sim.now - asked
}

#[test]
fn a_server_that_is_gone_is_found_out_by_a_ping_and_who_waits_is_told() {
    for (seed, delay) in [(1, 20), (2, 300), (3, 1000), (4, 3000)] {
        let (mut sim, session) = measured(seed, Way { delay: delay * MS, ..CLEAN });
        sim.answer = Box::new(|_| Answer::new(Vec::new()).after(3600 * SECOND));
        let poll = sim.request(session, get("sync"));
        sim.pass(10 * SECOND);
        assert_eq!(sim.client.silence(session), None, "it has been acknowledged");
        sim.lose = Box::new(|_, _| true);
        let took = found_dead(&mut sim, session);
        // Ten seconds, or six round trips.
        let most = (10 * SECOND).max(13 * delay * MS) + 100 * MS;
        assert!(took <= KEEP_ALIVE + most, "{delay} ms: {took:?}");
        assert_eq!(sim.results[&poll], Err(FailReason::SessionClosed));
    }
}

#[test]
fn a_server_that_answers_no_pings_but_requests_is_not_dead() {
    let (mut sim, session) = measured(1, CLEAN);
    // Resets and empty acknowledgements are lost: four bytes.
    sim.lose = Box::new(|to, bytes| to == To::Client && bytes.len() == 4);
    sim.answer = Box::new(|_| Answer::new(Vec::new()));
    sim.client.ping(sim.now, session);
    sim.settle();
    for _ in 0..20 {
        sim.pass(SECOND);
        sim.ask(session, get("x"));
    }
    assert_eq!((sim.dead.len(), sim.pongs), (0, 0));
    sim.lose = Box::new(|_, _| false);
    sim.client.ping(sim.now, session);
    sim.pass(SECOND);
    assert_eq!(sim.pongs, 1, "the one before has been given up");
}

#[test]
fn a_way_that_loses_a_fifth_is_seldom_taken_for_dead() {
    let mut dead = 0;
    for seed in 0..20 {
        let (mut sim, session) = measured(seed, Way { loss: 0.2, delay: 100 * MS, ..CLEAN });
        for _ in 0..100 {
            sim.pass(KEEP_ALIVE);
            sim.client.ping(sim.now, session);
            if !sim.dead.is_empty() {
                break;
            }
        }
        dead += sim.dead.len();
    }
    println!("{dead} of 2,000 pings at a fifth lost each way ended a session");
    assert!(dead <= 4, "{dead}");
}

#[test]
fn a_ping_is_not_doubled() {
    let (mut sim, session) = measured(1, CLEAN);
    for _ in 0..10 {
        sim.client.ping(sim.now, session);
    }
    sim.settle();
    assert_eq!(sim.sent_to(To::Server), 1);
}

#[test]
fn a_client_that_is_gone_draws_few_copies_of_the_answers_that_it_has_left() {
    for seed in 0..5 {
        let (mut sim, session) = measured(seed, Way { delay: 100 * MS, ..CLEAN });
        for n in 0..32 {
            sim.request(session, get(&n.to_string()));
        }
        sim.run(60 * SECOND, |sim| sim.executed.len() == 32);
        sim.pass(5 * SECOND);
        sim.lose = Box::new(|_, _| true);
        let before: usize = sent_to_client(&sim);
        sim.pass(600 * SECOND);
        let bytes = sent_to_client(&sim) - before;
        println!("to a client that is gone with 32 answers to come: {bytes} bytes, seed {seed}");
        assert!(bytes < 80_000, "seed {seed}: {bytes}");
        assert_eq!(sim.server.open_exchanges(), 0, "all have been given up");
    }
}

fn sent_to_client(sim: &Sim) -> usize {
    sim.sent.iter().filter(|(to, _)| *to == To::Client).map(|(_, bytes)| bytes.len()).sum()
}

#[test]
fn requests_that_never_went_out_say_so_when_nobody_is_there() {
    let (mut sim, session) = measured(1, CLEAN);
    sim.lose = Box::new(|_, _| true);
    for n in 0..20 {
        sim.request(session, put(&n.to_string(), vec![1]));
    }
    sim.pass(600 * SECOND);
    let sent: Vec<_> = sim.sent_before_failing.values().copied().collect();
    assert_eq!(sent, [vec![true; 8], vec![false; 12]].concat());
    assert!(sim.results.values().all(|result| *result == Err(FailReason::Timeout)));
}

#[test]
fn when_a_silent_path_comes_back_all_that_was_withheld_is_sent_at_once() {
    let (mut sim, session) = measured(1, Way { delay: 100 * MS, ..CLEAN });
    sim.answer = Box::new(|_| Answer::new(Vec::new()));
    sim.lose = Box::new(|_, _| true);
    for n in 0..8 {
        sim.request(session, put(&n.to_string(), vec![1]));
    }
    sim.pass(60 * SECOND);
    assert!(sim.client.counters().withheld > 0);
    // Eight messages go out three times, and one of them on and on.
    assert!(sim.sent_to(To::Server) < 8 * 3 + 15, "{}", sim.sent_to(To::Server));
    sim.lose = Box::new(|_, _| false);
    sim.run(20 * SECOND, |sim| !sim.results.is_empty());
    sim.pass(500 * MS);
    assert_eq!(sim.results.len(), 8);
}

#[test]
fn a_silent_path_that_comes_back_is_not_taken_for_a_narrow_one() {
    for seed in 0..10 {
        let (mut sim, session) = measured(seed, Way { delay: 100 * MS, ..CLEAN });
        sim.answer = Box::new(|_| Answer::new(vec![1; 300]));
        sim.lose = Box::new(|_, _| true);
        let asked: Vec<_> = (0..8).map(|n| sim.request(session, get(&n.to_string()))).collect();
        sim.pass(40 * SECOND);
        sim.lose = Box::new(|_, _| false);
        let all = |sim: &Sim| asked.iter().all(|exchange| sim.results.contains_key(exchange));
        assert!(sim.run(30 * SECOND, all), "seed {seed}");
        assert!(asked.iter().all(|exchange| sim.results[exchange].is_ok()), "seed {seed}");
        assert_eq!((sim.client.counters().paths_narrowed, sim.executed.len()), (0, 8), "seed {seed}");
    }
}

//! A narrow link with a queue before it: sending too often causes the very delay that it reacts to.

use super::sim::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{Limits, Times};
use std::time::Duration;

/// Makes a link of 9.6 kbit/s with a round trip of 1.5 s.
fn narrow(seed: u64, queue: usize) -> (Sim, SessionId) {
    let narrow = Narrow { bits_per_second: 9600, queue };
    let way = Way { delay: 750 * MS, narrow: Some(narrow), ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    let session = sim.open(1);
    (sim, session)
}

/// Returns the transmissions of each request, on average.
fn copies(sim: &Sim, requests: usize) -> f64 {
    1.0 + sim.client.counters().retransmissions as f64 / requests as f64
}

#[test]
fn of_32_blocks_asked_for_at_once_each_is_sent_once_or_little_more() {
    for seed in 0..10 {
        for queue in [64 << 10, 16 << 10] {
            let (mut sim, session) = narrow(seed, queue);
            sim.answer = Box::new(|_| Answer::new(vec![1; 1024]));
            for n in 0..32 {
                sim.request(session, get(&format!("block/{n}")));
            }
            assert!(sim.run(600 * SECOND, |sim| sim.results.len() == 32), "seed {seed}");
            assert!(sim.results.values().all(Result::is_ok), "seed {seed}");
            let (copies, took) = (copies(&sim, 32), sim.now - sim.start);
            println!(
                "32 blocks at 9.6 kbit/s, queue of {queue} B, seed {seed}: each sent {copies} times, {took:?}"
            );
            assert!(copies <= 1.3, "seed {seed}: {copies}");
            // The link alone needs 30 s.
            assert!(took < 40 * SECOND, "seed {seed}: {took:?}");
        }
    }
}

#[test]
fn a_queue_that_overflows_costs_some_copies_and_no_request() {
    for seed in 0..5 {
        let (mut sim, session) = narrow(seed, 4 << 10);
        sim.answer = Box::new(|_| Answer::new(vec![1; 1024]));
        for n in 0..32 {
            sim.request(session, get(&format!("block/{n}")));
        }
        assert!(sim.run(600 * SECOND, |sim| sim.results.len() == 32), "seed {seed}");
        assert!(sim.results.values().all(Result::is_ok), "seed {seed}");
        let copies = copies(&sim, 32);
        println!("the same, queue of 4 kB, seed {seed}: each sent {copies} times, {:?}", sim.now - sim.start);
        assert!(copies <= 2.5, "seed {seed}: {copies}");
    }
}

#[test]
fn no_more_than_the_window_is_on_its_way_and_a_waiting_long_poll_takes_no_place_in_it() {
    let (mut sim, session) = narrow(1, 64 << 10);
    sim.answer = Box::new(|request| {
        let wait = if request.options.path == ["poll"] { 600 * SECOND } else { Duration::ZERO };
        Answer::new(Vec::new()).after(wait)
    });
    for _ in 0..10 {
        sim.request(session, get("poll"));
    }
    assert_eq!(sim.sent_to(To::Server), usize::from(Limits::default().window));
    // All messages are acknowledged.
    sim.pass(60 * SECOND);
    assert_eq!(sim.executed.len(), 10);
    let before = sim.sent_to(To::Server);
    for n in 0..20 {
        sim.request(session, get(&n.to_string()));
    }
    assert_eq!(sim.sent_to(To::Server) - before, 8);
    sim.pass(60 * SECOND);
    assert_eq!(sim.results.len(), 20);
}

#[test]
fn what_is_small_goes_before_the_blocks_of_what_is_large() {
    let (mut sim, session) = narrow(1, 64 << 10);
    sim.answer = Box::new(|_| Answer::new(Vec::new()));
    // Eight bodies of 20 blocks fill the window.
    for n in 0..8 {
        sim.request(session, put(&format!("large/{n}"), vec![1; 20 << 10]));
    }
    sim.pass(10 * SECOND);
    let asked = sim.now;
    let small = sim.request(session, put("small", vec![1]));
    sim.run(600 * SECOND, |sim| sim.results.contains_key(&small));
    // The queue holds the window, 8 kB, and no more.
    assert!(sim.now - asked < 12 * SECOND, "{:?}", sim.now - asked);
}

#[test]
fn a_server_has_no_more_separate_answers_on_their_way_than_its_window() {
    let mut sim = Sim::with(1, Times::measured(), Times::measured(), Limits::default());
    // The answers come eight at a time, each when the eight before are acknowledged, and are ready all at
    // once.
    let mut come = 0;
    sim.answer = Box::new(move |_| {
        come += 1;
        Answer::new(vec![1; 500]).after(10 * SECOND - (come - 1) / 8 * 540 * MS)
    });
    let session = sim.open(1);
    for n in 0..32 {
        sim.request(session, get(&n.to_string()));
    }
    sim.run(60 * SECOND, |sim| sim.server.counters().separate_responses == 32);
    let confirmable = |sim: &Sim| {
        let separate = |(to, bytes): &&(To, Vec<u8>)| *to == To::Client && bytes.len() > 500;
        sim.sent.iter().filter(separate).count()
    };
    assert_eq!(confirmable(&sim), 8);
    sim.pass(Duration::from_secs(5));
    assert_eq!((confirmable(&sim), sim.results.len()), (32, 32));
}

#[test]
fn a_place_is_free_when_the_answer_is_overdue_although_nothing_comes_then() {
    for seed in 0..10 {
        let limits = Limits { window: 1, ..Limits::default() };
        let mut sim = Sim::with(seed, Times::rfc7252(), Times::rfc7252(), limits);
        sim.lose = Box::new(|_, bytes| bytes.ends_with(b"lost"));
        let session = sim.open(1);
        sim.request(session, get("lost"));
        let next = sim.request(session, get("next"));
        sim.pass(100 * MS);
        sim.client.ping(sim.now, session);
        sim.run(10 * SECOND, |sim| sim.results.contains_key(&next));
        assert_eq!((sim.pongs, sim.took(next)), (1, Times::rfc7252().ack_timeout + 40 * MS), "seed {seed}");
    }
}

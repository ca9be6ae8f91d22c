//! Paths whose delay changes: by a step, by jitter, by a radio that sleeps. Nothing is lost, so every
//! copy is superfluous.

use super::sim::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{Limits, Times};
use std::time::Duration;

fn measured(seed: u64, round_trip: Duration) -> (Sim, SessionId) {
    let way = Way { delay: round_trip / 2, ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    let session = sim.open(1);
    for n in 0..20 {
        sim.ask(session, put(&n.to_string(), vec![1; 100]));
    }
    (sim, session)
}

fn set_round_trip(sim: &mut Sim, round_trip: Duration) {
    sim.up.delay = round_trip / 2;
    sim.down.delay = round_trip / 2;
}

/// Returns the transmissions of each message after the step, on average: of the requests, or of the separate
/// responses to them.
fn copies_after_step(seed: u64, before: Duration, after: Duration, separate: bool) -> f64 {
    const MESSAGES: u32 = 200;
    let (mut sim, session) = measured(seed, before);
    if separate {
        sim.answer = Box::new(|request| Answer::new(request.body.clone()).after(3 * SECOND));
        // The server learns about the path from separate responses.
        for n in 0..10 {
            sim.ask(session, put(&n.to_string(), vec![1; 100]));
        }
    }
    set_round_trip(&mut sim, after);
    let again = |sim: &Sim| match separate {
        true => sim.server.counters().retransmissions,
        false => sim.client.counters().retransmissions,
    };
    let earlier = again(&sim);
    for n in 0..MESSAGES {
        sim.ask(session, put(&n.to_string(), vec![1; 100]));
    }
    let copies = 1.0 + (again(&sim) - earlier) as f64 / f64::from(MESSAGES);
    println!("{before:?} -> {after:?}, seed {seed}, separate {separate}: {copies} copies");
    copies
}

#[test]
fn when_the_round_trip_grows_few_messages_are_sent_twice() {
    for seed in 0..5 {
        for (before, after, most) in [
            (100, 1000, 1.1),
            (100, 2000, 1.1),
            (300, 5000, 1.2),
            // The answer expected to the second copy comes when the first is answered.
            (100, 730, 1.1),
            (100, 800, 1.1),
            (600, 20_000, 1.2),
        ] {
            for separate in [false, true] {
                let copies = copies_after_step(seed, before * MS, after * MS, separate);
                assert!(copies <= most, "seed {seed}, {before} ms -> {after} ms, {separate}: {copies}");
            }
        }
    }
}

#[test]
fn when_it_shrinks_again_a_loss_is_soon_mended_soon() {
    let (mut sim, session) = measured(1, 100 * MS);
    set_round_trip(&mut sim, 5 * SECOND);
    for _ in 0..20 {
        sim.ask(session, put("slow", vec![1]));
    }
    set_round_trip(&mut sim, 100 * MS);
    for _ in 0..40 {
        sim.ask(session, put("fast", vec![1]));
    }
    let mut lost = false;
    sim.lose = Box::new(move |_, _| !std::mem::replace(&mut lost, true));
    let begin = sim.now;
    sim.ask(session, put("lost", vec![1]));
    assert!(sim.now - begin < 2 * SECOND, "{:?}", sim.now - begin);
}

#[test]
fn jitter_of_three_round_trips_costs_few_copies() {
    for seed in 0..5 {
        let (mut sim, session) = measured(seed, 200 * MS);
        sim.up.jitter = 300 * MS;
        sim.down.jitter = 300 * MS;
        let earlier = sim.client.counters().retransmissions;
        for n in 0..300 {
            sim.ask(session, put(&n.to_string(), vec![1; 100]));
        }
        let again = sim.client.counters().retransmissions - earlier;
        assert!(again <= 6, "seed {seed}: {again} of 300");
    }
}

/// LTE: 50 ms awake; some 300 ms until a phone that wants to send may do so, and 1.28 s between two looks for
/// what is sent to it.
fn phone(seed: u64, separate: bool) -> u64 {
    let (mut sim, session) = measured(seed, 50 * MS);
    sim.up.wakes_within = 300 * MS;
    sim.down.wakes_within = 1400 * MS;
    let wait = if separate { 20 * SECOND } else { Duration::ZERO };
    sim.answer = Box::new(move |request| Answer::new(request.body.clone()).after(wait));
    for n in 0..200 {
        sim.pass(25 * SECOND);
        sim.ask(session, put(&n.to_string(), vec![1; 100]));
    }
    let again = sim.client.counters().retransmissions + sim.server.counters().retransmissions;
    println!("a phone that wakes up, separate {separate}, seed {seed}: {again} of 200 repeated");
    again
}

#[test]
fn a_phone_that_wakes_up_repeats_nothing_and_nothing_is_repeated_to_it() {
    for seed in 0..5 {
        assert_eq!((phone(seed, false), phone(seed, true)), (0, 0), "seed {seed}");
    }
}

//! A server that owes an answer and says nothing: since when, and what does not count as silence.

use super::sim::{Answer, CLEAN, MS, SECOND, Sim, To, Way, get};
use lowband_transport::coap::{Limits, Times};

fn measured(seed: u64) -> Sim {
    Sim::with(seed, Times::rfc7252(), Times::measured(), Limits::default())
}

#[test]
fn a_server_that_owes_nothing_is_not_silent() {
    let mut sim = measured(1);
    let session = sim.open(1);
    assert_eq!(sim.client.silence(session), None);
    sim.request(session, get("quick"));
    assert!(sim.client.silence(session).is_some());
    sim.pass(SECOND);
    assert_eq!((sim.results.len(), sim.client.silence(session)), (1, None));
    sim.pass(60 * SECOND);
    assert_eq!(sim.client.silence(session), None);
}

#[test]
fn a_request_that_is_acknowledged_may_wait_as_long_as_it_likes() {
    let mut sim = measured(2);
    sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(300 * SECOND));
    let session = sim.open(1);
    sim.request(session, get("sync"));
    sim.pass(SECOND);
    assert_eq!(sim.client.silence(session), None);
    sim.pass(290 * SECOND);
    assert_eq!((sim.results.len(), sim.client.silence(session)), (0, None));
}

#[test]
fn silence_lasts_from_the_first_copy_and_counts_the_others() {
    let mut sim = measured(3);
    let session = sim.open(1);
    sim.lose = Box::new(|to, _| to == To::Server);
    let asked = sim.now;
    sim.request(session, get("lost"));
    sim.pass(5 * SECOND);
    sim.request(session, get("lost as well"));
    sim.pass(5 * SECOND);
    let silence = sim.client.silence(session).unwrap();
    assert_eq!(silence.since, asked);
    assert!(silence.copies >= 3, "{silence:?}");
}

#[test]
fn a_ping_that_nobody_answers_is_silence_too() {
    let mut sim = measured(4);
    let session = sim.open(1);
    sim.lose = Box::new(|_, _| true);
    let asked = sim.now;
    sim.client.ping(sim.now, session);
    sim.pass(9 * SECOND);
    assert_eq!(sim.client.silence(session).map(|silence| silence.since), Some(asked));
}

#[test]
fn whatever_comes_ends_it() {
    let mut sim = measured(5);
    sim.answer = Box::new(|_| Answer::new(b"x".to_vec()).after(4 * SECOND));
    let session = sim.open(1);
    sim.request(session, get("slow"));
    sim.pass(SECOND);
    // From here on nothing arrives at the server, but the answer to the first request arrives at the client.
    sim.lose = Box::new(|to, _| to == To::Server);
    sim.request(session, get("lost"));
    sim.pass(10 * SECOND);
    let heard = *sim.finished.values().next().unwrap();
    // The server repeats its answer as long as our acknowledgement does not arrive.
    assert!(sim.client.silence(session).unwrap().since >= heard);
}

#[test]
fn on_a_way_that_loses_a_third_ten_seconds_of_silence_are_three_exchanges_in_a_hundred() {
    let mut silent = 0;
    for seed in 0..50 {
        let way = Way { loss: 0.3, duplication: 0.0, delay: 100 * MS, jitter: 50 * MS, ..CLEAN };
        let mut sim = measured(seed).both_ways(way);
        let session = sim.open(1);
        for _ in 0..20 {
            sim.request(session, get("x"));
            let mut so_long = false;
            for _ in 0..40 {
                sim.pass(SECOND);
                let silence = sim.client.silence(session);
                so_long |= silence.is_some_and(|silence| sim.now - silence.since > 10 * SECOND);
            }
            silent += usize::from(so_long);
        }
    }
    assert!((5..50).contains(&silent), "{silent} of 1,000 exchanges");
}

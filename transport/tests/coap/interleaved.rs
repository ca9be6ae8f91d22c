//! Several bodies in one session at the same time, in both directions, and two to the same resource.

use super::sim::*;
use lowband_transport::coap::{Limits, Times};
use std::time::Duration;

#[test]
fn two_downloads_and_two_uploads_in_one_session_do_not_mix() {
    for seed in 0..8 {
        let way = Way { loss: 0.1, duplication: 0.1, delay: 50 * MS, jitter: 100 * MS, ..CLEAN };
        let mut sim = Sim::with(seed, Times::rfc7252(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(|request| {
            let answer = if request.body.is_empty() { body(50_000, 7) } else { request.body.clone() };
            Answer::new(answer).in_chunks(5000, 100 * MS)
        });
        let session = sim.open(1);
        let down = [sim.request(session, get("a")), sim.request(session, get("b"))];
        let up = [
            sim.request(session, post("a", body(40_000, 1))),
            sim.request(session, post("b", body(40_000, 2))),
        ];
        assert!(sim.run(Duration::from_secs(3600), |sim| sim.results.len() == 4), "seed {seed}");
        for exchange in down {
            assert!(sim.results[&exchange].clone().unwrap().body == body(50_000, 7), "seed {seed}");
        }
        for (exchange, number) in up.into_iter().zip(1..) {
            assert!(sim.results[&exchange].clone().unwrap().body == body(40_000, number), "seed {seed}");
        }
        assert_eq!(sim.executed.len(), 4, "seed {seed}");
    }
}

#[test]
fn requests_to_the_same_resource_at_the_same_time_each_get_their_own_answer() {
    let mut sim = Sim::new(1);
    let mut count = 0;
    sim.answer = Box::new(move |request| {
        count += 1;
        let answer = if request.body.is_empty() { body(20_000, count) } else { request.body.clone() };
        Answer::new(answer)
    });
    let session = sim.open(1);
    let down: Vec<_> = (0..3).map(|_| sim.request(session, get("same"))).collect();
    let up: Vec<_> = (0..3).map(|n| sim.request(session, post("same", body(20_000, 10 + n)))).collect();
    sim.pass(60 * SECOND);
    for (exchange, number) in down.iter().zip(1..) {
        assert!(sim.results[exchange].clone().unwrap().body == body(20_000, number));
    }
    for (exchange, number) in up.iter().zip(10..) {
        assert!(sim.results[exchange].clone().unwrap().body == body(20_000, number));
    }
}

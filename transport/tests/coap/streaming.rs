//! An upstream that is slow with the body of an answer.

use super::sim::*;
use lowband_transport::coap::{Limits, Times};
use std::time::Duration;

#[test]
fn an_upstream_that_streams_slowly_is_read_at_its_pace() {
    let way = Way { loss: 0.1, duplication: 0.0, delay: 100 * MS, jitter: 50 * MS, ..CLEAN };
    for seed in 0..4 {
        let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(|_| Answer::new(body(30_000, 5)).after(2 * SECOND).in_chunks(700, 800 * MS));
        let session = sim.open(1);
        let response = sim.ask(session, get("slow"));
        assert!(response.body == body(30_000, 5), "seed {seed}");
        // 43 pieces, 42 times 800 ms between them.
        assert!(sim.now - sim.start > Duration::from_secs(35), "seed {seed}");
        assert!(sim.now - sim.start < Duration::from_secs(60), "seed {seed}: {:?}", sim.now - sim.start);
        assert_eq!(sim.executed.len(), 1, "seed {seed}");
    }
}

//! Many requests over links that lose, repeat, delay and reorder. Every failure names its seed.

use super::sim::*;
use lowband_transport::coap::{FailReason, Limits, Times};
use std::time::Duration;

fn lossy(loss: f64) -> Way {
    Way {
        loss,
        duplication: 0.05,
        delay: Duration::from_millis(150),
        jitter: Duration::from_millis(200),
        ..CLEAN
    }
}

/// Sends `count` requests, eight or as many as the limit allows at a time on one session, each with a body of
/// its own in both directions. Returns the failures; checks that nothing was executed twice, and that what
/// came back is right.
fn many(seed: u64, times: Times, way: Way, count: usize, largest: usize) -> (Sim, Vec<FailReason>) {
    let all_at_once = Limits::default();
    let eight = Limits { exchanges_per_session: 8, ..Limits::default() };
    let limits = if seed.is_multiple_of(2) { all_at_once } else { eight };
    let mut sim = Sim::with(seed, Times::measured(), times, limits).both_ways(way);
    let mut dice = Dice::new(seed);
    sim.answer = Box::new(move |request| {
        // Some answers come at once, some piggybacked, some separate; each is its request backwards, in
        // pieces.
        let after = [0, 0, 300, 700, 3000][dice.below(5)] * MS;
        let mut body = request.body.clone();
        body.reverse();
        Answer::new(body).after(after).in_chunks(3000, dice.below(200) as u32 * MS)
    });
    let session = sim.open(1);
    let mut sizes = Dice::new(seed + 1);
    let requests: Vec<_> = (0..count)
        .map(|n| {
            // Most bodies are small.
            let length = if sizes.below(4) == 0 { sizes.below(largest) } else { sizes.below(900) };
            (n, body(length, n as u64))
        })
        .collect();
    let exchanges: Vec<_> = requests
        .iter()
        .map(|(n, body)| sim.request(session, post(&format!("r/{n}"), body.clone())))
        .collect();
    let all = sim.run(Duration::from_secs(500_000), |sim| sim.results.len() == count);
    assert!(all, "seed {seed}: only {} of {count} ended", sim.results.len());
    let mut executed = vec![0; count];
    for request in &sim.executed {
        let n: usize = request.options.path[1].parse().unwrap();
        executed[n] += 1;
        assert!(request.body == requests[n].1, "seed {seed}: request {n} reached the upstream changed");
    }
    let mut failures = Vec::new();
    for (n, exchange) in exchanges.iter().enumerate() {
        assert!(executed[n] <= 1, "seed {seed}: request {n} was executed {} times", executed[n]);
        match &sim.results[exchange] {
            Ok(response) => {
                let mut expected = requests[n].1.clone();
                expected.reverse();
                let (code, length) = (response.code, response.body.len());
                let text = String::from_utf8_lossy(&response.body[..length.min(80)]);
                assert!(
                    response.body == expected,
                    "seed {seed}: the answer to {n} is {code}, {length} bytes: {text}"
                );
                assert_eq!(executed[n], 1, "seed {seed}: request {n}");
            }
            Err(why) => failures.push(why.clone()),
        }
    }
    (sim, failures)
}

#[test]
fn at_a_fifth_lost_each_way_all_requests_complete_once_with_measured_times() {
    for (seed, count, largest) in [(0, 300, 20_000), (1, 300, 20_000), (2, 300, 20_000), (3, 1000, 100_000)] {
        let (sim, failures) = many(seed, Times::measured(), lossy(0.2), count, largest);
        assert_eq!(failures, [], "seed {seed}");
        // One copy in three of each answered message is lost on one of its two ways.
        let counters = sim.client.counters();
        let again = counters.retransmissions + counters.blocks_asked_again;
        assert!(again > sim.server.counters().messages_out / 4, "seed {seed}");
    }
}

#[test]
fn at_three_tenths_lost_each_way_they_complete_as_well() {
    for (seed, count, largest) in [(10, 300, 20_000), (11, 1000, 100_000)] {
        let (_, failures) = many(seed, Times::measured(), lossy(0.3), count, largest);
        assert_eq!(failures, [], "seed {seed}");
    }
}

#[test]
fn with_the_times_of_the_rfc_each_request_ends_and_none_is_executed_twice() {
    let mut failed = 0;
    for (seed, count, largest) in
        [(20, 100, 20_000), (21, 100, 20_000), (22, 1000, 100_000), (23, 1000, 100_000)]
    {
        let (_, failures) = many(seed, Times::rfc7252(), lossy(0.2), count, largest);
        assert!(failures.iter().all(|why| *why == FailReason::Timeout), "seed {seed}: {failures:?}");
        failed += failures.len();
    }
    assert!(failed > 0, "the RFC's five copies do not carry every block through a loss like this");
}

#[test]
fn a_link_that_only_reorders_and_repeats_costs_no_request() {
    let way = Way { loss: 0.0, duplication: 0.5, delay: 10 * MS, jitter: 900 * MS, ..CLEAN };
    for seed in 30..32 {
        let (_, failures) = many(seed, Times::rfc7252(), way, 100, 20_000);
        assert_eq!(failures, [], "seed {seed}");
    }
}

#[test]
fn nothing_is_left_behind_when_all_is_over() {
    let (mut sim, _) = many(40, Times::rfc7252(), lossy(0.2), 50, 20_000);
    sim.pass(600 * SECOND);
    assert_eq!((sim.server.open_exchanges(), sim.server.blockwise_bytes()), (0, 0));
    sim.server.session_closed(sim.now, lowband_transport::SessionId(1));
    assert_eq!((sim.server.sessions_in_memory(), sim.server.poll_timeout()), (0, None));
}

#[test]
fn small_exchanges_over_600_ms_and_a_fifth_lost_take_less_than_8_seconds_at_the_99th_percentile() {
    let way = Way { loss: 0.2, duplication: 0.0, delay: 300 * MS, jitter: Duration::ZERO, ..CLEAN };
    let mut times = Vec::new();
    for seed in 0..4 {
        let mut sim = Sim::with(seed, Times::rfc7252(), Times::measured(), Limits::default()).both_ways(way);
        let session = sim.open(1);
        for _ in 0..250 {
            let began = sim.now;
            sim.ask(session, put("rooms/send", vec![1; 100]));
            times.push(sim.now - began);
        }
        assert_eq!(sim.executed.len(), 250, "seed {seed}");
    }
    times.sort();
    let (p50, p90, p99) = (times[500], times[900], times[990]);
    println!("small exchanges, 600 ms, 20 % loss: p50 {p50:?} p90 {p90:?} p99 {p99:?} max {:?}", times[999]);
    assert!(p99 < 8 * SECOND, "{p99:?}");
    assert!(p90 < 4 * SECOND, "{p90:?}");
}

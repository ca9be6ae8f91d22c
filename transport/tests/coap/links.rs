//! Bodies over bad links, as multiples of what the link alone needs. The links are those that phones,
//! satellites and radios have; each is a rate, a delay, and what is lost.

use super::sim::*;
use lowband_transport::coap::{Limits, Times};
use lowband_transport::{ExchangeId, SessionId};
use std::time::Duration;

/// Bytes around each block of 1024: CoAP, DTLS, UDP and IP.
const AROUND_BLOCK: usize = 79;

/// A link, the same for each seed but for what it loses.
struct Link {
    name: &'static str,
    /// Bits a second to the client and to the server.
    down: u32,
    up: u32,
    round_trip: Duration,
    way: Way,
}

const BURSTS: Bursts =
    Bursts { good: Duration::from_millis(1880), bad: Duration::from_millis(120), loss: 0.5 };
const GAPS: Gaps = Gaps { every: Duration::from_secs(30), lasting: Duration::from_secs(3) };

fn link(name: &'static str) -> Link {
    let (down, up, round_trip, way) = match name {
        "a" => (40_000, 20_000, 700, CLEAN),
        "b" => (100_000, 100_000, 600, Way { loss: 0.02, ..CLEAN }),
        "c" => (500_000, 500_000, 600, Way { loss: 0.01, ..CLEAN }),
        "d" => (9600, 9600, 1500, Way { loss: 0.05, ..CLEAN }),
        "e" => (2_000_000, 1_000_000, 80, Way { bursts: Some(BURSTS), ..CLEAN }),
        "g" => (100_000, 100_000, 600, Way { loss: 0.2, ..CLEAN }),
        "h" => (100_000, 100_000, 600, Way { loss: 0.02, gaps: Some(GAPS), ..CLEAN }),
        "j" => (100_000, 100_000, 600, Way { loss: 0.02, jitter: 300 * MS, ..CLEAN }),
        other => panic!("no link {other}"),
    };
    Link { name, down, up, round_trip: round_trip * MS, way }
}

impl Link {
    fn sim(&self, seed: u64) -> (Sim, SessionId) {
        let narrow = |bits_per_second| Some(Narrow { bits_per_second, queue: 64 << 10 });
        let way = Way { delay: self.round_trip / 2, ..self.way };
        let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default());
        sim.up = Way { narrow: narrow(self.up), ..way };
        sim.down = Way { narrow: narrow(self.down), ..way };
        let session = sim.open(1);
        (sim, session)
    }

    /// Returns what the link alone needs for a body.
    fn least(&self, bytes: usize) -> Duration {
        let all = bytes + bytes.div_ceil(1024) * AROUND_BLOCK;
        Duration::from_secs_f64(all as f64 * 8.0 / f64::from(self.down)) + self.round_trip
    }

    fn multiple(&self, took: Duration, bytes: usize) -> f64 {
        took.as_secs_f64() / self.least(bytes).as_secs_f64()
    }
}

fn whole(length: usize) -> Answer {
    Answer { tells_size: true, ..Answer::new(body(length, 1)).in_chunks(1 << 20, Duration::ZERO) }
}

/// Downloads one body over a fresh session, and returns how long that took.
fn download(link: &Link, seed: u64, length: usize) -> (Sim, Duration) {
    let (mut sim, session) = link.sim(seed);
    sim.answer = Box::new(move |_| whole(length));
    let exchange = sim.request(session, get("body"));
    let took = ends(&mut sim, exchange, &body(length, 1));
    assert_eq!(sim.executed.len(), 1, "seed {seed}");
    (sim, took)
}

/// Runs until an exchange has ended, and returns when it did.
fn ends(sim: &mut Sim, exchange: ExchangeId, expected: &[u8]) -> Duration {
    assert!(sim.run(4000 * SECOND, |sim| sim.results.contains_key(&exchange)), "no end");
    let response = sim.results[&exchange].clone().unwrap();
    assert!(response.body == expected, "{} {} bytes", response.code, response.body.len());
    sim.took(exchange)
}

/// Prints and returns the median of some seeds.
fn median(name: &'static str, length: usize, seeds: std::ops::Range<u64>) -> f64 {
    let link = link(name);
    let runs: Vec<_> = seeds.map(|seed| download(&link, seed, length)).collect();
    let mut multiples: Vec<_> = runs.iter().map(|(_, took)| link.multiple(*took, length)).collect();
    multiples.sort_by(f64::total_cmp);
    let again: u64 = runs.iter().map(|(sim, _)| sim.client.path(SessionId(1)).unwrap().blocks_again).sum();
    let blocks: u64 = runs.iter().map(|(sim, _)| sim.client.path(SessionId(1)).unwrap().blocks).sum();
    let queue = runs.iter().map(|(sim, _)| sim.longest_queue).max().unwrap();
    let median = multiples[multiples.len() / 2];
    println!(
        "{} {length:>7} B: median {median:.3}, worst {:.3}, asked again {:.3}, longest queue {queue:.1?}",
        link.name,
        multiples.last().unwrap(),
        again as f64 / blocks as f64
    );
    median
}

const MEGABYTE: usize = 1 << 20;

/// Links, bytes, and the multiple that the median of some seeds may have.
const PROMISED: [(&str, usize, f64); 10] = [
    ("a", MEGABYTE, 1.05),
    ("b", MEGABYTE, 1.10),
    ("b", 100_000, 1.2),
    ("b", 10_000, 1.5),
    ("c", MEGABYTE, 1.25),
    ("d", 100_000, 1.15),
    ("e", MEGABYTE, 1.3),
    ("g", MEGABYTE, 1.6),
    ("h", MEGABYTE, 1.6),
    ("j", MEGABYTE, 1.2),
];

#[test]
fn bodies_take_little_longer_than_the_link_alone_needs() {
    // More seeds than these run with LINK_SEEDS=30.
    let more = std::env::var("LINK_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for (name, length, most) in PROMISED {
        let seeds = more.unwrap_or(if length == MEGABYTE { 3 } else { 5 });
        let median = median(name, length, 0..seeds);
        assert!(median <= most, "{name}, {length} bytes: {median} of {most}");
    }
}

#[test]
fn on_a_link_without_loss_each_block_is_asked_for_once() {
    let (sim, _) = download(&link("a"), 1, MEGABYTE);
    let path = sim.client.path(SessionId(1)).unwrap();
    assert_eq!((path.blocks, path.blocks_again), (1023, 0));
}

#[test]
fn on_a_slow_link_no_more_than_four_seconds_of_blocks_wait() {
    for seed in 0..10 {
        let (sim, _) = download(&link("d"), seed, 100_000);
        assert!(sim.longest_queue <= 4 * SECOND, "seed {seed}: {:?}", sim.longest_queue);
    }
}

#[test]
fn two_bodies_at_once_share_the_link() {
    for name in ["b", "c", "g"] {
        let link = link(name);
        for seed in 0..2 {
            let (mut sim, session) = link.sim(seed);
            sim.answer = Box::new(|_| whole(600_000));
            let one = sim.request(session, get("one"));
            sim.pass(2 * SECOND);
            let other = sim.request(session, get("other"));
            let has_begun = |sim: &Sim, exchange| {
                sim.client.progress(exchange).is_some_and(|progress| progress.moved > 10_000)
            };
            assert!(sim.run(60 * SECOND, |sim| has_begun(sim, one) && has_begun(sim, other)));
            let moved = |sim: &Sim, exchange| sim.client.progress(exchange).unwrap().moved;
            let (before, beside) = (moved(&sim, one), moved(&sim, other));
            sim.pass(5 * SECOND);
            let (one_more, other_more) = (moved(&sim, one) - before, moved(&sim, other) - beside);
            let share = one_more as f64 / (one_more + other_more) as f64;
            println!("{name}, seed {seed}: {one_more} and {other_more} bytes");
            assert!((0.4..=0.6).contains(&share), "{name}, seed {seed}: {share}");
            ends(&mut sim, one, &body(600_000, 1));
            ends(&mut sim, other, &body(600_000, 1));
        }
    }
}

/// Returns how many bytes of two bodies move in sessions of their own, while both do. The second begins later
/// by `pause`.
fn side_by_side(link: &Link, seed: u64, length: usize, pause: Duration) -> [u64; 2] {
    let (mut sim, first) = link.sim(seed);
    sim.answer = Box::new(move |_| whole(length));
    let one = sim.request(first, get("one"));
    sim.pass(pause);
    let second = sim.open(2);
    let other = sim.request(second, get("other"));
    let moved = |sim: &Sim, exchange| match sim.results.contains_key(&exchange) {
        true => length as u64,
        false => sim.client.progress(exchange).map_or(0, |progress| progress.moved),
    };
    let has_begun = |sim: &Sim| [one, other].iter().all(|exchange| moved(sim, *exchange) > 0);
    assert!(sim.run(60 * SECOND, has_begun));
    let before = [one, other].map(|exchange| moved(&sim, exchange));
    assert!(sim.run(4000 * SECOND, |sim| !sim.results.is_empty()));
    let after = [one, other].map(|exchange| moved(&sim, exchange));
    [after[0] - before[0], after[1] - before[1]]
}

/// Links, bytes of two bodies that begin together, and of two that begin ten seconds apart.
const SHARED: [(&str, usize, usize); 3] =
    [("b", 300_000, 600_000), ("c", MEGABYTE, 3 * MEGABYTE), ("e", 4 * MEGABYTE, 8 * MEGABYTE)];

#[test]
fn two_sessions_at_once_share_the_link() {
    let seeds = std::env::var("LINK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    for (name, together, apart) in SHARED {
        let link = link(name);
        for (pause, length) in [(Duration::ZERO, together), (10 * SECOND, apart)] {
            let share_of_slower = |seed| {
                let [one, other] = side_by_side(&link, seed, length, pause);
                one.min(other) as f64 / (one + other) as f64
            };
            let mut shares: Vec<_> = (0..seeds).map(share_of_slower).collect();
            shares.sort_by(f64::total_cmp);
            let (least, median) = (shares[0], shares[shares.len() / 2]);
            println!("{name}, begun {pause:?} apart: the slower has {median:.2}, at least {least:.2}");
            assert!(median >= 0.4, "{name}, begun {pause:?} apart: {shares:.2?}");
        }
    }
}

/// Returns how long a hundred small requests take, with or without a body beside them.
fn small(seed: u64, beside: bool) -> Vec<Duration> {
    let (mut sim, session) = link("b").sim(seed);
    sim.answer = Box::new(|request| match request.body.len() {
        0 => whole(8 * MEGABYTE),
        _ => Answer::new(b"done".to_vec()),
    });
    if beside {
        sim.request(session, get("body"));
        sim.pass(10 * SECOND);
    }
    let one = |_| {
        let began = sim.now;
        sim.ask(session, put("small", vec![1; 100]));
        sim.now - began
    };
    (0..100).map(one).collect()
}

#[test]
fn small_requests_beside_a_body_take_less_than_twice_as_long() {
    let [alone, beside] = [false, true].map(|beside| {
        let mut times: Vec<_> = (0..4).flat_map(|seed| small(seed, beside)).collect();
        times.sort();
        [200, 360, 380, 396].map(|at| times[at])
    });
    println!("small requests, p50, p90, p95, p99: {alone:.2?}, beside a body {beside:.2?}");
    assert!(beside[2] <= 2 * alone[2] && beside[0] <= 2 * alone[0]);
}

#[test]
fn a_body_outlives_silence_and_goes_on_where_it_was() {
    for seed in 0..5 {
        let (mut sim, session) = link("b").sim(seed);
        sim.answer = Box::new(|_| whole(200_000));
        let exchange = sim.request(session, get("body"));
        sim.pass(5 * SECOND);
        sim.lose = Box::new(|_, _| true);
        let before = sim.sent_to(To::Server);
        sim.pass(40 * SECOND);
        // Two requests at a time, and a message that shows whether small ones pass.
        let in_vain = sim.sent_to(To::Server) - before;
        assert!(in_vain <= 40, "seed {seed}: {in_vain}");
        sim.lose = Box::new(|_, _| false);
        let back = sim.now;
        ends(&mut sim, exchange, &body(200_000, 1));
        // Three quarters of the body, and the wait for the next probe.
        assert!(sim.now - back < 25 * SECOND, "seed {seed}: {:?}", sim.now - back);
        let path = sim.client.path(session).unwrap();
        assert!(path.blocks_again < 50, "seed {seed}: {path:?}");
        assert_eq!((sim.executed.len(), path.blocks), (1, 195), "seed {seed}");
    }
}

#[test]
fn a_session_that_pauses_begins_its_next_body_at_the_speed_of_the_last() {
    let link = link("c");
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for seed in 0..5 {
        let (mut sim, session) = link.sim(seed);
        sim.answer = Box::new(|_| whole(200_000));
        for (times, pause) in [(&mut cold, 0), (&mut warm, 60)] {
            sim.pass(pause * SECOND);
            let began = sim.now;
            let exchange = sim.request(session, get("body"));
            ends(&mut sim, exchange, &body(200_000, 1));
            times.push(sim.now - began);
        }
    }
    cold.sort();
    warm.sort();
    println!("200 kB, cold {:?}, after a minute {:?}", cold[2], warm[2]);
    assert!(warm[2] < cold[2]);
}

#[test]
fn in_a_session_that_has_had_a_body_a_short_one_takes_one_round_trip() {
    let link = link("b");
    let mut multiples = Vec::new();
    for seed in 0..15 {
        let (mut sim, session) = link.sim(seed);
        sim.answer =
            Box::new(|request| whole(if request.options.path[0] == "long" { 100_000 } else { 10_000 }));
        let long = sim.request(session, get("long"));
        ends(&mut sim, long, &body(100_000, 1));
        sim.pass(30 * SECOND);
        let began = sim.now;
        let lists = sim.client.path(session).unwrap().lists;
        let short = sim.request(session, get("short"));
        ends(&mut sim, short, &body(10_000, 1));
        assert!(sim.client.path(session).unwrap().lists > lists);
        multiples.push(link.multiple(sim.now - began, 10_000));
    }
    multiples.sort_by(f64::total_cmp);
    println!("10 kB on b after 100 kB: median {:.3}, worst {:.3}", multiples[7], multiples[14]);
    assert!(multiples[7] <= 1.15, "{}", multiples[7]);
}

#[test]
fn a_session_whose_bodies_have_ended_wakes_nobody() {
    let (mut sim, _) = download(&link("b"), 1, 100_000);
    sim.pass(600 * SECOND);
    assert_eq!(sim.client.poll_timeout(), None);
}

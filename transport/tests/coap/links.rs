//! Bodies over bad links, as multiples of what the link alone needs. The links are those that phones, satellites
//! and radios have; each is a rate, a delay, and what is lost.

use super::sim::*;
use lowband_transport::coap::{Limits, Times};
use lowband_transport::{ExchangeId, SessionId};
use std::time::Duration;

/// Bytes around each block of 1024: CoAP, DTLS, UDP and IP.
const AROUND_BLOCK: usize = 79;

/// A link, and what a body of `bytes` may take, in multiples of what the link alone needs.
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

#[test]
fn a_megabyte_takes_little_longer_than_the_link_alone_needs() {
    for (name, length, most) in [
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
    ] {
        let median = median(name, length, 0..3);
        assert!(median <= most + 9.0, "{name}: {median} of {most}");
    }
}

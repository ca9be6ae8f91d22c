//! A client that asks for eight blocks at once, in any order, some of them twice, over links that
//! lose and reorder.

use super::peer::*;
use super::sim::*;
use lowband_transport::coap::{Code, Limits, Times};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const OUTSTANDING: usize = 8;
const AGAIN_AFTER: Duration = Duration::from_millis(1500);
const LENGTH: usize = 60_000;
const BLOCKS: u32 = LENGTH.div_ceil(1024) as u32;

/// A client that asks for each block under a message id of its own, so that each answer names its request.
struct Pipelining {
    next_id: u16,
    /// Block and time of each request without an answer, by token.
    asked: BTreeMap<u16, (u32, Instant)>,
    got: BTreeMap<u32, Vec<u8>>,
    etags: BTreeSet<Vec<u8>>,
    dice: Dice,
}

impl Pipelining {
    fn new(seed: u64) -> Pipelining {
        let (asked, got, etags) = Default::default();
        Pipelining { next_id: 0, asked, got, etags, dice: Dice::new(seed + 1000) }
    }

    /// Asks for block 0 with the request itself: its copies are the same message.
    fn begin(&self, sim: &mut Sim) {
        sim.say(make(CON, GET, 0).path("big").bytes());
    }

    fn ask(&mut self, sim: &mut Sim, num: u32) {
        self.next_id += 1;
        self.asked.insert(self.next_id, (num, sim.now));
        sim.say(make(CON, GET, self.next_id).path("big").block(BLOCK2, num, false, 1024).bytes());
    }

    /// Returns any of the next blocks that have not been asked for.
    fn next(&mut self) -> Option<u32> {
        let outstanding: BTreeSet<_> = self.asked.values().map(|(num, _)| *num).collect();
        let missing = |num: &u32| !self.got.contains_key(num) && !outstanding.contains(num);
        let next: Vec<_> = (1..BLOCKS).filter(missing).take(2 * OUTSTANDING).collect();
        (!next.is_empty()).then(|| next[self.dice.below(next.len())])
    }

    fn fill(&mut self, sim: &mut Sim) {
        let now = sim.now;
        self.asked.retain(|_, (_, at)| *at + AGAIN_AFTER > now);
        while self.asked.len() < OUTSTANDING {
            let Some(num) = self.next() else { return };
            self.ask(sim, num);
            if self.dice.chance(0.2) {
                // Ask for the same once more, and for one that is there already.
                self.ask(sim, num);
                let known = 1 + self.dice.below(self.got.len()) as u32;
                if self.got.contains_key(&known) {
                    self.ask(sim, known);
                }
            }
        }
    }

    fn receive(&mut self, sim: &mut Sim) {
        while let Some(bytes) = sim.inbox.pop_front() {
            let got = Got::parse(&bytes);
            if got.kind() == CON {
                sim.say(empty(ACK, got.id()).bytes());
            }
            if got.code() == Code::EMPTY {
                continue;
            }
            assert_eq!(got.code(), Code::CONTENT, "{got:?}");
            let (num, more, size) = got.block(BLOCK2).unwrap();
            let num = num as u32;
            let token = u16::from_be_bytes(got.token().try_into().unwrap());
            if let Some((asked, _)) = self.asked.remove(&token) {
                assert_eq!(asked, num, "the block that was asked for");
            }
            assert_eq!((more, size), (num + 1 < BLOCKS, 1024));
            self.etags.insert(got.option(ETAG).unwrap().to_vec());
            if let Some(before) = self.got.insert(num, got.payload().to_vec()) {
                assert!(before == got.payload(), "a block is the same each time");
            }
        }
    }
}

/// Reads one body to its end, and returns how long that took.
fn read(seed: u64, answer: impl Fn(Vec<u8>) -> Answer + 'static) -> (Sim, Duration) {
    let way = Way { loss: 0.2, duplication: 0.1, delay: 100 * MS, jitter: 300 * MS, ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    let whole = body(LENGTH, seed);
    let sent = whole.clone();
    sim.answer = Box::new(move |_| answer(sent.clone()));
    let mut client = Pipelining::new(seed);
    while client.got.is_empty() {
        client.begin(&mut sim);
        sim.pass(AGAIN_AFTER);
        client.receive(&mut sim);
    }
    while client.got.len() < BLOCKS as usize {
        client.fill(&mut sim);
        sim.pass(50 * MS);
        client.receive(&mut sim);
        assert!(sim.now < sim.start + 600 * SECOND, "seed {seed}: {} blocks", client.got.len());
    }
    let received: Vec<u8> = client.got.into_values().flatten().collect();
    assert!(received == whole, "seed {seed}");
    assert_eq!((sim.executed.len(), client.etags.len()), (1, 1), "seed {seed}: one request, one body");
    let took = sim.now - sim.start;
    (sim, took)
}

#[test]
fn a_body_that_is_there_comes_whole_from_one_request_to_the_upstream() {
    for seed in 0..8 {
        let (sim, took) = read(seed, Answer::new);
        // One block after the other would take 58 round trips of half a second, and a third of them one and
        // a half more.
        assert!(took < 25 * SECOND, "seed {seed}: {took:?}");
        let counters = sim.server.counters();
        assert!(counters.snapshot_blocks > u64::from(BLOCKS), "seed {seed}: some were asked for twice");
        assert_eq!((counters.snapshots, counters.snapshot_unknown), (1, 0), "seed {seed}");
    }
}

#[test]
fn a_body_that_the_upstream_sends_slowly_comes_block_by_block_as_it_does() {
    for seed in 20..28 {
        let (mut sim, took) = read(seed, |body| Answer::new(body).after(SECOND).in_chunks(3000, 500 * MS));
        // Twenty pieces.
        assert!((10..25).contains(&took.as_secs()), "seed {seed}: {took:?}");
        assert!(sim.server.counters().separate_responses > 0, "seed {seed}: some blocks were waited for");
        sim.pass(600 * SECOND);
        let left = (sim.server.open_exchanges(), sim.server.blockwise_bytes(), sim.cancelled.len());
        assert_eq!(left, (0, 0, 0), "seed {seed}");
    }
}

//! A client that asks for 64 blocks at once by lists of four, over links that lose, double and reorder.

use super::peer::*;
use super::sim::*;
use lowband_transport::coap::{Code, Limits, Times};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const OUTSTANDING: usize = 64;
const IN_A_LIST: usize = 4;
const AGAIN_AFTER: Duration = Duration::from_millis(1500);
const LENGTH: usize = 200_000;
const BLOCKS: u32 = LENGTH.div_ceil(1024) as u32;

#[derive(Default)]
struct Lists {
    next_id: u16,
    /// When each block without an answer was asked for last.
    asked: BTreeMap<u32, Instant>,
    got: BTreeMap<u32, Vec<u8>>,
    /// Answers to each list and block.
    answers: BTreeMap<(u16, u32), usize>,
    etags: BTreeSet<Vec<u8>>,
    /// Message ids: the network doubles messages.
    seen: BTreeSet<u16>,
}

impl Lists {
    fn request(&mut self, kind: coap_lite::MessageType, nums: &[u32]) -> Make {
        self.next_id += 1;
        let request = make(kind, GET, self.next_id).path("big");
        nums.iter().fold(request, |made, num| made.block(Q_BLOCK2, *num, false, 1024))
    }

    fn fill(&mut self, sim: &mut Sim) {
        let now = sim.now;
        self.asked.retain(|_, at| *at + AGAIN_AFTER > now);
        while self.asked.len() + IN_A_LIST <= OUTSTANDING {
            let missing = |num: &u32| !self.got.contains_key(num) && !self.asked.contains_key(num);
            let next: Vec<_> = (0..BLOCKS).filter(missing).take(IN_A_LIST).collect();
            if next.is_empty() {
                return;
            }
            self.asked.extend(next.iter().map(|num| (*num, now)));
            let list = self.request(NON, &next);
            sim.say(list.bytes());
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
            let Some((num, more, size)) = got.block(Q_BLOCK2).or(got.block(BLOCK2)) else { continue };
            let num = num as u32;
            assert_eq!((more, size), (num + 1 < BLOCKS, 1024));
            self.asked.remove(&num);
            self.etags.insert(got.option(ETAG).unwrap().to_vec());
            if got.kind() == NON && self.seen.insert(got.id()) {
                let token = u16::from_be_bytes(got.token().try_into().unwrap());
                *self.answers.entry((token, num)).or_default() += 1;
            }
            if let Some(before) = self.got.insert(num, got.payload().to_vec()) {
                assert!(before == got.payload(), "a block is the same each time");
            }
        }
    }
}

/// Reads one body to its end, and returns how long that took.
fn read(seed: u64, answer: impl Fn(Vec<u8>) -> Answer + 'static) -> Duration {
    let way = Way { loss: 0.15, duplication: 0.1, delay: 100 * MS, jitter: 100 * MS, ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    let whole = body(LENGTH, seed);
    let sent = whole.clone();
    sim.answer = Box::new(move |_| answer(sent.clone()));
    let mut client = Lists::default();
    // A list beside the request, as a client that knows the server sends it.
    let begins = client.request(CON, &(1..11).collect::<Vec<_>>()).option(CAPABILITIES, b"\x03");
    while client.got.is_empty() {
        sim.say(begins.bytes());
        sim.pass(AGAIN_AFTER);
        client.receive(&mut sim);
    }
    while client.got.len() < BLOCKS as usize {
        client.fill(&mut sim);
        sim.pass(50 * MS);
        client.receive(&mut sim);
        assert!(sim.now < sim.start + 600 * SECOND, "seed {seed}: {} blocks", client.got.len());
    }
    let took = sim.now - sim.start;
    let received: Vec<u8> = client.got.into_values().flatten().collect();
    assert!(received == whole, "seed {seed}");
    assert_eq!((sim.executed.len(), client.etags.len()), (1, 1), "seed {seed}: one request, one body");
    // The network doubles lists and answers; the server answers a list once.
    assert!(client.answers.values().all(|times| *times == 1), "seed {seed}");
    sim.pass(600 * SECOND);
    let counters = sim.server.counters();
    assert_eq!((counters.snapshots, counters.snapshot_unknown), (1, 0), "seed {seed}");
    assert_eq!((sim.server.open_exchanges(), sim.server.blockwise_bytes()), (0, 0), "seed {seed}");
    took
}

#[test]
fn a_body_that_is_there_comes_in_a_few_round_trips() {
    for seed in 0..8 {
        let took = read(seed, Answer::new);
        assert!(took < 15 * SECOND, "seed {seed}: {took:?}");
    }
}

#[test]
fn a_body_that_the_upstream_sends_slowly_comes_as_it_does() {
    for seed in 20..28 {
        let took = read(seed, |body| Answer::new(body).after(SECOND).in_chunks(10_000, 500 * MS));
        // Twenty pieces.
        assert!((10..25).contains(&took.as_secs()), "seed {seed}: {took:?}");
    }
}

//! Clients that ask for whole bodies by Q-Block2 (RFC 9177): sets of blocks are sent on by themselves,
//! confirmed by a Continue, and what is lost is asked for.

use super::lists::numbers;
use super::peer::*;
use super::sim::*;
use lowband_transport::coap::{Code, Limits, Times};
use lowband_transport::{ExchangeId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Asks for a whole body, or confirms all before `num`.
fn from(kind: coap_lite::MessageType, id: u16, num: u32) -> Make {
    make(kind, GET, id).path("big").block(Q_BLOCK2, num, true, 1024)
}

fn begin(peer: &mut Peer, id: u16) -> ExchangeId {
    assert_eq!(peer.send(&from(NON, id, 0)), []);
    peer.request().0
}

/// Lets time pass until a set is there, and returns when each block of it came.
fn set(peer: &mut Peer, mut got: Vec<Got>, blocks: usize) -> (Vec<Got>, Vec<Duration>) {
    let began = peer.now;
    let mut came = vec![Duration::ZERO; got.len()];
    while got.len() < blocks {
        let more = peer.wait(10 * MS);
        came.extend(more.iter().map(|_| peer.now - began));
        got.extend(more);
        assert!(peer.now - began < 10 * SECOND, "{} blocks", got.len());
    }
    (got, came)
}

#[test]
fn a_body_goes_set_by_set_as_its_client_confirms_them() {
    let whole = body(25_000, 1);
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    let got = peer.respond(exchange, &whole);
    assert_eq!(numbers(&got), [0, 1, 2, 3], "four at first, for nothing is known of the path");
    let (first, came) = set(&mut peer, got, 10);
    assert_eq!(came[9], 1200 * MS, "the others in their time");
    assert_eq!(numbers(&first), (0..10).collect::<Vec<_>>());
    let (second, _) = {
        let got = peer.send(&from(NON, 2, 10));
        set(&mut peer, got, 10)
    };
    assert_eq!(numbers(&second), (10..20).collect::<Vec<_>>());
    let (third, _) = {
        let got = peer.send(&from(NON, 3, 20));
        set(&mut peer, got, 5)
    };
    assert_eq!(numbers(&third), (20..25).collect::<Vec<_>>());
    for (id, blocks) in [(1, &first), (2, &second), (3, &third)] {
        for got in blocks {
            assert_eq!((got.kind(), got.token()), (NON, [0, id].as_slice()), "the newest request's");
            assert_eq!((got.option(BLOCK2), got.number(SIZE2)), (None, Some(25_000)));
            assert_eq!(got.option(ETAG), first[0].option(ETAG));
            let (num, more, size) = got.block(Q_BLOCK2).unwrap();
            assert_eq!((more, size), (num < 24, 1024));
        }
    }
    assert!([first, second, third].iter().flatten().flat_map(Got::payload).eq(&whole));
    assert_eq!((peer.wait(300 * SECOND), peer.events()), (vec![], vec![]));
    let counters = peer.server.counters();
    assert_eq!((counters.bodies_sent_on, counters.bodies_sent_in_vain, counters.bodies_given_up), (1, 0, 0));
    assert_eq!(counters.snapshot_blocks_again, 0);
}

#[test]
fn a_set_that_is_not_confirmed_is_followed_by_the_next_and_a_silent_client_gets_four() {
    for (round_trip, timeout) in
        [(None, 2000 * MS), (Some(300 * MS), 2000 * MS), (Some(1700 * MS), 3400 * MS)]
    {
        let mut peer = Peer::with_times(Times::measured(), Limits::default());
        peer.server.session_opened(peer.now, SESSION, round_trip);
        let exchange = begin(&mut peer, 1);
        let got = peer.respond(exchange, &body(100_000, 1));
        let (_, came) = set(&mut peer, got, 10);
        // Four to a round trip.
        let spacing = round_trip.map_or(200 * MS, |round_trip| round_trip / 4);
        assert!(came[9].abs_diff(6 * spacing) <= 10 * MS, "{came:?}");
        assert_eq!(peer.wait(timeout - 20 * MS), []);
        let next = peer.wait(30 * MS);
        assert_eq!(numbers(&next), (10..10 + next.len() as u64).collect::<Vec<_>>());
        let rest = peer.wait(60 * SECOND);
        let sent = numbers(&[next, rest].concat());
        assert_eq!(sent, (10..40).collect::<Vec<_>>());
        assert_eq!(peer.server.counters().bodies_sent_in_vain, 1);
        // It is there after all.
        assert_eq!(numbers(&peer.send(&super::lists::list(2, [40]))), [40]);
    }
}

#[test]
fn a_silent_client_gets_blocks_by_the_probing_rate_after_its_sets() {
    // By the default rate a block would take 18 minutes, and the body is kept for one.
    for (rate, gap) in [(1024, Some(2 * SECOND)), (256, Some(4 * SECOND)), (17, None), (1, None)] {
        let times = Times { probing_rate: rate, ..Times::measured() };
        let mut peer = Peer::with_times(times, Limits { non_max_retransmit: 1, ..Limits::default() });
        let exchange = begin(&mut peer, 1);
        let got = peer.respond(exchange, &body(100_000, 1));
        let (_, _) = set(&mut peer, got, 10);
        let mut came = Vec::new();
        let began = peer.now;
        for _ in 0..2100 {
            came.extend(peer.wait(10 * MS).iter().map(|_| peer.now - began));
        }
        let expected = gap.map_or(0, |gap| 21 * SECOND.as_millis() / gap.as_millis());
        assert_eq!(came.len() as u128, expected, "{rate}: {came:?}");
        assert_eq!(peer.server.counters().bodies_sent_in_vain, u64::from(gap.is_none()));
        let Some(gap) = gap else { continue };
        assert!(
            came.iter().zip(1..).all(|(came, number)| came.abs_diff(number * gap) <= 20 * MS),
            "{came:?}"
        );
        // A word from the client, and the next set goes in its time.
        let next = 10 + came.len() as u64;
        let (more, _) = {
            let got = peer.send(&from(NON, 2, next as u32));
            set(&mut peer, got, 5)
        };
        assert_eq!(numbers(&more)[..5], (next..next + 5).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_lost_is_sent_again_before_the_next_set() {
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    let got = peer.respond(exchange, &body(40_000, 1));
    set(&mut peer, got, 10);
    peer.wait(1900 * MS);
    assert_eq!(numbers(&peer.send(&super::lists::list(2, [3, 7]))), [3, 7]);
    assert_eq!(peer.wait(1900 * MS), [], "the next set is put off");
    assert_eq!(numbers(&peer.wait(200 * MS))[0], 10);
    // The rest of a set.
    assert_eq!(numbers(&peer.send(&from(NON, 3, 7))), [7, 8, 9]);
    let again = peer.server.counters().snapshot_blocks_again;
    assert_eq!(again, 5);
}

#[test]
fn a_confirmation_that_comes_late_or_twice_sends_nothing() {
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    let got = peer.respond(exchange, &body(60_000, 1));
    set(&mut peer, got, 10);
    let second = peer.send(&from(NON, 2, 10));
    assert_eq!(peer.send(&from(NON, 2, 10)), [], "a copy");
    let (second, _) = set(&mut peer, second, 10);
    assert_eq!(second.len(), 10);
    assert_eq!(peer.send(&from(NON, 3, 10)), [], "late");
    // A confirmable one is acknowledged, by a block if there is one to send.
    let late = peer.ask(&from(CON, 4, 10));
    assert_eq!((late.kind(), late.code(), late.id()), (ACK, Code::EMPTY, 4));
    let next = peer.send(&from(CON, 5, 20));
    assert_eq!((next[0].kind(), next[0].id(), next[0].block(Q_BLOCK2)), (ACK, 5, Some((20, true, 1024))));
    let (rest, _) = set(&mut peer, next, 10);
    assert!(rest[1..].iter().all(|got| got.kind() == NON));
}

#[test]
fn a_path_that_takes_more_gets_more_and_one_that_queues_less() {
    // How long after the last block of each set its confirmation comes; round trip 100 ms.
    let run = |queue: Duration| {
        let mut peer = Peer::with_times(Times::measured(), Limits::default());
        peer.server.session_opened(peer.now, SESSION, Some(100 * MS));
        let exchange = begin(&mut peer, 1);
        let mut got = peer.respond(exchange, &body(200_000, 1));
        let mut took = Vec::new();
        for num in 1..12 {
            let (_, came) = set(&mut peer, got, 10);
            took.push(came[9]);
            peer.wait(100 * MS + queue);
            got = peer.send(&from(NON, 1 + num, u32::from(num) * 10));
        }
        took
    };
    let free = run(Duration::ZERO);
    assert!(free[10] < free[1] / 3, "{free:?}");
    let slow = run(1000 * MS);
    assert!(slow[1..].iter().all(|took| *took > 900 * MS && *took < 2000 * MS), "{slow:?}");
}

#[test]
fn a_body_that_comes_slowly_is_sent_as_it_comes() {
    let whole = body(8000, 1);
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    peer.head(exchange);
    let mut got = peer.chunk(exchange, &whole[..2500], false);
    assert_eq!(numbers(&got), [0, 1]);
    assert!(peer.server.wants_chunk(exchange));
    peer.wait(30 * SECOND);
    got.extend(peer.chunk(exchange, &whole[2500..7000], false));
    got.extend(peer.wait(60 * SECOND));
    got.extend(peer.chunk(exchange, &whole[7000..], true));
    got.extend(peer.wait(3 * SECOND));
    assert_eq!(numbers(&got), (0..8).collect::<Vec<_>>());
    assert!(got.iter().flat_map(Got::payload).eq(&whole));
    // The upstream breaks off: the client is told once.
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    peer.head(exchange);
    peer.chunk(exchange, &whole[..2500], false);
    peer.server.fail(peer.now, exchange, Code::new(5, 2), "broken off");
    assert_eq!(peer.received().iter().map(Got::code).collect::<Vec<_>>(), [Code::new(5, 2)]);
    assert_eq!(peer.wait(30 * SECOND), []);
}

#[test]
fn a_short_answer_needs_no_blocks_and_other_methods_go_to_the_upstream_once() {
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1);
    let got = peer.respond(exchange, b"short");
    assert_eq!((got[0].payload(), got[0].numbers().count()), (b"short".as_slice(), 0));
    // Block 0 alone, of a body that is not known yet.
    peer.send(&super::lists::list(2, [0]));
    let (exchange, _) = peer.request();
    assert_eq!(numbers(&peer.respond(exchange, &body(5000, 1))), [0]);
    assert_eq!(numbers(&peer.send(&super::lists::list(3, [0]))), [0], "it was lost");
    assert_eq!(numbers(&peer.send(&super::lists::list(4, 0..5))), [0, 1, 2, 3, 4]);
    assert_eq!(peer.events(), []);
    // Now that all has been sent, it asks for what may have changed since.
    peer.send(&super::lists::list(5, [0]));
    let (exchange, _) = peer.request();
    assert_eq!(numbers(&peer.respond(exchange, &body(5000, 2))), [0]);
    // What acts is not carried out again for its answer's first block.
    let put = make(NON, PUT, 6).path("acts").block(Q_BLOCK2, 0, false, 1024);
    assert_eq!(peer.ask(&put).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.events(), []);
}

#[test]
fn the_parameters_are_those_that_are_set() {
    let times = Times { non_timeout: SECOND, ..Times::rfc7252() };
    let limits = Limits { max_payloads: 3, non_max_retransmit: 2, ..Limits::default() };
    let mut peer = Peer::with_times(times, limits);
    let exchange = begin(&mut peer, 1);
    assert_eq!(numbers(&peer.respond(exchange, &body(60_000, 1))), [0, 1, 2]);
    assert_eq!(peer.wait(990 * MS), []);
    assert_eq!(numbers(&peer.wait(20 * MS)), [3, 4, 5]);
    assert_eq!(peer.wait(30 * SECOND), []);
    assert_eq!(numbers(&peer.send(&from(NON, 2, 6))), [6, 7, 8], "asked for again");
}

#[test]
fn one_client_with_many_bodies_keeps_nobody_from_theirs() {
    let mut peer = Peer::with(Limits { sent_bodies_per_session: 2, ..Limits::default() });
    let whole = body(30_000, 1);
    let ask = |peer: &mut Peer, session: u64, id: u16, path: &str| {
        let request = make(NON, GET, id).path(path).block(Q_BLOCK2, 0, true, 1024);
        assert_eq!(peer.send_bytes(SessionId(session), &request.bytes()), []);
        let (exchange, _) = peer.request();
        peer.respond(exchange, &whole).len()
    };
    let greedy: Vec<_> = (0..20).map(|n| ask(&mut peer, 1, n, &format!("big{n}"))).collect();
    assert_eq!(greedy, [[4; 2].as_slice(), &[1; 18]].concat());
    assert_eq!(ask(&mut peer, 2, 1, "big"), 4);
    let counters = peer.server.counters();
    assert_eq!((counters.bodies_sent_on, counters.bodies_not_sent_on), (3, 18));
    // All timers end with their sessions.
    for session in [1, 2] {
        peer.server.session_closed(peer.now, SessionId(session));
    }
    assert_eq!(peer.wait(3 * SECOND), []);
    assert_eq!(peer.server.blockwise_bytes(), 0);
}

/// A client as RFC 9177 section 7.2 describes it, with its default times.
struct Client {
    next_id: u16,
    got: BTreeMap<u32, Vec<u8>>,
    last: Option<u32>,
    etags: BTreeSet<Vec<u8>>,
    confirmed: u32,
    heard: Instant,
    waits: u32,
}

impl Client {
    fn ask(&mut self, sim: &mut Sim, nums: &[u32], more: bool) {
        self.next_id += 1;
        let request = make(NON, GET, self.next_id).path("big");
        let named = nums.iter().fold(request, |made, num| made.block(Q_BLOCK2, *num, more, 1024));
        sim.say(named.bytes());
    }

    fn missing(&self, below: u32) -> Vec<u32> {
        (0..below).filter(|num| !self.got.contains_key(num)).take(10).collect()
    }

    fn is_whole(&self) -> bool {
        self.last.is_some_and(|last| self.missing(last + 1).is_empty())
    }

    fn receive(&mut self, sim: &mut Sim) {
        while let Some(bytes) = sim.inbox.pop_front() {
            let got = Got::parse(&bytes);
            assert_eq!((got.code(), got.kind()), (Code::CONTENT, NON), "{got:?}");
            let (num, more, _) = got.block(Q_BLOCK2).unwrap();
            let num = num as u32;
            (self.heard, self.waits) = (sim.now, 0);
            self.etags.insert(got.option(ETAG).unwrap().to_vec());
            if !more {
                self.last = Some(num);
            }
            let begins_set = self.got.keys().all(|known| known / 10 < num / 10);
            self.got.insert(num, got.payload().to_vec());
            let missing = self.missing(num / 10 * 10);
            if begins_set && !missing.is_empty() {
                self.ask(sim, &missing, false);
            }
            let end = num / 10 * 10 + 10;
            if self.missing(end).is_empty() && self.confirmed < end && self.last.is_none() {
                self.confirmed = end;
                self.ask(sim, &[end], true);
            }
        }
        // NON_RECEIVE_TIMEOUT doubles each time.
        if !self.got.is_empty() && sim.now >= self.heard + 4 * SECOND * 2u32.pow(self.waits.min(4)) {
            self.waits += 1;
            let furthest = self.last.map_or(self.got.len() as u32 + 10, |last| last + 1);
            let missing = self.missing(furthest);
            self.ask(sim, &missing, false);
        }
    }
}

#[test]
fn a_client_of_the_rfc_gets_its_body_over_a_link_that_loses_and_doubles() {
    for seed in 0..8 {
        let way = Way { loss: 0.1, duplication: 0.1, delay: 100 * MS, jitter: 100 * MS, ..CLEAN };
        let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
        let whole = body(60_000, seed);
        let sent = whole.clone();
        sim.answer = Box::new(move |_| Answer::new(sent.clone()).in_chunks(9000, 300 * MS));
        let mut client = Client {
            next_id: 0,
            got: BTreeMap::new(),
            last: None,
            etags: BTreeSet::new(),
            confirmed: 0,
            heard: sim.now,
            waits: 0,
        };
        // The first request is the same message until something comes.
        while client.got.is_empty() {
            sim.say(from(NON, 0, 0).bytes());
            sim.pass(5 * SECOND);
            client.receive(&mut sim);
        }
        while !client.is_whole() {
            sim.pass(50 * MS);
            client.receive(&mut sim);
            assert!(sim.now < sim.start + 600 * SECOND, "seed {seed}: {} blocks", client.got.len());
        }
        let received: Vec<u8> = client.got.into_values().flatten().collect();
        assert!(received == whole, "seed {seed}");
        assert_eq!((sim.executed.len(), client.etags.len()), (1, 1), "seed {seed}: one request, one body");
        sim.pass(600 * SECOND);
        assert_eq!((sim.server.open_exchanges(), sim.server.blockwise_bytes()), (0, 0), "seed {seed}");
    }
}

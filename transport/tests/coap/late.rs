//! Answers that come after their acknowledgement and need blocks: clients differ in how they acknowledge
//! those and ask for more.

use super::peer::*;
use super::sim::{Answer, CLEAN, FOREIGN, MS, SECOND, Sim, Way, body};
use lowband_transport::coap::{Code, Limits, Times};
use std::collections::BTreeMap;
use std::time::Duration;

const TOKEN: &[u8] = b"token";

/// Makes a request for a block of `late`, under the one token.
fn next(kind: coap_lite::MessageType, id: u16, num: u32) -> Make {
    make(kind, GET, id).token(TOKEN).path("late").block(BLOCK2, num, false, 1024)
}

/// Makes a peer whose request for `late` has been acknowledged; returns the first block of its answer.
fn asked(peer: &mut Peer, length: usize) -> Got {
    assert_eq!(peer.send(&make(CON, GET, 1).token(TOKEN).path("late")), []);
    let (exchange, _) = peer.request();
    let early = peer.wait(2 * SECOND).remove(0);
    assert_eq!((early.kind(), early.code(), early.id()), (ACK, Code::EMPTY, 1));
    let first = peer.respond(exchange, &body(length, 1)).remove(0);
    assert_eq!((first.kind(), first.token(), first.block(BLOCK2)), (CON, TOKEN, Some((0, true, 1024))));
    assert_eq!(first.number(SIZE2), Some(length as u64));
    first
}

/// Checks that no message is on its way any more, and that the upstream was asked once.
fn is_over(peer: &mut Peer, last: &Got) {
    peer.send(&empty(ACK, last.id()));
    assert_eq!(peer.wait(50 * SECOND), []);
    assert_eq!((peer.events(), peer.server.open_exchanges()), (vec![], 0));
    assert_eq!(peer.server.counters().requests, 1);
}

#[test]
fn an_acknowledgement_with_a_request_in_it_is_both() {
    let mut peer = Peer::new();
    let mut block = asked(&mut peer, 3000);
    let mut got = block.payload().to_vec();
    for num in 1..3 {
        let asks = next(ACK, block.id(), num);
        let answer = peer.ask(&asks);
        // No message of the client acknowledges the answer, so it must be repeated until it gets through.
        assert_eq!((answer.kind(), answer.code(), answer.token()), (CON, Code::CONTENT, TOKEN));
        assert_eq!(answer.block(BLOCK2), Some((u64::from(num), num < 2, 1024)));
        // A copy must not double the rest of the body.
        assert_eq!(peer.send(&asks), []);
        for copy in peer.wait(4 * SECOND) {
            assert_eq!(copy, answer, "what was acknowledged is not sent again");
        }
        got.extend(answer.payload());
        block = answer;
    }
    assert!(got == body(3000, 1));
    is_over(&mut peer, &block);
    let counters = peer.server.counters();
    assert_eq!((counters.requests_in_acknowledgements, counters.duplicates, counters.gave_up), (4, 2, 0));
}

#[test]
fn a_request_in_the_second_acknowledgement_of_a_message_is_answered_all_the_same() {
    let mut peer = Peer::new();
    let first = asked(&mut peer, 3000);
    assert_eq!(peer.send(&empty(ACK, first.id())), []);
    let answer = peer.ask(&next(ACK, first.id(), 1));
    assert_eq!((answer.kind(), answer.block(BLOCK2)), (CON, Some((1, true, 1024))));
    // A request under another token is another request: some clients take a new one for each block.
    let again = peer.ask(&next(ACK, first.id(), 1).token(b"another"));
    assert_eq!((again.kind(), again.token()), (CON, b"another".as_slice()));
    assert_ne!(again.id(), answer.id());
    // So is one that comes long after we have given the message up.
    let mut peer = Peer::new();
    let first = asked(&mut peer, 3000);
    peer.send(&next(CON, 2, 1));
    peer.wait(200 * SECOND);
    let late = peer.ask(&next(ACK, first.id(), 1));
    assert_eq!((late.kind(), late.code()), (CON, Code::REQUEST_ENTITY_INCOMPLETE));
}

#[test]
fn message_ids_of_the_client_and_of_the_server_do_not_meet() {
    let mut peer = Peer::new();
    let first = asked(&mut peer, 3000);
    // The client's own message of the same number and token, before and after.
    assert_eq!(peer.send(&make(CON, POST, first.id()).token(TOKEN).path("other")), []);
    let (exchange, _) = peer.request();
    let block = peer.ask(&next(ACK, first.id(), 1));
    assert_eq!((block.kind(), block.block(BLOCK2)), (CON, Some((1, true, 1024))));
    let other = peer.respond(exchange, b"other").remove(0);
    assert_eq!((other.kind(), other.payload()), (ACK, b"other".as_slice()));
    assert_eq!(peer.send(&make(CON, POST, first.id()).token(TOKEN).path("other")), [other]);
    assert_eq!(peer.send(&next(ACK, first.id(), 1)), []);
    assert_eq!(peer.ask(&next(CON, block.id(), 1)).kind(), ACK);
}

#[test]
fn a_new_request_in_an_acknowledgement_is_executed_once() {
    for method in [GET, POST, PUT, Code::DELETE] {
        let mut peer = Peer::new();
        let first = asked(&mut peer, 3000);
        let request = make(ACK, method, first.id()).token(b"new").path("new");
        assert_eq!(peer.send(&request), []);
        let (exchange, _) = peer.request();
        assert_eq!(peer.send(&request), [], "a copy while it is waiting");
        // A request inside an acknowledgement is not acknowledged itself.
        assert_eq!(peer.wait(30 * SECOND), []);
        let answer = peer.respond(exchange, b"done").remove(0);
        assert_eq!((answer.kind(), answer.token(), answer.payload()), (CON, b"new".as_slice(), &b"done"[..]));
        peer.send(&empty(ACK, answer.id()));
        assert_eq!(peer.send(&request), [], "a copy afterwards");
        assert_eq!((peer.events(), peer.server.counters().requests), (vec![], 2));
    }
}

#[test]
fn what_is_refused_in_an_acknowledgement_is_told_until_it_is_acknowledged() {
    let rows: [(Make, Code); 4] = [
        (make(ACK, GET, 0).path("unknown").block(BLOCK2, 1, false, 1024), Code::REQUEST_ENTITY_INCOMPLETE),
        (make(ACK, GET, 0).path("late").block(BLOCK2, 99, false, 1024), Code::BAD_REQUEST),
        (make(ACK, GET, 0).path("late").option(65001, b""), Code::BAD_OPTION),
        (make(ACK, Code::new(0, 5), 0).path("late"), Code::METHOD_NOT_ALLOWED),
    ];
    for (row, code) in rows {
        let mut peer = Peer::new();
        let first = asked(&mut peer, 3000);
        let row = row.id(first.id());
        let refused = peer.ask(&row);
        assert_eq!((refused.kind(), refused.code()), (CON, code));
        assert_eq!(peer.send(&row), []);
        let copies = peer.wait(100 * SECOND);
        assert_eq!(copies.len(), 4);
        assert!(copies.iter().all(|copy| *copy == refused));
        assert_eq!(peer.server.counters().gave_up, 1);
    }
}

#[test]
fn a_block_that_has_not_come_yet_is_sent_when_it_has() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    peer.send(&make(CON, GET, 1).token(TOKEN).path("late"));
    let (exchange, _) = peer.request();
    peer.wait(2 * SECOND);
    peer.head(exchange);
    let first = peer.chunk(exchange, &whole[..1500], false).remove(0);
    assert_eq!(peer.send(&next(ACK, first.id(), 1)), []);
    assert_eq!(peer.send(&next(ACK, first.id(), 1)), []);
    assert_eq!(peer.wait(20 * SECOND), [], "there is nothing that could be acknowledged");
    let second = peer.chunk(exchange, &whole[1500..], true).remove(0);
    assert_eq!((second.kind(), second.block(BLOCK2)), (CON, Some((1, true, 1024))));
    let last = peer.ask(&next(ACK, second.id(), 2));
    assert!(last.payload() == &whole[2048..]);
    is_over(&mut peer, &last);
}

#[test]
fn beyond_the_limit_of_blocks_on_their_way_they_go_out_once() {
    // As many as a client has exchanges, not as many as may wait for the upstream: each of these requests is
    // kept until it is acknowledged.
    let limits = Limits { waiting_blocks_per_session: 256, exchanges_per_session: 2, ..Limits::default() };
    let mut peer = Peer::with(limits);
    let first = asked(&mut peer, 9000);
    let kinds = [b"a", b"b", b"c"].map(|token| peer.ask(&next(ACK, first.id(), 1).token(token)).kind());
    assert_eq!(kinds, [CON, CON, NON]);
}

#[test]
fn copies_are_recognised_within_their_limit_and_push_out_no_other_request() {
    let limits = Limits { dedup_acknowledging_per_session: 2, dedup_per_session: 2, ..Limits::default() };
    let mut peer = Peer::with(limits);
    assert_eq!(peer.send(&make(CON, POST, 7).path("once")), []);
    let (exchange, _) = peer.request();
    let answer = peer.respond(exchange, b"done").remove(0);
    let mut ids = vec![asked(&mut peer, 9000).id()];
    for num in 1..8 {
        ids.push(peer.ask(&next(ACK, ids[num as usize - 1], num)).id());
    }
    assert_eq!(peer.send(&make(CON, POST, 7).path("once")), [answer]);
    assert_eq!(peer.send(&next(ACK, ids[6], 7)), []);
    assert_eq!(peer.ask(&next(ACK, ids[0], 1)).kind(), CON, "forgotten: one message too many, no harm");
    assert_eq!(peer.server.counters().dedup_forgotten, 6);
}

#[test]
fn who_asks_for_the_next_block_under_the_same_token_has_the_one_before() {
    let mut peer = Peer::new();
    let first = asked(&mut peer, 3000);
    // The first block is not acknowledged: the client asks for the next one.
    let second = peer.ask(&next(CON, 2, 1));
    assert_eq!((second.kind(), second.id()), (ACK, 2));
    assert_eq!(peer.wait(100 * SECOND), [], "a copy of the first would be built into the body");
    let last = peer.ask(&next(CON, 3, 2));
    is_over(&mut peer, &last);
    assert_eq!(peer.server.counters().blocks_acknowledged_by_next, 1);
    assert_ne!(first.id(), second.id());
}

#[test]
fn a_block_acknowledges_the_first_one_and_those_before_it_under_its_own_token() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    peer.send(&make(CON, GET, 1).token(TOKEN).path("late"));
    let (exchange, _) = peer.request();
    peer.wait(SECOND);
    peer.head(exchange);
    let first = peer.chunk(exchange, &whole[..1025], false).remove(0);
    // A client that asks for another block knows that there are blocks, under whatever token.
    assert_eq!(peer.send(&next(CON, 2, 1).token(b"other")), []);
    assert!(!peer.wait(4 * SECOND).contains(&first));
    // Two blocks under the one token are on their way; a late copy asks for the earlier one.
    assert_eq!(peer.send(&next(CON, 3, 1)), []);
    assert_eq!(peer.wait(SECOND).remove(0).kind(), ACK);
    let mut blocks = peer.chunk(exchange, &whole[1025..2500], false);
    blocks.retain(|block| block.token() == TOKEN);
    assert_eq!(blocks[0].block(BLOCK2), Some((1, true, 1024)));
    assert_eq!(peer.ask(&next(CON, 4, 1)).kind(), ACK);
    assert!(peer.wait(4 * SECOND).contains(&blocks[0]), "it may not have arrived");
    peer.chunk(exchange, &whole[2500..], true);
    assert_eq!(peer.ask(&next(CON, 5, 2)).payload(), &whole[2048..]);
    let copies = peer.wait(100 * SECOND);
    assert!(!copies.contains(&blocks[0]));
}

/// aiocoap acknowledges a late answer, resets each further copy, and asks for the other blocks under tokens
/// of their own.
#[test]
fn a_client_that_resets_a_copy_of_the_first_block_goes_on_with_the_others() {
    let whole = body(3000, 1);
    let mut peer = Peer::new();
    let first = asked(&mut peer, 3000);
    // Its acknowledgement is lost, its request for the next block as well, and the copy gets a Reset.
    assert!(peer.wait(4 * SECOND).contains(&first));
    assert_eq!(peer.send(&empty(RST, first.id())), []);
    assert_eq!(peer.wait(40 * SECOND), [], "it is not sent again");
    for num in 1..3 {
        let asks = make(CON, GET, 10 + num as u16).path("late").block(BLOCK2, num, false, 1024);
        assert_eq!(
            peer.ask(&asks).payload(),
            &whole[num as usize * 1024..whole.len().min(num as usize * 1024 + 1024)]
        );
    }
    assert_eq!((peer.events(), peer.server.open_exchanges()), (vec![], 0));
}

/// A client that behaves like go-coap: it accepts each message id once and repeats the same acknowledgement,
/// which contains the request for the next block; it repeats its other messages by itself, but seldom.
struct GoCoap {
    acknowledgements: BTreeMap<u16, Vec<u8>>,
    body: Vec<u8>,
    /// Blocks that came under a message id of their own.
    blocks: usize,
    done: bool,
}

impl GoCoap {
    fn takes(&mut self, sim: &mut Sim, bytes: &[u8]) {
        let got = Got::parse(bytes);
        if got.kind() == ACK {
            assert_eq!(got.code(), Code::EMPTY);
            return;
        }
        if (got.kind(), got.code()) == (CON, Code::EMPTY) {
            return sim.say(empty(RST, got.id()).bytes());
        }
        assert_eq!((got.kind(), got.code(), got.token()), (CON, Code::CONTENT, TOKEN));
        if let Some(again) = self.acknowledgements.get(&got.id()) {
            return sim.say(again.clone());
        }
        let (num, more, size) = got.block(BLOCK2).unwrap();
        self.blocks += 1;
        // The client writes at the offset and cuts off what is behind.
        self.body.truncate(num as usize * size);
        self.body.extend(got.payload());
        self.done = !more;
        let answer = match more {
            true => next(ACK, got.id(), num as u32 + 1).bytes(),
            false => empty(ACK, got.id()).bytes(),
        };
        self.acknowledgements.insert(got.id(), answer.clone());
        sim.say(answer);
    }
}

/// Runs such a client against a late answer of `length` bytes.
fn run_go_coap(seed: u64, way: Way, after: Duration, length: usize) -> (Sim, GoCoap) {
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    sim.answer = Box::new(move |_| Answer::new(body(length, 1)).after(after));
    sim.server.session_opened(sim.now, FOREIGN, Some(way.delay * 2));
    let mut client = GoCoap { acknowledgements: BTreeMap::new(), body: vec![], blocks: 0, done: false };
    let request = make(CON, GET, 1).token(TOKEN).path("late").bytes();
    let end = sim.now + Duration::from_secs(3600);
    sim.say(request.clone());
    let mut repeat = Some(sim.now + 9 * SECOND);
    while !client.done && sim.now < end {
        let wait = repeat.map_or(SECOND, |at| at.saturating_duration_since(sim.now).max(MS));
        sim.run(wait, |sim| !sim.inbox.is_empty());
        while let Some(bytes) = sim.inbox.pop_front() {
            repeat = None;
            client.takes(&mut sim, &bytes);
        }
        if repeat.is_some_and(|at| at <= sim.now) {
            sim.say(request.clone());
            repeat = Some(sim.now + 9 * SECOND);
        }
    }
    (sim, client)
}

#[test]
fn late_bodies_reach_a_client_that_asks_inside_acknowledgements_whatever_is_lost() {
    let lossy = |loss, duplication, jitter| Way { loss, duplication, delay: 100 * MS, jitter, ..CLEAN };
    for (seed, way, after, length) in [
        (1, lossy(0.0, 0.0, Duration::ZERO), 2 * SECOND, 3_000),
        (2, lossy(0.0, 0.0, Duration::ZERO), 70 * SECOND, 300_000),
        (3, lossy(0.2, 0.0, Duration::ZERO), 3 * SECOND, 300_000),
        (4, lossy(0.2, 0.1, 200 * MS), 70 * SECOND, 300_000),
        (5, lossy(0.3, 0.1, 200 * MS), 3 * SECOND, 100_000),
        (6, lossy(0.0, 0.5, 900 * MS), 3 * SECOND, 100_000),
    ] {
        let (mut sim, client) = run_go_coap(seed, way, after, length);
        assert!(client.body == body(length, 1), "seed {seed}: {} of {length} bytes", client.body.len());
        assert_eq!(client.blocks, length.div_ceil(1024), "seed {seed}: each block came once");
        assert_eq!(sim.executed.len(), 1, "seed {seed}");
        sim.pass(400 * SECOND);
        assert_eq!(sim.server.open_exchanges(), 0, "seed {seed}");
        if way.loss == 0.0 && way.duplication == 0.0 {
            // Two messages for a block, one acknowledgement, one for the first request.
            assert_eq!(sim.sent.len(), 2 * length.div_ceil(1024) + 2);
        }
    }
}

/// All ways to answer, and the options of the answers. Every message of every test is checked for odd
/// numbers, which only those of blocks may have: see [`super::sim::assert_anybody_takes`].
#[test]
fn answers_hold_nothing_but_options_that_everybody_takes() {
    let mut peer = Peer::with(Limits { upload: 4096, exchanges_per_session: 2, ..Limits::default() });
    let mut numbers: Vec<u16> = Vec::new();
    let mut note = |got: Vec<Got>| {
        assert!(!got.is_empty());
        numbers.extend(got.iter().flat_map(|got| got.numbers().collect::<Vec<_>>()));
    };
    let options = lowband_transport::coap::ResponseOptions {
        content_format: Some(60),
        max_age: Some(7),
        size: Some(2000),
    };
    // Answers with a body in blocks, in one message, without a body; an error, a failure.
    for (id, length) in [(1, 2000), (2, 20), (3, 0)] {
        for code in [Code::CONTENT, Code::new(4, 29)] {
            let id = id + 100 * u16::from(code.0);
            peer.send(&make(CON, POST, id).path("x").block(BLOCK2, 0, false, 64).payload(b"x"));
            let (exchange, _) = peer.request();
            peer.server.respond_head(peer.now, exchange, code, options.clone());
            note(peer.chunk(exchange, &body(length, 1), true));
        }
    }
    peer.send(&make(CON, GET, 4).path("x"));
    let (exchange, _) = peer.request();
    peer.server.fail(peer.now, exchange, Code::INTERNAL_SERVER_ERROR, "why");
    note(peer.received());
    // Further blocks; uploads that go on, end, are too large, have lost their beginning.
    note(peer.send(&make(CON, POST, 5).path("x").block(BLOCK2, 1, false, 64).option(SIZE2, b"")));
    note(peer.send(&make(CON, PUT, 6).path("u").block(BLOCK1, 0, true, 1024).payload(&[1; 1024])));
    peer.send(&make(CON, PUT, 7).path("u").block(BLOCK1, 1, false, 1024).payload(&[1; 9]));
    let (exchange, _) = peer.request();
    note(peer.respond(exchange, b"taken"));
    note(peer.send(&make(CON, PUT, 8).path("u").block(BLOCK1, 9, true, 1024).payload(&[1; 1024])));
    let large = make(CON, PUT, 9).path("u").block(BLOCK1, 0, true, 1024).option(SIZE1, &[0xff, 0xff]);
    note(peer.send(&large.payload(&[1; 1024])));
    // Refusals for want of room.
    for id in 10..12 {
        peer.send(&make(CON, GET, id).path("slow"));
    }
    note(peer.send(&make(CON, GET, 12).path("slow")));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, [ETAG, 12, MAX_AGE, BLOCK2, BLOCK1, SIZE2, SIZE1]);
}

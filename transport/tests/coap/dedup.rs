//! Message ids that come twice (RFC 7252 section 4.5), and the bounds of the memory for them.

use super::peer::*;
use super::sim::{Answer, CLEAN, MS, SECOND, Sim, Way, get, put};
use lowband_transport::SessionId;
use lowband_transport::coap::{Code, Limits, ServerEvent, Times};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_duplicate_is_silent_while_the_answer_is_pending_and_gets_the_same_answer_after() {
    let mut peer = Peer::new();
    let request = make(CON, PUT, 1).path("send").payload(b"x");
    assert_eq!(peer.send(&request), []);
    assert_eq!(peer.send(&request), []);
    let (exchange, _) = peer.request();
    let answer = peer.respond(exchange, b"done").remove(0);
    assert_eq!((answer.kind(), answer.id(), answer.payload()), (ACK, 1, b"done".as_slice()));
    peer.wait(200 * SECOND);
    assert_eq!(peer.ask(&request), answer);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.server.counters().duplicates, 2);
}

#[test]
fn a_duplicate_after_the_early_acknowledgement_is_acknowledged_again_and_nothing_more() {
    let mut peer = Peer::new();
    let request = make(CON, PUT, 1).path("send");
    peer.send(&request);
    assert_eq!(peer.wait(500 * MS).len(), 1);
    let again = peer.ask(&request);
    assert_eq!((again.kind(), again.code(), again.id()), (ACK, Code::EMPTY, 1));
    let (exchange, _) = peer.request();
    let separate = peer.respond(exchange, b"late").remove(0);
    assert_eq!((separate.kind(), separate.token()), (CON, [0, 1].as_slice()));
    assert_eq!(peer.ask(&request).code(), Code::EMPTY);
    assert_eq!(peer.send(&empty(ACK, separate.id())), []);
    assert_eq!(peer.ask(&request).code(), Code::EMPTY);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_non_confirmable_request_is_answered_by_one_and_its_duplicate_not_at_all() {
    let mut peer = Peer::new();
    let request = make(NON, GET, 1).path("x");
    assert_eq!(peer.send(&request), []);
    let (exchange, _) = peer.request();
    assert_eq!(peer.wait(10 * SECOND), []);
    let answer = peer.respond(exchange, b"y").remove(0);
    assert_eq!((answer.kind(), answer.token(), answer.payload()), (NON, [0, 1].as_slice(), b"y".as_slice()));
    assert_eq!(peer.send(&request), []);
    assert_eq!(peer.events(), []);
    // Ids of both types share one space.
    assert_eq!(peer.send(&make(CON, GET, 1).path("x")), []);
}

#[test]
fn the_same_id_is_a_new_message_in_another_session_and_after_its_lifetime() {
    let mut peer = Peer::new();
    let request = make(CON, GET, 1).path("x");
    peer.get(1, "x", b"first");
    assert_eq!(peer.send_bytes(SessionId(2), &request.bytes()), []);
    peer.request();
    peer.wait(247 * SECOND);
    assert_eq!(peer.send(&request), []);
    peer.request();
}

#[test]
fn the_same_id_under_another_token_is_a_new_message() {
    let mut peer = Peer::new();
    let [one, two] = [b"a", b"b"].map(|token| make(CON, GET, 1).path("x").token(token));
    peer.send(&one);
    let (first, _) = peer.request();
    peer.send(&two);
    let (second, _) = peer.request();
    let second = peer.respond(second, b"second").remove(0);
    let first = peer.respond(first, b"first").remove(0);
    assert_eq!((first.token(), first.payload()), (b"a".as_slice(), b"first".as_slice()));
    assert_eq!((second.token(), second.payload()), (b"b".as_slice(), b"second".as_slice()));
    assert_eq!((peer.ask(&one), peer.ask(&two)), (first, second));
    assert_eq!(peer.events(), []);
}

#[test]
fn a_session_at_rest_has_no_state_when_the_lifetime_has_passed() {
    let mut peer = Peer::new();
    peer.get(1, "x", b"piggybacked");
    peer.send(&make(NON, GET, 2).path("x"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, b"non");
    peer.send(&make(CON, GET, 3).path("x"));
    let (exchange, _) = peer.request();
    peer.wait(SECOND);
    let separate = peer.respond(exchange, b"separate").remove(0);
    peer.send(&empty(ACK, separate.id()));
    peer.get(4, "x", &[0; 5000]);
    assert_eq!(peer.server.sessions_in_memory(), 1);
    peer.wait(248 * SECOND);
    assert_eq!((peer.server.sessions_in_memory(), peer.server.blockwise_bytes()), (0, 0));
    assert_eq!(peer.server.poll_timeout(), None);
}

#[test]
fn at_its_bound_a_session_forgets_the_oldest_answered_and_never_what_is_pending() {
    let mut peer = Peer::with(Limits { dedup_per_session: 4, ..Limits::default() });
    let pending = make(CON, GET, 100).path("slow");
    peer.send(&pending);
    let (slow, _) = peer.request();
    for id in 0..20 {
        peer.get(id, "x", b"quick");
    }
    assert_eq!(peer.server.counters().dedup_forgotten, 17);
    // The newest three are known, and the pending one.
    for id in 17..20 {
        assert_eq!(peer.ask(&make(CON, GET, id).path("x")).payload(), b"quick");
    }
    assert_eq!(peer.send(&pending), []);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.respond(slow, b"at last").len(), 1);
}

#[test]
fn a_session_remembers_no_more_bytes_of_answers_than_its_bound() {
    let mut peer = Peer::with(Limits { dedup_bytes_per_session: 3000, ..Limits::default() });
    for id in 0..5 {
        peer.get(id, "x", &[1; 1000]);
    }
    assert_eq!(peer.server.counters().dedup_forgotten, 3);
    assert_eq!(peer.ask(&make(CON, GET, 4).path("x")).payload().len(), 1000);
    assert_eq!(peer.send(&make(CON, GET, 0).path("x")), []);
    peer.request();
}

/// Sends a request of a session and its answer of 1,000 bytes.
fn served(peer: &mut Peer, session: u64, request: &Make) {
    assert_eq!(peer.send_bytes(SessionId(session), &request.bytes()), []);
    let (exchange, _) = peer.request();
    assert_eq!(peer.respond(exchange, &[0; 1000]).len(), 1);
}

#[test]
fn when_all_sessions_together_remember_too_much_a_get_is_forgotten_and_its_copy_served_again() {
    let mut peer = Peer::with(Limits { dedup_total: 4000, ..Limits::default() });
    let get = make(CON, GET, 1).path("x");
    for session in 0..20 {
        served(&mut peer, session, &get);
        assert!(peer.server.counters().remembered_bytes <= 4000);
    }
    let counters = peer.server.counters();
    assert_eq!((counters.evicted_repeatable, counters.evicted_answers, counters.evicted_ids), (18, 0, 0));
    assert_eq!(peer.send_bytes(SessionId(19), &get.bytes())[0].payload().len(), 1000, "the newest is known");
    served(&mut peer, 1, &get);
    peer.wait(247 * SECOND);
    assert_eq!((peer.server.counters().remembered_bytes, peer.server.sessions_in_memory()), (0, 0));
}

#[test]
fn a_forgotten_get_with_a_long_answer_gets_its_first_block_from_the_snapshot() {
    let mut peer = Peer::with(Limits { dedup_total: 1000, ..Limits::default() });
    let get = make(CON, GET, 1).path("big");
    let first = peer.get(1, "big", &[7; 5000]);
    assert_eq!(peer.server.counters().evicted_repeatable, 1);
    let again = peer.ask(&get);
    assert_eq!((again.option(ETAG), again.payload()), (first.option(ETAG), first.payload()));
    assert_eq!((again.kind(), again.id(), again.block(BLOCK2)), (ACK, 1, Some((0, true, 1024))));
    assert_eq!((peer.events(), peer.server.counters().snapshots), (vec![], 1));
    // Another request for the same path is a new one; so is one that has the same id after the lifetime of
    // that id.
    assert_eq!(peer.send(&make(CON, GET, 2).path("big")), []);
    let (exchange, _) = peer.request();
    peer.respond(exchange, &[8; 5000]);
    for id in 3..8 {
        peer.wait(50 * SECOND);
        peer.ask(&make(CON, GET, id).path("big").block(BLOCK2, 1, false, 1024));
    }
    assert_eq!(peer.send(&make(CON, GET, 2).path("big")), []);
    peer.request();
}

#[test]
fn what_acts_is_not_carried_out_twice_when_its_answer_has_been_forgotten_and_its_copy_is_told() {
    let mut peer = Peer::with(Limits { dedup_total: 4500, ..Limits::default() });
    let put = make(CON, PUT, 1).path("x").option(CAPABILITIES, b"\x02");
    for session in 0..4 {
        served(&mut peer, session, &put);
    }
    let copies = (0..4).map(|session| peer.send_bytes(SessionId(session), &put.bytes()).remove(0));
    let (told, known): (Vec<_>, Vec<_>) = copies.partition(|got| got.code() == Code::INTERNAL_SERVER_ERROR);
    assert!(known.iter().all(|got| got.payload().len() == 1000));
    for told in &told {
        assert_eq!((told.kind(), told.id(), told.token()), (ACK, 1, [0, 1].as_slice()));
        assert_eq!(told.number(MAX_AGE), None, "it invites nobody to try again");
        assert_eq!(told.number(CAPABILITIES), Some(2));
        assert!(String::from_utf8_lossy(told.payload()).contains("has been carried out"));
    }
    assert_eq!((told.len(), known.len(), peer.events()), (2, 2, vec![]));
    let counters = peer.server.counters();
    assert_eq!((counters.copies_without_answer, counters.duplicates), (2, 4));
    assert_eq!((counters.evicted_answers, counters.evicted_repeatable, counters.evicted_ids), (2, 0, 0));
}

#[test]
fn a_get_that_says_its_token_is_carried_out_again_and_says_nothing_new() {
    let mut peer = Peer::with(Limits { dedup_total: 2500, ..Limits::default() });
    let old = make(CON, GET, 1).path("x").option(256, b"old");
    served(&mut peer, 1, &old);
    served(&mut peer, 1, &make(CON, PUT, 2).path("x").option(256, b"new"));
    served(&mut peer, 2, &make(CON, PUT, 3).path("x"));
    assert!(peer.server.counters().evicted_answers > 0);
    let standing = |peer: &mut Peer, request: &Make| {
        assert_eq!(peer.send_bytes(SessionId(1), &request.bytes()), []);
        assert_eq!(peer.send_bytes(SessionId(1), &request.bytes()), [], "a copy while it waits");
        let events = peer.events();
        let [ServerEvent::Request { standing, .. }] = &events[..] else { panic!("{events:?}") };
        standing.access_token.as_ref().map(|token| token.as_str().to_owned())
    };
    assert_eq!(standing(&mut peer, &old).as_deref(), Some("old"));
    assert_eq!(standing(&mut peer, &make(CON, GET, 4).path("y")).as_deref(), Some("new"));
}

#[test]
fn blocks_that_are_answered_from_a_snapshot_are_not_remembered() {
    let mut peer = Peer::with(Limits { dedup_per_session: 2, ..Limits::default() });
    peer.get(1, "x", &[5; 100 << 10]);
    for num in 1..100 {
        peer.ask(&make(CON, GET, 100 + num).path("x").block(BLOCK2, num.into(), false, 1024));
    }
    assert_eq!(peer.server.counters().dedup_forgotten, 0);
    assert_eq!(peer.ask(&make(CON, GET, 1).path("x")).payload().len(), 1024);
    assert_eq!(peer.events(), []);
}

#[test]
fn blocks_that_were_waited_for_are_not_remembered_either() {
    let mut peer = Peer::with(Limits { dedup_per_session: 9, ..Limits::default() });
    peer.send(&make(CON, GET, 1).path("x"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[1; 2000], false);
    for num in 1..9 {
        let request = make(CON, GET, 100 + num).path("x").block(BLOCK2, num.into(), false, 1024);
        assert_eq!((peer.send(&request), peer.send(&request)), (vec![], vec![]), "a copy while it waits");
    }
    let answers = peer.chunk(exchange, &[1; 10_000], true);
    assert_eq!(answers.len(), 8);
    peer.get(200, "y", b"one more");
    assert_eq!(peer.server.counters().dedup_forgotten, 0);
    let again = make(CON, GET, 101).path("x").block(BLOCK2, 1, false, 1024);
    assert_eq!((peer.ask(&again).payload(), peer.events()), (answers[0].payload(), vec![]));
}

#[test]
fn the_requests_of_a_client_of_ours_are_remembered_for_as_long_as_it_sends_them_again() {
    for (seed, loss, answer) in [(1, 0.2, 1000), (2, 0.3, 1000), (3, 0.05, 20), (4, 0.2, 3000)] {
        let way = Way { loss, duplication: 0.0, delay: 20 * MS, jitter: 20 * MS, ..CLEAN };
        let mut sim = Sim::with(seed, Times::rfc7252(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(move |_| Answer::new(vec![1; answer]));
        let session = sim.open(1);
        // All requests at once, and one in ten in two blocks.
        for n in 0..1500 {
            let length = if n % 10 == 0 { 1500 } else { 50 };
            sim.client.request(sim.now, session, put(&n.to_string(), vec![1; length]));
        }
        assert!(sim.run(10_000 * SECOND, |sim| sim.results.len() == 1500), "seed {seed}");
        let failed: Vec<_> = sim.results.iter().filter(|(_, result)| result.is_err()).collect();
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
        assert!(sim.server.counters().dedup_forgotten > 1000, "seed {seed}: the bound was reached");
        assert_eq!(sim.executed.len(), 1500, "seed {seed}");
    }
}

#[test]
fn while_a_request_is_sent_again_64_others_may_begin_and_all_when_it_is_acknowledged() {
    let cut = Rc::new(Cell::new(true));
    let mut sim = Sim::new(1);
    let is_cut = Rc::clone(&cut);
    sim.lose = Box::new(move |_, bytes| is_cut.get() && bytes.windows(5).any(|part| part == b"stuck"));
    sim.answer = Box::new(|request| {
        let slow = request.options.path == ["stuck"];
        Answer::new(vec![]).after(if slow { 3600 * SECOND } else { Duration::ZERO })
    });
    let session = sim.open(1);
    let stuck = sim.request(session, get("stuck"));
    for n in 0..200 {
        sim.request(session, get(&n.to_string()));
    }
    sim.pass(20 * SECOND);
    assert_eq!(sim.results.len(), 64);
    // The acknowledgement stops the copies, although the response is far away.
    cut.set(false);
    sim.pass(60 * SECOND);
    assert_eq!((sim.results.len(), sim.results.contains_key(&stuck)), (200, false));
    assert_eq!(sim.executed.len(), 201);
}

//! When a request that waits for the upstream is acknowledged, and how a client announces that its
//! timers are short.

use super::peer::*;
use super::sim::*;
use lowband_transport::coap::{Limits, Server, Times};
use std::time::Duration;

fn slow(client: Times, delay: Duration, after: Duration) -> Sim {
    let mut sim =
        Sim::with(1, Times::measured(), client, Limits::default()).both_ways(Way { delay, ..CLEAN });
    sim.answer = Box::new(move |_| Answer::new(b"late".to_vec()).after(after));
    sim
}

/// Returns when the server acknowledged the first request, after it arrived.
fn acknowledged_after(client: Times, delay: Duration) -> Duration {
    let mut sim = slow(client, delay, 30 * SECOND);
    let session = sim.open(1);
    sim.request(session, get("sync"));
    assert!(sim.run(10 * SECOND, |sim| sim.server.counters().empty_acks > 0));
    sim.now - sim.start - delay
}

#[test]
fn a_client_with_the_times_of_the_rfc_has_its_acknowledgement_just_before_it_would_repeat() {
    for (delay, expected) in [(20, 1760), (200, 1400), (600, 600), (650, 500), (2000, 500)] {
        let waited = acknowledged_after(Times::rfc7252(), delay * MS);
        assert_eq!(waited, expected * MS, "one way takes {delay} ms");
    }
}

#[test]
fn a_client_of_ours_has_it_after_half_a_second() {
    for delay in [20, 200, 2000] {
        assert_eq!(acknowledged_after(Times::measured(), delay * MS), 500 * MS);
    }
}

#[test]
fn without_a_known_round_trip_nobody_waits_longer() {
    for round_trip in [None, Some(40 * MS)] {
        let mut peer =
            Peer { now: zero(), server: Server::new(Times::measured(), Limits::default(), [7; 32]) };
        peer.server.session_opened(peer.now, SESSION, round_trip);
        peer.send(&make(CON, GET, 1).path("slow"));
        let early = usize::from(round_trip.is_none());
        assert_eq!(peer.wait(500 * MS).len(), early);
        assert_eq!(peer.wait(1260 * MS).len(), 1 - early);
    }
}

/// An answer before the acknowledgement takes two messages; later it would take a request, an
/// acknowledgement, a response and its acknowledgement. No client repeats for it.
#[test]
fn what_is_answered_before_the_acknowledgement_takes_two_messages_and_no_copy() {
    for (after, messages) in [(0, 2), (400, 2), (1700, 2), (1800, 4), (5000, 4)] {
        let mut sim = slow(Times::rfc7252(), 20 * MS, after * MS);
        let session = sim.open(1);
        sim.request(session, get("sync"));
        sim.pass(60 * SECOND);
        assert_eq!((sim.sent.len(), sim.results.len()), (messages, 1), "after {after} ms");
    }
    for (after, messages) in [(0, 2), (400, 2), (600, 4), (5000, 4)] {
        for delay in [20, 300, 2000] {
            let mut sim = slow(Times::measured(), delay * MS, after * MS);
            let session = sim.open(1);
            sim.request(session, get("sync"));
            sim.pass(60 * SECOND);
            assert_eq!((sim.sent.len(), sim.results.len()), (messages, 1), "after {after} ms");
            assert_eq!(sim.client.counters().retransmissions, 0, "a round trip of {} ms", 2 * delay);
        }
    }
}

#[test]
fn who_repeats_a_request_early_has_short_timers_from_then_on() {
    let mut peer = Peer { now: zero(), server: Server::new(Times::measured(), Limits::default(), [7; 32]) };
    peer.server.session_opened(peer.now, SESSION, Some(40 * MS));
    let request = make(CON, GET, 1).path("slow");
    assert_eq!(peer.send(&request), []);
    peer.wait(100 * MS);
    assert_eq!(peer.send(&request), [], "the network may have doubled it");
    peer.wait(600 * MS);
    let early = peer.ask(&request);
    assert_eq!((early.kind(), early.id()), (ACK, 1));
    assert_eq!(peer.ask(&request), early);
    assert_eq!(peer.wait(10 * SECOND), []);
    peer.send(&make(CON, GET, 2).path("slow"));
    assert_eq!(peer.wait(500 * MS).len(), 1);
}

#[test]
fn the_option_is_read_bit_by_bit_and_holds_for_the_session_alone() {
    // Value, and whether it announces short timers. Unknown bits are ignored, and so are values that the
    // option cannot have.
    let rows: [(&[u8], bool); 7] = [
        (b"", false),
        (b"\x01", true),
        (b"\x02", false),
        (b"\xff", true),
        (b"\x80\x00\x00\x01", true),
        (b"\x00\x01", true),
        (b"\x00\x00\x00\x00\x01", false),
    ];
    for (value, short) in rows {
        let mut peer =
            Peer { now: zero(), server: Server::new(Times::measured(), Limits::default(), [7; 32]) };
        let other = lowband_transport::SessionId(2);
        for session in [SESSION, other] {
            peer.server.session_opened(peer.now, session, Some(40 * MS));
        }
        // Even when the request is refused: the client only learns that something has arrived.
        let refused = peer.ask(&make(CON, GET, 1).option(CAPABILITIES, value).option(65_001, b""));
        assert_eq!(refused.code().to_string(), "4.02");
        // The announcement holds long after all else about the session is forgotten.
        peer.wait(1000 * SECOND);
        for (session, short) in [(SESSION, short), (other, false)] {
            peer.send_bytes(session, &make(CON, GET, 2).path("slow").bytes());
            assert_eq!(peer.wait(500 * MS).len(), usize::from(short), "{value:?}");
            assert_eq!(peer.wait(1260 * MS).len(), usize::from(!short), "{value:?}");
        }
    }
}

#[test]
fn a_round_trip_that_becomes_known_later_changes_nothing_for_who_has_told() {
    for short in [true, false] {
        let mut peer =
            Peer { now: zero(), server: Server::new(Times::measured(), Limits::default(), [7; 32]) };
        peer.server.session_opened(peer.now, SESSION, None);
        let mut first = make(CON, GET, 1).path("x");
        if short {
            first = first.option(CAPABILITIES, b"\x01");
        }
        peer.send(&first);
        let (exchange, _) = peer.request();
        peer.respond(exchange, b"");
        // All else about the session is forgotten.
        peer.wait(1000 * SECOND);
        peer.send(&make(CON, GET, 2).path("slow"));
        let (exchange, _) = peer.request();
        assert_eq!(peer.wait(500 * MS).len(), 1);
        let separate = peer.respond(exchange, b"late").remove(0);
        peer.wait(40 * MS);
        peer.send(&empty(ACK, separate.id()));
        peer.send(&make(CON, GET, 3).path("slow"));
        assert_eq!(peer.wait(500 * MS).len(), usize::from(short));
        assert_eq!(peer.wait(1260 * MS).len(), usize::from(!short));
    }
}

/// Returns whether the first message of each request announced short timers, in the order of sending, without
/// copies.
fn told(sim: &Sim) -> Vec<bool> {
    let mut seen = Vec::new();
    let to_server = sim.sent.iter().filter(|(to, _)| *to == To::Server).map(|(_, bytes)| Got::parse(bytes));
    to_server
        .filter(|got| got.code().is_request() && got.block(BLOCK2).is_none_or(|block| block.0 == 0))
        .filter(|got| {
            !seen.contains(&got.id()) && {
                seen.push(got.id());
                true
            }
        })
        .map(|got| got.number(CAPABILITIES).is_some_and(|bits| bits & 1 == 1))
        .collect()
}

#[test]
fn our_client_tells_until_something_comes_back_and_never_again() {
    let mut sim = Sim::with(1, Times::measured(), Times::measured(), Limits::default());
    sim.answer = Box::new(|_| Answer::new(body(3000, 1)).after(SECOND));
    let session = sim.open(1);
    // Two requests announce it at once: either may be lost or overtaken. The empty acknowledgement is enough
    // for the third.
    sim.request(session, get("a"));
    sim.request(session, get("b"));
    sim.pass(600 * MS);
    sim.request(session, put("c", body(3000, 2)));
    sim.pass(60 * SECOND);
    assert_eq!(told(&sim)[..3], [true, true, false]);
    assert!(told(&sim)[3..].iter().all(|told| !told), "{:?}", told(&sim));
    // A new session has to announce short timers anew.
    let session = sim.open(2);
    sim.sent.clear();
    sim.ask(session, get("d"));
    assert_eq!(told(&sim), [true]);
}

#[test]
fn an_upload_tells_in_its_first_block_and_a_lost_answer_makes_the_next_request_tell_again() {
    let mut sim = Sim::with(1, Times::measured(), Times::measured(), Limits::default());
    sim.answer = Box::new(echo);
    let session = sim.open(1);
    sim.request(session, put("a", body(3000, 1)));
    sim.pass(10 * SECOND);
    assert_eq!(told(&sim), [true, false, false]);
    // Nothing comes back to the first request, and it is given up.
    let mut sim = Sim::with(1, Times::measured(), Times::measured(), Limits::default());
    let session = sim.open(1);
    sim.lose = Box::new(|to, _| to == To::Client);
    let lost = sim.request(session, get("a"));
    sim.pass(SECOND);
    sim.client.cancel(sim.now, lost);
    sim.lose = Box::new(|_, _| false);
    sim.ask(session, get("b"));
    sim.ask(session, get("c"));
    assert_eq!(told(&sim), [true, true, false]);
}

#[test]
fn a_client_with_the_times_of_the_rfc_has_nothing_to_tell() {
    let mut sim = Sim::with(1, Times::measured(), Times::rfc7252(), Limits::default());
    let session = sim.open(1);
    sim.ask(session, get("a"));
    assert_eq!(told(&sim), [false]);
    assert!(!Times::rfc7252().short_timers() && Times::measured().short_timers());
    assert!(Times { ack_timeout: SECOND, ..Times::rfc7252() }.short_timers());
}

#[test]
fn whatever_is_lost_the_server_knows_a_client_that_does_not_tell_any_more() {
    let way = Way { loss: 0.3, duplication: 0.2, delay: 100 * MS, jitter: 300 * MS, ..CLEAN };
    for seed in 0..40 {
        let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(|_| Answer::new(b"late".to_vec()).after(SECOND));
        let session = sim.open(1);
        for number in 0..6 {
            sim.request(session, get(&number.to_string()));
            sim.pass(u32::from(seed % 7 == 0) * 300 * MS);
        }
        sim.run(600 * SECOND, |sim| sim.results.len() == 6);
        assert!(sim.results.values().all(Result::is_ok), "seed {seed}");
        // A request that does not announce short timers, on a link that loses nothing, is acknowledged after
        // half a second.
        let clean = Way { delay: 20 * MS, ..CLEAN };
        (sim.up, sim.down) = (clean, clean);
        sim.pass(600 * SECOND);
        let (before, begin) = (sim.server.counters().empty_acks, sim.now);
        sim.sent.clear();
        sim.request(session, get("last"));
        assert_eq!(told(&sim), [false], "seed {seed}");
        sim.run(10 * SECOND, |sim| sim.server.counters().empty_acks > before);
        assert_eq!(sim.now - begin, 520 * MS, "seed {seed}");
    }
}

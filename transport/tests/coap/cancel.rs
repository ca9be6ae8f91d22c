//! Clients that go away, each in its own way: what reaches the caller, and what is left behind.

use super::peer::*;
use super::sim::{Answer, MS, SECOND, Sim, get};
use lowband_transport::coap::{Code, Limits, ServerEvent};

/// Sends a request that is acknowledged but not answered.
fn acknowledged(peer: &mut Peer, id: u16) -> lowband_transport::ExchangeId {
    peer.send(&make(CON, GET, id).path("slow"));
    let (exchange, _) = peer.request();
    assert_eq!(peer.wait(500 * MS).len(), 1);
    exchange
}

fn nothing_is_left(peer: &mut Peer) {
    assert_eq!((peer.server.open_exchanges(), peer.server.blockwise_bytes()), (0, 0));
    peer.wait(248 * SECOND);
    assert_eq!(peer.server.sessions_in_memory(), 0);
}

#[test]
fn a_closed_session_cancels_what_it_waited_for_and_nothing_else() {
    let mut peer = Peer::new();
    peer.get(1, "done", b"already");
    let waiting = acknowledged(&mut peer, 2);
    peer.send(&make(CON, GET, 3).path("big"));
    let (streaming, _) = peer.request();
    peer.head(streaming);
    peer.chunk(streaming, &[0; 3000], false);
    peer.send_bytes(lowband_transport::SessionId(2), &make(CON, GET, 1).path("other").bytes());
    let (other, _) = peer.request();
    peer.server.session_closed(peer.now, SESSION);
    let cancelled = [waiting, streaming].map(|exchange| ServerEvent::Cancelled { exchange });
    assert_eq!(peer.events(), cancelled);
    // Late answers are ignored.
    assert_eq!(peer.respond(waiting, b"late"), []);
    assert_eq!(peer.chunk(streaming, &[0; 3000], true), []);
    assert_eq!(peer.respond(other, b"x").len(), 1);
    nothing_is_left(&mut peer);
}

#[test]
fn a_reset_of_a_separate_response_ends_the_exchange() {
    let mut peer = Peer::new();
    let exchange = acknowledged(&mut peer, 1);
    let separate = peer.respond(exchange, b"late").remove(0);
    assert_eq!(peer.send(&empty(RST, separate.id())), []);
    // The caller has given its whole answer: there is nothing to stop.
    assert_eq!(peer.events(), []);
    assert_eq!(peer.server.counters().resets_in, 1);
    assert_eq!(peer.wait(100 * SECOND), []);
    nothing_is_left(&mut peer);
}

#[test]
fn a_reset_of_the_first_block_stops_the_upstream() {
    let mut peer = Peer::new();
    let exchange = acknowledged(&mut peer, 1);
    peer.head(exchange);
    let first = peer.chunk(exchange, &[0; 5000], false).remove(0);
    peer.send(&empty(RST, first.id()));
    assert_eq!(peer.events(), [ServerEvent::Cancelled { exchange }]);
    assert_eq!(peer.chunk(exchange, &[0; 5000], true), []);
    nothing_is_left(&mut peer);
}

#[test]
fn a_reset_of_a_later_block_ends_nothing_but_its_repetition() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[0; 2000], false);
    // Two requests for one block, as of a client that asks again under a new token and takes whichever answer
    // comes first.
    for id in [2, 3] {
        peer.send(&make(CON, GET, id).path("big").block(BLOCK2, 1, false, 1024));
    }
    assert_eq!(peer.wait(SECOND).len(), 2);
    let blocks = peer.chunk(exchange, &[0; 3000], false);
    assert_eq!(blocks.len(), 2);
    peer.send(&empty(ACK, blocks[0].id()));
    peer.send(&empty(RST, blocks[1].id()));
    assert_eq!(peer.events(), []);
    assert_eq!(peer.ask(&make(CON, GET, 4).path("big").block(BLOCK2, 2, false, 1024)).code(), Code::CONTENT);
    peer.chunk(exchange, &[], true);
    peer.wait(60 * SECOND);
    nothing_is_left(&mut peer);
}

#[test]
fn a_separate_response_that_nobody_acknowledges_is_given_up_after_five_copies() {
    let mut peer = Peer::new();
    let exchange = acknowledged(&mut peer, 1);
    peer.head(exchange);
    peer.chunk(exchange, &[0; 5000], false);
    let (probes, copies): (Vec<_>, Vec<_>) =
        peer.wait(93 * SECOND).into_iter().partition(|got| got.code() == Code::EMPTY);
    assert_eq!((copies.len(), probes.len()), (4, 1));
    assert!(copies.iter().all(|copy| copy.payload().len() == 1024 && copy.id() == copies[0].id()));
    assert_eq!(peer.events(), [ServerEvent::Cancelled { exchange }]);
    assert_eq!((peer.server.counters().gave_up, peer.server.counters().cancelled), (1, 1));
    nothing_is_left(&mut peer);
}

#[test]
fn a_late_copy_of_the_first_block_still_finds_the_rest_of_the_body() {
    let mut peer = Peer::new();
    let exchange = acknowledged(&mut peer, 1);
    peer.respond(exchange, &[0; 5000]);
    // The message is not given up before 62 s, and until then the client cannot ask for more.
    let copies = peer.wait(61 * SECOND);
    peer.send(&empty(ACK, copies[0].id()));
    peer.wait(59 * SECOND);
    let next = peer.ask(&make(CON, GET, 2).path("slow").block(BLOCK2, 1, false, 1024));
    assert_eq!(next.code(), Code::CONTENT);
}

#[test]
fn a_reader_that_falls_silent_stops_the_upstream_after_a_minute() {
    let mut peer = Peer::with(Limits { read_ahead: 4096, ..Limits::default() });
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[0; 10_000], false);
    assert!(!peer.server.wants_chunk(exchange));
    peer.wait(60 * SECOND);
    assert_eq!(peer.events(), [ServerEvent::Cancelled { exchange }]);
    nothing_is_left(&mut peer);
}

#[test]
fn silence_alone_does_not_end_a_request_that_waits() {
    let mut peer = Peer::new();
    let exchange = acknowledged(&mut peer, 1);
    peer.wait(3600 * SECOND);
    assert_eq!(peer.events(), []);
    let separate = peer.respond(exchange, b"after an hour").remove(0);
    assert_eq!(separate.payload(), b"after an hour");
    peer.send(&empty(ACK, separate.id()));
    nothing_is_left(&mut peer);
}

#[test]
fn a_snapshot_that_must_go_takes_its_upstream_and_its_waiters_along() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("one"));
    let (first, _) = peer.request();
    peer.head(first);
    peer.chunk(first, &[0; 3000], false);
    peer.send(&make(CON, GET, 2).path("one").block(BLOCK2, 5, false, 1024));
    // A newer answer to the same request takes its place.
    peer.send(&make(CON, GET, 3).path("one"));
    let (second, _) = peer.request();
    let answers = peer.respond(second, &[0; 3000]);
    let got: Vec<_> = answers.iter().map(|got| (got.id(), got.code())).collect();
    assert_eq!(got, [(2, Code::REQUEST_ENTITY_INCOMPLETE), (3, Code::CONTENT)]);
    assert_eq!(peer.events(), [ServerEvent::Cancelled { exchange: first }]);
}

#[test]
fn a_client_that_cancels_answers_a_late_response_with_a_reset() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(vec![0; 50_000]).after(5 * SECOND).in_chunks(1000, SECOND));
    let session = sim.open(1);
    let exchange = sim.request(session, get("sync"));
    sim.pass(SECOND);
    sim.client.cancel(sim.now, exchange);
    sim.pass(60 * SECOND);
    assert!(sim.results.is_empty());
    assert_eq!((sim.cancelled.len(), sim.server.open_exchanges()), (1, 0));
    assert_eq!(sim.client.counters().unexpected_responses, 1);
}

#[test]
fn a_cancelled_request_is_not_repeated_and_makes_room_for_the_next() {
    let limits = Limits { exchanges_per_session: 1, ..Limits::default() };
    let times = lowband_transport::coap::Times::rfc7252;
    let mut sim = Sim::with(1, times(), times(), limits);
    let session = sim.open(1);
    sim.lose = Box::new(|_, _| true);
    let first = sim.request(session, get("lost"));
    let queued = sim.request(session, get("queued"));
    let last = sim.request(session, get("last"));
    sim.pass(SECOND);
    sim.lose = Box::new(|_, _| false);
    sim.client.cancel(sim.now, queued);
    sim.client.cancel(sim.now, first);
    sim.client.cancel(sim.now, first);
    sim.pass(60 * SECOND);
    assert_eq!(sim.results.keys().collect::<Vec<_>>(), [&last]);
    assert_eq!((sim.executed.len(), sim.sent.len()), (1, 3));
}

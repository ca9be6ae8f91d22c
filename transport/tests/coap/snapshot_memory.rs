//! What bodies that are read in blocks may hold: reading stops ahead of the client, and what has been
//! read is dropped.

use super::peer::*;
use super::sim::{SECOND, body};
use super::snapshots::block;
use lowband_transport::coap::{Code, Limits, ServerEvent};

#[test]
fn reading_stops_ahead_of_the_client_and_goes_on_when_it_follows() {
    let mut peer = Peer::with(Limits { read_ahead: 8 << 10, ..Limits::default() });
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    let mut sent = 0;
    while peer.server.wants_chunk(exchange) {
        peer.chunk(exchange, &[7; 1000], false);
        sent += 1000;
    }
    assert_eq!((sent, peer.server.counters().read_paused), (10_000, 1));
    peer.ask(&block(2, 1, 1024));
    assert_eq!(peer.events(), [ServerEvent::WantsChunk { exchange }]);
    assert!(peer.server.wants_chunk(exchange));
    peer.chunk(exchange, &[7; 1000], false);
    assert!(!peer.server.wants_chunk(exchange));
    // A client that waits for the next block is not kept waiting.
    peer.send(&block(3, 10, 1024));
    assert_eq!(peer.events(), [ServerEvent::WantsChunk { exchange }]);
    // A finished answer is not asked for more.
    peer.chunk(exchange, &[7; 20_000], true);
    assert!(peer.server.wants_chunk(exchange));
    assert_eq!(peer.events(), []);
}

/// Reads one body to its end in order while the upstream is read as far as the server wants.
fn read_in_order(peer: &mut Peer, length: usize, most: usize) -> Vec<u8> {
    let whole = body(length, 1);
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    let mut chunks = whole.chunks(16 << 10).peekable();
    let mut received = Vec::new();
    let mut num = 0;
    loop {
        while peer.server.wants_chunk(exchange)
            && let Some(chunk) = chunks.next()
        {
            let last = chunks.peek().is_none();
            let answers = peer.chunk(exchange, chunk, last);
            answers.iter().for_each(|got| received.extend(got.payload()));
            assert!(peer.server.blockwise_bytes() <= most, "{}", peer.server.blockwise_bytes());
        }
        if received.len() >= length {
            return received;
        }
        num += 1;
        let asked = block(num as u16 + 100, num, 1024).token(&num.to_be_bytes());
        peer.send(&asked).iter().for_each(|got| received.extend(got.payload()));
        peer.events();
    }
}

#[test]
fn a_body_of_twenty_megabytes_is_read_in_order_through_a_share_of_four() {
    let mut peer = Peer::new();
    let received = read_in_order(&mut peer, 20 << 20, (4 << 20) + (40 << 10));
    assert!(received == body(20 << 20, 1));
    // What was read long ago is gone; the newest part can still be asked for again.
    assert_eq!(peer.ask(&block(50, 1, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.server.counters().snapshot_blocks_gone, 1);
    let near = 20_480 - 200;
    assert!(peer.ask(&block(51, near, 1024)).payload() == &received[near as usize * 1024..][..1024]);
}

#[test]
fn a_small_share_is_kept_to_as_well() {
    let limits = Limits { snapshot_bytes_per_session: 100 << 10, read_ahead: 32 << 10, ..Limits::default() };
    let mut peer = Peer::with(limits);
    assert!(read_in_order(&mut peer, 1 << 20, 120 << 10) == body(1 << 20, 1));
}

#[test]
fn a_body_below_the_share_stays_wholly_at_random_access() {
    let mut peer = Peer::new();
    let received = read_in_order(&mut peer, 4_000_000, 4 << 20);
    assert!(peer.ask(&block(9, 1, 1024)).payload() == &received[1024..2048]);
}

#[test]
fn a_session_far_over_its_share_loses_what_it_has_read_and_then_the_oldest() {
    let mut peer = Peer::with(Limits { snapshot_bytes_per_session: 100 << 10, ..Limits::default() });
    let ask = |peer: &mut Peer, id, path: &str, num| {
        peer.ask(&make(CON, GET, id).path(path).block(BLOCK2, num, false, 1024)).code()
    };
    let gone = Code::REQUEST_ENTITY_INCOMPLETE;
    peer.get(1, "a", &[0; 40 << 10]);
    peer.wait(SECOND);
    peer.get(2, "b", &[0; 40 << 10]);
    peer.get(3, "c", &[0; 40 << 10]);
    peer.wait(SECOND);
    (1..40).for_each(|num| assert_eq!(ask(&mut peer, 100 + num as u16, "b", num), Code::CONTENT));
    let three = (120 << 10)..(125 << 10);
    assert!(three.contains(&peer.server.blockwise_bytes()), "three that are being read");
    peer.get(5, "d", &[0; 40 << 10]);
    assert_eq!(ask(&mut peer, 6, "b", 1), gone, "read to its end, and too much by more than half");
    peer.get(7, "e", &[0; 40 << 10]);
    assert_eq!(ask(&mut peer, 8, "a", 1), gone, "the oldest");
    for (id, path) in (9..).zip(["c", "d", "e"]) {
        assert_eq!(ask(&mut peer, id, path, 1), Code::CONTENT);
    }
    assert!(three.contains(&peer.server.blockwise_bytes()));
    assert_eq!(peer.server.counters().snapshots_evicted, 2);
}

#[test]
fn when_the_memory_for_bodies_is_used_up_reading_stops_until_others_let_go() {
    let limits = Limits { blockwise_total: 100 << 10, upload_total: 0, ..Limits::default() };
    let mut peer = Peer::with(limits);
    let other = lowband_transport::SessionId(2);
    peer.send_bytes(other, &make(CON, GET, 1).path("big").bytes());
    let (exchange, _) = peer.request();
    peer.respond(exchange, &[0; 60 << 10]);
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[1; 24 << 10], false);
    assert!(peer.server.wants_chunk(exchange), "there is room");
    peer.chunk(exchange, &[1; 24 << 10], false);
    assert!(!peer.server.wants_chunk(exchange));
    // A client that waits is served all the same.
    peer.send(&block(2, 48, 1024));
    assert_eq!(peer.events(), [ServerEvent::WantsChunk { exchange }]);
    assert_eq!(peer.chunk(exchange, &[1; 2048], false).remove(0).id(), 2);
    assert!(!peer.server.wants_chunk(exchange));
    peer.server.session_closed(peer.now, other);
    assert_eq!(peer.events(), [ServerEvent::WantsChunk { exchange }]);
}

#[test]
fn block_requests_beyond_the_limit_of_those_that_wait_are_dropped_and_can_be_repeated() {
    let mut peer = Peer::with(Limits { waiting_blocks_per_session: 3, ..Limits::default() });
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[1; 2000], false);
    for num in 1..6 {
        assert_eq!(peer.send(&block(10 + num, num.into(), 1024)), []);
    }
    assert_eq!(peer.server.counters().waiting_blocks_dropped, 2);
    assert_eq!(peer.chunk(exchange, &[1; 10_000], true).len(), 3);
    assert_eq!(peer.ask(&block(14, 4, 1024)).code(), Code::CONTENT);
}

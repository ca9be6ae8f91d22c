//! Response bodies in blocks, block by block: any order, any size, before they have come, after
//! they are gone.

use super::peer::*;
use super::sim::{MS, SECOND, body};
use lowband_transport::coap::{BlockSize, Code, Limits, ResponseOptions};
use lowband_transport::shares::Network;

pub(crate) fn block(id: u16, num: u32, size: usize) -> Make {
    make(CON, GET, id).path("big").block(BLOCK2, num, false, size)
}

#[test]
fn a_body_that_fits_into_one_block_makes_no_snapshot() {
    let mut peer = Peer::new();
    let answer = peer.get(1, "big", &[1; 1024]);
    assert_eq!((answer.payload().len(), answer.block(BLOCK2), answer.option(ETAG)), (1024, None, None));
    assert_eq!(peer.ask(&block(2, 1, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.server.counters().snapshots, 0);
}

#[test]
fn any_block_in_any_order_any_number_of_times_comes_from_one_answer() {
    let mut peer = Peer::new();
    let whole = body(10_000, 1);
    let first = peer.get(1, "big", &whole);
    assert_eq!((first.code(), first.block(BLOCK2)), (Code::CONTENT, Some((0, true, 1024))));
    assert_eq!(first.number(SIZE2), Some(10_000));
    let etag = first.option(ETAG).unwrap().to_vec();
    assert!((2..=4).contains(&etag.len()));
    for (at, num) in [9u32, 3, 3, 1, 8, 2, 7, 4, 6, 5, 9].into_iter().enumerate() {
        let answer = peer.ask(&block(10 + at as u16, num, 1024));
        assert_eq!(answer.block(BLOCK2), Some((num.into(), num < 9, 1024)));
        assert_eq!(answer.option(ETAG), Some(etag.as_slice()));
        assert!(answer.payload() == whole.chunks(1024).nth(num as usize).unwrap());
    }
    assert_eq!(peer.events(), []);
}

#[test]
fn eight_block_requests_at_once_are_all_answered() {
    let mut peer = Peer::new();
    let whole = body(100_000, 1);
    peer.get(1, "big", &whole);
    let mut received = whole[..1024].to_vec();
    for window in (1..98).collect::<Vec<u32>>().chunks(8) {
        for num in window {
            let asked = block(100 + *num as u16, *num, 1024).bytes();
            peer.server.handle_message(peer.now, SESSION, Network::alone(1), &asked);
        }
        peer.received().iter().for_each(|got| received.extend(got.payload()));
    }
    assert!(received == whole);
}

#[test]
fn blocks_of_any_size_fit_together() {
    let mut peer = Peer::new();
    let whole = body(4000, 1);
    peer.send(&make(CON, GET, 1).path("big").block(BLOCK2, 0, false, 64));
    let (exchange, _) = peer.request();
    let first = peer.respond(exchange, &whole).remove(0);
    assert_eq!((first.payload(), first.block(BLOCK2)), (&whole[..64], Some((0, true, 64))));
    for size in [16, 32, 64, 128, 256, 512, 1024] {
        let num = 2500 / size;
        let answer = peer.ask(&block(size as u16, num as u32, size));
        assert!(answer.payload() == &whole[num * size..(num + 1) * size]);
    }
    assert_eq!(peer.server.counters().snapshots, 1);
}

#[test]
fn a_client_that_asks_for_small_blocks_gets_the_small_body_with_its_size() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("big").block(BLOCK2, 0, false, 64));
    let (exchange, _) = peer.request();
    assert_eq!(peer.respond(exchange, b"small").remove(0).block(BLOCK2), Some((0, false, 64)));
}

#[test]
fn a_server_of_small_blocks_keeps_to_them() {
    let block_size = BlockSize::from_szx(3).unwrap();
    let mut peer = Peer::with(Limits { block_size, ..Limits::default() });
    assert_eq!(peer.get(1, "big", &[0; 300]).block(BLOCK2), Some((0, true, 128)));
}

#[test]
fn blocks_of_what_is_not_known_are_4_08_and_never_reach_the_caller() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(5000, 1));
    let other = |request: Make| {
        let mut peer = Peer::new();
        peer.get(1, "big", &body(5000, 1));
        let code = peer.ask(&request).code();
        assert_eq!(peer.events(), []);
        code
    };
    let gone = Code::REQUEST_ENTITY_INCOMPLETE;
    assert_eq!(other(make(CON, GET, 2).path("other").block(BLOCK2, 1, false, 1024)), gone);
    assert_eq!(other(make(CON, POST, 2).path("big").block(BLOCK2, 1, false, 1024)), gone);
    assert_eq!(other(block(2, 1, 1024).option(15, b"q=1")), gone);
    assert_eq!(other(block(2, 1, 1024).option(17, &[50])), gone);
    assert_eq!(other(block(2, 1, 1024).option(REQUEST_TAG, b"t")), gone);
    // Options outside the cache key make no difference.
    assert_eq!(other(block(2, 1, 1024).option(256, b"token").option(12, &[42])), Code::CONTENT);
    // A snapshot of another session is not found.
    let foreign = peer.send_bytes(lowband_transport::SessionId(2), &block(2, 1, 1024).bytes()).remove(0);
    assert_eq!(foreign.code(), gone);
    assert_eq!(peer.server.counters().snapshot_unknown, 1);
}

#[test]
fn a_block_beyond_the_end_is_4_00() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(2048, 1));
    assert_eq!(peer.ask(&block(2, 1, 1024)).block(BLOCK2), Some((1, false, 1024)));
    for num in [2, 3, 0xf_ffff] {
        assert_eq!(peer.ask(&block(num as u16, num, 1024)).code(), Code::BAD_REQUEST);
    }
    let reserved = make(CON, GET, 9).path("big").option(BLOCK2, b"\x17");
    assert_eq!(peer.ask(&reserved).code(), Code::BAD_REQUEST);
    assert_eq!(peer.server.counters().snapshot_out_of_range, 3);
}

#[test]
fn a_snapshot_lives_until_a_minute_after_its_last_block_was_asked_for() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(5000, 1));
    for id in 2..5 {
        peer.wait(59 * SECOND);
        assert_eq!(peer.ask(&block(id, 1, 1024)).code(), Code::CONTENT);
    }
    peer.wait(60 * SECOND);
    assert_eq!(peer.ask(&block(9, 1, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!((peer.server.counters().snapshots_expired, peer.server.blockwise_bytes()), (1, 0));
}

#[test]
fn a_client_that_still_asks_for_its_first_block_keeps_the_body_alive() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(5000, 1));
    for size in [1024, 512, 256] {
        peer.wait(50 * SECOND);
        assert_eq!(peer.ask(&make(CON, GET, 1).path("big")).block(BLOCK2), Some((0, true, size)));
    }
    peer.wait(50 * SECOND);
    assert_eq!(peer.ask(&block(2, 1, 1024)).code(), Code::CONTENT);
}

#[test]
fn block_0_is_a_new_request_and_its_answer_takes_the_place_of_the_older() {
    let mut peer = Peer::new();
    let (old, new) = (body(5000, 1), body(5000, 2));
    let first = peer.get(1, "big", &old);
    let second = peer.get(2, "big", &new);
    assert_ne!(first.option(ETAG), second.option(ETAG));
    assert!(peer.ask(&block(3, 1, 1024)).payload() == &new[1024..2048]);
    assert!((5000..7000).contains(&peer.server.blockwise_bytes()), "one of them");
}

#[test]
fn request_tags_keep_two_answers_to_one_path_apart() {
    let mut peer = Peer::new();
    let (one, two) = (body(5000, 1), body(5000, 2));
    peer.get(1, "big", &one);
    peer.send(&make(CON, GET, 2).path("big").option(REQUEST_TAG, b"\x01"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, &two);
    assert!(peer.ask(&block(3, 1, 1024)).payload() == &one[1024..2048]);
    assert!(peer.ask(&block(4, 1, 1024).option(REQUEST_TAG, b"\x01")).payload() == &two[1024..2048]);
}

#[test]
fn one_snapshot_too_many_ends_the_oldest_and_rather_one_that_has_been_read() {
    let limits = Limits { exchanges_per_session: 2, snapshots_per_session: 1, ..Limits::default() };
    let mut peer = Peer::with(limits);
    let gone = Code::REQUEST_ENTITY_INCOMPLETE;
    let path = |num: u16| format!("big{num}");
    let ask = |peer: &mut Peer, id, num, block| {
        peer.ask(&make(CON, GET, id).path(&path(num)).block(BLOCK2, block, false, 1024)).code()
    };
    // Two snapshots for each exchange, and one more.
    for num in 0..5 {
        peer.get(num, &path(num), &body(3000, 1));
        peer.wait(SECOND);
    }
    assert_eq!(peer.server.counters().snapshots_evicted, 0);
    // Number 2 is read to its end, so it goes first although it was used last.
    (1..3).for_each(|block| assert_eq!(ask(&mut peer, 100 + block as u16, 2, block), Code::CONTENT));
    peer.get(11, &path(5), &body(3000, 1));
    assert_eq!(ask(&mut peer, 12, 2, 1), gone);
    peer.get(13, &path(6), &body(3000, 1));
    let left: Vec<_> = (0..7).filter(|num| ask(&mut peer, 30 + num, *num, 1) != gone).collect();
    assert_eq!(left, [1, 3, 4, 5, 6]);
}

#[test]
fn a_block_that_has_not_come_yet_is_answered_when_it_has() {
    let mut peer = Peer::new();
    let whole = body(4000, 1);
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    assert_eq!(peer.chunk(exchange, &whole[..1024], false), [], "whether more follows is not known yet");
    let first = peer.chunk(exchange, &whole[1024..1025], false).remove(0);
    assert_eq!((first.block(BLOCK2), first.number(SIZE2)), (Some((0, true, 1024)), None));
    // Two requests at once, the later block first; a copy of one of them.
    assert_eq!(peer.send(&block(2, 2, 1024)), []);
    assert_eq!(peer.send(&block(3, 1, 1024)), []);
    assert_eq!(peer.send(&block(3, 1, 1024)), []);
    let second = peer.chunk(exchange, &whole[1025..2500], false).remove(0);
    assert_eq!((second.id(), second.kind()), (3, ACK));
    assert!(second.payload() == &whole[1024..2048]);
    // The other one waits too long for a piggybacked answer.
    let early = peer.wait(500 * MS).remove(0);
    assert_eq!((early.kind(), early.code(), early.id()), (ACK, Code::EMPTY, 2));
    let third = peer.chunk(exchange, &whole[2500..], true).remove(0);
    assert_eq!((third.kind(), third.token()), (CON, [0, 2].as_slice()));
    assert!(third.payload() == &whole[2048..3072]);
    assert_eq!(third.number(SIZE2), Some(4000), "now it is known");
    peer.send(&empty(ACK, third.id()));
    assert!(peer.ask(&block(4, 3, 1024)).payload() == &whole[3072..]);
    assert_eq!((peer.events(), peer.server.open_exchanges()), (vec![], 0));
}

#[test]
fn a_known_length_is_told_in_the_first_block_and_again_on_request() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    let options = ResponseOptions { size: Some(9000), ..Default::default() };
    peer.server.respond_head(peer.now, exchange, Code::CONTENT, options);
    assert_eq!(peer.chunk(exchange, &[1; 4000], false).remove(0).number(SIZE2), Some(9000));
    assert_eq!(peer.ask(&block(2, 1, 1024)).number(SIZE2), None);
    assert_eq!(peer.ask(&block(3, 1, 1024).option(SIZE2, b"")).number(SIZE2), Some(9000));
}

#[test]
fn an_upstream_that_fails_in_the_middle_leaves_what_came_and_fails_the_rest() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &whole, false);
    assert_eq!(peer.send(&block(2, 2, 1024)), []);
    peer.server.fail(peer.now, exchange, Code::new(5, 2), "the upstream broke off");
    let failed = peer.received().remove(0);
    assert_eq!(
        (failed.id(), failed.code(), failed.payload()),
        (2, Code::new(5, 2), b"the upstream broke off".as_slice())
    );
    assert_eq!(peer.ask(&block(3, 1, 1024)).code(), Code::CONTENT);
    assert_eq!(peer.ask(&block(4, 3, 1024)).code(), Code::new(5, 2));
    assert_eq!((peer.events(), peer.server.counters().cancelled), (vec![], 0));
}

#[test]
fn a_long_upload_with_a_long_answer_goes_on_in_blocks_of_the_answer() {
    let mut peer = Peer::new();
    let whole = body(3000, 2);
    let block1 = |id, num, more, payload: &[u8]| {
        make(CON, POST, id).path("both").block(BLOCK1, num, more, 1024).payload(payload)
    };
    peer.ask(&block1(1, 0, true, &[0; 1024]));
    peer.send(&block1(2, 1, false, &[0; 10]));
    let (exchange, _) = peer.request();
    let answer = peer.respond(exchange, &whole).remove(0);
    assert_eq!((answer.block(BLOCK1), answer.block(BLOCK2)), (Some((1, false, 1024)), Some((0, true, 1024))));
    let next = peer.ask(&make(CON, POST, 3).path("both").block(BLOCK2, 2, false, 1024));
    assert!(next.payload() == &whole[2048..]);
    assert_eq!(peer.events(), []);
}

#[test]
fn non_confirmable_block_requests_are_answered_by_non_confirmable_messages() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(3000, 1));
    let answer = peer.ask(&make(NON, GET, 2).path("big").block(BLOCK2, 1, false, 1024));
    assert_eq!((answer.kind(), answer.token()), (NON, [0, 2].as_slice()));
}

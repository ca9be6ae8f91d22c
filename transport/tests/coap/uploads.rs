//! Request bodies in blocks, block by block: order, sizes, repetition, limits, and clients that go away.

use super::peer::*;
use super::sim::{SECOND, body};
use lowband_transport::coap::{BlockSize, Code, Limits, ServerEvent};
use std::time::Duration;

/// Makes block `num` of `whole` in blocks of `size`.
fn piece(id: u16, whole: &[u8], num: u32, size: usize) -> Make {
    let from = num as usize * size;
    let to = (from + size).min(whole.len());
    make(CON, PUT, id).path("up").block(BLOCK1, num, to < whole.len(), size).payload(&whole[from..to])
}

#[test]
fn a_body_reaches_the_caller_whole_with_its_last_block_and_not_before() {
    let mut peer = Peer::new();
    let whole = body(5000, 1);
    for num in 0..4 {
        let answer = peer.ask(&piece(num as u16, &whole, num, 1024));
        assert_eq!((answer.kind(), answer.code()), (ACK, Code::CONTINUE));
        assert_eq!(answer.block(BLOCK1), Some((num.into(), true, 1024)));
        assert_eq!(peer.events(), []);
    }
    assert_eq!(peer.send(&piece(4, &whole, 4, 1024)), []);
    assert_eq!(peer.server.blockwise_bytes(), 0);
    let (exchange, received) = peer.request();
    assert!(received == whole);
    let answer = peer.respond(exchange, b"ok").remove(0);
    assert_eq!((answer.block(BLOCK1), answer.payload()), (Some((4, false, 1024)), b"ok".as_slice()));
}

#[test]
fn repeated_blocks_are_acknowledged_and_taken_once() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    for num in [0, 1, 1, 0x10001, 0, 2, 2] {
        // A copy has the same id, a block sent anew another one.
        let id = num as u16 + (num >> 16) as u16 * 100;
        let answers = peer.send(&piece(id, &whole, num & 0xffff, 1024));
        if num & 0xffff < 2 {
            assert_eq!(answers[0].code(), Code::CONTINUE);
        }
    }
    assert!(peer.request().1 == whole);
}

#[test]
fn a_gap_is_4_08_and_the_upload_can_go_on_where_it_was() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    peer.ask(&piece(0, &whole, 0, 1024));
    assert_eq!(peer.ask(&piece(1, &whole, 2, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.ask(&piece(2, &whole, 1, 1024)).code(), Code::CONTINUE);
    assert_eq!(peer.send(&piece(3, &whole, 2, 1024)), []);
    assert!(peer.request().1 == whole);
    assert_eq!(peer.ask(&piece(4, &whole, 1, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.server.counters().upload_blocks_incomplete, 2);
}

#[test]
fn a_new_block_0_starts_a_new_body() {
    let mut peer = Peer::new();
    let (first, second) = (body(3000, 1), body(2000, 2));
    peer.ask(&piece(0, &first, 0, 1024));
    peer.ask(&piece(1, &first, 1, 1024));
    peer.ask(&piece(2, &second, 0, 1024));
    assert_eq!(peer.send(&piece(3, &second, 1, 1024)), []);
    assert!(peer.request().1 == second);
    assert_eq!(peer.server.counters().uploads_restarted, 1);
}

#[test]
fn a_late_copy_of_block_0_does_not_start_anew() {
    let mut peer = Peer::new();
    let whole = body(3000, 1);
    let first = piece(0, &whole, 0, 1024);
    peer.ask(&first);
    peer.ask(&piece(1, &whole, 1, 1024));
    assert_eq!(peer.ask(&first).code(), Code::CONTINUE);
    assert_eq!(peer.send(&piece(2, &whole, 2, 1024)), []);
    assert!(peer.request().1 == whole);
}

#[test]
fn request_tags_keep_two_uploads_to_one_path_apart() {
    let mut peer = Peer::new();
    let (first, second) = (body(3000, 1), body(3000, 2));
    for num in 0..3 {
        peer.send(&piece(num as u16, &first, num, 1024).option(REQUEST_TAG, b"1"));
        peer.send(&piece(10 + num as u16, &second, num, 1024).option(REQUEST_TAG, b""));
    }
    let bodies: Vec<_> = peer.events().into_iter().collect();
    assert!(
        matches!(&bodies[..], [ServerEvent::Request { body: one, .. }, ServerEvent::Request { body: two, .. }]
        if *one == first && *two == second)
    );
}

#[test]
fn blocks_may_become_smaller_at_a_common_border() {
    let mut peer = Peer::new();
    let whole = body(2048, 1);
    peer.ask(&piece(0, &whole, 0, 1024));
    for num in 16..31 {
        assert_eq!(peer.ask(&piece(num as u16, &whole, num, 64)).code(), Code::CONTINUE);
    }
    assert_eq!(peer.send(&piece(31, &whole, 31, 64)), []);
    assert!(peer.request().1 == whole);
}

#[test]
fn a_block_that_overlaps_what_is_there_is_no_copy_and_never_joined_to_it() {
    let mut peer = Peer::new();
    let whole = body(2112, 1);
    for num in 0..17 {
        assert_eq!(peer.ask(&piece(num as u16, &whole, num, 64)).code(), Code::CONTINUE);
    }
    // Sizes that grow: the second kilobyte, of which 64 bytes are there; as the last block, too.
    let grown = piece(17, &whole, 1, 1024);
    assert_eq!(peer.ask(&grown).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.ask(&piece(18, &whole[..1500], 1, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    // A block that has come already, sent as if it were the last.
    assert_eq!(peer.ask(&piece(19, &whole[..512], 7, 64)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.server.counters().upload_blocks_incomplete, 3);
    // A block that has come already in another size counts as a copy all the same, and the upload goes on
    // where it was.
    assert_eq!(peer.ask(&piece(20, &whole, 3, 256)).code(), Code::CONTINUE);
    assert_eq!(peer.server.counters().upload_blocks_repeated, 1);
    for num in 17..32 {
        assert_eq!(peer.ask(&piece(100 + num as u16, &whole, num, 64)).code(), Code::CONTINUE);
    }
    assert_eq!(peer.send(&piece(200, &whole, 2, 1024)), []);
    assert!(peer.request().1 == whole);
}

#[test]
fn a_server_that_wants_smaller_blocks_says_so_at_the_first() {
    let block_size = BlockSize::from_szx(2).unwrap();
    let mut peer = Peer::with(Limits { block_size, ..Limits::default() });
    let answer = peer.ask(&piece(0, &body(3000, 1), 0, 1024));
    assert_eq!((answer.code(), answer.block(BLOCK1)), (Code::CONTINUE, Some((0, true, 64))));
}

#[test]
fn payloads_that_are_not_of_the_claimed_size_are_4_00() {
    let mut peer = Peer::new();
    let block =
        |id, more, length| make(CON, PUT, id).path("up").block(BLOCK1, 0, more, 64).payload(&vec![0; length]);
    for (id, more, length) in [(0, true, 63), (1, true, 65), (2, true, 0), (3, false, 65)] {
        assert_eq!(peer.ask(&block(id, more, length)).code(), Code::BAD_REQUEST);
    }
    assert_eq!(peer.server.counters().upload_blocks_bad_size, 4);
    assert_eq!(peer.ask(&block(4, true, 64).option(BLOCK1, b"\x07")).code(), Code::BAD_OPTION);
    let reserved = make(CON, PUT, 5).path("up").option(BLOCK1, b"\x0f").payload(b"x");
    assert_eq!(peer.ask(&reserved).code(), Code::BAD_REQUEST);
    // One whole block can be a body.
    assert_eq!(peer.send(&block(6, false, 64)), []);
    assert_eq!(peer.request().1.len(), 64);
}

#[test]
fn a_body_above_the_limit_is_4_13_with_the_limit_and_its_blocks_are_let_go() {
    let mut peer = Peer::with(Limits { upload: 2048, ..Limits::default() });
    let whole = body(3000, 1);
    peer.ask(&piece(0, &whole, 0, 1024));
    peer.ask(&piece(1, &whole, 1, 1024));
    let refused = peer.ask(&piece(2, &whole, 2, 1024));
    assert_eq!((refused.code(), refused.number(SIZE1)), (Code::REQUEST_ENTITY_TOO_LARGE, Some(2048)));
    assert_eq!(peer.server.blockwise_bytes(), 0);
    // An announced size is refused at the first block; so are block numbers that lie beyond.
    let announced = piece(3, &whole, 0, 1024).option(SIZE1, &2049u32.to_be_bytes());
    assert_eq!(peer.ask(&announced).code(), Code::REQUEST_ENTITY_TOO_LARGE);
    let far = make(CON, PUT, 4).path("up").block(BLOCK1, 0xf_ffff, true, 1024).payload(&[0; 1024]);
    assert_eq!(peer.ask(&far).code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(peer.server.counters().uploads_too_large, 3);
}

#[test]
fn a_claimed_size_takes_no_memory() {
    let mut peer = Peer::new();
    peer.ask(&piece(0, &body(3000, 1), 0, 1024).option(SIZE1, &(8u32 << 20).to_be_bytes()));
    assert!(peer.server.blockwise_bytes() < 3000);
}

#[test]
fn an_upload_that_alone_takes_all_the_memory_for_uploads_is_5_03() {
    let mut peer = Peer::with(Limits { upload_total: 3300, ..Limits::default() });
    let whole = body(9000, 1);
    peer.ask(&piece(0, &whole, 0, 1024));
    peer.ask(&piece(1, &whole, 1, 1024));
    let refused = peer.ask(&piece(2, &whole, 2, 1024));
    assert_eq!((refused.code(), refused.number(MAX_AGE)), (Code::SERVICE_UNAVAILABLE, Some(5)));
    assert_eq!((peer.server.counters().uploads_no_memory, peer.server.blockwise_bytes()), (1, 0));
    assert_eq!(peer.ask(&piece(3, &whole, 0, 1024)).code(), Code::CONTINUE);
}

#[test]
fn one_upload_too_many_ends_the_one_that_was_silent_longest() {
    let mut peer = Peer::with(Limits { uploads_per_session: 2, ..Limits::default() });
    let whole = body(3000, 1);
    let tagged = |id, num, tag: &[u8]| piece(id, &whole, num, 1024).option(REQUEST_TAG, tag);
    peer.ask(&tagged(0, 0, b"a"));
    peer.wait(SECOND);
    peer.ask(&tagged(1, 0, b"b"));
    peer.wait(SECOND);
    peer.ask(&tagged(2, 1, b"a"));
    peer.ask(&tagged(3, 0, b"c"));
    assert_eq!(peer.ask(&tagged(4, 1, b"b")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.send(&tagged(5, 2, b"a")), []);
    assert!(peer.request().1 == whole);
    assert_eq!(peer.server.counters().uploads_evicted, 1);
}

#[test]
fn a_client_that_dies_in_mid_upload_leaves_nothing_behind() {
    let mut peer = Peer::new();
    let whole = body(5000, 1);
    peer.ask(&piece(0, &whole, 0, 1024));
    peer.wait(100 * SECOND);
    peer.ask(&piece(1, &whole, 1, 1024));
    peer.wait(119 * SECOND);
    assert!(peer.server.blockwise_bytes() > 2048);
    peer.wait(SECOND);
    assert_eq!((peer.server.blockwise_bytes(), peer.server.counters().uploads_expired), (0, 1));
    assert_eq!(peer.ask(&piece(2, &whole, 2, 1024)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    // An upload whose session is replaced is dropped as well.
    peer.ask(&piece(3, &whole, 0, 1024));
    peer.server.session_closed(peer.now, SESSION);
    assert_eq!((peer.server.blockwise_bytes(), peer.server.sessions_in_memory()), (0, 0));
}

/// Sends block after block, one each `every`, until one is refused or all have been sent; returns how
/// many were accepted.
fn sent_slowly(peer: &mut Peer, whole: &[u8], size: usize, every: Duration) -> usize {
    for num in 0..whole.len() / size {
        let id = (num % 60_000) as u16;
        let token = (num as u32).to_be_bytes();
        let answers = peer.send(&piece(id, whole, num as u32, size).token(&token));
        if answers.first().is_some_and(|got| got.code() != Code::CONTINUE) {
            return num;
        }
        peer.wait(every);
    }
    whole.len() / size
}

#[test]
fn the_slowest_honest_link_sends_the_largest_body_and_crumbs_keep_none_alive() {
    // 9.6 kbit/s with 1.5 s there and back are 2.4 s for each kilobyte: five and a half hours.
    let mut peer = Peer::new();
    assert_eq!(sent_slowly(&mut peer, &body(8 << 20, 1), 1024, Duration::from_millis(2400)), 8192);
    assert_eq!(peer.request().1.len(), 8 << 20);
    // One kilobyte in two minutes, 64 bytes in eight seconds.
    for (size, every, taken) in [(1024, 119, 20), (64, 8, 320), (64, 12, 27), (16, 2, 300), (16, 100, 2)] {
        let mut peer = Peer::new();
        let whole = body(size * 320.min(20_480 / size), 1);
        let sent = sent_slowly(&mut peer, &whole, size, every * SECOND);
        assert!(if taken >= 20 { sent >= 20 } else { sent == taken }, "{size} bytes each {every} s: {sent}");
        assert_eq!(
            sent == whole.len() / size,
            size >= every as usize * 8,
            "{size} bytes each {every} s: {sent}"
        );
        assert!(size >= every as usize * 8 || peer.server.counters().uploads_expired == 1);
    }
}

#[test]
fn blocks_of_one_body_have_one_content_format() {
    let format = |made: Make, format: Option<u8>| match format {
        Some(format) => made.option(12, &[format]),
        None => made,
    };
    for (first, second, is_one) in [
        (Some(60), Some(60), true),
        (Some(60), None, true),
        (None, None, true),
        (Some(60), Some(50), false),
        (Some(50), Some(60), false),
        (Some(60), Some(0), false),
        (None, Some(60), false),
    ] {
        let mut peer = Peer::new();
        let whole = body(2000, 1);
        peer.ask(&format(piece(0, &whole, 0, 1024), first));
        let answers = peer.send(&format(piece(1, &whole, 1, 1024), second));
        if is_one {
            assert!(peer.request().1 == whole, "{first:?} {second:?}");
            continue;
        }
        assert_eq!(answers[0].code(), Code::REQUEST_ENTITY_INCOMPLETE, "{first:?} {second:?}");
        assert_eq!((peer.events(), peer.server.blockwise_bytes()), (vec![], 0));
        assert_eq!(peer.server.counters().upload_blocks_other_format, 1);
        // The upload is gone: the client begins anew or not at all.
        assert_eq!(
            peer.ask(&format(piece(2, &whole, 1, 1024), first)).code(),
            Code::REQUEST_ENTITY_INCOMPLETE
        );
    }
}

#[test]
fn the_options_of_an_upload_are_those_of_its_first_block() {
    let mut peer = Peer::new();
    let whole = body(2000, 1);
    peer.ask(&piece(0, &whole, 0, 1024).option(12, &[60]).option(256, b"token").option(257, &[1]));
    peer.send(&piece(1, &whole, 1, 1024));
    let events = peer.events();
    let [ServerEvent::Request { options, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(options.authorization.as_deref(), Some("token"));
    assert_eq!((options.content_format, options.cbor_version), (Some(60), Some(1)));
}

#[test]
fn non_confirmable_blocks_are_answered_by_non_confirmable_messages() {
    let mut peer = Peer::new();
    let block = |id, num, more, payload: &[u8]| {
        make(NON, PUT, id).path("up").block(BLOCK1, num, more, 16).payload(payload)
    };
    let answer = peer.ask(&block(0, 0, true, &[1; 16]));
    assert_eq!((answer.kind(), answer.code()), (NON, Code::CONTINUE));
    assert_eq!(peer.send(&block(1, 1, false, b"end")), []);
    let (exchange, received) = peer.request();
    assert_eq!(received.len(), 19);
    assert_eq!(peer.respond(exchange, b"").remove(0).kind(), NON);
}

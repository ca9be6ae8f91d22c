//! Lists of blocks: several blocks of a body in one request, by Q-Block2, answered by one message each.

use super::peer::*;
use super::sim::{MS, SECOND, body};
use lowband_transport::coap::{Activity, Code, Limits};
use lowband_transport::{ExchangeId, SessionId};

const GONE: Code = Code::REQUEST_ENTITY_INCOMPLETE;

/// Makes a list: a non-confirmable request for these blocks of 1,024 bytes.
pub(crate) fn list(id: u16, nums: impl IntoIterator<Item = u32>) -> Make {
    named(make(NON, GET, id).path("big"), nums)
}

/// Adds blocks to a request by Q-Block2.
fn named(request: Make, nums: impl IntoIterator<Item = u32>) -> Make {
    nums.into_iter().fold(request, |made, num| made.block(Q_BLOCK2, num, false, 1024))
}

pub(crate) fn numbers(answers: &[Got]) -> Vec<u64> {
    answers.iter().map(|got| got.block(Q_BLOCK2).unwrap().0).collect()
}

/// Returns a peer that is known to take bodies in any order, and block 0 of its first body.
fn ours(whole: &[u8], limits: Limits) -> (Peer, Got) {
    let mut peer = Peer::with(limits);
    peer.send(&make(CON, GET, 1).path("big").option(CAPABILITIES, b"\x03"));
    let (exchange, _) = peer.request();
    let first = peer.respond(exchange, whole).remove(0);
    (peer, first)
}

/// Begins a body whose end has not come.
fn begin(peer: &mut Peer, id: u16, bytes: &[u8]) -> ExchangeId {
    peer.send(&make(CON, GET, id).path("big").option(CAPABILITIES, b"\x03"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, bytes, false);
    exchange
}

#[test]
fn each_block_of_a_list_comes_once_in_order_as_a_message_of_its_own() {
    let whole = body(20_000, 1);
    let (mut peer, first) = ours(&whole, Limits::default());
    assert_eq!((first.block(BLOCK2), first.number(SIZE2)), (Some((0, true, 1024)), Some(20_000)));
    let asked = [0, 1, 5, 6, 19];
    let answers = peer.send(&list(7, asked));
    assert_eq!(numbers(&answers), asked.map(u64::from));
    for (got, num) in answers.iter().zip(asked) {
        assert_eq!((got.kind(), got.token(), got.code()), (NON, [0, 7].as_slice(), Code::CONTENT));
        assert_eq!(got.block(Q_BLOCK2), Some((num.into(), num < 19, 1024)));
        assert_eq!((got.option(ETAG), got.option(BLOCK2)), (first.option(ETAG), None));
        assert_eq!((got.number(SIZE2), got.number(CAPABILITIES)), (None, None), "they have been told");
        assert!(got.payload() == whole.chunks(1024).nth(num as usize).unwrap());
    }
    let ids: std::collections::BTreeSet<_> = answers.iter().map(Got::id).collect();
    assert_eq!((ids.len(), peer.events()), (5, vec![]));
    assert!(peer.send(&list(8, [3]).option(SIZE2, b""))[0].number(SIZE2) == Some(20_000));
    let counters = peer.server.counters();
    assert_eq!((counters.block_lists, counters.snapshot_blocks, counters.snapshot_blocks_again), (2, 7, 1));
}

#[test]
fn a_peer_that_has_not_named_itself_gets_the_size_with_each_block() {
    let mut peer = Peer::new();
    peer.get(1, "big", &body(5000, 1));
    let answers = peer.send(&list(2, [1, 4]));
    assert_eq!(numbers(&answers), [1, 4]);
    assert!(answers.iter().all(|got| got.number(SIZE2) == Some(5000)));
}

#[test]
fn what_is_no_list_is_refused_and_what_lies_beyond_the_end_is_left_out() {
    let (mut peer, _) = ours(&body(5000, 1), Limits::default());
    assert_eq!(numbers(&peer.send(&list(2, [3, 4, 5, 9]))), [3, 4]);
    let refused = |peer: &mut Peer, request: &Make| {
        let refusal = peer.ask(request);
        assert_eq!((refusal.kind(), refusal.option(Q_BLOCK2)), (NON, None));
        refusal.code()
    };
    assert_eq!(refused(&mut peer, &list(3, [5, 9])), Code::BAD_REQUEST, "all lie beyond the end");
    assert_eq!(refused(&mut peer, &list(4, 1..=17)), Code::BAD_REQUEST);
    assert_eq!(refused(&mut peer, &list(5, [2, 2])), Code::BAD_REQUEST);
    assert_eq!(refused(&mut peer, &list(6, [3, 2])), Code::BAD_REQUEST);
    assert_eq!(refused(&mut peer, &list(7, [1]).block(Q_BLOCK2, 2, false, 512)), Code::BAD_REQUEST);
    assert_eq!(refused(&mut peer, &list(8, [1]).option(15, b"another=1")), GONE);
    // Options of both kinds in one message (RFC 9177 section 4.1).
    assert_eq!(peer.send(&list(9, [1]).block(BLOCK2, 1, false, 1024)), []);
    let mixed = named(make(CON, GET, 10).path("big"), [1]).block(BLOCK2, 1, false, 1024);
    assert_eq!(peer.ask(&mixed).code(), Code::BAD_OPTION);
    // Q-Block1 is not spoken.
    assert_eq!(peer.ask(&make(CON, PUT, 11).path("big").option(19, b"\x0e")).code(), Code::BAD_OPTION);
    let reset = peer.ask(&make(NON, PUT, 12).path("big").option(19, b"\x0e"));
    assert_eq!((reset.kind(), reset.id()), (RST, 12));
    assert_eq!(peer.events(), []);
}

#[test]
fn blocks_that_have_not_come_are_answered_when_they_do() {
    let whole = body(6000, 1);
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1, &whole[..2500]);
    assert_eq!(numbers(&peer.send(&list(2, [1, 2, 3, 5, 6]))), [1]);
    assert_eq!(numbers(&peer.chunk(exchange, &whole[2500..4000], false)), [2]);
    // Who asks again for what still waits gets it once, under the newest token.
    assert_eq!(peer.send(&list(3, [3])), []);
    peer.wait(90 * SECOND);
    let rest = peer.chunk(exchange, &whole[4000..], true);
    assert_eq!(numbers(&rest), [5, 3], "6 lies beyond the end");
    assert_eq!(rest.iter().map(Got::token).collect::<Vec<_>>(), [[0, 2], [0, 3]]);
    assert!(rest[1].payload() == &whole[3072..4096]);
    assert_eq!((peer.events(), peer.wait(10 * SECOND)), (vec![], vec![]));
}

#[test]
fn a_list_whose_blocks_never_come_gets_one_refusal() {
    // The upstream fails; the body ends; a newer one takes its place; its session's memory goes to another.
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1, &body(2000, 1));
    peer.send(&list(2, [1, 2, 3]));
    peer.server.fail(peer.now, exchange, Code::new(5, 2), "broken off");
    let failed = peer.received();
    assert_eq!(failed.iter().map(Got::code).collect::<Vec<_>>(), [Code::new(5, 2)]);
    assert_eq!((failed[0].token(), failed[0].option(Q_BLOCK2)), ([0, 2].as_slice(), None));

    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1, &body(2000, 1));
    peer.send(&list(2, [2, 3, 4]));
    let ended = peer.chunk(exchange, b"", true);
    assert_eq!(ended.iter().map(Got::code).collect::<Vec<_>>(), [Code::BAD_REQUEST]);

    let mut peer = Peer::new();
    begin(&mut peer, 1, &body(2000, 1));
    peer.send(&list(2, [2, 3]));
    peer.send(&make(CON, GET, 3).path("big"));
    let newer = peer.events().into_iter().find_map(|event| match event {
        lowband_transport::coap::ServerEvent::Request { exchange, .. } => Some(exchange),
        _ => None,
    });
    let answers = peer.respond(newer.unwrap(), &body(2000, 2));
    let refused: Vec<_> = answers.iter().filter(|got| got.token() == [0, 2]).map(Got::code).collect();
    assert_eq!((refused, answers.len()), (vec![GONE], 2));
    assert_eq!(peer.server.counters().bodies_given_up, 1);
}

#[test]
fn each_block_that_waits_counts_and_another_session_has_its_own() {
    let mut peer = Peer::with(Limits { waiting_blocks_per_session: 20, ..Limits::default() });
    let exchange = begin(&mut peer, 1, &[1; 2000]);
    for id in 0..10 {
        assert_eq!(peer.send(&list(10 + id, (1..17).map(|num| num + 16 * u32::from(id)))), []);
    }
    assert_eq!(peer.server.counters().waiting_blocks_dropped, 140);
    assert_eq!(peer.send(&make(CON, GET, 50).path("big").block(BLOCK2, 30, false, 1024)), []);
    assert_eq!(peer.server.counters().waiting_blocks_dropped, 141, "the limit is one for both");
    let other = SessionId(2);
    peer.send_bytes(other, &make(CON, GET, 1).path("big").bytes());
    let (neighbour, _) = peer.request();
    peer.head(neighbour);
    peer.chunk(neighbour, &[2; 2000], false);
    assert_eq!(peer.send_bytes(other, &list(2, 1..11).bytes()), []);
    assert_eq!(numbers(&peer.chunk(neighbour, &[2; 9000], true)), (1..11).collect::<Vec<_>>());
    assert_eq!(numbers(&peer.chunk(exchange, &[1; 200_000], true)), (1..21).collect::<Vec<_>>());
    peer.wait(61 * SECOND);
    assert_eq!((peer.server.blockwise_bytes(), peer.events()), (0, vec![]));
}

#[test]
fn a_copy_that_the_network_made_of_a_list_is_not_answered_and_pushes_nothing_out() {
    let limits = Limits { dedup_per_session: 4, ..Limits::default() };
    let (mut peer, _) = ours(&body(20_000, 1), limits);
    peer.send(&make(CON, PUT, 2).path("acts").payload(b"x"));
    let (exchange, _) = peer.request();
    let done = peer.respond(exchange, b"done");
    for id in 100..400 {
        assert_eq!(peer.send(&list(id, 1..17)).len(), 16);
        assert_eq!(peer.send(&list(id, 1..17)), []);
    }
    assert_eq!(peer.send(&make(CON, PUT, 2).path("acts").payload(b"x")), done, "a small one is remembered");
    // A confirmable list needs its acknowledgement, so its copy is answered again.
    let mut peer = Peer::new();
    peer.get(1, "big", &body(5000, 1));
    let confirmable = named(make(CON, GET, 2).path("big"), [1, 2]);
    for _ in 0..2 {
        let answers = peer.send(&confirmable);
        assert_eq!(
            answers.iter().map(|got| (got.kind(), got.id() == 2)).collect::<Vec<_>>(),
            [(ACK, true), (NON, false)]
        );
        assert_eq!(numbers(&answers), [1, 2]);
    }
}

#[test]
fn a_list_beside_the_request_that_begins_a_body_saves_a_round_trip() {
    let whole = body(5000, 1);
    let (mut peer, _) = ours(b"short", Limits::default());
    let request = named(make(CON, GET, 2).path("big"), 1..10);
    peer.send(&request);
    let (exchange, _) = peer.request();
    let answers = peer.respond(exchange, &whole);
    let (first, listed) = answers.split_first().unwrap();
    assert_eq!((first.kind(), first.block(BLOCK2)), (ACK, Some((0, true, 1024))));
    assert_eq!(numbers(listed), [1, 2, 3, 4], "others do not exist, which is no mistake");
    assert!(listed.iter().all(|got| (got.kind(), got.token()) == (NON, [0, 2].as_slice())));
    assert!(answers.iter().flat_map(Got::payload).eq(&whole));
    assert_eq!(peer.ask(&request), *first, "a copy gets the first block again, and nothing else");
    // Although the last answer is known, the request is a new one.
    peer.send(&named(make(CON, GET, 3).path("big"), 1..10));
    let (exchange, _) = peer.request();
    assert_eq!(peer.respond(exchange, b"short now").len(), 1);
    // Nothing but the request itself is told of a failure.
    peer.send(&named(make(CON, GET, 4).path("big"), 1..10));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    assert_eq!(numbers(&peer.chunk(exchange, &whole[..2500], false)[1..]), [1]);
    peer.server.fail(peer.now, exchange, Code::new(5, 2), "broken off");
    assert_eq!(peer.received(), []);
}

#[test]
fn a_late_first_block_is_repeated_although_later_ones_are_asked_for() {
    let (mut peer, _) = ours(b"short", Limits::default());
    peer.send(&named(make(CON, GET, 2).path("big"), 1..3));
    let (exchange, _) = peer.request();
    peer.wait(2 * SECOND);
    let answers = peer.respond(exchange, &body(9000, 1));
    assert_eq!((answers[0].kind(), answers[0].block(BLOCK2)), (CON, Some((0, true, 1024))));
    // The first block is lost, and the others arrive.
    assert_eq!(numbers(&peer.send(&list(3, 3..5))), [3, 4]);
    assert_eq!(peer.wait(4 * SECOND), [answers[0].clone()]);
    peer.send(&empty(ACK, answers[0].id()));
    assert_eq!(peer.wait(60 * SECOND), []);
}

#[test]
fn lists_keep_to_the_blocks_that_their_session_takes() {
    let whole = body(5000, 1);
    let mut peer = Peer::new();
    peer.server.limit_messages(SESSION, 512);
    peer.send(&make(CON, GET, 1).path("x").option(CAPABILITIES, b"\x03"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, b"short");
    peer.send(&named(make(CON, GET, 2).path("big"), 1..5));
    let (exchange, _) = peer.request();
    let answers = peer.respond(exchange, &whole);
    assert_eq!(answers[0].block(BLOCK2), Some((0, true, 256)));
    assert_eq!(numbers(&answers[1..]), [1, 2, 3, 4], "the next ones in the size of the first");
    assert!(answers.iter().flat_map(Got::payload).eq(&whole[..5 * 256]));
    // As with Block2, a block keeps its place.
    let cut = peer.send(&list(3, [2, 3]));
    assert_eq!(
        cut.iter().map(|got| got.block(Q_BLOCK2).unwrap()).collect::<Vec<_>>(),
        [(8, true, 256), (12, true, 256)]
    );
    assert!(cut[1].payload() == &whole[3072..3328]);
    // A small list makes the first block small as well.
    let (mut peer, _) = ours(b"short", Limits::default());
    let request = make(CON, GET, 2).path("big").block(Q_BLOCK2, 1, false, 256);
    peer.send(&request);
    let (exchange, _) = peer.request();
    assert_eq!(peer.respond(exchange, &whole)[0].block(BLOCK2), Some((0, true, 256)));
}

#[test]
fn a_list_is_held_to_the_access_token_of_its_body() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("big").option(AUTHORIZATION, b"alice"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, &body(5000, 1));
    assert_eq!(numbers(&peer.send(&list(2, [1]).option(AUTHORIZATION, b"alice"))), [1]);
    assert_eq!(peer.ask(&list(3, [1]).option(AUTHORIZATION, b"bob")).code(), GONE);
    // What sticks is the newer one all the same; the body does not bring the older one back.
    peer.send(&list(4, [1]).option(AUTHORIZATION, b"alice"));
    peer.send(&make(CON, GET, 5).path("other"));
    let events = peer.events();
    let token = events.iter().find_map(|event| match event {
        lowband_transport::coap::ServerEvent::Request { standing, .. } => standing.access_token.clone(),
        _ => None,
    });
    assert_eq!(token.map(|token| token.as_str().to_owned()), Some("bob".to_owned()));
}

#[test]
fn a_hole_that_is_asked_for_again_is_kept_however_far_the_client_is() {
    // A quarter of the share is kept behind the client, and what it has not asked for lately is not.
    let limits = Limits {
        snapshot_bytes_per_session: 4 << 20,
        blockwise_total: 16 << 20,
        upload_total: 0,
        ..Limits::default()
    };
    let whole = body(12 << 20, 1);
    let mut peer = Peer::with(limits);
    let exchange = begin(&mut peer, 1, &whole[..5 << 20]);
    let mut fed = 5 << 20;
    for num in 1..12_000 {
        let answers = peer.send(&list(num as u16 + 10, [num]));
        assert_eq!(numbers(&answers), [u64::from(num)]);
        // Every two hundred blocks block 100 is asked for once more, as long as that is near.
        if num % 200 == 0 && num < 1000 {
            assert_eq!(numbers(&peer.send(&list(num as u16 + 20_000, [100]))), [100], "{num}");
        }
        if peer.server.wants_chunk(exchange) && fed < whole.len() {
            let end = (fed + (64 << 10)).min(whole.len());
            peer.chunk(exchange, &whole[fed..end], end == whole.len());
            fed = end;
        }
    }
    assert!(peer.server.blockwise_bytes() < 5 << 20);
    assert_eq!(peer.ask(&list(50_000, [100])).code(), GONE, "that was long ago");
}

#[test]
fn a_body_is_read_when_each_of_its_blocks_has_been_sent() {
    let (mut peer, _) = ours(&body(5000, 1), Limits::default());
    peer.send(&list(2, [4]));
    assert_eq!(peer.server.open_exchanges(), 1, "the last block alone says nothing");
    peer.send(&list(3, [1, 2]));
    assert_eq!(peer.server.open_exchanges(), 1);
    peer.send(&list(4, [3]));
    assert_eq!(peer.server.open_exchanges(), 0);
    peer.wait(61 * SECOND);
    assert_eq!((peer.server.counters().snapshots_expired, peer.server.counters().bodies_given_up), (1, 0));
    // One that is not read to its end, by silence and by the end of its session.
    for ends in [true, false] {
        let (mut peer, _) = ours(&body(5000, 1), Limits::default());
        peer.send(&list(2, [1, 4]));
        if ends {
            peer.server.session_closed(peer.now, SESSION);
        }
        peer.wait(61 * SECOND);
        assert_eq!(peer.server.counters().bodies_given_up, 1);
    }
}

#[test]
fn a_client_that_may_miss_blocks_is_not_at_rest_at_once() {
    let (mut peer, _) = ours(&body(5000, 1), Limits::default());
    let activity = |peer: &Peer| peer.server.activity(SESSION, peer.now - 5 * SECOND);
    peer.send(&list(2, 1..5));
    assert_eq!((peer.server.open_exchanges(), activity(&peer)), (0, Activity::Busy));
    peer.wait(4 * SECOND);
    peer.send(&list(3, [2]));
    peer.wait(4 * SECOND);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.wait(SECOND);
    assert_eq!(activity(&peer), Activity::AtRest);
}

#[test]
fn a_silent_list_keeps_its_snapshot_only_as_long_as_the_upstream_is_at_it() {
    let mut peer = Peer::new();
    let exchange = begin(&mut peer, 1, &[1; 2000]);
    peer.send(&list(2, [5]));
    peer.wait(200 * SECOND);
    assert_eq!(numbers(&peer.chunk(exchange, &[1; 10_000], true)), [5]);
    peer.wait(59 * SECOND);
    assert_eq!(numbers(&peer.send(&list(3, [6]))), [6]);
    peer.wait(60 * SECOND + MS);
    assert_eq!(peer.ask(&list(4, [6])).code(), GONE);
}

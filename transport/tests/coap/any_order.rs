//! Request bodies whose blocks come in any order, from clients that say that they know such bodies, block by
//! block: gaps, copies, sizes, the last block that waits, limits.

use super::peer::*;
use super::sim::{SECOND, body};
use lowband_transport::coap::{Activity, Code, Limits, ServerEvent};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::numbers::{ANY_ORDER, CAPABILITIES, SHORT_TIMERS};
use proptest::prelude::*;

pub(crate) const INCOMPLETE: Code = Code::REQUEST_ENTITY_INCOMPLETE;

/// Makes a server to whom a client has named itself.
pub(crate) fn named(limits: Limits) -> Peer {
    let mut peer = Peer::with(limits);
    name(&mut peer, SESSION, Network::alone(SESSION.0));
    peer
}

pub(crate) fn name(peer: &mut Peer, session: SessionId, network: Network) {
    let hello =
        make(CON, GET, 60_000).path("hello").option(CAPABILITIES, &[(SHORT_TIMERS | ANY_ORDER) as u8]);
    peer.send_from(session, network, &hello);
    let (exchange, _) = peer.request();
    peer.respond(exchange, b"");
}

/// Makes block `num` of `whole` in blocks of `size`, under a Request-Tag.
pub(crate) fn tagged(id: u16, whole: &[u8], num: u32, size: usize, tag: &[u8]) -> Make {
    let from = num as usize * size;
    let to = (from + size).min(whole.len());
    let made = make(CON, PUT, id).path("up").option(REQUEST_TAG, tag);
    made.block(BLOCK1, num, to < whole.len(), size).payload(&whole[from..to])
}

pub(crate) fn piece(id: u16, whole: &[u8], num: u32) -> Make {
    tagged(id, whole, num, 1024, b"1")
}

fn code(answers: &[Got]) -> Code {
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].code()
}

/// Returns the code that a last block gets which was waiting, among messages that have come.
pub(crate) fn refused(answers: &[Got], last: u16) -> Code {
    code(&answers.iter().filter(|got| got.token() == last.to_be_bytes()).cloned().collect::<Vec<_>>())
}

#[test]
fn blocks_in_any_order_make_one_request_which_the_last_block_s_answer_ends() {
    let whole = body(4500, 1);
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [4, 0, 1, 2, 3], [1, 0, 3, 4, 2]] {
        let mut peer = named(Limits::default());
        for (at, num) in order.into_iter().enumerate() {
            assert_eq!(peer.events(), [], "{order:?}");
            let answers = peer.send(&piece(num as u16, &whole, num));
            if num == 4 {
                assert_eq!(answers, [], "{order:?}");
            } else {
                assert_eq!((answers[0].kind(), answers[0].code(), answers.len()), (ACK, Code::CONTINUE, 1));
                assert_eq!(answers[0].block(BLOCK1), Some((num.into(), true, 1024)), "{order:?}");
            }
            assert_eq!(peer.server.counters().requests, 1 + u64::from(at == 4));
        }
        let (exchange, received) = peer.request();
        assert!(received == whole, "{order:?}");
        let answer = peer.respond(exchange, b"ok").remove(0);
        assert_eq!((answer.kind(), answer.id(), answer.payload()), (ACK, 4, b"ok".as_slice()));
        assert_eq!(answer.block(BLOCK1), Some((4, false, 1024)));
    }
}

#[test]
fn a_last_block_that_waits_is_acknowledged_and_answered_when_the_body_is_whole() {
    let mut peer = named(Limits::default());
    let whole = body(3000, 1);
    let last = piece(2, &whole, 2);
    assert_eq!(peer.send(&last), []);
    assert_eq!(peer.send(&last), [], "a copy waits with it");
    let acknowledged = peer.wait(SECOND);
    assert_eq!((acknowledged[0].kind(), acknowledged[0].code(), acknowledged.len()), (ACK, Code::EMPTY, 1));
    peer.ask(&piece(1, &whole, 1));
    assert_eq!(peer.ask(&last), acknowledged[0], "so are its copies");
    assert_eq!(peer.ask(&piece(0, &whole, 0)).code(), Code::CONTINUE);
    let (exchange, received) = peer.request();
    assert!(received == whole);
    let answer = peer.respond(exchange, b"ok").remove(0);
    assert_eq!((answer.kind(), answer.token(), answer.payload()), (CON, &2u16.to_be_bytes()[..], &b"ok"[..]));
    peer.send(&empty(ACK, answer.id()));
    peer.ask(&last);
    assert_eq!((peer.events(), peer.server.open_exchanges()), (vec![], 0));
}

#[test]
fn what_comes_after_the_end_begins_nothing() {
    let mut peer = named(Limits::default());
    let whole = body(3000, 1);
    for num in [1, 2, 0] {
        peer.send(&piece(num as u16, &whole, num));
    }
    let (exchange, _) = peer.request();
    peer.respond(exchange, b"ok");
    for (at, num) in [0, 1, 0, 1].into_iter().enumerate() {
        let late = peer.ask(&piece(10 + at as u16, &whole, num));
        assert_eq!((late.code(), late.block(BLOCK1)), (Code::CONTINUE, Some((num.into(), true, 1024))));
    }
    assert_eq!(peer.server.counters().upload_blocks_repeated, 4);
    // A last block acts, and is refused under a new message id; the same message is a copy.
    assert_eq!(peer.ask(&piece(20, &whole, 2)).code(), INCOMPLETE);
    assert_eq!(peer.ask(&piece(2, &whole, 2)).payload(), b"ok");
    assert_eq!(peer.events(), []);
    assert_eq!(peer.server.activity(SESSION, peer.now), Activity::AtRest);
    assert!(peer.server.blockwise_bytes() < 200, "{}", peer.server.blockwise_bytes());
    // Another tag is another body.
    assert_eq!(peer.send(&tagged(30, &whole, 0, 1024, b"2"))[0].code(), Code::CONTINUE);
    peer.wait(400 * SECOND);
    assert_eq!((peer.server.blockwise_bytes(), peer.server.counters().uploads_expired), (0, 1));
}

#[test]
fn only_a_client_that_has_named_itself_and_tags_its_bodies_sends_in_any_order() {
    let whole = body(3000, 1);
    let mut peer = Peer::new();
    assert_eq!(peer.ask(&piece(1, &whole, 1)).code(), INCOMPLETE);
    name(&mut peer, SESSION, Network::alone(SESSION.0));
    assert_eq!(peer.ask(&piece(2, &whole, 1)).code(), Code::CONTINUE);
    let untagged = make(CON, PUT, 3).path("up").block(BLOCK1, 1, true, 1024).payload(&whole[1024..2048]);
    assert_eq!(peer.ask(&untagged).code(), INCOMPLETE);
    // Nobody else of the same network.
    let bytes = piece(4, &whole, 1).bytes();
    assert_eq!(code(&peer.send_bytes(SessionId(2), &bytes)), INCOMPLETE);
    // The name may come with the block itself.
    let bytes = piece(5, &whole, 1).option(CAPABILITIES, &[ANY_ORDER as u8]).bytes();
    assert_eq!(code(&peer.send_bytes(SessionId(3), &bytes)), Code::CONTINUE);
    // It lasts while the session rests.
    peer.wait(1000 * SECOND);
    assert_eq!(code(&peer.send_bytes(SessionId(3), &piece(6, &whole, 1).bytes())), Code::CONTINUE);
}

#[test]
fn blocks_may_become_smaller_and_overlap_what_has_come() {
    let mut peer = named(Limits::default());
    let whole = body(5000, 1);
    peer.ask(&piece(0, &whole, 0));
    peer.ask(&piece(3, &whole, 3));
    // The path has narrowed: from 2048 on in halves, the large block among them comes late.
    assert_eq!(peer.ask(&tagged(10, &whole, 5, 512, b"1")).code(), Code::CONTINUE);
    assert_eq!(peer.ask(&piece(2, &whole, 2)).code(), Code::CONTINUE);
    assert_eq!(peer.ask(&tagged(11, &whole, 4, 512, b"1")).code(), Code::CONTINUE);
    assert_eq!(peer.ask(&tagged(12, &whole, 7, 512, b"1")).code(), Code::CONTINUE);
    assert_eq!(peer.ask(&tagged(13, &whole, 8, 512, b"1")).code(), Code::CONTINUE);
    assert_eq!(peer.send(&tagged(14, &whole, 9, 512, b"1")), []);
    assert_eq!(peer.ask(&tagged(15, &whole, 2, 512, b"1")).code(), Code::CONTINUE);
    assert_eq!(peer.ask(&tagged(16, &whole, 3, 512, b"1")).code(), Code::CONTINUE);
    assert!(peer.request().1 == whole);
    assert_eq!(peer.server.counters().upload_blocks_repeated, 2);
}

#[test]
fn a_last_block_that_is_sent_anew_takes_the_place_of_the_one_before() {
    let mut peer = named(Limits::default());
    let whole = body(3000, 1);
    peer.send(&piece(2, &whole, 2));
    peer.ask(&piece(0, &whole, 0));
    let answers = peer.send(&tagged(3, &whole, 5, 512, b"1"));
    assert_eq!(refused(&answers, 2), INCOMPLETE);
    assert_eq!(peer.ask(&piece(1, &whole, 1)).code(), Code::CONTINUE);
    let (exchange, received) = peer.request();
    assert!(received == whole);
    assert_eq!(peer.respond(exchange, b"ok").remove(0).id(), 3);
    // So does one that makes the body whole.
    for (id, num) in [(10, 2), (11, 1)] {
        peer.send(&tagged(id, &whole, num, 1024, b"2"));
    }
    peer.ask(&tagged(12, &whole, 0, 512, b"2"));
    let rest = tagged(13, &whole, 1, 512, b"2");
    assert_eq!(peer.ask(&rest).code(), Code::CONTINUE);
    let (exchange, _) = peer.request();
    assert_eq!(peer.respond(exchange, b"ok").remove(0).id(), 10);
}

#[test]
fn blocks_that_contradict_each_other_end_their_upload() {
    let whole = body(3000, 1);
    let mut other = whole.clone();
    other[1500] ^= 1;
    let longer = body(9000, 1);
    let untold = |made: Make, num, more| made.block(BLOCK1, num, more, 1024);
    let bare = |id| make(CON, PUT, id).path("up").option(REQUEST_TAG, b"1");
    let rows: [(&str, Vec<Make>, Make); 5] = [
        ("other bytes", vec![piece(1, &whole, 1)], piece(9, &other, 1)),
        ("another end", vec![piece(2, &whole, 2)], untold(bare(9), 1, false).payload(&whole[1024..1500])),
        ("a block beyond the end", vec![piece(2, &whole, 2)], piece(9, &longer, 3)),
        ("an end before a block", vec![piece(7, &longer, 7)], piece(9, &whole, 2)),
        ("a block before as the end", vec![piece(1, &whole, 1), piece(2, &whole, 2)], {
            untold(bare(9), 1, false).payload(&whole[1024..2048])
        }),
    ];
    for (what, before, contradicts) in rows {
        let mut peer = named(Limits::default());
        let waits = before.iter().any(|made| !Got::parse(&made.bytes()).block(BLOCK1).unwrap().1);
        before.iter().for_each(|made| assert!(peer.send(made).len() <= 1));
        let answers = peer.send(&contradicts);
        assert_eq!(refused(&answers, 9), INCOMPLETE, "{what}");
        if waits {
            assert_eq!(refused(&answers, 2), INCOMPLETE, "{what}");
        }
        assert_eq!(peer.server.counters().upload_blocks_contradictory, 1, "{what}");
        assert_eq!(peer.ask(&piece(20, &whole, 0)).code(), INCOMPLETE, "{what}");
        assert!(peer.events().is_empty() && peer.server.blockwise_bytes() < 200, "{what}");
    }
}

#[test]
fn options_come_with_block_0_whenever_that_comes() {
    let whole = body(2500, 1);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let mut peer = named(Limits::default());
        for num in order {
            let made = piece(num as u16, &whole, num);
            let first = |made: Make| made.option(12, &[60]).option(AUTHORIZATION, b"token").option(257, &[1]);
            peer.send(&if num == 0 { first(made) } else { made });
        }
        let events = peer.events();
        let [ServerEvent::Request { options, standing, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((options.content_format, options.cbor_version), (Some(60), Some(1)), "{order:?}");
        assert_eq!(standing.access_token.as_ref().map(|token| token.as_str()), Some("token"), "{order:?}");
    }
}

#[test]
fn blocks_of_one_body_have_one_content_format_in_any_order() {
    let format = |made: Make, format: Option<u8>| match format {
        Some(format) => made.option(12, &[format]),
        None => made,
    };
    // Formats of block 0 and of block 1.
    for (first, second, is_one) in [
        (Some(60), Some(60), true),
        (Some(60), None, true),
        (None, None, true),
        (Some(60), Some(50), false),
        (None, Some(60), false),
    ] {
        for order in [[0, 1], [1, 0]] {
            let mut peer = named(Limits::default());
            let whole = body(3000, 1);
            peer.send(&piece(2, &whole, 2));
            let mut answers = Vec::new();
            for num in order {
                let said = if num == 0 { first } else { second };
                answers = peer.send(&format(piece(num as u16, &whole, num), said));
            }
            let case = format!("{first:?} {second:?} {order:?}");
            if is_one {
                assert!(peer.request().1 == whole, "{case}");
                continue;
            }
            assert_eq!([refused(&answers, 2), refused(&answers, order[1] as u16)], [INCOMPLETE; 2], "{case}");
            assert_eq!((peer.server.counters().upload_blocks_other_format, peer.events()), (1, vec![]));
        }
    }
}

#[test]
fn a_block_0_that_is_sent_anew_does_not_bring_an_older_token_back() {
    let whole = body(3000, 1);
    let first = |id| piece(id, &whole, 0).option(AUTHORIZATION, b"old");
    for is_whole in [false, true] {
        let mut peer = named(Limits::default());
        peer.send(&first(1));
        if is_whole {
            peer.send(&piece(2, &whole, 1));
            peer.send(&piece(3, &whole, 2));
            peer.request();
        }
        let said = make(CON, GET, 10).path("x").option(AUTHORIZATION, b"new");
        peer.send(&said);
        peer.request();
        assert_eq!(peer.ask(&first(11)).code(), Code::CONTINUE);
        peer.send(&make(CON, GET, 12).path("x"));
        let events = peer.events();
        let [ServerEvent::Request { standing, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(standing.access_token.as_ref().map(|token| token.as_str()), Some("new"), "{is_whole}");
    }
    // Blocks of one upload with two tokens are not joined.
    let mut peer = named(Limits::default());
    peer.send(&piece(1, &whole, 1).option(AUTHORIZATION, b"one"));
    assert_eq!(peer.ask(&piece(2, &whole, 0).option(AUTHORIZATION, b"two")).code(), INCOMPLETE);
    assert_eq!(peer.ask(&piece(3, &whole, 0).option(AUTHORIZATION, b"one")).code(), Code::CONTINUE);
}

/// Ways in which an upload ends while its last block waits.
#[test]
fn a_last_block_is_never_left_waiting() {
    let whole = body(3000, 1);
    type End = fn(&mut Peer, &[u8]) -> Vec<Got>;
    let ends: [(&str, End); 4] = [
        ("its time is over", |peer, _| peer.wait(121 * SECOND)),
        ("two newer uploads", |peer, whole| {
            let answers = [b"2", b"3"].map(|tag| peer.send(&tagged(tag[0].into(), whole, 0, 1024, tag)));
            answers.concat()
        }),
        ("memory", |peer, _| {
            let large = body(40 << 10, 1);
            let send = |num: u32| peer.send(&tagged(100 + num as u16, &large, num, 1024, b"4"));
            (0..30).flat_map(send).collect()
        }),
        ("a token that cannot be read", |peer, whole| {
            peer.send(&piece(50, whole, 0).option(AUTHORIZATION, b"\xff"))
        }),
    ];
    for (what, end) in ends {
        // Whether there is time for an acknowledgement.
        for acknowledged in [false, true] {
            let limits = Limits {
                uploads_per_session: 2,
                upload: 40 << 10,
                upload_total: 20 << 10,
                ..Limits::default()
            };
            let mut peer = named(limits);
            peer.send(&piece(9, &whole, 2));
            if acknowledged {
                assert_eq!(peer.wait(SECOND).len(), 1);
            }
            let answers = end(&mut peer, &whole);
            assert_eq!(refused(&answers, 9), INCOMPLETE, "{what}");
            let answer = answers.iter().find(|got| got.token() == 9u16.to_be_bytes()).unwrap();
            assert!(answer.kind() == if acknowledged { CON } else { ACK } || what == "its time is over");
            assert_eq!(peer.ask(&piece(60, &whole, 1)).code(), INCOMPLETE, "{what}: begins nothing");
            if answer.kind() == CON {
                peer.send(&empty(ACK, answer.id()));
            } else {
                assert_eq!(peer.ask(&piece(9, &whole, 2)), *answer, "{what}: a copy gets the same");
            }
            assert_eq!((peer.events(), peer.server.exchanges_of(SESSION).len()), (vec![], 0), "{what}");
        }
    }
}

#[test]
fn a_last_block_that_waits_ends_with_its_session() {
    let mut peer = named(Limits::default());
    peer.send(&piece(2, &body(3000, 1), 2));
    peer.server.session_closed(peer.now, SESSION);
    assert_eq!(peer.wait(300 * SECOND), []);
    assert_eq!((peer.events(), peer.server.open_exchanges(), peer.server.blockwise_bytes()), (vec![], 0, 0));
}

#[test]
fn a_body_that_becomes_whole_when_too_many_requests_wait_is_5_03() {
    let mut peer = named(Limits { exchanges_per_session: 1, ..Limits::default() });
    let whole = body(2000, 1);
    peer.send(&piece(2, &whole, 1));
    peer.send(&make(CON, GET, 3).path("waits"));
    let (waits, _) = peer.request();
    let answers = peer.send(&piece(1, &whole, 0));
    assert_eq!((refused(&answers, 1), refused(&answers, 2)), (Code::CONTINUE, Code::SERVICE_UNAVAILABLE));
    assert_eq!(answers.iter().find_map(|got| got.number(MAX_AGE)), Some(5));
    assert_eq!((peer.events(), peer.respond(waits, b"")[0].code()), (vec![], Code::CONTENT));
    assert_eq!((peer.server.counters().exchanges_refused, peer.server.open_exchanges()), (1, 0));
}

/// A message of a body: its place and size, and whether it goes as confirmable.
type Sent = (usize, usize, bool);

/// Makes the pieces into which a body of `length` is cut: each block of 1024 is one, two or four of its size.
fn cut(length: usize, cuts: &[u8]) -> Vec<(usize, usize)> {
    let blocks = (0..length).step_by(1024).zip(cuts.iter().cycle());
    let halves = blocks.flat_map(|(from, halvings)| {
        let size = 1024 >> halvings;
        (from..(from + 1024).min(length)).step_by(size).map(move |at| (at, size))
    });
    halves.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    /// Any permutation, with copies, in sizes that differ, gives the same body, once.
    #[test]
    fn a_body_in_any_order_is_handed_up_once(
        length in 1025usize..12_000,
        cuts in proptest::collection::vec(0u8..3, 1..12),
        shuffle in proptest::collection::vec(any::<u32>(), 1..200),
        copies in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..60),
    ) {
        let whole = body(length, 1);
        let pieces = cut(length, &cuts);
        let mut sent: Vec<Sent> = pieces.iter().map(|(from, size)| (*from, *size, true)).collect();
        let keys: Vec<_> = shuffle.iter().cycle().take(sent.len()).copied().collect();
        let mut order: Vec<_> = (0..sent.len()).collect();
        order.sort_by_key(|at| (keys[*at], *at));
        sent = order.into_iter().map(|at| sent[at]).collect();
        for (index, is_confirmable) in copies {
            let (from, size) = pieces[index.index(pieces.len())];
            let at = index.index(sent.len() + 1);
            // A last block has one message id.
            if from + size < length {
                sent.insert(at, (from, size, is_confirmable));
            }
        }
        let mut peer = named(Limits::default());
        let mut handed_up: Vec<ExchangeId> = Vec::new();
        for (id, (from, size, is_confirmable)) in sent.iter().enumerate() {
            let to = (from + size).min(length);
            let kind = if *is_confirmable { CON } else { NON };
            let made = make(kind, PUT, id as u16).path("up").option(REQUEST_TAG, b"7");
            let made = made.block(BLOCK1, (from / size) as u32, to < length, *size);
            let answers = peer.send(&made.payload(&whole[*from..to]));
            if to < length {
                prop_assert_eq!(code(&answers), Code::CONTINUE);
            } else {
                prop_assert_eq!(answers.len(), 0);
            }
            for event in peer.events() {
                let ServerEvent::Request { exchange, body, .. } = event else { panic!("{event:?}") };
                prop_assert!(body == whole);
                handed_up.push(exchange);
            }
        }
        prop_assert_eq!(handed_up.len(), 1);
        let last = sent.iter().position(|(from, size, _)| from + size >= length).unwrap();
        let answer = peer.respond(handed_up[0], b"ok").remove(0);
        prop_assert_eq!((answer.id() as usize, answer.payload()), (last, &b"ok"[..]));
        prop_assert!(peer.server.blockwise_bytes() < 200);
    }

    /// Blocks of several tags, sizes and kinds of nonsense: no memory is left, no last block goes unanswered.
    #[test]
    fn no_sequence_of_blocks_leaves_anything_behind(
        blocks in proptest::collection::vec((0u32..12, any::<bool>(), 0u8..4, 1u8..5, 0u8..40), 0..120),
    ) {
        let limits = Limits { uploads_per_session: 3, upload: 8192, upload_total: 9000, ..Limits::default() };
        let mut peer = named(limits);
        let whole = body(16 << 10, 1);
        let mut lasts = Vec::new();
        let mut answered = Vec::new();
        for (id, (num, more, halvings, tag, wait)) in blocks.into_iter().enumerate() {
            let size = 1024 >> halvings;
            let from = num as usize * size;
            let to = if more { from + size } else { from + size / 2 };
            let made = make(CON, PUT, id as u16).path("up").option(REQUEST_TAG, &[tag]);
            let made = made.block(BLOCK1, num, more, size).payload(&whole[from..to]);
            let mut got = peer.send(&made);
            got.extend(peer.wait(u32::from(wait) * SECOND / 4));
            lasts.extend((!more).then_some(id as u16));
            for event in peer.events() {
                if let ServerEvent::Request { exchange, .. } = event {
                    got.extend(peer.respond(exchange, b"ok"));
                }
            }
            answered.extend(got);
        }
        answered.extend(peer.wait(900 * SECOND));
        for last in lasts {
            let of_it = |got: &&Got| got.code() != Code::EMPTY && got.token() == last.to_be_bytes();
            prop_assert!(answered.iter().any(|got| of_it(&got)), "{}", last);
        }
        prop_assert_eq!((peer.server.open_exchanges(), peer.server.exchanges_of(SESSION).len()), (0, 0));
        prop_assert_eq!(peer.server.blockwise_bytes(), 0);
        peer.is_served(60_001);
    }
}

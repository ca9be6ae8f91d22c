//! What a server says of itself: in the answer to each request that says the same of its client, and in no
//! other.

use super::peer::*;
use super::sim::{SECOND, body};
use lowband_transport::coap::{Code, Limits};

/// Both bits that a client of ours sends.
const OURS: &[u8] = b"\x03";

fn says(id: u16) -> Make {
    make(CON, GET, id).path("big").option(CAPABILITIES, OURS)
}

fn told(got: &Got) -> Option<u64> {
    got.number(CAPABILITIES)
}

#[test]
fn only_the_answer_to_a_client_that_names_any_order_names_it() {
    let rows: [(Option<&[u8]>, Option<u64>); 5] = [
        (None, None),
        (Some(b"\x01"), None),
        (Some(b"\x02"), Some(2)),
        (Some(OURS), Some(2)),
        (Some(b""), None),
    ];
    for (value, expected) in rows {
        let mut peer = Peer::new();
        let request = make(CON, GET, 1).path("big");
        peer.send(&value.into_iter().fold(request, |made, value| made.option(CAPABILITIES, value)));
        let (exchange, _) = peer.request();
        assert_eq!(told(&peer.respond(exchange, b"short")[0]), expected, "{value:?}");
        assert_eq!(told(&peer.get(2, "big", b"short")), None, "it stands in no later answer");
    }
}

#[test]
fn a_server_that_knows_packed_bodies_says_so_to_who_says_the_same() {
    for (knows, value, expected) in [
        (true, &b"\x07"[..], Some(6)),
        (true, b"\x04", Some(4)),
        (true, OURS, Some(2)),
        (false, b"\x07", Some(2)),
        (false, b"\x04", None),
        (true, b"\xff", Some(6)),
    ] {
        let mut peer = Peer::with(Limits { packed_bodies: knows, ..Limits::default() });
        peer.send(&make(CON, GET, 1).path("big").option(CAPABILITIES, value));
        let (exchange, _) = peer.request();
        assert_eq!(told(&peer.respond(exchange, b"short")[0]), expected, "{knows} {value:?}");
        assert_eq!(told(&peer.get(2, "big", b"short")), None, "it stands in no later answer");
    }
}

#[test]
fn it_stands_in_every_kind_of_answer_and_in_its_copies() {
    let mut peer = Peer::with(Limits { exchanges_per_session: 3, ..Limits::default() });
    let whole = body(3000, 1);
    // Block 0 of a snapshot, a copy of it, one that is cut, and a later block.
    peer.send(&says(1));
    let (exchange, _) = peer.request();
    let mut answers = peer.respond(exchange, &whole);
    answers.extend((0..3).flat_map(|_| peer.send(&says(1))));
    answers.push(peer.ask(&says(2).block(BLOCK2, 1, false, 1024)));
    assert_eq!(answers.last().unwrap().block(BLOCK2), Some((1, true, 1024)));
    // A separate answer, whole and in blocks.
    for (id, length) in [(3, 10), (4, 3000)] {
        peer.send(&says(id));
        let (exchange, _) = peer.request();
        assert_eq!(peer.wait(2 * SECOND)[0].code(), Code::EMPTY);
        let separate = peer.respond(exchange, &whole[..length]).remove(0);
        assert_eq!(separate.kind(), CON);
        peer.send(&empty(ACK, separate.id()));
        answers.push(separate);
    }
    // Refusals: an option, a block of no body, a failed upstream, too many requests.
    answers.push(peer.ask(&says(5).option(65_001, b"")));
    answers.push(peer.ask(&says(6).path("other").block(BLOCK2, 1, false, 1024)));
    peer.send(&says(7));
    let (exchange, _) = peer.request();
    peer.server.fail(peer.now, exchange, Code::new(5, 2), "gone");
    answers.extend(peer.received());
    (8..11).for_each(|id| assert_eq!(peer.send(&says(id)), []));
    answers.push(peer.ask(&says(11)));
    // Non-confirmable.
    peer.events();
    let mut other = Peer::new();
    other.send(&make(NON, GET, 1).path("big").option(CAPABILITIES, OURS));
    let (exchange, _) = other.request();
    answers.extend(other.respond(exchange, &whole));
    assert_eq!(answers.len(), 12);
    for answer in answers {
        assert_eq!(told(&answer), Some(2), "{answer:?}");
    }
}

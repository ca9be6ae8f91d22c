//! Sessions whose records are short (max_fragment_length, RFC 6066 section 4): no message is longer than one
//! record holds, whatever is asked for, and yet everything arrives.

use super::peer::{BLOCK1, BLOCK2, CON, GET, Make, NON, PUT, Peer, SESSION, SIZE2, make};
use super::sim::{SECOND, Sim, body, get, put};
use lowband_transport::coap::{Code, FailReason, ResponseOptions, Unsendable};

/// Largest message and largest block, in bytes.
const LIMITS: [(usize, usize); 5] = [(512, 256), (1024, 512), (2048, 1024), (4096, 1024), (16_384, 1024)];

fn narrow(largest: usize) -> Peer {
    let mut peer = Peer::new();
    peer.server.limit_messages(SESSION, largest);
    peer.server.session_opened(peer.now, SESSION, Some(SECOND));
    peer
}

/// Checks that each message that an end sends stays within the limit, in bytes.
fn ask_within(peer: &mut Peer, message: &Make, largest: usize) -> super::peer::Got {
    let answer = peer.ask(message);
    assert!(answer.length() <= largest, "{}", answer.length());
    answer
}

#[test]
fn a_body_is_cut_into_blocks_that_fit_whatever_the_client_asks_for() {
    for (largest, block) in LIMITS {
        for length in [0, 1, block - 1, block, block + 1, 870, 1024, 1025, 5000] {
            let mut peer = narrow(largest);
            let body = body(length, 1);
            let first = peer.get(1, "x", &body);
            assert!(first.length() <= largest, "{length}: {}", first.length());
            if length <= block {
                assert_eq!((first.payload(), first.block(BLOCK2)), (&body[..], None));
                continue;
            }
            assert_eq!(first.block(BLOCK2), Some((0, true, block)));
            assert_eq!(first.number(SIZE2), Some(length as u64));
            // Blocks in our size, and in a larger one than fits: from the same place on.
            for asked in [block, 1024] {
                for num in 1..length.div_ceil(asked) {
                    let message =
                        make(CON, GET, 100 + num as u16).path("x").block(BLOCK2, num as u32, false, asked);
                    let answer = ask_within(&mut peer, &message, largest);
                    let (from, to) = (num * asked, (num * asked + block).min(length));
                    assert_eq!(answer.payload(), &body[from..to], "{largest}: block {num} of {asked}");
                    assert_eq!(answer.block(BLOCK2), Some(((from / block) as u64, to < length, block)));
                }
            }
        }
    }
}

#[test]
fn an_upload_is_told_of_blocks_that_fit_and_larger_ones_are_taken_all_the_same() {
    for (largest, block) in LIMITS {
        let mut peer = narrow(largest);
        let body = body(3000, 2);
        for num in 0..3 {
            let part = &body[num * 1024..(num * 1024 + 1024).min(3000)];
            let message =
                make(CON, PUT, num as u16).path("x").block(BLOCK1, num as u32, num < 2, 1024).payload(part);
            let answers = peer.send(&message);
            if num < 2 {
                assert_eq!(answers[0].code(), Code::CONTINUE);
                assert_eq!(answers[0].block(BLOCK1), Some((num as u64, true, block.min(1024))));
            }
        }
        assert_eq!(peer.request().1, body);
    }
}

#[test]
fn texts_and_errors_fit_too() {
    let text = "some words ".repeat(60);
    for (largest, _) in LIMITS {
        for kind in [CON, NON] {
            let mut peer = narrow(largest);
            peer.send(&make(kind, GET, 1).path("x").token(b"a token!"));
            let (exchange, _) = peer.request();
            peer.server.fail(peer.now, exchange, Code::SERVICE_UNAVAILABLE, &text);
            let answer = peer.received().remove(0);
            assert!(answer.length() <= largest && answer.payload().len() >= 256, "{}", answer.length());
            assert!(text.as_bytes().starts_with(answer.payload()));
            // A refusal that quotes what came.
            let message = make(kind, GET, 2).option(2049, &[1; 300]);
            assert!(peer.send(&message).iter().all(|answer| answer.length() <= largest));
            // A late answer, which goes separately.
            peer.send(&make(kind, GET, 3).path("x"));
            let (exchange, _) = peer.request();
            peer.wait(SECOND);
            peer.server.fail(peer.now, exchange, Code::SERVICE_UNAVAILABLE, &text);
            assert!(peer.received().iter().all(|answer| answer.length() <= largest));
            assert_eq!(peer.server.counters().unsendable, 0);
        }
    }
}

#[test]
fn two_ends_with_short_records_exchange_bodies_of_every_size() {
    for (largest, block) in LIMITS {
        let mut sim = Sim::new(largest as u64);
        let session = lowband_transport::SessionId(1);
        sim.server.limit_messages(session, largest);
        sim.client.limit_messages(session, largest);
        sim.open(1);
        sim.answer = Box::new(|request| super::sim::Answer::new(request.body.clone()));
        for token in [None, Some("t".repeat(150))] {
            for length in [0, 1, block, block + 1, 2 * block, 700, 1200, 10_000] {
                let mut request = put("x", body(length, 3));
                request.options.authorization.clone_from(&token);
                let response = sim.ask(session, request);
                assert!(response.body == body(length, 3), "{largest}: {length}");
            }
        }
        let longest = sim.sent.iter().map(|(_, bytes)| bytes.len()).max();
        assert!(longest <= Some(largest), "{longest:?} of {largest}");
        assert_eq!(sim.server.counters().unsendable + sim.client.counters().unsendable, 0);
    }
}

#[test]
fn a_request_that_cannot_fit_fails_with_a_reason_and_the_session_goes_on() {
    let mut sim = Sim::new(1);
    sim.client.limit_messages(lowband_transport::SessionId(1), 512);
    let session = sim.open(1);
    let mut long = get("x");
    long.options.query = vec!["q".repeat(200); 3];
    let exchange = sim.request(session, long);
    let Err(why) = &sim.results[&exchange] else { panic!("{:?}", sim.results) };
    assert_eq!(*why, FailReason::Unsendable(Unsendable::Message { most: 512 }));
    let words = why.to_string();
    assert!(words.contains("too long") && words.contains("512 bytes"), "{words}");
    assert_eq!(sim.ask(session, get("y")).body, b"y");
    assert!(sim.sent.iter().all(|(_, bytes)| bytes.len() <= 512));
}

#[test]
fn the_limit_is_that_of_one_session() {
    let mut peer = narrow(512);
    let options = ResponseOptions::default();
    let other = lowband_transport::SessionId(2);
    assert_eq!(peer.send_bytes(other, &make(CON, GET, 1).path("x").bytes()), []);
    let (exchange, _) = peer.request();
    peer.server.respond_head(peer.now, exchange, Code::CONTENT, options);
    let answer = peer.chunk(exchange, &body(2000, 1), true).remove(0);
    assert_eq!(answer.block(BLOCK2), Some((0, true, 1024)));
}

//! A client with the timers of RFC 7252 on a path that drops large datagrams: it repeats each request after
//! 2, 4, 8 and 16 s, and asks for the next block in the size of the first one. It never pings.

use super::peer::{BLOCK2, CON, ETAG, GET, Got, Make, PUT, Peer, RST, SESSION, SIZE2, empty, make};
use super::sim::{SECOND, body};
use lowband_transport::coap::{Code, Limits, Times};
use std::time::Duration;

/// UDP payload that a path of 576 bytes takes (IPv4), less the header and tag of a DTLS record.
const SMALL: usize = 548 - 29;
const GAPS: [u32; 4] = [2, 4, 8, 16];

/// Returns the first answer that passes, and how long that took. `body`: what the upstream answers.
fn ask(peer: &mut Peer, message: &Make, body: &[u8], most: usize) -> (Got, Duration) {
    let began = peer.now;
    let mut answers = peer.send(message);
    if answers.is_empty() {
        let (exchange, _) = peer.request();
        answers = peer.respond(exchange, body);
    }
    for gap in GAPS {
        if let Some(answer) = answers.into_iter().find(|answer| answer.length() <= most) {
            return (answer, peer.now - began);
        }
        peer.wait(gap * SECOND);
        answers = peer.send(message);
    }
    panic!("nothing has passed")
}

/// Fetches a whole body, and returns how long its first block took.
fn fetch(peer: &mut Peer, first: &Make, id: u16, body: &[u8], most: usize) -> Duration {
    let (answer, took) = ask(peer, first, body, most);
    let (num, mut more, size) = answer.block(BLOCK2).unwrap();
    assert_eq!((answer.code(), num, answer.number(SIZE2)), (Code::CONTENT, 0, Some(body.len() as u64)));
    let etag = answer.option(ETAG).unwrap().to_vec();
    let mut got = answer.payload().to_vec();
    while more {
        let num = (got.len() / size) as u32;
        let next = make(CON, GET, id + num as u16).path("big").block(BLOCK2, num, false, size);
        let (answer, took) = ask(peer, &next, &[], most);
        assert_eq!((answer.option(ETAG), took), (Some(&etag[..]), Duration::ZERO));
        assert_eq!(answer.block(BLOCK2).map(|(num, _, size)| (num as u32, size)), Some((num, size)));
        got.extend(answer.payload());
        more = answer.block(BLOCK2).unwrap().1;
    }
    assert!(got == body, "{} of {} bytes", got.len(), body.len());
    took
}

#[test]
fn bodies_of_every_size_pass_when_their_request_comes_for_the_third_or_fourth_time() {
    for (most, seconds) in [(640, 6), (SMALL, 14)] {
        for length in [700, 900, 1024, 1025, 20_000] {
            let mut peer = Peer::new();
            let took = fetch(&mut peer, &make(CON, GET, 1).path("big"), 100, &body(length, 1), most);
            assert_eq!(took, seconds * SECOND, "{length}");
            // In the size that it asks for, too, and without the answer being fetched anew.
            let asks = make(CON, GET, 2).path("big").block(BLOCK2, 0, false, 1024);
            fetch(&mut peer, &asks, 1000, &body(length, 2), most);
            assert_eq!(peer.events(), []);
        }
    }
}

#[test]
fn a_session_learns_from_answers_that_passed_only_when_they_were_cut() {
    let mut peer = Peer::new();
    let firsts = [1, 2, 3, 4].map(|id| {
        let first = make(CON, GET, id).path("big");
        fetch(&mut peer, &first, id * 1000, &body(20_000, id.into()), SMALL).as_secs()
    });
    assert_eq!(firsts, [14, 14, 0, 0]);
    assert_eq!(peer.server.counters().paths_narrowed, 1);
}

#[test]
fn copies_whose_answers_are_lost_by_chance_teach_nothing_where_large_answers_pass_between() {
    let mut peer = Peer::new();
    for id in 1..20 {
        let whole = body(5000, id.into());
        let request = make(CON, GET, id).path("big");
        peer.get(id, "big", &whole);
        // For every other request two answers are lost, and the smaller one is taken.
        let size = if id % 2 == 0 { 1024 } else { 512 };
        for _ in 0..2 * (id % 2) {
            peer.wait(4 * SECOND);
            peer.send(&request);
        }
        let next = make(CON, GET, 1000 + id).path("big").block(BLOCK2, 1, false, size);
        assert!(peer.ask(&next).payload() == &whole[size..2 * size], "{id}");
    }
    assert_eq!(peer.server.counters().paths_narrowed, 0);
}

#[test]
fn whoever_has_got_the_large_answer_after_all_reads_on_in_its_size() {
    let whole = body(5000, 1);
    let mut peer = Peer::new();
    let large = peer.get(1, "big", &whole);
    for _ in 0..3 {
        peer.wait(SECOND);
        peer.send(&make(CON, GET, 1).path("big"));
    }
    let next = peer.ask(&make(CON, GET, 2).path("big").block(BLOCK2, 1, false, 1024));
    assert!(next.payload() == &whole[1024..2048] && next.option(ETAG) == large.option(ETAG));
}

#[test]
fn an_answer_to_what_acts_is_cut_and_nothing_is_done_twice() {
    let mut peer = Peer::new();
    let put = make(CON, PUT, 1).path("big").payload(b"x");
    let whole = body(900, 1);
    let (answer, _) = ask(&mut peer, &put, &whole, SMALL);
    assert_eq!(answer.block(BLOCK2), Some((0, true, 256)));
    let next = make(CON, PUT, 2).path("big").block(BLOCK2, 1, false, 256);
    assert!(peer.ask(&next).payload() == &whole[256..512]);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_short_answer_is_the_same_however_often_it_is_asked_for() {
    let mut peer = Peer::new();
    let first = peer.get(1, "small", &body(256, 1));
    for _ in 0..6 {
        assert_eq!(peer.ask(&make(CON, GET, 1).path("small")), first);
    }
}

#[test]
fn a_late_answer_passes_although_its_client_says_nothing_by_itself() {
    let mut peer = Peer::with_times(Times::measured(), Limits::default());
    peer.server.session_opened(peer.now, SESSION, Some(SECOND / 10));
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.wait(3 * SECOND);
    peer.respond(exchange, &body(20_000, 1));
    let began = peer.now;
    let first = loop {
        let got = peer.wait(SECOND / 10);
        for probe in got.iter().filter(|got| (got.kind(), got.code()) == (CON, Code::EMPTY)) {
            peer.send(&empty(RST, probe.id()));
        }
        if let Some(block) = got.into_iter().find(|got| got.code() == Code::CONTENT && got.length() <= SMALL)
        {
            break block;
        }
        assert!(peer.now - began < 90 * SECOND);
    };
    assert_eq!(first.block(BLOCK2), Some((0, true, 256)));
    assert_eq!(peer.server.counters().paths_narrowed, 2);
}

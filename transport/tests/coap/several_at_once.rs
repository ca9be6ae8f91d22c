//! Our client asks servers that are not ours for several blocks at once. Each of them answers out of order,
//! and each in its own way: what it says of the length, what it does beyond the end, what it forgets, and
//! whether it can at all.

use super::foreign::{Foreign, piggybacked};
use super::peer::*;
use super::sim::{body, get, post};
use lowband_transport::coap::{Code, FailReason, ProtocolError};
use std::collections::{BTreeSet, VecDeque};

/// When a server says how long the body is.
#[derive(Clone, Copy, PartialEq)]
enum Tells {
    Never,
    First,
    Always,
}

/// What a server answers beyond the end of a body.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    Refuses(Code),
    Empty,
    /// Acknowledges, and never answers.
    Nothing,
}

/// What a server does with the second of two requests that it has at once.
#[derive(Clone, Copy, PartialEq)]
enum AtOnce {
    Answers,
    Refuses(Code),
    Resets,
    Drops,
    /// Answers with the block of the first.
    Confuses,
    AnotherEtag,
}

struct Server {
    whole: Vec<u8>,
    /// Bytes of a block at most; a request for a larger one gets one of these.
    most: usize,
    etag: Option<&'static [u8]>,
    tells: Tells,
    beyond: Beyond,
    at_once: AtOnce,
    /// Forgets the body once its last block was asked for: any other is 4.08 then.
    forgets: bool,
    forgotten: bool,
    /// Answers the newest request first.
    newest_first: bool,
    asked: Vec<u64>,
    tokens: BTreeSet<Vec<u8>>,
    most_at_once: usize,
}

/// Makes a server that does all as the RFC says.
fn server(length: usize) -> Server {
    Server {
        whole: body(length, 1),
        most: 1024,
        etag: Some(b"e"),
        tells: Tells::First,
        beyond: Beyond::Refuses(Code::BAD_REQUEST),
        at_once: AtOnce::Answers,
        forgets: false,
        forgotten: false,
        newest_first: false,
        asked: Vec::new(),
        tokens: BTreeSet::new(),
        most_at_once: 0,
    }
}

impl Server {
    /// Answers one of the requests that have come at once; `others` is their number without this one.
    fn answer(&mut self, asked: &Got, others: usize) -> Option<Make> {
        self.tokens.insert(asked.token().to_vec());
        let (num, _, size) = asked.block(BLOCK2).unwrap_or((0, false, 1024));
        self.asked.push(num * size as u64);
        let from = num as usize * size;
        let size = size.min(self.most);
        let mut from = from;
        let mut etag = self.etag;
        if num == 0 {
            self.forgotten = false;
        } else if others > 0 {
            match self.at_once {
                AtOnce::Answers => {}
                AtOnce::Refuses(code) => return Some(piggybacked(asked, code)),
                AtOnce::Resets => return Some(empty(RST, asked.id())),
                AtOnce::Drops => return None,
                AtOnce::Confuses => from -= size,
                AtOnce::AnotherEtag => etag = Some(b"other"),
            }
        }
        if self.forgotten {
            return Some(piggybacked(asked, Code::REQUEST_ENTITY_INCOMPLETE));
        }
        if from >= self.whole.len() {
            return match self.beyond {
                Beyond::Refuses(code) => Some(piggybacked(asked, code)),
                Beyond::Nothing => Some(empty(ACK, asked.id())),
                Beyond::Empty => {
                    Some(piggybacked(asked, Code::CONTENT).block(BLOCK2, (from / size) as u32, false, size))
                }
            };
        }
        let to = (from + size).min(self.whole.len());
        let more = to < self.whole.len();
        self.forgotten |= self.forgets && !more;
        let mut answer = piggybacked(asked, Code::CONTENT).block(BLOCK2, (from / size) as u32, more, size);
        if let Some(etag) = etag {
            answer = answer.option(ETAG, etag);
        }
        if self.tells == Tells::Always || (self.tells == Tells::First && from == 0) {
            answer = answer.option(SIZE2, &(self.whole.len() as u32).to_be_bytes());
        }
        Some(answer.payload(&self.whole[from..to]))
    }

    /// Lets our client read the body.
    fn serves(&mut self) -> Foreign {
        let mut foreign = Foreign::new();
        foreign.client.request(foreign.now, SESSION, get("x"));
        for _ in 0..5000 {
            let mut batch: Vec<_> =
                foreign.sent().into_iter().filter(|got| got.code() != Code::EMPTY).collect();
            self.most_at_once = self.most_at_once.max(batch.len());
            if self.newest_first {
                batch.reverse();
            }
            let count = batch.len();
            for (at, asked) in batch.iter().enumerate() {
                // The first of a batch is alone.
                let others = if at == 0 { 0 } else { count - 1 };
                if let Some(answer) = self.answer(asked, others) {
                    foreign.client.handle_message(foreign.now, SESSION, &answer.bytes());
                }
            }
            if count == 0 {
                let Some(next) = foreign.client.poll_timeout() else { break };
                if foreign.client.counters().gave_up > 0 {
                    break;
                }
                foreign.now = foreign.now.max(next);
                foreign.client.handle_timeout(foreign.now);
            }
        }
        foreign
    }

    fn is_read_whole(&mut self) -> Foreign {
        let mut foreign = self.serves();
        let response = foreign.response();
        assert_eq!(response.code, Code::CONTENT);
        assert!(response.body == self.whole, "{} of {} bytes", response.body.len(), self.whole.len());
        assert_eq!(self.asked.iter().filter(|offset| **offset == 0).count(), 1, "block 0 once");
        foreign
    }
}

#[test]
fn two_requests_at_once_find_out_that_a_server_takes_several() {
    for newest_first in [false, true] {
        let mut server = Server { newest_first, ..server(100_000) };
        let foreign = server.is_read_whole();
        assert!(server.most_at_once > 2, "{}", server.most_at_once);
        let path = foreign.client.path(SESSION).unwrap();
        assert_eq!(path.blocks, 97);
        assert!(newest_first || path.blocks_again == 0);
        assert!(path.window > Some(2));
        let second_and_third = if newest_first { [2048, 1024] } else { [1024, 2048] };
        assert_eq!(server.asked[1..3], second_and_third);
    }
}

#[test]
fn the_last_block_is_asked_for_when_all_others_have_come_and_none_beyond_it() {
    for (tells, newest_first) in [(Tells::First, false), (Tells::First, true), (Tells::Always, true)] {
        for length in [3000, 4096, 50_000, 51_200] {
            let mut server =
                Server { forgets: true, beyond: Beyond::Nothing, tells, newest_first, ..server(length) };
            server.is_read_whole();
            let last = (length as u64 - 1) / 1024 * 1024;
            assert_eq!(server.asked.last(), Some(&last), "{length}");
            assert!(server.asked.iter().all(|offset| *offset <= last), "{length}");
        }
    }
}

#[test]
fn a_server_that_gives_512_at_most_is_asked_for_512() {
    for newest_first in [false, true] {
        // Block 0 may come as large as it was asked for, and the others not.
        let mut server = Server { most: 512, etag: None, newest_first, ..server(60_000) };
        server.is_read_whole();
        assert!(server.most_at_once > 2);
    }
}

#[test]
fn without_a_length_what_lies_beyond_the_end_does_no_harm() {
    for beyond in [Beyond::Refuses(Code::BAD_REQUEST), Beyond::Refuses(Code::new(5, 0)), Beyond::Empty] {
        for (length, newest_first) in
            [(1500, true), (3000, false), (3072, true), (40_000, true), (40_960, false)]
        {
            let mut server =
                Server { tells: Tells::Never, etag: None, beyond, newest_first, ..server(length) };
            server.is_read_whole();
        }
    }
}

#[test]
fn a_server_that_takes_one_request_at_a_time_gets_one_at_a_time() {
    for at_once in [
        AtOnce::Refuses(Code::SERVICE_UNAVAILABLE),
        AtOnce::Refuses(Code::REQUEST_ENTITY_INCOMPLETE),
        AtOnce::Resets,
        AtOnce::Drops,
        AtOnce::Confuses,
        AtOnce::AnotherEtag,
    ] {
        let mut server = Server { at_once, ..server(20_000) };
        let foreign = server.is_read_whole();
        assert_eq!(server.most_at_once, 2);
        assert_eq!(foreign.client.path(SESSION).unwrap().window, Some(1));
        assert_eq!(foreign.client.counters().downloads_restarted, 0);
    }
}

#[test]
fn a_server_that_runs_a_request_for_each_token_sees_one() {
    for etag in [Some(&b"xy"[..]), Some(b"12345678"), None] {
        let mut server = Server { etag, tells: Tells::Never, ..server(20_000) };
        let foreign = server.is_read_whole();
        // What is asked for beyond the end is refused alone.
        assert_eq!(foreign.client.path(SESSION).unwrap().blocks_again, 0);
        assert!(server.most_at_once > 2, "{}", server.most_at_once);
        assert_eq!(server.tokens.len(), 1);
    }
}

#[test]
fn only_a_get_is_asked_for_several_blocks_of_a_server_that_is_not_ours() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(post("x", vec![1]));
    let first = piggybacked(&asked, Code::CONTENT).option(ETAG, b"e").block(BLOCK2, 0, true, 16);
    assert_eq!(foreign.says(&first.payload(&[0; 16])).len(), 1);
}

/// Begins a body of ten blocks with the first three, and returns what is asked for then.
fn begun(foreign: &mut Foreign, etag: Option<&[u8]>, length: u32) -> Vec<Got> {
    let (_, asked) = foreign.ask(get("x"));
    let mut next = foreign.says(&block(&asked, etag, length));
    for asked in next.split_off(0) {
        next.extend(foreign.says(&block(&asked, etag, length)));
    }
    next
}

/// Answers a request with its block of a body.
fn block(asked: &Got, etag: Option<&[u8]>, length: u32) -> Make {
    let num = asked.block(BLOCK2).map_or(0, |(num, ..)| num as u32);
    let last = (length - 1) / 16;
    let size = if num == last { length - last * 16 } else { 16 };
    let mut answer = piggybacked(asked, Code::CONTENT).block(BLOCK2, num, num < last, 16);
    if let Some(etag) = etag {
        answer = answer.option(ETAG, etag);
    }
    answer.option(SIZE2, &length.to_be_bytes()).payload(&vec![etag.map_or(0, |etag| etag[0]); size as usize])
}

#[test]
fn a_body_that_changes_between_two_blocks_is_read_anew_and_never_mixed() {
    let mut foreign = Foreign::new();
    let outstanding = begun(&mut foreign, Some(b"a"), 160);
    assert!(outstanding.len() > 2, "{}", outstanding.len());
    let mut asked = foreign.says(&block(&outstanding[0], Some(b"b"), 160));
    assert_eq!((asked.len(), asked[0].block(BLOCK2)), (1, None), "from its beginning");
    // What comes late for the old body belongs to nothing.
    assert_eq!(foreign.says(&block(&outstanding[1], Some(b"a"), 160)), []);
    while let Some(next) = asked.pop() {
        asked.extend(foreign.says(&block(&next, Some(b"b"), 160)));
    }
    assert_eq!(foreign.response().body, [b'b'; 160]);
    assert_eq!(foreign.client.counters().downloads_restarted, 1);
}

#[test]
fn of_a_body_without_etag_the_length_tells_that_it_has_changed() {
    let mut foreign = Foreign::new();
    let outstanding = begun(&mut foreign, None, 160);
    let asked = foreign.says(&block(&outstanding[0], None, 176));
    assert_eq!((asked.len(), asked[0].block(BLOCK2)), (1, None), "from its beginning");
}

#[test]
fn a_body_of_which_two_ends_come_fails() {
    let mut foreign = Foreign::new();
    let outstanding = begun(&mut foreign, Some(b"a"), 160);
    let end = |asked: &Got, num| {
        let answer = piggybacked(asked, Code::CONTENT).option(ETAG, b"a");
        answer.block(BLOCK2, num, false, 16).payload(b"end")
    };
    let num = |asked: &Got| asked.block(BLOCK2).unwrap().0 as u32;
    foreign.says(&end(&outstanding[1], num(&outstanding[1])));
    foreign.says(&end(&outstanding[0], num(&outstanding[0])));
    assert_eq!(foreign.failure(), FailReason::Protocol(ProtocolError::BodyChanged));
    // Nothing of it is asked for any more.
    let soon = foreign.now + super::sim::SECOND * 100;
    assert!(foreign.client.poll_timeout().is_none_or(|at| at > soon));
}

#[test]
fn a_late_answer_is_taken_although_its_block_has_been_asked_for_again() {
    let mut foreign = Foreign::new();
    let outstanding = begun(&mut foreign, Some(b"a"), 160);
    let is_first = |got: &Got| got.block(BLOCK2) == outstanding[0].block(BLOCK2);
    let mut asked: VecDeque<Got> = outstanding[1..].iter().cloned().collect();
    for come in 0..3 {
        assert!(!asked.iter().any(is_first), "{come} others have come");
        let next = asked.pop_front().unwrap();
        asked.extend(foreign.says(&block(&next, Some(b"a"), 160)));
    }
    let again = asked.iter().find(|got| is_first(got)).cloned().expect("three others have come");
    assert_ne!((again.token(), again.id()), (outstanding[0].token(), outstanding[0].id()));
    asked.retain(|got| !is_first(got));
    asked.push_front(outstanding[0].clone());
    while let Some(next) = asked.pop_front() {
        asked.extend(foreign.says(&block(&next, Some(b"a"), 160)));
    }
    assert_eq!(foreign.response().body, [b'a'; 160]);
    // The second answer means nothing.
    assert_eq!(foreign.says(&block(&again, Some(b"a"), 160)), []);
    assert_eq!(foreign.events(), []);
}

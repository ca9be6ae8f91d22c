//! Random walks of a client and a server: requests of all kinds and sizes, cancelled, closed, over a path
//! that loses, doubles, reorders and becomes narrow, with every limit at its edges, beside peers that send
//! what makes no sense.
//!
//! Each walk has a seed, which a failure names. `LOWBAND_WALKS` says how many walks there are of each kind,
//! and `LOWBAND_FIRST_WALK` with which seed they begin.

use super::foreign::{Foreign, piggybacked};
use super::peer::*;
use super::sim::*;
use lowband_transport::coap::{ClientEvent, Code, FailReason, Limits, Method, Times};
use lowband_transport::{ExchangeId, SessionId};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// Walks of each kind, unless the environment says otherwise.
const WALKS: u64 = 4;

const STEPS: usize = 60;

/// Steps of the simulation that may happen at one instant.
const AT_ONE_INSTANT: usize = 2000;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let first = number("LOWBAND_FIRST_WALK").unwrap_or(0);
    first..first + number("LOWBAND_WALKS").unwrap_or(WALKS)
}

/// Seed of a walk in which a body becomes shorter while it is read.
const SHORTER: u64 = 114;

/// A request under way, and what it has to bring.
struct Asked {
    session: SessionId,
    method: Method,
    path: String,
    body: Vec<u8>,
}

struct Walk {
    sim: Sim,
    dice: Dice,
    sessions: Vec<SessionId>,
    next: u64,
    next_request: u64,
    asked: BTreeMap<ExchangeId, Asked>,
    /// All bodies that the upstream has given, by path.
    given: Rc<RefCell<BTreeMap<String, Vec<Vec<u8>>>>>,
    /// Largest message that passes.
    passes: Rc<RefCell<usize>>,
    /// Whether somebody sends the client what no server does.
    is_hostile: bool,
    /// Whether that somebody acknowledges what it never answers.
    silences: bool,
}

impl Walk {
    fn new(seed: u64, is_hostile: bool) -> Walk {
        let mut dice = Dice::new(seed ^ 0x3a1c);
        let limits = Limits {
            body_window: [0, 1, 2, 16, 64, 64, 64, u32::MAX][dice.below(8)],
            exchanges_per_session: [2, 32, 32][dice.below(3)],
            window: [1, 8, 8][dice.below(3)],
            waiting_blocks_per_session: [4, 256, 256][dice.below(3)],
            uploads_per_session: [2, 32, 32][dice.below(3)],
            snapshot_bytes_per_session: [100 << 10, 4 << 20, 4 << 20][dice.below(3)],
            dedup_per_session: 256,
            ..Limits::default()
        };
        let times = if dice.below(4) == 0 { Times::rfc7252() } else { Times::measured() };
        let mut sim = Sim::with(seed, Times::measured(), times, limits);
        let way = Way {
            loss: [0.0, 0.02, 0.1, 0.2][dice.below(4)],
            duplication: [0.0, 0.1][dice.below(2)],
            delay: [1, 20, 300][dice.below(3)] * MS,
            jitter: [0, 10, 500][dice.below(3)] * MS,
            narrow: [None, Some(Narrow { bits_per_second: 100_000, queue: 20_000 })][dice.below(2)],
            ..CLEAN
        };
        (sim.up, sim.down) = (way, Way { loss: [0.0, 0.1][dice.below(2)], ..way });
        let given = Rc::new(RefCell::new(BTreeMap::<String, Vec<Vec<u8>>>::new()));
        let answers = given.clone();
        let mut of_answers = Dice::new(seed ^ 0x77);
        sim.answer = Box::new(move |request| {
            let dice = &mut of_answers;
            let length = match request.method {
                Method::Get => [100, 3000, 20_000, 150_000][dice.below(4)],
                _ => [10, 10, 10, 30_000][dice.below(4)],
            };
            let body = body(length, dice.u64());
            let path = request.options.path.join("/");
            answers.borrow_mut().entry(path).or_default().push(body.clone());
            let every = [0, 0, 50][dice.below(3)] * MS;
            let after = [0, 0, 300, 3000, 40_000][dice.below(5)] * MS;
            let tells_size = dice.below(2) == 0;
            Answer { tells_size, ..Answer::new(body).after(after).in_chunks(5000, every) }
        });
        let passes = Rc::new(RefCell::new(usize::MAX));
        let most = passes.clone();
        sim.lose = Box::new(move |_, bytes| bytes.len() > *most.borrow());
        let (sessions, asked) = (Vec::new(), BTreeMap::new());
        let mut walk = Walk {
            sim,
            dice,
            sessions,
            next: 1,
            next_request: 0,
            asked,
            given,
            passes,
            is_hostile,
            silences: seed.is_multiple_of(2),
        };
        walk.open();
        walk
    }

    fn open(&mut self) {
        let session = self.sim.open(self.next);
        self.next += 1;
        self.sessions.push(session);
    }

    fn any_session(&mut self) -> Option<SessionId> {
        (!self.sessions.is_empty()).then(|| self.sessions[self.dice.below(self.sessions.len())])
    }

    fn ask(&mut self) {
        let Some(session) = self.any_session() else { return self.open() };
        let length = [0, 100, 1024, 5000, 60_000][self.dice.below(5)];
        let body = body(length, self.dice.u64());
        self.next_request += 1;
        let n = self.next_request;
        let (request, path) = match self.dice.below(4) {
            0 | 1 => {
                let path = format!("g/{}", self.dice.below(4));
                (get(&path), path)
            }
            2 => (put(&format!("u/{n}"), body.clone()), format!("u/{n}")),
            _ => (post(&format!("p/{n}"), body.clone()), format!("p/{n}")),
        };
        let (method, body) = (request.method, request.body.clone());
        let exchange = self.sim.request(session, request);
        self.asked.insert(exchange, Asked { session, method, path, body });
    }

    /// Takes an exchange that has not ended out of those that are to end.
    fn cancel(&mut self) {
        let open: Vec<_> =
            self.asked.keys().filter(|id| !self.sim.results.contains_key(id)).copied().collect();
        if open.is_empty() {
            return;
        }
        let exchange = open[self.dice.below(open.len())];
        self.sim.client.cancel(self.sim.now, exchange);
        self.sim.settle();
        self.asked.remove(&exchange);
    }

    fn close(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let session = self.sessions.swap_remove(self.dice.below(self.sessions.len()));
        self.sim.close(session);
    }

    fn number(&mut self, most: usize) -> u32 {
        let odd = [0, 1, (1 << 20) - 1][self.dice.below(3)];
        if self.dice.below(6) == 0 { odd } else { self.dice.below(most) as u32 }
    }

    /// Says something to the server that no client of ours does.
    fn say(&mut self) {
        let kind = [CON, NON, CON, NON, ACK, RST][self.dice.below(6)];
        let code = [GET, GET, PUT, POST, Code::EMPTY, Code::CONTENT][self.dice.below(6)];
        let id = self.dice.below(40) as u16;
        let mut message = make(kind, code, id);
        if code != Code::EMPTY {
            message = message.path(["f/a", "f/b"][self.dice.below(2)]);
            let size = [16, 64, 1024, 1024][self.dice.below(4)];
            if self.dice.below(2) == 0 {
                message = message.option(CAPABILITIES, &[self.dice.below(8) as u8]);
            }
            if self.dice.below(2) == 0 {
                message = message.option(REQUEST_TAG, &[self.dice.below(3) as u8 + 1]);
            }
            match self.dice.below(4) {
                0 => {
                    for _ in 0..self.dice.below(18) {
                        let (num, more) = (self.number(30), self.dice.below(4) == 0);
                        message = message.block(Q_BLOCK2, num, more, size);
                    }
                }
                1 => message = message.block(BLOCK2, self.number(30), false, size),
                2 => {
                    let (num, more) = (self.number(6), self.dice.below(3) > 0);
                    message = message.block(BLOCK1, num, more, size);
                    let length = if self.dice.below(4) == 0 { self.dice.below(2000) } else { size };
                    message = message.payload(&vec![1; length]);
                }
                _ => {}
            }
            message = message.token(&[self.dice.below(6) as u8]);
        }
        self.sim.say(message.bytes());
    }

    /// Says something to the client that no server of ours does, about what it has sent last.
    fn answer(&mut self) {
        let up: Vec<_> = self.sim.sent.iter().rev().filter(|(to, _)| *to == To::Server).take(40).collect();
        let Some(session) = self.sessions.first().copied().filter(|_| !up.is_empty()) else { return };
        let of = Got::parse(&up[self.dice.below(up.len())].1);
        let kind = [CON, NON, ACK, ACK, RST][self.dice.below(5)];
        let codes = [(0, 0), (2, 5), (2, 5), (2, 4), (2, 31), (4, 0), (4, 8), (4, 13), (5, 3)];
        let (class, detail) = codes[self.dice.below(codes.len())];
        if (class, kind) == (0, ACK) && !self.silences {
            return;
        }
        let code = if kind == RST { Code::EMPTY } else { Code::new(class, detail) };
        let mut message = make(kind, code, if kind == CON { self.dice.u64() as u16 } else { of.id() });
        if code != Code::EMPTY {
            message = message.token(of.token());
            let size = [16, 512, 1024, 1024][self.dice.below(4)];
            let asked = of.block(BLOCK2).or(of.block(Q_BLOCK2)).or(of.block(BLOCK1));
            let near = asked.map_or(0, |(num, ..)| num as u32);
            let num = if self.dice.below(3) == 0 { self.number(200) } else { near };
            let more = self.dice.below(2) == 0;
            let option = [BLOCK1, BLOCK2, BLOCK2, Q_BLOCK2][self.dice.below(4)];
            message = message.block(option, num, more, size);
            if self.dice.below(2) == 0 {
                message = message.option(ETAG, &[self.dice.below(3) as u8]);
            }
            if self.dice.below(3) == 0 {
                message = message.option(SIZE2, &[1, self.dice.below(256) as u8]);
            }
            if self.dice.below(3) == 0 {
                message = message.option(CAPABILITIES, &[self.dice.below(8) as u8]);
            }
            let length = [0, 5, size, size, size + 1][self.dice.below(5)];
            message = message.payload(&vec![2; length]);
        }
        self.sim.client.handle_message(self.sim.now, session, &message.bytes());
        self.sim.settle();
    }

    fn step(&mut self) {
        match self.dice.below(24) {
            0..=7 => self.ask(),
            8 | 9 => self.cancel(),
            10 if self.dice.below(3) == 0 => self.close(),
            11 if self.sessions.len() < 3 => self.open(),
            12 => *self.passes.borrow_mut() = [500, 700, usize::MAX, usize::MAX][self.dice.below(4)],
            13 => {
                let session = self.any_session();
                session.into_iter().for_each(|session| self.sim.client.take_for_narrow(session));
            }
            14..=17 => (0..10).for_each(|_| self.say()),
            18..=20 if self.is_hostile => (0..5).for_each(|_| self.answer()),
            _ => {}
        }
        let time = [0, 10, 100, 1000, 5000, 60_000][self.dice.below(6)];
        self.pass(Duration::from_millis(time));
    }

    /// Lets time pass, and checks that no end is busy with itself.
    fn pass(&mut self, time: Duration) {
        let (mut last, mut count) = (self.sim.now, 0);
        self.sim.run(time, |sim| {
            count = if sim.now == last { count + 1 } else { 0 };
            last = sim.now;
            assert!(count < AT_ONE_INSTANT, "one instant does not end");
            let due = [sim.client.poll_timeout(), sim.server.poll_timeout()];
            assert!(due.into_iter().flatten().all(|at| at >= sim.now), "a timer stays in the past");
            false
        });
        // A session that the client has found dead is closed at the server as well.
        for (session, _) in std::mem::take(&mut self.sim.dead) {
            self.sessions.retain(|open| *open != session);
            self.sim.close(session);
        }
    }

    fn check_results(&self) {
        let given = self.given.borrow();
        let mut executed: BTreeMap<String, usize> = BTreeMap::new();
        let asked: BTreeMap<_, _> = self.asked.values().map(|asked| (asked.path.clone(), asked)).collect();
        for request in self.sim.executed.iter().filter(|request| request.method != Method::Get) {
            let path = request.options.path.join("/");
            let Some(asked) = asked.get(&path) else { continue };
            assert!(request.body == asked.body, "{path} was executed with another body");
            let times = executed.entry(path.clone()).or_default();
            *times += 1;
            assert!(asked.method != Method::Post || *times == 1, "{path} was executed twice");
        }
        for (exchange, asked) in &self.asked {
            let result = &self.sim.results[exchange];
            let Ok(response) = result else {
                let closed = !self.sessions.contains(&asked.session);
                let is_fair =
                    matches!(result, Err(FailReason::Timeout | FailReason::SessionClosed)) || closed;
                assert!(is_fair || self.is_hostile, "{}: {result:?}", asked.path);
                continue;
            };
            if response.code != Code::CONTENT {
                let refusals = [Code::REQUEST_ENTITY_INCOMPLETE, Code::SERVICE_UNAVAILABLE];
                assert!(
                    self.is_hostile || refusals.contains(&response.code),
                    "{}: {}",
                    asked.path,
                    response.code
                );
                continue;
            }
            let is_whole = given.get(&asked.path).is_some_and(|bodies| bodies.contains(&response.body));
            assert!(is_whole || self.is_hostile, "{}: {} bytes", asked.path, response.body.len());
        }
    }

    /// Lets the path recover, and everything come to its end.
    fn end(&mut self) {
        *self.passes.borrow_mut() = usize::MAX;
        (self.sim.up, self.sim.down) = (CLEAN, CLEAN);
        self.pass(3600 * SECOND);
        let results = &self.sim.results;
        let open: BTreeSet<_> = self.asked.keys().filter(|id| !results.contains_key(id)).copied().collect();
        if self.is_hostile && self.silences {
            // What a false acknowledgement has silenced waits for as long as its caller does.
            for exchange in open {
                self.sim.client.cancel(self.sim.now, exchange);
                self.asked.remove(&exchange);
            }
            self.sim.settle();
        } else {
            let paths: Vec<_> = open.iter().map(|id| self.asked[id].path.clone()).collect();
            assert!(open.is_empty(), "{paths:?} hang");
        }
        self.check_results();
        self.next += 1;
        let session = self.sim.open(self.next);
        self.sim.ask(session, get("g/0"));
        self.sessions.push(session);
        self.pass(600 * SECOND);
        let server = &self.sim.server;
        assert_eq!((server.open_exchanges(), server.blockwise_bytes()), (0, 0));
        assert_eq!(self.sim.client.poll_timeout(), None, "the client is at rest");
        self.sessions.push(FOREIGN);
        while !self.sessions.is_empty() {
            self.close();
        }
        assert_eq!((self.sim.server.sessions_in_memory(), self.sim.server.poll_timeout()), (0, None));
    }
}

#[test]
fn every_request_ends_with_a_body_of_one_answer_whatever_the_path_does() {
    for seed in seeds().chain([SHORTER]) {
        let mut walk = Walk::new(seed, false);
        (0..STEPS).for_each(|_| walk.step());
        walk.end();
    }
}

#[test]
fn messages_that_make_no_sense_break_nothing() {
    for seed in seeds() {
        let mut walk = Walk::new(1_000_000 + seed, true);
        (0..STEPS).for_each(|_| walk.step());
        walk.end();
    }
}

/// A server of which each seed makes another one: what it tells, how many requests it takes at once, and how
/// often it fails.
struct Odd {
    dice: Dice,
    is_ours: bool,
    etag: bool,
    tells_size: bool,
    most: usize,
    length: usize,
    /// Requests that it has acknowledged and not answered.
    owed: Vec<Got>,
    /// Share of requests that it does not answer as it should.
    fails: f64,
}

impl Odd {
    fn new(seed: u64) -> Odd {
        let mut dice = Dice::new(seed ^ 0x0dd);
        Odd {
            is_ours: dice.below(3) == 0,
            etag: dice.below(2) == 0,
            tells_size: dice.below(2) == 0,
            most: [64, 512, 1024][dice.below(3)],
            length: [1000, 5000, 20_000][dice.below(3)],
            fails: [0.0, 0.05, 0.3][dice.below(3)],
            owed: Vec::new(),
            dice,
        }
    }

    fn whole(&self) -> Vec<u8> {
        body(self.length, 1)
    }

    /// Answers one request as it should be answered.
    fn right(&mut self, asked: &Got) -> Vec<Make> {
        let reply = |code| match asked.kind() {
            CON => piggybacked(asked, code),
            _ => make(NON, code, asked.id()).token(asked.token()),
        };
        if let Some((num, more, size)) = asked.block(BLOCK1) {
            let code = if more { Code::CONTINUE } else { Code::CHANGED };
            return vec![self.tell(reply(code).block(BLOCK1, num as u32, more, size))];
        }
        if asked.code() != GET {
            return vec![self.tell(reply(Code::CHANGED))];
        }
        let whole = self.whole();
        let listed: Vec<_> = if asked.kind() == NON { asked.blocks(Q_BLOCK2) } else { vec![] };
        let (option, blocks) = match listed.is_empty() {
            true => (BLOCK2, vec![asked.block(BLOCK2).unwrap_or((0, false, 1024))]),
            false => (Q_BLOCK2, listed),
        };
        let mut answers = Vec::new();
        for (at, (num, _, size)) in blocks.into_iter().enumerate() {
            let from = num as usize * size;
            if from >= whole.len() {
                answers.push(reply(Code::BAD_REQUEST));
                break;
            }
            let size = size.min(self.most);
            let to = (from + size).min(whole.len());
            let id = asked.id().wrapping_add(1000 * at as u16);
            let mut answer = reply(Code::CONTENT).block(option, (from / size) as u32, to < whole.len(), size);
            if self.etag {
                answer = answer.option(ETAG, b"e");
            }
            if self.tells_size {
                answer = answer.option(SIZE2, &(whole.len() as u32).to_be_bytes());
            }
            let answer = if at > 0 { answer.id(id) } else { answer };
            answers.push(self.tell(answer).payload(&whole[from..to]));
        }
        answers
    }

    fn tell(&self, answer: Make) -> Make {
        if self.is_ours { answer.option(CAPABILITIES, &[2]) } else { answer }
    }

    fn answer(&mut self, asked: &Got) -> Vec<Make> {
        if asked.code() == Code::EMPTY {
            return if asked.kind() == CON { vec![empty(RST, asked.id())] } else { vec![] };
        }
        let mut right = self.right(asked);
        if !self.dice.chance(self.fails) {
            return right;
        }
        let codes = [Code::REQUEST_ENTITY_INCOMPLETE, Code::SERVICE_UNAVAILABLE, Code::BAD_REQUEST];
        let code = codes[self.dice.below(3)];
        match self.dice.below(12) {
            0..=4 => vec![],
            5 | 6 if asked.kind() == CON => {
                self.owed.push(asked.clone());
                vec![empty(ACK, asked.id())]
            }
            7 if asked.kind() == CON => vec![piggybacked(asked, code)],
            8 if asked.kind() == NON => vec![make(NON, code, asked.id()).token(asked.token())],
            9 if self.dice.below(8) == 0 => vec![empty(RST, asked.id())],
            10 => [right.clone(), right].concat(),
            _ => {
                let lone = right.pop();
                self.dice.below(2).eq(&0).then_some(lone).flatten().into_iter().collect()
            }
        }
    }

    /// Answers, as separate messages, what it has only acknowledged.
    fn pay(&mut self) -> Vec<Make> {
        let mut answers = Vec::new();
        for asked in std::mem::take(&mut self.owed) {
            let id = self.dice.u64() as u16;
            answers.extend(self.right(&asked).into_iter().map(|answer| answer.kind(CON).id(id)));
        }
        answers
    }
}

#[test]
fn a_request_ends_once_a_server_answers_whatever_it_has_said_before() {
    for seed in seeds().flat_map(|walk| 20 * walk..20 * walk + 20) {
        let mut odd = Odd::new(seed);
        let body_window = [1, 2, 64, 64][odd.dice.below(4)];
        let mut foreign = Foreign::with(Limits { body_window, ..Limits::default() });
        let mut asked = BTreeSet::new();
        let mut ended = BTreeMap::new();
        let mut waiting: Vec<Got> = Vec::new();
        let end = foreign.now + 3600 * SECOND;
        let honest = foreign.now + 60 * SECOND;
        while foreign.now < end {
            if asked.len() < 6 && foreign.now < honest && odd.dice.below(3) == 0 {
                let length = [10, 3000, 20_000][odd.dice.below(3)];
                let request = match odd.dice.below(4) {
                    0 => put(&format!("u/{}", asked.len()), body(length, 2)),
                    1 => post(&format!("p/{}", asked.len()), body(length, 2)),
                    _ => get(&format!("g/{}", asked.len())),
                };
                asked.insert(foreign.client.request(foreign.now, SESSION, request));
            }
            if foreign.now >= honest {
                odd.fails = 0.0;
                odd.pay().iter().for_each(|answer| {
                    waiting.extend(foreign.says(answer));
                });
            }
            waiting.extend(foreign.sent());
            // In any order, and some of them later.
            for _ in 0..odd.dice.below(waiting.len() + 1) {
                let next = waiting.swap_remove(odd.dice.below(waiting.len()));
                for answer in odd.answer(&next) {
                    let sent = foreign.says(&answer);
                    waiting.extend(sent);
                }
            }
            for event in foreign.events() {
                match event {
                    ClientEvent::Response { exchange, response } => {
                        if response.code == Code::CONTENT {
                            assert!(response.body == body(odd.length, 1), "seed {seed}: another body");
                        }
                        ended.insert(exchange, response.code.to_string());
                    }
                    ClientEvent::Failed { exchange, why, .. } => {
                        ended.insert(exchange, format!("{why:?}"));
                    }
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
            if foreign.now >= honest && ended.len() == asked.len() {
                break;
            }
            let soon = foreign.now + 50 * MS;
            let due = foreign.client.poll_timeout();
            assert!(due.is_none_or(|at| at >= foreign.now), "seed {seed}: a timer stays in the past");
            foreign.now = if waiting.is_empty() { due.unwrap_or(end).max(soon) } else { soon };
            foreign.client.handle_timeout(foreign.now);
        }
        let open: Vec<_> = asked.iter().filter(|id| !ended.contains_key(id)).collect();
        assert!(open.is_empty(), "seed {seed}: {open:?} of {} hang", asked.len());
    }
}

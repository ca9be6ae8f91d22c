//! Blockwise at the server (RFC 7959): a client that does not keep to the order, and an upstream that
//! takes its time.
//!
//! A complete body equals the one sent; an outgoing block belongs to the requested body; exchanges are
//! reported once and cancelled once; memory is bounded, and in the end none is used.

mod checks;

use crate::coap::{
    BLOCK1, BLOCK2, CAPABILITIES, Outgoing, Q_BLOCK2, REQUEST_TAG, SIZE1, SIZE2, URI_PATH, block, body,
    tight_limits, uint,
};
use arbitrary::{Arbitrary, Unstructured};
use coap_lite::MessageType;
use lowband_transport::coap::{Limits, Server, Times};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::Code;
use lowband_wire::coap::options::ResponseOptions;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Debug, Arbitrary)]
enum Step {
    /// Another session replaces this one and inherits nothing.
    Replace {
        session: u8,
    },
    Upload {
        to: To,
        at: At,
        more: bool,
        szx: u8,
        odd: u8,
        size: Option<u16>,
    },
    Ask {
        to: To,
        put: bool,
        szx: Option<u8>,
    },
    AskBlock {
        to: To,
        put: bool,
        num: u16,
        szx: u8,
        wants_size: bool,
    },
    /// An earlier message, unchanged.
    Repeat {
        session: u8,
        which: u8,
    },
    /// The upstream has more of an answer.
    Answer {
        which: u8,
        length: u16,
        last: bool,
        size: bool,
    },
    Fail {
        which: u8,
    },
    /// A separate response is acknowledged, or reset.
    Settle {
        session: u8,
        which: u8,
        reset: bool,
    },
    Pass {
        deciseconds: u16,
    },
    /// Several blocks at once: `which` has a bit for each block from `num` on.
    AskList {
        to: To,
        put: bool,
        num: u8,
        which: u8,
        more: bool,
        szx: u8,
        ours: bool,
    },
}

/// The body that a message concerns.
#[derive(Clone, Copy, Debug, Arbitrary)]
struct To {
    session: u8,
    resource: bool,
    tag: bool,
    non_confirmable: bool,
}

#[derive(Debug, Arbitrary)]
enum At {
    TheBeginning,
    TheNextBlock,
    Block(u8),
}

const SESSIONS: usize = 2;

/// Puts all sessions in one network, so that its share is reached as well as the whole.
fn network(_: SessionId) -> Network {
    Network::of(std::net::Ipv4Addr::LOCALHOST.into())
}
const MOST_STEPS: usize = 120;
/// The most bytes of one step of the upstream.
const LONGEST_CHUNK: usize = 12_000;

/// The properties that identify a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    session: SessionId,
    put: bool,
    resource: bool,
    tag: bool,
}

/// A message that was sent, and its statement about an upload.
struct Message {
    bytes: Vec<u8>,
    key: Key,
    /// The number of the upload among those under its key, and where the block ends.
    upload: Option<(u64, usize)>,
}

/// The newest upload under a key.
#[derive(Default)]
struct Upload {
    number: u64,
    next: usize,
}

struct Answer {
    key: Key,
    begun: bool,
    length: usize,
    /// True once the whole answer has been given.
    complete: bool,
    /// True once nothing more is owed.
    over: bool,
}

struct World {
    limits: Limits,
    now: Instant,
    server: Server,
    sessions: [SessionId; SESSIONS],
    next_session: u64,
    next_id: u16,
    messages: Vec<Message>,
    uploads: BTreeMap<Key, Upload>,
    answers: BTreeMap<ExchangeId, Answer>,
    etags: BTreeMap<Vec<u8>, ExchangeId>,
    /// Separate responses to be settled, by session and message id.
    separate: Vec<(SessionId, u16)>,
    /// Whether a client has said what it is capable of, which the server knows as long as its session lasts.
    has_said: bool,
}

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(&step);
        world.look(None);
        world.check();
    }
    world.end(data.len().is_multiple_of(2));
}

impl World {
    fn new() -> World {
        let (now, limits) = (Instant::now(), tight_limits());
        let mut world = World {
            now,
            server: Server::new(Times::rfc7252(), limits.clone(), [7; 32]),
            limits,
            sessions: [SessionId(0); SESSIONS],
            next_session: 1,
            next_id: 0,
            messages: Vec::new(),
            uploads: BTreeMap::new(),
            answers: BTreeMap::new(),
            etags: BTreeMap::new(),
            separate: Vec::new(),
            has_said: false,
        };
        (0..SESSIONS).for_each(|at| world.open(at));
        world
    }

    fn open(&mut self, at: usize) {
        self.sessions[at] = SessionId(self.next_session);
        self.next_session += 1;
        self.server.session_opened(self.now, self.sessions[at], None);
    }

    fn session(&self, number: u8) -> SessionId {
        self.sessions[usize::from(number) % SESSIONS]
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Replace { session } => {
                let at = usize::from(session) % SESSIONS;
                let closed = self.sessions[at];
                self.server.session_closed(self.now, closed);
                self.look(None);
                let owed = self.answers.values().any(|answer| answer.key.session == closed && !answer.over);
                assert!(!owed, "the end of a session cancels what is owed to it");
                self.separate.retain(|(session, _)| *session != closed);
                self.open(at);
            }
            Step::Upload { to, ref at, more, szx, odd, size } => self.upload(to, at, more, szx, odd, size),
            Step::Ask { to, put, szx } => {
                let blocks = szx.map(|szx| (BLOCK2, block(0, false, szx % 7)));
                self.send(to, put, blocks.into_iter().collect(), Vec::new(), None);
            }
            Step::AskBlock { to, put, num, szx, wants_size } => {
                let mut options = vec![(BLOCK2, block(num.into(), false, szx % 7))];
                options.extend(wants_size.then(|| (SIZE2, Vec::new())));
                self.send(to, put, options, Vec::new(), None);
            }
            Step::AskList { to, put, num, which, more, szx, ours } => {
                let nums = (0..8).filter(|bit| which >> bit & 1 == 1).map(|bit| usize::from(num) + bit);
                let listed = nums.map(|num| (Q_BLOCK2, block(num as u32, more, szx % 7)));
                let mut options: Vec<_> = listed.collect();
                options.extend(ours.then(|| (CAPABILITIES, vec![3])));
                self.has_said |= ours;
                self.send(to, put, options, Vec::new(), None);
            }
            Step::Repeat { session, which } => self.repeat(session, which),
            Step::Answer { which, length, last, size } => self.answer(which, length.into(), last, size),
            Step::Fail { which } => {
                if let Some(exchange) = self.owed(which) {
                    self.over(exchange);
                    self.server.fail(self.now, exchange, Code::new(5, 4), "the upstream is silent");
                }
            }
            Step::Settle { session, which, reset } => {
                let session = self.session(session);
                let of_session = |(_, (of, _)): &(usize, &(SessionId, u16))| *of == session;
                let waiting: Vec<_> =
                    self.separate.iter().enumerate().filter(of_session).map(|(at, _)| at).collect();
                let Some(at) = waiting.get(usize::from(which) % waiting.len().max(1)) else { return };
                let (session, id) = self.separate.remove(*at);
                let kind = if reset { MessageType::Reset } else { MessageType::Acknowledgement };
                let bytes = Outgoing::new(kind, 0, id, &[]).bytes();
                self.server.handle_message(self.now, session, network(session), &bytes);
            }
            Step::Pass { deciseconds } => self.pass(Duration::from_millis(100) * deciseconds.into()),
        }
    }

    fn key(&self, to: To, put: bool) -> Key {
        Key { session: self.session(to.session), put, resource: to.resource, tag: to.tag }
    }

    fn upload(&mut self, to: To, at: &At, more: bool, szx: u8, odd: u8, size: Option<u16>) {
        let szx = szx % 7;
        let bytes = 16 << szx;
        let key = self.key(to, true);
        let upload = self.uploads.entry(key).or_default();
        let num = match *at {
            At::TheBeginning => 0,
            At::TheNextBlock => upload.next / bytes,
            At::Block(num) => num.into(),
        };
        if num == 0 {
            upload.number += 1;
        }
        let from = num * bytes;
        // A block that is not full, or too full: invalid unless it is the last.
        let end = match odd.checked_sub(200) {
            None => from + bytes,
            Some(odd) => from + usize::from(odd) * 20,
        };
        upload.next = if more { end } else { 0 };
        let number = upload.number;
        let payload = body(upload_seed(key, number), from, end);
        let mut options = vec![(BLOCK1, block(num as u32, more, szx))];
        options.extend(size.map(|size| (SIZE1, uint(size.into()))));
        self.send(to, true, options, payload, Some((number, end)));
    }

    fn send(
        &mut self,
        to: To,
        put: bool,
        options: Vec<(u16, Vec<u8>)>,
        payload: Vec<u8>,
        upload: Option<(u64, usize)>,
    ) {
        let key = self.key(to, put);
        // Some clients put their requests into acknowledgements.
        let acknowledges = self.separate.iter().position(|(session, _)| *session == key.session);
        let (kind, id) = match (to.non_confirmable, acknowledges) {
            (true, Some(at)) => (MessageType::Acknowledgement, self.separate.remove(at).1),
            (true, None) => (MessageType::NonConfirmable, self.next_id),
            (false, _) => (MessageType::Confirmable, self.next_id),
        };
        let code = if put { Code::PUT } else { Code::GET };
        // The token is the index of the message among all.
        let token = (self.messages.len() as u32).to_be_bytes();
        let mut message = Outgoing::new(kind, code.0, id, &token);
        self.next_id += 1;
        message = message.option(URI_PATH, if to.resource { b"a" } else { b"b" });
        if to.tag {
            message = message.option(REQUEST_TAG, b"t");
        }
        let message =
            options.into_iter().fold(message, |message, (number, value)| message.option(number, &value));
        let bytes = message.payload(payload).bytes();
        self.messages.push(Message { bytes, key, upload });
        self.deliver(self.messages.len() - 1);
    }

    fn deliver(&mut self, at: usize) {
        let Message { bytes, key, .. } = &self.messages[at];
        self.server.handle_message(self.now, key.session, network(key.session), bytes);
        self.look(Some(at));
    }

    /// Repeats a message, but not a block of an upload that was replaced: nothing distinguishes it from a
    /// block of the new one.
    fn repeat(&mut self, session: u8, which: u8) {
        let session = self.session(session);
        let current = |message: &Message| {
            let newest = self.uploads.get(&message.key).map(|upload| upload.number);
            message.key.session == session && message.upload.is_none_or(|(number, _)| Some(number) == newest)
        };
        let all: Vec<_> = (0..self.messages.len()).filter(|at| current(&self.messages[*at])).collect();
        if let Some(at) = all.iter().rev().nth(usize::from(which) % all.len().max(1)) {
            self.deliver(*at);
        }
    }

    /// Returns one of the exchanges that wait for the upstream.
    fn owed(&self, which: u8) -> Option<ExchangeId> {
        let owed: Vec<_> =
            self.answers.iter().filter(|(_, answer)| !answer.over).map(|(id, _)| *id).collect();
        owed.get(usize::from(which) % owed.len().max(1)).copied()
    }

    fn over(&mut self, exchange: ExchangeId) {
        if let Some(answer) = self.answers.get_mut(&exchange) {
            answer.over = true;
        }
    }

    fn answer(&mut self, which: u8, length: usize, last: bool, size: bool) {
        let Some(id) = self.owed(which) else { return };
        if !self.server.wants_chunk(id) {
            return;
        }
        let Some(answer) = self.answers.get_mut(&id) else { return };
        let (from, to) = (answer.length, answer.length + length % LONGEST_CHUNK);
        if !answer.begun {
            let size = size.then_some(to as u64).filter(|_| last);
            let options = ResponseOptions { size, ..ResponseOptions::default() };
            self.server.respond_head(self.now, id, Code::CONTENT, options);
        }
        answer.begun = true;
        answer.length = to;
        (answer.complete, answer.over) = (last, last);
        self.server.respond_chunk(self.now, id, &body(answer_seed(id), from, to), last);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= until) {
            self.server.handle_timeout(due);
            assert!(self.server.poll_timeout() != Some(due), "what was due has been done");
            self.look(None);
        }
        self.now = until;
    }
}

fn upload_seed(key: Key, number: u64) -> u64 {
    number << 32 | key.session.0 << 2 | u64::from(key.resource) << 1 | u64::from(key.tag)
}

fn answer_seed(exchange: ExchangeId) -> u64 {
    1 << 60 | exchange.0
}

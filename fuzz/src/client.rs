//! Blockwise at the client (RFC 7959): a server that answers what it likes, in any order and size.
//!
//! The parts that the client sends of a body belong to that body; a complete response consists of one body;
//! each request ends once, and a cancelled one is never reported again.

use crate::coap::{BLOCK1, BLOCK2, ETAG, Outgoing, SIZE2, Sent, URI_PATH, block, body, tight_limits, uint};
use arbitrary::{Arbitrary, Unstructured};
use coap_lite::MessageType;
use lowband_transport::coap::{Client, ClientEvent, Limits, Request, Response, Times};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::block::BlockSize;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[derive(Debug, Arbitrary)]
enum Step {
    /// Another session replaces this one.
    Replace {
        session: u8,
    },
    Request {
        session: u8,
        put: bool,
        same_resource: bool,
        length: u16,
        token: u16,
    },
    Cancel {
        which: u8,
    },
    Ping {
        session: u8,
    },
    /// Replies as an honest server would, except for the named parts.
    Reply {
        session: u8,
        to: u8,
        kind: Kind,
        code: Option<u8>,
        lie: Option<Lie>,
        more: bool,
        etag: bool,
        szx: u8,
    },
    /// An acknowledgement or a Reset without content.
    Settle {
        session: u8,
        to: u8,
        reset: bool,
    },
    /// An earlier message of the server, unchanged.
    Repeat {
        session: u8,
        which: u8,
    },
    Pass {
        deciseconds: u16,
    },
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Piggybacked,
    Confirmable,
    NonConfirmable,
}

#[derive(Debug, Arbitrary)]
enum Lie {
    Block1 {
        num: u8,
        more: bool,
        szx: u8,
    },
    NoBlock1,
    Block2 {
        num: u8,
        szx: u8,
    },
    NoBlock2,
    Size2(u16),
    /// A length in place of a whole block.
    Length(u16),
    Token(u8),
}

const SESSIONS: usize = 2;
const MOST_STEPS: usize = 120;

struct Asked {
    session: SessionId,
    length: usize,
    started: bool,
}

struct World {
    limits: Limits,
    now: Instant,
    client: Client,
    sessions: [SessionId; SESSIONS],
    next_session: u64,
    next_id: u16,
    /// Requests that have not ended.
    open: BTreeMap<ExchangeId, Asked>,
    known: BTreeSet<ExchangeId>,
    /// Messages of the client: newest last, each once.
    sent: Vec<(SessionId, Sent)>,
    /// Messages of the server.
    replies: Vec<(SessionId, Vec<u8>)>,
}

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let small = data.len().is_multiple_of(2);
    let mut world = World::new(if small { BlockSize::MIN } else { BlockSize::MAX });
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(&step);
        world.look();
    }
    world.end();
}

impl World {
    fn new(block_size: BlockSize) -> World {
        let (now, limits) = (Instant::now(), Limits { block_size, ..tight_limits() });
        let mut world = World {
            now,
            client: Client::new(Times::measured(), limits.clone(), [7; 32]),
            limits,
            sessions: [SessionId(0); SESSIONS],
            next_session: 1,
            next_id: 0,
            open: BTreeMap::new(),
            known: BTreeSet::new(),
            sent: Vec::new(),
            replies: Vec::new(),
        };
        (0..SESSIONS).for_each(|at| world.begin(at));
        world
    }

    fn begin(&mut self, at: usize) {
        self.sessions[at] = SessionId(self.next_session);
        self.next_session += 1;
        self.client.session_opened(self.now, self.sessions[at], Some(Duration::from_millis(200)));
    }

    fn session(&self, number: u8) -> SessionId {
        self.sessions[usize::from(number) % SESSIONS]
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Replace { session } => {
                let at = usize::from(session) % SESSIONS;
                self.close(self.sessions[at]);
                self.begin(at);
            }
            Step::Request { session, put, same_resource, length, token } => {
                self.request(self.session(session), put, same_resource, length.into(), token.into());
            }
            Step::Cancel { which } => {
                let open: Vec<_> = self.open.keys().copied().collect();
                if let Some(exchange) = open.get(usize::from(which) % open.len().max(1)) {
                    self.open.remove(exchange);
                    self.client.cancel(self.now, *exchange);
                }
            }
            Step::Ping { session } => self.client.ping(self.now, self.session(session)),
            Step::Reply { session, to, ref kind, code, ref lie, more, etag, szx } => {
                let session = self.session(session);
                self.next_id = self.next_id.wrapping_add(1);
                let Some(to) = self.newest(session, to) else { return };
                let id = if matches!(kind, Kind::Piggybacked) { to.id() } else { self.next_id };
                let bytes = reply(to, id, kind, code, lie.as_ref(), more, etag, szx % 7);
                self.replies.push((session, bytes.clone()));
                self.client.handle_message(self.now, session, &bytes);
            }
            Step::Settle { session, to, reset } => {
                let session = self.session(session);
                let Some(to) = self.newest(session, to) else { return };
                let kind = if reset { MessageType::Reset } else { MessageType::Acknowledgement };
                let bytes = Outgoing::new(kind, 0, to.id(), &[]).bytes();
                self.client.handle_message(self.now, session, &bytes);
            }
            Step::Repeat { session, which } => {
                let session = self.session(session);
                let all: Vec<_> = self.replies.iter().filter(|(of, _)| *of == session).collect();
                if let Some((_, bytes)) = all.iter().rev().nth(usize::from(which) % all.len().max(1)) {
                    self.client.handle_message(self.now, session, bytes);
                }
            }
            Step::Pass { deciseconds } => {
                let until = self.now + Duration::from_millis(100) * u32::from(deciseconds);
                while let Some(due) = self.client.poll_timeout().filter(|due| *due <= until) {
                    self.client.handle_timeout(due);
                    assert!(self.client.poll_timeout() != Some(due), "what was due has been done");
                }
                self.now = until;
            }
        }
    }

    fn newest(&self, session: SessionId, which: u8) -> Option<&Sent> {
        let of_session = self.sent.iter().rev().filter(|(of, _)| *of == session).map(|(_, sent)| sent);
        of_session.take(8).nth(usize::from(which) % 8)
    }

    fn request(&mut self, session: SessionId, put: bool, same_resource: bool, length: usize, token: usize) {
        let length = if put { length % 6000 } else { 0 };
        let method = if put { Method::Put } else { Method::Get };
        // The next exchange: the path names it, except for exchanges that are meant to collide.
        let number = self.known.len() as u64;
        let resource = if same_resource { String::new() } else { number.to_string() };
        let options = RequestOptions {
            path: vec![resource],
            authorization: (token > 0).then(|| "t".repeat(token % 4100)),
            ..RequestOptions::default()
        };
        let request = Request { method, options, body: body(number, 0, length) };
        let exchange = self.client.request(self.now, session, request);
        assert_eq!(exchange, ExchangeId(number), "names are given in order, and once");
        self.known.insert(exchange);
        self.open.insert(exchange, Asked { session, length, started: false });
    }

    fn close(&mut self, session: SessionId) {
        self.look();
        self.client.session_closed(self.now, session);
        self.look();
        assert!(
            self.open.values().all(|asked| asked.session != session),
            "the end of a session ends its requests"
        );
    }

    fn look(&mut self) {
        while let Some((session, bytes)) = self.client.poll_transmit() {
            let sent = Sent::parse(&bytes);
            assert!(self.sessions.contains(&session), "nothing is sent to a session that is gone");
            let is_request = sent.code() != 0;
            if is_request {
                assert_eq!(sent.kind(), MessageType::Confirmable);
                // A token of 4,096 bytes and a block of 1,024 are the longest that cannot be avoided.
                assert!(bytes.len() <= 5300, "{} bytes", bytes.len());
                self.request_sent(session, &sent);
            }
            let known = |(of, old): &(SessionId, Sent)| *of == session && old.id() == sent.id();
            if sent.kind() == MessageType::Confirmable && !self.sent.iter().any(known) {
                self.sent.push((session, sent));
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Response { exchange, response } => {
                    assert!(self.open.remove(&exchange).is_some(), "a request ends once");
                    self.response(&response);
                }
                ClientEvent::Failed { exchange, .. } => {
                    assert!(self.open.remove(&exchange).is_some(), "a request ends once");
                }
                ClientEvent::Pong { session } | ClientEvent::Dead { session } => {
                    assert!(self.sessions.contains(&session));
                }
                other => panic!("{other:?}"),
            }
        }
        for session in self.sessions {
            let of_session = |asked: &&Asked| asked.session == session && asked.started;
            let started = self.open.values().filter(of_session).count();
            assert!(started <= self.limits.exchanges_per_session, "{started} requests on their way");
        }
    }

    /// Checks a piece of the body of the request that its path names.
    fn request_sent(&mut self, session: SessionId, sent: &Sent) {
        let path = sent.option(URI_PATH).expect("a path");
        let number = std::str::from_utf8(path).ok().and_then(|path| path.parse().ok());
        let block = sent.block(BLOCK1);
        let (from, more, size) = block.unwrap_or((0, false, usize::MAX));
        let end = from + sent.payload().len();
        assert!(sent.payload().len() <= size && (!more || sent.payload().len() == size));
        let Some(number) = number else { return };
        // The request may have been cancelled in the meantime.
        let Some(asked) = self.open.get_mut(&ExchangeId(number)) else { return };
        assert_eq!(asked.session, session);
        asked.started = true;
        assert_eq!(sent.payload(), body(number, from, end), "what is sent is of the body");
        assert!(end <= asked.length);
        if sent.option(BLOCK2).is_none() || block.is_some() {
            assert_eq!(more, end < asked.length, "more is said where more comes");
        }
    }

    /// Checks that two bodies are never combined into one.
    fn response(&self, response: &Response) {
        let length = response.body.len();
        assert!(length <= self.limits.download.max(1 << 14), "a body within the limit");
        // A refusal in place of a block is a text of its own, whatever its Block2.
        assert!(
            !response.code.is_success()
                || [false, true].into_iter().any(|etag| response.body == body(reply_seed(etag), 0, length)),
            "a response of {length} bytes is of one body"
        );
    }

    fn end(mut self) {
        for session in self.sessions {
            self.close(session);
        }
        assert!(self.open.is_empty(), "each request ends");
        assert_eq!(self.client.poll_timeout(), None);
    }
}

fn reply_seed(etag: bool) -> u64 {
    1 << 60 | u64::from(etag)
}

#[allow(clippy::too_many_arguments, reason = "the parts of one step")]
fn reply(
    to: &Sent,
    id: u16,
    kind: &Kind,
    code: Option<u8>,
    lie: Option<&Lie>,
    more: bool,
    etag: bool,
    szx: u8,
) -> Vec<u8> {
    let kind = match kind {
        Kind::Piggybacked => MessageType::Acknowledgement,
        Kind::Confirmable => MessageType::Confirmable,
        Kind::NonConfirmable => MessageType::NonConfirmable,
    };
    let block1 = to
        .block(BLOCK1)
        .map(|(from, more, size)| ((from / size) as u32, more, size.trailing_zeros() as u8 - 4));
    let uploading = block1.is_some_and(|(_, more, _)| more);
    let honest = if uploading { Code::CONTINUE } else { Code::CONTENT };
    let code = code.map_or(honest, |detail| Code::new(2 + detail % 4, detail >> 2 & 31));
    let asked = to.block(BLOCK2).map_or(0, |(from, _, _)| from);
    let block1 = match lie {
        Some(Lie::Block1 { num, more, szx }) => Some((u32::from(*num), *more, szx % 7)),
        Some(Lie::NoBlock1) => None,
        _ => block1,
    };
    let block2 = match lie {
        Some(Lie::Block2 { num, szx }) => Some((u32::from(*num), szx % 7)),
        Some(Lie::NoBlock2) => None,
        _ if uploading => None,
        _ => Some(((asked >> (szx + 4)) as u32, szx)),
    };
    let (num, size) = block2.map_or((0, 1024), |(num, szx)| (num as usize, 16 << szx));
    let length = match lie {
        Some(Lie::Length(length)) => usize::from(length % 1200),
        _ if uploading => 0,
        _ if more => size,
        _ => size / 2,
    };
    let token = match lie {
        Some(Lie::Token(token)) => &[*token][..],
        _ => to.token(),
    };
    let mut message = Outgoing::new(kind, code.0, id, token);
    if let Some((num, more, szx)) = block1 {
        message = message.option(BLOCK1, &block(num, more, szx));
    }
    if let Some((num, szx)) = block2 {
        message = message.option(BLOCK2, &block(num, more, szx)).option(ETAG, &[etag.into()]);
    }
    if let Some(Lie::Size2(size)) = lie {
        message = message.option(SIZE2, &uint((*size).into()));
    }
    let from = num * size;
    message.payload(body(reply_seed(etag), from, from + length)).bytes()
}

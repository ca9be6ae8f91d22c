//! The answering role: messages in, whole requests out, and the way back.
//!
//! ```text
//! handle_message -> message layer -> options ---- Block2 > 0 ---> snapshot ----> one block          (blockwise.rs)
//!                                       |-------- Q-Block2 -----> snapshot ----> several blocks     (lists.rs, sending.rs)
//!                                       |-------- Block1 -------> upload -> 2.31, or whole --.      (uploading.rs)
//!                                       `-------- else ----------------------------------> Request (this file)
//!                                                                                              |
//! one message, or a snapshot and its first block <---- respond_head, respond_chunk, fail <-----'    (exchange.rs)
//! ```
//!
//! `memory.rs` says how much of bodies each session may hold, and which gives way.
//!
//! A session at rest has no state here except what sticks to it (`sticky.rs`). Deliberately absent: Observe
//! and Q-Block1, which would branch off after the options; and a window for answers that go in
//! acknowledgements or to lists, of which a server sends no more than it was asked for.

mod activity;
mod balance;
mod blockwise;
mod bodies;
mod exchange;
mod gauges;
mod lists;
mod memory;
mod narrow_path;
mod sending;
mod sticky;
mod turned_away;
mod uploading;

use super::config::{Limits, Times};
use super::message_layer::{MessageLayer, Origin, Received};
use super::snapshot::SnapshotId;
use super::timers::Timers;
use crate::shares::Network;
use crate::{ExchangeId, SessionId};
use bodies::{Bodies, Held};
use exchange::{Exchange, State};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Kind, Message, Outgoing};
use lowband_wire::coap::options::{self, ParsedRequest, RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method, access_token, numbers};
use memory::Memory;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use sticky::Sticky;

pub use activity::Activity;
pub use sticky::Standing;

/// What the server role reports to its caller.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A whole request has arrived. The caller answers it by `respond_head` and `respond_chunk`,
    /// or by `fail`.
    Request {
        /// Session that the request came by.
        session: SessionId,
        /// Id by which the answer names the request.
        exchange: ExchangeId,
        /// Method of the request: GET, POST, PUT or DELETE.
        method: Method,
        /// Options of the request; for an upload, those of its first block.
        options: RequestOptions,
        /// Access token and CBOR version that hold for this request.
        standing: Standing,
        /// The whole body, all blocks together; empty if there was none.
        body: Vec<u8>,
    },
    /// The client no longer waits for this answer: the caller stops the upstream request. Later answers to it
    /// are ignored. Reported only for exchanges whose answer was not complete.
    Cancelled {
        /// The exchange that is cancelled.
        exchange: ExchangeId,
    },
    /// A response that was paused by back-pressure may go on: ask `wants_chunk` again.
    WantsChunk {
        /// The exchange whose answer may go on.
        exchange: ExchangeId,
    },
}

/// Seconds after which a client that was refused for want of room may try again (Max-Age of a 5.03).
const RETRY_AFTER: u32 = 5;

/// Text of the answer to a request above the limit of those that wait.
const TOO_MANY: &str = "too many requests of this session are waiting";

/// Bytes of a diagnostic text; longer ones are cut.
const MAX_DIAGNOSTIC: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A request has waited for the upstream long enough, and is acknowledged.
    Acknowledge(ExchangeId),
    /// An upload or a snapshot of the session may have been silent for too long.
    Bodies(SessionId),
    /// A block of a body that is sent on by itself is due.
    Send(SessionId, SnapshotId),
    /// Memory is free, and more upstreams wait for it than one event looks at.
    Wake,
}

/// What a session has open. Dropped when it is empty.
#[derive(Debug, Default)]
struct Session {
    exchanges: BTreeSet<ExchangeId>,
    bodies: Option<Box<Bodies>>,
    sticky: Sticky,
}

/// The answering role over any session layer.
#[derive(Debug)]
pub struct Server {
    messages: MessageLayer<ExchangeId>,
    sessions: BTreeMap<SessionId, Box<Session>>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    alarms: Timers<Alarm>,
    events: VecDeque<ServerEvent>,
    memory: Memory,
    /// Number of exchanges that are unfinished.
    unfinished: usize,
    next_exchange: u64,
    next_snapshot: u64,
    next_etag: u32,
}

impl Server {
    /// Makes a server. `seed` feeds message ids, ETags and the random part of back-off.
    pub fn new(times: Times, limits: Limits, seed: [u8; 32]) -> Server {
        let memory = Memory::new(&limits);
        let mut messages = MessageLayer::new(times, limits, seed);
        let next_etag = u32::from(messages.random.u16());
        Server {
            messages,
            sessions: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            alarms: Timers::new(),
            events: VecDeque::new(),
            memory,
            unfinished: 0,
            next_exchange: 0,
            next_snapshot: 0,
            next_etag,
        }
    }

    /// Limits messages to this session to `bytes` (RFC 6066 section 4); without this call they have 2^14 at
    /// most. To be called before the session opens.
    pub fn limit_messages(&mut self, session: SessionId, bytes: usize) {
        self.messages.limit(session, bytes);
    }

    /// Notes that a session has been established.
    pub fn session_opened(&mut self, now: Instant, session: SessionId, round_trip: Option<Duration>) {
        self.messages.opened(now, session, round_trip);
    }

    /// Notes that a session has ended: its exchanges are cancelled, its uploads and snapshots dropped.
    pub fn session_closed(&mut self, now: Instant, session: SessionId) {
        self.messages.closed(session);
        self.alarms.clear(Alarm::Bodies(session));
        let Some(state) = self.sessions.remove(&session) else { return };
        for id in state.exchanges {
            self.alarms.clear(Alarm::Acknowledge(id));
            self.memory.go_on(id);
            if let Some(exchange) = self.exchanges.remove(&id) {
                self.unfinished -= usize::from(exchange.is_unfinished());
                if exchange.waits_for_upstream() {
                    self.cancelled(id);
                }
            }
        }
        if let Some(bodies) = state.bodies {
            self.messages.counters.bodies_given_up += bodies.held().unread as u64;
            bodies.sent().for_each(|snapshot| self.alarms.clear(Alarm::Send(session, snapshot)));
            self.memory.account(session, bodies.network, bodies.held(), Held::default());
        }
        self.wake(now);
    }

    /// Takes in one CoAP message. `network` is the network whose share pays for what is kept of the message;
    /// it is passed with each message, because a session at rest keeps nothing here.
    pub fn handle_message(&mut self, now: Instant, session: SessionId, network: Network, bytes: &[u8]) {
        match self.messages.receive(now, session, network, bytes) {
            Received::Nothing => {}
            Received::Duplicate(origin) => {
                self.still_wanted(now, session, origin.id);
                self.repeated(now, &origin);
            }
            Received::Unheard { message, answer, times } => {
                self.answer_smaller(now, &Origin::of(session, network, &message), &message, answer, times);
            }
            Received::Request { message, acknowledges, again } => {
                if let Some(exchange) = acknowledges {
                    self.response_acknowledged(now, exchange);
                }
                self.handle_request(now, Origin::of(session, network, &message), message, again);
            }
            Received::Response { message, .. } => {
                // A server makes no requests (RFC 7252 section 4.2: rejected by a Reset, or ignored).
                self.messages.counters.unexpected_responses += 1;
                if message.kind == Kind::Confirmable {
                    self.messages.reset(session, message.id);
                }
            }
            Received::Acknowledged(exchange) => self.response_acknowledged(now, exchange),
            // aiocoap acknowledges a late answer and resets each further copy of it, while it asks for
            // the other blocks.
            Received::Reset { of, of_copy: true } => self.response_acknowledged(now, of),
            Received::Reset { of, of_copy: false } => self.abandon(now, of),
        }
        self.wake(now);
    }

    /// Handles a request. `again`: what it carries for its session has been taken in before.
    fn handle_request(&mut self, now: Instant, asker: Origin, message: Message, again: bool) {
        let session = asker.session;
        // Before any refusal: whatever comes back shows the client that this message has arrived.
        if options::capabilities(&message) & numbers::SHORT_TIMERS != 0 {
            self.messages.has_short_timers(session);
            self.judge_by_our_client(session, &message);
        }
        if asker.is_any_order() {
            self.messages.knows_any_order(session);
        }
        let said = access_token::said(&message);
        let (mut parsed, ignored) = ParsedRequest::parse(&message);
        ignored.into_iter().for_each(|fault| self.messages.counters.count_fault(fault));
        if let Err(refusal) = parsed {
            self.messages.counters.count_refusal(refusal);
        }
        let beside = parsed.as_mut().map(|request| self.take_beside(&asker, request)).unwrap_or_default();
        let standing = match &parsed {
            Ok(request) if again || self.says_again(session, request, &said) => self.standing(session, &said),
            _ => self.arrived(now, &asker, &message, &said),
        };
        let mut request = match parsed {
            Ok(request) => request,
            Err(refusal) if refusal.is_bad_option() && message.kind == Kind::NonConfirmable => {
                // RFC 7252 section 5.4.1.
                self.messages.counters.non_confirmable_dropped += 1;
                if message.options().any(|(number, _)| number == numbers::Q_BLOCK1) {
                    // RFC 9177 section 4.3: a client that hears nothing would send the whole body again.
                    self.messages.reset(session, message.id);
                }
                return;
            }
            Err(refusal) => return self.refuse(now, &asker, refusal.code(), &refusal.to_string()),
        };
        if let Some(Err(why)) = said {
            self.messages.counters.access_tokens_unreadable += 1;
            self.end_upload(now, session, &request);
            let (code, text) = why.refusal();
            return self.refuse(now, &asker, code, text);
        }
        if self.is_of_another(session, &request, &said) {
            let text = "the block is of another access token than its body; start again at block 0";
            return self.refuse(now, &asker, Code::REQUEST_ENTITY_INCOMPLETE, text);
        }
        if !request.q_block2.is_empty() {
            return self.list_requested(now, asker, request);
        }
        request.q_block2 = beside;
        match (request.block2, request.block1) {
            // RFC 7959 section 3.3: once the response has begun, requests for its blocks carry no body.
            (Some(block), _) if block.num > 0 => self.block_requested(now, asker, request, block),
            (_, Some(block)) => self.block_arrived(now, asker, request, standing, block, &message),
            _ if self.begins_again(now, &asker, &request) => {}
            _ => self.open(now, asker, request, standing, message.into_payload()),
        }
    }

    /// Hands a whole request to the caller.
    fn open(
        &mut self,
        now: Instant,
        asker: Origin,
        request: ParsedRequest,
        standing: Standing,
        body: Vec<u8>,
    ) {
        if self.too_many_requests(asker.session) {
            self.messages.counters.exchanges_refused += 1;
            return self.refuse_for_now(now, &asker, TOO_MANY);
        }
        self.messages.remember(now, &asker);
        self.messages.counters.requests += 1;
        let session = asker.session;
        let ParsedRequest { method, options, key, block1, block2, q_block2: list, .. } = request;
        let access_token = standing.access_token.clone();
        let open = State::Open { key, access_token, block1, block2, list, head: None, body: Vec::new() };
        let exchange = self.insert(now, asker, open, 0);
        self.events.push_back(ServerEvent::Request { session, exchange, method, options, standing, body });
    }

    /// Enters an exchange; `offset` is that of the block that it asks for.
    fn insert(&mut self, now: Instant, asker: Origin, state: State, offset: usize) -> ExchangeId {
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        if asker.kind == Kind::Confirmable {
            let wait = self.messages.piggyback_wait(asker.session);
            self.alarms.set(Alarm::Acknowledge(id), now + wait);
        }
        self.sessions.entry(asker.session).or_default().exchanges.insert(id);
        let exchange = Exchange::new(now, asker, state, offset);
        self.unfinished += usize::from(exchange.is_unfinished());
        self.exchanges.insert(id, exchange);
        id
    }

    fn cancelled(&mut self, exchange: ExchangeId) {
        self.messages.counters.cancelled += 1;
        self.events.push_back(ServerEvent::Cancelled { exchange });
    }

    /// Answers at once and remembers nothing: the same request will get the same answer.
    fn refuse(&mut self, now: Instant, asker: &Origin, code: Code, text: &str) {
        self.answer_at_once(now, asker, code, Vec::new(), text);
    }

    fn refuse_for_now(&mut self, now: Instant, asker: &Origin, text: &str) {
        self.answer_at_once(now, asker, Code::SERVICE_UNAVAILABLE, try_again_later(), text);
    }

    fn answer_at_once(
        &mut self,
        now: Instant,
        asker: &Origin,
        code: Code,
        options: Vec<(u16, Vec<u8>)>,
        text: &str,
    ) {
        let message = Outgoing { code, token: asker.token, options, payload: diagnostic(text) };
        self.reply_at_once(now, asker, None, 0, message);
    }

    /// Does what is due; to be called at the time of `poll_timeout`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(given_up) = self.messages.handle_timeout(now) {
            self.abandon(now, given_up.of);
        }
        while let Some(session) = self.messages.next_narrowed() {
            self.cut_smaller(now, session);
        }
        while let Some(alarm) = self.alarms.expired(now) {
            match alarm {
                Alarm::Acknowledge(exchange) => self.acknowledge(exchange),
                Alarm::Bodies(session) => self.expire_bodies(now, session),
                Alarm::Send(session, snapshot) => self.send_on(now, session, snapshot),
                Alarm::Wake => {}
            }
        }
        self.wake(now);
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<(SessionId, Vec<u8>)> {
        self.messages.poll_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Returns when to call `handle_timeout`; None while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.messages.poll_timeout(), self.alarms.next()].into_iter().flatten().min()
    }

    /// Counts a message that the session layer could not send.
    pub(crate) fn count_unsendable(&mut self) {
        self.messages.counters.unsendable += 1;
    }

    /// Drops the state of a session if nothing is left of it.
    fn tidy(&mut self, session: SessionId) {
        let is_at_rest =
            |state: &Session| state.exchanges.is_empty() && state.bodies.is_none() && state.sticky.is_empty();
        if self.sessions.get(&session).is_some_and(|state| is_at_rest(state)) {
            self.sessions.remove(&session);
        }
    }

    fn next_snapshot(&mut self) -> (SnapshotId, Vec<u8>) {
        self.next_snapshot += 1;
        self.next_etag = self.next_etag.wrapping_add(1);
        let etag = self.next_etag.to_be_bytes();
        let length = if self.next_etag >> 16 == 0 { 2 } else { 4 };
        (SnapshotId(self.next_snapshot), etag.into_iter().skip(4 - length).collect())
    }
}

/// Encodes a text for people (RFC 7252 section 5.5.2), cut between characters.
fn diagnostic(text: &str) -> Vec<u8> {
    let cut = (0..=MAX_DIAGNOSTIC).rev().find_map(|length| text.get(..length));
    if text.len() <= MAX_DIAGNOSTIC { text } else { cut.unwrap_or_default() }.as_bytes().to_vec()
}

/// Makes the options of a 5.03: when to try again.
fn try_again_later() -> Vec<(u16, Vec<u8>)> {
    options::encode_response(&ResponseOptions { max_age: Some(RETRY_AFTER), ..Default::default() })
}

/// Makes the Block1 of an answer to a block: which one, and whether more is expected (RFC 7959 section 2.3).
fn echo(block: Block) -> (u16, Vec<u8>) {
    (numbers::BLOCK1, block.encode())
}

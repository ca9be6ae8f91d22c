//! The asking role: requests in, whole responses out.
//!
//! ```text
//! request -> (waits for the session, or for its turn) -> message layer ->
//!                                                                          2.31: next block of the request
//! Response <- whole <---- response, by its token <---- message layer <-    Block2: ask for the next block
//! ```
//!
//! How long to wait for a response that has been acknowledged is the caller's business: a long poll takes
//! minutes. Deliberately absent: starting a request again. Matrix has transaction ids for that, and the
//! caller knows them.

mod exchange;
mod flight;
mod flying;
mod liveness;
mod narrow_path;
mod report;
mod sending;
mod upload;
mod uploading;

use super::config::{Limits, Times};
use super::counters::Counters;
use super::exchanged::{Request, Response};
use super::failure::{FailReason, ProtocolError};
use super::message_layer::{MessageLayer, Origin, Received};
use super::timers::Timers;
use crate::shares::Network;
use crate::{ExchangeId, SessionId};
use exchange::Exchange;
use flight::{Flight, Part};
use lowband_wire::coap::message::{Kind, Message, Token};
use lowband_wire::coap::numbers;
use lowband_wire::coap::options::ParsedResponse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use liveness::Silence;
pub use report::{Direction, Partial, PathReport, Progress};

/// Requests of one session that may begin while an older one is still sent again: a copy is recognised only
/// as long as the server remembers its message id, else the request is executed twice. A server of ours
/// remembers 256 message ids and 128 KiB of answers (`Limits::dedup_per_session`,
/// `dedup_bytes_per_session`): the first and the last block of these requests and of the 31 that were on
/// their way before, and an answer of one block to each.
const RUN_AHEAD: u64 = 64;

/// What the client role reports to its caller.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The response is complete.
    Response {
        /// Id of the request, as [`Client::request`] returned it.
        exchange: ExchangeId,
        /// The whole response, of any code.
        response: Response,
    },
    /// No response will come.
    Failed {
        /// Id of the request, as [`Client::request`] returned it.
        exchange: ExchangeId,
        /// Reason why no response will come.
        why: FailReason,
        /// True if part of the request has been sent. If false, the peer has never seen the request, and it
        /// can be made again without harm.
        sent: bool,
    },
    /// The peer answered a ping.
    Pong {
        /// The session whose peer has answered.
        session: SessionId,
    },
    /// The peer is gone: a ping was not answered for [`Times::dead_after`], and nothing else has come
    /// meanwhile. The requests of the session are unchanged; they fail when the caller closes the session,
    /// which it should do now.
    Dead {
        /// Session that is to be closed.
        session: SessionId,
    },
}

/// What a confirmable message of ours was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Exchange(ExchangeId),
    /// A request for one block, among others.
    Part(Part),
    Ping(SessionId),
}

#[derive(Debug, Default)]
struct Session {
    open: bool,
    /// Tokens are numbers that only grow: no token is used twice with the same keys (RFC 9175 section 4.2).
    last_token: u64,
    /// So are Request-Tags: a late block belongs to no body but its own (RFC 9175 section 3.4).
    last_tag: u32,
    /// Exchange that a response belongs to, by its token.
    tokens: BTreeMap<Token, ExchangeId>,
    /// Requests that wait for the session to open, or for their turn.
    queue: VecDeque<ExchangeId>,
    /// Whether requests that have waited are being started.
    is_starting: bool,
    /// Number of requests on their way.
    active: usize,
    /// Number of requests that have ever begun.
    begun: u64,
    /// When the last message came.
    heard: Option<Instant>,
    /// When the ping went out that is not answered yet.
    pinged: Option<Instant>,
    /// True once the peer has answered a message that carried our capabilities: it knows them for good.
    knows_us: bool,
    /// What has been counted of its bodies, and the window of the newest.
    path: PathReport,
    /// Whether the peer has said that it knows bodies in any order; None before it has answered a message
    /// that says so of us.
    is_ours: Option<bool>,
    /// Whether it has said that it knows packed bodies, when we said that we do.
    packed_bodies: bool,
    /// Round trip of the handshake.
    round_trip: Option<Duration>,
    /// Blocks on their way; None before the first body of several.
    flight: Option<Box<Flight>>,
}

/// The asking role over any session layer.
#[derive(Debug)]
pub struct Client {
    messages: MessageLayer<Owner>,
    sessions: BTreeMap<SessionId, Session>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    events: VecDeque<ClientEvent>,
    /// When something is due in the flights of sessions.
    alarms: Timers<SessionId>,
    next_exchange: u64,
}

impl Client {
    /// Makes a client without sessions. `seed` feeds message ids and the random part of back-off.
    pub fn new(times: Times, limits: Limits, seed: [u8; 32]) -> Client {
        Client {
            messages: MessageLayer::new(times, limits, seed),
            sessions: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            events: VecDeque::new(),
            alarms: Timers::new(),
            next_exchange: 0,
        }
    }

    /// Takes note that a session is being established: requests for it are kept until it opens.
    pub fn session_opening(&mut self, session: SessionId) {
        self.sessions.entry(session).or_default();
    }

    /// Limits the messages to this session to `bytes` (RFC 6066 section 4); 2^14 without it. To be called
    /// before the session opens.
    pub fn limit_messages(&mut self, session: SessionId, bytes: usize) {
        self.messages.limit(session, bytes);
    }

    /// Takes note that a session has been established, and sends its requests. `round_trip` is the first
    /// sample for measured times.
    pub fn session_opened(&mut self, now: Instant, session: SessionId, round_trip: Option<Duration>) {
        self.messages.opened(now, session, round_trip);
        let state = self.sessions.entry(session).or_default();
        state.open = true;
        state.round_trip = round_trip;
        self.start_queued(now, session);
    }

    /// Takes note that a session has ended, or was never established: its requests fail, in their order.
    pub fn session_closed(&mut self, _now: Instant, session: SessionId) {
        let Some(state) = self.sessions.remove(&session) else { return };
        self.alarms.clear(session);
        let flying = state.flight.map(|flight| flight.bodies()).unwrap_or_default();
        let mut lost: Vec<_> = state.tokens.into_values().chain(state.queue).chain(flying).collect();
        lost.sort_unstable();
        lost.dedup();
        for exchange in lost {
            let sent = self.has_been_sent(exchange);
            self.exchanges.remove(&exchange);
            self.events.push_back(ClientEvent::Failed { exchange, why: FailReason::SessionClosed, sent });
        }
        self.messages.closed(session);
    }

    /// Sends a request, or keeps it until the session opens or others have made room. Without such a session
    /// the request fails at once.
    pub fn request(&mut self, now: Instant, session: SessionId, request: Request) -> ExchangeId {
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        match self.sessions.get_mut(&session) {
            Some(state) => {
                state.queue.push_back(id);
                self.exchanges.insert(id, Exchange::new(session, request));
                self.start_queued(now, session);
            }
            None => {
                let why = FailReason::SessionClosed;
                self.events.push_back(ClientEvent::Failed { exchange: id, why, sent: false });
            }
        }
        id
    }

    /// Forgets a request: no event will come for it, and a late separate response gets a Reset.
    pub fn cancel(&mut self, now: Instant, exchange: ExchangeId) {
        self.finish(now, exchange);
    }

    /// Takes one CoAP message that has arrived.
    pub fn handle_message(&mut self, now: Instant, session: SessionId, bytes: &[u8]) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.heard = Some(now);
        }
        match self.messages.receive(now, session, Network::alone(session.0), bytes) {
            Received::Nothing | Received::Duplicate(_) | Received::Unheard { .. } => {}
            // The acknowledged message is not sent again.
            Received::Acknowledged(Owner::Exchange(exchange)) => {
                self.arrived(session, exchange);
                self.start_queued(now, session);
            }
            Received::Acknowledged(Owner::Part(part)) => self.part_acknowledged(now, part),
            Received::Reset { of: Owner::Part(part), .. } => self.part_reset(now, part),
            Received::Acknowledged(Owner::Ping(_)) | Received::Reset { of: Owner::Ping(_), .. } => {
                // The RFC answers a ping by a Reset; the reference's server sends an empty acknowledgement.
                self.ping_answered(session);
            }
            Received::Reset { of: Owner::Exchange(exchange), .. } => {
                self.fail(now, exchange, FailReason::Reset)
            }
            Received::Request { message, acknowledges, .. } => {
                if let Some(Owner::Exchange(_)) = acknowledges {
                    self.start_queued(now, session);
                }
                self.messages.counters.unexpected_requests += 1;
                if message.kind == Kind::Confirmable {
                    self.messages.reset(session, message.id);
                }
            }
            Received::Response { message, to } => self.handle_response(now, session, message, to),
        }
        if let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut())
            && flight.window.heard(now)
        {
            self.alarms.set(session, now);
        }
    }

    fn handle_response(&mut self, now: Instant, session: SessionId, message: Message, to: Option<Owner>) {
        if self.part_answered(now, session, &message) {
            return;
        }
        let state = self.sessions.get(&session);
        let Some(id) = state.and_then(|state| state.tokens.get(&message.token)).copied() else {
            match (message.kind, to) {
                (Kind::Acknowledgement, Some(Owner::Exchange(exchange))) => {
                    self.contradict(now, exchange, ProtocolError::OtherRequest);
                }
                (Kind::Acknowledgement, Some(Owner::Part(part))) => {
                    self.part_contradicts(now, part);
                }
                // The second answer to a request that was sent twice.
                (Kind::Acknowledgement, _) => self.messages.counters.unmatched += 1,
                (kind, _) => {
                    self.messages.counters.unexpected_responses += 1;
                    if kind == Kind::Confirmable {
                        self.messages.reset(session, message.id);
                    }
                }
            }
            return;
        };
        if self.came_beside(id, &message) {
            return;
        }
        // Under a token that several requests have, a second answer to an earlier one may come.
        let sharing = self.exchanges.get(&id).filter(|exchange| exchange.keeps_token);
        let is_late = sharing.is_some_and(|exchange| match message.kind {
            Kind::Acknowledgement => to.is_none(),
            _ => !exchange.awaits(&message),
        });
        if is_late {
            self.messages.counters.unmatched += 1;
            if message.kind == Kind::Confirmable {
                let origin = Origin::of(session, Network::alone(session.0), &message);
                self.messages.remember(now, &origin);
                self.messages.acknowledge(&origin);
            }
            return;
        }
        // A response acknowledges the request in whichever message it comes (RFC 7252 section 5.3.2).
        self.messages.stop(now, session, Owner::Exchange(id));
        self.arrived(session, id);
        let (parsed, ignored) = ParsedResponse::parse(&message);
        ignored.into_iter().for_each(|fault| self.messages.counters.count_fault(fault));
        if message.kind == Kind::Confirmable {
            let origin = Origin::of(session, Network::alone(session.0), &message);
            self.messages.remember(now, &origin);
            match &parsed {
                Ok(_) => self.messages.acknowledge(&origin),
                Err(_) => self.messages.reject(&origin),
            }
        }
        if let Ok(parsed) = &parsed
            && self.exchanges.get(&id).is_some_and(|exchange| exchange.tells)
            && let Some(state) = self.sessions.get_mut(&session)
        {
            state.is_ours = Some(parsed.capabilities & numbers::ANY_ORDER != 0);
            state.packed_bodies = parsed.capabilities & numbers::PACKED_BODIES != 0;
        }
        match parsed {
            Ok(parsed) => self.advance(now, id, message.code, parsed, message.into_payload()),
            Err(error) => self.contradict(now, id, error.into()),
        }
    }

    /// Takes note that the newest message of an exchange has reached the peer.
    fn arrived(&mut self, session: SessionId, exchange: ExchangeId) {
        if self.exchanges.get(&exchange).is_some_and(|exchange| exchange.tells)
            && let Some(state) = self.sessions.get_mut(&session)
        {
            state.knows_us = true;
        }
    }

    /// Does what is due; to be called when the time of [`Client::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(given_up) = self.messages.handle_timeout(now) {
            match given_up.of {
                Owner::Exchange(exchange) => {
                    if let Some(exchange) = self.exchanges.get_mut(&exchange).filter(|_| !given_up.sent) {
                        exchange.messages = exchange.messages.saturating_sub(1);
                    }
                    self.fail(now, exchange, FailReason::Timeout);
                }
                // Sent once, never given up here.
                Owner::Part(_) => {}
                Owner::Ping(session) => self.ping_failed(session),
            }
        }
        while let Some(session) = self.messages.next_narrowed() {
            self.cut_smaller(now, session);
        }
        while let Some(session) = self.alarms.expired(now) {
            self.flight_due(now, session);
        }
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<(SessionId, Vec<u8>)> {
        self.messages.poll_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Returns when to call [`Client::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.messages.poll_timeout(), self.alarms.next()].into_iter().flatten().min()
    }

    /// Returns what happened so far, one number per reason.
    pub fn counters(&self) -> Counters {
        self.messages.counters
    }

    /// Counts a message that the session layer could not send.
    pub(crate) fn count_unsendable(&mut self) {
        self.messages.counters.unsendable += 1;
    }

    /// Sends what waits for its turn, as far as the limit of requests on their way and [`RUN_AHEAD`] allow.
    ///
    /// A request that cannot be sent ends at once, and its end starts the next: that one belongs to the loop
    /// which is under way, however many there are.
    fn start_queued(&mut self, now: Instant, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session).filter(|state| !state.is_starting) else { return };
        state.is_starting = true;
        while let Some(next) = self.next_queued(session) {
            self.start(now, next);
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            state.is_starting = false;
        }
    }

    fn next_queued(&mut self, session: SessionId) -> Option<ExchangeId> {
        let most = self.messages.limits.exchanges_per_session.max(1);
        let state = self.sessions.get(&session)?;
        if !state.open || state.active >= most || state.queue.is_empty() {
            return None;
        }
        let oldest = self.oldest_repeated(session).unwrap_or(state.begun);
        if state.begun.saturating_sub(oldest) >= RUN_AHEAD {
            return None;
        }
        let free = state.queue.iter().position(|id| !self.has_to_wait(state, *id))?;
        let state = self.sessions.get_mut(&session)?;
        let next = state.queue.remove(free)?;
        state.active += 1;
        state.begun += 1;
        Some(next)
    }

    /// Returns whether a request waits for another one of the same resource: a server that is not ours may
    /// keep one body of a resource per client, whatever the Request-Tag, and no ETag would tell whose a block
    /// is.
    fn has_to_wait(&self, state: &Session, id: ExchangeId) -> bool {
        let may_wait = state.is_ours == Some(false);
        let Some(own) = self.exchanges.get(&id).filter(|_| may_wait) else { return false };
        let mut begun = state.tokens.values().filter_map(|other| self.exchanges.get(other));
        begun.any(|other| own.gets_the_same(other))
    }

    /// Returns how many requests had begun when the oldest message went out that is still sent again.
    fn oldest_repeated(&self, session: SessionId) -> Option<u64> {
        let begun = |owner| match owner {
            Owner::Exchange(id) => self.exchanges.get(&id).map(|exchange| exchange.begun),
            Owner::Part(_) | Owner::Ping(_) => None,
        };
        self.messages.unacknowledged(session).filter_map(begun).min()
    }

    /// Returns whether anything of a request has gone out.
    fn has_been_sent(&self, id: ExchangeId) -> bool {
        self.exchanges.get(&id).is_some_and(|exchange| match exchange.messages {
            0 => false,
            1 => !self.messages.waits(exchange.session, Owner::Exchange(id)),
            _ => true,
        })
    }

    fn fail(&mut self, now: Instant, exchange: ExchangeId, why: FailReason) {
        let sent = self.has_been_sent(exchange);
        if self.finish(now, exchange) {
            self.events.push_back(ClientEvent::Failed { exchange, why, sent });
        }
    }

    /// Fails a request whose response cannot be used.
    fn contradict(&mut self, now: Instant, exchange: ExchangeId, error: ProtocolError) {
        self.messages.counters.count_protocol_error(&error);
        self.fail(now, exchange, FailReason::Protocol(error));
    }

    fn succeed(&mut self, now: Instant, exchange: ExchangeId, response: Response) {
        if self.finish(now, exchange) {
            self.events.push_back(ClientEvent::Response { exchange, response });
        }
    }

    /// Forgets an exchange and lets the next one start; false when there was none.
    fn finish(&mut self, now: Instant, id: ExchangeId) -> bool {
        let Some(exchange) = self.exchanges.remove(&id) else { return false };
        let session = exchange.session;
        self.leave_flight(session, id);
        self.messages.stop(now, session, Owner::Exchange(id));
        if let Some(state) = self.sessions.get_mut(&session) {
            match exchange.token() {
                Some(token) => {
                    state.tokens.remove(&token);
                    state.active = state.active.saturating_sub(1);
                }
                None => state.queue.retain(|queued| *queued != id),
            }
        }
        self.start_queued(now, session);
        self.fly(now, session);
        true
    }
}

//! The message layer (RFC 7252 section 4), shared by both roles.
//!
//! ```text
//!           bytes                                        Outgoing
//!             |                                             |
//!   parse: malformed -> Reset or silence       confirmable: waits for a place in the window (congestion.rs), is then
//!             |                                remembered until ACK, RST or the last timeout
//!             |                                non-confirmable, acknowledgement, reset: sent and forgotten
//!   ACK, RST -> what they answer                            |
//!             |  (an ACK with a request in it goes on)      v
//!   seen before -> the same answer again                  bytes
//!             |
//!          Received
//! ```
//!
//! State exists only while something is remembered or on its way. Two tables hold it: one has the messages
//! seen from the peer, the other those on their way to it, with the ids that were given out. A session at
//! rest has no state, unless its round trip is kept. Messages on their way are looked up one by one: the
//! window bounds them.
//!
//! Deliberately absent: a brake for clients that send more than 65,536 messages within EXCHANGE_LIFETIME, 265
//! a second on one session. Deduplication distinguishes messages of one id by their tokens, and our client
//! does not use a token twice.

mod memory;
mod once;
mod path;
mod receive;
mod repetition;
mod room;
mod size;

use super::by_session::BySession;
use super::config::{Limits, Times};
use super::congestion::{Controller, Queue};
use super::counters::Counters;
use super::dedup::{Answer, Effect, Key, Seen};
use super::random::Random;
use super::round_trip::RoundTrip;
use super::timers::{Reminders, Timers};
use crate::SessionId;
use crate::shares::{Bounds, LazyPool, Network, Pool};
use lowband_wire::coap::message::{self, Kind, Malformed, Message, MessageId, Outgoing, Token};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{numbers, options};
use once::Once;
use path::Path;
use repetition::Unacknowledged;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub(super) use path::halved;
pub(super) use repetition::GivenUp;

/// Where a message came from: the key by which deduplication knows it, and what an answer needs to find its
/// way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub session: SessionId,
    /// Network whose share pays for what is kept of the message.
    pub network: Network,
    pub kind: Kind,
    pub id: MessageId,
    pub token: Token,
    /// Effect of taking a copy for a new message.
    pub effect: Effect,
    /// What its sender says that it is capable of (option 65020).
    pub says: u32,
}

impl Origin {
    pub(super) fn of(session: SessionId, network: Network, message: &Message) -> Origin {
        let Message { kind, id, token, .. } = *message;
        let (effect, says) = (Effect::of(message), options::capabilities(message));
        Origin { session, network, kind, id, token, effect, says }
    }

    /// Returns whether its sender knows bodies in any order.
    pub(super) fn is_any_order(&self) -> bool {
        self.says & numbers::ANY_ORDER != 0
    }

    /// Returns the key of the message; the id inside an acknowledgement is that of our own message.
    pub(super) fn key(&self) -> Key {
        Key { id: self.id, token: self.token, ours: self.kind == Kind::Acknowledgement }
    }
}

/// What a received message means to the layer above. `O` names what was sent: an exchange, a ping.
#[derive(Debug)]
pub(super) enum Received<O> {
    /// The layer has dealt with the message; nothing is left to do.
    Nothing,
    /// A copy of a message that has been dealt with, or is being dealt with.
    Duplicate(Origin),
    /// A copy of a request whose answer was sent before; `times` counts such copies. Nothing has been sent
    /// for this copy yet.
    Unheard { message: Message, answer: Vec<u8>, times: u8 },
    /// A request, confirmable or not, seen for the first time and not remembered yet. `acknowledges`: what
    /// the request acknowledges, if it came inside an acknowledgement that something was still waiting for.
    /// `again`: the request is a copy whose answer has been forgotten and which does no harm.
    Request { message: Message, acknowledges: Option<O>, again: bool },
    /// A response; `to` is set when it came with the acknowledgement of something that was waiting for one.
    Response { message: Message, to: Option<O> },
    /// An empty acknowledgement of what we sent.
    Acknowledged(O),
    /// A Reset. `of_copy`: the message that it answers had been sent more than once, so that the peer may
    /// have taken an earlier copy.
    Reset { of: O, of_copy: bool },
}

/// What the layer knows of one session as long as it lasts. The size matters: there may be a hundred thousand
/// sessions.
#[derive(Debug, Default)]
struct Known {
    /// The measured round trip; None until there is a sample.
    round_trip: Option<RoundTrip>,
    path: Path,
    /// Whether the peer is known to send copies sooner than RFC 7252 says.
    short_timers: bool,
    /// Whether the peer has said that it knows bodies in any order.
    any_order: bool,
}

impl Known {
    /// Returns whether the session could do without all that is known of it.
    fn is_dispensable(&self) -> bool {
        self.round_trip.is_none() && !self.short_timers && !self.any_order && !self.path.is_narrow()
    }
}

/// What we have sent in one session. Dropped when its ids may be given out again.
#[derive(Debug)]
struct Link<O> {
    next_id: Option<MessageId>,
    /// When the last id was given out: for EXCHANGE_LIFETIME no id may be given out twice (RFC 7252 section
    /// 4.4).
    last_id_at: Instant,
    unacknowledged: Vec<Unacknowledged<O>>,
    /// Messages that are not sent again.
    once: Vec<Once<O>>,
    /// Owner of the message that was answered last, and how long that took.
    newest_answer: Option<(O, Duration)>,
    controller: Controller,
    /// The id of the newest probe (`path.rs`).
    probe: Option<MessageId>,
    /// When a message as long as a block last passed, since blocks became smaller.
    let_through: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Retransmit(SessionId, MessageId),
    /// A place in the window becomes free by itself.
    Place(SessionId),
    /// A message was given up, which is to be reported at once.
    Tell,
}

#[derive(Debug)]
pub(super) struct MessageLayer<O> {
    pub times: Times,
    pub limits: Limits,
    pub counters: Counters,
    pub random: Random,
    known: BySession<Known>,
    /// Messages seen from the peer of each session, and the reminders to forget them.
    seen: BySession<Seen>,
    forget_seen: Reminders,
    /// Messages sent to the peer of each session, and the reminders to forget their ids.
    links: BTreeMap<SessionId, Box<Link<O>>>,
    forget_ids: Reminders,
    /// Largest message in bytes, for each session that does not take all lengths.
    narrow: BTreeMap<SessionId, usize>,
    /// Messages that wait for a place in the window.
    queues: BTreeMap<SessionId, Queue<O>>,
    /// Messages that were given up, to be reported to the layer above.
    given_up: VecDeque<GivenUp<O>>,
    /// Sessions whose blocks have become smaller, to be reported to the layer above as well.
    narrowed: VecDeque<SessionId>,
    alarms: Timers<Alarm>,
    transmits: VecDeque<(SessionId, Vec<u8>)>,
    /// Bytes that each session's deduplication could give up.
    remembered: LazyPool<SessionId>,
    /// Bytes that each session's unacknowledged answers take.
    waiting: Pool<SessionId>,
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(super) fn new(times: Times, limits: Limits, seed: [u8; 32]) -> MessageLayer<O> {
        let remembered = LazyPool::new(Bounds::of(limits.dedup_total));
        let waiting = Pool::new(Bounds::of(limits.answers_total));
        MessageLayer {
            times,
            limits,
            counters: Counters::default(),
            random: Random::new(seed),
            known: BySession::new(),
            seen: BySession::new(),
            forget_seen: Reminders::default(),
            links: BTreeMap::new(),
            forget_ids: Reminders::default(),
            narrow: BTreeMap::new(),
            queues: BTreeMap::new(),
            given_up: VecDeque::new(),
            narrowed: VecDeque::new(),
            alarms: Timers::new(),
            transmits: VecDeque::new(),
            remembered,
            waiting,
        }
    }

    /// Starts measuring, if the times ask for it and the handshake has given a first sample.
    pub(super) fn opened(&mut self, now: Instant, session: SessionId, round_trip: Option<Duration>) {
        if let (true, Some(sample)) = (self.times.measured, round_trip) {
            self.know(session).round_trip = Some(RoundTrip::first(now, sample));
        }
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        self.narrow.remove(&session);
        self.queues.remove(&session);
        self.alarms.clear(Alarm::Place(session));
        self.waiting.remove(session);
        self.known.remove(session);
        self.forget_all_seen(session);
        if let Some(link) = self.links.remove(&session) {
            self.tidy_ids();
            for message in &link.unacknowledged {
                self.alarms.clear(Alarm::Retransmit(session, message.id));
            }
        }
        if self.sessions() == 0 {
            // No session is left to which a message given up could be reported.
            self.given_up.clear();
            self.alarms.clear(Alarm::Tell);
        }
    }

    /// Answers a confirmable message: a piggybacked response, or a bare acknowledgement or Reset. Duplicates
    /// of a remembered message will get the same answer.
    fn answer(&mut self, origin: &Origin, answer: Answer, bytes: Vec<u8>) {
        self.remember_answer(origin, answer);
        self.transmit(origin.session, bytes);
    }

    pub(super) fn acknowledge(&mut self, origin: &Origin) {
        self.answer(origin, Answer::Acknowledged, message::empty(Kind::Acknowledgement, origin.id));
    }

    /// Rejects a message that was remembered.
    pub(super) fn reject(&mut self, origin: &Origin) {
        self.counters.resets_out += 1;
        self.answer(origin, Answer::Rejected, message::empty(Kind::Reset, origin.id));
    }

    /// Rejects a message that was not remembered; its copies will be rejected in turn.
    pub(super) fn reset(&mut self, session: SessionId, id: MessageId) {
        self.counters.resets_out += 1;
        self.transmit(session, message::empty(Kind::Reset, id));
    }

    /// Adds to a response what this server is capable of, if its client asks for that by saying the same of
    /// itself.
    pub(super) fn tell_capabilities(&self, origin: &Origin, mut response: Outgoing) -> Outgoing {
        let packed_bodies = if self.limits.packed_bodies { numbers::PACKED_BODIES } else { 0 };
        let capabilities = origin.says & (numbers::ANY_ORDER | packed_bodies);
        if capabilities != 0 {
            response.options.push((numbers::CAPABILITIES, uint(capabilities)));
        }
        response
    }

    /// Responds to a request as long as it has not been acknowledged: a confirmable one in the
    /// acknowledgement, any other in a non-confirmable message (RFC 7252 sections 5.2.1 and 5.2.3).
    pub(super) fn respond(&mut self, now: Instant, origin: &Origin, message: Outgoing) {
        let message = self.tell_capabilities(origin, message);
        if origin.kind == Kind::Confirmable {
            if let Some(bytes) = self.encode(origin.session, message, Kind::Acknowledgement, origin.id) {
                self.answer_goes(origin.session, origin.id, bytes.len());
                // Most answers to requests for blocks are not kept: their copies are answered anew.
                if self.is_remembered(origin) {
                    self.remember_answer(origin, Answer::Bytes(bytes.as_slice().into()));
                }
                self.transmit(origin.session, bytes);
            }
        } else {
            let id = self.allocate(now, origin.session);
            if let Some(bytes) = self.encode(origin.session, message, Kind::NonConfirmable, id) {
                self.transmit(origin.session, bytes);
            }
        }
    }

    /// Sends the answer of a message once more.
    pub(super) fn send_again(&mut self, session: SessionId, answer: Vec<u8>) {
        self.transmit(session, answer);
    }

    /// Notes that copies of the peer come sooner than RFC 7252 says. That holds for the whole session.
    pub(super) fn has_short_timers(&mut self, session: SessionId) {
        self.know(session).short_timers = true;
    }

    /// Notes that the peer knows bodies in any order. That holds for the whole session.
    pub(super) fn knows_any_order(&mut self, session: SessionId) {
        self.know(session).any_order = true;
    }

    /// Returns whether the peer has said that it knows bodies in any order.
    pub(super) fn is_any_order(&self, session: SessionId) -> bool {
        self.known.get(session).is_some_and(|known| known.any_order)
    }

    /// Returns the smoothed round trip, if it is known.
    pub(super) fn smoothed(&self, session: SessionId) -> Option<Duration> {
        self.round_trip(session).map(|(smoothed, _least)| smoothed)
    }

    /// Returns how long a request may wait for its acknowledgement.
    pub(super) fn piggyback_wait(&self, session: SessionId) -> Duration {
        let least = self.times.piggyback_wait;
        match self.known.get(session) {
            Some(Known { short_timers: false, round_trip: Some(round_trip), .. }) => {
                least.max(self.times.acknowledge_within.saturating_sub(round_trip.smoothed()))
            }
            _ => least,
        }
    }

    /// Returns the smoothed round trip and the shortest one; None before there is a sample, or if times are
    /// not measured.
    pub(super) fn round_trip(&self, session: SessionId) -> Option<(Duration, Duration)> {
        let round_trip = self.known.get(session)?.round_trip?;
        Some((round_trip.smoothed(), round_trip.least()))
    }

    /// Does what is due; returns what has been given up, one message at a time.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<GivenUp<O>> {
        self.forget_expired(now);
        loop {
            if let Some(given_up) = self.given_up.pop_front() {
                self.counters.gave_up += 1;
                return Some(given_up);
            }
            match self.alarms.expired(now)? {
                Alarm::Retransmit(session, id) => self.retransmit(now, session, id),
                Alarm::Tell => {}
                Alarm::Place(session) => self.fill_window(now, session),
            }
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(SessionId, Vec<u8>)> {
        let next = self.transmits.pop_front();
        if self.transmits.is_empty() && self.transmits.capacity() > 1024 {
            self.transmits = VecDeque::new();
        }
        next
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.alarms.next(), self.forget_seen.next(), self.forget_ids.next()].into_iter().flatten().min()
    }

    fn transmit(&mut self, session: SessionId, bytes: Vec<u8>) {
        self.counters.messages_out += 1;
        self.transmits.push_back((session, bytes));
    }

    fn unmatched(&mut self, session: SessionId, id: MessageId) -> Received<O> {
        if self.links.get(&session).is_none_or(|link| link.probe != Some(id)) {
            self.counters.unmatched += 1;
        }
        Received::Nothing
    }

    /// Gives out ids in order from a random start, wrapping around, and skips those still on their way.
    fn allocate(&mut self, now: Instant, session: SessionId) -> MessageId {
        let next = self.links.get(&session).and_then(|link| link.next_id);
        let mut id = next.unwrap_or_else(|| MessageId(self.random.u16()));
        let link = self.link(now, session);
        while link.unacknowledged.iter().any(|message| message.id == id)
            || link.once.iter().any(|message| message.id == id)
        {
            id = id.next();
        }
        link.next_id = Some(id.next());
        link.last_id_at = now;
        id
    }

    fn know(&mut self, session: SessionId) -> &mut Known {
        self.known.get_or_insert_with(session, Known::default)
    }

    fn link(&mut self, now: Instant, session: SessionId) -> &mut Link<O> {
        self.links.entry(session).or_insert_with(|| {
            self.forget_ids.set(session, now + self.times.exchange_lifetime);
            let round_trip = self.known.get(session).and_then(|known| known.round_trip);
            Box::new(Link {
                next_id: None,
                last_id_at: now,
                unacknowledged: Vec::new(),
                once: Vec::new(),
                newest_answer: None,
                controller: Controller::new(self.limits.window, round_trip),
                probe: None,
                let_through: None,
            })
        })
    }

    fn count(&mut self, why: Malformed) {
        let counters = &mut self.counters;
        let counter = match why {
            Malformed::TooShort => &mut counters.malformed_too_short,
            Malformed::Version => &mut counters.malformed_version,
            Malformed::TokenLength => &mut counters.malformed_token_length,
            Malformed::Option => &mut counters.malformed_option,
            Malformed::PayloadMarker => &mut counters.malformed_payload_marker,
            Malformed::EmptyWithContent => &mut counters.malformed_empty,
            Malformed::Code => &mut counters.malformed_code,
        };
        *counter += 1;
    }

    /// Returns the bytes that are remembered of answered messages, counting whole allocations.
    pub(super) fn remembered_bytes(&self) -> usize {
        self.remembered.total()
    }

    /// Returns the bytes that unacknowledged separate answers take.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.total()
    }

    /// Returns the number of sessions that have state here.
    pub(super) fn sessions(&self) -> usize {
        self.known.len().max(self.seen.len()).max(self.links.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_session_for_good_is_small() {
        // The only state of a session at rest; without measured times there is none.
        assert_eq!(size_of::<(SessionId, Known)>(), 56);
    }
}

//! Confirmable messages of ours: sent in their turn, repeated, and given up (RFC 7252 section 4.2).
//!
//! ```text
//! send_confirmable -> (Queue) -> number_and_send -> on its way -- settle: acknowledged, reset
//!                        ^                            |   ^-----  retransmit: sent again, or withheld (congestion.rs)
//! fill_window -----------'                            |-------  stop: answered by another way, not wanted any more
//!   after settle, stop, give_up, heard                `-------  give_up
//!   and when an answer is overdue
//! ```

use super::super::config::Times;
use super::super::congestion::{Controller, Queue, Turn, Waiting};
use super::super::retransmission::{Backoff, Content};
use super::{Alarm, MessageLayer};
use crate::SessionId;
use crate::shares::Network;
use lowband_wire::coap::message::{self, Kind, MessageId, Outgoing};
use std::time::Instant;

/// Bytes of an Empty message.
const EMPTY_LENGTH: usize = 4;

/// A message that was never acknowledged, or that waited behind such a message and was never sent.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct GivenUp<O> {
    pub of: O,
    pub sent: bool,
}

/// A confirmable message on its way.
#[derive(Debug)]
pub(super) struct Unacknowledged<O> {
    pub id: MessageId,
    owner: O,
    pub bytes: Vec<u8>,
    backoff: Backoff,
    /// When the next copy is due.
    due: Instant,
    /// Whether the newest copy was withheld, because the path is silent.
    withheld: bool,
    /// Whether the same content has been sent before, in another message.
    is_again: bool,
    /// Number of copies, sent or withheld, until something came from the peer: they do not show which sizes
    /// the path lets through.
    in_silence: u32,
}

impl<O> Unacknowledged<O> {
    /// Returns the key by which messages are ordered by age; of those sent at one time, by id.
    fn age(&self) -> (Instant, MessageId) {
        (self.backoff.first_sent, self.id)
    }

    fn is_ping(&self) -> bool {
        self.bytes.len() == EMPTY_LENGTH
    }

    pub(super) fn owner(&self) -> O
    where
        O: Copy,
    {
        self.owner
    }

    pub(super) fn first_sent(&self) -> Instant {
        self.backoff.first_sent
    }

    pub(super) fn last_sent(&self) -> Instant {
        self.backoff.last_sent
    }

    pub(super) fn copies(&self) -> u32 {
        self.backoff.copies
    }

    /// Returns whether the newest copy takes a place in the window.
    pub(super) fn may_be_on_its_way(&self, now: Instant, controller: &Controller, times: &Times) -> bool {
        !self.is_ping() && controller.may_be_on_its_way(now, &self.backoff, times)
    }

    /// Returns whether the answer queues up behind that to a message sent at `sent`, and the second copy is
    /// due before `least`.
    pub(super) fn is_behind(&self, sent: Instant, least: Instant) -> bool {
        self.backoff.copies == 1 && self.backoff.first_sent >= sent && self.due < least
    }

    /// Puts the next copy off.
    pub(super) fn put_off(&mut self, due: Instant) {
        self.due = due;
    }

    /// Returns the number of copies that have been sent since other messages passed.
    pub(super) fn copies_beside_others(&self, controller: &Controller) -> u32 {
        if controller.has_heard_since(self.backoff.first_sent) {
            self.backoff.copies.saturating_sub(self.in_silence)
        } else {
            0
        }
    }
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// Sends a message in its turn, and again until it is acknowledged, reset, or given up. It takes the
    /// place of an earlier message of its owner that was not acknowledged, on the way or among those that
    /// wait. Returns false for a request that is too long to be sent at all.
    pub(in super::super) fn send_confirmable(
        &mut self,
        now: Instant,
        session: SessionId,
        network: Network,
        message: Outgoing,
        turn: Turn,
        owner: O,
    ) -> bool {
        let unnumbered = MessageId(0);
        let Some(bytes) = self.encode(session, message, Kind::Confirmable, unnumbered) else {
            self.stop(now, session, owner);
            return false;
        };
        if let Some(waiting) = self.queues.get_mut(&session).and_then(|queue| queue.find(owner)) {
            waiting.bytes = bytes;
            self.take_room(now, session, network);
            return true;
        }
        let had_place = self.withdraw(session, owner);
        if had_place || (!self.queues.contains_key(&session) && self.has_place(now, session)) {
            self.number_and_send(now, session, bytes, owner);
        } else {
            self.queues.entry(session).or_insert_with(Queue::new).push(turn, Waiting { owner, bytes });
            self.watch_places(now, session);
        }
        self.take_room(now, session, network);
        true
    }

    fn has_place(&self, now: Instant, session: SessionId) -> bool {
        let Some(link) = self.links.get(&session) else { return true };
        link.controller.admits(self.on_their_way(now, session))
    }

    /// Sends what waits, as far as there are places.
    pub(super) fn fill_window(&mut self, now: Instant, session: SessionId) {
        while self.queues.contains_key(&session) && self.has_place(now, session) {
            let Some(queue) = self.queues.get_mut(&session) else { return };
            let next = queue.pop();
            if queue.is_empty() {
                self.queues.remove(&session);
            }
            if let Some(Waiting { owner, bytes }) = next {
                self.number_and_send(now, session, bytes, owner);
            }
        }
        self.watch_places(now, session);
    }

    /// Sets an alarm for the time when the next answer is overdue: that frees a place for a message that
    /// waits, although nothing comes.
    fn watch_places(&mut self, now: Instant, session: SessionId) {
        let link = self.links.get(&session).filter(|_| self.queues.contains_key(&session));
        let next = link.and_then(|link| {
            let on_their_way = link.unacknowledged.iter().filter(|message| !message.is_ping());
            let overdue = on_their_way
                .filter_map(|message| link.controller.overdue_at(&message.backoff, &self.times))
                .filter(|at| *at > now);
            overdue.min()
        });
        match next {
            Some(at) => self.alarms.set(Alarm::Place(session), at),
            None => self.alarms.clear(Alarm::Place(session)),
        }
    }

    fn number_and_send(&mut self, now: Instant, session: SessionId, mut bytes: Vec<u8>, owner: O) {
        let id = self.allocate(now, session);
        if let Some(place) = bytes.get_mut(2..4) {
            place.copy_from_slice(&id.0.to_be_bytes());
        }
        self.send_and_repeat(now, session, id, bytes, owner);
    }

    /// Sends an Empty confirmable message (RFC 7252 section 4.3). It does not wait for a place.
    pub(in super::super) fn send_ping(&mut self, now: Instant, session: SessionId, owner: O) {
        let id = self.allocate(now, session);
        let ping = message::empty(Kind::Confirmable, id);
        self.send_and_repeat(now, session, id, ping, owner);
    }

    fn send_and_repeat(&mut self, now: Instant, session: SessionId, id: MessageId, bytes: Vec<u8>, owner: O) {
        let round_trip = self.known.get(session).and_then(|known| known.round_trip.as_ref());
        let (backoff, due) = Backoff::start(now, &self.times, round_trip, content(&bytes), &mut self.random);
        self.alarms.set(Alarm::Retransmit(session, id), due);
        self.transmit(session, bytes.clone());
        let message = Unacknowledged {
            id,
            owner,
            bytes,
            backoff,
            due,
            withheld: false,
            is_again: false,
            in_silence: 0,
        };
        self.link(now, session).unacknowledged.push(message);
    }

    /// Stops sending a message again: its answer came by another way, or is not wanted any more.
    pub(in super::super) fn stop(&mut self, now: Instant, session: SessionId, owner: O) {
        if let Some(queue) = self.queues.get_mut(&session) {
            queue.remove(owner);
        }
        self.withdraw(session, owner);
        self.leave_room(session);
        self.fill_window(now, session);
    }

    /// Withdraws the messages of an owner; returns whether any of them was on its way.
    fn withdraw(&mut self, session: SessionId, owner: O) -> bool {
        let Some(link) = self.links.get_mut(&session) else { return false };
        let before = link.unacknowledged.len();
        while let Some(at) = link.unacknowledged.iter().position(|message| message.owner == owner) {
            let message = link.unacknowledged.swap_remove(at);
            self.alarms.clear(Alarm::Retransmit(session, message.id));
        }
        link.unacknowledged.len() < before
    }

    /// Returns whether a message has not been sent yet.
    pub(in super::super) fn waits(&self, session: SessionId, owner: O) -> bool {
        self.queues.get(&session).is_some_and(|queue| queue.has(owner))
    }

    /// Returns whether anything has come from the peer since then.
    pub(in super::super) fn has_heard_since(&self, session: SessionId, sent: Instant) -> bool {
        self.links.get(&session).is_some_and(|link| link.controller.has_heard_since(sent))
    }

    /// Returns the owners of a session's messages that are still sent again.
    pub(in super::super) fn unacknowledged(&self, session: SessionId) -> impl Iterator<Item = O> {
        self.links
            .get(&session)
            .into_iter()
            .flat_map(|link| &link.unacknowledged)
            .map(|message| message.owner)
    }

    /// Returns when the oldest message of a session that is still sent again went out first, and how often it
    /// has been sent.
    pub(in super::super) fn oldest_unacknowledged(&self, session: SessionId) -> Option<(Instant, u32)> {
        let sent = self.links.get(&session)?.unacknowledged.iter();
        sent.map(|message| (message.backoff.first_sent, message.backoff.copies)).min()
    }

    pub(super) fn retransmit(&mut self, now: Instant, session: SessionId, id: MessageId) {
        self.judge_path(session, id);
        let Some(link) = self.links.get_mut(&session) else { return };
        let oldest = link.unacknowledged.iter().map(Unacknowledged::age).min();
        let Some(at) = link.unacknowledged.iter().position(|message| message.id == id) else { return };
        let Some(message) = link.unacknowledged.get_mut(at) else { return };
        let silent = link.controller.is_silent_for(&message.backoff);
        let before = message.backoff.last_sent;
        let Some(due) = message.backoff.again(now, &self.times) else {
            let message = link.unacknowledged.swap_remove(at);
            self.give_up(now, session, &message);
            return;
        };
        message.due = due;
        message.withheld = silent && oldest.is_some_and(|oldest| oldest < message.age());
        let bytes = (!message.withheld).then(|| message.bytes.clone());
        self.alarms.set(Alarm::Retransmit(session, id), due);
        match bytes {
            Some(bytes) => {
                self.counters.retransmissions += 1;
                self.transmit(session, bytes);
                self.probe_path(now, session, id, before);
            }
            None => self.counters.withheld += 1,
        }
    }

    /// Gives up a message that was never acknowledged, and those that wait behind it, unless the peer is
    /// there: they would be sent as often, in vain.
    fn give_up(&mut self, now: Instant, session: SessionId, message: &Unacknowledged<O>) {
        self.given_up.push_back(GivenUp { of: message.owner, sent: true });
        if !message.is_ping() && !self.has_heard_since(session, message.backoff.first_sent) {
            let queue = self.queues.remove(&session);
            let waiting = queue.iter().flat_map(Queue::owners);
            self.given_up.extend(waiting.map(|of| GivenUp { of, sent: false }));
        }
        self.leave_room(session);
        self.fill_window(now, session);
    }

    /// Notes that a message has come: the path is not silent, and withheld copies are due.
    pub(super) fn heard(&mut self, now: Instant, session: SessionId) {
        let Some(link) = self.links.get_mut(&session) else { return };
        for message in &mut link.unacknowledged {
            if !link.controller.has_heard_since(message.backoff.first_sent) {
                message.in_silence = message.backoff.copies;
            }
        }
        link.controller.heard(now);
        for message in link.unacknowledged.iter_mut().filter(|message| message.withheld) {
            message.withheld = false;
            message.due = now;
            self.alarms.set(Alarm::Retransmit(session, message.id), now);
        }
        self.fill_window(now, session);
    }

    /// Takes in an acknowledgement or a Reset for `id`, and returns the owner of the message that it answers.
    pub(super) fn settle(&mut self, now: Instant, session: SessionId, id: MessageId) -> Option<O> {
        if let Some(once) = self.take_once(session, id) {
            return Some(once.owner);
        }
        let link = self.links.get_mut(&session)?;
        let at = link.unacknowledged.iter().position(|message| message.id == id)?;
        let message = link.unacknowledged.swap_remove(at);
        self.alarms.clear(Alarm::Retransmit(session, id));
        link.controller.answered(now, &message.backoff, &self.times);
        link.newest_answer = Some((message.owner, now.saturating_duration_since(message.backoff.last_sent)));
        self.put_off(now, session, message.backoff.first_sent);
        self.has_passed(now, session, message.bytes.len());
        self.leave_room(session);
        self.fill_window(now, session);
        Some(message.owner)
    }

    pub(super) fn was_repeated(&self, session: SessionId, id: MessageId) -> bool {
        let mut sent = self.links.get(&session).into_iter().flat_map(|link| &link.unacknowledged);
        sent.any(|message| message.id == id && (message.is_again || message.backoff.copies > 1))
    }

    /// Returns the owners of a session's messages that have more bytes than this: those on their way, then
    /// those that wait for a place.
    pub(in super::super) fn longer_than(&self, session: SessionId, bytes: usize) -> Vec<O> {
        let on_their_way = self.links.get(&session).into_iter().flat_map(|link| &link.unacknowledged);
        let on_their_way = on_their_way.map(|message| (message.owner, message.bytes.len()));
        let waiting = self.queues.get(&session).into_iter().flat_map(Queue::each);
        let waiting = waiting.map(|waiting| (waiting.owner, waiting.bytes.len()));
        on_their_way.chain(waiting).filter(|(_, length)| *length > bytes).map(|(owner, _)| owner).collect()
    }

    /// Returns the owners of a session's messages that are on their way or wait for a place, in that order.
    pub(in super::super) fn unsettled(&self, session: SessionId) -> Vec<O> {
        let waiting = self.queues.get(&session).into_iter().flat_map(Queue::owners);
        self.unacknowledged(session).chain(waiting).collect()
    }

    /// Notes that the peer may have received the content before, in other messages: see
    /// [`MessageLayer::was_repeated`].
    pub(in super::super) fn is_sent_again(&mut self, session: SessionId, owner: O) {
        let Some(link) = self.links.get_mut(&session) else { return };
        for message in link.unacknowledged.iter_mut().filter(|message| message.owner == owner) {
            message.is_again = true;
        }
    }

    /// Takes a session whose messages on their way must be cut into smaller blocks.
    pub(in super::super) fn next_narrowed(&mut self) -> Option<SessionId> {
        self.narrowed.pop_front()
    }
}

/// Returns what a message contains, by its code (RFC 7252 section 3).
pub(super) fn content(message: &[u8]) -> Content {
    match message.get(1) {
        None | Some(0) => Content::Nothing,
        Some(1..0x20) => Content::Request,
        Some(_) => Content::Response,
    }
}

//! Confirmable messages that are sent once: requests for blocks, of which each transmission is a message of
//! its own (`client/flight.rs`). RFC 7252 section 4.2 lets a sender give up a message at any time; here its
//! owner decides when to send another in its place.
//!
//! They take no place in the window and have no timer. Their ids are not given out again while they are on
//! their way, and an acknowledgement or a Reset finds its owner by the id.

use super::super::congestion::Controller;
use super::repetition::Unacknowledged;
use super::{Alarm, MessageLayer};
use crate::SessionId;
use lowband_wire::coap::message::{self, Kind, MessageId, Outgoing};
use std::time::{Duration, Instant};

/// A confirmable message on its way that is not sent again.
#[derive(Debug)]
pub(super) struct Once<O> {
    pub id: MessageId,
    pub owner: O,
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// Sends a confirmable message once, and returns its id; None if it is too long to be sent at all. It
    /// stays on its way until it is acknowledged or reset, or [`MessageLayer::forget_once`] is called.
    pub(in super::super) fn send_once(
        &mut self,
        now: Instant,
        session: SessionId,
        message: Outgoing,
        owner: O,
    ) -> Option<MessageId> {
        let id = self.allocate(now, session);
        let bytes = self.encode(session, message, Kind::Confirmable, id)?;
        self.link(now, session).once.push(Once { id, owner });
        self.transmit(session, bytes);
        Some(id)
    }

    /// Sends a message that is not to be acknowledged; false if it is too long to be sent at all.
    pub(in super::super) fn send_unconfirmed(
        &mut self,
        now: Instant,
        session: SessionId,
        message: Outgoing,
    ) -> bool {
        let id = self.allocate(now, session);
        let Some(bytes) = self.encode(session, message, Kind::NonConfirmable, id) else { return false };
        self.transmit(session, bytes);
        true
    }

    /// Forgets a message that was sent once: it was answered by another way, or is not wanted any more.
    pub(in super::super) fn forget_once(&mut self, session: SessionId, id: MessageId) {
        self.take_once(session, id);
    }

    /// Takes out the message with this id, if there is one.
    pub(super) fn take_once(&mut self, session: SessionId, id: MessageId) -> Option<Once<O>> {
        let once = &mut self.links.get_mut(&session)?.once;
        let at = once.iter().position(|message| message.id == id)?;
        Some(once.swap_remove(at))
    }

    /// Takes note of how long the answer to a message took that was sent once, at `sent`.
    pub(in super::super) fn sampled(&mut self, now: Instant, session: SessionId, sent: Instant) {
        if !self.times.measured {
            return;
        }
        let Some(link) = self.links.get_mut(&session) else { return };
        link.controller.sampled(now, now.saturating_duration_since(sent));
        self.put_off(now, session, sent);
    }

    /// Puts the next copies of messages off that were sent after one that has just been answered: their
    /// answers queue up behind its answer.
    pub(super) fn put_off(&mut self, now: Instant, session: SessionId, sent: Instant) {
        let Some(link) = self.links.get_mut(&session) else { return };
        if let Some(least) = link.controller.next_answer(now, &self.times) {
            let alarms = &mut self.alarms;
            let behind = |other: &&mut Unacknowledged<O>| other.is_behind(sent, least);
            for other in link.unacknowledged.iter_mut().filter(behind) {
                other.put_off(least);
                alarms.set(Alarm::Retransmit(session, other.id), least);
            }
        }
        if let Some(round_trip) = link.controller.round_trip {
            self.know(session).round_trip = Some(round_trip);
        }
    }

    /// Counts the messages of a session, sent again if need be, that may be on their way.
    pub(in super::super) fn on_their_way(&self, now: Instant, session: SessionId) -> usize {
        let Some(link) = self.links.get(&session) else { return 0 };
        let is_on_its_way = |controller: &Controller, message: &Unacknowledged<O>| {
            message.may_be_on_its_way(now, controller, &self.times)
        };
        link.unacknowledged.iter().filter(|message| is_on_its_way(&link.controller, message)).count()
    }

    /// Sends an Empty confirmable message once: an answer to it shows that small messages pass.
    pub(in super::super) fn probe(&mut self, now: Instant, session: SessionId) {
        let id = self.allocate(now, session);
        self.link(now, session).probe = Some(id);
        self.transmit(session, message::empty(Kind::Confirmable, id));
    }

    /// Returns how long the answer took that came last to a confirmable message of this owner, since its
    /// newest copy; None if another message was answered last.
    pub(in super::super) fn newest_answer(&self, session: SessionId, owner: O) -> Option<Duration> {
        let (of, took) = self.links.get(&session)?.newest_answer?;
        (of == owner).then_some(took)
    }
}

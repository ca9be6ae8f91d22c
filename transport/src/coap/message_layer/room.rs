//! How much room unacknowledged separate answers take, on their way or waiting for a place: bounded in all,
//! by a pool as other memory is ([`Pool`](crate::shares::Pool)).
//!
//! A new answer is let in. If it is one too many, the session that holds most in the heaviest network loses
//! one of its answers, as if it had been sent in vain:
//!
//! ```text
//!  1. the one that has been sent most often, if any was sent twice    its client has probably left
//!  2. the newest that waits for a place, blocks first                 its client may ask for a block again
//!  3. the oldest on its way
//! ```
//!
//! Requests are not counted: a client has as many as it makes itself.

use super::super::congestion::Queue;
use super::super::retransmission::Content;
use super::repetition::{GivenUp, Unacknowledged, content};
use super::{Alarm, Link, MessageLayer};
use crate::SessionId;
use crate::shares::Network;
use std::time::Instant;

/// Bytes that an answer costs beside its own: its places in the lists, its exchange.
const AROUND: usize = 512;

/// Returns the bytes that one answer takes. Its exchange may keep its body, to cut it smaller.
fn room_of(bytes: &[u8]) -> usize {
    match content(bytes) {
        Content::Response => 2 * bytes.len() + AROUND,
        Content::Request | Content::Nothing => 0,
    }
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// Accounts for a new unacknowledged message of a session. Where it is one too many, the heaviest
    /// sessions give up answers.
    pub(super) fn take_room(&mut self, now: Instant, session: SessionId, network: Network) {
        self.waiting.set(session, network, self.room_taken(session));
        while let Some(heaviest) = self.waiting.yields_to(network, 0)
            && let Some(session) = self.waiting.heaviest_in(heaviest)
        {
            let given_up = self.give_room(session);
            self.waiting.resize(session, self.room_taken(session));
            let Some(given_up) = given_up else { return };
            self.counters.answers_gave_way += 1;
            self.given_up.push_back(given_up);
            self.alarms.set(Alarm::Tell, now);
            self.fill_window(now, session);
        }
    }

    /// Accounts for the end of an unacknowledged message of a session.
    pub(super) fn leave_room(&mut self, session: SessionId) {
        if self.waiting.held_by(session) > 0 {
            self.waiting.resize(session, self.room_taken(session));
        }
    }

    fn room_taken(&self, session: SessionId) -> usize {
        let on_their_way = self.links.get(&session).into_iter().flat_map(|link| &link.unacknowledged);
        let waiting = self.queues.get(&session).into_iter().flat_map(Queue::each);
        on_their_way.map(|message| room_of(&message.bytes)).sum::<usize>()
            + waiting.map(|waiting| room_of(&waiting.bytes)).sum::<usize>()
    }

    fn give_room(&mut self, session: SessionId) -> Option<GivenUp<O>> {
        let sent_in_vain = |message: &Unacknowledged<O>| message.copies() > 1;
        if let Some(of) = self.withdraw_one(session, sent_in_vain) {
            return Some(GivenUp { of, sent: true });
        }
        if let Some(queue) = self.queues.get_mut(&session)
            && let Some(newest) = queue.pop_newest()
        {
            if queue.is_empty() {
                self.queues.remove(&session);
            }
            return Some(GivenUp { of: newest.owner, sent: false });
        }
        self.withdraw_one(session, |_| true).map(|of| GivenUp { of, sent: true })
    }

    /// Withdraws the answer on its way with most copies, of equals the oldest; returns its owner.
    fn withdraw_one(&mut self, session: SessionId, may_go: impl Fn(&Unacknowledged<O>) -> bool) -> Option<O> {
        let link: &mut Link<O> = self.links.get_mut(&session)?;
        let answers = link.unacknowledged.iter().enumerate();
        let (at, _) = answers
            .filter(|(_, message)| room_of(&message.bytes) > 0 && may_go(message))
            .max_by_key(|(_, message)| (message.copies(), std::cmp::Reverse(message.first_sent())))?;
        let message = link.unacknowledged.swap_remove(at);
        self.alarms.clear(Alarm::Retransmit(session, message.id));
        Some(message.owner())
    }
}

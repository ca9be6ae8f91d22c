//! What the message layer remembers of a session, and for how long: EXCHANGE_LIFETIME (RFC 7252 section
//! 4.8.2), within the limits of deduplication.
//!
//! No message is refused for want of this memory. Where it is used up, the session that holds most of it in
//! the heaviest network gives way ([`Pool`](crate::shares::Pool)), by what is worth least to it
//! ([`Seen::give_way`]). Messages that wait for their answers are not in the pool: they are never given up,
//! and the number of requests that may wait is bounded elsewhere.

use super::super::dedup::{Answer, Effect, Evicted, Seen};
use super::{Known, MessageLayer, Origin};
use crate::SessionId;
use crate::shares::Network;
use lowband_wire::coap::message::Kind;
use std::time::Instant;

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// Remembers a message, so that its duplicates are recognised from now on. The newest message is
    /// remembered once, even if this is called twice for it.
    pub(in super::super) fn remember(&mut self, now: Instant, origin: &Origin) {
        let answer = if origin.kind == Kind::Confirmable { Answer::Pending } else { Answer::Silence };
        if !self.is_newest(origin) {
            self.add_seen(now, origin, |seen| {
                // A copy that is carried out once more.
                if origin.effect == Effect::Says {
                    seen.remove(origin.key());
                }
                seen.insert(now, origin.key(), origin.effect, answer);
            });
        }
    }

    /// Remembers a message whose copies get nothing: one that came inside an acknowledgement, acts on
    /// nothing, and has an answer that is sent until it is acknowledged; or a list of blocks.
    pub(in super::super) fn remember_repeated(&mut self, now: Instant, origin: &Origin) {
        if !self.is_newest(origin) {
            self.add_seen(now, origin, |seen| {
                seen.insert(now, origin.key(), origin.effect, Answer::Repeated);
            });
        }
    }

    /// Returns whether duplicates of a message are recognised.
    pub(super) fn is_remembered(&self, origin: &Origin) -> bool {
        self.seen.get(origin.session).is_some_and(|seen| seen.get(origin.key()).is_some())
    }

    fn is_newest(&self, origin: &Origin) -> bool {
        self.seen.get(origin.session).is_some_and(|seen| seen.newest_is(origin.key()))
    }

    /// Forgets a message, which may act again: it does no harm.
    pub(in super::super) fn forget(&mut self, origin: &Origin) {
        self.change_seen(origin, |seen| seen.remove(origin.key()));
    }

    /// Sets what duplicates get from now on. Does nothing for a message that is not remembered.
    pub(super) fn remember_answer(&mut self, origin: &Origin, answer: Answer) {
        self.change_seen(origin, |seen| seen.set(origin.key(), answer));
    }

    /// Adds to the memory of a session, which is made if the session has none.
    fn add_seen(&mut self, now: Instant, origin: &Origin, change: impl FnOnce(&mut Seen)) {
        self.seen.get_or_insert_with(origin.session, || {
            self.forget_seen.set(origin.session, now + self.times.exchange_lifetime);
            Seen::default()
        });
        self.change_seen(origin, change);
    }

    /// Changes the memory of a session. Does nothing where nothing is remembered.
    fn change_seen(&mut self, origin: &Origin, change: impl FnOnce(&mut Seen)) {
        let (ids, bytes) = (self.limits.dedup_per_session, self.limits.dedup_bytes_per_session);
        let repeated = self.limits.dedup_acknowledging_per_session;
        let Some(seen) = self.seen.get_mut(origin.session) else { return };
        change(seen);
        self.counters.dedup_forgotten += seen.keep_within(ids, bytes, repeated);
        self.account(origin.session, origin.network);
        self.give_way(origin.network);
    }

    /// Accounts for a change of what the memory of a session takes.
    fn account(&mut self, session: SessionId, network: Network) {
        let Some(seen) = self.seen.get(session) else { return };
        if seen.is_empty() {
            return self.forget_all_seen(session);
        }
        self.remembered.set(session, network, seen.to_give());
    }

    /// Gives up memory until all bounds hold again, after something has been remembered in this network.
    fn give_way(&mut self, network: Network) {
        while let Some(heaviest) = self.remembered.yields_to(network)
            && let Some(session) = self.remembered.heaviest_in(heaviest)
        {
            match self.seen.get_mut(session).and_then(Seen::give_way) {
                Some(Evicted::Repeatable) => self.counters.evicted_repeatable += 1,
                Some(Evicted::Answer) => self.counters.evicted_answers += 1,
                Some(Evicted::Id) => self.counters.evicted_ids += 1,
                None => {}
            }
            self.account(session, heaviest);
        }
    }

    pub(super) fn forget_all_seen(&mut self, session: SessionId) {
        if let Some(gone) = self.seen.remove(session) {
            self.remembered.remove(session);
            if gone.answer_open.is_some() {
                self.large_answer_arrived(session);
            }
            let (seen, lifetime) = (&self.seen, self.times.exchange_lifetime);
            let all = seen.iter().filter_map(|(id, seen)| Some((id, seen.oldest()? + lifetime)));
            self.forget_seen.tidy(|id| seen.contains(id), seen.len(), all);
            self.forget_dispensable(session);
        }
    }

    /// Forgets what is known of a session, if that is dispensable and no message of the session is remembered
    /// or on its way.
    fn forget_dispensable(&mut self, session: SessionId) {
        let is_at_rest = !self.seen.contains(session) && !self.links.contains_key(&session);
        if is_at_rest && self.known.get(session).is_some_and(Known::is_dispensable) {
            self.known.remove(session);
        }
    }

    /// Drops the reminders of links that have gone.
    pub(super) fn tidy_ids(&mut self) {
        let (links, lifetime) = (&self.links, self.times.exchange_lifetime);
        let all = links.iter().map(|(id, link)| (*id, link.last_id_at + lifetime));
        self.forget_ids.tidy(|id| links.contains_key(&id), links.len(), all);
    }

    pub(super) fn forget_expired(&mut self, now: Instant) {
        let lifetime = self.times.exchange_lifetime;
        while let Some(session) = self.forget_seen.expired(now) {
            let Some(seen) = self.seen.get_mut(session) else { continue };
            seen.expire(now, lifetime);
            if let Some(oldest) = seen.oldest() {
                self.forget_seen.set(session, oldest + lifetime);
                self.remembered.resize(session, seen.to_give());
            } else {
                self.forget_all_seen(session);
            }
        }
        while let Some(session) = self.forget_ids.expired(now) {
            let Some(link) = self.links.get_mut(&session) else { continue };
            if link.last_id_at + lifetime > now {
                self.forget_ids.set(session, link.last_id_at + lifetime);
            } else if link.unacknowledged.is_empty() && link.once.is_empty() {
                self.links.remove(&session);
                self.tidy_ids();
                self.forget_dispensable(session);
            } else {
                // The messages on their way have the last ids.
                link.next_id = None;
                self.forget_ids.set(session, now + lifetime);
            }
        }
    }
}

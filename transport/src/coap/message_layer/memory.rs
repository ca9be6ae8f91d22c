//! What the message layer remembers of a session, and for how long: EXCHANGE_LIFETIME (RFC 7252 section 4.8.2), within the
//! limits of deduplication.
//!
//! Nothing is refused for want of this memory. Where it is used up, the session that holds most of it in the heaviest network gives way
//! ([`Pool`](crate::shares::Pool)), by what is worth least to it ([`Seen::give_way`]). What waits for its answer is not in the pool: it
//! is never given up, and the requests that may wait are bounded elsewhere.

use super::super::dedup::{Answer, Effect, Evicted, Seen};
use super::super::message::Kind;
use super::{Alarm, Link, MessageLayer, Origin};
use crate::SessionId;
use crate::shares::Network;
use std::time::{Duration, Instant};

impl<O> Link<O> {
    /// When the next thing can be forgotten.
    fn forget_at(&self, lifetime: Duration) -> Option<Instant> {
        [self.seen.oldest(), self.last_id_at].into_iter().flatten().min().map(|since| since + lifetime)
    }

    /// Nothing is known of the session that it could not do without.
    fn is_at_rest(&self) -> bool {
        let of_the_session =
            self.controller.round_trip.is_some() || self.short_timers || self.path.is_narrow();
        self.seen.oldest().is_none()
            && self.last_id_at.is_none()
            && self.unacknowledged.is_empty()
            && !of_the_session
    }
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// From now on a duplicate of this message is recognised; asked twice for the newest message, it is remembered once.
    pub(in super::super) fn remember(&mut self, now: Instant, origin: &Origin) {
        let answer = if origin.kind == Kind::Confirmable { Answer::Pending } else { Answer::Silence };
        if !self.is_newest(origin) {
            self.change_seen(origin, |seen| {
                // A copy that is carried out once more.
                if origin.effect == Effect::Says {
                    seen.remove(origin.key());
                }
                seen.insert(now, origin.key(), origin.effect, answer);
            });
        }
    }

    /// The same for one that came inside an acknowledgement, acts on nothing, and has an answer that is sent until it is
    /// acknowledged.
    pub(in super::super) fn remember_repeated(&mut self, now: Instant, origin: &Origin) {
        if !self.is_newest(origin) {
            self.change_seen(origin, |seen| {
                seen.insert(now, origin.key(), origin.effect, Answer::Repeated);
            });
        }
    }

    fn is_newest(&self, origin: &Origin) -> bool {
        self.links.get(&origin.session).is_some_and(|link| link.seen.newest_is(origin.key()))
    }

    /// The message may act again: it does no harm.
    pub(in super::super) fn forget(&mut self, origin: &Origin) {
        if self.links.contains_key(&origin.session) {
            self.change_seen(origin, |seen| seen.remove(origin.key()));
        }
    }

    /// What duplicates get from now on. Does nothing for a message that is not remembered.
    pub(super) fn remember_answer(&mut self, origin: &Origin, answer: Answer) {
        if self.links.contains_key(&origin.session) {
            self.change_seen(origin, |seen| seen.set(origin.key(), answer));
        }
    }

    fn change_seen(&mut self, origin: &Origin, change: impl FnOnce(&mut Seen)) {
        let (ids, bytes) = (self.limits.dedup_per_session, self.limits.dedup_bytes_per_session);
        let repeated = self.limits.dedup_acknowledging_per_session;
        let seen = &mut self.link(origin.session).seen;
        change(seen);
        let forgotten = seen.keep_within(ids, bytes, repeated);
        self.counters.dedup_forgotten += forgotten;
        self.account(origin.session, origin.network);
        self.give_way(origin.network);
        self.schedule_forgetting(origin.session);
    }

    fn account(&mut self, session: SessionId, network: Network) {
        let bytes = self.links.get(&session).map_or(0, |link| link.seen.to_give());
        self.remembered.set(session, network, bytes);
    }

    /// Until all bounds hold again, after something has been remembered in this network.
    fn give_way(&mut self, network: Network) {
        while let Some(heaviest) = self.remembered.yields_to(network, 0)
            && let Some(session) = self.remembered.heaviest_in(heaviest)
        {
            match self.links.get_mut(&session).and_then(|link| link.seen.give_way()) {
                Some(Evicted::Repeatable) => self.counters.evicted_repeatable += 1,
                Some(Evicted::Answer) => self.counters.evicted_answers += 1,
                Some(Evicted::Id) => self.counters.evicted_ids += 1,
                None => {}
            }
            self.account(session, heaviest);
            self.schedule_forgetting(session);
        }
    }

    pub(super) fn schedule_forgetting(&mut self, session: SessionId) {
        let Some(link) = self.links.get(&session) else { return };
        if let Some(at) = link.forget_at(self.times.exchange_lifetime) {
            return self.alarms.set_no_later(Alarm::Forget(session), at);
        }
        self.alarms.clear(Alarm::Forget(session));
        if link.is_at_rest() {
            self.links.remove(&session);
        }
    }

    pub(super) fn forget_expired(&mut self, now: Instant, session: SessionId) {
        let Some(link) = self.links.get_mut(&session) else { return };
        let lifetime = self.times.exchange_lifetime;
        link.seen.expire(now, lifetime);
        if link.last_id_at.is_some_and(|at| at + lifetime <= now) {
            link.last_id_at = None;
            link.next_id = None;
        }
        self.remembered.resize(session, link.seen.to_give());
        self.schedule_forgetting(session);
    }
}

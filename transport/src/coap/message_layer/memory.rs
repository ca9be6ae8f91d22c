//! What the message layer remembers of a session, and for how long: EXCHANGE_LIFETIME (RFC 7252 section 4.8.2), within the
//! limits of deduplication.

use super::super::dedup::{Answer, Seen};
use super::super::message::Kind;
use super::{Alarm, Link, MessageLayer, Origin};
use crate::SessionId;
use std::time::{Duration, Instant};

impl<O> Link<O> {
    /// When the next thing can be forgotten.
    fn forget_at(&self, lifetime: Duration) -> Option<Instant> {
        [self.seen.oldest(), self.last_id_at].into_iter().flatten().min().map(|since| since + lifetime)
    }
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    /// From now on a duplicate of this message is recognised; asked twice for the newest message, it is remembered once. False
    /// when deduplication holds all it may.
    pub(in super::super) fn remember(&mut self, now: Instant, origin: &Origin) -> bool {
        if self.is_newest(origin) {
            return true;
        }
        if self.remembered >= self.limits.dedup_total {
            self.counters.dedup_refused += 1;
            return false;
        }
        let answer = if origin.kind == Kind::Confirmable { Answer::Pending } else { Answer::Silence };
        self.change_seen(origin.session, |seen| seen.insert(now, origin.key(), answer));
        true
    }

    /// The same for one that came inside an acknowledgement, acts on nothing, and has an answer that is sent until it is
    /// acknowledged. Should there be no room, a copy is answered once more.
    pub(in super::super) fn remember_repeated(&mut self, now: Instant, origin: &Origin) {
        if self.remembered < self.limits.dedup_total && !self.is_newest(origin) {
            self.change_seen(origin.session, |seen| seen.insert(now, origin.key(), Answer::Repeated));
        }
    }

    fn is_newest(&self, origin: &Origin) -> bool {
        self.links.get(&origin.session).is_some_and(|link| link.seen.newest_is(origin.key()))
    }

    /// The message may act again: it does no harm.
    pub(in super::super) fn forget(&mut self, origin: &Origin) {
        if self.links.contains_key(&origin.session) {
            self.change_seen(origin.session, |seen| seen.remove(origin.key()));
        }
    }

    /// What duplicates get from now on. Does nothing for a message that is not remembered.
    pub(super) fn remember_answer(&mut self, origin: &Origin, bytes: &[u8]) {
        let link = self.links.get(&origin.session);
        if link.is_some_and(|link| link.seen.get(origin.key()).is_some()) {
            let answer = Answer::Bytes(bytes.into());
            self.change_seen(origin.session, |seen| seen.set(origin.key(), answer));
        }
    }

    fn change_seen(&mut self, session: SessionId, change: impl FnOnce(&mut Seen)) {
        let (ids, bytes) = (self.limits.dedup_per_session, self.limits.dedup_bytes_per_session);
        let repeated = self.limits.dedup_acknowledging_per_session;
        let seen = &mut self.link(session).seen;
        let before = seen.bytes();
        change(seen);
        let forgotten = seen.keep_within(ids, bytes, repeated);
        let after = seen.bytes();
        self.counters.dedup_forgotten += forgotten;
        self.remembered = self.remembered + after - before;
        self.schedule_forgetting(session);
    }

    pub(super) fn schedule_forgetting(&mut self, session: SessionId) {
        let Some(link) = self.links.get(&session) else { return };
        match link.forget_at(self.times.exchange_lifetime) {
            Some(at) => self.alarms.set_no_later(Alarm::Forget(session), at),
            None => self.alarms.clear(Alarm::Forget(session)),
        }
    }

    pub(super) fn forget_expired(&mut self, now: Instant, session: SessionId) {
        let Some(link) = self.links.get_mut(&session) else { return };
        let (before, lifetime) = (link.seen.bytes(), self.times.exchange_lifetime);
        link.seen.expire(now, lifetime);
        if link.last_id_at.is_some_and(|at| at + lifetime <= now) {
            link.last_id_at = None;
            link.next_id = None;
        }
        self.remembered = self.remembered + link.seen.bytes() - before;
        let of_the_session = link.round_trip.is_some() || link.short_timers;
        if link.forget_at(lifetime).is_none() && link.unacknowledged.is_empty() && !of_the_session {
            self.links.remove(&session);
        } else {
            self.schedule_forgetting(session);
        }
    }
}

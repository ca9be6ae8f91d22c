//! One ordered set of deadlines for all sessions. Only what waits for a time is in it, so idle sessions cost
//! nothing; setting and clearing are logarithmic.

use crate::SessionId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn new() -> Timers<K> {
        Timers { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets the deadline of a key, which has one: setting it again moves it.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    /// Sets a deadline that mostly moves later: an earlier one stays, and its owner looks again when it
    /// comes.
    pub(super) fn set_no_later(&mut self, key: K, at: Instant) {
        if self.by_key.get(&key).is_none_or(|before| *before > at) {
            self.set(key, at);
        }
    }

    pub(super) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has come, earliest first.
    pub(super) fn expired(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

/// Sessions of which something is to be forgotten, and when. In one allocation, unlike [`Timers`]: each
/// session that has said anything has a deadline here for minutes. A deadline is not taken out or moved: when
/// it comes, its owner looks whether anything is due, and sets another one for the rest.
#[derive(Debug, Default)]
pub(super) struct Reminders(BinaryHeap<Reverse<(Instant, SessionId)>>);

/// Number of deadlines that may stay although their sessions have nothing to forget.
const FEW: usize = 64;

impl Reminders {
    pub(super) fn set(&mut self, session: SessionId, at: Instant) {
        self.0.push(Reverse((at, session)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one session whose deadline has come, earliest first.
    pub(super) fn expired(&mut self, now: Instant) -> Option<SessionId> {
        if self.next()? > now {
            return None;
        }
        let next = self.0.pop();
        if self.0.capacity() > FEW && self.0.capacity() > 8 * self.0.len() {
            self.0.shrink_to(2 * self.0.len());
        }
        next.map(|Reverse((_, session))| session)
    }

    /// Notes that a session has nothing to forget any more. Deadlines of such sessions are dropped where they
    /// come first, so that they wake no caller, and everywhere when they are more than half. `all` are the
    /// other sessions, with their deadlines.
    pub(super) fn tidy(
        &mut self,
        is_known: impl Fn(SessionId) -> bool,
        known: usize,
        all: impl Iterator<Item = (SessionId, Instant)>,
    ) {
        while self.0.peek().is_some_and(|Reverse((_, session))| !is_known(*session)) {
            self.0.pop();
        }
        if self.0.len() > 2 * known + FEW {
            self.0 = all.map(|(session, at)| Reverse((at, session))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn reminders_of_sessions_that_have_nothing_any_more_are_few_and_wake_nobody() {
        let (mut reminders, zero) = (Reminders::default(), Instant::now());
        let at = |number: u64| zero + Duration::from_secs(number);
        reminders.set(SessionId(0), at(1000));
        for number in 1..500 {
            reminders.set(SessionId(number), at(number));
            reminders.set(SessionId(number), at(2000 + number));
            reminders.tidy(|session| session.0 == 0, 1, std::iter::once((SessionId(0), at(1000))));
            assert!(reminders.0.len() <= 2 + FEW);
            assert_eq!(reminders.next(), Some(at(1000)));
        }
        assert_eq!(reminders.expired(at(999)), None);
        assert_eq!(reminders.expired(at(1000)), Some(SessionId(0)));
    }

    #[test]
    fn reminders_come_in_their_order_and_give_their_room_back() {
        let (mut reminders, zero) = (Reminders::default(), Instant::now());
        for number in 0..10_000 {
            reminders.set(SessionId(number), zero + Duration::from_secs(number * 7 % 10_000));
        }
        let end = zero + Duration::from_secs(10_000);
        let mut before = None;
        while let Some(next) = reminders.next() {
            assert!(before <= Some(next));
            before = Some(next);
            assert!(reminders.expired(end).is_some());
        }
        assert!(reminders.0.capacity() <= FEW, "{}", reminders.0.capacity());
    }
}

//! One ordered set of deadlines for all sessions. What is not waiting for a time is not in it, so idle sessions cost
//! nothing; setting and clearing are logarithmic.

use std::collections::{BTreeMap, BTreeSet};
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

    /// A key has one deadline: setting it again moves it.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    /// For deadlines that mostly move later: an earlier one stays, and its owner looks again when it comes.
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

//! Which uploads have ended, so that their late blocks begin nothing.
//!
//! Blocks that go in any order are sent again under new message ids, and a copy may come when its upload is
//! long complete. Its Request-Tag is not used again in the session (RFC 9175 section 3.4), so a block of an
//! upload that has ended is a late one. A place that was needed for a newer upload costs little: a late block
//! then begins an upload that never becomes whole.

use lowband_wire::coap::options::BodyKey;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// Uploads of one session that are remembered after their end; one more forgets the oldest.
const MOST: usize = 64;

/// How an upload has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was whole, and has been handed on.
    Whole,
    /// It had to make room, was too slow, or was refused.
    Lost,
}

/// The uploads of one session that have ended, oldest first.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: VecDeque<(u64, Ended, Instant)>,
}

impl Memory {
    /// Remembers that an upload ended at `now`.
    pub(super) fn add(&mut self, now: Instant, key: &BodyKey, how: Ended) {
        while self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        if self.entries.capacity() == self.entries.len() {
            self.entries.reserve_exact(self.entries.len().max(2));
        }
        self.entries.push_back((digest(key), how, now));
    }

    pub(super) fn get(&self, key: &BodyKey) -> Option<Ended> {
        let (entries, digest) = (self.entries.iter().rev(), digest(key));
        entries.filter(|(known, ..)| *known == digest).map(|(_, how, _)| *how).next()
    }

    /// Forgets what ended `lifetime` ago or earlier.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration) {
        while self.entries.front().is_some_and(|(.., at)| *at + lifetime <= now) {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Returns when the oldest of them ended; None if there are none.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|(.., at)| *at)
    }

    /// Counts the bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u64, Ended, Instant)>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Returns a number that stands for a key. Whoever made two keys of one number would lose uploads of its own.
fn digest(key: &BodyKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key.as_bytes());
    hasher.finish()
}

//! Which message ids of a peer have been seen, and what each was answered (RFC 7252 section 4.5), in bounded memory.
//!
//! Remembered are the messages that must not act twice: requests for the upstream, the first and the last block of an
//! upload, responses. Requests for later blocks of a snapshot are answered again from the snapshot instead, and later
//! blocks of an upload are recognised by their number; neither takes an entry, so large bodies do not push the small
//! requests out.
//!
//! A request inside an acknowledgement goes by the message id of *our* message, so the two kinds of ids are kept apart. If
//! it asks for a later block its answer is confirmable, which is repeated anyway: its copies get nothing, else each of them
//! would double the rest of the body. Such requests share a few places of their own.
//!
//! A message id that comes again under another token is another message: its peer has gone round all 65,536 ids within
//! the lifetime of one, which RFC 7252 section 4.4 forbids and a fast link invites.
//!
//! What still waits for its answer is never forgotten before its time: all retransmissions of a request that its client
//! is waiting for are recognised, unless the client itself sends more than the limit in between.

use super::message::{MessageId, Token};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a duplicate gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet: the answer is on its way.
    Pending,
    /// Nothing at all: the message was non-confirmable.
    Silence,
    /// Nothing either: its own answer is sent until it is acknowledged.
    Repeated,
    /// These bytes once more.
    Bytes(Box<[u8]>),
}

impl Answer {
    fn len(&self) -> usize {
        match self {
            Answer::Bytes(bytes) => bytes.len(),
            Answer::Pending | Answer::Silence | Answer::Repeated => 0,
        }
    }
}

/// What a message is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub id: MessageId,
    pub token: Token,
    /// The id is that of a message of ours, which this one acknowledges.
    pub ours: bool,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    seen: Instant,
    answer: Answer,
}

/// What one remembered id costs beside the bytes of its answer.
const ENTRY: usize = size_of::<Entry>();

/// The memory of one session, oldest first. Empty it owns no memory.
#[derive(Debug, Default)]
pub(super) struct Seen {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many have [`Answer::Repeated`].
    repeated: usize,
}

impl Seen {
    pub(super) fn get(&self, key: Key) -> Option<&Answer> {
        self.entries.get(self.position(key)?).map(|entry| &entry.answer)
    }

    /// Duplicates are mostly of what came last.
    fn position(&self, key: Key) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.key == key)
    }

    /// Whether this is what was remembered last.
    pub(super) fn newest_is(&self, key: Key) -> bool {
        self.entries.back().is_some_and(|entry| entry.key == key)
    }

    pub(super) fn insert(&mut self, now: Instant, key: Key, answer: Answer) {
        self.bytes += ENTRY + answer.len();
        self.repeated += usize::from(answer == Answer::Repeated);
        if self.entries.is_empty() {
            // Most sessions say one thing and rest: of the four places that a deque begins with, three would stay empty, and
            // the holes that they leave in the heap are of no use to anybody.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(Entry { key, seen: now, answer });
    }

    /// Does nothing for a message that is not remembered, here and below.
    pub(super) fn set(&mut self, key: Key, answer: Answer) {
        if let Some(entry) = self.position(key).and_then(|at| self.entries.get_mut(at)) {
            self.bytes = self.bytes + answer.len() - entry.answer.len();
            entry.answer = answer;
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(at) = self.position(key) {
            self.remove_at(at);
        }
    }

    fn remove_at(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.forgotten(&entry);
        }
    }

    fn forgotten(&mut self, entry: &Entry) {
        self.bytes -= ENTRY + entry.answer.len();
        self.repeated -= usize::from(entry.answer == Answer::Repeated);
    }

    /// Forgets the oldest answered ids until all limits hold; says how many. `repeated` is for requests for blocks that came
    /// in acknowledgements, the others for all else.
    pub(super) fn keep_within(&mut self, ids: usize, bytes: usize, repeated: usize) -> u64 {
        let mut forgotten = 0;
        let mut forget = |seen: &mut Seen, goes: fn(&Answer) -> bool| {
            let oldest = seen.entries.iter().position(|entry| goes(&entry.answer));
            oldest.map(|at| seen.remove_at(at)).inspect(|()| forgotten += 1).is_some()
        };
        while self.repeated > repeated && forget(self, |answer| *answer == Answer::Repeated) {}
        while (self.entries.len() - self.repeated > ids || self.bytes - ENTRY * self.entries.len() > bytes)
            && forget(self, |answer| !matches!(answer, Answer::Pending | Answer::Repeated))
        {}
        forgotten
    }

    /// Forgets what was seen `lifetime` ago or earlier.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration) {
        while self.entries.front().is_some_and(|entry| entry.seen + lifetime <= now) {
            self.remove_at(0);
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// When the oldest was seen.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.seen)
    }

    /// All that is remembered, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u16) -> Key {
        Key { id: MessageId(id), token: Token::EMPTY, ours: false }
    }

    fn answer(length: usize) -> Answer {
        Answer::Bytes(vec![0; length].into())
    }

    fn zero() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_oldest_answered_ids_go_first_and_pending_ones_never() {
        let mut seen = Seen::default();
        let now = zero();
        seen.insert(now, key(0), Answer::Pending);
        for id in 1..=5 {
            seen.insert(now, key(id), answer(10));
        }
        assert_eq!(seen.keep_within(4, 1000, 9), 2);
        let known = |seen: &Seen| (0..=5).filter(|id| seen.get(key(*id)).is_some()).collect::<Vec<_>>();
        assert_eq!(known(&seen), [0, 3, 4, 5]);
        assert_eq!(seen.keep_within(100, 20, 9), 1);
        assert_eq!(known(&seen), [0, 4, 5]);
        assert_eq!(seen.keep_within(0, 0, 9), 2);
        assert_eq!(known(&seen), [0]);
    }

    #[test]
    fn ids_of_ours_and_of_the_peer_are_different_ones() {
        let mut seen = Seen::default();
        let ours = Key { ours: true, ..key(1) };
        seen.insert(zero(), ours, Answer::Silence);
        assert_eq!((seen.get(ours), seen.get(key(1))), (Some(&Answer::Silence), None));
        seen.remove(key(1));
        assert!(seen.get(ours).is_some());
    }

    #[test]
    fn requests_in_acknowledgements_for_blocks_push_out_nothing_but_each_other() {
        let mut seen = Seen::default();
        seen.insert(zero(), key(0), answer(10));
        for id in 1..=300 {
            seen.insert(zero(), Key { ours: true, ..key(id) }, Answer::Repeated);
            assert_eq!(seen.keep_within(1, 10, 3), u64::from(id > 3));
        }
        let known = |id| seen.get(Key { ours: true, ..key(id) }).is_some();
        assert_eq!((seen.entries.len(), known(297), known(298)), (4, false, true));
        assert_eq!(seen.keep_within(0, 0, 3), 1);
        assert_eq!(seen.get(key(0)), None);
        assert_eq!(seen.keep_within(0, 0, 0), 3);
        assert_eq!((seen.bytes(), seen.repeated), (0, 0));
    }

    #[test]
    fn a_session_that_says_one_thing_takes_room_for_one() {
        let mut seen = Seen::default();
        seen.insert(zero(), key(1), Answer::Pending);
        assert_eq!(seen.entries.capacity(), 1);
    }

    #[test]
    fn bytes_are_counted_exactly_and_all_given_back() {
        let mut seen = Seen::default();
        let now = zero();
        seen.insert(now, key(1), Answer::Pending);
        seen.set(key(1), answer(100));
        seen.insert(now + Duration::from_secs(1), key(2), answer(7));
        seen.insert(now + Duration::from_secs(2), key(3), Answer::Silence);
        assert_eq!(seen.bytes(), 3 * ENTRY + 107);
        seen.remove(key(2));
        assert_eq!(seen.bytes(), 2 * ENTRY + 100);
        let lifetime = Duration::from_secs(10);
        seen.expire(now + lifetime, lifetime);
        assert_eq!((seen.bytes(), seen.get(key(1))), (ENTRY, None));
        seen.expire(now + lifetime + Duration::from_secs(2), lifetime);
        assert_eq!((seen.bytes(), seen.oldest(), seen.entries.capacity()), (0, None, 0));
    }
}

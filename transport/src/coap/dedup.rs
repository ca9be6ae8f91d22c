//! Which message ids of a peer have been seen, and what each was answered (RFC 7252 section 4.5), in bounded memory.
//!
//! Remembered are the messages that must not act twice: requests for the upstream, the first and the last block of an
//! upload, responses. Requests for later blocks of a snapshot are answered again from the snapshot instead, and later
//! blocks of an upload are recognised by their number; neither takes an entry, so large bodies do not push the small
//! requests out.
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
    /// These bytes once more.
    Bytes(Box<[u8]>),
}

impl Answer {
    fn len(&self) -> usize {
        match self {
            Answer::Bytes(bytes) => bytes.len(),
            Answer::Pending | Answer::Silence => 0,
        }
    }
}

#[derive(Debug)]
struct Entry {
    id: MessageId,
    token: Token,
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
}

impl Seen {
    pub(super) fn get(&self, id: MessageId, token: Token) -> Option<&Answer> {
        self.entries.get(self.position(id, token)?).map(|entry| &entry.answer)
    }

    /// Duplicates are mostly of what came last.
    fn position(&self, id: MessageId, token: Token) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.id == id && entry.token == token)
    }

    /// Whether this is what was remembered last.
    pub(super) fn newest_is(&self, id: MessageId, token: Token) -> bool {
        self.entries.back().is_some_and(|entry| entry.id == id && entry.token == token)
    }

    pub(super) fn insert(&mut self, now: Instant, id: MessageId, token: Token, answer: Answer) {
        self.bytes += ENTRY + answer.len();
        if self.entries.is_empty() {
            // Most sessions say one thing and rest: of the four places that a deque begins with, three would stay empty, and
            // the holes that they leave in the heap are of no use to anybody.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(Entry { id, token, seen: now, answer });
    }

    /// Does nothing for a message that is not remembered, here and below.
    pub(super) fn set(&mut self, id: MessageId, token: Token, answer: Answer) {
        if let Some(entry) = self.position(id, token).and_then(|at| self.entries.get_mut(at)) {
            self.bytes = self.bytes + answer.len() - entry.answer.len();
            entry.answer = answer;
        }
    }

    pub(super) fn remove(&mut self, id: MessageId, token: Token) {
        if let Some(entry) = self.position(id, token).and_then(|at| self.entries.remove(at)) {
            self.bytes -= ENTRY + entry.answer.len();
        }
    }

    /// Forgets the oldest answered ids until both limits hold; says how many.
    pub(super) fn keep_within(&mut self, ids: usize, bytes: usize) -> u64 {
        let mut forgotten = 0;
        while self.entries.len() > ids || self.bytes - ENTRY * self.entries.len() > bytes {
            let Some(oldest) = self.entries.iter().position(|entry| entry.answer != Answer::Pending) else {
                break;
            };
            if let Some(entry) = self.entries.remove(oldest) {
                self.bytes -= ENTRY + entry.answer.len();
            }
            forgotten += 1;
        }
        forgotten
    }

    /// Forgets what was seen `lifetime` ago or earlier.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration) {
        while let Some(entry) = self.entries.front().filter(|entry| entry.seen + lifetime <= now) {
            self.bytes -= ENTRY + entry.answer.len();
            self.entries.pop_front();
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

    const TOKEN: Token = Token::EMPTY;

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
        seen.insert(now, MessageId(0), TOKEN, Answer::Pending);
        for id in 1..=5 {
            seen.insert(now, MessageId(id), TOKEN, answer(10));
        }
        assert_eq!(seen.keep_within(4, 1000), 2);
        let known =
            |seen: &Seen| (0..=5).filter(|id| seen.get(MessageId(*id), TOKEN).is_some()).collect::<Vec<_>>();
        assert_eq!(known(&seen), [0, 3, 4, 5]);
        assert_eq!(seen.keep_within(100, 20), 1);
        assert_eq!(known(&seen), [0, 4, 5]);
        assert_eq!(seen.keep_within(0, 0), 2);
        assert_eq!(known(&seen), [0]);
    }

    #[test]
    fn a_session_that_says_one_thing_takes_room_for_one() {
        let mut seen = Seen::default();
        seen.insert(zero(), MessageId(1), TOKEN, Answer::Pending);
        assert_eq!(seen.entries.capacity(), 1);
    }

    #[test]
    fn bytes_are_counted_exactly_and_all_given_back() {
        let mut seen = Seen::default();
        let now = zero();
        seen.insert(now, MessageId(1), TOKEN, Answer::Pending);
        seen.set(MessageId(1), TOKEN, answer(100));
        seen.insert(now + Duration::from_secs(1), MessageId(2), TOKEN, answer(7));
        seen.insert(now + Duration::from_secs(2), MessageId(3), TOKEN, Answer::Silence);
        assert_eq!(seen.bytes(), 3 * ENTRY + 107);
        seen.remove(MessageId(2), TOKEN);
        assert_eq!(seen.bytes(), 2 * ENTRY + 100);
        let lifetime = Duration::from_secs(10);
        seen.expire(now + lifetime, lifetime);
        assert_eq!((seen.bytes(), seen.get(MessageId(1), TOKEN)), (ENTRY, None));
        seen.expire(now + lifetime + Duration::from_secs(2), lifetime);
        assert_eq!((seen.bytes(), seen.oldest(), seen.entries.capacity()), (0, None, 0));
    }
}

//! Which message ids of a peer have been seen, and what each was answered (RFC 7252 section 4.5),
//! in bounded memory.
//!
//! The messages that must not act twice are remembered: requests for the upstream, the first and the last
//! block of an upload, responses. Requests for later blocks of a snapshot are answered again from the
//! snapshot instead, and later blocks of an upload are recognised by their number; neither takes an entry, so
//! large bodies do not push the small requests out.
//!
//! A request inside an acknowledgement goes by the message id of *our* message, so the two kinds of ids are
//! kept apart. If such a request asks for a later block, its answer is confirmable, which is repeated anyway:
//! copies of the request get nothing, since each answer to one would double the rest of the body. Nor do
//! copies of a list of blocks that is not confirmable, which the network made. Such requests share a few
//! places of their own.
//!
//! A message id that comes again under another token is another message: its peer has gone round all 65,536
//! ids within the lifetime of one, which RFC 7252 section 4.4 forbids and a fast link invites.
//!
//! A message that still waits for its answer is never forgotten before its time: all retransmissions of a
//! request that its client is waiting for are recognised, unless the client itself sends more than the limit
//! in between.
//!
//! Where memory is short, what is worth least goes first ([`Seen::give_way`]), and no message is refused for
//! it:
//!
//! ```text
//!                                        what goes    what a copy gets then
//!  1. a GET that says nothing sticky     all of it    it is carried out again, which does no harm
//!  2. any other answer                   its bytes    a GET is carried out again; what acts is not: the copy is answered 5.00
//!  3. a message without bytes            all of it    it acts again, as if nothing were remembered
//! ```
//!
//! That answer is better than silence, in which a client would repeat itself for minutes, and than 5.03,
//! which invites the client to send the same request under a new id. Most such copies are late ones, whose
//! client has its answer and ignores this one.

mod effect;
mod entries;

use entries::Entries;
use lowband_wire::coap::message::{MessageId, Token};
use std::time::{Duration, Instant};

pub(super) use effect::Effect;

/// What a duplicate gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet: the answer is on its way.
    Pending,
    /// Nothing at all: the message was non-confirmable.
    Silence,
    /// Nothing: the answer is confirmable, and is sent until it is acknowledged; or the copy is none of the
    /// client's.
    Repeated,
    /// An empty acknowledgement once more.
    Acknowledged,
    /// A Reset once more.
    Rejected,
    /// These bytes once more.
    Bytes(Box<[u8]>),
    /// The bytes have been forgotten.
    Gone,
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Answer::Bytes(bytes) => bytes.len() + ALLOCATION,
            _ => 0,
        }
    }
}

/// What was given up for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evicted {
    /// A message that may be carried out again.
    Repeatable,
    /// The bytes of an answer.
    Answer,
    /// A message of which nothing but its id was left.
    Id,
}

/// Key by which a message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub id: MessageId,
    pub token: Token,
    /// Whether the id is that of a message of ours, which this one acknowledges.
    pub ours: bool,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    seen: Instant,
    effect: Effect,
    answer: Answer,
    /// Number of copies that were answered by these bytes.
    copies: u8,
}

/// Bytes that an allocation costs beside its content.
const ALLOCATION: usize = 16;

/// Bytes that one remembered id costs beside its answer.
const ENTRY: usize = size_of::<Entry>();

/// Bytes that a session costs if anything of it is remembered: its places in tables that may be half empty,
/// its reminder, and its places in the pool where that keeps an order.
const SESSION: usize = 512;

/// The memory of one session, oldest first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    entries: Entries,
    /// Bytes of all answers, with their allocations.
    bytes: usize,
    /// Number of entries that have [`Answer::Pending`].
    pending: u32,
    /// Number of entries that have [`Answer::Repeated`].
    repeated: u32,
    /// The newest request that was answered by a large piggybacked response, until that is known to be lost
    /// (`path.rs`).
    pub(super) answer_open: Option<MessageId>,
}

impl Seen {
    pub(super) fn get(&self, key: Key) -> Option<(&Answer, Effect)> {
        self.entries.get(self.position(key)?).map(|entry| (&entry.answer, entry.effect))
    }

    /// Returns the place of an entry, searched from the newest: most duplicates are of the newest messages.
    fn position(&self, key: Key) -> Option<usize> {
        self.entries.newest_that(|entry| entry.key == key)
    }

    /// Returns whether this message was remembered last, and its answer has not been forgotten.
    pub(super) fn newest_is(&self, key: Key) -> bool {
        self.entries.newest().is_some_and(|entry| entry.key == key && entry.answer != Answer::Gone)
    }

    pub(super) fn insert(&mut self, now: Instant, key: Key, effect: Effect, answer: Answer) {
        self.count(&answer, true);
        self.entries.push(Entry { key, seen: now, effect, answer, copies: 0 });
    }

    /// Counts a copy of an answered message, and returns how many have arrived.
    pub(super) fn count_copy(&mut self, key: Key) -> u8 {
        let at = self.position(key);
        at.and_then(|at| self.entries.get_mut(at)).map_or(0, |entry| {
            entry.copies = entry.copies.saturating_add(1);
            entry.copies
        })
    }

    /// Sets what a message has been answered. Does nothing for a message that is not remembered.
    pub(super) fn set(&mut self, key: Key, answer: Answer) {
        if let Some(at) = self.position(key) {
            self.set_at(at, answer);
        }
    }

    fn set_at(&mut self, at: usize, answer: Answer) {
        self.count(&answer, true);
        if let Some(entry) = self.entries.get_mut(at) {
            let before = std::mem::replace(&mut entry.answer, answer);
            self.count(&before, false);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(at) = self.position(key) {
            self.remove_at(at);
        }
    }

    fn remove_at(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.count(&entry.answer, false);
        }
    }

    fn count(&mut self, answer: &Answer, comes: bool) {
        let add = |sum: u32| if comes { sum + 1 } else { sum - 1 };
        self.bytes = if comes { self.bytes + answer.bytes() } else { self.bytes - answer.bytes() };
        match answer {
            Answer::Pending => self.pending = add(self.pending),
            Answer::Repeated => self.repeated = add(self.repeated),
            _ => {}
        }
    }

    /// Forgets the oldest answered ids until all limits hold; returns how many. `repeated` is the limit of
    /// requests for blocks that came in acknowledgements, the other two hold for all else.
    pub(super) fn keep_within(&mut self, ids: usize, bytes: usize, repeated: usize) -> u64 {
        let mut forgotten = 0;
        let mut forget = |seen: &mut Seen, goes: fn(&Entry) -> bool| {
            seen.oldest_that(goes).map(|at| seen.remove_at(at)).inspect(|()| forgotten += 1).is_some()
        };
        while self.repeated as usize > repeated && forget(self, |entry| entry.answer == Answer::Repeated) {}
        while (self.entries.len() - self.repeated as usize > ids || self.bytes > bytes)
            && forget(self, |entry| !matches!(entry.answer, Answer::Pending | Answer::Repeated))
        {}
        forgotten
    }

    fn oldest_that(&self, goes: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.entries.oldest_that(goes)
    }

    /// Gives up what is worth least, in the order that the head of this file gives. None when all messages
    /// wait for their answers.
    pub(super) fn give_way(&mut self) -> Option<Evicted> {
        let is_known = |entry: &Entry| matches!(entry.answer, Answer::Bytes(_) | Answer::Silence);
        let is_bytes = |entry: &Entry| matches!(entry.answer, Answer::Bytes(_));
        if let Some(at) = self.oldest_that(|entry| entry.effect == Effect::None && is_known(entry)) {
            self.remove_at(at);
            return Some(Evicted::Repeatable);
        }
        if self.bytes > 0 {
            let says = self.oldest_that(|entry| entry.effect == Effect::Says && is_bytes(entry));
            let at = says.or_else(|| self.oldest_that(is_bytes))?;
            self.set_at(at, Answer::Gone);
            return Some(Evicted::Answer);
        }
        let at = self.oldest_that(|entry| entry.answer != Answer::Pending)?;
        self.remove_at(at);
        Some(Evicted::Id)
    }

    /// Forgets what was seen `lifetime` ago or earlier.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration) {
        while self.entries.get(0).is_some_and(|entry| entry.seen + lifetime <= now) {
            self.remove_at(0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Returns when the oldest message was seen.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.get(0).map(|entry| entry.seen)
    }

    /// Returns all bytes that [`Seen::give_way`] could free, counting whole allocations. Messages that wait
    /// for their answers are bounded by the number of requests that may wait.
    pub(super) fn to_give(&self) -> usize {
        let pending = self.pending as usize;
        if self.entries.len() == pending {
            return 0;
        }
        (self.entries.places() - pending) * ENTRY + self.bytes + SESSION
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
        seen.insert(now, key(0), Effect::Acts, Answer::Pending);
        for id in 1..=5 {
            seen.insert(now, key(id), Effect::Acts, answer(10));
        }
        assert_eq!(seen.keep_within(4, 1000, 9), 2);
        let known = |seen: &Seen| (0..=5).filter(|id| seen.get(key(*id)).is_some()).collect::<Vec<_>>();
        assert_eq!(known(&seen), [0, 3, 4, 5]);
        assert_eq!(seen.keep_within(100, 2 * (10 + ALLOCATION), 9), 1);
        assert_eq!(known(&seen), [0, 4, 5]);
        assert_eq!(seen.keep_within(0, 0, 9), 2);
        assert_eq!(known(&seen), [0]);
    }

    #[test]
    fn ids_of_ours_and_of_the_peer_are_different_ones() {
        let mut seen = Seen::default();
        let ours = Key { ours: true, ..key(1) };
        seen.insert(zero(), ours, Effect::Acts, Answer::Silence);
        assert_eq!((seen.get(ours), seen.get(key(1))), (Some((&Answer::Silence, Effect::Acts)), None));
        seen.remove(key(1));
        assert!(seen.get(ours).is_some());
    }

    #[test]
    fn requests_in_acknowledgements_for_blocks_push_out_nothing_but_each_other() {
        let mut seen = Seen::default();
        seen.insert(zero(), key(0), Effect::Acts, answer(10));
        for id in 1..=300 {
            seen.insert(zero(), Key { ours: true, ..key(id) }, Effect::Acts, Answer::Repeated);
            assert_eq!(seen.keep_within(1, 10 + ALLOCATION, 3), u64::from(id > 3));
        }
        let known = |id| seen.get(Key { ours: true, ..key(id) }).is_some();
        assert_eq!((seen.entries.len(), known(297), known(298)), (4, false, true));
        assert_eq!(seen.keep_within(0, 0, 3), 1);
        assert_eq!(seen.get(key(0)), None);
        assert_eq!(seen.keep_within(0, 0, 0), 3);
        assert_eq!((seen.to_give(), seen.repeated), (0, 0));
    }

    #[test]
    fn a_session_that_says_one_thing_takes_room_for_one() {
        let mut seen = Seen::default();
        seen.insert(zero(), key(1), Effect::Acts, Answer::Pending);
        assert_eq!(seen.entries.places(), 1);
    }

    /// Collects what [`Seen::give_way`] returns until it has nothing left.
    fn give_all(seen: &mut Seen) -> Vec<Evicted> {
        let mut before = seen.to_give();
        let mut gone = Vec::new();
        while let Some(evicted) = seen.give_way() {
            gone.push(evicted);
            assert!(seen.to_give() <= before);
            before = seen.to_give();
        }
        gone
    }

    #[test]
    fn what_is_worth_least_gives_way_first_and_what_is_pending_never() {
        use Evicted::{Answer as Bytes, Id, Repeatable};
        let mut seen = Seen::default();
        for (id, effect, answer) in [
            (0, Effect::None, Answer::Pending),
            (1, Effect::Acts, answer(10)),
            (2, Effect::None, answer(10)),
            (3, Effect::Says, answer(10)),
            (4, Effect::Acts, Answer::Acknowledged),
            (5, Effect::None, Answer::Acknowledged),
            (6, Effect::None, Answer::Silence),
            (7, Effect::Acts, Answer::Pending),
        ] {
            seen.insert(zero(), key(id), effect, answer);
        }
        let answers =
            |seen: &Seen| (0..8).map(|id| seen.get(key(id)).map(|it| it.0.clone())).collect::<Vec<_>>();
        assert_eq!([seen.give_way(), seen.give_way()], [Some(Repeatable); 2]);
        assert_eq!((answers(&seen)[2].clone(), answers(&seen)[6].clone()), (None, None));
        assert_eq!(seen.give_way(), Some(Bytes));
        assert_eq!((&answers(&seen)[1], &answers(&seen)[3]), (&Some(answer(10)), &Some(Answer::Gone)));
        assert_eq!(give_all(&mut seen), [Bytes, Id, Id, Id, Id]);
        let pending = [Some(Answer::Pending), None, None, None, None, None, None, Some(Answer::Pending)];
        assert_eq!((answers(&seen), seen.to_give()), (pending.to_vec(), 0));
    }

    #[test]
    fn all_that_is_not_pending_can_be_given_up_and_is_counted() {
        let mut seen = Seen::default();
        for id in 0..300 {
            let answer = match id % 4 {
                0 => Answer::Pending,
                1 => Answer::Acknowledged,
                _ => answer(100),
            };
            seen.insert(zero(), key(id), Effect::Acts, answer);
            assert!(seen.entries.places() <= seen.entries.len() * 3 / 2 + 1);
        }
        assert!(seen.to_give() >= 225 * ENTRY + 150 * (100 + ALLOCATION));
        assert_eq!(give_all(&mut seen).len(), 150 + 225);
        assert_eq!((seen.entries.len(), seen.to_give(), seen.bytes), (75, 0, 0));
        assert!(seen.entries.places() <= 2 * 75 + 4);
    }

    #[test]
    fn bytes_are_counted_exactly_and_all_given_back() {
        let mut seen = Seen::default();
        let now = zero();
        seen.insert(now, key(1), Effect::Acts, Answer::Pending);
        assert_eq!(seen.to_give(), 0);
        seen.set(key(1), answer(100));
        seen.insert(now + Duration::from_secs(1), key(2), Effect::Acts, answer(7));
        assert_eq!(seen.to_give(), 2 * ENTRY + 107 + 2 * ALLOCATION + SESSION);
        seen.insert(now + Duration::from_secs(2), key(3), Effect::Acts, Answer::Silence);
        let places = seen.entries.places();
        assert_eq!(seen.to_give(), places * ENTRY + 107 + 2 * ALLOCATION + SESSION);
        seen.remove(key(2));
        assert_eq!(seen.to_give(), places * ENTRY + 100 + ALLOCATION + SESSION);
        let lifetime = Duration::from_secs(10);
        seen.expire(now + lifetime, lifetime);
        assert_eq!((seen.to_give(), seen.get(key(1))), (seen.entries.places() * ENTRY + SESSION, None));
        seen.expire(now + lifetime + Duration::from_secs(2), lifetime);
        assert_eq!((seen.to_give(), seen.oldest(), seen.entries.places()), (0, None, 0));
    }
}

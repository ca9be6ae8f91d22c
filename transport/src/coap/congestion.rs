//! How many messages of a session may be on their way at once, and which goes next.
//!
//! ```text
//! send -- a place is free ----------------------------> on its way --- answered: RoundTrip::answered
//!   |                                                     ^    |            |
//!   `-- the window is full --> Queue: small, then blocks -'    |            `--> a place is free
//!                                                              |
//!                                    no answer in time: sent again; on a silent path only the oldest of all is
//! ```
//!
//! The window replaces NSTART = 1, as RFC 7252 section 4.7 allows; its width is fixed for now. It counts
//! copies that may be on their way. So a long poll that waits for its answer does not take a place, nor does
//! a message between the time when its answer was due and its next copy. Acknowledgements, Resets, answers
//! inside them, and pings never take a place.
//!
//! While nothing at all comes back, the window is one message: the oldest is sent again, and the others wait
//! with it (RFC 8085 section 3.1.3 allows one datagram in 3 s to a peer that is not heard).
//!
//! The round trip (`round_trip.rs`) says how long an answer may take; each answer moves it.

use super::config::Times;
use super::retransmission::Backoff;
use super::round_trip::RoundTrip;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of copies, with nothing heard from the peer, after which its path counts as silent.
const SILENT_AFTER: u32 = 3;

/// Small requests that may go in a row while blocks wait: the peer keeps the bodies that the blocks belong to
/// for only a minute or two.
const SMALL_IN_A_ROW: u8 = 2;

/// The window of one session.
#[derive(Debug)]
pub(super) struct Controller {
    /// Estimate of the round trip, copied from what is kept of the session. None if times are not measured,
    /// or before the first sample.
    pub(super) round_trip: Option<RoundTrip>,
    /// Messages that may be on their way at once.
    cwnd: u16,
    /// When the peer was last heard; None before the first time.
    heard: Option<Instant>,
}

impl Controller {
    pub(super) fn new(window: u16, round_trip: Option<RoundTrip>) -> Controller {
        Controller { round_trip, cwnd: window.max(1), heard: None }
    }

    /// Returns how long an answer may take.
    fn timeout(&self, times: &Times) -> Duration {
        self.round_trip
            .filter(|_| times.measured)
            .map_or(times.ack_timeout, |round_trip| round_trip.timeout())
    }

    /// Returns whether the newest copy of a message, or its answer, may still be on its way. It counts
    /// as lost when its time is over and something has been heard since then: otherwise the whole path
    /// may be slow.
    pub(super) fn may_be_on_its_way(&self, now: Instant, sent: &Backoff, times: &Times) -> bool {
        self.overdue_at(sent, times).is_none_or(|at| now < at)
    }

    /// Returns from when on the newest copy of a message counts as lost. None: not before something is heard.
    pub(super) fn overdue_at(&self, sent: &Backoff, times: &Times) -> Option<Instant> {
        self.has_heard_since(sent.last_sent).then(|| sent.last_sent + self.timeout(times))
    }

    pub(super) fn admits(&self, on_their_way: usize) -> bool {
        on_their_way < self.cwnd.into()
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    pub(super) fn has_heard_since(&self, sent: Instant) -> bool {
        self.heard.is_some_and(|heard| heard > sent)
    }

    /// Returns whether nothing has come since this message was sent, although it has been sent
    /// again and again.
    pub(super) fn is_silent_for(&self, sent: &Backoff) -> bool {
        sent.copies >= SILENT_AFTER && !self.has_heard_since(sent.first_sent)
    }

    pub(super) fn answered(&mut self, now: Instant, sent: &Backoff, times: &Times) {
        if !times.measured {
            return;
        }
        match (&mut self.round_trip, sent.sample(now)) {
            (Some(round_trip), _) => round_trip.answered(now, sent, times),
            (none, Some(sample)) => *none = Some(RoundTrip::first(now, sample)),
            (None, None) => {}
        }
    }

    /// Takes note of a round trip measured by a message that was sent once.
    pub(super) fn sampled(&mut self, now: Instant, sample: Duration) {
        match &mut self.round_trip {
            Some(round_trip) => round_trip.sampled(now, sample),
            none => *none = Some(RoundTrip::first(now, sample)),
        }
    }

    /// Returns until when to wait at least for the answers to messages that were sent later than the one that
    /// has just been answered: they queue up behind it (RFC 6298 section 5.3).
    pub(super) fn next_answer(&self, now: Instant, times: &Times) -> Option<Instant> {
        self.round_trip.map(|round_trip| now + round_trip.room() + times.piggyback_wait)
    }
}

/// Which of the messages that wait for a place goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A request or answer of one message, or the first of many: a user waits for it.
    Small,
    /// A later part of a body.
    Block,
}

/// A message that waits for a place, without its id.
#[derive(Debug)]
pub(super) struct Waiting<O> {
    pub owner: O,
    pub bytes: Vec<u8>,
}

/// The messages of a session that wait. Dropped when it is empty.
#[derive(Debug)]
pub(super) struct Queue<O> {
    small: VecDeque<Waiting<O>>,
    blocks: VecDeque<Waiting<O>>,
    /// Small messages sent since the last block.
    in_a_row: u8,
}

impl<O: Copy + PartialEq> Queue<O> {
    pub(super) fn new() -> Queue<O> {
        Queue { small: VecDeque::new(), blocks: VecDeque::new(), in_a_row: 0 }
    }

    pub(super) fn push(&mut self, turn: Turn, waiting: Waiting<O>) {
        match turn {
            Turn::Small => self.small.push_back(waiting),
            Turn::Block => self.blocks.push_back(waiting),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Waiting<O>> {
        if self.blocks.is_empty() || (self.in_a_row < SMALL_IN_A_ROW && !self.small.is_empty()) {
            self.in_a_row = self.in_a_row.saturating_add(1);
            return self.small.pop_front();
        }
        self.in_a_row = 0;
        self.blocks.pop_front()
    }

    /// Takes out the message that has waited least, a block if there are any.
    pub(super) fn pop_newest(&mut self) -> Option<Waiting<O>> {
        self.blocks.pop_back().or_else(|| self.small.pop_back())
    }

    pub(super) fn remove(&mut self, owner: O) {
        self.small.retain(|waiting| waiting.owner != owner);
        self.blocks.retain(|waiting| waiting.owner != owner);
    }

    pub(super) fn has(&self, owner: O) -> bool {
        self.owners().any(|waiting| waiting == owner)
    }

    pub(super) fn find(&mut self, owner: O) -> Option<&mut Waiting<O>> {
        self.small.iter_mut().chain(&mut self.blocks).find(|waiting| waiting.owner == owner)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Waiting<O>> {
        self.small.iter().chain(&self.blocks)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = O> {
        self.each().map(|waiting| waiting.owner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_wait_for_small_messages_but_not_for_ever() {
        let mut queue = Queue::new();
        let waiting = |owner| Waiting { owner, bytes: Vec::new() };
        for owner in [100, 101] {
            queue.push(Turn::Block, waiting(owner));
        }
        for owner in 0..5 {
            queue.push(Turn::Small, waiting(owner));
        }
        queue.remove(1);
        assert!(queue.has(101) && !queue.has(1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|next| next.owner).collect();
        assert_eq!((order, queue.is_empty()), (vec![0, 2, 100, 3, 4, 101], true));
    }
}

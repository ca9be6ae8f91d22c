//! What a session's path takes: how long an answer is waited for, how many messages may be on their way at once, and who
//! goes next.
//!
//! ```text
//! send -- a place is free ----------------------------> on its way -- answered --> RoundTrip::answered
//!   |                                                    |      ^                       |
//!   `-- the window is full --> Queue: small, then blocks -+-----|--- a place is free <---'
//!                                                        |      |
//!                                     no answer in time: `------'  sent again, by itself while anything else is heard,
//!                                                                  else only the oldest of all
//! ```
//!
//! The round trip is that of RFC 6298, with Karn's rule and with its other half: a timeout that proved too short is kept
//! until a clean sample comes (sections 5.5 to 5.7). Most paths of ours lose, though, and a loss says nothing about the round
//! trip. So copies are put down to losses where another message was answered in time meanwhile, or where the answer comes
//! when that to the newest copy was due; the latter not four times in a row. In all other cases the first copy may have been
//! the one that was answered, as in the weak estimator of CoCoA (draft-ietf-core-cocoa): then the next message waits for as
//! long as this answer took.
//!
//! The window stands in the place of NSTART = 1 (RFC 7252 section 4.7), as that section lets it. It is fixed for now. What
//! counts are copies that may be on their way: a long poll that waits for its answer takes no place, nor does a message between
//! the time of its answer and its next copy, and acknowledgements, Resets, answers inside them, and pings never do. Nothing is as good as a silent path to make it narrower: then one message is
//! sent again, the oldest, and the others wait with it (RFC 8085 section 3.1.3 allows one datagram in 3 s where nothing comes
//! back).
//!
//! A path that changes is a new session today, with a new controller; a session that moves would begin with a new one too.

use super::config::Times;
use super::retransmission::Backoff;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Clocks and schedulers are not finer than this; without it a path that never varies would leave no room at all.
const LEAST_VARIATION: Duration = Duration::from_millis(30);

/// Losses in a row that are believed. A path that loses a fifth each way has more in 2 of 100 messages.
const LOSSES_BELIEVED: u8 = 3;

/// A radio that had nothing to send for this long may need a second or two for the first message, as LTE phones do.
const PAUSE: Duration = Duration::from_secs(10);

/// After this long, what was known of the path says nothing about it.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Copies without any word from the peer until its path is taken for silent.
const SILENT_AFTER: u32 = 3;

/// Small requests that may go in a row while blocks wait, whose bodies the peer keeps for a minute or two only.
const SMALL_IN_A_ROW: u8 = 2;

/// Microseconds in 32 bits: 71 minutes. There is one of each per session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Micros(u32);

impl From<Duration> for Micros {
    fn from(time: Duration) -> Micros {
        Micros(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
    }
}

impl From<Micros> for Duration {
    fn from(Micros(time): Micros) -> Duration {
        Duration::from_micros(time.into())
    }
}

/// What is known of the way to the peer and back: a smoothed round trip and its variation (RFC 6298 section 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RoundTrip {
    smoothed: Micros,
    variation: Micros,
    /// The shortest: no answer comes sooner after the copy that it answers.
    least: Micros,
    /// How long an answer took for which the timeout was too short; 0 when it was right.
    kept: Micros,
    /// Messages in a row that needed a copy.
    repeated: u8,
    /// Of the newest clean sample.
    sampled: Instant,
}

impl RoundTrip {
    /// The first sample, from the handshake. Its flights are small and answered at once, so a quarter is room enough.
    pub(super) fn first(now: Instant, sample: Duration) -> RoundTrip {
        RoundTrip {
            smoothed: sample.into(),
            variation: (sample / 4).into(),
            least: sample.into(),
            kept: Micros(0),
            repeated: 0,
            sampled: now,
        }
    }

    /// A message has been answered.
    pub(super) fn answered(&mut self, now: Instant, sent: &Backoff, times: &Times) {
        match sent.sample(now) {
            Some(sample) if self.is_forgotten(now) => *self = RoundTrip::first(now, sample),
            Some(sample) => self.add(now, sample),
            None => self.judge(now, sent, times),
        }
    }

    /// Only for messages that were sent once: which copy an answer belongs to cannot be told (Karn's rule).
    fn add(&mut self, now: Instant, sample: Duration) {
        let smoothed = self.smoothed();
        self.variation = ((Duration::from(self.variation) * 3 + smoothed.abs_diff(sample)) / 4).into();
        self.smoothed = ((smoothed * 7 + sample) / 8).into();
        self.least = self.least.min(sample.into());
        self.kept = Micros(0);
        self.repeated = 0;
        self.sampled = now;
    }

    /// The answer to a message of which copies had gone out: were the others lost, or has the path become slower?
    fn judge(&mut self, now: Instant, sent: &Backoff, times: &Times) {
        if self.sampled >= sent.first_sent {
            return;
        }
        self.repeated = self.repeated.saturating_add(1);
        let longest = self.timeout() + times.piggyback_wait;
        let since_newest = now.saturating_duration_since(sent.last_sent);
        if (self.least.into()..=longest).contains(&since_newest) && self.repeated <= LOSSES_BELIEVED {
            return;
        }
        let took = now.saturating_duration_since(sent.first_sent);
        self.kept = self.kept.max(took.min(longest * 2).into());
    }

    /// The estimate without room for its variation.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.into()
    }

    /// How much later than expected an answer may come.
    fn room(&self) -> Duration {
        (Duration::from(self.variation) * 4).max(LEAST_VARIATION)
    }

    /// How long an answer may take that the peer gives at once.
    pub(super) fn timeout(&self) -> Duration {
        let kept =
            if self.kept > Micros(0) { Duration::from(self.kept) + LEAST_VARIATION } else { Duration::ZERO };
        kept.max(self.smoothed() + self.room())
    }

    /// There was no clean sample for a while.
    pub(super) fn is_after_pause(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sampled) >= PAUSE
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sampled) >= FORGOTTEN
    }
}

/// Of one session.
#[derive(Debug)]
pub(super) struct Controller {
    /// Where times are measured, as soon as there is a sample.
    pub(super) round_trip: Option<RoundTrip>,
    /// Messages that may be on their way at once.
    cwnd: u16,
    /// When the peer was last heard.
    heard: Option<Instant>,
}

impl Controller {
    pub(super) fn new(window: u16) -> Controller {
        Controller { round_trip: None, cwnd: window.max(1), heard: None }
    }

    /// How long an answer may take.
    fn timeout(&self, times: &Times) -> Duration {
        self.round_trip
            .filter(|_| times.measured)
            .map_or(times.ack_timeout, |round_trip| round_trip.timeout())
    }

    /// Whether the newest copy of a message may still be on its way, or its answer. It is lost when its time is over, and
    /// something has been heard since then: else it may be the whole path that is slow.
    pub(super) fn may_be_on_its_way(&self, now: Instant, sent: &Backoff, times: &Times) -> bool {
        now < sent.last_sent + self.timeout(times) || !self.has_heard_since(sent.last_sent)
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

    /// Nothing has come since this message was sent, and it has been sent again and again.
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

    /// Until when to wait at least for the answers to what was sent later than what has been answered now: they queue up
    /// behind it (RFC 6298 section 5.3).
    pub(super) fn next_answer(&self, now: Instant, times: &Times) -> Option<Instant> {
        self.round_trip.map(|round_trip| now + round_trip.room() + times.piggyback_wait)
    }
}

/// Which of those that wait for a place goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A request or answer of one message, or the first of many: somebody waits for it.
    Small,
    /// A part of a body.
    Block,
}

/// A message that waits for a place, without its id.
#[derive(Debug)]
pub(super) struct Waiting<O> {
    pub owner: O,
    pub bytes: Vec<u8>,
}

/// Those of a session that wait. Gone when nobody does.
#[derive(Debug)]
pub(super) struct Queue<O> {
    small: VecDeque<Waiting<O>>,
    blocks: VecDeque<Waiting<O>>,
    /// Small ones since the last block.
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

    pub(super) fn remove(&mut self, owner: O) {
        self.small.retain(|waiting| waiting.owner != owner);
        self.blocks.retain(|waiting| waiting.owner != owner);
    }

    pub(super) fn has(&self, owner: O) -> bool {
        self.owners().any(|waiting| waiting == owner)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = O> {
        self.small.iter().chain(&self.blocks).map(|waiting| waiting.owner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.blocks.is_empty()
    }
}

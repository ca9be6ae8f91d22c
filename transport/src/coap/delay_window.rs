//! How many blocks of bodies may be on their way in a session, which of them are lost, and when to ask again.
//!
//! ```text
//!   blocks on their way
//!    ^               .-- rounds: one more while nothing queues, fewer once two blocks queue
//!    |        /\_/\_/\_/\_
//!    |      /            slow start: one or two more for each answer, until the round trip grows
//!    |    /
//!    +--------------------> time        srtt, least round trip and rate stay for the next body
//! ```
//!
//! The window follows the delay, not the loss: most of our paths lose datagrams that no queue has dropped. A
//! round trip longer than the least one says how many blocks wait at the narrow place of the path. Loss makes
//! the window smaller only where it is far above what this path has always lost.
//!
//! Each transmission has a number of its own, so each answer says which one it answers and is a sample. A
//! request counts as lost when requests that were sent later have been answered: three of them, more on a
//! path that reorders, or one and a time. Where nothing at all is answered, a timer for all asks for the two
//! oldest once more, at growing intervals.
//!
//! Two sessions on one path share it: each keeps the same few blocks in the queue. A session that begins in
//! the queue of another must not take that for the path: its least round trip is far above that of its
//! handshake then, and a look with two blocks on their way finds the true one.
//!
//! Knows nothing of CoAP, and does not send: `client/flight.rs` does.

mod growth;
mod lost;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Least room for variation, as in `round_trip.rs`.
const LEAST_VARIATION: Duration = Duration::from_millis(30);

/// Time after which silence is probed while no round trip is known.
const UNKNOWN_TIMEOUT: Duration = Duration::from_millis(2500);

/// Longest gap between two probes of a silent path, unless its round trip needs a longer one.
const LONGEST_GAP: Duration = Duration::from_secs(8);

/// The widest window: beyond it the replay windows of many peers would drop what overtakes.
const WIDEST: u32 = 256;

/// The window is never smaller, unless a peer takes one block at a time.
const LEAST_WINDOW: f64 = 2.0;

/// Blocks that may wait at the narrow place: with fewer than one the window grows, above two it shrinks, or
/// above what takes 1.6 s there. A body may begin with three.
const QUEUE_LEAST: f64 = 1.0;
const QUEUE_MOST: f64 = 2.0;
const QUEUE_AT_ONCE: f64 = 3.0;
const QUEUE_SECONDS: f64 = 1.6;

/// Part of what fits into a wide path that may wait there instead, up to so many blocks: the window grows by
/// one a round only, and where two sessions share the path, the smaller one needs room to grow into.
const QUEUE_OF_FITS: f64 = 8.0;
const QUEUE_WIDE: f64 = 4.0;

/// How far the least round trip of a block may be above that of the handshake: times it, and blocks.
const ABOVE_HANDSHAKE: f64 = 1.25;
const BLOCKS_ABOVE_HANDSHAKE: f64 = 2.0;

/// Round trips from one look to the next where it is farther above, and looks that find nothing shorter,
/// after which the handshake is not believed.
const LOOK_AGAIN: u32 = 6;
const VAIN_LOOKS: u32 = 3;

/// How many later requests must have been answered before one counts as lost; grows where that was wrong.
const OVERTAKEN_BY: u64 = 3;
const OVERTAKEN_BY_MOST: u64 = 24;

/// Least time by which an answer has to be late: clocks and schedulers are not finer.
const LEAST_LATENESS: Duration = Duration::from_millis(10);

/// Blocks over which a share of loss is taken, and shares that are remembered.
const PERIOD: u32 = 20;
const SHARES: usize = 8;

/// Loss above the least share of the path that is taken for a queue that overflows.
const UNUSUAL_LOSS: f64 = 0.12;

/// Loss above which each request goes in a message of its own.
const MUCH_LOSS: f64 = 0.08;

/// Time after which the least round trip is looked for anew, and for how many smoothed ones.
const LEAST_AGES: Duration = Duration::from_secs(30);

/// How long the rate of the last body says where the next one begins.
const WARM_FOR: Duration = Duration::from_secs(600);

/// How long the least round trip is believed without any body.
const LEAST_KEPT: Duration = Duration::from_secs(1800);

/// Answers in a row that tell a rate.
const TRAIN: u32 = 4;

/// Most answers whose times are kept to tell the rate of a body.
const ANSWERS_KEPT: usize = 256;

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    at: Instant,
}

/// A time in which the window is small, to see the round trip without a queue of ours.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Requests from this number on were sent meanwhile.
    from: u64,
    until: Instant,
    least: Option<Duration>,
    /// The window meanwhile.
    window: f64,
}

/// The window of one session. Cheap: a few hundred bytes and the requests on their way.
#[derive(Debug)]
pub(super) struct DelayWindow {
    /// The widest window.
    most: f64,
    smoothed: Option<Duration>,
    variation: Duration,
    latest: Duration,
    /// How much samples that follow each other differ.
    jitter: Duration,
    /// The least round trip of a block, and when it was last seen.
    least: Option<(Duration, Instant)>,
    /// Blocks a second of the last body.
    rate: Option<f64>,
    used: Option<Instant>,
    window: f64,
    /// Above this the window grows by rounds.
    threshold: f64,
    /// The round ends when a request from this number on is answered; None before the first answer.
    round_end: Option<u64>,
    round_least: Option<Duration>,
    /// First answer of the round, and how many there have been.
    train: Option<(Instant, u32)>,
    /// Blocks a second of the fastest train since the body began.
    fastest: Option<f64>,
    overtaken_by: u64,
    /// Requests that were taken for lost and then answered.
    wrongly_lost: u32,
    /// Probes in a row.
    backoff: u32,
    lost: u32,
    answered: u32,
    shares: VecDeque<f64>,
    /// Requests on their way, in their order.
    out: VecDeque<Sent>,
    next: u64,
    newest_answered: Option<u64>,
    /// When something was last sent or answered.
    moved: Option<Instant>,
    /// Since when something has been on its way and nothing has been answered.
    owed: Option<Instant>,
    look: Option<Look>,
    /// Round trip of the handshake, as long as it is believed; how many looks have spoken against it, and
    /// when the next is due.
    handshake: Option<Duration>,
    vain_looks: u32,
    next_look: Option<Instant>,
    /// When the newest answers came.
    answers: VecDeque<Instant>,
}

impl DelayWindow {
    /// Makes the window of a session. `round_trip` is that of the handshake, `most` the widest window.
    pub(super) fn new(round_trip: Option<Duration>, most: u32) -> DelayWindow {
        DelayWindow {
            most: f64::from(most.clamp(1, WIDEST)),
            smoothed: round_trip,
            variation: round_trip.unwrap_or_default() / 4,
            latest: Duration::ZERO,
            jitter: Duration::ZERO,
            least: None,
            rate: None,
            used: None,
            window: LEAST_WINDOW,
            threshold: f64::INFINITY,
            round_end: None,
            round_least: None,
            train: None,
            fastest: None,
            overtaken_by: OVERTAKEN_BY,
            wrongly_lost: 0,
            backoff: 0,
            lost: 0,
            answered: 0,
            shares: VecDeque::new(),
            out: VecDeque::new(),
            next: 0,
            newest_answered: None,
            moved: None,
            owed: None,
            look: None,
            handshake: round_trip,
            vain_looks: 0,
            next_look: None,
            answers: VecDeque::new(),
        }
    }

    /// Begins with a body when nothing else is on its way. `initial` is the window where nothing is known:
    /// a pause shorter than a round trip changes nothing, and for ten minutes the last rate holds.
    pub(super) fn begin(&mut self, now: Instant, initial: u32) {
        let idle = self.idle(now);
        if idle.is_some_and(|idle| idle < self.smoothed.unwrap_or(UNKNOWN_TIMEOUT)) {
            return;
        }
        if idle.is_none_or(|idle| idle >= LEAST_KEPT) {
            self.least = None;
        }
        // It ages only while something is on its way.
        self.least = self.least.map(|(least, _)| (least, now));
        let warm = self.warm(now);
        self.window = warm.unwrap_or(f64::from(initial.max(1)));
        self.threshold = warm.map_or(f64::INFINITY, |warm| warm.max(self.fits().unwrap_or(warm)));
        if warm.is_none() {
            self.fastest = None;
        }
        self.jitter = Duration::ZERO;
        self.round_end = None;
        self.round_least = None;
        self.train = None;
        self.overtaken_by = OVERTAKEN_BY;
        self.wrongly_lost = 0;
        self.backoff = 0;
        (self.lost, self.answered) = (0, 0);
        self.shares.clear();
        self.look = None;
        self.answers.clear();
    }

    fn idle(&self, now: Instant) -> Option<Duration> {
        self.used.map(|used| now.saturating_duration_since(used))
    }

    /// Returns the window with which the next body begins, if the last one still says so.
    fn warm(&self, now: Instant) -> Option<f64> {
        let (least, _) = self.least.filter(|_| self.idle(now).is_some_and(|idle| idle < WARM_FOR))?;
        Some((0.9 * self.rate? * least.as_secs_f64()).clamp(LEAST_WINDOW, self.most.max(LEAST_WINDOW)))
    }

    /// Returns how many blocks may be asked for at once where nothing is on its way, if the last body still
    /// says so: what fits into the path, and a short queue.
    pub(super) fn at_once(&self, now: Instant) -> Option<usize> {
        let warm = self.warm(now)? / 0.9 + self.longest_queue().min(QUEUE_AT_ONCE);
        Some(warm.min(self.most) as usize)
    }

    /// Returns how many requests may be on their way now.
    pub(super) fn window(&self) -> usize {
        let window = self.look.map_or(self.window, |look| look.window.min(self.window));
        window.clamp(1.0, self.most) as usize
    }

    /// Returns how many requests are on their way.
    pub(super) fn on_their_way(&self) -> usize {
        self.out.len()
    }

    /// Returns whether so little is lost that several requests may go in one message: all of them are lost
    /// with it.
    pub(super) fn loses_little(&self) -> bool {
        let all = self.lost + self.answered;
        let now = if all < PERIOD / 2 { None } else { Some(f64::from(self.lost) / f64::from(all)) };
        now.or(self.shares.back().copied()).unwrap_or(0.0) < MUCH_LOSS
    }

    /// Returns how often in a row nothing has come in time.
    pub(super) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// Returns since when the peer has owed answers; None if it owes none.
    pub(super) fn owed_since(&self) -> Option<Instant> {
        self.owed
    }

    /// Notes that a request goes out, and returns its number.
    pub(super) fn send(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.out.push_back(Sent { number, at: now });
        self.moved = Some(now);
        self.owed.get_or_insert(now);
        number
    }

    /// Takes a request out that the peer has acknowledged, and will answer later: the path is not silent.
    pub(super) fn acknowledged(&mut self, now: Instant, number: u64) {
        self.withdraw(number);
        self.backoff = 0;
        self.moved = Some(now);
    }

    /// Takes a request out that is not waited for any more.
    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        let at = self.out.binary_search_by_key(&number, |sent| sent.number);
        let was_on_its_way = at.ok().and_then(|at| self.out.remove(at)).is_some();
        if self.out.is_empty() {
            self.owed = None;
        }
        was_on_its_way
    }

    /// Notes that a request has been answered. `is_newest`: nothing newer was sent for the same block.
    /// `sent`: when it was sent, if the time of its answer says something about the path.
    pub(super) fn answered(&mut self, now: Instant, number: u64, sent: Option<Instant>, is_newest: bool) {
        let on_their_way = self.out.len();
        let was_lost = !self.withdraw(number);
        self.owed = self.owed.map(|_| now);
        self.backoff = 0;
        self.moved = Some(now);
        self.used = Some(now);
        self.answered += 1;
        if self.answers.len() == ANSWERS_KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back(now);
        if was_lost {
            self.wrongly_lost = self.wrongly_lost.saturating_add(1);
            self.overtaken_by = (self.overtaken_by + 2).min(OVERTAKEN_BY_MOST);
        }
        if is_newest {
            if let Some(sent) = sent {
                self.sample(now, number, now.saturating_duration_since(sent));
            }
            self.newest_answered = self.newest_answered.max(Some(number));
        }
        self.grow(now, on_their_way);
        match self.round_end {
            None => self.round_end = Some(self.next),
            Some(end) if number >= end => self.end_round(on_their_way),
            Some(_) => {}
        }
        self.look_for_least(now);
    }

    fn sample(&mut self, now: Instant, number: u64, sample: Duration) {
        if !self.latest.is_zero() {
            self.jitter = (self.jitter * 15 + sample.abs_diff(self.latest)) / 16;
        }
        self.latest = sample;
        match self.smoothed {
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
            None => (self.smoothed, self.variation) = (Some(sample), sample / 2),
        }
        self.least = match self.least {
            Some((least, _)) if sample <= least => Some((sample, now)),
            Some((least, _)) if sample <= least.mul_f64(1.03) => Some((least, now)),
            None => Some((sample, now)),
            known => known,
        };
        let shorter = |before: Option<Duration>| Some(before.map_or(sample, |before| before.min(sample)));
        self.round_least = shorter(self.round_least);
        if let Some(look) = self.look.as_mut().filter(|look| number >= look.from) {
            if look.least.is_none() {
                // What was on its way before has left the path; a few more samples are enough.
                look.until = look.until.min(now + sample / 4);
            }
            look.least = shorter(look.least);
        }
    }

    /// Returns how much longer than the least a round trip may be that does not show a queue.
    fn tolerance(&self, least: Duration) -> Duration {
        (self.jitter * 2).min(least.max(Duration::from_millis(300)))
    }
}

#[cfg(test)]
mod tests;

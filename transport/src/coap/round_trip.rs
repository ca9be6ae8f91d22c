//! Estimate of how long the peer of a session takes to answer.
//!
//! The round trip is that of RFC 6298, with Karn's rule and with the other half of that rule: a timeout that
//! proved too short is kept until a clean sample comes (sections 5.5 to 5.7). But most of our paths lose
//! datagrams, and a loss says nothing about the round trip. So copies are put down to losses if another
//! message was answered in time meanwhile, or if the answer comes when that to the newest copy was due; the
//! latter not four times in a row. In all other cases the first copy may have been the one that was answered,
//! as in the weak estimator of CoCoA (draft-ietf-core-cocoa): the next message then waits for as long as this
//! answer took.
//!
//! The estimate ages: after a pause of [`PAUSE`] the first message gets more time (`retransmission.rs`), and
//! after [`FORGOTTEN`] the next clean sample replaces all that was known. A path that changes brings a new
//! session today, whose estimate begins anew.

use super::config::Times;
use super::retransmission::Backoff;
use std::time::{Duration, Instant};

/// Least room for variation: clocks and schedulers are not finer, and a path that never varies would
/// otherwise leave none.
const LEAST_VARIATION: Duration = Duration::from_millis(30);

/// How many messages in a row may have their copies put down to losses. A path that loses a fifth each way
/// exceeds it for 2 of 100 messages.
const LOSSES_BELIEVED: u8 = 3;

/// A radio that had nothing to send for this long may need a second or two for the first message, as
/// LTE phones do.
const PAUSE: Duration = Duration::from_secs(10);

/// Age after which the estimate says nothing about the path any more.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Microseconds in 32 bits, 71 minutes at most: small, because there are some per session.
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

/// What is known of the path to the peer and back: a smoothed round trip and its variation (RFC
/// 6298 section 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RoundTrip {
    smoothed: Micros,
    variation: Micros,
    /// Shortest sample: no answer comes sooner after the copy that it answers.
    least: Micros,
    /// Time of an answer for which the timeout was too short; 0 if the timeout was right.
    kept: Micros,
    /// When `kept` was learned, after the newest clean sample; 0 if it was not.
    kept_after: Micros,
    /// Messages in a row that needed a copy.
    repeated: u8,
    /// When the newest clean sample was taken.
    sampled: Instant,
}

impl RoundTrip {
    /// Starts from the first sample, that of the handshake. Its flights are small and answered at once, so a
    /// quarter leaves room enough.
    pub(super) fn first(now: Instant, sample: Duration) -> RoundTrip {
        RoundTrip {
            smoothed: sample.into(),
            variation: (sample / 4).into(),
            least: sample.into(),
            kept: Micros(0),
            kept_after: Micros(0),
            repeated: 0,
            sampled: now,
        }
    }

    /// Notes that a message has been answered.
    pub(super) fn answered(&mut self, now: Instant, sent: &Backoff, times: &Times) {
        match sent.sample(now) {
            Some(sample) => self.sampled(now, sample),
            None => self.judge(now, sent, times),
        }
    }

    /// Adds a clean sample, which replaces an estimate that is too old.
    pub(super) fn sampled(&mut self, now: Instant, sample: Duration) {
        if self.is_forgotten(now) {
            *self = RoundTrip::first(now, sample);
        } else {
            self.add(now, sample);
        }
    }

    /// Adds a sample of a message that was sent once: of others it is unknown which copy was
    /// answered (Karn's rule).
    fn add(&mut self, now: Instant, sample: Duration) {
        let smoothed = self.smoothed();
        self.variation = ((Duration::from(self.variation) * 3 + smoothed.abs_diff(sample)) / 4).into();
        self.smoothed = ((smoothed * 7 + sample) / 8).into();
        self.least = self.least.min(sample.into());
        self.kept = Micros(0);
        self.kept_after = Micros(0);
        self.repeated = 0;
        self.sampled = now;
    }

    /// Judges the answer to a message of which copies had been sent: were the other copies lost, or has the
    /// path become slower?
    fn judge(&mut self, now: Instant, sent: &Backoff, times: &Times) {
        if self.sampled > sent.first_sent {
            return;
        }
        self.repeated = self.repeated.saturating_add(1);
        let longest = self.timeout() + times.piggyback_wait;
        let since_newest = now.saturating_duration_since(sent.last_sent);
        if (self.least.into()..=longest).contains(&since_newest) && self.repeated <= LOSSES_BELIEVED {
            return;
        }
        // Messages that were on their way together report one event: the timeout doubles by the round, not
        // by the message.
        if self.kept_after > Micros(0) && sent.first_sent < self.sampled + Duration::from(self.kept_after) {
            return;
        }
        let took = now.saturating_duration_since(sent.first_sent);
        self.kept = self.kept.max(took.min(longest * 2).into());
        self.kept_after = now.saturating_duration_since(self.sampled).into();
    }

    /// Returns the estimate without room for its variation.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.into()
    }

    /// Returns the shortest sample.
    pub(super) fn least(&self) -> Duration {
        self.least.into()
    }

    /// Returns how much later than expected an answer may come.
    pub(super) fn room(&self) -> Duration {
        (Duration::from(self.variation) * 4).max(LEAST_VARIATION)
    }

    /// Returns how long an answer may take that the peer gives at once, by the clean samples.
    pub(super) fn estimate(&self) -> Duration {
        self.smoothed() + self.room()
    }

    /// Returns how long such an answer may take by all that is known, too short timeouts included.
    pub(super) fn timeout(&self) -> Duration {
        self.estimate().max(Duration::from(self.kept) + LEAST_VARIATION)
    }

    /// Returns whether there has been no clean sample for [`PAUSE`].
    pub(super) fn is_after_pause(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sampled) >= PAUSE
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sampled) >= FORGOTTEN
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::retransmission::Content;
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// Makes times without randomness and without a wait at the peer.
    fn times() -> Times {
        Times { ack_random_factor: 1.0, piggyback_wait: Duration::ZERO, ..Times::measured() }
    }

    /// Makes a message that was sent at `sent`, and `copies` times more, each `gap` after the one before.
    fn message(sent: Instant, copies: u32, gap: Duration) -> Backoff {
        let (mut backoff, _) =
            Backoff::start(sent, &times(), None, Content::Request, &mut Random::new([1; 32]));
        (backoff.copies, backoff.last_sent) = (copies + 1, sent + gap * copies);
        backoff
    }

    #[test]
    fn samples_move_the_estimate_towards_themselves() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::first(start, SECOND);
        for n in 0..60 {
            let sent = start + SECOND * n;
            round_trip.answered(sent + 100 * MS, &message(sent, 0, SECOND), &times());
        }
        assert!((130 * MS..150 * MS).contains(&round_trip.timeout()), "{:?}", round_trip.timeout());
    }

    #[test]
    fn messages_that_come_back_together_after_a_silence_lengthen_the_timeout_once() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::first(start, 100 * MS);
        let sent = start + SECOND;
        for n in 0..8 {
            round_trip.answered(sent + 60 * SECOND + n * MS, &message(sent, 10, 3 * SECOND), &times());
        }
        assert!(round_trip.timeout() <= SECOND, "{:?}", round_trip.timeout());
    }

    #[test]
    fn a_timeout_that_was_too_short_is_kept_until_a_clean_sample() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::first(start, 100 * MS);
        let short = round_trip.timeout();
        let sent = start + SECOND;
        // The first copy was answered: an answer to the second cannot come so soon.
        round_trip.answered(sent + 350 * MS, &message(sent, 1, 300 * MS), &times());
        assert!(round_trip.timeout() >= 350 * MS, "{:?}", round_trip.timeout());
        let kept = round_trip.timeout();
        // As long as nothing is known, a loss does not change it.
        let sent = sent + SECOND;
        round_trip.answered(sent + kept + 100 * MS, &message(sent, 1, kept), &times());
        assert_eq!(round_trip.timeout(), kept);
        let sent = sent + SECOND;
        round_trip.answered(sent + 100 * MS, &message(sent, 0, kept), &times());
        assert!(round_trip.timeout() <= short, "{:?}", round_trip.timeout());
    }

    #[test]
    fn a_loss_says_nothing_about_the_round_trip_but_four_in_a_row_do() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::first(start, 100 * MS);
        let before = round_trip.timeout();
        for n in 1..=4 {
            assert_eq!(round_trip.timeout(), before);
            let sent = start + SECOND * n;
            round_trip.answered(sent + 310 * MS, &message(sent, 1, 200 * MS), &times());
        }
        assert!(round_trip.timeout() >= 310 * MS, "{:?}", round_trip.timeout());
    }

    #[test]
    fn whoever_is_overtaken_by_an_answer_has_been_lost() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::first(start, 100 * MS);
        let slow = message(start + SECOND, 3, SECOND);
        for n in 1..10 {
            let sent = start + SECOND * n;
            round_trip.answered(sent + 100 * MS, &message(sent, 0, SECOND), &times());
        }
        let before = round_trip.timeout();
        round_trip.answered(start + 10 * SECOND, &slow, &times());
        assert_eq!(round_trip.timeout(), before);
    }

    #[test]
    fn what_was_known_ten_minutes_ago_is_forgotten() {
        let start = Instant::now();
        for (pause, forgotten) in [(599, false), (600, true)] {
            let mut round_trip = RoundTrip::first(start, 5 * SECOND);
            let sent = start + SECOND * pause - 100 * MS;
            round_trip.answered(sent + 100 * MS, &message(sent, 0, SECOND), &times());
            assert_eq!(round_trip.timeout() < SECOND, forgotten, "{pause} s");
        }
    }

    #[test]
    fn after_a_pause_the_first_gap_is_longer_and_the_others_are_not() {
        let start = Instant::now();
        let round_trip = RoundTrip::first(start, 40 * MS);
        for (pause, what, first) in [
            (9, Content::Request, 80 * MS),
            (10, Content::Request, SECOND),
            (10, Content::Nothing, SECOND),
            (10, Content::Response, 2 * SECOND),
        ] {
            let now = start + SECOND * pause;
            let mut random = Random::new([1; 32]);
            let (mut backoff, due) = Backoff::start(now, &times(), Some(&round_trip), what, &mut random);
            assert_eq!(due - now, first, "{pause} s, {what:?}");
            let second = backoff.again(due, &times()).unwrap() - due;
            assert_eq!(second, 120 * MS, "{pause} s, {what:?}");
        }
    }
}

//! When a confirmable message is sent again (RFC 7252 section 4.2), by fixed times or by measured round trips.

use super::config::Times;
use super::random::Random;
use std::time::{Duration, Instant};

/// What is known of the way to the peer and back: a smoothed round trip and its variation (RFC 6298 section 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
}

/// Clocks and schedulers are not finer than this; without it a path that never varies would leave no room at all.
const LEAST_VARIATION: Duration = Duration::from_millis(30);

impl RoundTrip {
    /// The first sample, from the handshake. Its flights are small and answered at once, so a quarter is room enough.
    pub(super) fn first(sample: Duration) -> RoundTrip {
        RoundTrip { smoothed: sample, variation: sample / 4 }
    }

    /// Only for messages that were sent once: which copy an answer belongs to cannot be told (Karn's rule).
    pub(super) fn add(&mut self, sample: Duration) {
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(sample)) / 4;
        self.smoothed = (self.smoothed * 7 + sample) / 8;
    }

    /// The estimate without room for its variation.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed
    }

    fn timeout(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(LEAST_VARIATION)
    }
}

/// The schedule of one message.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    /// When the first copy went out.
    pub first_sent: Instant,
    /// Copies sent so far, the first included.
    pub copies: u32,
    /// The first gap.
    initial: Duration,
    /// The gap after the last copy, before the bounds.
    gap: Duration,
    /// No gap is longer.
    most: Duration,
}

impl Backoff {
    /// The first copy goes out now; also says when the second is due.
    ///
    /// With measured times only the first gap contains the peer's `piggyback_wait`: a later copy finds the request
    /// known and is answered at once, or has a longer gap anyway.
    pub(super) fn start(
        now: Instant,
        times: &Times,
        round_trip: Option<&RoundTrip>,
        random: &mut Random,
    ) -> (Backoff, Instant) {
        let factor = random.between_one_and(times.ack_random_factor);
        let (gap, wait) = match round_trip.filter(|_| times.measured) {
            Some(round_trip) => (round_trip.timeout().mul_f64(factor), times.piggyback_wait),
            None => (times.ack_timeout.mul_f64(factor), Duration::ZERO),
        };
        let initial = gap + wait;
        let most = times.max_interval.max(initial * 2);
        (Backoff { first_sent: now, copies: 1, initial, gap, most }, now + initial)
    }

    /// The timeout has come. Some: another copy goes out now, and this is when the next is due. None: give up.
    pub(super) fn again(&mut self, now: Instant, times: &Times) -> Option<Instant> {
        // The last copy needs time to arrive while the peer remembers the first (RFC 7252 section 4.8.2: a lifetime of
        // 247 s holds 100 s of MAX_LATENCY).
        let late = now.saturating_duration_since(self.first_sent) > times.exchange_lifetime.mul_f64(0.6);
        if self.copies > times.max_retransmit || late {
            return None;
        }
        self.copies += 1;
        self.gap = self.gap.mul_f64(times.backoff).min(self.most);
        Some(now + self.gap.max(self.initial))
    }

    /// A sample, if it is one.
    pub(super) fn sample(&self, now: Instant) -> Option<Duration> {
        (self.copies == 1).then(|| now.saturating_duration_since(self.first_sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(times: &Times, round_trip: Option<RoundTrip>, seed: u8) -> Vec<f64> {
        let mut now = Instant::now();
        let (mut backoff, mut next) =
            Backoff::start(now, times, round_trip.as_ref(), &mut Random::new([seed; 32]));
        let mut gaps = vec![(next - now).as_secs_f64()];
        loop {
            now = next;
            match backoff.again(now, times) {
                Some(at) => next = at,
                None => return gaps,
            }
            gaps.push((next - now).as_secs_f64());
        }
    }

    #[test]
    fn the_rfc_times_double_from_two_to_three_seconds_and_end_after_five_copies() {
        let all: Vec<_> = (0..50).map(|seed| gaps(&Times::rfc7252(), None, seed)).collect();
        for gaps in &all {
            assert_eq!(gaps.len(), 5);
            assert!((2.0..=3.0).contains(&gaps[0]));
            assert!(gaps.windows(2).all(|pair| (pair[1] - 2.0 * pair[0]).abs() < 1e-6));
            // MAX_TRANSMIT_WAIT is 93 s.
            assert!(gaps.iter().sum::<f64>() <= 93.0);
        }
        let first = |range: std::ops::Range<f64>| all.iter().filter(|gaps| range.contains(&gaps[0])).count();
        assert!(first(2.0..2.5) > 10 && first(2.5..3.0) > 10, "back-off is spread");
    }

    #[test]
    fn measured_times_follow_the_round_trip_and_stay_within_the_lifetime_of_a_message_id() {
        let times = Times { ack_random_factor: 1.0, ..Times::measured() };
        let gaps = gaps(&times, Some(RoundTrip::first(Duration::from_millis(600))), 1);
        // srtt + 4 var = 1.2 s, with the peer's wait 1.7 s.
        assert!((gaps[0] - 1.7).abs() < 1e-6);
        assert!((gaps[1] - 1.8).abs() < 1e-6 && (gaps[2] - 2.7).abs() < 1e-6);
        assert!(gaps.iter().all(|gap| *gap <= 6.0));
        assert!(gaps.len() > 25, "{}", gaps.len());
        assert!(gaps[..gaps.len() - 1].iter().sum::<f64>() < 150.0);
    }

    #[test]
    fn a_path_slower_than_the_longest_gap_gets_longer_gaps() {
        let gaps = gaps(&Times::measured(), Some(RoundTrip::first(Duration::from_secs(6))), 1);
        assert!(gaps.iter().all(|gap| *gap >= 12.0));
        assert!(gaps.iter().all(|gap| *gap <= 33.0));
    }

    #[test]
    fn an_unmeasured_path_begins_with_the_fixed_timeout() {
        let gaps = gaps(&Times { ack_random_factor: 1.0, ..Times::measured() }, None, 1);
        assert!((gaps[0] - 2.0).abs() < 1e-6 && (gaps[1] - 3.0).abs() < 1e-6);
    }

    #[test]
    fn samples_move_the_estimate_towards_themselves() {
        let mut round_trip = RoundTrip::first(Duration::from_secs(1));
        for _ in 0..60 {
            round_trip.add(Duration::from_millis(100));
        }
        assert!(round_trip.timeout() < Duration::from_millis(150));
        assert!(round_trip.timeout() >= Duration::from_millis(130));
    }
}

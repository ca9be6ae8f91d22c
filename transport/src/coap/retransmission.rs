//! When a confirmable message is sent again (RFC 7252 section 4.2), by fixed times or by
//! measured round trips.

use super::config::Times;
use super::random::Random;
use super::round_trip::RoundTrip;
use std::time::{Duration, Instant};

/// What a message of ours contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: the message is a ping.
    Nothing,
    Request,
    Response,
}

/// Copies of a ping that must have been sent before silence means anything: a slow path has sent few in a
/// time that is long elsewhere.
const LEAST_PINGS: u32 = 3;

/// The least first gap of a request after a pause. RFC 8085 section 3.1.1 uses it for an unknown path: a
/// phone whose radio sleeps has the radio ready within some 300 ms. An answer uses ACK_TIMEOUT instead: a
/// phone that does not ask listens once in 1.28 s.
const WAKES_TO_ASK: Duration = Duration::from_secs(1);

/// Copies of a ping that are sent at least before it is given up, unless the path is too slow for that.
const PINGS: u32 = 6;

/// The schedule of one message.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    /// When the first copy was sent.
    pub first_sent: Instant,
    /// When the newest copy was sent.
    pub last_sent: Instant,
    /// Copies sent so far, the first included.
    pub copies: u32,
    /// Shortest gap between two copies.
    least: Duration,
    /// Gap after the newest copy, before the bounds apply.
    gap: Duration,
    /// Longest gap between two copies.
    most: Duration,
    /// When to give up; Some for a ping only.
    ping_until: Option<Instant>,
}

impl Backoff {
    /// Starts the schedule with the first copy, sent now; also returns when the second is due.
    ///
    /// With measured times only the first gap contains the peer's `piggyback_wait`: a later copy finds the
    /// request known and is answered at once, or has a longer gap anyway. A timeout kept from earlier
    /// messages counts for the first gap only, too. After a pause the first gap is longer if the measured
    /// path was faster: its radio was awake then.
    pub(super) fn start(
        now: Instant,
        times: &Times,
        round_trip: Option<&RoundTrip>,
        what: Content,
        random: &mut Random,
    ) -> (Backoff, Instant) {
        let factor = random.between_one_and(times.ack_random_factor);
        let unknown = times.ack_timeout.mul_f64(factor);
        let (mut gap, mut least, mut first) = (unknown, unknown, unknown);
        let mut give_up = times.dead_after;
        if let Some(round_trip) = round_trip.filter(|_| times.measured) {
            gap = round_trip.timeout().mul_f64(factor);
            least = round_trip.estimate().mul_f64(factor) + times.piggyback_wait;
            first = gap + times.piggyback_wait;
            if round_trip.is_after_pause(now) {
                let wakes = if what == Content::Response { times.ack_timeout } else { WAKES_TO_ASK };
                first = first.max(wakes.min(times.ack_timeout).mul_f64(factor));
            }
            give_up = give_up.max(round_trip.smoothed() * 6);
        }
        let ping_until = (what == Content::Nothing).then(|| now + give_up);
        let most = match ping_until {
            // Some copies must arrive on a path that loses many.
            Some(_) => least.max(give_up / PINGS),
            None => times.max_interval.max(least * 2),
        };
        let backoff = Backoff { first_sent: now, last_sent: now, copies: 1, least, gap, most, ping_until };
        (backoff, now + first)
    }

    /// Handles the timeout. Some: another copy is sent now, and the value says when the next is due.
    /// None: give up.
    pub(super) fn again(&mut self, now: Instant, times: &Times) -> Option<Instant> {
        // The last copy needs time to arrive while the peer remembers the first (RFC 7252 section 4.8.2: a
        // lifetime of 247 s contains 100 s of MAX_LATENCY).
        let late = now.saturating_duration_since(self.first_sent) > times.exchange_lifetime.mul_f64(0.6);
        let ping_until = self.ping_until.filter(|_| self.copies >= LEAST_PINGS);
        if self.copies > times.max_retransmit || late || ping_until.is_some_and(|until| until <= now) {
            return None;
        }
        self.copies += 1;
        self.last_sent = now;
        self.gap = self.gap.mul_f64(times.backoff).min(self.most);
        let next = now + self.gap.max(self.least);
        let end = self.ping_until.filter(|until| self.copies >= LEAST_PINGS && *until > now);
        Some(end.map_or(next, |end| next.min(end)))
    }

    /// Returns the time since the only copy; None if several were sent, which makes it no sample of
    /// the round trip.
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
            Backoff::start(now, times, round_trip.as_ref(), Content::Request, &mut Random::new([seed; 32]));
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
        let gaps = gaps(&times, Some(RoundTrip::first(Instant::now(), Duration::from_millis(600))), 1);
        // srtt + 4 var = 1.2 s, with the peer's wait 1.7 s.
        assert!((gaps[0] - 1.7).abs() < 1e-6);
        assert!((gaps[1] - 1.8).abs() < 1e-6 && (gaps[2] - 2.7).abs() < 1e-6);
        assert!(gaps.iter().all(|gap| *gap <= 6.0));
        assert!(gaps.len() > 25, "{}", gaps.len());
        assert!(gaps[..gaps.len() - 1].iter().sum::<f64>() < 150.0);
    }

    #[test]
    fn a_path_slower_than_the_longest_gap_gets_longer_gaps() {
        let gaps =
            gaps(&Times::measured(), Some(RoundTrip::first(Instant::now(), Duration::from_secs(6))), 1);
        assert!(gaps.iter().all(|gap| *gap >= 12.0));
        assert!(gaps.iter().all(|gap| *gap <= 33.0));
    }

    #[test]
    fn an_unmeasured_path_begins_with_the_fixed_timeout() {
        let gaps = gaps(&Times { ack_random_factor: 1.0, ..Times::measured() }, None, 1);
        assert!((gaps[0] - 2.0).abs() < 1e-6 && (gaps[1] - 3.0).abs() < 1e-6);
    }
}

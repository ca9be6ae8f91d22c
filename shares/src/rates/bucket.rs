//! One token bucket.

use std::time::{Duration, Instant};

/// How many requests are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests per second on average.
    pub per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// A bucket, stored as the time at which it will be full again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket(Option<Instant>);

/// Returns the time that one token takes to come.
pub(super) fn interval(limit: Limit) -> Duration {
    Duration::from_secs(1) / limit.per_second.max(1)
}

/// Returns the time that an empty bucket takes to fill.
fn burst(limit: Limit) -> Duration {
    interval(limit) * limit.burst.max(1)
}

impl Bucket {
    pub(super) const FULL: Bucket = Bucket(None);

    fn missing(self, now: Instant) -> Duration {
        self.0.map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
    }

    pub(super) fn is_full(self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }

    /// Returns how much is used, between 0 (full) and 1 (empty).
    pub(super) fn used(self, now: Instant, limit: Limit) -> f64 {
        let burst = burst(limit).as_secs_f64();
        // A rate too high for the clock to measure empties nothing.
        if burst > 0.0 { (self.missing(now).as_secs_f64() / burst).min(1.0) } else { 0.0 }
    }

    /// Checks that there is a token and that the bucket is at least this full, 0 to 1; the error is the time
    /// until that holds.
    pub(super) fn check(self, now: Instant, limit: Limit, fullness: f64) -> Result<(), Duration> {
        let one_left = burst(limit).saturating_sub(interval(limit));
        let most_used = Duration::try_from_secs_f64(burst(limit).as_secs_f64() * (1.0 - fullness));
        let most = most_used.map_or(one_left, |most| most.min(one_left));
        match self.missing(now).checked_sub(most) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    pub(super) fn take(&mut self, now: Instant, limit: Limit) {
        self.0 = Some(now + self.missing(now) + interval(limit));
    }
}

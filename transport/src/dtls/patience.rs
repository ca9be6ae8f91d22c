//! When a flight is sent again, by what is known of the path (RFC 6347 section 4.2.4.1).

use lowband_wire::dtls::keys::Role;
use std::time::Duration;

/// How long to wait for an answer before a flight is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    interval: Duration,
    longest: Duration,
}

impl Patience {
    /// Intervals while nothing is known of the path: RFC 6347 section 4.2.4.1.
    pub(super) const DEFAULT: Patience =
        Patience { interval: Duration::from_secs(1), longest: Duration::from_secs(6) };

    /// Starts from a sample (RFC 6298 sections 2.2 and 2.4), within the bounds of [`Patience::DEFAULT`]: RFC
    /// 6347 would let the interval grow to a minute, in which a link that loses a third gets six tries. An
    /// answer may be slower than that one was, because a flight is longer than a HelloVerifyRequest, but is
    /// never expected sooner.
    pub(super) fn after(round_trip: Duration) -> Patience {
        let Patience { interval, longest } = Patience::DEFAULT;
        let least = round_trip + round_trip / 2;
        Patience {
            interval: (round_trip * 3).clamp(interval, longest).max(least),
            longest: longest.max(least),
        }
    }

    /// Returns the time until the next repeat.
    pub(super) fn interval(self) -> Duration {
        self.interval
    }

    /// Makes the interval longer, after a repeat.
    pub(super) fn grow(&mut self) {
        self.interval = (self.interval * 2).min(self.longest);
    }
}

/// How long the peer has taken to answer flights.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrips {
    first: Option<Duration>,
    latest: Option<Duration>,
}

impl RoundTrips {
    /// Returns the first sample, which contains the least work of the peer.
    pub(super) fn first(&self) -> Option<Duration> {
        self.first
    }

    /// Returns the latest sample, or zero.
    pub(super) fn latest(&self) -> Duration {
        self.latest.unwrap_or_default()
    }

    pub(super) fn add(&mut self, sample: Option<Duration>) {
        self.first = self.first.or(sample);
        self.latest = sample.or(self.latest);
    }

    /// Returns the patience for the next flight. A server has only one to repeat, its first, before which it
    /// cannot know the round trip.
    ///
    /// RFC 6347 section 4.2.4.1 would have a client stay as patient as losses have made it. But a lost
    /// hello says nothing about how long an answer takes, while a HelloVerifyRequest does, whichever
    /// hello it answers. At 30 % loss each way a handshake takes 6 s this way, 7 s otherwise, and a
    /// quarter as many fail.
    pub(super) fn patience(&self, role: Role) -> Patience {
        match (role, self.latest) {
            (Role::Client, Some(round_trip)) => Patience::after(round_trip),
            _ => Patience::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_three_round_trips_between_1_and_6_seconds_but_never_shorter_than_an_answer_takes() {
        for (round_trip, intervals) in [
            (0, [1000, 2000, 4000, 6000, 6000]),
            (300, [1000, 2000, 4000, 6000, 6000]),
            (700, [2100, 4200, 6000, 6000, 6000]),
            (2500, [6000, 6000, 6000, 6000, 6000]),
            (5000, [7500, 7500, 7500, 7500, 7500]),
        ] {
            let mut patience = Patience::after(Duration::from_millis(round_trip));
            let seen = [(); 5].map(|()| {
                let interval = patience.interval.as_millis();
                patience.grow();
                interval
            });
            assert_eq!(seen, intervals, "{round_trip}");
        }
    }

    #[test]
    fn a_client_goes_by_its_latest_sample_and_a_server_by_none() {
        let mut round_trips = RoundTrips::default();
        assert_eq!(round_trips.patience(Role::Client), Patience::DEFAULT);
        for seconds in [1, 2] {
            round_trips.add(Some(Duration::from_secs(seconds)));
            round_trips.add(None);
            assert_eq!(round_trips.patience(Role::Client), Patience::after(Duration::from_secs(seconds)));
            assert_eq!(round_trips.patience(Role::Server), Patience::DEFAULT);
        }
        assert_eq!(round_trips.first(), Some(Duration::from_secs(1)));
    }
}

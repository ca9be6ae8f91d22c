//! What follows from the times of the message layer (RFC 7252 section 4.8.2).

use super::config::Times;
use std::fmt;
use std::time::Duration;

/// MAX_LATENCY: the longest time that a datagram is assumed to be on its way (RFC 7252 section 4.8.2).
const MAX_LATENCY: Duration = Duration::from_secs(100);

/// The times of RFC 7252 section 4.8.2, computed from [`Times`] for a path whose round trip is not known.
/// Displayed, they are a line for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Derived {
    /// MAX_TRANSMIT_SPAN: the longest time from the first copy of a confirmable message to the last. 45 s by
    /// RFC 7252; ours lasts for six tenths of EXCHANGE_LIFETIME at most.
    pub max_transmit_span: Duration,
    /// MAX_TRANSMIT_WAIT: the longest time from the first copy of a confirmable message until it is given up.
    pub max_transmit_wait: Duration,
    /// MAX_LATENCY: the longest time that a datagram is assumed to be on its way: 100 s.
    pub max_latency: Duration,
    /// PROCESSING_DELAY: the time from the arrival of a message to its acknowledgement, taken to be
    /// ACK_TIMEOUT.
    pub processing_delay: Duration,
    /// MAX_RTT: the longest round trip, two latencies and PROCESSING_DELAY.
    pub max_rtt: Duration,
    /// EXCHANGE_LIFETIME: how long message ids are remembered; [`Times::exchange_lifetime`]. RFC 7252 adds
    /// MAX_RTT to MAX_TRANSMIT_SPAN; here it is given, and the span is cut to fit, so that both ends agree
    /// whatever copies one of them sends.
    pub exchange_lifetime: Duration,
    /// NON_LIFETIME: how long copies of a Non-confirmable message may arrive. Their ids are remembered for
    /// EXCHANGE_LIFETIME.
    pub non_lifetime: Duration,
}

impl Times {
    /// Returns what follows from the times.
    pub fn derived(&self) -> Derived {
        let last = self.exchange_lifetime.mul_f64(0.6);
        let first = self.ack_timeout.mul_f64(self.ack_random_factor);
        let longest = self.max_interval.max(first * 2);
        let (mut gap, mut span) = (first, Duration::ZERO);
        for _ in 0..self.max_retransmit {
            span += gap;
            gap = gap.mul_f64(self.backoff).min(longest).max(first);
            if span >= last {
                // By another random factor a copy goes out just then.
                span = last;
                break;
            }
        }
        let max_rtt = 2 * MAX_LATENCY + self.ack_timeout;
        Derived {
            max_transmit_span: span,
            max_transmit_wait: span + gap,
            max_latency: MAX_LATENCY,
            processing_delay: self.ack_timeout,
            max_rtt,
            exchange_lifetime: self.exchange_lifetime,
            non_lifetime: span + MAX_LATENCY,
        }
    }
}

impl fmt::Display for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, time)) in [
            ("MAX_TRANSMIT_SPAN", self.max_transmit_span),
            ("MAX_TRANSMIT_WAIT", self.max_transmit_wait),
            ("MAX_LATENCY", self.max_latency),
            ("PROCESSING_DELAY", self.processing_delay),
            ("MAX_RTT", self.max_rtt),
            ("EXCHANGE_LIFETIME", self.exchange_lifetime),
            ("NON_LIFETIME", self.non_lifetime),
        ]
        .into_iter()
        .enumerate()
        {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {:.1} s", time.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::retransmission::{Backoff, Content};
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_times_of_the_rfc_give_the_numbers_of_its_table() {
        let seconds = Duration::from_secs;
        let Derived {
            max_transmit_span, max_transmit_wait, max_rtt, exchange_lifetime, non_lifetime, ..
        } = Times::rfc7252().derived();
        assert_eq!((max_transmit_span, max_transmit_wait), (seconds(45), seconds(93)));
        assert_eq!((max_rtt, exchange_lifetime, non_lifetime), (seconds(202), seconds(247), seconds(145)));
        assert_eq!(
            Times::rfc7252().derived().to_string(),
            "MAX_TRANSMIT_SPAN 45.0 s, MAX_TRANSMIT_WAIT 93.0 s, MAX_LATENCY 100.0 s, PROCESSING_DELAY 2.0 s, \
             MAX_RTT 202.0 s, EXCHANGE_LIFETIME 247.0 s, NON_LIFETIME 145.0 s"
        );
    }

    #[test]
    fn the_span_is_what_a_schedule_takes() {
        let slow = Times { ack_timeout: Duration::from_secs(40), ..Times::rfc7252() };
        let never = Times { max_retransmit: 0, ..Times::measured() };
        let short = Times { exchange_lifetime: Duration::from_secs(20), ..Times::measured() };
        for times in [Times::rfc7252(), Times::measured(), slow, never, short] {
            let now = Instant::now();
            let mut longest = (Duration::ZERO, Duration::ZERO);
            for seed in 0..200 {
                let mut random = Random::new([seed; 32]);
                let (mut backoff, mut due) = Backoff::start(now, &times, None, Content::Request, &mut random);
                while let Some(next) = backoff.again(due, &times) {
                    due = next;
                }
                let (span, wait) = (backoff.last_sent - now, due - now);
                longest = (longest.0.max(span), longest.1.max(wait));
            }
            let Derived { max_transmit_span, max_transmit_wait, .. } = times.derived();
            let near = |found: Duration, told: Duration| found <= told && found >= told * 9 / 10;
            assert!(near(longest.0, max_transmit_span), "{longest:?} {times:?}");
            assert!(near(longest.1, max_transmit_wait), "{longest:?} {times:?}");
        }
    }

    #[test]
    fn times_at_their_bounds_have_an_end() {
        let year = crate::setup::LONGEST_TIME;
        let times = Times {
            ack_timeout: year,
            ack_random_factor: 10.0,
            backoff: 10.0,
            max_retransmit: 60,
            max_interval: year,
            exchange_lifetime: year,
            ..Times::rfc7252()
        };
        assert!(times.mistakes().is_empty());
        assert!(times.derived().max_transmit_wait > year / 2);
    }
}

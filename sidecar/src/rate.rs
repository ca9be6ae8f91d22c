//! The limit on requests a second for each network.

use crate::refusal::Refusal;
use lowband_transport::shares::{Limit, Network, Rates};
use lowband_wire::coap::Code;
use std::time::{Duration, Instant};

/// What is left of each network's share.
#[derive(Debug)]
pub struct Rate(Rates);

impl Rate {
    /// Makes a limit that every network has used nothing of yet.
    pub fn new(limit: Limit) -> Rate {
        Rate(Rates::new(limit, None))
    }

    /// Returns the number of networks with a share of their own.
    pub fn networks(&self) -> usize {
        self.0.networks()
    }

    /// Takes one request from the network's share, or returns the refusal that says when to come again.
    pub fn take(&mut self, now: Instant, network: Network) -> Result<(), Refusal> {
        const TOO_MANY: Refusal = Refusal::matrix(
            Code::TOO_MANY_REQUESTS,
            "M_LIMIT_EXCEEDED",
            "too many requests from this address",
        );
        self.0.take(now, network).map_err(|wait| TOO_MANY.again_in(whole_seconds(wait)))
    }
}

/// Rounds up, since Max-Age has no parts of seconds (RFC 7252 section 5.10.5).
fn whole_seconds(wait: Duration) -> u32 {
    let more = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs() + more).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_is_told_when_to_ask_again() {
        let network = Network::of("192.0.2.1".parse().unwrap());
        let start = Instant::now();
        let mut rate = Rate::new(Limit { per_second: 2, burst: 3 });
        for _ in 0..3 {
            assert_eq!(rate.take(start, network), Ok(()));
        }
        let refusal = rate.take(start, network).unwrap_err();
        assert_eq!((refusal.code, refusal.errcode), (Code::TOO_MANY_REQUESTS, Some("M_LIMIT_EXCEEDED")));
        assert_eq!(refusal.max_age, Some(1));
        assert_eq!(
            rate.take(start + Duration::from_millis(refusal.max_age.unwrap().into()) * 1000, network),
            Ok(())
        );
    }

    #[test]
    fn clients_of_a_balancer_are_not_counted_together() {
        let mut rate = Rate::new(Limit { per_second: 1, burst: 1 });
        let now = Instant::now();
        assert!((0..10).all(|_| rate.take(now, Network::alone(1)).is_ok()));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (millis, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }
}

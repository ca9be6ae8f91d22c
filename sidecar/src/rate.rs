//! Requests a second for each address: a token bucket in a table of bounded size.

use crate::refusal::Refusal;
use crate::status;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses with a bucket of their own. Newcomers beyond them share one bucket, so that a flood from many addresses
/// costs strangers their share and nobody his memory.
pub const MAX_ADDRESSES: usize = 100_000;
/// A full table is searched for idle buckets no more often than this.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How much one address may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// On average.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// The buckets.
#[derive(Debug)]
pub struct Rate {
    limit: Limit,
    buckets: HashMap<IpAddr, Bucket>,
    strangers: Bucket,
    max_addresses: usize,
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// All buckets full.
    pub fn new(limit: Limit, now: Instant) -> Rate {
        Rate {
            limit,
            buckets: HashMap::new(),
            strangers: Bucket { tokens: f64::from(limit.burst), filled: now },
            max_addresses: MAX_ADDRESSES,
            swept: None,
        }
    }

    /// Addresses with a bucket of their own.
    pub fn addresses(&self) -> usize {
        self.buckets.len()
    }

    /// Takes one token of the address, or tells when there will be one.
    pub fn take(&mut self, now: Instant, address: IpAddr) -> Result<(), Refusal> {
        let key = network(address);
        self.make_room(now, key);
        let full = Bucket { tokens: f64::from(self.limit.burst), filled: now };
        let bucket = if self.buckets.len() < self.max_addresses {
            self.buckets.entry(key).or_insert(full)
        } else {
            self.buckets.get_mut(&key).unwrap_or(&mut self.strangers)
        };
        bucket.take(now, self.limit).map_err(|wait| {
            const TOO_MANY: Refusal = Refusal::matrix(
                status::TOO_MANY_REQUESTS,
                "M_LIMIT_EXCEEDED",
                "too many requests from this address",
            );
            TOO_MANY.again_in(wait)
        })
    }

    fn make_room(&mut self, now: Instant, key: IpAddr) {
        let due = self.swept.is_none_or(|last| now.duration_since(last) >= SWEEP_INTERVAL);
        if due && self.buckets.len() >= self.max_addresses && !self.buckets.contains_key(&key) {
            let limit = self.limit;
            self.buckets.retain(|_, bucket| bucket.level(now, limit) < f64::from(limit.burst));
            self.swept = Some(now);
        }
    }
}

impl Bucket {
    fn level(&self, now: Instant, limit: Limit) -> f64 {
        let added = now.duration_since(self.filled).as_secs_f64() * f64::from(limit.per_second);
        (self.tokens + added).min(f64::from(limit.burst))
    }

    /// The error is the number of whole seconds until the next token.
    fn take(&mut self, now: Instant, limit: Limit) -> Result<(), u32> {
        let level = self.level(now, limit);
        if level < 1.0 {
            return Err(((1.0 - level) / f64::from(limit.per_second)).ceil().max(1.0) as u32);
        }
        *self = Bucket { tokens: level - 1.0, filled: now };
        Ok(())
    }
}

/// One subscriber: an IPv4 address, or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { per_second: 2, burst: 3 };

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let start = Instant::now();
        let mut rate = Rate::new(LIMIT, start);
        for _ in 0..3 {
            assert_eq!(rate.take(start, address(1)), Ok(()));
        }
        let refusal = rate.take(start, address(1)).unwrap_err();
        assert_eq!((refusal.code, refusal.errcode), (status::TOO_MANY_REQUESTS, Some("M_LIMIT_EXCEEDED")));
        assert_eq!(refusal.max_age, Some(1));
        assert_eq!(rate.take(start, address(2)), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(rate.take(later, address(1)), Ok(()));
        assert!(rate.take(later, address(1)).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_address_and_a_mapped_ipv4_address_is_itself() {
        let mut rate = Rate::new(Limit { per_second: 1, burst: 1 }, Instant::now());
        let now = Instant::now();
        assert!(rate.take(now, "2001:db8::1".parse().unwrap()).is_ok());
        assert!(rate.take(now, "2001:db8::2".parse().unwrap()).is_err());
        assert!(rate.take(now, "2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(rate.take(now, "::ffff:192.0.2.1".parse().unwrap()).is_ok());
        assert!(rate.take(now, address(1)).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_strangers_share_one_bucket() {
        let start = Instant::now();
        let mut rate = Rate { max_addresses: 2, ..Rate::new(LIMIT, start) };
        for n in 0..100 {
            let _ = rate.take(start, address(n));
        }
        assert_eq!(rate.buckets.len(), 2);
        assert!(rate.take(start, address(200)).is_err(), "the strangers' bucket is empty");
        assert!(rate.take(start, address(0)).is_ok(), "a known address has its own");
        // All buckets are full again, so the table is free again.
        let later = start + Duration::from_secs(60);
        assert!(rate.take(later, address(201)).is_ok());
        assert_eq!(rate.buckets.len(), 1);
    }
}

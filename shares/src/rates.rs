//! How often may be asked: token buckets of networks, of their sites and of all together, in tables
//! of bounded size.
//!
//! The emptier the bucket of a network, the fuller that of all must be for it to get anything, and an ask
//! that is refused for want of the latter costs the network as much as one that is granted. So those who ask
//! as fast as they can share what is left, and who asks seldom gets its turn at once, unless all that may be
//! asked for is asked for by as many strangers.

use crate::network::{Network, Site};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

/// How much may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests a second on average.
    pub per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// What a site may ask for, in networks. Together its networks may ask for no more.
const NETWORKS_IN_A_SITE: u32 = 8;

/// Token buckets of the networks and sites that have asked lately, and one for all.
#[derive(Debug)]
pub struct Rates {
    networks: Buckets<Network>,
    sites: Buckets<Site>,
    all: Option<(Limit, Bucket)>,
}

impl Rates {
    /// Networks, and sites, that have a bucket of their own, some 50 bytes each. One more is counted by its
    /// site, and with those of all other strange sites when there are as many sites: whoever comes from many
    /// addresses costs strangers their share and nobody his memory.
    pub const MOST: usize = 100_000;

    /// `each` is for one network; `all`, if there is such a limit, for all of them.
    pub fn new(each: Limit, all: Option<Limit>) -> Rates {
        let site = Limit {
            per_second: each.per_second.saturating_mul(NETWORKS_IN_A_SITE),
            burst: each.burst.saturating_mul(NETWORKS_IN_A_SITE),
        };
        Rates {
            networks: Buckets::new(each, Rates::MOST),
            sites: Buckets::new(site, Rates::MOST),
            all: all.map(|limit| (limit, Bucket::FULL)),
        }
    }

    /// Networks that have a bucket now: those that have asked lately.
    pub fn networks(&self) -> usize {
        self.networks.buckets.len()
    }

    /// Takes one token for a network. The error says how long it will take until there is one.
    pub fn take(&mut self, now: Instant, network: Network) -> Result<(), Duration> {
        self.networks.forget_a_full_one(now);
        self.sites.forget_a_full_one(now);
        let site = network.site();
        let counts_itself = !network.is_alone() && self.networks.has_room(network);
        let mut level = 1.0;
        if counts_itself {
            let bucket = self.networks.bucket(network);
            bucket.check(now, self.networks.limit)?;
            level = bucket.level(now, self.networks.limit);
        }
        if !network.is_alone() {
            self.sites.bucket(site).check(now, self.sites.limit)?;
            self.sites.take(now, site);
        }
        if counts_itself {
            self.networks.take(now, network);
        }
        let Some((limit, bucket)) = &mut self.all else { return Ok(()) };
        bucket.check(now, *limit)?;
        let missing = 1.0 - level;
        if bucket.level(now, *limit) < missing {
            return Err(interval(*limit) * limit.burst);
        }
        bucket.take(now, *limit);
        Ok(())
    }
}

/// One table. A bucket that is full is as good as none.
#[derive(Debug)]
struct Buckets<K> {
    limit: Limit,
    most: usize,
    buckets: BTreeMap<K, Bucket>,
    /// Where those that have no bucket of their own are counted.
    strangers: Bucket,
    /// The last one that was looked at.
    hand: Option<K>,
}

impl<K: Ord + Copy> Buckets<K> {
    fn new(limit: Limit, most: usize) -> Buckets<K> {
        Buckets { limit, most, buckets: BTreeMap::new(), strangers: Bucket::FULL, hand: None }
    }

    fn has_room(&self, key: K) -> bool {
        self.buckets.len() < self.most || self.buckets.contains_key(&key)
    }

    fn bucket(&self, key: K) -> Bucket {
        match self.buckets.get(&key) {
            Some(bucket) => *bucket,
            None if self.buckets.len() < self.most => Bucket::FULL,
            None => self.strangers,
        }
    }

    fn take(&mut self, now: Instant, key: K) {
        let bucket = if self.has_room(key) {
            self.buckets.entry(key).or_insert(Bucket::FULL)
        } else {
            &mut self.strangers
        };
        bucket.take(now, self.limit);
    }

    /// Each call looks at two: so the table is gone round in half as many calls as it has entries.
    fn forget_a_full_one(&mut self, now: Instant) {
        for _ in 0..2 {
            let after = self.hand.map_or(Unbounded, Excluded);
            let next = self.buckets.range((after, Unbounded)).next();
            let Some((key, bucket)) = next.map(|(key, bucket)| (*key, *bucket)) else {
                self.hand = None;
                return;
            };
            self.hand = Some(key);
            if bucket.is_full(now) {
                self.buckets.remove(&key);
            }
        }
    }
}

/// One bucket, known by when it will be full again.
#[derive(Debug, Clone, Copy)]
struct Bucket(Option<Instant>);

fn interval(limit: Limit) -> Duration {
    Duration::from_secs(1) / limit.per_second.max(1)
}

impl Bucket {
    const FULL: Bucket = Bucket(None);

    fn missing(self, now: Instant) -> Duration {
        self.0.map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
    }

    fn is_full(self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }

    /// Between 0, empty, and 1, full.
    fn level(self, now: Instant, limit: Limit) -> f64 {
        let burst = interval(limit) * limit.burst.max(1);
        1.0 - self.missing(now).as_secs_f64() / burst.as_secs_f64()
    }

    /// Whether there is a token, or how long until there is one.
    fn check(self, now: Instant, limit: Limit) -> Result<(), Duration> {
        let most = interval(limit) * (limit.burst.max(1) - 1);
        match self.missing(now).checked_sub(most) {
            None => Ok(()),
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    fn take(&mut self, now: Instant, limit: Limit) {
        self.0 = Some(now + self.missing(now) + interval(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { per_second: 2, burst: 3 };

    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(0xc000_0200 + last).into())
    }

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let start = Instant::now();
        let mut rates = Rates::new(LIMIT, None);
        for _ in 0..3 {
            assert_eq!(rates.take(start, network(1)), Ok(()));
        }
        assert_eq!(rates.take(start, network(1)), Err(Duration::from_millis(500)));
        assert_eq!(rates.take(start, network(2)), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(rates.take(later, network(1)), Ok(()));
        assert!(rates.take(later, network(1)).is_err());
    }

    #[test]
    fn a_site_may_ask_for_eight_networks_worth_and_leaves_other_sites_alone() {
        let mut rates = Rates::new(LIMIT, None);
        let now = Instant::now();
        let asked = (0..200).filter(|last| rates.take(now, network(*last)).is_ok()).count();
        assert_eq!(asked, 24);
        assert!(rates.take(now, network(0x100)).is_ok());
    }

    #[test]
    fn the_rest_is_for_those_who_have_asked_for_little() {
        let all = Limit { per_second: 10, burst: 20 };
        let mut rates = Rates::new(Limit { per_second: 2, burst: 10 }, Some(all));
        let start = Instant::now();
        // Eight that may have 16 a second of the 10 that there are.
        let greedy: Vec<_> = (1..=8).map(|n| network(n * 0x100)).collect();
        let (mut modest, mut others) = (0, 0);
        for tenth in 0..100 {
            let now = start + Duration::from_millis(100) * tenth;
            for _ in 0..5 {
                others += greedy.iter().filter(|greedy| rates.take(now, **greedy).is_ok()).count();
            }
            if tenth % 10 == 0 {
                modest += u32::from(rates.take(now, network(0x9000 + tenth)).is_ok());
            }
        }
        assert_eq!(modest, 10, "who asks once a second is always served");
        assert!(others > 50, "most of the rest is used: {others}");
    }

    #[test]
    fn what_stands_alone_is_bounded_by_the_limit_of_all_only() {
        let mut rates =
            Rates::new(Limit { per_second: 1, burst: 1 }, Some(Limit { per_second: 5, burst: 5 }));
        let now = Instant::now();
        let served = (0..20).filter(|_| rates.take(now, Network::alone(7)).is_ok()).count();
        assert_eq!(served, 5);
    }

    #[test]
    fn the_tables_are_bounded_and_go_empty_again() {
        let start = Instant::now();
        let mut buckets = Buckets::new(LIMIT, 2);
        for last in 0..100 {
            buckets.take(start, network(last));
        }
        assert_eq!(buckets.buckets.len(), 2);
        assert!(buckets.bucket(network(200)).check(start, LIMIT).is_err(), "the strangers' bucket is empty");
        assert!(buckets.bucket(network(0)).check(start, LIMIT).is_ok(), "a known one has its own");
        let later = start + Duration::from_secs(60);
        buckets.forget_a_full_one(later);
        assert_eq!(buckets.buckets.len(), 0);
    }
}

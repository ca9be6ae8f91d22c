//! How often clients may ask: token buckets of networks, of their sites and of all together, in tables of
//! bounded size.
//!
//! ```text
//! a network ----------------> its site ----------------------> all
//! has a token for itself      is as full as that of the        is as full as those of network and site
//!                             network is empty                 are empty
//! ```
//!
//! The emptier a network's bucket, the fuller its site's bucket must be for the network to get anything, and
//! the emptier either, the fuller that of all. An ask that is refused for want of the shared tokens costs as
//! much as one that is granted. So clients that ask as fast as they can share the rest, and a client that
//! asks seldom is served at once, unless as many strangers ask for everything there is.
//!
//! The burst of a network is also missing from the shared bucket: that much less fullness is required of it,
//! and a network that is alone gets its whole burst.

mod bucket;

use crate::network::{Network, Site};
use bucket::{Bucket, interval};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

pub use bucket::Limit;

/// How many networks' rate a site may have. Its networks together may not exceed that.
const NETWORKS_IN_A_SITE: u32 = 8;

/// Token buckets of the networks and sites that have asked lately, and one for all.
#[derive(Debug)]
pub struct Rates {
    networks: Buckets<Network>,
    sites: Buckets<Site>,
    all: Option<(Limit, Bucket)>,
}

impl Rates {
    /// The most networks, and the most sites, with a bucket of their own, some 50 bytes each. A further
    /// network is counted by its site, and with all other unknown sites once there are as many sites: a flood
    /// from many addresses exhausts the shared bucket, not our memory.
    pub const MOST: usize = 100_000;

    /// Makes empty tables. `each` is the limit of one network; `all` that of all networks, `None` for no
    /// limit.
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

    /// Returns the number of networks with a bucket: those that have asked lately.
    pub fn networks(&self) -> usize {
        self.networks.buckets.len()
    }

    /// Takes one token for a network. The error is the time until there is one, if no other client asks.
    pub fn take(&mut self, now: Instant, network: Network) -> Result<(), Duration> {
        self.networks.forget_a_full_one(now);
        self.sites.forget_a_full_one(now);
        let (each, site) = (self.networks.limit, network.site());
        // By then the network has regained what the refusal costs it.
        let refused = |wait: Duration| wait.max(interval(each));
        let mut used = 0.0;
        if !network.is_alone() && self.networks.has_room(network) {
            let bucket = self.networks.bucket(network);
            bucket.check(now, each, 0.0)?;
            used = bucket.used(now, each);
            self.networks.take(now, network);
        }
        if !network.is_alone() {
            let (bucket, limit) = (self.sites.bucket(site), self.sites.limit);
            bucket.check(now, limit, used * fullness(each, limit)).map_err(refused)?;
            used = used.max(bucket.used(now, limit));
            self.sites.take(now, site);
        }
        let Some((limit, bucket)) = &mut self.all else { return Ok(()) };
        bucket.check(now, *limit, used * fullness(each, *limit)).map_err(refused)?;
        bucket.take(now, *limit);
        Ok(())
    }
}

/// Returns how full, 0 to 1, a shared bucket must be for a network that has used up its own. The burst of one
/// network need not be in it; but half of it is for others, whatever the limits.
fn fullness(each: Limit, shared: Limit) -> f64 {
    let part = f64::from(each.burst) / f64::from(shared.burst.max(1));
    (1.0 - part).max(0.5)
}

/// The buckets of one table. A full bucket is equivalent to none.
#[derive(Debug)]
struct Buckets<K> {
    limit: Limit,
    most: usize,
    buckets: BTreeMap<K, Bucket>,
    /// The bucket of all keys that have none of their own.
    strangers: Bucket,
    /// The key that was checked last.
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

    /// Drops full buckets. Each call checks two, so a round takes half as many calls as the table has
    /// entries.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { per_second: 2, burst: 3 };
    /// The limit of a network; a site may have twenty a second.
    const EACH: Limit = Limit { per_second: 2, burst: 10 };
    const TICK: Duration = Duration::from_millis(100);

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
        // Eight networks that may have 16 a second of the 10 that there are.
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
    fn a_network_that_is_alone_gets_all_of_its_burst_and_then_its_rate() {
        for all in
            [None, Some(Limit { per_second: 5, burst: 20 }), Some(Limit { per_second: 500, burst: 600 })]
        {
            let mut rates = Rates::new(EACH, all);
            let start = Instant::now();
            let asked =
                |rates: &mut Rates, now| (0..50).filter(|_| rates.take(now, network(1)).is_ok()).count();
            assert_eq!(asked(&mut rates, start), 10, "{all:?}");
            let later = (1..=100).map(|second| asked(&mut rates, start + Duration::from_secs(second)));
            assert_eq!(later.sum::<usize>(), 200, "{all:?}");
        }
    }

    #[test]
    fn whoever_is_refused_gets_a_token_when_it_was_told_to_ask_again() {
        for all in [None, Some(Limit { per_second: 3, burst: 20 })] {
            let mut rates = Rates::new(EACH, all);
            let mut now = Instant::now();
            for ask in 0..1200 {
                let network = network(ask % 30);
                if let Err(wait) = rates.take(now, network) {
                    now += wait;
                    assert_eq!(rates.take(now, network), Ok(()), "{all:?} {ask}");
                }
            }
        }
    }

    #[test]
    fn a_rate_beyond_what_the_clock_can_tell_refuses_nobody() {
        let any = Limit { per_second: u32::MAX, burst: u32::MAX };
        let mut rates = Rates::new(any, Some(any));
        let now = Instant::now();
        assert!((0..1000).all(|_| rates.take(now, network(1)).is_ok()));
    }

    /// Simulates clients with the number of asks each makes per tick. A seed decides which one begins in a
    /// tick. The modest client asks once a second, before the first of them. Returns the tokens of each after
    /// a minute, the modest client's first.
    fn compete(all: Option<Limit>, greedy: &[(Network, usize)], modest: Network, seed: u32) -> Vec<usize> {
        let mut rates = Rates::new(EACH, all);
        let start = Instant::now();
        let (mut random, mut got) = (seed, vec![0; 1 + greedy.len()]);
        for tick in 0..600 {
            let now = start + TICK * tick;
            // Numerical Recipes, section 7.1.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let first = (random >> 16) as usize % greedy.len();
            for at in (first..greedy.len()).chain(0..first) {
                if at == 0 && tick % 10 == 5 {
                    got[0] += usize::from(rates.take(now, modest).is_ok());
                }
                let (network, asks) = greedy[at];
                got[1 + at] += (0..asks).filter(|_| rates.take(now, network).is_ok()).count();
            }
        }
        got
    }

    #[test]
    fn a_site_with_a_new_network_for_each_ask_takes_nothing_from_others() {
        let mut rates = Rates::new(EACH, Some(Limit { per_second: 10, burst: 20 }));
        let start = Instant::now();
        let of = |site: u16, network: u16| {
            Network::of(std::net::Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1).into())
        };
        let (mut new, mut others, mut modest) = (0..u16::MAX, 0, 0);
        for tick in 0..600 {
            let now = start + TICK * tick;
            others += new.by_ref().take(10).filter(|last| rates.take(now, of(1, *last)).is_ok()).count();
            if tick >= 100 && tick % 10 == 5 {
                modest += u32::from(rates.take(now, of(2, 1)).is_ok());
            }
        }
        assert_eq!(modest, 50);
        assert!(others > 500, "what is left is used: {others}");
    }

    #[test]
    fn heavy_sites_share_what_is_for_all_alike() {
        for sites in [2, 5, 9] {
            // The networks of a site ask one after the other, as a program would that goes through its own.
            let greedy: Vec<_> =
                (0..sites * 10).map(|n| (network(n % sites * 0x100 + n / sites), 2)).collect();
            let all = Limit { per_second: 10, burst: 20 };
            let got = compete(Some(all), &greedy, network(0x9000), 1);
            let mut of_sites = vec![0; sites as usize];
            got[1..].iter().enumerate().for_each(|(at, got)| of_sites[at % sites as usize] += got);
            let (least, most) = (of_sites.iter().min().unwrap(), of_sites.iter().max().unwrap());
            assert!(*most <= least * 2, "{of_sites:?}");
            assert_eq!(got[0], 60, "{sites}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// A client that uses all the networks it has.
        #[test]
        fn a_greedy_site_takes_nothing_from_a_modest_network_of_another(
            asks in prop::collection::vec(0..3_usize, 64..200),
            seed in any::<u32>(),
        ) {
            let greedy: Vec<_> = asks.into_iter().zip(0..).map(|(asks, last)| (network(last), asks)).collect();
            let all = Limit { per_second: 10, burst: 20 };
            let got = compete(Some(all), &greedy, network(0x9000), seed);
            prop_assert_eq!(got[0], 60);
            let rest: usize = got[1..].iter().sum();
            prop_assert!((450..=620).contains(&rest), "what is left is used: {rest}");
        }

        #[test]
        fn greedy_networks_take_nothing_from_a_modest_one_of_their_site(
            asks in prop::collection::vec(1..5_usize, 1..40),
            seed in any::<u32>(),
        ) {
            let greedy: Vec<_> = asks.into_iter().zip(1..).map(|(asks, last)| (network(last), asks)).collect();
            let got = compete(None, &greedy, network(0), seed);
            prop_assert_eq!(got[0], 60);
            let rest: usize = got[1..].iter().sum();
            let most = (EACH.per_second * 59 + EACH.burst) as usize * greedy.len().min(8);
            prop_assert!(rest * 100 >= most * 85, "what is left is used: {rest} of {most}");
        }
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
        assert!(
            buckets.bucket(network(200)).check(start, LIMIT, 0.0).is_err(),
            "the strangers' bucket is empty"
        );
        assert!(buckets.bucket(network(0)).check(start, LIMIT, 0.0).is_ok(), "a known one has its own");
        let later = start + Duration::from_secs(60);
        buckets.forget_a_full_one(later);
        assert_eq!(buckets.buckets.len(), 0);
    }
}

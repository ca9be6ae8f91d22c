//! A limited thing that many hold: how much each holds, and which one gives way when it is used up.
//!
//! A newcomer is let in, and the heaviest site gives way to it, there the heaviest network, and there the
//! heaviest holder. So a holder of little is never refused or evicted as long as another holds more. Weights
//! are compared by classes, eight for each doubling, so that a change seldom moves an entry: a holder of an
//! eighth less than another may count as equally heavy.

use crate::network::{Network, Site};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Upper bounds of a pool, in the unit that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bound for all holders together.
    pub total: usize,
    /// Bound for one network.
    pub per_network: usize,
    /// Bound for one site.
    pub per_site: usize,
}

impl Bounds {
    /// Returns bounds of a quarter of the total for one network and half of it for one site: the rest serves
    /// all other clients.
    pub fn of(total: usize) -> Bounds {
        Bounds { total, per_network: (total / 4).max(1), per_site: (total / 2).max(1) }
    }
}

/// The bound of a pool that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// The bound [`Bounds::per_network`] of this network.
    Network(Network),
    /// The bound [`Bounds::per_site`] of this site.
    Site(Site),
    /// The bound [`Bounds::total`] of all holders.
    Total,
}

type Class = u16;

/// Holders and their amounts. `H` names a holder, older ones first: a session, a handshake.
#[derive(Debug)]
pub struct Pool<H> {
    bounds: Bounds,
    total: usize,
    holders: BTreeMap<H, (Network, usize)>,
    networks: BTreeMap<Network, usize>,
    sites: BTreeMap<Site, usize>,
    /// Holders in the order of their weight; of equally heavy ones the oldest comes last.
    holders_by_weight: BTreeSet<(Network, Class, Reverse<H>)>,
    networks_by_weight: BTreeSet<(Site, Class, Network)>,
    sites_by_weight: BTreeSet<(Class, Site)>,
}

impl<H: Ord + Copy> Pool<H> {
    /// Makes an empty pool.
    pub fn new(bounds: Bounds) -> Pool<H> {
        Pool {
            bounds,
            total: 0,
            holders: BTreeMap::new(),
            networks: BTreeMap::new(),
            sites: BTreeMap::new(),
            holders_by_weight: BTreeSet::new(),
            networks_by_weight: BTreeSet::new(),
            sites_by_weight: BTreeSet::new(),
        }
    }

    /// Returns the pool's bounds.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Returns the amount that all holders have together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the amount of one holder.
    pub fn held_by(&self, holder: H) -> usize {
        self.holders.get(&holder).map_or(0, |(_, amount)| *amount)
    }

    /// Returns the amount that the holders of one network have together.
    pub fn held_in(&self, network: Network) -> usize {
        self.networks.get(&network).copied().unwrap_or(0)
    }

    /// Returns the amount that the networks of one site have together.
    pub fn held_at(&self, site: Site) -> usize {
        self.sites.get(&site).copied().unwrap_or(0)
    }

    /// Returns all holders with their networks and amounts.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (H, (Network, usize))> {
        self.holders.iter().map(|(holder, held)| (*holder, *held))
    }

    /// Returns the first holder in the order of the holders.
    pub fn oldest(&self) -> Option<H> {
        self.holders.first_key_value().map(|(holder, _)| *holder)
    }

    /// Sets the amount of a holder; 0 removes it. The holder stays with the network from which it came.
    pub fn set(&mut self, holder: H, network: Network, amount: usize) {
        let (network, before) = self.holders.get(&holder).copied().unwrap_or((network, 0));
        if before == amount {
            return;
        }
        if amount == 0 {
            self.holders.remove(&holder);
        } else {
            self.holders.insert(holder, (network, amount));
        }
        let site = network.site();
        let of_network = change(&mut self.networks, network, before, amount);
        let of_site = change(&mut self.sites, site, before, amount);
        self.total = self.total - before + amount;
        move_class(&mut self.holders_by_weight, (before, amount), |class| (network, class, Reverse(holder)));
        move_class(&mut self.networks_by_weight, of_network, |class| (site, class, network));
        move_class(&mut self.sites_by_weight, of_site, |class| (class, site));
    }

    /// Changes the amount of a holder; does nothing for one that has none.
    pub fn resize(&mut self, holder: H, amount: usize) {
        if let Some((network, _)) = self.holders.get(&holder).copied() {
            self.set(holder, network, amount);
        }
    }

    /// Removes a holder with its amount.
    pub fn remove(&mut self, holder: H) {
        self.resize(holder, 0);
    }

    /// Returns the network that must give something up before `more` is held in `network`; `None` if there is
    /// room. It may be `network` itself, but not if another is as heavy. It has something to give unless
    /// `more` exceeds all that one network may hold.
    pub fn yields_to(&self, network: Network, more: usize) -> Option<Network> {
        match self.used_up(network, more)? {
            Share::Network(network) => Some(network),
            Share::Site(site) => Some(self.heaviest_network_of(site, Some(network)).unwrap_or(network)),
            Share::Total => {
                let sites = self.sites_by_weight.iter().rev().map(|(class, site)| (*class, *site));
                self.heaviest_network_of(spare(sites, Some(network.site()))?, Some(network))
            }
        }
    }

    /// Returns the bound that would be exceeded if `more` were held in `network`; `None` if there is room.
    pub fn used_up(&self, network: Network, more: usize) -> Option<Share> {
        let Bounds { total, per_network, per_site } = self.bounds;
        let site = network.site();
        let of_site = self.held_at(site);
        if !network.is_alone() && self.held_in(network) + more > per_network {
            Some(Share::Network(network))
        } else if !network.is_alone() && of_site + more > per_site {
            Some(Share::Site(site))
        } else {
            (self.total + more > total).then_some(Share::Total)
        }
    }

    /// Returns the heaviest holder in a network.
    pub fn heaviest_in(&self, network: Network) -> Option<H> {
        let all = (network, Class::MIN, Reverse(self.holders.last_key_value()?.0.to_owned()))
            ..=(network, Class::MAX, Reverse(self.holders.first_key_value()?.0.to_owned()));
        self.holders_by_weight.range(all).next_back().map(|(_, _, Reverse(holder))| *holder)
    }

    /// Returns the heaviest network of the heaviest site; `None` if the pool is empty.
    pub fn heaviest_network(&self) -> Option<Network> {
        let (_, site) = self.sites_by_weight.last()?;
        self.heaviest_network_of(*site, None)
    }

    fn heaviest_network_of(&self, site: Site, but: Option<Network>) -> Option<Network> {
        let first = self.networks.first_key_value()?.0;
        let last = self.networks.last_key_value()?.0;
        let all = (site, Class::MIN, *first)..=(site, Class::MAX, *last);
        let heaviest = self.networks_by_weight.range(all).rev();
        spare(heaviest.map(|(_, class, network)| (*class, *network)), but)
    }
}

/// Returns the first entry by weight, or the second if it is as heavy and the first is the one that asks.
fn spare<K: Copy + PartialEq>(mut by_weight: impl Iterator<Item = (Class, K)>, asks: Option<K>) -> Option<K> {
    let (class, heaviest) = by_weight.next()?;
    let other = by_weight.next().filter(|other| Some(heaviest) == asks && other.0 == class);
    Some(other.map_or(heaviest, |(_, other)| other))
}

/// Moves an entry from its old amount to its new one.
fn change<K: Ord + Copy>(
    amounts: &mut BTreeMap<K, usize>,
    key: K,
    before: usize,
    after: usize,
) -> (usize, usize) {
    let amount = amounts.entry(key).or_default();
    let was = *amount;
    *amount = was - before + after;
    let is = *amount;
    if is == 0 {
        amounts.remove(&key);
    }
    (was, is)
}

fn move_class<T: Ord>(ranks: &mut BTreeSet<T>, (was, is): (usize, usize), rank: impl Fn(Class) -> T) {
    if (was == 0) == (is == 0) && class(was) == class(is) {
        return;
    }
    if was > 0 {
        ranks.remove(&rank(class(was)));
    }
    if is > 0 {
        ranks.insert(rank(class(is)));
    }
}

/// Returns the class of an amount: it grows by eight for each doubling.
fn class(amount: usize) -> Class {
    let Some(octave) = amount.checked_ilog2() else { return 0 };
    let eighths = if octave >= 3 { amount >> (octave - 3) } else { amount << (3 - octave) } & 7;
    octave as Class * 8 + eighths as Class
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(0xc000_0200 + last).into())
    }

    fn pool(total: usize, per_network: usize, per_site: usize) -> Pool<u64> {
        Pool::new(Bounds { total, per_network, per_site })
    }

    /// Lets a holder in as the owner of a pool does, and returns the holders that were evicted for it.
    fn let_in(pool: &mut Pool<u64>, holder: u64, network: Network, amount: usize) -> Vec<u64> {
        let mut gone = Vec::new();
        while let Some(gives) = pool.yields_to(network, amount) {
            let Some(victim) = pool.heaviest_in(gives) else { break };
            pool.remove(victim);
            gone.push(victim);
        }
        pool.set(holder, network, pool.held_by(holder) + amount);
        gone
    }

    #[test]
    fn classes_grow_and_are_an_eighth_of_a_doubling_wide() {
        let classes: Vec<_> = (1..5000).map(class).collect();
        assert!(classes.is_sorted());
        assert_eq!(
            (class(0), class(1), class(2), class(1024), class(1151), class(1152)),
            (0, 0, 8, 80, 80, 81)
        );
        assert!(class(usize::MAX) < Class::MAX);
    }

    #[test]
    fn one_network_gives_way_to_itself_and_its_heaviest_holder_first() {
        let mut pool = pool(100, 10, 100);
        assert_eq!(let_in(&mut pool, 1, network(1), 2), []);
        assert_eq!(let_in(&mut pool, 2, network(1), 6), []);
        assert_eq!(let_in(&mut pool, 3, network(2), 9), []);
        assert_eq!(let_in(&mut pool, 4, network(1), 3), [2]);
        assert_eq!((pool.held_in(network(1)), pool.total()), (5, 14));
    }

    #[test]
    fn of_equals_the_oldest_gives_way() {
        let mut pool = pool(100, 3, 100);
        for holder in 5..8 {
            assert_eq!(let_in(&mut pool, holder, network(1), 1), []);
        }
        assert_eq!(let_in(&mut pool, 9, network(1), 1), [5]);
    }

    #[test]
    fn the_heaviest_site_gives_way_and_in_it_the_heaviest_network() {
        let other_site = |last: u32| network(0x100 + last);
        let mut pool = pool(30, 20, 25);
        let_in(&mut pool, 1, network(1), 8);
        let_in(&mut pool, 2, network(2), 6);
        let_in(&mut pool, 3, other_site(1), 10);
        // The first site holds 14; the other site holds 10, in the heaviest network.
        assert_eq!(let_in(&mut pool, 4, other_site(2), 7), [1]);
        assert_eq!(let_in(&mut pool, 5, other_site(3), 9), [3]);
    }

    #[test]
    fn of_networks_as_heavy_as_the_newcomer_another_one_gives_way() {
        for newcomer in [1, 2, 3] {
            for site in [1, 0x100] {
                let mut pool = pool(3, 9, 9);
                for last in [1, 2, 3] {
                    pool.set(u64::from(last), network(last * site), 1);
                }
                pool.set(4, network(4 * site), 1);
                let gives = pool.yields_to(network(newcomer * site), 0).unwrap();
                assert_ne!(gives, network(newcomer * site));
            }
        }
    }

    #[test]
    fn a_site_is_bounded_however_many_networks_it_has() {
        let mut pool = pool(1000, 10, 20);
        for last in 0..20 {
            assert_eq!(let_in(&mut pool, u64::from(last), network(last), 1), []);
        }
        assert_eq!(let_in(&mut pool, 99, network(50), 1).len(), 1);
        assert_eq!(pool.total(), 20);
        assert_eq!(let_in(&mut pool, 100, network(0x100), 10), []);
    }

    #[test]
    fn what_stands_alone_is_bounded_by_the_total_only() {
        let mut pool = pool(20, 2, 4);
        for id in 0..2 {
            assert_eq!(let_in(&mut pool, id, Network::alone(id), 10), []);
        }
        assert_eq!(let_in(&mut pool, 7, network(1), 1).len(), 1);
    }

    #[test]
    fn more_than_all_that_one_may_hold_finds_nobody_left() {
        let mut pool = pool(20, 10, 20);
        let_in(&mut pool, 1, network(1), 10);
        assert_eq!(pool.yields_to(network(1), 11), Some(network(1)));
        pool.remove(1);
        assert_eq!(pool.yields_to(network(1), 11), Some(network(1)));
        assert_eq!(pool.heaviest_in(network(1)), None);
    }

    proptest! {
        /// Checks that a modest holder is never evicted, whatever the others do.
        #[test]
        fn nobody_gives_way_while_another_holds_far_more(
            asks in prop::collection::vec((1_u64..40, 0_u32..600, 1_usize..50), 1..400)
        ) {
            let mut pool = pool(600, 200, 400);
            let modest = network(0x1000);
            let_in(&mut pool, 0, modest, 20);
            for (holder, last, amount) in asks {
                let gone = let_in(&mut pool, holder, network(last), amount);
                prop_assert!(!gone.contains(&0), "{gone:?}");
                prop_assert!(pool.total() <= 600 && pool.held_by(0) == 20);
            }
        }

        #[test]
        fn all_is_given_back(asks in prop::collection::vec((0_u64..20, 0_u32..600, 0_usize..50), 1..200)) {
            let mut pool = pool(usize::MAX, usize::MAX, usize::MAX);
            for (holder, last, amount) in asks {
                pool.set(holder, network(last), amount);
                let sum: usize = pool.holders.values().map(|(_, amount)| amount).sum();
                prop_assert_eq!((pool.total(), pool.networks.values().sum(), pool.sites.values().sum()), (sum, sum, sum));
            }
            (0..20).for_each(|holder| pool.remove(holder));
            prop_assert!(pool.holders.is_empty() && pool.networks.is_empty() && pool.sites.is_empty());
            prop_assert!(pool.holders_by_weight.is_empty());
            prop_assert!(pool.networks_by_weight.is_empty() && pool.sites_by_weight.is_empty());
        }
    }
}

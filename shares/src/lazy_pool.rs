//! A pool of very many small holders. While all of them together hold no more than one network may, none has
//! to give way and no order is kept: each holder costs one place in a table.
//!
//! ```text
//! a table ---- more is held than one network may ----> a Pool
//!    ^                                                  |
//!    `--------------- less than half of that -----------'
//! ```
//!
//! Only these two steps walk over all holders, and between two of them half of that amount has come or gone.

use crate::network::Network;
use crate::pool::{Bounds, Pool};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

/// A table with fewer places is never shrunk.
const FEW: usize = 256;

/// A table is shrunk when it has this many times as many places as entries.
const MOSTLY_EMPTY: usize = 8;

/// Holders and their amounts, as in a [`Pool`]. `H` names a holder, older ones first. The names must be
/// assigned by this program: a client that chose them could aim at a place of the table.
#[derive(Debug)]
pub struct LazyPool<H> {
    bounds: Bounds,
    held: Held<H>,
}

type Table<H> = HashMap<H, (Network, usize), BuildHasherDefault<DefaultHasher>>;

#[derive(Debug)]
enum Held<H> {
    Little { total: usize, holders: Table<H> },
    Much(Pool<H>),
}

impl<H: Ord + Copy + Hash> LazyPool<H> {
    /// Makes an empty pool.
    pub fn new(bounds: Bounds) -> LazyPool<H> {
        LazyPool { bounds, held: Held::Little { total: 0, holders: Table::default() } }
    }

    /// Returns the amount that all holders have together.
    pub fn total(&self) -> usize {
        match &self.held {
            Held::Little { total, .. } => *total,
            Held::Much(pool) => pool.total(),
        }
    }

    /// Sets the amount of a holder, 0 for nothing. The holder stays with the network from which it came.
    pub fn set(&mut self, holder: H, network: Network, amount: usize) {
        match &mut self.held {
            Held::Little { total, holders } => {
                let (network, before) = holders.get(&holder).copied().unwrap_or((network, 0));
                *total = *total - before + amount;
                if amount > 0 {
                    holders.insert(holder, (network, amount));
                } else if holders.remove(&holder).is_some() {
                    shrink(holders);
                }
            }
            Held::Much(pool) => pool.set(holder, network, amount),
        }
        self.rearrange();
    }

    /// Sets the amount of a holder that already has one.
    pub fn resize(&mut self, holder: H, amount: usize) {
        match &mut self.held {
            Held::Little { holders, .. } => {
                if let Some((network, _)) = holders.get(&holder).copied() {
                    self.set(holder, network, amount);
                }
            }
            Held::Much(pool) => {
                pool.resize(holder, amount);
                self.rearrange();
            }
        }
    }

    /// Removes a holder with its amount.
    pub fn remove(&mut self, holder: H) {
        self.resize(holder, 0);
    }

    /// Returns the network that must give something up after an amount was added to `network`, as
    /// [`Pool::yields_to`] names it if nothing more is to be added; `None` while all bounds hold.
    pub fn yields_to(&self, network: Network) -> Option<Network> {
        match &self.held {
            Held::Little { .. } => None,
            Held::Much(pool) => pool.yields_to(network, 0),
        }
    }

    /// Returns the heaviest holder in a network that must give something up.
    pub fn heaviest_in(&self, network: Network) -> Option<H> {
        match &self.held {
            Held::Little { .. } => None,
            Held::Much(pool) => pool.heaviest_in(network),
        }
    }

    /// Returns the amount that any holders may have without one of them having to give way.
    fn little(&self) -> usize {
        self.bounds.total.min(self.bounds.per_network).min(self.bounds.per_site)
    }

    fn rearrange(&mut self) {
        let little = self.little();
        match &mut self.held {
            Held::Little { total, holders } if *total > little => {
                let mut pool = Pool::new(self.bounds);
                for (holder, (network, amount)) in std::mem::take(holders) {
                    pool.set(holder, network, amount);
                }
                self.held = Held::Much(pool);
            }
            Held::Much(pool) if pool.total() < little / 2 => {
                let total = pool.total();
                self.held = Held::Little { total, holders: pool.holders().collect() };
            }
            _ => {}
        }
    }
}

fn shrink<H: Eq + Hash>(holders: &mut Table<H>) {
    if holders.capacity() > FEW && holders.capacity() > MOSTLY_EMPTY * holders.len() {
        holders.shrink_to(2 * holders.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(0xc000_0200 + last).into())
    }

    proptest! {
        #[test]
        fn whoever_gives_way_is_who_would_in_a_pool_that_has_always_kept_an_order(
            asks in prop::collection::vec((0_u64..30, 0_u32..600, 0_usize..60), 1..400)
        ) {
            let bounds = Bounds { total: 400, per_network: 150, per_site: 250 };
            let (mut lazy, mut pool) = (LazyPool::new(bounds), Pool::new(bounds));
            for (holder, last, amount) in asks {
                lazy.set(holder, network(last), amount);
                pool.set(holder, network(last), amount);
                loop {
                    let gives = pool.yields_to(network(last), 0);
                    prop_assert_eq!(lazy.yields_to(network(last)), gives);
                    let Some(gives) = gives else { break };
                    let Some(victim) = pool.heaviest_in(gives) else { break };
                    prop_assert_eq!(lazy.heaviest_in(gives), Some(victim));
                    pool.remove(victim);
                    lazy.remove(victim);
                }
                prop_assert_eq!(lazy.total(), pool.total());
                let keeps_order = matches!(lazy.held, Held::Much(_));
                let range = if keeps_order { 75..=400 } else { 0..=150 };
                prop_assert!(range.contains(&lazy.total()));
            }
            (0..30).for_each(|holder| lazy.remove(holder));
            let is_empty = matches!(lazy.held, Held::Little { total: 0, holders } if holders.is_empty());
            prop_assert!(is_empty);
        }
    }

    #[test]
    fn the_table_shrinks_with_what_is_in_it() {
        let mut lazy = LazyPool::new(Bounds::of(usize::MAX));
        (0..100_000).for_each(|holder: u64| lazy.set(holder, network(0), 1));
        (0..99_990).for_each(|holder| lazy.remove(holder));
        let Held::Little { holders, total: 10 } = lazy.held else { panic!() };
        assert!(holders.capacity() <= FEW);
    }
}

//! A pool of very many small holders. As long as all of them together hold no more than one network may,
//! none has to give way, and no order of them is kept: each costs one place in a table.
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

/// A table with fewer places than this is not made smaller.
const FEW: usize = 256;

/// A table so many times as large as what is in it is made smaller.
const MOSTLY_EMPTY: usize = 8;

/// Who holds how much, as in a [`Pool`]. `H` names a holder, older ones first. The names must be given out by
/// this program: a client that chose them could aim at a place of the table.
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
    /// Nobody holds anything.
    pub fn new(bounds: Bounds) -> LazyPool<H> {
        LazyPool { bounds, held: Held::Little { total: 0, holders: Table::default() } }
    }

    /// What all hold.
    pub fn total(&self) -> usize {
        match &self.held {
            Held::Little { total, .. } => *total,
            Held::Much(pool) => pool.total(),
        }
    }

    /// From now on the holder holds this much, 0 for nothing. It stays with the network that it came from.
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

    /// The same for one that holds something.
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

    /// It holds nothing any more.
    pub fn remove(&mut self, holder: H) {
        self.resize(holder, 0);
    }

    /// The network that has to give something up after something has come to `network`, as
    /// [`Pool::yields_to`] names it when nothing more is to come. None while all bounds hold.
    pub fn yields_to(&self, network: Network) -> Option<Network> {
        match &self.held {
            Held::Little { .. } => None,
            Held::Much(pool) => pool.yields_to(network, 0),
        }
    }

    /// Who holds most in a network that has to give something up.
    pub fn heaviest_in(&self, network: Network) -> Option<H> {
        match &self.held {
            Held::Little { .. } => None,
            Held::Much(pool) => pool.heaviest_in(network),
        }
    }

    /// So much may be held by any holders without one of them having to give way.
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

//! Who may hold a connection, and which one gives way to a newcomer.
//!
//! ```text
//! newcomer ─▶ room ────────────────────────────────────────────▶ it has a place
//!              └ none ─▶ the network that has most ─▶ its connection longest without a request gives way
//!                                                └─▶ all are busy: its oldest gives way; the newcomer is refused
//!                                                    where the network is its own, or one behind a balancer
//! ```

use lowband_transport::shares::{Bounds, Network, Pool};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The number of a connection; a later one has a higher number.
pub(super) type Id = u64;

/// The connections with their shares. `C` is what the caller needs to end one.
#[derive(Debug)]
pub(super) struct Places<C> {
    pool: Pool<Id>,
    connections: BTreeMap<Id, Connection<C>>,
    /// Connections without a request, by the network that they count to, those idle longest first.
    idle: BTreeMap<Network, BTreeSet<(Instant, Id)>>,
}

#[derive(Debug)]
struct Connection<C> {
    network: Network,
    /// When it became idle; `None` while it has a request.
    idle: Option<Instant>,
    handle: C,
}

impl<C> Places<C> {
    /// Makes places for this many connections: a network has a quarter of them, a site half.
    pub(super) fn new(connections: usize) -> Places<C> {
        let pool = Pool::new(Bounds::of(connections));
        Places { pool, connections: BTreeMap::new(), idle: BTreeMap::new() }
    }

    /// Makes room for one connection of this network. Returns what has to be ended for it, and whether there
    /// is room now.
    pub(super) fn make_room(&mut self, network: Network) -> (Vec<C>, bool) {
        let mut ended = Vec::new();
        while let Some(giver) = self.pool.yields_to(network, 1) {
            let victim = match self.longest_idle(giver) {
                Some(idle) => Some(idle),
                None if giver == network || giver.is_alone() => None,
                None => self.pool.heaviest_in(giver),
            };
            let Some(connection) = victim.and_then(|victim| self.remove(victim)) else {
                return (ended, false);
            };
            ended.push(connection);
        }
        (ended, true)
    }

    /// Gives a place to a connection that has no request yet.
    pub(super) fn insert(&mut self, now: Instant, id: Id, network: Network, handle: C) {
        self.pool.set(id, network, 1);
        self.idle.entry(shared(network)).or_default().insert((now, id));
        self.connections.insert(id, Connection { network, idle: Some(now), handle });
    }

    /// Notes that a connection has a request.
    pub(super) fn busy(&mut self, id: Id) {
        if let Some(connection) = self.connections.get_mut(&id)
            && let Some(since) = connection.idle.take()
        {
            let network = connection.network;
            self.forget_idle(network, since, id);
        }
    }

    /// Notes that a connection has no request any more.
    pub(super) fn idle(&mut self, now: Instant, id: Id) {
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.idle.is_none()
        {
            connection.idle = Some(now);
            self.idle.entry(shared(connection.network)).or_default().insert((now, id));
        }
    }

    /// Frees the place of a connection, and returns what ends it; `None` if it has none.
    pub(super) fn remove(&mut self, id: Id) -> Option<C> {
        let connection = self.connections.remove(&id)?;
        self.pool.remove(id);
        if let Some(since) = connection.idle {
            self.forget_idle(connection.network, since, id);
        }
        Some(connection.handle)
    }

    /// Returns how many connections there are.
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Returns all connections, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (Id, &C)> {
        self.connections.iter().map(|(id, connection)| (*id, &connection.handle))
    }

    /// Returns one connection.
    pub(super) fn get(&self, id: Id) -> Option<&C> {
        self.connections.get(&id).map(|connection| &connection.handle)
    }

    fn longest_idle(&self, network: Network) -> Option<Id> {
        self.idle.get(&shared(network))?.first().map(|(_, id)| *id)
    }

    fn forget_idle(&mut self, network: Network, since: Instant, id: Id) {
        let network = shared(network);
        if let Some(idle) = self.idle.get_mut(&network) {
            idle.remove(&(since, id));
            if idle.is_empty() {
                self.idle.remove(&network);
            }
        }
    }
}

/// Returns the network by which idle connections are found: those behind a balancer, of which each counts for
/// itself, give way to one another.
fn shared(network: Network) -> Network {
    if network.is_alone() { Network::alone(0) } else { network }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A network in a site of its own.
    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(0x0a00_0001 + last * 0x100).into())
    }

    /// Asks for a place and takes it; returns what gave way, or `None` for a refusal.
    fn ask(places: &mut Places<Id>, now: Instant, id: Id, network: Network) -> Option<Vec<Id>> {
        let (ended, is_free) = places.make_room(network);
        is_free.then(|| places.insert(now, id, network, id));
        is_free.then_some(ended)
    }

    #[test]
    fn a_greedy_network_takes_no_place_from_a_modest_one() {
        let start = Instant::now();
        let mut places = Places::new(16);
        // Two modest clients, one of which only listens.
        for (id, of) in [(0, 90), (1, 91)] {
            assert_eq!(ask(&mut places, start, id, network(of)), Some(vec![]));
        }
        places.busy(0);
        let mut ended = Vec::new();
        for id in 10..1000 {
            let now = start + Duration::from_secs(id);
            // Six networks that hold what they get, half of it with a request.
            ended.extend(ask(&mut places, now, id, network(id as u32 % 6)).unwrap_or_default());
            if id % 2 == 0 {
                places.busy(id);
            }
            assert!(places.len() <= 16);
        }
        assert!(!ended.is_empty() && !ended.contains(&0) && !ended.contains(&1), "{ended:?}");
        assert_eq!(ask(&mut places, start, 2000, network(92)).map(|ended| ended.len()), Some(1));
    }

    #[test]
    fn a_network_has_a_quarter_and_its_connection_longest_without_a_request_gives_way() {
        let start = Instant::now();
        let mut places = Places::new(16);
        for id in 0..4 {
            assert_eq!(ask(&mut places, start + Duration::from_secs(id), id, network(1)), Some(vec![]));
        }
        places.busy(0);
        places.busy(1);
        places.idle(start + Duration::from_secs(9), 1);
        assert_eq!(ask(&mut places, start + Duration::from_secs(10), 4, network(1)), Some(vec![2]));
        for id in [1, 3, 4] {
            places.busy(id);
        }
        // All are busy: the newcomer is refused, and nobody else is.
        assert_eq!(ask(&mut places, start, 5, network(1)), None);
        assert_eq!(ask(&mut places, start, 6, network(2)), Some(vec![]));
        assert_eq!((places.len(), places.get(2), places.get(4)), (5, None, Some(&4)));
    }

    #[test]
    fn busy_connections_of_the_heaviest_network_give_way_to_a_newcomer_of_another() {
        let start = Instant::now();
        let mut places = Places::new(8);
        for id in 0..8 {
            assert_eq!(ask(&mut places, start, id, network(id as u32 / 2)), Some(vec![]));
            places.busy(id);
        }
        assert_eq!(ask(&mut places, start, 8, network(9)).map(|ended| ended.len()), Some(1));
    }

    #[test]
    fn behind_a_balancer_one_gives_way_that_has_no_request_and_else_the_newcomer() {
        let start = Instant::now();
        let mut places = Places::new(4);
        for id in 0..4 {
            // None of them has to fit into a quarter.
            assert_eq!(ask(&mut places, start, id, Network::alone(id)), Some(vec![]));
            places.busy(id);
        }
        assert_eq!(ask(&mut places, start, 4, Network::alone(4)), None);
        places.idle(start, 2);
        assert_eq!(ask(&mut places, start, 5, Network::alone(5)), Some(vec![2]));
    }

    #[test]
    fn what_has_ended_leaves_nothing_behind() {
        let start = Instant::now();
        let mut places = Places::new(8);
        for id in 0..2 {
            assert_eq!(ask(&mut places, start, id, network(1)), Some(vec![]));
        }
        places.busy(0);
        assert_eq!(places.all().map(|(id, _)| id).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((places.remove(0), places.remove(1), places.remove(1)), (Some(0), Some(1), None));
        // Late news of one that has gone.
        places.busy(0);
        places.idle(start, 0);
        assert!(places.len() == 0 && places.idle.is_empty() && places.pool.total() == 0);
    }
}

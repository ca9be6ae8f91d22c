//! The places of requests at the upstream and the memory for their bodies: how much each holder has, and
//! which one has to give way.
//!
//! ```text
//! take -> Permit ----------------> the body has been released ------> the answer is over
//!           | a place, body bytes    give_back_bytes                    drop: the place as well
//!           +-- give_way: the place, for another request, while the stream runs out
//! ```

use super::usage::Busy;
use lowband_transport::SessionId;
use lowband_transport::shares::{Bounds, Network, Pool};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The session and network whose shares a request counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The session that sends the request.
    pub session: SessionId,
    /// The network that the session comes from.
    pub network: Network,
}

/// A pool without room, and the network that has too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// The pool without room.
    pub busy: Busy,
    /// The network that has to give something up before there is room; it may be the one that asks.
    pub network: Network,
}

/// The places and the memory that all holders have.
#[derive(Debug)]
pub(super) struct Places {
    shares: Mutex<Shares>,
}

#[derive(Debug)]
struct Shares {
    requests: Pool<SessionId>,
    bytes: Pool<SessionId>,
}

/// How much is held at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) requests: usize,
    pub(super) body_bytes: usize,
    /// Requests of the network that has most.
    pub(super) most_of_a_network: usize,
}

/// The share of one request: a place among the requests in flight, and the memory for its body. Dropping the
/// permit gives back what has not been given back before.
#[derive(Debug)]
pub struct Permit {
    places: Arc<Places>,
    holder: Holder,
    has_request: AtomicBool,
    bytes: AtomicUsize,
}

impl Places {
    /// Makes the pools; a body of `largest_body` bytes is within the share of a network, however small the
    /// memory.
    pub(super) fn new(requests: usize, body_bytes: usize, largest_body: usize) -> Places {
        let Bounds { total, per_network, per_site } = Bounds::of(body_bytes);
        let of_bytes = Bounds {
            total,
            per_network: per_network.max(largest_body).min(total),
            per_site: per_site.max(largest_body).min(total),
        };
        let shares = Shares { requests: Pool::new(Bounds::of(requests)), bytes: Pool::new(of_bytes) };
        Places { shares: Mutex::new(shares) }
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> Held {
        let shares = self.shares();
        let heaviest = shares.requests.heaviest_network();
        Held {
            requests: shares.requests.total(),
            body_bytes: shares.bytes.total(),
            most_of_a_network: heaviest.map_or(0, |network| shares.requests.held_in(network)),
        }
    }

    /// Returns the number of requests of a session.
    pub(super) fn held_by(&self, session: SessionId) -> usize {
        self.shares().requests.held_by(session)
    }

    /// Returns the number of requests of a network.
    pub(super) fn held_in(&self, network: Network) -> usize {
        self.shares().requests.held_in(network)
    }

    /// Takes a place within the shares.
    pub(super) fn take(self: &Arc<Self>, holder: Holder, body_bytes: usize) -> Result<Permit, Full> {
        let mut shares = self.shares();
        // First, because no request gives way for memory: none is to lose its place for the sake of memory.
        memory_for(&shares, holder, body_bytes)?;
        if let Some(network) = shares.requests.yields_to(holder.network, 1) {
            return Err(Full { busy: Busy::Requests, network });
        }
        if has_its_share(&shares.requests, holder, 1) {
            return Err(Full { busy: Busy::Requests, network: holder.network });
        }
        Ok(self.hold(&mut shares, holder, body_bytes))
    }

    /// Takes the place of a request that has given way.
    pub(super) fn take_over(self: &Arc<Self>, holder: Holder, body_bytes: usize) -> Result<Permit, Full> {
        let mut shares = self.shares();
        memory_for(&shares, holder, body_bytes)?;
        Ok(self.hold(&mut shares, holder, body_bytes))
    }

    fn hold(self: &Arc<Self>, shares: &mut Shares, holder: Holder, body_bytes: usize) -> Permit {
        let Holder { session, network } = holder;
        if body_bytes > 0 {
            shares.bytes.set(session, network, shares.bytes.held_by(session) + body_bytes);
        }
        shares.requests.set(session, network, shares.requests.held_by(session) + 1);
        let bytes = AtomicUsize::new(body_bytes);
        Permit { places: Arc::clone(self), holder, has_request: AtomicBool::new(true), bytes }
    }
}

/// Checks that there is memory for a body.
fn memory_for(shares: &Shares, holder: Holder, body_bytes: usize) -> Result<(), Full> {
    if body_bytes == 0 {
        return Ok(());
    }
    let yields = shares.bytes.yields_to(holder.network, body_bytes);
    let yields = yields.or(has_its_share(&shares.bytes, holder, body_bytes).then_some(holder.network));
    yields.map_or(Ok(()), |network| Err(Full { busy: Busy::BodyBytes, network }))
}

/// Returns whether the session has its share already. One session may hold half of what is free to its
/// network: however many sessions take all they get, something is left for the next one. A session that holds
/// nothing may take any amount.
fn has_its_share(pool: &Pool<SessionId>, Holder { session, network }: Holder, more: usize) -> bool {
    let Bounds { total, per_network, .. } = pool.bounds();
    let mut free = total.saturating_sub(pool.total());
    if !network.is_alone() {
        free = free.min(per_network.saturating_sub(pool.held_in(network)));
    }
    let held = pool.held_by(session);
    held > 0 && held.saturating_add(more) > free
}

impl Permit {
    /// Gives back the memory of the body, which is not kept any longer.
    pub fn give_back_bytes(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            give_back(&mut self.places.shares().bytes, self.holder, bytes);
        }
    }

    /// Gives the place up for another request.
    pub fn give_way(&self) {
        if self.has_request.swap(false, Ordering::Relaxed) {
            give_back(&mut self.places.shares().requests, self.holder, 1);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back_bytes();
        self.give_way();
    }
}

fn give_back(pool: &mut Pool<SessionId>, Holder { session, network }: Holder, amount: usize) {
    pool.set(session, network, pool.held_by(session).saturating_sub(amount));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// Returns session `number` of the network `last`, each network in a site of its own.
    fn holder(number: u64, last: u32) -> Holder {
        let network = Network::of(Ipv4Addr::from_bits(0x0a00_0000 + (last << 8)).into());
        Holder { session: SessionId(number), network }
    }

    fn places(requests: usize, bytes: usize) -> Arc<Places> {
        Arc::new(Places::new(requests, bytes, 8))
    }

    /// Takes as many places as the holder gets.
    fn take_all(places: &Arc<Places>, holder: Holder, bytes: usize) -> Vec<Permit> {
        std::iter::from_fn(|| places.take(holder, bytes).ok()).collect()
    }

    #[test]
    fn a_session_leaves_half_of_its_networks_share_and_a_network_three_quarters_of_all() {
        let places = places(400, 0);
        let first = take_all(&places, holder(1, 1), 0);
        assert_eq!(first.len(), 50);
        let second = take_all(&places, holder(2, 1), 0);
        assert_eq!(second.len(), 25);
        let own = Full { busy: Busy::Requests, network: holder(1, 1).network };
        assert_eq!(places.take(holder(2, 1), 0).unwrap_err(), own);
        // Enough sessions use up the share of their network, and no more.
        let others: Vec<_> = (3..300).flat_map(|number| take_all(&places, holder(number, 1), 0)).collect();
        assert_eq!(first.len() + second.len() + others.len(), 100);
        let held = Held { requests: 100, body_bytes: 0, most_of_a_network: 100 };
        assert_eq!(places.held(), held);
        assert_eq!(places.take(holder(500, 1), 0).unwrap_err(), own);
        assert!(places.take(holder(501, 2), 0).is_ok());
        drop((first, second, others));
        assert_eq!(places.held(), Held::default());
    }

    #[test]
    fn when_all_is_taken_the_heaviest_network_has_to_give_way() {
        let places = places(40, 0);
        let _held: Vec<_> = (1..=4)
            .flat_map(|last| {
                (0..11 - u64::from(last)).map(move |number| (number + 100 * u64::from(last), last))
            })
            .map(|(number, last)| places.take(holder(number, last), 0).unwrap())
            .collect();
        let _rest: Vec<_> = (0..6).map(|number| places.take(holder(900 + number, 9), 0).unwrap()).collect();
        let full = places.take(holder(1000, 20), 0).unwrap_err();
        assert_eq!(full, Full { busy: Busy::Requests, network: holder(0, 1).network });
    }

    #[test]
    fn a_place_is_taken_over_from_who_gives_way_and_given_back_once() {
        let places = places(4, 0);
        let permit = places.take(holder(1, 1), 0).unwrap();
        assert!(places.take(holder(2, 1), 0).is_err());
        permit.give_way();
        let over = places.take_over(holder(2, 1), 0).unwrap();
        permit.give_way();
        drop(permit);
        assert_eq!((places.held_by(SessionId(1)), places.held_by(SessionId(2))), (0, 1));
        drop(over);
        assert_eq!(places.held(), Held::default());
    }

    #[test]
    fn where_there_is_no_memory_nobody_is_asked_for_a_place() {
        let places = places(4, 64);
        // One network takes a place, and its memory.
        let _held = places.take(holder(1, 1), 16).unwrap();
        for body_bytes in [1, 8] {
            assert_eq!(places.take(holder(2, 1), body_bytes).unwrap_err().busy, Busy::BodyBytes);
        }
        assert_eq!(places.take(holder(2, 1), 0).unwrap_err().busy, Busy::Requests);
    }

    #[test]
    fn bytes_are_shared_like_places_and_can_be_given_back_before_them() {
        let places = places(1000, 64);
        // The share of a network is 16.
        let all = take_all(&places, holder(1, 1), 4);
        assert_eq!(all.len(), 2);
        let full = places.take(holder(1, 1), 4).unwrap_err();
        assert_eq!(full, Full { busy: Busy::BodyBytes, network: holder(1, 1).network });
        assert!(places.take(holder(1, 1), 0).is_ok(), "what has no body needs no memory");
        assert!(places.take(holder(2, 1), 8).is_ok(), "a neighbour that holds nothing");
        assert_eq!(places.held().body_bytes, 8);
        all.iter().for_each(Permit::give_back_bytes);
        assert_eq!((places.held().body_bytes, places.held_by(SessionId(1))), (0, 2));
    }

    #[test]
    fn the_largest_body_is_within_the_share_of_a_network() {
        let places = places(10, 8);
        let permit = places.take(holder(1, 1), 8).unwrap();
        assert!(places.take(holder(2, 2), 1).is_err());
        drop(permit);
        assert!(places.take(holder(2, 2), 1).is_ok());
        assert!(places.take(holder(3, 3), 9).is_err());
    }
}

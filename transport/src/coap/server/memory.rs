//! How much bodies hold, and which session gives way for which: the accounts, and the queue
//! of paused upstreams.
//!
//! ```text
//!   bodies of a session --- account ---> two pools: uploads, snapshots
//!                                          |   a session, its network, its site, all together
//!                                          |
//!       upload_gives, snapshot_gives <-----+-----> used_up: may this session's upstreams be read on?
//!              |                                      |
//!     which loses its slowest upload,              pause ---> queue, by what is used up ---> next_to_wake
//!     what it has read, at last a body                          first come, first served, as soon as that is free again
//! ```
//!
//! The rules:
//!
//! 1. Every change of a session's bodies is accounted (`Server::change_bodies` is the only way to them), so
//!    the pools hold what there is, allocations as a whole, and what is held for snapshots at the upstream.
//! 2. A pool above a bound has a session that gives way: the heaviest one of the heaviest network. A session
//!    that holds little is never asked.
//! 3. An upstream is paused either because its own reader is behind, and goes on when that reads on, or
//!    because a share is used up. Then it stands in the queue of that share until it goes on, ends, or is
//!    paused for another reason.
//! 4. The queue of a share that has become lighter is looked at again, at most [`WAKES`] entries at a time;
//!    an alarm looks at the rest. So none is forgotten, and no event walks all.
//! 5. A modest session, which holds at most half as much as the heaviest, is read on although the memory is
//!    used up: the heaviest gives way to it.

use super::super::config::Limits;
use super::super::upload;
use super::bodies::Held;
use crate::shares::{Bounds, Network, Pool, Share};
use crate::{ExchangeId, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// Upstreams that one event looks at.
pub(super) const WAKES: usize = 32;

/// Bytes that an upstream which goes on is expected to bring at once.
const CHUNK: usize = 16 << 10;

/// Why an upstream is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// The client has not read what there is; it has enough for now.
    Reader,
    /// The share is used up.
    Memory(Share),
}

type Place = (Share, u64);

#[derive(Debug)]
pub(super) struct Memory {
    uploads: Pool<SessionId>,
    snapshots: Pool<SessionId>,
    unread: usize,
    at_upstream: usize,
    /// Upstreams that are paused, with their places in the queue.
    paused: BTreeMap<ExchangeId, Option<Place>>,
    queue: BTreeMap<Place, ExchangeId>,
    next_place: u64,
    /// Shares that have become lighter since their queue was looked at.
    released: BTreeSet<Share>,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Memory {
        let Limits { blockwise_total, upload_total, .. } = *limits;
        let one = upload::most_bytes(limits.upload).min(upload_total);
        let Bounds { total, per_network, per_site } = Bounds::of(upload_total);
        let uploads = Bounds { total, per_network: per_network.max(one), per_site: per_site.max(one) };
        let snapshots = blockwise_total.saturating_sub(upload_total).max(blockwise_total / 2);
        Memory {
            uploads: Pool::new(uploads),
            snapshots: Pool::new(Bounds::of(snapshots)),
            unread: 0,
            at_upstream: 0,
            paused: BTreeMap::new(),
            queue: BTreeMap::new(),
            next_place: 0,
            released: BTreeSet::new(),
        }
    }

    /// Notes that a session's bodies have changed.
    pub(super) fn account(&mut self, session: SessionId, network: Network, before: Held, after: Held) {
        self.unread = self.unread + after.unread - before.unread;
        self.uploads.set(session, network, after.uploads);
        let [was, is] = [before, after].map(|held| held.snapshots + held.at_upstream);
        self.snapshots.set(session, network, is);
        self.at_upstream = self.at_upstream + after.at_upstream - before.at_upstream;
        if is < was && !self.queue.is_empty() {
            let shares = [Share::Network(network), Share::Site(network.site()), Share::Total];
            let waits = |share: &Share| self.queue.range((*share, 0)..=(*share, u64::MAX)).next().is_some();
            self.released.extend(shares.into_iter().filter(waits));
        }
    }

    /// Returns which session has to end an upload, after one has grown in this network. None while
    /// all bounds hold.
    pub(super) fn upload_gives(&self, network: Network) -> Option<SessionId> {
        self.uploads.heaviest_in(self.uploads.yields_to(network, 0)?)
    }

    /// Returns which session has to give up what it has read, after a snapshot has grown in this network.
    /// None while all bounds hold.
    pub(super) fn snapshot_gives(&self, network: Network) -> Option<SessionId> {
        self.snapshots.heaviest_in(self.snapshots.yields_to(network, 0)?)
    }

    /// Returns whether this network, its site or all hold so much that bodies which are still being read have
    /// to end.
    pub(super) fn is_overfull(&self, network: Network) -> bool {
        let Bounds { total, per_network, per_site } = self.snapshots.bounds();
        let is_beyond = |held: usize, bound: usize| held > bound + bound / 8;
        let of_network = is_beyond(self.snapshots.held_in(network), per_network)
            || is_beyond(self.snapshots.held_at(network.site()), per_site);
        of_network && !network.is_alone() || is_beyond(self.snapshots.total(), total)
    }

    /// Returns why a session's upstreams are not read on if `expected` others are about to be; None
    /// if they are.
    pub(super) fn used_up(&self, session: SessionId, network: Network, expected: usize) -> Option<Share> {
        let more = expected * CHUNK + 1;
        let share = self.snapshots.used_up(network, more)?;
        let heaviest = self.snapshots.yields_to(network, more)?;
        let (mine, most) = if heaviest == network {
            let most = self.snapshots.heaviest_in(network).map_or(0, |most| self.snapshots.held_by(most));
            (self.snapshots.held_by(session), most)
        } else {
            (self.snapshots.held_in(network), self.snapshots.held_in(heaviest))
        };
        (mine * 2 > most).then_some(share)
    }

    /// Pauses an upstream; returns whether it was not paused before.
    pub(super) fn pause(&mut self, exchange: ExchangeId, why: Pause) -> bool {
        let share = match why {
            Pause::Reader => None,
            Pause::Memory(share) => Some(share),
        };
        let before = self.paused.get(&exchange).copied();
        if before.is_some_and(|place| place.map(|(share, _)| share) == share) {
            return false;
        }
        self.go_on(exchange);
        let place = share.map(|share| {
            self.next_place += 1;
            (share, self.next_place)
        });
        self.paused.insert(exchange, place);
        self.queue.extend(place.map(|place| (place, exchange)));
        before.is_none()
    }

    /// Lets an upstream go on; returns whether it was paused.
    pub(super) fn go_on(&mut self, exchange: ExchangeId) -> bool {
        let Some(place) = self.paused.remove(&exchange) else { return false };
        if let Some(place) = place {
            self.queue.remove(&place);
        }
        true
    }

    pub(super) fn is_paused(&self, exchange: ExchangeId) -> bool {
        self.paused.contains_key(&exchange)
    }

    /// Returns the first in the queue of a share that has become lighter.
    pub(super) fn next_to_wake(&mut self) -> Option<(Share, ExchangeId)> {
        while let Some(share) = self.released.first().copied() {
            let mut queue = self.queue.range((share, 0)..=(share, u64::MAX));
            if let Some((_, exchange)) = queue.next() {
                return Some((share, *exchange));
            }
            self.released.remove(&share);
        }
        None
    }

    /// Notes that a share is used up again, or still.
    pub(super) fn is_used_up(&mut self, share: Share) {
        self.released.remove(&share);
    }

    /// Returns whether an upstream may have to be woken.
    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    pub(super) fn upload_bytes(&self) -> usize {
        self.uploads.total()
    }

    pub(super) fn snapshot_bytes(&self) -> usize {
        self.snapshots.total() - self.at_upstream
    }

    /// Returns the bytes that are held at the upstream for snapshots.
    pub(super) fn at_upstream(&self) -> usize {
        self.at_upstream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(last: u8) -> Network {
        Network::of(std::net::Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn memory(snapshots: usize) -> Memory {
        Memory::new(&Limits { blockwise_total: snapshots, upload_total: 0, ..Limits::default() })
    }

    fn hold(memory: &mut Memory, session: u64, from: usize, to: usize) {
        let held = |snapshots| Held { snapshots, ..Held::default() };
        memory.account(SessionId(session), network(session as u8), held(from), held(to));
    }

    #[test]
    fn who_holds_little_is_read_on_when_the_memory_is_used_up() {
        let mut memory = memory(1000);
        hold(&mut memory, 1, 0, 200);
        hold(&mut memory, 2, 0, 200);
        hold(&mut memory, 3, 0, 99);
        let used_up =
            |memory: &Memory, session| memory.used_up(SessionId(session), network(session as u8), 0);
        assert_eq!([1, 2, 3, 4].map(|session| used_up(&memory, session)), [None; 4]);
        // A site may hold half of the total.
        let site = Some(Share::Site(network(1).site()));
        assert_eq!(used_up(&memory, 1), None);
        hold(&mut memory, 1, 200, 210);
        assert_eq!([1, 2, 3, 4].map(|session| used_up(&memory, session)), [site, site, None, None]);
        hold(&mut memory, 1, 210, 250);
        assert_eq!(used_up(&memory, 1), Some(Share::Network(network(1))));
    }

    proptest! {
        #[test]
        fn whoever_waits_is_found_when_what_it_waits_for_becomes_lighter(
            steps in proptest::collection::vec((0u64..20, 0u8..4), 1..200),
        ) {
            let mut memory = memory(1 << 20);
            let share = |exchange: u64| match exchange % 3 {
                0 => Share::Total,
                1 => Share::Network(network(1)),
                _ => Share::Site(network(1).site()),
            };
            let mut waiting = Vec::new();
            for (exchange, step) in steps {
                let id = ExchangeId(exchange);
                match step {
                    0 => {
                        let is_new = !waiting.contains(&id);
                        prop_assert_eq!(memory.pause(id, Pause::Memory(share(exchange))), is_new);
                        if is_new {
                            waiting.push(id);
                        }
                    }
                    1 => {
                        prop_assert_eq!(memory.go_on(id), waiting.contains(&id));
                        waiting.retain(|other| *other != id);
                    }
                    2 => {
                        prop_assert_eq!(memory.pause(id, Pause::Reader), !waiting.contains(&id));
                        memory.go_on(id);
                        waiting.retain(|other| *other != id);
                    }
                    _ => {
                        hold(&mut memory, 1, 0, 10);
                        hold(&mut memory, 1, 10, 0);
                        while let Some((of, next)) = memory.next_to_wake() {
                            // In the order of their arrival.
                            let first = waiting.iter().position(|id| share(id.0) == of);
                            prop_assert_eq!(first.map(|at| waiting.remove(at)), Some(next));
                            prop_assert!(memory.go_on(next));
                        }
                        prop_assert_eq!(waiting.len(), 0);
                        prop_assert!(!memory.has_released());
                    }
                }
                prop_assert_eq!(memory.queue.len(), waiting.len());
            }
        }
    }
}

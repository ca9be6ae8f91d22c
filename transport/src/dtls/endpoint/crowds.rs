//! Which session ends when another one needs its place.
//!
//! ```text
//! its network, or its site, is at its bound   ->  the least of that network or site
//! all places are taken                        ->  the least of the heaviest site, if it is unproven or the newcomer belongs there
//!                                                 the oldest unproven one
//!                                                 (any that has been silent for long: the endpoint's timers know)
//!                                                 the least of the heaviest site
//! ```
//!
//! The least of a network are the unproven sessions, the oldest first, then the one silent longest among
//! some that are looked at in turn. A network or site is counted from [`CROWD`] sessions on, because most
//! have one: so a session costs one entry here, and no session of a smaller network gives way while there is
//! a larger one.

use crate::SessionId;
use crate::shares::{Bounds, Network, Site};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::ops::RangeInclusive;
use std::time::Instant;

/// Sessions that one network or site may have without being counted, because that many are not unusual.
const CROWD: usize = 16;

/// Sessions that are looked at to find the one that has been silent longest.
const LOOKS: usize = 16;

pub(super) struct Crowds {
    bounds: Bounds,
    members: BTreeSet<(Network, Member)>,
    unproven: BTreeSet<SessionId>,
    networks: BTreeMap<Network, usize>,
    sites: BTreeMap<Site, usize>,
    networks_by_size: BTreeSet<(Site, usize, Network)>,
    sites_by_size: BTreeSet<(usize, Site)>,
    /// The session that was looked at last.
    hand: Option<(Network, Member)>,
}

/// A session in the order of its network: the unproven first, then by age. As bytes it fills no gaps
/// behind a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member([u8; 8]);

impl Member {
    const FIRST: Member = Member([0; 8]);
    const LAST: Member = Member([0xff; 8]);
    /// Bit that marks a proven session; no session has so high a number.
    const PROVEN: u64 = 1 << 63;

    fn new(id: SessionId, is_proven: bool) -> Member {
        let number = if is_proven { id.0 | Member::PROVEN } else { id.0 };
        Member(number.to_be_bytes())
    }
    fn is_proven(self) -> bool {
        u64::from_be_bytes(self.0) & Member::PROVEN != 0
    }
    fn id(self) -> SessionId {
        SessionId(u64::from_be_bytes(self.0) & !Member::PROVEN)
    }
}

impl Crowds {
    pub(super) fn new(bounds: Bounds) -> Crowds {
        Crowds {
            bounds,
            members: BTreeSet::new(),
            unproven: BTreeSet::new(),
            networks: BTreeMap::new(),
            sites: BTreeMap::new(),
            networks_by_size: BTreeSet::new(),
            sites_by_size: BTreeSet::new(),
            hand: None,
        }
    }

    pub(super) fn join(&mut self, id: SessionId, network: Network) {
        self.members.insert((network, Member::new(id, false)));
        self.unproven.insert(id);
        let site = network.site();
        let was = self.size_of(network);
        let is = if was > 0 { was + 1 } else { self.counted(of_network(network), self.bounds.per_network) };
        self.resize_network(network, was, is);
        let was = self.size_at(site);
        let is = if was > 0 { was + 1 } else { self.counted(of_site(site), self.bounds.per_site) };
        self.resize_site(site, was, is);
    }

    pub(super) fn leave(&mut self, id: SessionId, network: Network) {
        for is_proven in [false, true] {
            if self.members.remove(&(network, Member::new(id, is_proven))) {
                self.unproven.remove(&id);
                let was = self.size_of(network);
                self.resize_network(network, was, self.kept(was, self.bounds.per_network));
                let was = self.size_at(network.site());
                self.resize_site(network.site(), was, self.kept(was, self.bounds.per_site));
            }
        }
    }

    /// Notes that the homeserver knows the client of a session.
    pub(super) fn prove(&mut self, id: SessionId, network: Network) {
        if self.unproven.remove(&id) {
            self.members.remove(&(network, Member::new(id, false)));
            self.members.insert((network, Member::new(id, true)));
        }
    }

    /// Returns which session ends before one more comes to a network that is, or whose site is, at its bound.
    pub(super) fn over_bounds(
        &mut self,
        newcomer: Network,
        heard: impl Fn(SessionId) -> Option<Instant>,
    ) -> Option<SessionId> {
        if newcomer.is_alone() {
            None
        } else if self.size_of(newcomer) >= self.bounds.per_network {
            self.least(of_network(newcomer), heard).map(Member::id)
        } else if self.size_at(newcomer.site()) >= self.bounds.per_site {
            self.least_at(newcomer.site(), heard).map(Member::id)
        } else {
            None
        }
    }

    /// Returns which session ends, with all places taken, before any that has been silent for long.
    pub(super) fn before_the_silent(
        &mut self,
        newcomer: Network,
        heard: impl Fn(SessionId) -> Option<Instant>,
    ) -> Option<SessionId> {
        let Some((_, site)) = self.heaviest() else { return self.unproven.first().copied() };
        match self.least_at(site, &heard) {
            Some(least) if !least.is_proven() => Some(least.id()),
            // One more of a crowd takes the place of its own first, however many others there are
            // of another site.
            Some(least) if self.size_at(newcomer.site()) >= CROWD => {
                let own = self.least_at(newcomer.site(), &heard).filter(|own| !own.is_proven());
                Some(own.unwrap_or(least).id())
            }
            _ => self.unproven.first().copied(),
        }
    }

    /// Returns which session ends, with all places taken, if none has been silent for long.
    pub(super) fn after_the_silent(
        &mut self,
        heard: impl Fn(SessionId) -> Option<Instant>,
    ) -> Option<SessionId> {
        let (_, site) = self.heaviest()?;
        self.least_at(site, heard).map(Member::id)
    }

    fn heaviest(&self) -> Option<(usize, Site)> {
        self.sites_by_size.last().copied().filter(|(size, _)| *size >= CROWD)
    }

    fn least_at(&mut self, site: Site, heard: impl Fn(SessionId) -> Option<Instant>) -> Option<Member> {
        let networks = site.networks();
        let all = (site, 0, *networks.start())..=(site, usize::MAX, *networks.end());
        match self.networks_by_size.range(all).next_back() {
            Some((_, size, network)) if *size >= CROWD => self.least(of_network(*network), heard),
            _ => self.least(of_site(site), heard),
        }
    }

    fn least(
        &mut self,
        range: RangeInclusive<(Network, Member)>,
        heard: impl Fn(SessionId) -> Option<Instant>,
    ) -> Option<Member> {
        let first = self.members.range(range.clone()).next()?;
        if !first.1.is_proven() {
            return Some(first.1);
        }
        let after = self.hand.filter(|hand| range.contains(hand)).unwrap_or(*first);
        let rest = self.members.range((Excluded(after), Included(*range.end())));
        let looks: Vec<_> = rest.chain(self.members.range(range)).take(LOOKS).copied().collect();
        self.hand = looks.last().copied();
        let worth = |member: &Member| (member.is_proven(), heard(member.id()), Reverse(member.id()));
        looks.into_iter().map(|(_, member)| member).min_by_key(worth)
    }

    /// Returns the size of a network as far as it matters: 0 below a crowd.
    fn size_of(&self, network: Network) -> usize {
        self.networks.get(&network).copied().unwrap_or(0)
    }
    fn size_at(&self, site: Site) -> usize {
        self.sites.get(&site).copied().unwrap_or(0)
    }

    fn counted(&self, range: RangeInclusive<(Network, Member)>, bound: usize) -> usize {
        let crowd = CROWD.min(bound);
        let count = self.members.range(range).take(crowd).count();
        if count < crowd { 0 } else { count }
    }

    fn kept(&self, was: usize, bound: usize) -> usize {
        let is = was.saturating_sub(1);
        if is < CROWD.min(bound) { 0 } else { is }
    }

    fn resize_network(&mut self, network: Network, was: usize, is: usize) {
        let site = network.site();
        if was > 0 {
            self.networks.remove(&network);
            self.networks_by_size.remove(&(site, was, network));
        }
        if is > 0 {
            self.networks.insert(network, is);
            self.networks_by_size.insert((site, is, network));
        }
    }

    fn resize_site(&mut self, site: Site, was: usize, is: usize) {
        if was > 0 {
            self.sites.remove(&site);
            self.sites_by_size.remove(&(was, site));
        }
        if is > 0 {
            self.sites.insert(site, is);
            self.sites_by_size.insert((is, site));
        }
    }
}

fn of_network(network: Network) -> RangeInclusive<(Network, Member)> {
    (network, Member::FIRST)..=(network, Member::LAST)
}

fn of_site(site: Site) -> RangeInclusive<(Network, Member)> {
    let networks = site.networks();
    (*networks.start(), Member::FIRST)..=(*networks.end(), Member::LAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { total: 1000, per_network: 30, per_site: 50 };

    /// Makes a network; four of them are a site.
    fn network(number: u32) -> Network {
        let (site, last) = (number / 4, number % 4);
        Network::of(std::net::Ipv4Addr::from_bits(0xc000_0200 + site * 256 + last).into())
    }

    #[test]
    fn of_the_proven_ones_all_are_looked_at_in_turn() {
        let mut crowds = Crowds::new(BOUNDS);
        let start = Instant::now();
        for id in 0..30 {
            crowds.join(SessionId(id), network(0));
            crowds.prove(SessionId(id), network(0));
        }
        // The higher its number, the longer a session has been silent; sessions that come later have just
        // been heard.
        let heard = |id: SessionId| Some(start - std::time::Duration::from_secs(id.0 % 100));
        let mut gone = Vec::new();
        for newer in [100, 200, 300].map(SessionId) {
            let least = crowds.over_bounds(network(0), heard).unwrap();
            crowds.leave(least, network(0));
            gone.push(least.0);
            crowds.join(newer, network(0));
            crowds.prove(newer, network(0));
        }
        // Least of 1 to 16; of 17 to 29, the newest, 0 and 1; of 2 to 18.
        assert_eq!(gone, [16, 29, 18]);
    }

    proptest! {
        #[test]
        fn crowds_are_counted_and_all_is_given_back(
            steps in prop::collection::vec((0_u64..150, 0_u32..8, 0_u8..4), 1..300)
        ) {
            let mut crowds = Crowds::new(BOUNDS);
            let mut there: BTreeMap<u64, Network> = BTreeMap::new();
            for (id, number, what) in steps {
                match there.get(&id).copied() {
                    None => {
                        crowds.join(SessionId(id), network(number));
                        there.insert(id, network(number));
                    }
                    Some(network) if what == 0 => {
                        crowds.leave(SessionId(id), network);
                        there.remove(&id);
                    }
                    Some(network) => crowds.prove(SessionId(id), network),
                }
                let many = |count: usize| if count < CROWD { 0 } else { count };
                let network = there.get(&id).copied().unwrap_or(network(number));
                let of_network = there.values().filter(|of| **of == network).count();
                let of_site = there.values().filter(|of| of.site() == network.site()).count();
                prop_assert_eq!(crowds.size_of(network), many(of_network));
                prop_assert_eq!(crowds.size_at(network.site()), many(of_site));
            }
            for (id, network) in there {
                crowds.leave(SessionId(id), network);
            }
            prop_assert!(crowds.members.is_empty() && crowds.unproven.is_empty());
            prop_assert!(crowds.networks.is_empty() && crowds.networks_by_size.is_empty());
            prop_assert!(crowds.sites.is_empty() && crowds.sites_by_size.is_empty());
        }
    }
}

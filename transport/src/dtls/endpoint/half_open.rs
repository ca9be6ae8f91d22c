//! Places of handshakes that have not finished, and of hellos that are being gathered: which has one, and
//! which gives it up.
//!
//! A newcomer always gets a place. If all are taken, it gets a place of the network, or site, that has most
//! of them; if all have as many, the oldest place of all. A place whose client has answered our flight goes
//! after every place whose client has not: strangers that send hellos and nothing else push out each other.

use crate::SessionId;
use crate::shares::{Bounds, Network, Pool};

pub(super) struct HalfOpen {
    places: Pool<Place>,
}

/// A place, ordered by worth, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_answered: bool,
    id: SessionId,
}

impl HalfOpen {
    pub(super) fn new(bounds: Bounds) -> HalfOpen {
        HalfOpen { places: Pool::new(bounds) }
    }

    /// Gives a place, and returns which handshakes have lost theirs.
    pub(super) fn enter(&mut self, id: SessionId, network: Network) -> Vec<SessionId> {
        let mut gone = Vec::new();
        while let Some(victim) = self.victim(network) {
            self.places.remove(victim);
            gone.push(victim.id);
        }
        self.places.set(Place { is_answered: false, id }, network, 1);
        gone
    }

    fn victim(&self, newcomer: Network) -> Option<Place> {
        let yields = self.places.yields_to(newcomer, 1)?;
        let bounds = self.places.bounds();
        let is_at_its_own_bound = !newcomer.is_alone()
            && (self.places.held_in(newcomer) >= bounds.per_network
                || self.places.held_at(newcomer.site()) >= bounds.per_site);
        if !is_at_its_own_bound && self.places.held_at(yields.site()) == 1 {
            self.places.oldest()
        } else {
            self.places.heaviest_in(yields)
        }
    }

    /// Notes that the client of a handshake has answered the flight.
    pub(super) fn answered(&mut self, id: SessionId, network: Network) {
        let place = Place { is_answered: false, id };
        if self.places.held_by(place) > 0 {
            self.places.remove(place);
            self.places.set(Place { is_answered: true, id }, network, 1);
        }
    }

    pub(super) fn leave(&mut self, id: SessionId) {
        self.places.remove(Place { is_answered: false, id });
        self.places.remove(Place { is_answered: true, id });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    fn half_open(total: usize, per_network: usize, per_site: usize) -> HalfOpen {
        HalfOpen::new(Bounds { total, per_network, per_site })
    }

    #[test]
    fn the_oldest_of_the_heaviest_network_gives_way() {
        let mut places = half_open(4, 4, 4);
        for (id, address) in [(1, "192.0.2.1"), (2, "198.51.100.1"), (3, "198.51.100.1"), (4, "203.0.113.1")]
        {
            assert_eq!(places.enter(SessionId(id), network(address)), []);
        }
        assert_eq!(places.enter(SessionId(5), network("203.0.114.1")), [SessionId(2)]);
        // Now all networks have as many.
        assert_eq!(places.enter(SessionId(6), network("203.0.115.1")), [SessionId(1)]);
    }

    #[test]
    fn who_has_answered_stays_while_another_has_not() {
        let mut places = half_open(10, 2, 10);
        let office = network("192.0.2.1");
        for id in 1..=2 {
            assert_eq!(places.enter(SessionId(id), office), []);
        }
        places.answered(SessionId(1), office);
        assert_eq!(places.enter(SessionId(3), office), [SessionId(2)]);
        places.answered(SessionId(3), office);
        assert_eq!(places.enter(SessionId(4), office), [SessionId(1)]);
        assert_eq!(places.enter(SessionId(5), office), [SessionId(4)]);
    }

    #[test]
    fn a_place_that_was_left_is_free() {
        let mut places = half_open(2, 2, 2);
        places.enter(SessionId(1), network("192.0.2.1"));
        places.enter(SessionId(2), network("192.0.2.2"));
        places.answered(SessionId(2), network("192.0.2.2"));
        places.leave(SessionId(1));
        places.leave(SessionId(2));
        assert_eq!(places.places.total(), 0);
        // An answer that comes too late takes no place.
        places.answered(SessionId(2), network("192.0.2.2"));
        assert_eq!(places.places.total(), 0);
    }

    #[test]
    fn the_smallest_bounds_leave_room_for_the_newest() {
        let mut places = half_open(1, 1, 1);
        assert_eq!(places.enter(SessionId(1), network("192.0.2.1")), []);
        assert_eq!(places.enter(SessionId(2), network("2001:db8::1")), [SessionId(1)]);
        assert_eq!(places.enter(SessionId(3), network("2001:db8::2")), [SessionId(2)]);
    }
}

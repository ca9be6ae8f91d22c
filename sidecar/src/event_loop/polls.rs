//! Long polls that wait, and which of them is worth least: that one is answered early when another request
//! needs its place.

use lowband_transport::shares::{Bounds, Network, Pool};
use lowband_transport::{ExchangeId, SessionId};
use std::collections::BTreeSet;

/// All polls that may be answered before their time: nothing has come for them yet.
#[derive(Debug)]
pub(super) struct Polls {
    /// The polls by session, the oldest first.
    waiting: BTreeSet<(SessionId, ExchangeId)>,
    counts: Pool<SessionId>,
}

impl Polls {
    pub(super) fn new() -> Polls {
        // Places are limited elsewhere: this pool only knows which session has most.
        let bounds = Bounds { total: usize::MAX, per_network: usize::MAX, per_site: usize::MAX };
        Polls { waiting: BTreeSet::new(), counts: Pool::new(bounds) }
    }

    pub(super) fn add(&mut self, session: SessionId, network: Network, exchange: ExchangeId) {
        if self.waiting.insert((session, exchange)) {
            self.counts.set(session, network, self.counts.held_by(session) + 1);
        }
    }

    /// Removes a poll that has been answered, or that no client waits for any more.
    pub(super) fn remove(&mut self, session: SessionId, exchange: ExchangeId) {
        if self.waiting.remove(&(session, exchange)) {
            match self.counts.held_by(session) {
                0 | 1 => self.counts.remove(session),
                held => self.counts.set(session, Network::alone(session.0), held - 1),
            }
        }
    }

    /// Returns the oldest poll of the session that has most, in this network.
    pub(super) fn of_network(&self, network: Network) -> Option<(SessionId, ExchangeId)> {
        let session = self.counts.heaviest_in(network)?;
        self.waiting.range((session, ExchangeId(0))..).next().copied().filter(|(found, _)| *found == session)
    }

    /// Returns the oldest poll of the session that has most, in the network that has most.
    pub(super) fn of_all(&self) -> Option<(SessionId, ExchangeId)> {
        self.of_network(self.counts.heaviest_network()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn network(site: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(site << 8).into())
    }

    fn ids(poll: Option<(SessionId, ExchangeId)>) -> Option<(u64, u64)> {
        poll.map(|(session, exchange)| (session.0, exchange.0))
    }

    #[test]
    fn the_oldest_poll_of_who_has_most_is_worth_least() {
        let mut polls = Polls::new();
        assert_eq!((polls.of_all(), polls.of_network(network(1))), (None, None));
        for (session, site, exchange) in
            [(1, 1, 10), (2, 1, 11), (3, 2, 12), (2, 1, 13), (3, 2, 14), (3, 2, 15), (4, 1, 9), (4, 1, 8)]
        {
            polls.add(SessionId(session), network(site), ExchangeId(exchange));
        }
        assert_eq!(ids(polls.of_network(network(2))), Some((3, 12)));
        assert_eq!(ids(polls.of_network(network(1))), Some((2, 11)));
        assert_eq!(ids(polls.of_all()), Some((2, 11)));
        polls.remove(SessionId(2), ExchangeId(11));
        polls.remove(SessionId(2), ExchangeId(11));
        assert_eq!(ids(polls.of_network(network(1))), Some((4, 8)));
        polls.remove(SessionId(4), ExchangeId(8));
        polls.remove(SessionId(4), ExchangeId(9));
        assert_eq!(ids(polls.of_all()), Some((3, 12)));
        for (session, exchange) in [(3, 12), (3, 14), (3, 15), (1, 10), (2, 13)] {
            polls.remove(SessionId(session), ExchangeId(exchange));
        }
        assert_eq!((polls.of_all(), polls.waiting.len(), polls.counts.total()), (None, 0, 0));
    }
}

//! Decides whose turn it is when datagrams arrive faster than they are handled.
//!
//! ```text
//! a batch that is not full: all have been handled  ->  each peer has its whole share again, and no peer is counted
//! a batch that is full: more are waiting           ->  of each peer no more than its share, until the round is over
//! ```
//!
//! The system keeps waiting datagrams in one queue, in order of arrival: the peer that sends most would fill
//! most of it, and the datagrams of the others would wait behind or find no room. Dropping a datagram unread
//! costs a small part of what it costs to decrypt and answer it, so the queue is worked through quickly.
//! Shares go by the peer's address, before anything is proven: an attacker that forges an address can take
//! the turn of its owner, but only while it sends more than can be handled, when that turn would be in danger
//! anyway.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Datagrams of a round, some milliseconds of work.
const ROUND: usize = 512;
/// Least number of datagrams of one peer in a round. A client may send this many at once: its exchanges and
/// as many blocks.
pub const LEAST_SHARE: usize = 64;

/// The state of the current round.
#[derive(Debug)]
pub struct Backlog {
    share: usize,
    is_behind: bool,
    datagrams: usize,
    by_peer: HashMap<SocketAddr, usize>,
}

impl Backlog {
    /// Makes a backlog for peers with up to this many exchanges at once.
    pub fn new(exchanges: usize) -> Backlog {
        let share = exchanges.saturating_mul(2).max(LEAST_SHARE);
        Backlog { share, is_behind: false, datagrams: 0, by_peer: HashMap::new() }
    }

    /// Returns whether the next datagram is to be handled.
    pub fn admits(&mut self, peer: SocketAddr) -> bool {
        if !self.is_behind {
            return true;
        }
        if self.datagrams == ROUND {
            self.begin_round();
        }
        self.datagrams += 1;
        let handled = self.by_peer.entry(peer).or_default();
        *handled += 1;
        *handled <= self.share
    }

    /// Notes that a batch has been received, and whether more datagrams may be waiting.
    pub fn received(&mut self, more: bool) {
        if !more && self.is_behind {
            self.begin_round();
        }
        self.is_behind = more;
    }

    fn begin_round(&mut self) {
        self.datagrams = 0;
        self.by_peer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// Returns how many datagrams of each peer were handled.
    fn handled(backlog: &mut Backlog, from: impl Iterator<Item = SocketAddr>) -> HashMap<SocketAddr, usize> {
        let mut handled = HashMap::new();
        for peer in from {
            if backlog.admits(peer) {
                *handled.entry(peer).or_default() += 1;
            }
        }
        handled
    }

    #[test]
    fn nobody_is_counted_while_all_are_handled_in_time() {
        let mut backlog = Backlog::new(32);
        for _ in 0..100 {
            backlog.received(false);
            assert_eq!(handled(&mut backlog, std::iter::repeat_n(peer(1), 32))[&peer(1)], 32);
        }
        assert!(backlog.by_peer.is_empty());
    }

    #[test]
    fn in_a_flood_of_one_all_others_are_handled_and_he_has_his_share() {
        let mut backlog = Backlog::new(32);
        backlog.received(true);
        // Ten rounds: one modest datagram among fifteen of the flood.
        let datagrams = (0..5120_u16).map(|n| if n % 16 == 0 { peer(2 + n) } else { peer(1) });
        let mut handled = handled(&mut backlog, datagrams);
        assert_eq!(handled.remove(&peer(1)), Some(10 * LEAST_SHARE));
        assert_eq!(handled.values().sum::<usize>(), 320);
    }

    #[test]
    fn who_has_waited_for_the_end_of_the_flood_has_a_whole_share() {
        let mut backlog = Backlog::new(100);
        backlog.received(true);
        assert_eq!(handled(&mut backlog, std::iter::repeat_n(peer(1), 300))[&peer(1)], 200);
        assert!(!backlog.admits(peer(1)) && backlog.admits(peer(2)));
        backlog.received(false);
        assert!(backlog.admits(peer(1)));
        backlog.received(true);
        assert!(backlog.admits(peer(1)));
    }
}

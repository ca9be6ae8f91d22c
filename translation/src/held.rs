//! Requests that have not ended, of one listener on one thread, with the bodies that the host holds for us;
//! decides which one gives way when there are too many.
//!
//! ```text
//! held ──▶ room ───────────────────────────────────────────────▶ it goes on
//!           └─ none ──▶ heaviest network ──▶ its largest request ──▶ another stream's: that is cut, and this one goes on
//!                                                               └──▶ this one: it is refused
//! ```
//!
//! A body that waits has left the windows of HTTP/2, and nothing else counts it over all streams: a stranger
//! could open a thousand and end none. A body that flows costs no more than its stream, but occupies a
//! connection to the homeserver until its end.

use crate::config::Config;
use lowband_shares::{Bounds, Network, Pool};
use std::net::{IpAddr, SocketAddr};

/// Bytes counted for a request besides the held part of its body: about what Envoy needs for a stream.
const STREAM_BYTES: usize = 16 << 10;

/// The requests that have not ended, with their shares.
#[derive(Debug)]
pub struct Held {
    pool: Pool<u32>,
    /// True if each stream has a share of its own because addresses do not identify clients.
    are_alone: bool,
}

/// The consequence of a growing body for other streams and for itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Streams that must be cut to make room.
    pub evicted: Vec<u32>,
    /// True if the growing stream itself must be refused.
    pub refused: bool,
}

impl Default for Held {
    fn default() -> Self {
        Held::new(&Config::default())
    }
}

impl Held {
    /// Makes an empty table. One body of the longest kind always finds room, as nothing else would be served.
    pub fn new(config: &Config) -> Held {
        let longest = config.max_request_bytes.saturating_add(STREAM_BYTES);
        let Bounds { total, per_network, per_site } = Bounds::of(config.max_held_bytes);
        let at_least = |bound: usize| bound.max(longest);
        Held {
            pool: Pool::new(Bounds {
                total: at_least(total),
                per_network: at_least(per_network),
                per_site: at_least(per_site),
            }),
            are_alone: config.trusted,
        }
    }

    /// Returns the network to which a stream is charged, by the host's text for its client's address. Towards
    /// the sidecar each stream is charged to itself: the sidecar has already given out its places by network,
    /// and behind balancers it knows one address for all clients.
    pub fn share(&self, stream: u32, source: impl FnOnce() -> Vec<u8>) -> Network {
        if self.are_alone { Network::alone(stream.into()) } else { network(&source(), stream) }
    }

    /// Notes that the stream's request has not ended and that `bytes` of it wait.
    pub fn wait(&mut self, stream: u32, network: Network, bytes: usize) -> Room {
        let mut room = Room::default();
        let amount = STREAM_BYTES.saturating_add(bytes);
        let more = amount.saturating_sub(self.pool.held_by(stream));
        while let Some(heaviest) = self.pool.yields_to(network, more) {
            match self.pool.heaviest_in(heaviest) {
                Some(other) if other != stream => {
                    self.pool.remove(other);
                    room.evicted.push(other);
                }
                _ => {
                    self.pool.remove(stream);
                    room.refused = true;
                    return room;
                }
            }
        }
        self.pool.set(stream, network, amount);
        room
    }

    /// Removes a stream whose request has ended, together with its held bytes.
    pub fn release(&mut self, stream: u32) {
        self.pool.remove(stream);
    }

    /// Returns the bytes of all streams, including the fixed amount for each.
    pub fn total(&self) -> usize {
        self.pool.total()
    }
}

/// Returns the network to which a stream is charged, by the host's text for its client's address:
/// `192.0.2.1:5000`, `[2001:db8::1]:5000`. A stream without an address has a share of its own.
fn network(source: &[u8], stream: u32) -> Network {
    let text = std::str::from_utf8(source).unwrap_or_default();
    let address = text.parse::<SocketAddr>().map(|peer| peer.ip()).or_else(|_| text.parse::<IpAddr>());
    address.map_or_else(|_| Network::alone(stream.into()), Network::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    fn held(max_held_bytes: usize) -> Held {
        Held::new(&Config { max_held_bytes, max_request_bytes: 48 * KIB, ..Config::default() })
    }

    fn network_of(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(0xc000_0200 + last * 0x1_0000).into())
    }

    #[test]
    fn what_waits_is_bounded_and_a_modest_client_is_always_served() {
        let mut held = held(1024 * KIB);
        let (greedy, modest) = (network_of(1), network_of(2));
        assert_eq!(held.wait(0, modest, KIB), Room::default());
        let mut evicted = 0;
        // Endless streams from one network.
        for stream in 1..10_000 {
            for bytes in [0, 10 * KIB, 40 * KIB] {
                let room = held.wait(stream, greedy, bytes);
                assert!(!room.evicted.contains(&0));
                evicted += room.evicted.len();
                assert!(held.total() <= 1024 * KIB);
            }
        }
        assert!(evicted > 9_000);
        // Its body grows while the others are active, up to the longest allowed.
        assert_eq!(held.wait(0, modest, 48 * KIB), Room::default());
        held.release(0);
    }

    #[test]
    fn of_many_networks_the_heaviest_gives_way_to_a_newcomer() {
        let mut held = held(256 * KIB);
        for (stream, bytes) in [(1, 32 * KIB), (2, 40 * KIB), (3, 48 * KIB), (4, 32 * KIB), (5, 16 * KIB)] {
            assert_eq!(held.wait(stream, network_of(stream), bytes), Room::default());
        }
        assert_eq!(held.wait(6, network_of(6), KIB), Room { evicted: vec![3], refused: false });
        // A stream that grows beyond all others is itself refused.
        let room = held.wait(6, network_of(6), 200 * KIB);
        assert!(room.refused, "{room:?}");
    }

    #[test]
    fn one_of_the_longest_finds_room_whatever_is_set() {
        let mut held = Held::new(&Config { max_held_bytes: 1, ..Config::default() });
        assert_eq!(held.wait(1, network_of(1), 8 << 20), Room::default());
        assert_eq!(held.wait(2, network_of(2), 0), Room { evicted: vec![1], refused: false });
        held.release(2);
        assert_eq!(held.total(), 0);
    }

    #[test]
    fn behind_the_sidecar_clients_of_one_address_do_not_share_a_quarter() {
        for (trusted, refused) in [(false, true), (true, false)] {
            let mut held = Held::new(&Config {
                max_held_bytes: 1024 * KIB,
                max_request_bytes: 48 * KIB,
                trusted,
                ..Config::default()
            });
            // Together they need more than a quarter and less than all.
            let rooms: Vec<_> = (0..16)
                .map(|stream| {
                    let network = held.share(stream, || b"192.0.2.1:5000".to_vec());
                    held.wait(stream, network, 32 * KIB)
                })
                .collect();
            assert_eq!(rooms.iter().any(|room| *room != Room::default()), refused, "{rooms:?}");
        }
    }

    #[test]
    fn a_share_is_that_of_the_clients_network() {
        let alone = Network::alone(7);
        for (text, expected) in [
            ("192.0.2.1:5000", Network::of([192, 0, 2, 1].into())),
            ("[2001:db8::1]:5000", network(b"2001:db8::2", 1)),
            ("[::ffff:192.0.2.1]:80", Network::of([192, 0, 2, 1].into())),
            ("192.0.2.1", Network::of([192, 0, 2, 1].into())),
            ("/run/socket", alone),
            ("", alone),
            ("\u{fc}", alone),
        ] {
            assert_eq!(network(text.as_bytes(), 7), expected, "{text}");
        }
    }
}

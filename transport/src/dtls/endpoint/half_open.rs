//! Accepted handshakes that have not finished, counted by whose address they hang on.

use crate::dtls::table::SeededHash;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Counts in all and per IPv4 address or IPv6 /64, the smallest network that is given to one customer.
pub(super) struct HalfOpen {
    all: usize,
    by_network: HashMap<IpAddr, usize, SeededHash>,
}

impl HalfOpen {
    pub(super) fn new(hash: SeededHash) -> HalfOpen {
        HalfOpen { all: 0, by_network: HashMap::with_hasher(hash) }
    }
    pub(super) fn all(&self) -> usize {
        self.all
    }
    pub(super) fn at(&self, ip: IpAddr) -> usize {
        self.by_network.get(&network(ip)).copied().unwrap_or(0)
    }
    pub(super) fn add(&mut self, ip: IpAddr) {
        self.all += 1;
        *self.by_network.entry(network(ip)).or_default() += 1;
    }
    pub(super) fn remove(&mut self, ip: IpAddr) {
        let network = network(ip);
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

/// IPv4 clients of a socket for both families come as `::ffff:a.b.c.d`: one /64 for the whole IPv4 internet.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ipv6_counts_by_64_bits_and_mapped_ipv4_by_address() {
        let mut half_open = HalfOpen::new(SeededHash([0; 16]));
        half_open.add(ip("2001:db8::1"));
        half_open.add(ip("2001:db8::ffff:1"));
        half_open.add(ip("::ffff:192.0.2.1"));
        assert_eq!(half_open.at(ip("2001:db8::2")), 2);
        assert_eq!(half_open.at(ip("2001:db8:0:1::2")), 0);
        assert_eq!(half_open.at(ip("192.0.2.1")), 1);
        assert_eq!(half_open.at(ip("::ffff:192.0.2.2")), 0);
        assert_eq!(half_open.all(), 3);
        half_open.remove(ip("2001:db8::1"));
        half_open.remove(ip("192.0.2.1"));
        half_open.remove(ip("2001:db8::1"));
        assert_eq!((half_open.all(), half_open.by_network.len()), (0, 0), "nothing is left behind");
    }
}

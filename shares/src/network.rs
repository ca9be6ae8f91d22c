//! The owner of a share: the smallest and the next larger piece of the address space that one customer gets.

use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// The owner of one share: an IPv4 address, an IPv6 /64, or a single session where addresses do not identify
/// clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(Key);

/// The site of a network: an IPv4 /24, an IPv6 /48 (RFC 6177: the end site).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(Key);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key([u8; 9]);

/// The kind with which a key begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    Alone,
}

/// A kind and a number, as bytes: several tables hold one for each session, and an enum would take 16 bytes.
/// The order is that of the numbers.
impl Key {
    fn new(kind: Kind, number: u64) -> Key {
        let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
        Key([kind as u8, a, b, c, d, e, f, g, h])
    }

    fn kind(self) -> Kind {
        let [kind, ..] = self.0;
        [Kind::V4, Kind::V6].into_iter().find(|other| *other as u8 == kind).unwrap_or(Kind::Alone)
    }

    fn number(self) -> u64 {
        let [_, number @ ..] = self.0;
        u64::from_be_bytes(number)
    }

    /// Returns how many bits distinguish the networks of one site.
    fn bits(self) -> u32 {
        match self.kind() {
            Kind::V4 => 8,
            Kind::V6 => 16,
            Kind::Alone => 0,
        }
    }
}

impl Network {
    /// Returns the network of an address. A socket for both families shows IPv4 clients as `::ffff:a.b.c.d`,
    /// which would be one /64 for the whole IPv4 internet.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network(Key::new(Kind::V4, address.to_bits().into())),
            IpAddr::V6(address) => Network(Key::new(Kind::V6, (address.to_bits() >> 64) as u64)),
        }
    }

    /// Returns a share of its own, apart from all addresses: for clients behind a balancer that hides their
    /// addresses. Neither a network's nor a site's bound applies to it.
    pub fn alone(id: u64) -> Network {
        Network(Key::new(Kind::Alone, id))
    }

    /// Returns true for a share made by [`Network::alone`].
    pub fn is_alone(self) -> bool {
        self.0.kind() == Kind::Alone
    }

    /// Returns the site of the network.
    pub fn site(self) -> Site {
        Site(Key::new(self.0.kind(), self.0.number() >> self.0.bits()))
    }
}

impl Site {
    /// Returns the range of the site's networks, in their order.
    pub fn networks(self) -> RangeInclusive<Network> {
        let (kind, bits) = (self.0.kind(), self.0.bits());
        let first = self.0.number() << bits;
        let last = first | ((1 << bits) - 1);
        Network(Key::new(kind, first))..=Network(Key::new(kind, last))
    }
}

/// Addresses shared by many clients: balancers and nodes that put their own address in place of the client's.
/// They have no shares; their clients are distinguished by session alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancers(Vec<IpNet>);

impl Balancers {
    /// Parses networks, each an address or a prefix: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. The error
    /// names the first that is neither.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Balancers, String> {
        let parse = |text: &str| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("{text:?} is neither an address nor a network like 10.0.0.0/8"))
        };
        networks.into_iter().map(parse).collect::<Result<_, _>>().map(Balancers)
    }

    /// Returns true if an address belongs to a balancer.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the network to charge for an address. `id` distinguishes the clients of a balancer.
    pub fn network(&self, address: IpAddr, id: u64) -> Network {
        if self.contains(address) { Network::alone(id) } else { Network::of(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn ipv6_counts_by_64_and_48_bits_and_ipv4_by_address_and_24() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("2001:db8::1").site(), network("2001:db8:0:ffff::1").site());
        assert_ne!(network("2001:db8::1").site(), network("2001:db8:1::1").site());
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("::ffff:192.0.2.1"), network("::ffff:192.0.2.2"));
        assert_eq!(network("192.0.2.1").site(), network("192.0.2.200").site());
        assert_ne!(network("192.0.2.1").site(), network("192.0.3.1").site());
        for of_a_site in ["192.0.2.1", "2001:db8::1"].map(network) {
            assert!(of_a_site.site().networks().contains(&of_a_site));
        }
        let last = network("192.0.2.255");
        assert!(
            last.site().networks().contains(&last) && !last.site().networks().contains(&network("192.0.3.0"))
        );
        // An IPv6 prefix and an IPv4 address with equal bits are different networks.
        assert_ne!(network("::c000:201:0:0:0:1"), network("192.0.2.1"));
    }

    #[test]
    fn a_network_takes_little_room() {
        assert_eq!((size_of::<Network>(), size_of::<(Site, u16, Network)>()), (9, 20));
    }

    #[test]
    fn what_a_balancer_hides_is_told_apart_by_session() {
        let balancers = Balancers::parse(["10.0.0.0/8", "2001:db8::7", "192.0.2.7"]).unwrap();
        for hidden in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7", "192.0.2.7"] {
            let address = hidden.parse().unwrap();
            assert!(balancers.contains(address), "{hidden}");
            assert_ne!(balancers.network(address, 1), balancers.network(address, 2));
            assert!(balancers.network(address, 1).is_alone());
        }
        let seen = "192.0.2.8".parse().unwrap();
        assert_eq!(balancers.network(seen, 1), Network::of(seen));
        assert!(Balancers::default() == Balancers::parse([]).unwrap());
    }

    #[test]
    fn what_is_not_a_network_is_named() {
        for wrong in ["10.0.0.0/33", "example.org", "", "10.0.0", "::/129"] {
            let mistake = Balancers::parse(["10.0.0.0/8", wrong]).unwrap_err();
            assert!(mistake.contains(&format!("{wrong:?}")), "{mistake}");
        }
    }
}

//! What lies below IP in a packet, by the link type of its capture.
//!
//! | link type | before IP |
//! |---|---|
//! | Ethernet | two addresses, tags of 802.1Q and 802.1ad in any number, a type |
//! | Linux cooked v1, v2 | a header with the same types as Ethernet's |
//! | BSD and OpenBSD loopback | number of an address family |
//! | raw IP | nothing |

use crate::bytes::ByteOrder;
use crate::file::LinkType;
use crate::packet::{Kind, PacketFault};

/// Types of Ethernet (IEEE 802 numbers) that are read on.
mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const ARP: u16 = 0x0806;
    /// Tags of 802.1Q and 802.1ad, and what stood for the second before it was settled.
    pub(super) const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    /// Below it, the number is a length (IEEE 802.3).
    pub(super) const LEAST: u16 = 0x0600;
}

/// What was found above the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network<'a> {
    /// A packet of IP of the version that the link tells, or of either if it tells none.
    Ip { version: Option<u8>, bytes: &'a [u8] },
    /// What is not IP.
    Other(Kind),
}

/// Takes off what lies below IP. None if the bytes end before it does.
#[inline]
pub(crate) fn network(link: LinkType, bytes: &[u8]) -> Result<Option<Network<'_>>, PacketFault> {
    Ok(match link {
        LinkType::ETHERNET => typed(bytes, 12),
        // Its last field is the type.
        LinkType::LINUX_SLL => typed(bytes, 14),
        // Its first field is the type, and 18 bytes follow.
        LinkType::LINUX_SLL2 => ByteOrder::Big.u16(bytes, 0).and_then(|kind| of_type(kind, bytes.get(20..)?)),
        LinkType::NULL => loopback(bytes, &[ByteOrder::Little, ByteOrder::Big]),
        LinkType::LOOP => loopback(bytes, &[ByteOrder::Big]),
        // 12 and 14 are DLT_RAW of some systems.
        LinkType::RAW | LinkType(12 | 14) => Some(Network::Ip { version: None, bytes }),
        LinkType::IPV4 => Some(Network::Ip { version: Some(4), bytes }),
        LinkType::IPV6 => Some(Network::Ip { version: Some(6), bytes }),
        other => return Err(PacketFault::LinkType(other)),
    })
}

/// Reads on behind the type at `at`.
#[inline]
fn typed(bytes: &[u8], at: usize) -> Option<Network<'_>> {
    of_type(ByteOrder::Big.u16(bytes, at)?, bytes.get(at + 2..)?)
}

#[inline]
fn of_type(mut kind: u16, mut bytes: &[u8]) -> Option<Network<'_>> {
    // A tag is two bytes that do not matter here, and the type of what follows.
    while ether_type::TAGS.contains(&kind) {
        kind = ByteOrder::Big.u16(bytes, 2)?;
        bytes = bytes.get(4..)?;
    }
    Some(match kind {
        ether_type::IPV4 => Network::Ip { version: Some(4), bytes },
        ether_type::IPV6 => Network::Ip { version: Some(6), bytes },
        ether_type::ARP => Network::Other(Kind::Arp),
        length if length < ether_type::LEAST => Network::Other(Kind::Llc),
        other => Network::Other(Kind::EtherType(other)),
    })
}

fn loopback<'a>(bytes: &'a [u8], orders: &[ByteOrder]) -> Option<Network<'a>> {
    /// Largest number of an address family; the wrong byte order gives larger ones.
    const LARGEST: u32 = 0xffff;
    let family = orders.iter().filter_map(|order| order.u32(bytes, 0)).min()?;
    let bytes = bytes.get(4..)?;
    Some(match family {
        2 => Network::Ip { version: Some(4), bytes },
        // Linux; NetBSD and OpenBSD; FreeBSD; macOS.
        10 | 24 | 28 | 30 => Network::Ip { version: Some(6), bytes },
        other => Network::Other(Kind::Family(other.min(LARGEST))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: [u8; 4] = [0x45, 0, 0, 4];

    fn read(link: LinkType, before: &[u8]) -> Option<Network<'static>> {
        let bytes: &'static [u8] = Box::leak([before, &IP].concat().into_boxed_slice());
        network(link, bytes).unwrap()
    }

    fn ip(version: Option<u8>) -> Option<Network<'static>> {
        Some(Network::Ip { version, bytes: &IP })
    }

    fn ethernet(kinds: &[u8]) -> Option<Network<'static>> {
        read(LinkType::ETHERNET, &[&[2; 12], kinds].concat())
    }

    #[test]
    fn ethernet_is_read_with_tags_in_any_number() {
        assert_eq!(ethernet(&[8, 0]), ip(Some(4)));
        assert_eq!(ethernet(&[0x86, 0xdd]), ip(Some(6)));
        assert_eq!(ethernet(&[0x81, 0, 0x20, 5, 8, 0]), ip(Some(4)));
        assert_eq!(ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 5, 0x86, 0xdd]), ip(Some(6)));
        assert_eq!(ethernet(&[0x91, 0, 0, 7, 0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0]), ip(Some(4)));
        assert_eq!(ethernet(&[8, 6]), Some(Network::Other(Kind::Arp)));
        assert_eq!(ethernet(&[0x81, 0, 0, 7, 0x88, 0xcc]), Some(Network::Other(Kind::EtherType(0x88cc))));
        assert_eq!(ethernet(&[0, 0x26]), Some(Network::Other(Kind::Llc)));
        // Tags without end.
        assert_eq!(network(LinkType::ETHERNET, &[0x81, 0].repeat(40)), Ok(None));
        assert_eq!(network(LinkType::ETHERNET, &[2; 13]), Ok(None));
    }

    #[test]
    fn linux_cooked_is_read_in_both_versions() {
        let v1 = [&[0, 4, 3, 4, 0, 6][..], &[2; 8]].concat();
        assert_eq!(read(LinkType::LINUX_SLL, &[&v1[..], &[8, 0]].concat()), ip(Some(4)));
        assert_eq!(read(LinkType::LINUX_SLL, &[&v1[..], &[0x81, 0, 0, 1, 0x86, 0xdd]].concat()), ip(Some(6)));
        let v2 = [&[0, 0, 0, 0, 0, 2, 0, 1, 4, 6][..], &[2; 8]].concat();
        assert_eq!(read(LinkType::LINUX_SLL2, &[&[0x86, 0xdd][..], &v2].concat()), ip(Some(6)));
        assert_eq!(read(LinkType::LINUX_SLL2, &[&[8, 0][..], &v2].concat()), ip(Some(4)));
        assert_eq!(network(LinkType::LINUX_SLL2, &[8, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn loopback_is_read_in_either_byte_order() {
        for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
            assert_eq!(read(LinkType::NULL, &family), ip(Some(4)));
        }
        for family in [10, 24, 28, 30] {
            assert_eq!(read(LinkType::NULL, &[family, 0, 0, 0]), ip(Some(6)));
            assert_eq!(read(LinkType::LOOP, &[0, 0, 0, family]), ip(Some(6)));
        }
        assert_eq!(read(LinkType::NULL, &[16, 0, 0, 0]), Some(Network::Other(Kind::Family(16))));
        // OpenBSD's has one order.
        assert_eq!(read(LinkType::LOOP, &[2, 0, 0, 0]), Some(Network::Other(Kind::Family(0xffff))));
    }

    #[test]
    fn raw_ip_has_nothing_before_it_and_other_links_are_named() {
        for (number, version) in [(101, None), (12, None), (14, None), (228, Some(4)), (229, Some(6))] {
            assert_eq!(read(LinkType(number), &[]), ip(version));
        }
        let fault = network(LinkType(105), &IP).unwrap_err();
        assert_eq!(fault.to_string(), "packets of 802.11 (link type 105) are not read");
    }
}

//! What a packet is that holds no datagram of UDP, or none that can be read.

use crate::file::LinkType;
use std::fmt::{self, Display};
use thiserror::Error;

/// A kind of packet that is not UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// ARP, the question who has an address.
    Arp,
    /// Frames of IEEE 802.3 with a length instead of a type.
    Llc,
    /// Another type of Ethernet, by its number.
    EtherType(u16),
    /// Another address family of a loopback, by its number.
    Family(u32),
    /// Another protocol over IP, by its number.
    Protocol(u8),
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Arp => f.write_str("ARP"),
            Kind::Llc => f.write_str("802.3"),
            Kind::EtherType(number) => write!(f, "Ethernet type 0x{number:04x}"),
            Kind::Family(number) => write!(f, "address family {number}"),
            Kind::Protocol(1) => f.write_str("ICMP"),
            Kind::Protocol(2) => f.write_str("IGMP"),
            Kind::Protocol(6) => f.write_str("TCP"),
            Kind::Protocol(58) => f.write_str("ICMPv6"),
            Kind::Protocol(132) => f.write_str("SCTP"),
            Kind::Protocol(number) => write!(f, "IP protocol {number}"),
        }
    }
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketFault {
    /// The capture is of a link that is not known here.
    #[error("packets of {0} are not read")]
    LinkType(LinkType),
    /// The headers are not all in the capture, which kept the first bytes only.
    #[error("the capture kept too few bytes of it")]
    CutShort,
    /// The packet is shorter than its headers.
    #[error("shorter than its headers")]
    TooShort,
    /// The version of IP is not 4 or 6, or not the one that the link tells.
    #[error("not of the version of IP that it should be")]
    IpVersion,
    /// The length that IP tells is less than its header, or more than there was.
    #[error("the length in its IP header is impossible")]
    IpLength,
    /// The length that UDP tells is less than its header, or more than IP carried.
    #[error("the length in its UDP header is impossible")]
    UdpLength,
    /// The length of a fragment is not a multiple of 8, or it reaches beyond what IP can carry.
    #[error("the length of a fragment is impossible")]
    FragmentLength,
    /// The fragment contradicts another one of its datagram. The datagram is given up.
    #[error("fragments overlap")]
    FragmentsOverlap,
    /// The other fragments did not come within [`crate::datagrams::LONGEST_WAIT`], or before the capture
    /// ended.
    #[error("other fragments of its datagram are missing")]
    FragmentsMissing,
    /// More waited than [`crate::datagrams::MOST_DATAGRAMS`] or [`crate::datagrams::MOST_BYTES`] allow, and
    /// this one for the longest time.
    #[error("more fragments wait for the rest of their datagrams than are kept")]
    FragmentsTooMany,
    /// A fragment before it, or after it, made its datagram unreadable.
    #[error("a fragment of a datagram that was given up")]
    FragmentGivenUp,
}

//! Packets of a capture in, UDP datagrams out.
//!
//! ```text
//! Packet -> link: what lies below IP -> ip: IPv4, IPv6 and its headers -> whole? -> UDP -> Found::Datagram
//!                                                            fragments <- a part    -> not UDP: Found::Other
//! ```
//!
//! Deliberately absent: tunnels (GRE, VXLAN, PPPoE), checksums, which a host that captures
//! what it sends often sees before its network card has filled them in, and IPsec.

use crate::datagram::Datagram;
use crate::file::{LinkType, Packet};
use crate::fragments::{Fragments, Key};
use crate::ip::{self, Captured, Carried, protocol};
use crate::link::{self, Network};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use thiserror::Error;

pub use crate::fragments::{LONGEST_WAIT, MOST_BYTES, MOST_DATAGRAMS};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A datagram of UDP.
    Datagram(Datagram<'a>),
    /// Something that is well and not UDP.
    Other {
        /// Number of the packet.
        frame: u64,
        /// What it is.
        kind: Kind,
    },
    /// A packet that cannot be read.
    Unreadable {
        /// Number of the packet.
        frame: u64,
        /// What is wrong with it.
        why: PacketFault,
    },
}

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
    /// The other fragments did not come within [`LONGEST_WAIT`], or before the capture ended.
    #[error("other fragments of its datagram are missing")]
    FragmentsMissing,
    /// More waited than [`MOST_DATAGRAMS`] or [`MOST_BYTES`] allow, and this one for the longest time.
    #[error("fragments of more than {MOST_DATAGRAMS} datagrams, or {MOST_BYTES} bytes")]
    FragmentsTooMany,
    /// A fragment before it, or after it, made its datagram unreadable.
    #[error("a fragment of a datagram that was given up")]
    FragmentGivenUp,
}

/// Finds the datagrams in packets.
#[derive(Default)]
pub struct Datagrams {
    fragments: Fragments,
}

impl fmt::Debug for Datagrams {
    // Without the fragments that wait.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").finish_non_exhaustive()
    }
}

impl Datagrams {
    /// Makes one that waits for no fragments.
    pub fn new() -> Datagrams {
        Datagrams::default()
    }

    /// Takes the next packet of the capture. `found` gets what it is; nothing for a fragment that waits for
    /// others, and more for one that others are given up with.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>, found: &mut impl FnMut(Found<'_>)) {
        self.fragments.expire(packet.time, &mut |(frame, why)| found(Found::Unreadable { frame, why }));
        match self.read(packet, found) {
            Ok(Some(kind)) => found(Found::Other { frame: packet.frame, kind }),
            Ok(None) => {}
            Err(why) => found(Found::Unreadable { frame: packet.frame, why }),
        }
    }

    /// Tells of the fragments that still wait, at the end of the capture.
    pub fn finish(&mut self, found: &mut impl FnMut(Found<'_>)) {
        self.fragments.finish(&mut |(frame, why)| found(Found::Unreadable { frame, why }));
    }

    #[inline]
    fn read(
        &mut self,
        packet: &Packet<'_>,
        found: &mut impl FnMut(Found<'_>),
    ) -> Result<Option<Kind>, PacketFault> {
        let whole = Captured { bytes: packet.bytes, length: packet.length };
        let (version, bytes) = match link::network(packet.link, packet.bytes)?.ok_or(whole.too_short())? {
            Network::Other(kind) => return Ok(Some(kind)),
            Network::Ip { version, bytes } => (version, bytes),
        };
        let below = packet.bytes.len() - bytes.len();
        let carried = ip::read(version, Captured { bytes, length: packet.length.saturating_sub(below) })?;
        if let Some(fragment) = carried.fragment {
            return self.assemble(packet, &carried, fragment, found);
        }
        if carried.protocol != protocol::UDP {
            return Ok(Some(Kind::Protocol(carried.protocol)));
        }
        let udp = ip::udp(carried.payload)?;
        let payload = udp.payload.bytes;
        // Both are slices of the packet: what lies between their beginnings is what was taken off.
        let before = (payload.as_ptr() as usize).saturating_sub(packet.bytes.as_ptr() as usize);
        found(Found::Datagram(Datagram {
            frame: packet.frame,
            offset: Some(packet.offset + before as u64),
            time: packet.time,
            from: SocketAddr::new(carried.from, udp.from),
            to: SocketAddr::new(carried.to, udp.to),
            payload,
            length: udp.payload.length,
        }));
        Ok(None)
    }

    fn assemble(
        &mut self,
        packet: &Packet<'_>,
        carried: &Carried<'_>,
        fragment: ip::Fragment,
        found: &mut impl FnMut(Found<'_>),
    ) -> Result<Option<Kind>, PacketFault> {
        let is_ipv4 = carried.from.is_ipv4();
        if is_ipv4 && carried.protocol != protocol::UDP {
            return Ok(Some(Kind::Protocol(carried.protocol)));
        }
        let protocol = if is_ipv4 { carried.protocol } else { 0 };
        let key = Key { from: carried.from, to: carried.to, id: fragment.id, protocol };
        let told = &mut |(frame, why)| found(Found::Unreadable { frame, why });
        if carried.payload.is_cut() {
            self.fragments.refuse(key, packet.time, told);
            return Err(PacketFault::CutShort);
        }
        let place = (packet.frame, packet.time);
        let Some(whole) = self.fragments.take(key, fragment, carried.payload.bytes, place, told) else {
            return Ok(None);
        };
        let whole = Captured { bytes: whole, length: whole.len() };
        let (protocol, inner, payload) =
            if is_ipv4 { (protocol, None, whole) } else { ip::walk_headers(carried.protocol, whole)? };
        match protocol {
            // A fragment within fragments: nobody sends that.
            _ if inner.is_some() => return Err(PacketFault::FragmentLength),
            protocol::UDP => {}
            other => return Ok(Some(Kind::Protocol(other))),
        }
        let udp = ip::udp(payload)?;
        found(Found::Datagram(Datagram {
            frame: packet.frame,
            offset: None,
            time: packet.time,
            from: SocketAddr::new(carried.from, udp.from),
            to: SocketAddr::new(carried.to, udp.to),
            payload: udp.payload.bytes,
            length: udp.payload.length,
        }));
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

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
use crate::file::Packet;
use crate::fragments::{Fragments, Key};
use crate::ip::{self, Captured, Carried, protocol};
use crate::link::{self, Network};
use std::fmt;
use std::net::SocketAddr;

pub use crate::fragments::{LONGEST_WAIT, MOST_BYTES, MOST_DATAGRAMS};
pub use crate::packet::{Kind, PacketFault};

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

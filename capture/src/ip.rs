//! IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200), UDP (RFC 768).
//!
//! Lengths are those of the headers, so what an Ethernet has padded is left out. A capture may hold less than
//! was on the wire; then the length says how much there was.

use crate::bytes::ByteOrder;
use crate::packet::PacketFault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Numbers of protocols and extension headers (IANA, "Assigned Internet Protocol Numbers").
pub(crate) mod protocol {
    pub(crate) const UDP: u8 = 17;
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    /// Mobility, Host Identity, Shim6: headers of the same shape.
    pub(super) const OTHERS: [u8; 3] = [135, 139, 140];
}

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;

/// Bytes as they were captured, and how many there were on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Captured<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) length: usize,
}

impl<'a> Captured<'a> {
    /// Returns what is behind the first `count` bytes.
    fn behind(self, count: usize) -> Result<Captured<'a>, PacketFault> {
        let bytes = self.bytes.get(count..).ok_or(self.too_short())?;
        Ok(Captured { bytes, length: self.length.saturating_sub(count) })
    }

    /// Returns the first `length` bytes; None if there were fewer on the wire.
    fn first(self, length: usize) -> Option<Captured<'a>> {
        let bytes = self.bytes.get(..length).unwrap_or(self.bytes);
        (length <= self.length).then_some(Captured { bytes, length })
    }

    fn u8(self, at: usize) -> Result<u8, PacketFault> {
        self.bytes.get(at).copied().ok_or(self.too_short())
    }

    fn u16(self, at: usize) -> Result<u16, PacketFault> {
        ByteOrder::Big.u16(self.bytes, at).ok_or(self.too_short())
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], PacketFault> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(self.too_short())
    }

    /// Returns why a header does not fit: it was not kept, or it was not there.
    pub(crate) fn too_short(self) -> PacketFault {
        if self.is_cut() { PacketFault::CutShort } else { PacketFault::TooShort }
    }

    pub(crate) fn is_cut(self) -> bool {
        self.bytes.len() < self.length
    }
}

/// What IP carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    /// Number of the protocol; of a fragment of IPv6 it may be that of an extension header.
    pub(crate) protocol: u8,
    /// Set if the payload is a part of something.
    pub(crate) fragment: Option<Fragment>,
    pub(crate) payload: Captured<'a>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    /// Bytes before it.
    pub(crate) offset: usize,
    /// False for the last one.
    pub(crate) has_more: bool,
}

impl Fragment {
    fn of(id: u32, offset: usize, has_more: bool) -> Option<Fragment> {
        // One that is the whole (RFC 8200 section 4.5) is not a part.
        (offset > 0 || has_more).then_some(Fragment { id, offset, has_more })
    }
}

/// Reads a packet of IP; `version` is the one that the link told, if it did.
#[inline]
pub(crate) fn read(version: Option<u8>, packet: Captured<'_>) -> Result<Carried<'_>, PacketFault> {
    let own = packet.u8(0)? >> 4;
    match own {
        _ if version.is_some_and(|told| told != own) => Err(PacketFault::IpVersion),
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => Err(PacketFault::IpVersion),
    }
}

#[inline]
fn ipv4(packet: Captured<'_>) -> Result<Carried<'_>, PacketFault> {
    let header = usize::from(packet.u8(0)? & 0x0f) * 4;
    let total = match usize::from(packet.u16(2)?) {
        // The network card was to cut it and to fill this in.
        0 => packet.length,
        total => total,
    };
    if header < IPV4_HEADER || total < header {
        return Err(PacketFault::IpLength);
    }
    let whole = packet.first(total).ok_or(PacketFault::IpLength)?;
    let (id, flags) = (packet.u16(4)?, packet.u16(6)?);
    Ok(Carried {
        from: Ipv4Addr::from(packet.array::<4>(12)?).into(),
        to: Ipv4Addr::from(packet.array::<4>(16)?).into(),
        protocol: packet.u8(9)?,
        fragment: Fragment::of(u32::from(id), usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0),
        payload: whole.behind(header)?,
    })
}

#[inline]
fn ipv6(packet: Captured<'_>) -> Result<Carried<'_>, PacketFault> {
    let (from, to) = (packet.array::<16>(8)?, packet.array::<16>(24)?);
    let next = packet.u8(6)?;
    let rest = packet.behind(IPV6_HEADER)?;
    let payload = match usize::from(packet.u16(4)?) {
        // Longer than 16 bits say (RFC 2675), or cut by the network card.
        0 => rest,
        length => rest.first(length).ok_or(PacketFault::IpLength)?,
    };
    let (protocol, fragment, payload) = walk_headers(next, payload)?;
    Ok(Carried {
        from: Ipv6Addr::from(from).into(),
        to: Ipv6Addr::from(to).into(),
        protocol,
        fragment,
        payload,
    })
}

/// Goes over the extension headers of IPv6 (RFC 8200 section 4) until a protocol or a fragment comes.
pub(crate) fn walk_headers(
    mut next: u8,
    mut rest: Captured<'_>,
) -> Result<(u8, Option<Fragment>, Captured<'_>), PacketFault> {
    use protocol::{AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, OTHERS, ROUTING};
    loop {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION => 8 + 8 * usize::from(rest.u8(1)?),
            header if OTHERS.contains(&header) => 8 + 8 * usize::from(rest.u8(1)?),
            // Counted in 4 bytes, less two (RFC 4302 section 2.2).
            AUTHENTICATION => 8 + 4 * usize::from(rest.u8(1)?),
            FRAGMENT => {
                let (position, id) = (rest.u16(2)?, u32::from_be_bytes(rest.array(4)?));
                let fragment = Fragment::of(id, usize::from(position & 0xfff8), position & 1 != 0);
                if fragment.is_some() {
                    return Ok((rest.u8(0)?, fragment, rest.behind(8)?));
                }
                8
            }
            protocol => return Ok((protocol, None, rest)),
        };
        next = rest.u8(0)?;
        rest = rest.behind(length)?;
    }
}

/// What UDP carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp<'a> {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) payload: Captured<'a>,
}

/// Takes off the header of UDP.
#[inline]
pub(crate) fn udp(datagram: Captured<'_>) -> Result<Udp<'_>, PacketFault> {
    let (from, to) = (datagram.u16(0)?, datagram.u16(2)?);
    let length = match usize::from(datagram.u16(4)?) {
        // Longer than 16 bits say (RFC 2675 section 4), or cut by the network card.
        0 => datagram.length,
        length => length,
    };
    if length < UDP_HEADER {
        return Err(PacketFault::UdpLength);
    }
    let whole = datagram.first(length).ok_or(PacketFault::UdpLength)?;
    Ok(Udp { from, to, payload: whole.behind(UDP_HEADER)? })
}

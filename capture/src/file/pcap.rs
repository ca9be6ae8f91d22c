//! The classic format of libpcap: a header of the file, then a header and the packet, again and again.

use super::{FileFault, Item, LARGEST_PACKET, LinkType, Packet, Place, Step};
use crate::bytes::ByteOrder;
use crate::time::Time;

/// Bytes of the file's header.
const FILE_HEADER: usize = 24;
/// Bytes before each packet.
const PACKET_HEADER: usize = 16;
/// First number of a file with times in microseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// First number of a file with times in nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The upper bits tell of a checksum behind each packet, where IP does not look.
const LINK_TYPE: u32 = 0x03ff_ffff;

/// What the file's header says of all packets.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    link: LinkType,
    /// Nanoseconds of one unit of the fraction of a second.
    unit: u64,
}

/// What became of the file's header.
pub(super) enum Begin {
    Needs(usize),
    Took(Pcap, usize),
}

/// Reads the file's header.
pub(super) fn begin(bytes: &[u8]) -> Result<Begin, FileFault> {
    let orders = [ByteOrder::Little, ByteOrder::Big];
    let begins = |order: ByteOrder| match order.u32(bytes, 0)? {
        MICROSECONDS => Some((order, 1_000)),
        NANOSECONDS => Some((order, 1)),
        _ => None,
    };
    let (order, unit) = orders.into_iter().find_map(begins).ok_or(FileFault::NotACapture)?;
    let fields = || Some((order.u16(bytes, 4)?, order.u16(bytes, 6)?, order.u32(bytes, 20)?));
    let Some((major, minor, link)) = fields() else { return Ok(Begin::Needs(FILE_HEADER)) };
    // Before 2.4 the two lengths of a packet had no settled order.
    if major != 2 || minor < 4 {
        return Err(FileFault::Version { major, minor });
    }
    Ok(Begin::Took(Pcap { order, link: LinkType(link & LINK_TYPE), unit }, FILE_HEADER))
}

impl Pcap {
    /// Reads one packet.
    #[inline]
    pub(super) fn step(&self, place: &mut Place, bytes: &[u8], take: &mut impl FnMut(Item<'_>)) -> Step {
        let word = |at| self.order.u32(bytes, at);
        let header = || Some((word(0)?, word(4)?, word(8)?, word(12)?));
        let Some((seconds, fraction, captured, length)) = header() else { return Step::Needs(PACKET_HEADER) };
        let (captured, length) = (captured as usize, length as usize);
        if captured > LARGEST_PACKET {
            place.frames += 1;
            take(place.fault(FileFault::PacketTooLong));
            return Step::End;
        }
        let end = PACKET_HEADER + captured;
        let Some(packet) = bytes.get(PACKET_HEADER..end) else { return Step::Needs(end) };
        place.frames += 1;
        take(Item::Packet(Packet {
            frame: place.frames,
            offset: place.offset + PACKET_HEADER as u64,
            time: Time(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit),
            link: self.link,
            bytes: packet,
            length: length.max(captured),
        }));
        Step::Took(end)
    }
}

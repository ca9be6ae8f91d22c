//! pcapng: sections of blocks, each with its length before and behind it.
//!
//! | block | here |
//! |---|---|
//! | Section Header | byte order of what follows; all interfaces are forgotten |
//! | Interface Description | link type, resolution and offset of times |
//! | Enhanced, Simple and (obsolete) Packet | a packet |
//! | Decryption Secrets | a TLS key log, at any place; other secrets are skipped |
//! | Custom, systemd journal and sysdig | counted, since Wireshark counts them as packets, and skipped |
//! | others | skipped |
//!
//! Wireshark's editcap puts secrets before the interfaces, so nothing here expects an order of blocks.

use super::{FileFault, Item, LARGEST_BLOCK, LARGEST_PACKET, LinkType, Packet, Place, Step};
use crate::bytes::ByteOrder;
use crate::time::Time;

/// First bytes of a file: the type of a Section Header, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Most interfaces of one section.
pub const MOST_INTERFACES: usize = 65_536;

/// Bytes of the shortest block: type, length, and length again.
const SHORTEST: usize = 12;
/// Bytes before the body of a block.
const HEAD: usize = 8;
/// Bytes behind the body of a block.
const TAIL: usize = 4;
/// Bytes before the packet in the bodies of Enhanced and obsolete Packet Blocks, which differ in the first
/// four alone.
const PACKET_FIELDS: usize = 20;

/// What a block is, by its type.
mod kind {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE: u32 = 3;
    pub(super) const ENHANCED: u32 = 6;
    pub(super) const SECRETS: u32 = 10;
    /// Of these Wireshark 4.0 makes frames of their own: systemd journal, sysdig (two versions), custom (to
    /// be copied, and not).
    pub(super) const FRAMES: [u32; 5] = [9, 0x204, 0x216, 0xbad, 0x4000_0bad];
}

/// A number in a Section Header that shows its byte order.
const ORDER: u32 = 0x1a2b_3c4d;
/// Type of secrets in a Decryption Secrets Block: the text of a TLS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// Most bytes of a packet that are kept; 0 is all.
    snapped: u32,
    resolution: Resolution,
    /// Seconds to be added to each time.
    offset: i64,
}

/// Of a section, what the packets in it need.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: ByteOrder,
    /// A description that cannot be read has its place, so that the numbers of the others are right.
    interfaces: Vec<Option<Interface>>,
    last: Time,
}

impl Default for Pcapng {
    fn default() -> Pcapng {
        Pcapng { order: ByteOrder::Little, interfaces: Vec::new(), last: Time::default() }
    }
}

impl Pcapng {
    /// Reads one block.
    #[inline]
    pub(super) fn step(&mut self, place: &mut Place, bytes: &[u8], take: &mut impl FnMut(Item<'_>)) -> Step {
        if bytes.len() < SHORTEST {
            return Step::Needs(SHORTEST);
        }
        let mut end = |why| {
            take(place.fault(why));
            Step::End
        };
        if bytes.first_chunk() == Some(&MAGIC) {
            match [ByteOrder::Little, ByteOrder::Big].into_iter().find(|o| o.u32(bytes, HEAD) == Some(ORDER))
            {
                Some(order) => self.order = order,
                None => return end(FileFault::ByteOrder),
            }
        }
        let (Some(kind), Some(total)) = (self.order.u32(bytes, 0), self.order.u32(bytes, 4)) else {
            return Step::Needs(SHORTEST);
        };
        let length = total as usize;
        if length < SHORTEST || !length.is_multiple_of(4) {
            return end(FileFault::BlockLength);
        }
        if !is_read(kind) || length > LARGEST_BLOCK {
            return self.skip(kind, total, place, bytes, take);
        }
        let Some(body) = bytes.get(HEAD..length - TAIL) else { return Step::Needs(length) };
        let Some(behind) = self.order.u32(bytes, length - TAIL) else { return Step::Needs(length) };
        if behind != total {
            return end(FileFault::BlockLengthsDiffer);
        }
        let read = match kind {
            kind::SECTION => match self.begin_section(body) {
                Ok(()) => Ok(()),
                Err(why) => return end(why),
            },
            kind::INTERFACE => self.describe(body),
            kind::SECRETS => self.secrets(body, take),
            _ => self.packet(kind, body, place, take),
        };
        if let Err(why) = read {
            take(place.fault(why));
        }
        Step::Took(length)
    }

    /// Leaves out a block that does not matter here or is too long. Of one that lies there whole, the length
    /// behind it is looked at: skipping is how a reader gets lost.
    fn skip(
        &self,
        kind: u32,
        total: u32,
        place: &mut Place,
        bytes: &[u8],
        take: &mut impl FnMut(Item<'_>),
    ) -> Step {
        let is_counted = kind::FRAMES.contains(&kind);
        let is_packet = matches!(kind, kind::PACKET | kind::SIMPLE | kind::ENHANCED);
        let behind = (total as usize).checked_sub(TAIL).and_then(|tail| self.order.u32(bytes, tail));
        if !is_read(kind) && total as usize <= LARGEST_BLOCK {
            match behind {
                None => return Step::Needs(total as usize),
                Some(behind) if behind != total => {
                    take(place.fault(FileFault::BlockLengthsDiffer));
                    return Step::End;
                }
                Some(_) => {}
            }
        }
        place.frames += u64::from(is_counted || is_packet);
        if is_read(kind) {
            take(place.fault(FileFault::BlockTooLong));
            // Without it, what follows has no meaning.
            if matches!(kind, kind::SECTION | kind::INTERFACE) {
                return Step::End;
            }
        }
        Step::Skip(u64::from(total))
    }

    fn begin_section(&mut self, body: &[u8]) -> Result<(), FileFault> {
        let (major, minor) = (self.order.u16(body, 4), self.order.u16(body, 6));
        let (Some(major), Some(minor), Some(_length)) = (major, minor, self.order.i64(body, 8)) else {
            return Err(FileFault::BlockLength);
        };
        self.interfaces.clear();
        // Some programs wrote 1.2 for what is 1.0.
        if major == 1 { Ok(()) } else { Err(FileFault::Version { major, minor }) }
    }

    fn describe(&mut self, body: &[u8]) -> Result<(), FileFault> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(FileFault::Interfaces);
        }
        let interface = Interface::read(self.order, body);
        self.interfaces.push(interface);
        interface.map(|_| ()).ok_or(FileFault::InterfaceDescription)
    }

    fn secrets(&self, body: &[u8], take: &mut impl FnMut(Item<'_>)) -> Result<(), FileFault> {
        let (Some(kind), Some(length)) = (self.order.u32(body, 0), self.order.u32(body, 4)) else {
            return Err(FileFault::SecretsLength);
        };
        let text = body.get(8..).and_then(|rest| rest.get(..length as usize));
        let text = text.ok_or(FileFault::SecretsLength)?;
        if kind == TLS_KEY_LOG {
            take(Item::Secrets(text));
        }
        Ok(())
    }

    #[inline]
    fn packet(
        &mut self,
        kind: u32,
        body: &[u8],
        place: &mut Place,
        take: &mut impl FnMut(Item<'_>),
    ) -> Result<(), FileFault> {
        place.frames += 1;
        let word = |at| self.order.u32(body, at).ok_or(FileFault::PacketLength);
        let number = match kind {
            kind::ENHANCED => word(0)?,
            kind::PACKET => u32::from(self.order.u16(body, 0).ok_or(FileFault::PacketLength)?),
            // Simple packets are always of the first interface.
            _ => 0,
        };
        let interface =
            self.interfaces.get(number as usize).copied().flatten().ok_or(FileFault::Interface)?;
        let (before, captured, length, time) = if kind == kind::SIMPLE {
            let length = word(0)?;
            let captured = if interface.snapped == 0 { length } else { length.min(interface.snapped) };
            (4, captured, length, self.last)
        } else {
            let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
            (PACKET_FIELDS, word(12)?, word(16)?, interface.time(ticks))
        };
        let (captured, length) = (captured as usize, length as usize);
        let bytes =
            body.get(before..).and_then(|rest| rest.get(..captured)).ok_or(FileFault::PacketLength)?;
        if captured > LARGEST_PACKET {
            return Err(FileFault::PacketTooLong);
        }
        self.last = time;
        take(Item::Packet(Packet {
            frame: place.frames,
            offset: place.offset + (HEAD + before) as u64,
            time,
            link: interface.link,
            bytes,
            length: length.max(captured),
        }));
        Ok(())
    }
}

fn is_read(kind: u32) -> bool {
    use kind::{ENHANCED, INTERFACE, PACKET, SECRETS, SECTION, SIMPLE};
    matches!(kind, SECTION | INTERFACE | PACKET | SIMPLE | ENHANCED | SECRETS)
}

impl Interface {
    /// Reads the body of a description; None if it is too short for its fields or its options.
    fn read(order: ByteOrder, body: &[u8]) -> Option<Interface> {
        /// Code of the option that ends the others.
        const END: u16 = 0;
        /// Code of `if_tsresol`.
        const RESOLUTION: u16 = 9;
        /// Code of `if_tsoffset`.
        const OFFSET: u16 = 14;
        let mut interface = Interface {
            link: LinkType(u32::from(order.u16(body, 0)?)),
            snapped: order.u32(body, 4)?,
            resolution: Resolution::MICROSECONDS,
            offset: 0,
        };
        let mut at = 8;
        while at < body.len() {
            let (code, length) = (order.u16(body, at)?, usize::from(order.u16(body, at + 2)?));
            let value = body.get(at + 4..)?.get(..length)?;
            match code {
                END => break,
                RESOLUTION => interface.resolution = Resolution::of(*value.first()?),
                OFFSET => interface.offset = order.i64(value, 0)?,
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        Some(interface)
    }

    #[inline]
    fn time(&self, ticks: u64) -> Time {
        let nanoseconds = self.resolution.nanoseconds(ticks);
        if self.offset == 0 {
            return Time(nanoseconds);
        }
        let sum = i128::from(nanoseconds) + i128::from(self.offset) * 1_000_000_000;
        Time(u64::try_from(sum.max(0)).unwrap_or(u64::MAX))
    }
}

/// How long one unit of time is (`if_tsresol`).
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// A nanosecond has so many; a unit too short for any number has the largest one.
    OfANanosecond(u64),
    /// A second has two to the power of so many.
    Binary(u32),
}

impl Resolution {
    /// What holds without the option.
    const MICROSECONDS: Resolution = Resolution::Nanoseconds(1_000);

    fn of(value: u8) -> Resolution {
        /// Set if the other bits are a power of 2, else they are one of 10.
        const BINARY: u8 = 0x80;
        let exponent = u32::from(value & !BINARY);
        if value & BINARY != 0 {
            return Resolution::Binary(exponent);
        }
        match 9_u32.checked_sub(exponent) {
            Some(longer) => Resolution::Nanoseconds(10_u64.pow(longer)),
            None => Resolution::OfANanosecond(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX)),
        }
    }

    #[inline]
    fn nanoseconds(self, ticks: u64) -> u64 {
        match self {
            Resolution::Nanoseconds(each) => ticks.saturating_mul(each),
            Resolution::OfANanosecond(parts) => ticks / parts,
            // 64 bits of ticks and 30 of nanoseconds have room.
            Resolution::Binary(bits) => {
                u64::try_from((u128::from(ticks) * 1_000_000_000) >> bits).unwrap_or(u64::MAX)
            }
        }
    }
}

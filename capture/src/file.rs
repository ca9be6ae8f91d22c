//! Files of captures, pcap and pcapng, cut into packets and key logs as their bytes arrive.
//!
//! ```text
//! bytes, cut anywhere -> Reader -> pcap | pcapng -> Item::{Packet, Secrets, Unreadable}
//! ```
//!
//! A packet that lies whole in what is pushed is handed on where it lies; only one that two pushes share is
//! copied. What is wrong with a file is an item among the others: reading goes on behind it where the format
//! says where the next packet begins, and ends where it does not.
//!
//! Sources: draft-ietf-opsawg-pcap-05 and draft-ietf-opsawg-pcapng-03.

mod pcap;
mod pcapng;

use crate::time::Time;
use pcap::Pcap;
use pcapng::Pcapng;
use std::fmt::{self, Display};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Most bytes of one packet: 256 KiB, the longest that tcpdump and Wireshark write.
pub const LARGEST_PACKET: usize = 256 * 1024;
/// Most bytes of one block of pcapng that is held to be read: 16 MiB, as libpcap has it. Of blocks that are
/// not read at all, any length is skipped.
pub const LARGEST_BLOCK: usize = 16 * 1024 * 1024;

pub use pcapng::MOST_INTERFACES;

/// What lies below the packets of a capture, by its number in the registry of link types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: a number of an address family in the byte order of the host that captured.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet frames, without a preamble.
    pub const ETHERNET: LinkType = LinkType(1);
    /// OpenBSD loopback: a number of an address family, its first byte first.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux cooked capture, as `tcpdump -i any` wrote it until 4.99.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// Linux cooked capture of version 2, as `tcpdump -i any` writes it.
    pub const LINUX_SLL2: LinkType = LinkType(276);
    /// IPv4 or IPv6 without anything before it.
    pub const RAW: LinkType = LinkType(101);
    /// IPv4 without anything before it.
    pub const IPV4: LinkType = LinkType(228);
    /// IPv6 without anything before it.
    pub const IPV6: LinkType = LinkType(229);
}

impl Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            9 => "PPP",
            12 | 14 | 101 => "raw IP",
            105 => "802.11",
            108 => "OpenBSD loopback",
            113 => "Linux cooked v1",
            127 => "802.11 with radiotap",
            189 => "USB",
            195 | 230 => "802.15.4",
            228 => "raw IPv4",
            229 => "raw IPv6",
            239 => "Linux netfilter log",
            276 => "Linux cooked v2",
            number => return write!(f, "link type {number}"),
        };
        write!(f, "{name} (link type {})", self.0)
    }
}

/// One packet of a capture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number in the file, from 1, as Wireshark counts.
    pub frame: u64,
    /// Where [`Packet::bytes`] begin in the file, in bytes.
    pub offset: u64,
    /// When it was captured. A Simple Packet Block has no time: it gets that of the packet before it.
    pub time: Time,
    /// What its first bytes are.
    pub link: LinkType,
    /// Bytes as far as they were captured.
    pub bytes: &'a [u8],
    /// Bytes on the wire: more than `bytes` has, if the capture was told to keep only the first ones.
    pub length: usize,
}

impl fmt::Debug for Packet<'_> {
    // Without the bytes: without DTLS, access tokens and passwords stand in them as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packet { frame, offset, time, link, bytes, length } = self;
        f.debug_struct("Packet")
            .field("frame", frame)
            .field("offset", offset)
            .field("time", time)
            .field("link", link)
            .field("captured", &bytes.len())
            .field("length", length)
            .finish()
    }
}

/// What a file of a capture holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// The next packet.
    Packet(Packet<'a>),
    /// The text of a TLS key log, out of a Decryption Secrets Block of pcapng. It is secret.
    Secrets(&'a [u8]),
    /// What cannot be read here.
    Unreadable(Unreadable),
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Packet(packet) => packet.fmt(f),
            Item::Secrets(text) => write!(f, "Secrets({} bytes)", text.len()),
            Item::Unreadable(unreadable) => unreadable.fmt(f),
        }
    }
}

/// A place in a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Number of the packet, if it is one that cannot be read; else of the last packet before the place, 0 if
    /// there is none.
    pub frame: u64,
    /// Where the unreadable header, packet or block begins in the file, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub why: FileFault,
}

/// Why a place in a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileFault {
    /// The first bytes belong to neither format. Reading ends.
    #[error("not a capture: it begins as neither pcap nor pcapng does")]
    NotACapture,
    /// The first bytes are those of a compressed file. Reading ends.
    #[error("compressed with {0}: unpack it first")]
    Compressed(&'static str),
    /// The format has another version than those that are known. Reading ends.
    #[error("a capture file of version {major}.{minor}, which is not known")]
    Version {
        /// Number before the dot.
        major: u16,
        /// Number behind the dot.
        minor: u16,
    },
    /// The bytes end in the middle of a header, packet or block; what has come of it is left out.
    #[error("the file ends in the middle of it")]
    CutOff,
    /// No byte has come at all.
    #[error("the file is empty")]
    Empty,
    /// The packet is longer than [`LARGEST_PACKET`]. In pcap, where this is the only way to notice that the
    /// place is lost, reading ends.
    #[error("a packet of more than {LARGEST_PACKET} bytes")]
    PacketTooLong,
    /// The block is longer than [`LARGEST_BLOCK`]; it is left out.
    #[error("a block of more than {LARGEST_BLOCK} bytes")]
    BlockTooLong,
    /// The length of a block does not fit its kind, or is not a multiple of 4. Reading ends.
    #[error("the length of a block is impossible")]
    BlockLength,
    /// The lengths before and behind a block differ, so that nothing says where the next one begins. Reading
    /// ends.
    #[error("the two lengths of a block differ")]
    BlockLengthsDiffer,
    /// The magic number of a section is neither way round. Reading ends.
    #[error("a section has no byte order that is known")]
    ByteOrder,
    /// The packet in the block is longer than the block.
    #[error("a packet is longer than its block")]
    PacketLength,
    /// The packet is of an interface that was not described, or whose description could not be read.
    #[error("a packet of an interface that is not described")]
    Interface,
    /// The options of an interface end in the middle, so that its times cannot be trusted.
    #[error("the description of an interface is broken")]
    InterfaceDescription,
    /// The section has more than [`MOST_INTERFACES`] interfaces.
    #[error("more than {MOST_INTERFACES} interfaces in a section")]
    Interfaces,
    /// The secrets in the block are longer than the block.
    #[error("secrets are longer than their block")]
    SecretsLength,
}

/// What becomes of the bytes at hand.
enum Step {
    /// Nothing, before there are so many.
    Needs(usize),
    /// So many have been read; never more than there are.
    Took(usize),
    /// So many are left out, whether they are there or still to come.
    Skip(u64),
    /// All of them, and all that follow.
    End,
}

enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
    Ended,
}

/// Where a reader is in its file.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Offset of the first byte that has not been read.
    offset: u64,
    /// How many packets there were.
    frames: u64,
}

impl Place {
    fn fault(self, why: FileFault) -> Item<'static> {
        Item::Unreadable(Unreadable { frame: self.frames, offset: self.offset, why })
    }
}

/// Reads a capture as its bytes arrive, cut anywhere.
///
/// ```
/// use lowband_capture::file::{Item, Reader};
///
/// let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];
/// file.extend([7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0x45, 0x00]);
/// let mut reader = Reader::new();
/// let mut packets = 0;
/// for piece in file.chunks(5) {
///     reader.push(piece, &mut |item| {
///         let Item::Packet(packet) = item else { panic!("{item:?}") };
///         assert_eq!((packet.frame, packet.bytes), (1, &[0x45, 0x00][..]));
///         packets += 1;
///     });
/// }
/// reader.finish(&mut |item| panic!("{item:?}"));
/// assert_eq!(packets, 1);
/// ```
pub struct Reader {
    format: Format,
    place: Place,
    /// A header, packet or block of which the end is still to come. It may hold secrets.
    held: Zeroizing<Vec<u8>>,
    /// How many bytes `held` must have before it can be read.
    needs: usize,
    /// Bytes still to be left out.
    skip: u64,
}

impl fmt::Debug for Reader {
    // Without what is held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reader { place, needs, skip, .. } = self;
        f.debug_struct("Reader")
            .field("place", place)
            .field("needs", needs)
            .field("skip", skip)
            .finish_non_exhaustive()
    }
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// Makes a reader at the beginning of a file.
    pub fn new() -> Reader {
        Reader {
            format: Format::Unknown,
            place: Place::default(),
            held: Zeroizing::default(),
            needs: 0,
            skip: 0,
        }
    }

    /// Reads the next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Item<'_>)) {
        loop {
            bytes = self.skip(bytes);
            if bytes.is_empty() || self.has_ended() {
                return;
            }
            if self.held.is_empty() {
                match step(&mut self.format, &mut self.place, bytes, take) {
                    Step::Needs(needs) => {
                        self.hold(bytes, needs);
                        return;
                    }
                    step => bytes = bytes.get(self.advance(step, bytes.len())..).unwrap_or_default(),
                }
                continue;
            }
            // No more than is needed: what follows is read where it lies.
            let lacking = self.needs.saturating_sub(self.held.len());
            let (now, later) = bytes.split_at_checked(lacking).unwrap_or((bytes, &[]));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() < self.needs {
                return;
            }
            match step(&mut self.format, &mut self.place, &self.held, take) {
                Step::Needs(needs) => self.reserve(needs),
                step => {
                    let length = self.held.len();
                    let taken = self.advance(step, length);
                    if taken < length {
                        self.held.drain(..taken);
                    } else {
                        self.held.zeroize();
                    }
                }
            }
        }
    }

    /// Says what is wrong at the end of the file, if that comes now.
    pub fn finish(&mut self, take: &mut impl FnMut(Item<'_>)) {
        match self.format {
            Format::Ended => {}
            Format::Unknown if self.held.is_empty() => take(self.place.fault(FileFault::Empty)),
            _ if self.skip > 0 || !self.held.is_empty() => take(self.place.fault(FileFault::CutOff)),
            _ => {}
        }
        self.format = Format::Ended;
    }

    /// Returns true behind a fault that loses the place in the file: no further bytes are read.
    pub fn has_ended(&self) -> bool {
        matches!(self.format, Format::Ended)
    }

    /// Returns true if the file can hold secrets: it is pcapng.
    pub fn may_hold_secrets(&self) -> bool {
        matches!(self.format, Format::Pcapng(_))
    }

    /// Leaves out what is to be left out of the bytes.
    fn skip<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let now = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= now as u64;
        self.place.offset += now as u64;
        bytes.get(now..).unwrap_or_default()
    }

    fn hold(&mut self, bytes: &[u8], needs: usize) {
        self.reserve(needs);
        self.held.extend_from_slice(bytes);
    }

    /// Makes room in one piece: a `Vec` that grows leaves copies of secrets behind.
    fn reserve(&mut self, needs: usize) {
        self.needs = needs;
        if self.held.capacity() < needs {
            let mut held = Zeroizing::new(Vec::with_capacity(needs));
            held.extend_from_slice(&self.held);
            self.held = held;
        }
    }

    /// Carries out a step over `length` bytes, and returns how many of them it took.
    fn advance(&mut self, step: Step, length: usize) -> usize {
        let taken = match step {
            Step::Needs(_) => 0,
            Step::Took(taken) => taken.min(length),
            Step::Skip(all) => {
                let taken = usize::try_from(all).unwrap_or(usize::MAX).min(length);
                self.skip = all - taken as u64;
                taken
            }
            Step::End => {
                self.format = Format::Ended;
                length
            }
        };
        self.place.offset += taken as u64;
        taken
    }
}

/// Reads one header, packet or block.
fn step(format: &mut Format, place: &mut Place, bytes: &[u8], take: &mut impl FnMut(Item<'_>)) -> Step {
    match format {
        Format::Pcapng(pcapng) => pcapng.step(place, bytes, take),
        Format::Pcap(pcap) => pcap.step(place, bytes, take),
        Format::Unknown => begin(format, *place, bytes, take),
        Format::Ended => Step::End,
    }
}

/// Recognises the format by its first bytes.
fn begin(format: &mut Format, place: Place, bytes: &[u8], take: &mut impl FnMut(Item<'_>)) -> Step {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const ZSTANDARD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const XZ: [u8; 4] = [0xfd, b'7', b'z', b'X'];
    let Some(magic) = bytes.first_chunk::<4>() else { return Step::Needs(4) };
    let fault = match *magic {
        pcapng::MAGIC => {
            *format = Format::Pcapng(Pcapng::default());
            return Step::Took(0);
        }
        ZSTANDARD => FileFault::Compressed("zstd"),
        XZ => FileFault::Compressed("xz"),
        [first, second, ..] if [first, second] == GZIP => FileFault::Compressed("gzip"),
        _ => match pcap::begin(bytes) {
            Ok(pcap::Begin::Needs(needs)) => return Step::Needs(needs),
            Ok(pcap::Begin::Took(pcap, taken)) => {
                *format = Format::Pcap(pcap);
                return Step::Took(taken);
            }
            Err(fault) => fault,
        },
    };
    take(place.fault(fault));
    Step::End
}

#[cfg(test)]
mod tests;

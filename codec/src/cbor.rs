//! CBOR's wire format (RFC 8949 section 3): heads in, heads out. What an item means is decided elsewhere.

use crate::{Error, ErrorKind, plain};

pub(crate) mod float;
pub(crate) mod skip;
pub(crate) mod text;

/// Major types (RFC 8949 section 3.1), in the place where a head carries them.
pub(crate) mod major {
    pub(crate) const UNSIGNED: u8 = 0 << 5;
    pub(crate) const NEGATIVE: u8 = 1 << 5;
    pub(crate) const BYTES: u8 = 2 << 5;
    pub(crate) const TEXT: u8 = 3 << 5;
    pub(crate) const ARRAY: u8 = 4 << 5;
    pub(crate) const MAP: u8 = 5 << 5;
    pub(crate) const TAG: u8 = 6 << 5;
    /// Simple values, floats and the break.
    pub(crate) const OTHER: u8 = 7 << 5;
}

/// Simple values and floats (RFC 8949 section 3.3), whole heads.
pub(crate) mod simple {
    pub(crate) const FALSE: u8 = 0xf4;
    pub(crate) const TRUE: u8 = 0xf5;
    pub(crate) const NULL: u8 = 0xf6;
    pub(crate) const FLOAT16: u8 = 0xf9;
    pub(crate) const FLOAT32: u8 = 0xfa;
    pub(crate) const FLOAT64: u8 = 0xfb;
}

/// First bytes of the heads that are read without a detour: arguments below 24, and some of one byte.
mod first {
    use super::major;

    pub(super) const UNSIGNED_0: u8 = major::UNSIGNED;
    pub(super) const UNSIGNED_23: u8 = major::UNSIGNED | 23;
    pub(super) const UNSIGNED_8_BIT: u8 = major::UNSIGNED | 24;
    pub(super) const TEXT_0: u8 = major::TEXT;
    pub(super) const TEXT_23: u8 = major::TEXT | 23;
    pub(super) const TEXT_8_BIT: u8 = major::TEXT | 24;
    pub(super) const ARRAY_0: u8 = major::ARRAY;
    pub(super) const ARRAY_23: u8 = major::ARRAY | 23;
    pub(super) const MAP_0: u8 = major::MAP;
    pub(super) const MAP_23: u8 = major::MAP | 23;
}
use first::*;

/// The byte that ends an item of indefinite length (RFC 8949 section 3.2.1).
pub(crate) const BREAK: u8 = 0xff;

/// Stands in place of an argument for an indefinite length (RFC 8949 section 3.2).
pub(crate) const INDEFINITE: u8 = 31;

/// The only tag that is skipped, in front of the whole item: "self-described CBOR" (RFC 8949 section 3.4.6).
pub(crate) const SELF_DESCRIBED: u64 = 55799;

/// Arguments below this stand in the head's first byte.
pub(crate) const IMMEDIATE: u64 = 24;

/// The longest head in bytes.
pub(crate) const MAX_HEAD: usize = 9;

/// Returns a head in its shortest form and its length in bytes.
pub(crate) fn head(major: u8, argument: u64) -> ([u8; MAX_HEAD], usize) {
    let (info, width) = match argument {
        0..IMMEDIATE => (argument as u8, 0),
        IMMEDIATE..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    let [a, b, c, d, e, f, g, h] = argument.checked_shl(64 - 8 * width).unwrap_or(0).to_be_bytes();
    ([major | info, a, b, c, d, e, f, g, h], 1 + width as usize)
}

/// Appends a head in its shortest form.
#[inline(always)]
pub(crate) fn write_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    if argument < IMMEDIATE {
        out.push(major | argument as u8);
    } else if let Ok(argument) = u8::try_from(argument) {
        out.extend_from_slice(&[major | 24, argument]);
    } else {
        write_long_head(out, major, argument);
    }
}

fn write_long_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let (bytes, len) = head(major, argument);
    plain::append(out, &bytes, len);
}

/// One head with its argument, floats with their value. A length of `None` is indefinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Head {
    Unsigned(u64),
    /// A negative integer: its value is -1 minus this argument.
    Negative(u64),
    Bytes(Option<u64>),
    Text(Option<u64>),
    Array(Option<u64>),
    Map(Option<u64>),
    Tag(u64),
    False,
    True,
    Null,
    /// A simple value other than false, true and null; undefined is one of them.
    Simple,
    Float(f64),
    Break,
}

/// A position in the input.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'c> {
    bytes: &'c [u8],
    pub(crate) at: usize,
}

impl<'c> Reader<'c> {
    /// Makes a reader at the start of an item; skips a self-described tag.
    pub(crate) fn new(bytes: &'c [u8]) -> Self {
        let mut reader = Reader::of(bytes);
        let mut ahead = reader.clone();
        if ahead.head() == Ok(Head::Tag(SELF_DESCRIBED)) {
            reader = ahead;
        }
        reader
    }

    /// Makes a reader at the start of a piece of an item.
    pub(crate) fn of(bytes: &'c [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'c [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Returns the next `N` bytes without consuming them; `None` if fewer are left.
    #[inline(always)]
    pub(crate) fn ahead<const N: usize>(&self) -> Option<&'c [u8; N]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    #[cold]
    pub(crate) fn unexpected_end(&self) -> Error {
        Error::new(ErrorKind::UnexpectedEnd, self.bytes.len())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = *self.rest().first_chunk::<N>().ok_or_else(|| self.unexpected_end())?;
        self.at += N;
        Ok(bytes)
    }

    /// Takes the content of a definite-length string. The claimed length is compared with the remaining input
    /// before it is used.
    pub(crate) fn take(&mut self, len: u64) -> Result<&'c [u8], Error> {
        let taken = usize::try_from(len).ok().and_then(|len| self.rest().get(..len));
        let taken = taken.ok_or_else(|| self.unexpected_end())?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Consumes a break if one is next.
    pub(crate) fn at_break(&mut self) -> Result<bool, Error> {
        let first = *self.rest().first().ok_or_else(|| self.unexpected_end())?;
        self.at += usize::from(first == BREAK);
        Ok(first == BREAK)
    }

    /// Consumes and returns the head at this position, without its content (RFC 8949 section 3).
    #[inline(always)]
    pub(crate) fn head(&mut self) -> Result<Head, Error> {
        let first = *self.bytes.get(self.at).ok_or_else(|| self.unexpected_end())?;
        self.at += 1;
        let immediate = u64::from(first & 0x1f);
        // Most heads are one byte long; those of texts and integers are often two.
        match first {
            UNSIGNED_0..=UNSIGNED_23 => Ok(Head::Unsigned(immediate)),
            TEXT_0..=TEXT_23 => Ok(Head::Text(Some(immediate))),
            ARRAY_0..=ARRAY_23 => Ok(Head::Array(Some(immediate))),
            MAP_0..=MAP_23 => Ok(Head::Map(Some(immediate))),
            UNSIGNED_8_BIT => Ok(Head::Unsigned(self.byte()?)),
            TEXT_8_BIT => Ok(Head::Text(Some(self.byte()?))),
            simple::FALSE => Ok(Head::False),
            simple::TRUE => Ok(Head::True),
            simple::NULL => Ok(Head::Null),
            _ => self.other_head(first),
        }
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u64, Error> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.unexpected_end())?;
        self.at += 1;
        Ok(u64::from(byte))
    }

    /// Consumes the head of an unsigned integer below 256, if one is next.
    #[inline(always)]
    pub(crate) fn small_unsigned(&mut self) -> Option<u64> {
        let (value, len) = match *self.bytes.get(self.at)? {
            immediate @ UNSIGNED_0..=UNSIGNED_23 => (immediate, 1),
            UNSIGNED_8_BIT => (*self.bytes.get(self.at + 1)?, 2),
            _ => return None,
        };
        self.at += len;
        Some(u64::from(value))
    }

    /// Reads the rest of a head whose first byte has been consumed.
    fn other_head(&mut self, first: u8) -> Result<Head, Error> {
        let at = self.at - 1;
        let invalid = || Error::new(ErrorKind::InvalidHead, at);
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 7 {
            return match info {
                20 => Ok(Head::False),
                21 => Ok(Head::True),
                22 => Ok(Head::Null),
                0..24 => Ok(Head::Simple),
                // RFC 8949 section 3.3: two-byte forms of values below 32 are not well-formed.
                24 => match self.array()? {
                    [0..32] => Err(invalid()),
                    _ => Ok(Head::Simple),
                },
                25 => Ok(Head::Float(float::from_half(u16::from_be_bytes(self.array()?)))),
                26 => Ok(Head::Float(f64::from(f32::from_be_bytes(self.array()?)))),
                27 => Ok(Head::Float(f64::from_be_bytes(self.array()?))),
                31 => Ok(Head::Break),
                _ => Err(invalid()),
            };
        }
        let argument = match info {
            0..24 => Some(u64::from(info)),
            24 => Some(u64::from(u8::from_be_bytes(self.array()?))),
            25 => Some(u64::from(u16::from_be_bytes(self.array()?))),
            26 => Some(u64::from(u32::from_be_bytes(self.array()?))),
            27 => Some(u64::from_be_bytes(self.array()?)),
            31 => None,
            _ => return Err(invalid()),
        };
        match (major, argument) {
            (0, Some(n)) => Ok(Head::Unsigned(n)),
            (1, Some(n)) => Ok(Head::Negative(n)),
            (2, length) => Ok(Head::Bytes(length)),
            (3, length) => Ok(Head::Text(length)),
            (4, length) => Ok(Head::Array(length)),
            (5, length) => Ok(Head::Map(length)),
            (6, Some(tag)) => Ok(Head::Tag(tag)),
            _ => Err(invalid()),
        }
    }
}

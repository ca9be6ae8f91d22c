//! CBOR in fewer bytes, between two ends of ours: Content-Format 65060, [`content_format::PACKED`].
//!
//! Much of Matrix is known to both ends or is base64 of bytes. A packed body is that of `application/cbor`
//! with the following in the place of texts, keys of maps included; the rest stays byte for byte:
//!
//! | packed | stands for |
//! |---|---|
//! | simple value 0-15 | text 0-15 of the [table](TABLE) |
//! | tag 6, then an integer `n` | text `16 + 2n` of it, for a negative `n` text `16 - 2n - 1`, as in packed CBOR |
//! | tag 22 (RFC 8949 section 3.4.5.2), then bytes | their base64 (RFC 4648 section 4), never padded |
//! | tag 21, then bytes | their base64url (RFC 4648 section 5), never padded |
//! | tag 6, then bytes | `$` and their base64url: an event |
//! | tag 6, `true`, then bytes | `!` and their base64url: a room |
//! | tag 6, `null`, then a tag or a simple value 0-15 | that tag or value, since JSON has neither |
//!
//! ```text
//! sidecar  CBOR of Envoy -> Packer --datagrams--> Unpacker -> CBOR  client
//! ```
//!
//! Whatever bytes go in come out again, in pieces of any size: what is not well-formed is passed on as it is
//! from there. What a text becomes depends on that text alone, and not on what else is in the body, so that
//! a body's length tells an onlooker nothing of what a stranger's words in it repeat.
//!
//! [`content_format::PACKED`]: crate::coap::content_format::PACKED

mod head;
mod table;
#[cfg(test)]
mod tests;
mod unpacker;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use head::{Head, Major, write_head};
pub use table::TABLE;
use thiserror::Error;
pub use unpacker::Unpacker;

/// The longest text that is put in other words, in bytes. Longer ones pass as they are, so that neither end
/// holds more than this of a body. What Olm and Megolm make of a message seldom is.
pub const LONGEST_TEXT: usize = 16_384;

const TAG_TABLE: u8 = 0xc6;
const TAG_BASE64URL: u8 = 0xd5;
const TAG_BASE64: u8 = 0xd6;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
/// Texts of the table that take one byte.
const ONE_BYTE: usize = 16;

/// A body that no packer has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotPacked {
    /// Something stands behind a tag, or a tag stands somewhere, that no packer writes.
    #[error("byte {0} of the packed body stands for nothing")]
    Item(u64),
    /// The body ends within something that stands for a text.
    #[error("the packed body breaks off at byte {0}")]
    CutOff(u64),
    /// What it stands for is longer than its reader takes.
    #[error("the packed body stands for more than {0} bytes")]
    TooLong(usize),
}

/// Packs a body that is whole.
pub fn pack(cbor: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(cbor.len());
    let mut packer = Packer::default();
    packer.push(cbor, &mut packed);
    packer.finish(&mut packed);
    packed
}

/// The most bytes that a packed body of a request may stand for; longer ones are sent as they are. A server
/// unpacks in one go what anybody sends, and others wait for that.
pub const LONGEST_REQUEST: usize = 262_144;

/// Returns the most bytes that a packed body of a request of this length may stand for: without a bound a few
/// bytes would cost the server many. What Matrix says takes a third or more of its length.
pub fn longest_request(packed: usize) -> usize {
    packed.saturating_mul(8).saturating_add(4096).min(LONGEST_REQUEST)
}

/// Unpacks a body that is whole, to at most so many bytes.
///
/// # Errors
///
/// The body is not a packed one, or stands for more.
pub fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, NotPacked> {
    let mut cbor = Vec::with_capacity(packed.len().saturating_mul(2).min(most));
    let mut unpacker = Unpacker::new(most);
    unpacker.push(packed, &mut cbor)?;
    unpacker.finish(&mut cbor)?;
    Ok(cbor)
}

/// Packs a body that comes in pieces.
#[derive(Debug, Default)]
pub struct Packer {
    place: Place,
    /// The beginning of a head, or of a text that is not whole.
    held: Vec<u8>,
}

/// Where in a body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the head of an item.
    #[default]
    Item,
    /// At the head of a piece of a string of indefinite length.
    PieceOfString,
    /// Within a string: so much of it is to come. True if that is a piece of one of indefinite length.
    InString(u64, bool),
    /// Behind something that is not well-formed.
    Unknown,
}

impl Packer {
    /// Takes the next piece, and writes what is known to become of it.
    pub fn push(&mut self, piece: &[u8], packed: &mut Vec<u8>) {
        if self.held.is_empty() {
            let rest = self.take(piece, packed);
            self.held.extend_from_slice(rest);
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        let rest = self.take(&held, packed).len();
        held.drain(..held.len() - rest);
        self.held = held;
    }

    /// Writes what was held: the body has come to its end.
    pub fn finish(self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.held);
    }

    /// Returns the rest, of which more has to come.
    fn take<'b>(&mut self, mut bytes: &'b [u8], packed: &mut Vec<u8>) -> &'b [u8] {
        while !bytes.is_empty() {
            if let Some(rest) = self.place.pass_on(bytes, packed) {
                bytes = rest;
                continue;
            }
            let (head, behind) = match Head::read(bytes) {
                Ok(Some(read)) => read,
                Ok(None) => return bytes,
                Err(_malformed) => {
                    self.place = Place::Unknown;
                    continue;
                }
            };
            if self.place == Place::Item && head.major == Major::Text && head.is_shortest {
                let length = head.length().filter(|length| *length <= LONGEST_TEXT);
                if let Some(length) = length {
                    let Some((text, rest)) = behind.split_at_checked(length) else { return bytes };
                    if !write_text(text, packed) {
                        packed.extend_from_slice(bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes));
                    }
                    bytes = rest;
                    continue;
                }
            }
            if self.place == Place::Item && (head.major == Major::Tag || head.is_known_text()) {
                packed.extend_from_slice(&[TAG_TABLE, NULL]);
            }
            if self.place.behind(&head) {
                packed.extend_from_slice(bytes.get(..bytes.len() - behind.len()).unwrap_or(bytes));
                bytes = behind;
            }
        }
        bytes
    }
}

impl Place {
    /// Passes on what needs no look, and returns the rest; `None` at a head.
    fn pass_on<'b>(&mut self, bytes: &'b [u8], to: &mut Vec<u8>) -> Option<&'b [u8]> {
        match self {
            Place::Item | Place::PieceOfString => None,
            Place::Unknown => {
                to.extend_from_slice(bytes);
                Some(&[])
            }
            Place::InString(left, is_piece) => {
                let now = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let (string, rest) = bytes.split_at_checked(now)?;
                to.extend_from_slice(string);
                *left -= now as u64;
                if *left == 0 {
                    *self = if *is_piece { Place::PieceOfString } else { Place::Item };
                }
                Some(rest)
            }
        }
    }

    /// Goes on behind a head; false if the head cannot stand here, so that nothing is known from it on.
    fn behind(&mut self, head: &Head) -> bool {
        let is_string = matches!(head.major, Major::Bytes | Major::Text);
        let next = match (*self, is_string, head.argument) {
            (Place::PieceOfString, true, Some(0)) => Place::PieceOfString,
            (Place::PieceOfString, true, Some(length)) => Place::InString(length, true),
            (Place::PieceOfString, false, None) if head.is_break() => Place::Item,
            (Place::PieceOfString, ..) => Place::Unknown,
            (_, true, None) => Place::PieceOfString,
            (_, true, Some(length)) if length > 0 => Place::InString(length, false),
            _ => Place::Item,
        };
        *self = next;
        next != Place::Unknown
    }
}

/// Writes a text in fewer bytes; false if there is no way.
fn write_text(text: &[u8], to: &mut Vec<u8>) -> bool {
    if let Some(number) = table::number(text) {
        match number.checked_sub(ONE_BYTE) {
            None => to.push(0xe0 | number as u8),
            Some(further) => {
                to.push(TAG_TABLE);
                let major = if further % 2 == 0 { Major::Unsigned } else { Major::Negative };
                write_head(major, (further / 2) as u64, to);
            }
        }
        return true;
    }
    match text {
        [b'$', id @ ..] if id.len() == 43 => write_base64(&URL_SAFE_NO_PAD, id, &[TAG_TABLE], text.len(), to),
        [b'!', id @ ..] if id.len() == 43 => {
            write_base64(&URL_SAFE_NO_PAD, id, &[TAG_TABLE, TRUE], text.len(), to)
        }
        _ => {
            write_base64(&STANDARD_NO_PAD, text, &[TAG_BASE64], text.len(), to)
                || write_base64(&URL_SAFE_NO_PAD, text, &[TAG_BASE64URL], text.len(), to)
        }
    }
}

/// Writes the bytes whose base64 a text is, if it is one and they are shorter than the text.
fn write_base64(engine: &impl Engine, base64: &[u8], tag: &[u8], length: usize, to: &mut Vec<u8>) -> bool {
    const SHORTEST: usize = 8;
    if base64.len() < SHORTEST {
        return false;
    }
    let begin = to.len();
    to.extend_from_slice(tag);
    // Without padding each length of a text has one length of bytes; one of 4n + 1 is none.
    write_head(Major::Bytes, (base64.len() * 3 / 4) as u64, to);
    let is_shorter = to.len() - begin + base64.len() * 3 / 4 < 1 + length;
    let is_written = is_shorter && base64.len() % 4 != 1 && engine.decode_vec(base64, to).is_ok();
    if !is_written {
        to.truncate(begin);
    }
    is_written
}

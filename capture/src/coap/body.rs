//! Bodies: put together from their blocks (RFC 7959), and described.

use crate::exchange::{Body, BodyError, BodyKind, Note};
use crate::ranges::Ranges;
use lowband_codec::{DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, Limits};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::content_format;
use lowband_wire::packed::{NotPacked, Unpacker};

/// Most bytes that a body may have when it is unpacked, or written as JSON or CBOR; a larger one has no such
/// size.
const MAX_TRANSLATED: usize = 64 << 20;

/// Which way a body goes: what no Content-Format means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    /// In a response that is a success, or not.
    Response {
        success: bool,
    },
}

/// Describes bodies; one for all, since the scratch space is reused.
pub(crate) struct Describer {
    decoder: Decoder<'static>,
    encoder: Encoder<'static>,
    scratch: Vec<u8>,
    unpacked: Vec<u8>,
}

/// What a body stands for.
pub(crate) struct Translated<'a> {
    pub(crate) kind: BodyKind,
    /// Of packed CBOR, the CBOR: up to where it breaks off or cannot be read.
    pub(crate) unpacked: Option<&'a [u8]>,
    /// As JSON, if it is CBOR or JSON; or why not.
    pub(crate) json: Option<Result<&'a [u8], BodyError>>,
    pub(crate) mislabelled: bool,
}

impl Describer {
    pub(crate) fn new() -> Describer {
        let keys = Some(KeyTable::v1());
        let limits = Limits { max_output: MAX_TRANSLATED, ..Limits::default() };
        Describer {
            decoder: Decoder::new(DecodeOptions { keys, limits }),
            encoder: Encoder::new(EncodeOptions { keys, limits, ..EncodeOptions::default() }),
            scratch: Vec::new(),
            unpacked: Vec::new(),
        }
    }

    /// Returns what a whole body is, and the JSON of it.
    pub(crate) fn translate<'a>(
        &'a mut self,
        bytes: &'a [u8],
        format: Option<u16>,
        way: Way,
    ) -> Translated<'a> {
        let kind = kind(bytes, format, way);
        let is_packed = format == Some(content_format::PACKED);
        self.scratch.clear();
        self.unpacked.clear();
        let json = match kind {
            BodyKind::Cbor if is_packed => Some(match unpack(bytes, &mut self.unpacked) {
                Ok(()) => {
                    let decoded = self.decoder.decode(&self.unpacked, &mut self.scratch);
                    decoded.map(|_| self.scratch.as_slice()).map_err(BodyError::Unpacked)
                }
                Err(why) => Err(BodyError::NotPacked(why)),
            }),
            BodyKind::Cbor => {
                let decoded = self.decoder.decode(bytes, &mut self.scratch);
                Some(decoded.map(|_| self.scratch.as_slice()).map_err(BodyError::Malformed))
            }
            BodyKind::Json => {
                let encoded = self.encoder.encode(bytes, &mut self.scratch);
                Some(encoded.map(|_| bytes).map_err(BodyError::Malformed))
            }
            BodyKind::Text | BodyKind::Other => None,
        };
        let mislabelled = kind == BodyKind::Cbor && format == Some(content_format::JSON);
        Translated { kind, unpacked: is_packed.then_some(&self.unpacked), json, mislabelled }
    }

    fn describe(&mut self, bytes: &[u8], format: Option<u16>, way: Way, notes: &mut Vec<Note>) -> Body {
        let Translated { kind, json, mislabelled, .. } = self.translate(bytes, format, way);
        if mislabelled {
            note(notes, Note::MislabelledCbor);
        }
        let (json_bytes, error) = match json {
            None => (None, None),
            Some(Ok(json)) => (Some(json.len() as u64), None),
            Some(Err(error)) => (None, Some(error)),
        };
        // One very large body must not be paid for until the end.
        self.scratch.shrink_to(1 << 20);
        self.unpacked.shrink_to(1 << 20);
        Body { bytes: bytes.len() as u64, json_bytes, format, kind, blocks: 0, error }
    }
}

/// Writes the CBOR that a packed body stands for, up to where it cannot be read.
fn unpack(packed: &[u8], cbor: &mut Vec<u8>) -> Result<(), NotPacked> {
    let mut unpacker = Unpacker::new(MAX_TRANSLATED);
    unpacker.push(packed, cbor)?;
    unpacker.finish(cbor)
}

/// Judges what a body is. The reference implementation labels CBOR as JSON, and the requests of its clients
/// 42: so the first byte has a say. JSON never begins with one of 0x80 and above, a map or array in CBOR
/// always.
fn kind(bytes: &[u8], format: Option<u16>, way: Way) -> BodyKind {
    let is_text = bytes.first().is_some_and(|first| *first < 0x80);
    match format {
        Some(content_format::CBOR | content_format::PACKED) => BodyKind::Cbor,
        Some(content_format::OCTET_STREAM) if way == Way::Request => BodyKind::Cbor,
        Some(content_format::JSON) if is_text => BodyKind::Json,
        Some(content_format::JSON) => BodyKind::Cbor,
        Some(content_format::TEXT) => BodyKind::Text,
        Some(_) => BodyKind::Other,
        // RFC 7252 section 5.5.2: a diagnostic payload has no Content-Format.
        None if way == (Way::Response { success: false }) && is_text => BodyKind::Text,
        None => BodyKind::Cbor,
    }
}

/// Adds a note, unless it is there.
pub(crate) fn note(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// What all bodies that are being put together may take.
pub(crate) struct Room {
    pub(crate) left: usize,
    /// Most bytes of one body.
    pub(crate) body: usize,
}

/// A body on its way.
#[derive(Default)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
    have: Ranges,
    /// Length, once the last block is there.
    end: Option<usize>,
    format: Option<u16>,
    blocks: u32,
    /// Where the next block would begin if all came in order.
    next: usize,
    is_described: bool,
    /// No more bytes are taken: too large, or no room.
    is_given_up: bool,
}

impl Assembly {
    /// Returns whether a block has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.blocks > 0
    }
    /// Returns whether all blocks have come.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_described || self.end.is_some_and(|end| self.have.has(0, end))
    }
    /// Returns whether the block that begins at `offset` has come.
    pub(crate) fn has(&self, offset: usize) -> bool {
        self.have.has(offset, offset + 1) || self.end.is_some_and(|end| offset >= end && end > 0)
    }

    /// Takes one block.
    pub(crate) fn add(
        &mut self,
        block: Block,
        payload: &[u8],
        format: Option<u16>,
        room: &mut Room,
        notes: &mut Vec<Note>,
    ) {
        let (start, end) = (block.offset(), block.offset() + payload.len());
        self.blocks = self.blocks.saturating_add(1);
        self.format = self.format.or(format);
        if self.is_whole() || (self.have.has(start, end) && !payload.is_empty()) {
            return;
        }
        if start != self.next {
            note(notes, Note::BlocksOutOfOrder);
        }
        self.next = end;
        if !block.more {
            self.end = Some(end);
        }
        let longer = end.saturating_sub(self.bytes.len());
        let fits = self.have.insert(start, end) && end <= room.body && longer <= room.left;
        if self.is_given_up || !fits {
            self.give_up(room);
            return note(notes, Note::BodyTooLarge);
        }
        room.left -= longer;
        if start == self.bytes.len() {
            self.bytes.extend_from_slice(payload);
            return;
        }
        self.bytes.resize(self.bytes.len().max(end), 0);
        if let Some(to) = self.bytes.get_mut(start..end) {
            to.copy_from_slice(payload);
        }
    }

    /// Frees the bytes, and takes no more.
    pub(super) fn give_up(&mut self, room: &mut Room) {
        room.left += self.bytes.len();
        self.bytes = Vec::new();
        self.is_given_up = true;
    }

    /// Describes the body, whole or not, and frees its bytes; None if no block has come, or once it was
    /// described.
    pub(crate) fn describe(
        &mut self,
        describer: &mut Describer,
        way: Way,
        room: &mut Room,
        notes: &mut Vec<Note>,
    ) -> Option<Body> {
        if self.blocks == 0 || self.is_described {
            return None;
        }
        let whole = self.is_whole();
        let (count, blocks) = (self.have.count() as u64, self.blocks);
        let body = if whole && !self.is_given_up {
            describer.describe(&self.bytes, self.format, way, notes)
        } else {
            let kind = kind(&self.bytes, self.format, way);
            Body { bytes: count, json_bytes: None, format: self.format, kind, blocks: 0, error: None }
        };
        self.give_up(room);
        self.is_described = whole;
        Some(Body { blocks, ..body })
    }

    /// Returns the bytes that are there, from the first to the first gap, and frees them.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let (mut bytes, end) = (self.bytes, self.have.first_gap());
        bytes.truncate(end);
        bytes
    }
}

/// Describes the body of a message without a block option; None if it has none.
pub(crate) fn whole(
    payload: &[u8],
    format: Option<u16>,
    way: Way,
    describer: &mut Describer,
    notes: &mut Vec<Note>,
) -> Option<Body> {
    (!payload.is_empty()).then(|| describer.describe(payload, format, way, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_body_that_stands_for_too_much_is_given_up() {
        // The longest text of the table, 51 bytes in two.
        let packed = [0xc6, 0x0d].repeat(MAX_TRANSLATED / 51);
        let mut describer = Describer::new();
        let translated = describer.translate(&packed, Some(content_format::PACKED), Way::Request);
        let why = BodyError::NotPacked(NotPacked::TooLong(MAX_TRANSLATED));
        assert_eq!((translated.kind, translated.json), (BodyKind::Cbor, Some(Err(why))));
    }
}

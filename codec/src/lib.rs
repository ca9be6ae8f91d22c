//! JSON <-> CBOR for low-bandwidth Matrix (MSC3079): bytes in, bytes out, no I/O and no clock.
//!
//! An [`Encoder`] turns one JSON text (RFC 8259) into one CBOR item (RFC 8949), a [`Decoder`] the other
//! way, each in one pass and without a tree in between. Map keys that stand in a [`KeyTable`] travel as
//! integers, paths that stand in a [`PathTable`] as one character. [`PushEncoder`] and [`PushDecoder`] do
//! the same in pieces, for bodies that should not be held as a whole. [`peek`] looks for one value without
//! translating the rest. [`annotate`] says of each byte what it means, for people; [`diagnostic`] turns CBOR
//! into text that says all of it, and back. [`sequence`] finds where documents end that follow each other.
//!
//! Deliberately absent: byte strings and tags in JSON, which has none ([`annotate`] and [`diagnostic`]
//! read them), HTTP, CoAP.
//!
//! ```
//! let cbor = lowband_codec::json_to_cbor(br#"{"msgtype":"m.text","body":"Hello"}"#)?;
//! assert_eq!(cbor, b"\xa2\x18\x1c\x66m.text\x18\x1b\x65Hello");
//! assert_eq!(lowband_codec::cbor_to_json(&cbor)?, br#"{"msgtype":"m.text","body":"Hello"}"#);
//! # Ok::<(), lowband_codec::Error>(())
//! ```

pub mod annotate;
mod cbor;
mod decode;
pub mod diagnostic;
mod encode;
mod error;
mod json;
pub mod keys;
mod names;
mod options;
pub mod paths;
pub mod peek;
mod plain;
mod push;
mod repairs;
mod scratch;
pub mod sequence;
mod utf8;

pub use decode::{Decoded, Decoder};
pub use encode::Encoder;
pub use error::{Error, ErrorKind};
pub use keys::KeyTable;
pub use options::{DecodeOptions, EncodeOptions, Limits, Order, Policy};
pub use paths::PathTable;
pub use push::{MAX_TEXT, PushDecoder, PushEncoder, PushOptions};
pub use repairs::Repairs;

/// Converts one JSON text to CBOR: strict, key table v1, default limits, keys in the order of the text.
pub fn json_to_cbor(json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut cbor = Vec::new();
    Encoder::new(EncodeOptions { keys: Some(KeyTable::v1()), ..EncodeOptions::default() })
        .encode(json, &mut cbor)?;
    Ok(cbor)
}

/// Converts one CBOR item to JSON: key table v1, default limits.
pub fn cbor_to_json(cbor: &[u8]) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    Decoder::new(DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() })
        .decode(cbor, &mut json)?;
    Ok(json)
}

/// Turns a map of texts, for instance a Matrix error, into CBOR. Its keys are written as text, which every
/// receiver accepts whatever key table it knows, and keep their order; the caller must not repeat a key.
///
/// ```
/// let cbor = lowband_codec::texts_to_cbor(&[("errcode", "M_UNKNOWN"), ("error", "no")]);
/// assert_eq!(lowband_codec::cbor_to_json(&cbor)?, br#"{"errcode":"M_UNKNOWN","error":"no"}"#);
/// # Ok::<(), lowband_codec::Error>(())
/// ```
pub fn texts_to_cbor(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut cbor = Vec::new();
    cbor::write_head(&mut cbor, cbor::major::MAP, fields.len() as u64);
    for text in fields.iter().flat_map(|(key, value)| [key, value]) {
        cbor::write_head(&mut cbor, cbor::major::TEXT, text.len() as u64);
        cbor.extend_from_slice(text.as_bytes());
    }
    cbor
}

//! Reading one top-level value of a CBOR map without decoding the rest.
//!
//! The values passed over are checked only for well-formedness (RFC 8949 appendix C), with a nesting of at
//! most 128; input after the item is not read. If a key occurs both as text and as integer, the text wins, as
//! in [`crate::Decoder`].

use crate::cbor::skip::{self, IntegerKeys};
use crate::cbor::{Head, Reader, text as cbor_text};
use crate::decode::number;
use crate::{Error, KeyTable};
use std::borrow::Cow;

/// Returns the text under a top-level key (as text, or as its integer in `keys`); `None` if the key is absent
/// or its value is not a text.
///
/// # Errors
///
/// The part that had to be read is not well-formed, ends early, is nested too deep, or the text is not UTF-8.
pub fn text<'c>(cbor: &'c [u8], key: &str, keys: Option<&KeyTable>) -> Result<Option<Cow<'c, str>>, Error> {
    let Some(mut reader) = find(cbor, key, keys)? else { return Ok(None) };
    let Head::Text(length) = reader.head()? else { return Ok(None) };
    if let Some(length) = length {
        return Ok(Some(Cow::Borrowed(cbor_text::definite(&mut reader, length)?)));
    }
    let mut joined = String::new();
    cbor_text::indefinite(&mut reader, &mut joined)?;
    Ok(Some(Cow::Owned(joined)))
}

/// Returns the whole number under a top-level key (CBOR integer or integral float); `None` if the key is
/// absent or its value is of another type.
///
/// # Errors
///
/// As [`text`].
pub fn unsigned(cbor: &[u8], key: &str, keys: Option<&KeyTable>) -> Result<Option<u64>, Error> {
    let Some(mut reader) = find(cbor, key, keys)? else { return Ok(None) };
    Ok(match reader.head()? {
        Head::Unsigned(value) => Some(value),
        Head::Float(value) if number::is_exact_integer(value) && value >= 0.0 => Some(value as u64),
        _ => None,
    })
}

/// Returns true if any map key in the item, at any depth, is an integer: the sender knows a key table.
/// Reading stops at the first such key.
///
/// # Errors
///
/// As [`text`].
pub fn uses_integer_keys(cbor: &[u8]) -> Result<bool, Error> {
    skip::item(&mut Reader::new(cbor), 0, IntegerKeys::Stop)
}

/// Returns a reader at the value under the key, if the item is a map that has it.
fn find<'c>(cbor: &'c [u8], name: &str, keys: Option<&KeyTable>) -> Result<Option<Reader<'c>>, Error> {
    let mut reader = Reader::new(cbor);
    let Head::Map(mut remaining) = reader.head()? else { return Ok(None) };
    let integer = keys.and_then(|table| table.integer(name));
    let mut by_integer = None;
    loop {
        match &mut remaining {
            Some(0) => return Ok(by_integer),
            Some(remaining) => *remaining -= 1,
            None if reader.at_break()? => return Ok(by_integer),
            None => {}
        }
        match key(&mut reader, name)? {
            // A key as text always wins, so the search ends here.
            Key::Wanted => return Ok(Some(reader)),
            Key::Integer(key) if Some(key) == integer => by_integer = by_integer.or(Some(reader.clone())),
            _ => {}
        }
        skip::item(&mut reader, 1, IntegerKeys::Ignore)?;
    }
}

enum Key {
    /// The text of the wanted name.
    Wanted,
    Integer(u64),
    Other,
}

/// Reads a key and returns what it is.
fn key(reader: &mut Reader<'_>, name: &str) -> Result<Key, Error> {
    let start = reader.clone();
    match reader.head()? {
        Head::Unsigned(key) => Ok(Key::Integer(key)),
        Head::Text(length) => {
            let mut joined = String::new();
            let text = cbor_text::read(reader, length, &mut joined)?;
            Ok(if text == name { Key::Wanted } else { Key::Other })
        }
        _ => {
            *reader = start;
            skip::item(reader, 1, IntegerKeys::Ignore)?;
            Ok(Key::Other)
        }
    }
}

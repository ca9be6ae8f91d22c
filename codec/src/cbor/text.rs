//! Texts (RFC 8949 section 3.2.3), checked for UTF-8.

use super::{Head, Reader};
use crate::{Error, ErrorKind, scratch};
use std::str::Utf8Error;

/// Reads the content of a text of this length; the reader stands after its head.
pub(crate) fn definite<'c>(reader: &mut Reader<'c>, length: u64) -> Result<&'c str, Error> {
    let at = reader.at;
    let invalid = |error: Utf8Error| Error::new(ErrorKind::InvalidUtf8, at + error.valid_up_to());
    match reader.take(length) {
        Ok(bytes) => str::from_utf8(bytes).map_err(invalid),
        // The earliest error wins, as in push mode: bytes that are not UTF-8 come before the missing end.
        Err(end) => match str::from_utf8(reader.rest()) {
            Err(error) if error.error_len().is_some() => Err(invalid(error)),
            _ => Err(end),
        },
    }
}

/// Joins the chunks of an indefinite-length text; each must be valid UTF-8 by itself.
pub(crate) fn indefinite(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Error> {
    scratch::clear_text(text);
    while !reader.at_break()? {
        let at = reader.at;
        let Head::Text(Some(length)) = reader.head()? else {
            return Err(Error::new(ErrorKind::InvalidChunk, at));
        };
        text.push_str(definite(reader, length)?);
    }
    Ok(())
}

/// Reads the content of a text of either kind; `scratch` holds that of an indefinite-length one.
pub(crate) fn read<'c: 's, 's>(
    reader: &mut Reader<'c>,
    length: Option<u64>,
    scratch: &'s mut String,
) -> Result<&'s str, Error> {
    match length {
        Some(length) => definite(reader, length),
        None => {
            indefinite(reader, scratch)?;
            Ok(scratch)
        }
    }
}

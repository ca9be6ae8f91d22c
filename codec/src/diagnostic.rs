//! CBOR as text that people read and write, and back: diagnostic notation (RFC 8949 section 8).
//!
//! It says what JSON cannot: byte strings, tags, keys of any type, `undefined`, `NaN`, and how the bytes were
//! chosen, by encoding indicators (section 8.1): `1_1` is the integer 1 with an argument of two bytes,
//! `[_ 1]` an array of indefinite length. Integer keys have their names as comments.
//!
//! What [`from_cbor`] writes, [`to_cbor`] turns into the same bytes, with two exceptions that say so in a
//! comment: a text that is not UTF-8, which is written as a byte string (and refused among chunks that are
//! texts), and a NaN with a payload, for which the notation has no form.
//!
//! ```
//! use lowband_codec::diagnostic::{self, Options};
//!
//! let cbor = b"\xa3\x02\x66m.room\x08\xc1\x19\x04\xd2\x20\x42\x01\xff";
//! let mut text = Vec::new();
//! diagnostic::from_cbor(cbor, Options::default(), &mut text)?;
//! assert_eq!(
//!     std::str::from_utf8(&text)?,
//!     "{/ type / 2: \"m.room\", / origin_server_ts / 8: 1(1234), -1: h'01ff'}",
//! );
//! assert_eq!(diagnostic::to_cbor(&text, &diagnostic::LIMITS)?, cbor);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{KeyTable, Limits};

mod mistake;
mod read;
mod write;

pub use mistake::{Mistake, TextError};
pub use read::{MAX_INTEGER_DIGITS, to_cbor};
pub use write::from_cbor;

/// The default limits: those of a decoder, but 1,024 open arrays, maps, tags and strings of indefinite
/// length, as nothing here needs memory for them.
pub const LIMITS: Limits = Limits { max_depth: 1024, ..Limits::DECODE };

/// How CBOR is written as text.
#[derive(Clone, Copy, Debug)]
pub struct Options<'t> {
    /// Integer keys of this table have their names as comments before them, `/ type / 2`; v1 by default.
    /// `None` writes no names.
    pub keys: Option<&'t KeyTable>,
    /// True for a line for each element and pair, two blanks a level; false by default: one line.
    pub pretty: bool,
    /// True for a sequence of items (RFC 8742), which may be empty and whose items are divided by commas;
    /// false by default: one item, and what follows it is an error.
    pub sequence: bool,
    /// Bounds of input, output and depth; [`LIMITS`] by default.
    pub limits: Limits,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { keys: Some(KeyTable::v1()), pretty: false, sequence: false, limits: LIMITS }
    }
}

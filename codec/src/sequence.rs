//! Where the documents of a sequence end: CBOR items one behind the other (RFC 8742), and JSON texts with or
//! without white space between them, a line each (NDJSON) or not.
//!
//! Only the places are found here, in one pass, in pieces cut anywhere and in memory for the open containers
//! alone. What a document holds is for an encoder or decoder, which gets the bytes between two places.
//!
//! ```
//! use lowband_codec::sequence::{CborItems, JsonTexts, items};
//!
//! let both: Result<Vec<_>, _> = items(b"\x83\x01\x02\x03\x61a", 128).collect();
//! assert_eq!(both?, [0..4, 4..6]);
//!
//! // In pieces: the item of four bytes ends behind the second byte of the second piece.
//! let mut items = CborItems::new(128);
//! let step = items.push(b"\x83\x01")?;
//! assert_eq!((step.taken, step.ended), (2, false));
//! let step = items.push(b"\x02\x03\x61a")?;
//! assert_eq!((step.taken, step.ended), (2, true));
//!
//! let mut texts = JsonTexts::new();
//! let step = texts.push(b"\n{\"a\":1}\n{");
//! assert_eq!((step.skipped, step.taken, step.ended), (1, 7, true));
//! # Ok::<(), lowband_codec::Error>(())
//! ```

use crate::Error;
use std::ops::Range;

mod cbor;
mod json;

pub use cbor::CborItems;
pub use json::JsonTexts;

/// What a call of `push` has made of the beginning of a piece. The rest of the piece is for the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes before the document that belong to none: white space, in JSON alone.
    pub skipped: usize,
    /// Bytes of the document, which follow those.
    pub taken: usize,
    /// True if the document ends there. Otherwise the piece has no more bytes, and the document goes on in
    /// the next one, or has not begun if nothing was taken of it.
    pub ended: bool,
}

/// Returns the range of each item of a CBOR sequence (RFC 8742), which may be empty. `max_depth`: arrays,
/// maps and strings of indefinite length that may be open at once.
///
/// # Errors
///
/// In place of an item, and as the last: an item that is not well-formed, cut at the end, or nested too deep,
/// with the offset in the sequence. The items before it have been returned.
pub fn items(cbor: &[u8], max_depth: usize) -> impl Iterator<Item = Result<Range<usize>, Error>> {
    let (mut items, mut at, mut failed) = (CborItems::new(max_depth), 0, false);
    std::iter::from_fn(move || {
        let rest = cbor.get(at..).filter(|rest| !rest.is_empty() && !failed)?;
        let start = at;
        let found = items.push(rest).and_then(|step| {
            at += step.taken;
            if step.ended { Ok(start..at) } else { Err(items.cut()) }
        });
        failed = found.is_err();
        Some(found)
    })
}

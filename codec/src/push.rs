//! Both directions in pieces: input is pushed as it comes, output leaves as soon as it is known.
//!
//! ```text
//! piece -> what a cut held back is completed -> the rest walked like a whole input -> a token cut at its end is held back
//! ```
//!
//! The verdict, its offset and the content are those of [`crate::Encoder`] and [`crate::Decoder`], wherever
//! the pieces are cut, and where they are cut changes no byte of the output. What differs follows from this:
//! what has left cannot be taken back.
//!
//! - CBOR gets indefinite lengths, of containers and of texts longer than [`MAX_TEXT`]; there is
//!   no canonical order.
//! - Of repeated keys the lenient encoder keeps the first and drops the later ones with their values, where
//!   one-shot keeps the last: whatever is written can be read. What would have been repaired in a dropped
//!   value is not counted.
//! - The decoder drops an integer key whose text has left, with its value; the other order is an error.
//! - Keys are kept in mind while their object is open, which [`Limits::max_keys`] bounds. A key longer than
//!   [`MAX_TEXT`] is not; an object may have one of them.
//! - A limit of input or output is reported where it is met, even if something is wrong elsewhere.
//! - The lenient encoder passes over no more than 2^20 containers inside one another.
//!
//! Memory is bounded by the depth, by the keys of the open objects and by one text of [`MAX_TEXT`] or one
//! number; beyond that it does not grow with the input.

use crate::{KeyTable, Limits, Policy};

mod character;
mod decode;
mod encode;
mod names;

pub use decode::PushDecoder;
pub use encode::PushEncoder;

/// The longest text in bytes of UTF-8 that is written with a definite length; one buffer of this
/// size is kept. Longer ones leave as chunks of this size, less where a character would be cut (RFC
/// 8949 section 3.2.3).
pub const MAX_TEXT: usize = 64 << 10;

/// How JSON becomes CBOR in pieces: [`crate::EncodeOptions`] without an order, because keys leave before the
/// last one is seen.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions<'t> {
    /// Names that stand in this table are written as their integer; `None` writes every name as text.
    pub keys: Option<&'t KeyTable>,
    /// What happens to JSON that is not clean; strict by default.
    pub policy: Policy,
    /// Default [`Limits::ENCODE`]. Those of input and output concern all pieces together.
    pub limits: Limits,
}

impl Default for PushOptions<'_> {
    /// No key table, strict.
    fn default() -> Self {
        PushOptions { keys: None, policy: Policy::Strict, limits: Limits::ENCODE }
    }
}

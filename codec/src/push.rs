//! Both directions in pieces: input is pushed as it comes, output leaves as soon as it is known.
//!
//! ```text
//! piece -> what a cut held back is completed -> the rest walked like a whole input -> a token cut at its end is held back
//! ```
//!
//! Wherever the pieces are cut, the verdict, its offset and the content are those of [`crate::Encoder`] and
//! [`crate::Decoder`], and the cuts change no byte of the output. All differences follow from one fact:
//! output that has left cannot be taken back.
//!
//! - CBOR gets indefinite lengths, of containers and of texts longer than [`MAX_TEXT`]; there is
//!   no canonical order.
//! - Of repeated keys the lenient encoder keeps the first and drops the later ones with their values, while
//!   one-shot mode keeps the last. Each output can be read. Repairs in a dropped value are not counted.
//! - The decoder drops an integer key, with its value, if its text has left; the other order is an error.
//! - Keys are remembered while their object is open, within [`Limits::max_keys`]. A key longer than
//!   [`MAX_TEXT`] is not remembered; an object may have one of them.
//! - A limit of input or output is reported as soon as it is exceeded, even if there is another mistake
//!   elsewhere.
//! - The lenient encoder skips at most 2^20 nested containers.
//!
//! Memory is bounded by the depth, by the keys of the open objects and by one text of [`MAX_TEXT`] or one
//! number; apart from these it does not grow with the input.

use crate::{KeyTable, Limits, Policy};

mod character;
mod decode;
mod encode;
mod names;

pub use decode::PushDecoder;
pub use encode::PushEncoder;

/// The longest text in bytes of UTF-8 that is written with a definite length; one buffer of this size is
/// kept. A longer text leaves in chunks of this size, or slightly less where a character would be cut (RFC
/// 8949 section 3.2.3).
pub const MAX_TEXT: usize = 64 << 10;

/// How JSON becomes CBOR in pieces: [`crate::EncodeOptions`] without an order, because keys leave before the
/// last one is read.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions<'t> {
    /// Names that stand in this table are written as their integer; `None` writes every name as text.
    pub keys: Option<&'t KeyTable>,
    /// How JSON that is not clean is handled; strict by default.
    pub policy: Policy,
    /// Upper bounds; by default [`Limits::ENCODE`]. The bounds of input and output apply to all pieces
    /// together.
    pub limits: Limits,
}

impl Default for PushOptions<'_> {
    /// Returns the defaults: no key table, strict.
    fn default() -> Self {
        PushOptions { keys: None, policy: Policy::Strict, limits: Limits::ENCODE }
    }
}

//! Both directions in pieces: input is pushed as it comes, output leaves as soon as it is known.
//!
//! ```text
//! piece -> what a cut held back is completed -> the rest walked like a whole input -> a token cut at its end is held back
//! ```
//!
//! The verdict, its offset and the content are those of [`crate::Encoder`] and [`crate::Decoder`], wherever the pieces are cut,
//! and where they are cut changes no byte of the output. What differs follows from this: what has left cannot be taken back,
//! and memory must not grow with the number of keys.
//!
//! - CBOR gets indefinite lengths, of containers and of texts longer than [`MAX_TEXT`]; there is no canonical order.
//! - Only repeats of the table's keys are noticed. The strict encoder refuses them; the lenient one writes the later one again
//!   as text, which holds over the integer (MSC3079). The decoder drops an integer key whose text has left, with its value;
//!   the other order is an error. Other repeated keys pass, and who reads them takes the last; an unknown integer and its
//!   decimal text are two of them.
//! - A limit of input or output is reported where it is met, even if something is wrong elsewhere.
//! - The lenient encoder passes over no more than 2^20 containers inside one another.
//!
//! Memory is bounded by the depth and by one text of [`MAX_TEXT`] or one number; it does not grow with the input.

use crate::{KeyTable, Limits, Policy};

mod character;
mod decode;
mod encode;

pub use decode::PushDecoder;
pub use encode::PushEncoder;

/// The longest text in bytes of UTF-8 that is written with a definite length; one buffer of this size is kept. Longer ones leave
/// as chunks of this size, less where a character would be cut (RFC 8949 section 3.2.3).
pub const MAX_TEXT: usize = 64 << 10;

/// How JSON becomes CBOR in pieces: [`crate::EncodeOptions`] without an order, because keys leave before the last one is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushOptions<'t> {
    /// Names that stand in this table are written as their integer; `None` writes every name as text.
    pub keys: Option<&'t KeyTable>,
    /// See [`Policy`].
    pub policy: Policy,
    /// See [`Limits`]. Those of input and output concern all pieces together.
    pub limits: Limits,
}

//! What a caller may choose: policy, order, key table and limits.

use crate::KeyTable;

/// How a document is handled that is JSON but not clean: the five cases that [`crate::Repairs`] counts.
///
/// An input that is not JSON at all is an error under both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// The document is refused, with an error that names the byte offset. For requests and for tools.
    #[default]
    Strict,
    /// The document is repaired and the repairs counted: one odd event must not block a client's sync for
    /// ever. For responses. A byte order mark before the text is skipped and not counted, since the value
    /// does not change (RFC 8259 section 8.1).
    Lenient,
}

/// The order in which the keys of a map are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// The order of the input.
    #[default]
    AsWritten,
    /// Bytewise order of the encoded keys (RFC 8949 section 4.2.1).
    Bytewise,
    /// Shorter encoded keys first (RFC 8949 section 4.2.3, RFC 7049 section 3.9); MSC3079 calls this order
    /// canonical.
    LengthFirst,
}

/// Upper bounds of one call. With the defaults, an encoder never writes what a decoder refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input. Default 64 MiB.
    pub max_input: usize,
    /// Bytes of output: JSON to CBOR may grow 2.25 times, CBOR to JSON 8.5 times and more. Default 256 MiB,
    /// and 64 MiB of CBOR, because a decoder takes no more.
    pub max_output: usize,
    /// Open containers; one more is an error, or null with the lenient policy. Default 128.
    pub max_depth: usize,
    /// Bytes that the keys of the open objects may take in push mode, which must remember them to notice a
    /// repeated one: the text of each key plus 16 bytes, except for the keys of the table. One byte more is
    /// an error. Default 16 MiB, some 400,000 user ids.
    pub max_keys: usize,
}

impl Limits {
    /// The defaults of an encoder.
    pub const ENCODE: Limits = Limits { max_output: Limits::DECODE.max_input, ..Limits::DECODE };

    /// The defaults of a decoder, and of [`Limits::default`].
    pub const DECODE: Limits =
        Limits { max_input: 64 << 20, max_output: 256 << 20, max_depth: 128, max_keys: 16 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DECODE
    }
}

/// How JSON becomes CBOR.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'t> {
    /// Names that stand in this table are written as their integer; `None` writes every name as text.
    pub keys: Option<&'t KeyTable>,
    /// How JSON that is not clean is handled; strict by default.
    pub policy: Policy,
    /// The order of a map's keys; by default that of the input.
    pub order: Order,
    /// Bounds of input, output and depth; [`Limits::ENCODE`] by default.
    pub limits: Limits,
}

impl Default for EncodeOptions<'_> {
    /// Returns the defaults: no key table, strict, order of the input.
    fn default() -> Self {
        EncodeOptions { keys: None, policy: Policy::Strict, order: Order::AsWritten, limits: Limits::ENCODE }
    }
}

/// How CBOR becomes JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeOptions<'t> {
    /// Integer keys of this table become their names, any others their decimal text. `None` is no table.
    pub keys: Option<&'t KeyTable>,
    /// Bounds of input, output and depth; [`Limits::DECODE`] by default.
    pub limits: Limits,
}

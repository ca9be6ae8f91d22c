//! What a caller may choose: policy, order, key table and limits.

use crate::KeyTable;

/// What happens to a document that is JSON, but not clean: the five cases that [`crate::Repairs`] counts.
///
/// What is no JSON at all is an error under both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Refused, with an error that names the byte offset. For requests and for tools.
    #[default]
    Strict,
    /// Repaired and counted: one odd event must not block a client's sync for ever. For responses.
    Lenient,
}

/// The order in which the keys of a map are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// As they stand in the input.
    #[default]
    AsWritten,
    /// RFC 8949 section 4.2.1: bytewise order of the encoded keys.
    Bytewise,
    /// RFC 8949 section 4.2.3 (RFC 7049 section 3.9): shorter encoded keys first. What MSC3079 calls canonical.
    LengthFirst,
}

/// Upper bounds of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input. Default 64 MiB.
    pub max_input: usize,
    /// Bytes of output: JSON to CBOR may grow 2.25 times, CBOR to JSON 8.5 times and more. Default 256 MiB.
    pub max_output: usize,
    /// Open containers; one more is an error. Default 128.
    pub max_depth: usize,
    /// Open containers of a lenient encoder, in place of `max_depth`; one more becomes null. Default 1,024.
    pub max_depth_lenient: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_input: 64 << 20, max_output: 256 << 20, max_depth: 128, max_depth_lenient: 1024 }
    }
}

/// How JSON becomes CBOR.
#[derive(Clone, Copy, Debug, Default)]
pub struct EncodeOptions<'t> {
    /// Names that stand in this table are written as their integer; `None` writes every name as text.
    pub keys: Option<&'t KeyTable>,
    /// See [`Policy`].
    pub policy: Policy,
    /// See [`Order`].
    pub order: Order,
    /// See [`Limits`].
    pub limits: Limits,
}

/// How CBOR becomes JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeOptions<'t> {
    /// Integer keys of this table become their names; others their decimal text.
    pub keys: Option<&'t KeyTable>,
    /// See [`Limits`].
    pub limits: Limits,
}

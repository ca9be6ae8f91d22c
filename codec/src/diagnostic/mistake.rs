//! Why a text is not diagnostic notation, and where.

use crate::{Error, ErrorKind};
use std::fmt;

/// The reason why a text was refused, and the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The kind of the mistake.
    pub mistake: Mistake,
    /// Offset in bytes from the start of the text. If something is missing, the offset where it should stand.
    pub offset: usize,
}

impl TextError {
    pub(super) fn new(mistake: Mistake, offset: usize) -> TextError {
        TextError { mistake, offset }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.mistake.sentence())
    }
}

impl std::error::Error for TextError {}

impl From<Error> for TextError {
    fn from(error: Error) -> TextError {
        TextError::new(Mistake::Common(error.kind), error.offset)
    }
}

/// The kinds of mistake; the list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mistake {
    /// A mistake that JSON or CBOR can have as well: a limit, an escape, text that is not UTF-8, an end that
    /// comes too early.
    Common(ErrorKind),
    /// Something with which no item begins.
    ExpectedItem,
    /// A word that is none of those known.
    UnknownWord,
    /// No colon between a key and its value.
    ExpectedColon,
    /// Neither a comma nor the closing bracket after an item.
    ExpectedCommaOrEnd,
    /// A closing bracket that closes nothing, or something else.
    WrongBracket,
    /// A tag without the parenthesis that begins its content, or with more than one item in it.
    Tag,
    /// A chunk of a string of indefinite length that is not a string, or of the other type.
    Chunk,
    /// A number that is not written as numbers are.
    InvalidNumber,
    /// An integer of more than [`MAX_INTEGER_DIGITS`](super::MAX_INTEGER_DIGITS) digits.
    IntegerTooLong,
    /// A number that is infinite as a float of 64 bits.
    HugeNumber,
    /// The number of `simple(..)`: not in 0 to 255, or one of 24 to 31, which are reserved.
    SimpleValue,
    /// A tag's number beyond 64 bits, negative, or a float.
    TagNumber,
    /// What stands between the quotes of `h'..'`.
    InvalidHex,
    /// What stands between the quotes of `b64'..'`.
    InvalidBase64,
    /// An encoding indicator that is unknown, or that the item cannot have.
    InvalidIndicator,
    /// An encoding indicator whose width does not hold the value, or not exactly.
    IndicatorTooSmall,
    /// A comment without an end.
    OpenComment,
}

impl Mistake {
    /// Returns what is wrong, for people; without a full stop.
    pub fn sentence(self) -> &'static str {
        match self {
            Mistake::Common(kind) => kind.sentence(),
            Mistake::ExpectedItem => "an item in diagnostic notation is expected",
            Mistake::UnknownWord => {
                "only true, false, null, undefined, simple(..), NaN, Infinity, h'..' and b64'..' are known"
            }
            Mistake::ExpectedColon => "a colon is expected after the key",
            Mistake::ExpectedCommaOrEnd => "a comma or the closing bracket is expected",
            Mistake::WrongBracket => "the bracket does not close what was opened last",
            Mistake::Tag => "a tag holds one item in parentheses",
            Mistake::Chunk => "the chunks of a string are all texts or all byte strings, of definite length",
            Mistake::InvalidNumber => "the number is not written as numbers are",
            Mistake::IntegerTooLong => "the integer has more than 1,000 digits",
            Mistake::HugeNumber => "the number is too large for a 64-bit float",
            Mistake::SimpleValue => "the number of a simple value is in 0 to 23 or in 32 to 255",
            Mistake::TagNumber => "the number of a tag is an integer in 0 to 2^64-1",
            Mistake::InvalidHex => "the byte string is not pairs of hexadecimal digits",
            Mistake::InvalidBase64 => "the byte string is not base64",
            Mistake::InvalidIndicator => "no such encoding indicator, or not for this item",
            Mistake::IndicatorTooSmall => "the value does not fit into the width of its encoding indicator",
            Mistake::OpenComment => "the comment does not end",
        }
    }
}

//! Why an input was refused, and where: one kind for each way, with a word for programs and a
//! sentence for people.

use std::fmt;

/// The reason why an input was refused, and the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of the mistake.
    pub kind: ErrorKind,
    /// Offset in bytes from the start of the input. If something is missing, the offset where it should
    /// stand.
    pub offset: usize,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Error { kind, offset }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.kind.sentence())
    }
}

impl std::error::Error for Error {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $sentence:literal;)*) => {
        /// The kinds of refusal; the list may grow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// Every kind, in the order of this list.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind),*];

            /// Returns a short stable word for metrics and for typed errors in other languages, e.g.
            /// `unexpected_end`.
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$kind => $name,)* }
            }

            /// Returns what is wrong, for people; without a full stop.
            pub fn sentence(self) -> &'static str {
                match self { $(ErrorKind::$kind => $sentence,)* }
            }
        }
    };
}

kinds! {
    // Either direction.
    /// The input ends inside a value.
    UnexpectedEnd, "unexpected_end", "the input ends inside a value";
    /// Further input follows the value.
    TrailingData, "trailing_data", "something follows the value, which should be the only one";
    /// A limit: the input is too long.
    InputTooLarge, "input_too_large", "the input is longer than the limit allows";
    /// A limit: the output would be too long.
    OutputTooLarge, "output_too_large", "from here on the output would be longer than the limit allows";
    /// A limit: containers nested too deep.
    TooDeep, "too_deep", "arrays and objects are nested deeper than the limit allows";
    /// A limit: a number of more than 65,536 characters.
    NumberTooLong, "number_too_long", "the number is written with more than 65,536 characters";
    /// Text that is not UTF-8.
    InvalidUtf8, "invalid_utf8", "the text is not valid UTF-8";
    /// A key that its map already holds.
    RepeatedKey, "repeated_key", "the key occurs twice in one object";
    /// A limit of push mode: keys of open objects, or a second key of more than [`crate::MAX_TEXT`] bytes in
    /// one of them.
    TooManyKeys, "too_many_keys", "the keys of the open objects take more memory than the limit allows";

    // Not JSON (RFC 8259).
    /// A byte order mark (RFC 8259 section 8.1).
    ByteOrderMark, "byte_order_mark", "the JSON text begins with a byte order mark";
    /// A byte with which no JSON value begins.
    ExpectedValue, "expected_value", "a JSON value is expected";
    /// A word other than `true`, `false` and `null`.
    InvalidLiteral, "invalid_literal", "only the words true, false and null may stand without quotes";
    /// A key does not begin with a quote.
    ExpectedKey, "expected_key", "a key in double quotes is expected";
    /// No colon after a key.
    ExpectedColon, "expected_colon", "a colon is expected after the key";
    /// Neither a comma nor a closing bracket after a value.
    ExpectedCommaOrEnd, "expected_comma_or_end", "a comma or the closing bracket is expected";
    /// A comma before a closing bracket.
    TrailingComma, "trailing_comma", "no comma may stand before a closing bracket";
    /// A number that RFC 8259 section 6 does not allow, such as `01`, `1.` or `.5`.
    InvalidNumber, "invalid_number", "the number is not written as JSON wants it";
    /// A raw control character in a string.
    ControlCharacter, "control_character", "a control character in a string must be escaped";
    /// A backslash before something other than an escape.
    InvalidEscape, "invalid_escape", "the escape in the string is not one of JSON's";

    // JSON that is not clean, refused by the strict policy only.
    /// A surrogate escape without its other half.
    LoneSurrogate, "lone_surrogate", "the surrogate escape lacks its other half";
    /// A whole number that neither 64-bit form of CBOR can hold.
    BigInteger, "big_integer", "the whole number is outside -2^64 to 2^64-1";
    /// A number that is infinite as float64.
    HugeNumber, "huge_number", "the number is too large for a 64-bit float";

    // CBOR that is not well-formed (RFC 8949).
    /// A head that RFC 8949 section 3 reserves or forbids.
    InvalidHead, "invalid_head", "the CBOR head is reserved or not well-formed";
    /// A break outside an indefinite-length container, or in place of a map's value.
    UnexpectedBreak, "unexpected_break", "a CBOR break stands where no indefinite-length item can end";
    /// A chunk of an indefinite-length text that is not a definite-length text.
    InvalidChunk, "invalid_chunk", "an indefinite-length text may only hold definite-length texts";

    // CBOR without a form in JSON.
    /// A byte string.
    ByteString, "byte_string", "a CBOR byte string has no form in JSON";
    /// A tag, including bignums, other than one 55799 in front of the whole item.
    Tag, "tag", "a CBOR tag has no form in JSON";
    /// Undefined, or a simple value without a meaning.
    SimpleValue, "simple_value", "a CBOR simple value other than false, true and null has no form in JSON";
    /// A NaN or an infinity.
    NotFinite, "not_finite", "a number that is infinite or not a number has no form in JSON";
    /// A key that is neither text nor an integer.
    KeyType, "key_type", "a map key must be a text or an integer";
    /// An integer key that is negative or beyond 63 bits.
    KeyRange, "key_range", "an integer key must be in 0 to 2^63-1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_in_snake_case_and_a_sentence_with_the_offset() {
        let mut names = HashSet::new();
        for kind in ErrorKind::ALL {
            assert!(names.insert(kind.name()), "{} occurs twice", kind.name());
            assert!(kind.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            let text = Error::new(*kind, 17).to_string();
            assert!(text.starts_with("byte 17: ") && text.len() > 30 && !text.ends_with('.'), "{text}");
        }
    }
}

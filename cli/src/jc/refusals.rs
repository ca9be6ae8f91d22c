//! Why an input cannot be converted, and what may help.

use super::super::exit::{Exit, Failure};
use super::super::input::Source;
use super::documents::Place;
use lowband_codec::diagnostic::{LIMITS, TextError};
use lowband_codec::{Error, ErrorKind, sequence};

/// Returns the failure of an input without a value: `bytes` are those that it has.
pub(super) fn not_json_but_empty(source: &Source<'_>, bytes: usize) -> Failure {
    let white = if bytes > 0 { " but for white space" } else { "" };
    Failure::new(Exit::BadInput, format!("not JSON: {source} is empty{white}: a value is expected at byte 0"))
}

pub(super) fn not_cbor_but_empty(source: &Source<'_>) -> Failure {
    Failure::new(Exit::BadInput, format!("not CBOR: {source} is empty: an item is expected at byte 0"))
}

pub(super) fn not_notation_but_empty(source: &Source<'_>) -> Failure {
    let message = format!("not diagnostic notation: {source} is empty: an item is expected at byte 0");
    Failure::new(Exit::BadInput, message)
}

/// Returns the failure of an item of CBOR.
pub(super) fn not_cbor(place: Place, error: Error) -> Failure {
    let (what, hint) = match error.kind {
        ErrorKind::ByteString
        | ErrorKind::Tag
        | ErrorKind::SimpleValue
        | ErrorKind::NotFinite
        | ErrorKind::KeyType
        | ErrorKind::KeyRange
        | ErrorKind::RepeatedKey
        | ErrorKind::InvalidUtf8 => ("not CBOR that JSON can say", Some("--diag shows it")),
        ErrorKind::UnexpectedEnd
        | ErrorKind::InvalidHead
        | ErrorKind::UnexpectedBreak
        | ErrorKind::InvalidChunk => ("not CBOR", Some("--annotate shows what comes before")),
        _ => ("not CBOR that can be converted", None),
    };
    Failure::new(Exit::BadInput, format!("{what}: {}", place.error(error))).with_hint(hint)
}

/// Returns the failure of a JSON text. `text` is the whole of it, where that is at hand.
pub(super) fn not_json(place: Place, error: Error, text: Option<&[u8]>) -> Failure {
    let before = text.map(|text| text.get(..error.offset).unwrap_or(text));
    let at = before.map(|before| place.behind(before));
    let at = at.map(|at| format!(" (line {}, column {})", at.line, at.column)).unwrap_or_default();
    let hint = text.filter(|text| place.document == 1 && looks_like_cbor(text, error));
    Failure::new(Exit::BadInput, format!("not JSON: {}{at}", place.error(error)))
        .with_hint(hint.map(|_| "it looks like CBOR: add -c2j"))
}

/// Returns true for bytes that are no text, begin as no JSON does, and are at least one item of CBOR.
fn looks_like_cbor(bytes: &[u8], error: Error) -> bool {
    let starts_wrong = error.offset == 0 || error.kind == ErrorKind::InvalidUtf8;
    let first = || sequence::items(bytes, LIMITS.max_depth).next();
    starts_wrong && !bytes.is_ascii() && first().is_some_and(|item| item.is_ok())
}

/// Returns the failure of a text in diagnostic notation.
pub(super) fn not_notation(error: TextError, text: &[u8]) -> Failure {
    let at = Place::START.behind(text.get(..error.offset).unwrap_or(text));
    let message = format!("not diagnostic notation: {error} (line {}, column {})", at.line, at.column);
    Failure::new(Exit::BadInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Place = Place { document: 1, ..Place::START };

    #[test]
    fn what_json_cannot_say_is_shown_by_diag_and_what_is_broken_by_annotate() {
        for (kind, words) in [
            (ErrorKind::ByteString, "a CBOR byte string has no form in JSON; --diag shows it"),
            (ErrorKind::KeyType, "a map key must be a text or an integer; --diag shows it"),
            (ErrorKind::UnexpectedEnd, "the input ends inside a value; --annotate shows what comes before"),
            (ErrorKind::TooDeep, "than the limit allows"),
        ] {
            let failure = not_cbor(FIRST, Error { kind, offset: 0 }).to_string();
            assert!(failure.ends_with(words), "{failure}");
        }
    }

    #[test]
    fn cbor_that_is_taken_for_json_is_recognised() {
        let error = Error { kind: ErrorKind::InvalidUtf8, offset: 0 };
        let refused = |text: &[u8]| not_json(FIRST, error, Some(text)).to_string();
        assert!(refused(b"\xa1\x02\x01").ends_with("it looks like CBOR: add -c2j"));
        assert!(!refused(b"\xff\x00").contains("CBOR"));
        assert!(!refused(b"event").contains("CBOR"));
    }
}

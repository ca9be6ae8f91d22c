//! The body of a request: as it is given, or as the CBOR of the JSON that is given.

use super::header::Headers;
use crate::exit::{Exit, Failure};
use crate::jc::repairs::{Kept, repaired};
use crate::output;
use lowband_codec::{EncodeOptions, Encoder, Error, KeyTable, Order, Policy};

/// What a body is given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// JSON, to go out as CBOR.
    Json,
    /// What a person types at a terminal: CBOR is made of JSON, and all else is left alone.
    Typed,
    /// Bytes that go out as they are; of what looks like a mistake there is a warning.
    Piped,
    /// Bytes that are meant as they are.
    AsIs,
}

/// Returns the body as it goes out. `name` is what its source is called. A Content-Type other than CBOR says
/// that the bytes are to go out as they are.
pub(super) fn to_send(
    given: Given,
    bytes: Vec<u8>,
    name: &str,
    headers: &Headers,
) -> Result<Vec<u8>, Failure> {
    if !headers.take_cbor() {
        return Ok(bytes);
    }
    match given {
        Given::AsIs => Ok(bytes),
        Given::Piped => {
            if looks_like_json(&bytes) && headers.get("content-type").is_none() {
                output::message(
                    "warning: the body looks like JSON, but goes out labelled as CBOR: --json BODY converts it, \
                     -H 'Content-Type: application/json' labels it",
                );
            }
            Ok(bytes)
        }
        Given::Typed if !looks_like_json(&bytes) => Ok(bytes),
        Given::Typed => {
            to_cbor(&bytes, name).map_err(|failure| failure.with_hint(Some("--as-is sends it as it stands")))
        }
        Given::Json if bytes.iter().all(u8::is_ascii_whitespace) => Err(empty(name, bytes.len())),
        Given::Json => {
            let binary = std::str::from_utf8(&bytes).is_err();
            let hint = binary.then_some("if it is CBOR already, -d sends it as it stands");
            to_cbor(&bytes, name).map_err(|failure| failure.with_hint(hint))
        }
    }
}

/// Makes the failure of a JSON text without a value: `bytes` of white space are all that it has.
fn empty(name: &str, bytes: usize) -> Failure {
    let white = if bytes > 0 { " but for white space" } else { "" };
    Failure::new(
        Exit::BadInput,
        format!(
            "{name} is empty{white}, and an empty text is not JSON: '{{}}' is an empty object; --as-json in \
             place of --json writes the answer as JSON, and sends no body"
        ),
    )
}

/// Returns true for what begins as an object or array does. No CBOR of a size that can be sent begins so.
fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['))
}

/// Converts with Matrix's keys in canonical order. What is JSON but not clean is repaired, and the user told.
fn to_cbor(json: &[u8], name: &str) -> Result<Vec<u8>, Failure> {
    let encode = |policy| {
        let mut cbor = Vec::new();
        let keys = Some(KeyTable::v1());
        let options = EncodeOptions { keys, policy, order: Order::LengthFirst, ..EncodeOptions::default() };
        Encoder::new(options).encode(json, &mut cbor).map(|repairs| (cbor, repairs))
    };
    let first = match encode(Policy::Strict) {
        Ok((cbor, _)) => return Ok(cbor),
        Err(error) => error,
    };
    let (cbor, repairs) = encode(Policy::Lenient).map_err(|error| {
        Failure::new(Exit::BadInput, format!("{name} is not JSON: {}", placed(error, json)))
    })?;
    let told: Vec<_> = repaired(repairs, Kept::Last).collect();
    if !told.is_empty() {
        output::message(&format!("warning: {name} is not clean JSON: {}", placed(first, json)));
        told.iter().for_each(|line| output::message(line));
    }
    Ok(cbor)
}

/// Returns an error with line and column, both counted from 1, columns in characters.
fn placed(error: Error, text: &[u8]) -> String {
    let before = text.get(..error.offset).unwrap_or(text);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let column = last.iter().filter(|byte| !(0x80..0xc0).contains(*byte)).count() + 1;
    format!("{error} (line {line}, column {column})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(given: Given, body: &[u8], headers: &[&str]) -> Result<Vec<u8>, Failure> {
        let headers: Vec<_> = headers.iter().map(|header| (*header).to_owned()).collect();
        to_send(given, body.to_vec(), "the argument", &Headers::parse(&headers).unwrap())
    }

    const JSON: &[u8] = br#" {"type":"m.text"}"#;
    const AS_CBOR: &[u8] = b"\xa1\x02\x66m.text";

    #[test]
    fn json_goes_out_as_cbor_unless_the_type_says_otherwise() {
        for (given, headers, expected) in [
            (Given::Json, &[][..], AS_CBOR),
            (Given::Typed, &[], AS_CBOR),
            (Given::Json, &["Content-Type: application/cbor"], AS_CBOR),
            (Given::Typed, &["Content-Type: application/cbor"], AS_CBOR),
            (Given::Json, &["Content-Type: application/json"], JSON),
            (Given::Typed, &["Content-Type: application/json"], JSON),
            (Given::Typed, &["Content-Type: text/plain"], JSON),
            (Given::Typed, &["Content-Type:"], JSON),
            (Given::Piped, &[], JSON),
            (Given::AsIs, &[], JSON),
        ] {
            assert_eq!(send(given, JSON, headers).unwrap(), expected, "{given:?} {headers:?}");
        }
    }

    #[test]
    fn what_is_typed_and_is_no_json_is_left_alone() {
        for body in [&b"\xa0"[..], b"", b"17", b"words", b"\"text\""] {
            assert_eq!(send(Given::Typed, body, &[]).unwrap(), body);
        }
        assert_eq!(send(Given::Json, b"17", &[]).unwrap(), [17]);
    }

    #[test]
    fn what_is_refused_has_its_place_and_a_way_out() {
        for (given, body, said) in [
            (Given::Json, &b"{\"a\":\n  1,}"[..], "the argument is not JSON: byte 10"),
            (Given::Json, b"{\"a\":\n  1,}", "(line 2, column 5)"),
            (Given::Typed, b"{a:1}", "; --as-is sends"),
            (Given::Json, b"\xa1\x01\xff", "; if it is CBOR already, -d"),
            (Given::Json, b"", "the argument is empty, and an empty text is not JSON: '{}' is"),
            (Given::Json, b" \n", "the argument is empty but for white space, and"),
        ] {
            let failure = send(given, body, &[]).unwrap_err();
            assert_eq!(failure.exit, Exit::BadInput);
            assert!(failure.to_string().contains(said), "{said}: {failure}");
        }
    }
}

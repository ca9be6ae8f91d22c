//! The form in which CBOR comes and goes: bytes, hexadecimal text or base64.

use super::super::exit::{Exit, Failure};
use super::base64::{self, Alphabet, Base64Error, Base64Reader};
use super::hex::{self, HexError, HexReader};
use lowband_codec::{diagnostic, sequence};

/// A form of CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bytes,
    Hex,
    Base64(Alphabet),
}

impl Form {
    /// Appends CBOR in this form; a text gets a line end behind the last part.
    pub(super) fn append(self, cbor: &[u8], ends: bool, out: &mut Vec<u8>) {
        let mut text = String::new();
        match self {
            Form::Bytes => out.extend_from_slice(cbor),
            Form::Hex => hex::append(cbor, &mut text),
            Form::Base64(alphabet) => base64::append(cbor, alphabet, &mut text),
        }
        if ends && self != Form::Bytes {
            text.push('\n');
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// Turns CBOR of a form into bytes, in pieces.
#[derive(Debug)]
pub(super) enum Unwrap {
    /// Bytes, JSON included.
    Bytes,
    Hex(HexReader),
    Base64(Base64Reader),
}

impl Unwrap {
    pub(super) fn of(form: Form) -> Unwrap {
        match form {
            Form::Bytes => Unwrap::Bytes,
            Form::Hex => Unwrap::Hex(HexReader::default()),
            Form::Base64(_) => Unwrap::Base64(Base64Reader::default()),
        }
    }

    /// Returns the bytes of a piece, in `buffer` where they are not the piece itself.
    pub(super) fn piece<'b>(
        &mut self,
        piece: &'b [u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Failure> {
        buffer.clear();
        match self {
            Unwrap::Bytes => return Ok(piece),
            Unwrap::Hex(reader) => reader.push(piece, buffer).map_err(not_hex)?,
            Unwrap::Base64(reader) => reader.push(piece, buffer).map_err(not_base64)?,
        }
        Ok(buffer)
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Unwrap::Bytes => Ok(()),
            Unwrap::Hex(reader) => reader.finish().map_err(not_hex),
            Unwrap::Base64(reader) => reader.finish().map_err(not_base64),
        }
    }
}

fn not_hex(error: HexError) -> Failure {
    Failure::new(Exit::BadInput, format!("not hexadecimal text: {error}"))
}

fn not_base64(error: Base64Error) -> Failure {
    Failure::new(Exit::BadInput, format!("not base64: {error}"))
}

/// Returns the form of CBOR that is written out as an argument, where one is sure: an argument cannot hold
/// every byte, so it is text. Hexadecimal text comes first, since most of it could be base64 too; base64 has
/// to be whole items.
pub(super) fn of_argument(argument: &[u8]) -> Option<Form> {
    if hex::decode(argument).is_ok() {
        return Some(Form::Hex);
    }
    let cbor = base64::decode(argument).ok()?;
    let items = sequence::items(&cbor, diagnostic::LIMITS.max_depth);
    (!cbor.is_empty() && items.into_iter().all(|item| item.is_ok()))
        .then_some(Form::Base64(Alphabet::Standard))
}

/// Returns the bytes of an argument that is a byte string in diagnostic notation, `h'..'` or `b64'..'`.
pub(super) fn of_byte_string(argument: &[u8]) -> Option<Vec<u8>> {
    let quoted = argument.trim_ascii();
    if !quoted.starts_with(b"h'") && !quoted.starts_with(b"b64'") {
        return None;
    }
    let cbor = diagnostic::to_cbor(quoted, &diagnostic::LIMITS).ok()?;
    let mut items = sequence::items(&cbor, diagnostic::LIMITS.max_depth);
    let (Some(Ok(item)), None) = (items.next(), items.next()) else { return None };
    // The head of a byte string (RFC 8949 section 3).
    let head = match *cbor.first()? {
        0x40..0x58 => 1,
        first @ 0x58..=0x5b => 1 + (1_usize << (first - 0x58)),
        _ => return None,
    };
    cbor.get(head..item.end).map(<[u8]>::to_vec)
}

/// Returns the flag that was forgotten, if bytes that are not the CBOR that was wanted look like a text of a
/// known kind.
pub(super) fn forgotten_flag(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii();
    let sure =
        |cbor: &[u8]| sequence::items(cbor, diagnostic::LIMITS.max_depth).next().is_some_and(|i| i.is_ok());
    if looks_like_hex(text) {
        return Some("it looks like hexadecimal text: add --hex");
    }
    if text.len() > 3 && base64::decode(text).is_ok_and(|cbor| sure(&cbor)) {
        return Some("it looks like base64: add --base64");
    }
    if matches!(text, [b'{' | b'[', ..]) && lowband_codec::json_to_cbor(text).is_ok() {
        return Some("it looks like JSON, which is converted without -c2j, --diag and --annotate");
    }
    None
}

/// Returns true for text of two hexadecimal digits or more; bytes of CBOR seldom are.
pub(super) fn looks_like_hex(bytes: &[u8]) -> bool {
    hex::decode(bytes).is_ok_and(|cbor| !cbor.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_hexadecimal_text_or_surely_base64() {
        for (argument, form) in [
            ("a10201", Some(Form::Hex)),
            ("", Some(Form::Hex)),
            ("oQIB", Some(Form::Base64(Alphabet::Standard))),
            ("oQJhYQ==", Some(Form::Base64(Alphabet::Standard))),
            ("oQJhYQ", Some(Form::Base64(Alphabet::Standard))),
            // Base64, but of no whole item.
            ("oQI=", None),
            ("event", None),
            ("{}", None),
        ] {
            assert_eq!(of_argument(argument.as_bytes()), form, "{argument}");
        }
    }

    #[test]
    fn a_byte_string_in_diagnostic_notation_gives_its_bytes() {
        for (argument, bytes) in [
            ("h'a1 02 01'", Some(b"\xa1\x02\x01".as_slice())),
            (" b64'oQIB' ", Some(b"\xa1\x02\x01")),
            ("h''", Some(b"")),
            ("h'a1', h'02'", None),
            ("h'a'", None),
            ("a1", None),
        ] {
            assert_eq!(of_byte_string(argument.as_bytes()).as_deref(), bytes, "{argument}");
        }
        let long = format!("h'{}'", "00".repeat(300));
        assert_eq!(of_byte_string(long.as_bytes()).map(|bytes| bytes.len()), Some(300));
    }

    #[test]
    fn a_text_that_is_taken_for_cbor_is_recognised() {
        for (bytes, words) in [
            ("a1026161\n", Some("--hex")),
            ("oQJhYQ==\n", Some("--base64")),
            ("{\"a\":1}", Some("JSON")),
            ("\u{1}\u{2}", None),
            ("", None),
        ] {
            let flag = forgotten_flag(bytes.as_bytes());
            assert_eq!(flag.is_some(), words.is_some(), "{bytes:?}");
            assert!(flag.unwrap_or_default().contains(words.unwrap_or_default()), "{flag:?}");
        }
    }
}

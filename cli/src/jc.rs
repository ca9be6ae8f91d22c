//! `lowband jc`: JSON to CBOR and back.

mod hex;
mod pretty;
mod stream;

use super::exit::{Exit, Failure};
use super::input::Source;
use super::output::{self, Sink};
use super::progress;
use hex::HexError;
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, Error, KeyTable, Order, Policy, Repairs,
};
use std::ffi::OsString;

/// Convert JSON to CBOR (the default) or CBOR to JSON, with Matrix's integer keys.
///
/// CBOR is written in canonical order (RFC 8949 section 4.2.3: shorter keys first), as MSC3079 asks. JSON is
/// written with a line end. Without -out, CBOR is written to stdout as hexadecimal text, also into a pipe;
/// `-out -` writes the bytes.
///
/// Canonical order needs the document as a whole, up to 64 MiB. With --stream keys stay as they are written
/// and documents of any size are converted in little memory, in both directions; longer CBOR is always
/// converted so. Of repeated keys --lenient then keeps the first instead of the last, and what came before an
/// error has been written.
///
/// Arrays and objects may be nested 128 deep, both ways; --lenient writes null for what lies deeper. A
/// server's answers hold 32 levels at most by default, because other readers stop there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(), allow_negative_numbers = true)]
pub(crate) struct JcArgs {
    /// JSON text, or with -c2j CBOR as hexadecimal text; `@FILE` reads a file, `-` stdin, both as bytes
    #[arg(value_name = "INPUT")]
    input: OsString,
    /// From CBOR to JSON
    #[arg(long)]
    c2j: bool,
    /// Write to FILE, which is there whole or not at all; `-` is stdout, with CBOR as bytes
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    out: Option<OsString>,
    /// Version of the key table: 1 is MSC3079's, 0 none
    #[arg(short = 'v', value_name = "VERSION", default_value = "1", value_parser = clap::value_parser!(u8).range(0..=1))]
    key_table: u8,
    /// CBOR is hexadecimal text on either side; white space and colons in it do not matter
    #[arg(long)]
    hex: bool,
    /// Repair what is JSON but not clean (numbers too large, repeated keys, lone surrogates, too deep) and
    /// say so; a byte order mark before it is passed over
    #[arg(long, conflicts_with = "c2j")]
    lenient: bool,
    /// Convert piece by piece: any size, CBOR with indefinite lengths and keys in the order of the input
    #[arg(long)]
    stream: bool,
    /// Indent the JSON
    #[arg(long, requires = "c2j")]
    pretty: bool,
}

fn after_help() -> String {
    format!(
        r#"Examples:
  lowband jc '{{"type":"m.room.message"}}'
  lowband jc -out - @event.json | lowband coap -d - URL
  lowband coap URL | lowband jc -c2j -
  lowband jc -c2j --pretty a1026e6d2e726f6f6d2e6d657373616765
  lowband jc --stream -out export.cbor @export.json

Long flags may be written with one dash (-c2j, -out), as in Go.

{}"#,
        Exit::help_of_jc()
    )
}

pub(crate) fn run(arguments: JcArgs) -> Result<(), Failure> {
    let source = Source::parse(&arguments.input);
    let sink = Sink::parse(arguments.out.as_deref());
    let keys = (arguments.key_table == 1).then(KeyTable::v1);
    if arguments.c2j { c2j(&arguments, &source, &sink, keys) } else { j2c(&arguments, &source, &sink, keys) }
}

/// The longest document, in bytes, that is converted as a whole: it is held in memory with its other form.
const MAX_WHOLE: usize = 64 << 20;

fn j2c(arguments: &JcArgs, source: &Source<'_>, sink: &Sink, keys: Option<&KeyTable>) -> Result<(), Failure> {
    let policy = if arguments.lenient { Policy::Lenient } else { Policy::Strict };
    let as_text = arguments.hex || arguments.out.is_none();
    let mut input = source.open()?;
    if arguments.stream {
        tell(stream::to_cbor(input, source, sink, keys, policy, as_text)?, Kept::First);
        return Ok(());
    }
    let (json, true) = input.read_to_limit(MAX_WHOLE)? else {
        let failure = source.longer_than(MAX_WHOLE);
        let hint = "canonical order needs it as a whole, --stream does not";
        return Err(Failure::new(failure.exit, format!("{failure}: {hint}")));
    };
    if let Some(empty) = Nothing::of(&json) {
        return Err(not_json_but(empty, source));
    }
    let (cbor, repairs) = to_cbor(&json, keys, policy)?;
    tell(repairs, Kept::Last);
    if as_text { sink.write(hex::encode(&cbor).as_bytes()) } else { sink.write(&cbor) }
}

fn c2j(arguments: &JcArgs, source: &Source<'_>, sink: &Sink, keys: Option<&KeyTable>) -> Result<(), Failure> {
    // An argument cannot hold every byte, so CBOR in one is always text.
    let is_hex = arguments.hex || matches!(source, Source::Inline(_));
    let mut input = source.open()?;
    if arguments.stream {
        return stream::to_json(input, source, sink, keys, is_hex, arguments.pretty);
    }
    let (mut cbor, all) = input.read_to_limit(MAX_WHOLE)?;
    if !all {
        return stream::to_json(input.put_back(cbor), source, sink, keys, is_hex, arguments.pretty);
    }
    if is_hex {
        cbor = hex::decode(&cbor).map_err(not_hex)?;
    }
    if cbor.is_empty() {
        return Err(not_cbor_but_empty(source));
    }
    let mut json = to_json(&cbor, keys)?;
    if arguments.pretty {
        json = pretty::indent(&json);
    }
    json.push(b'\n');
    sink.write(&json)
}

fn to_json(cbor: &[u8], keys: Option<&KeyTable>) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::new();
    match Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }).decode(cbor, &mut json) {
        Ok(_) => Ok(json),
        Err(error) => Err(not_cbor(error, hex::decode(cbor).is_ok())),
    }
}

/// Contents of an input without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {
    NoByte,
    WhiteSpace,
}

impl Nothing {
    fn of(json: &[u8]) -> Option<Nothing> {
        let white = json.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        white.then_some(if json.is_empty() { Nothing::NoByte } else { Nothing::WhiteSpace })
    }
}

fn not_json_but(nothing: Nothing, source: &Source<'_>) -> Failure {
    let white = if nothing == Nothing::WhiteSpace { " but for white space" } else { "" };
    Failure::new(Exit::BadInput, format!("not JSON: {source} is empty{white}: a value is expected at byte 0"))
}

fn not_cbor_but_empty(source: &Source<'_>) -> Failure {
    Failure::new(Exit::BadInput, format!("not CBOR: {source} is empty: an item is expected at byte 0"))
}

fn not_hex(error: HexError) -> Failure {
    Failure::new(Exit::BadInput, format!("not hexadecimal text: {error}"))
}

fn not_cbor(error: Error, looks_like_hex: bool) -> Failure {
    let hint = if looks_like_hex { "; it looks like hexadecimal text: add --hex" } else { "" };
    Failure::new(Exit::BadInput, format!("not CBOR that JSON can say: {error}{hint}"))
}

/// Makes the failure. `text` is the whole input, where that is at hand.
fn not_json(error: Error, text: Option<&[u8]>) -> Failure {
    let place = text.map(|text| line_and_column(text, error.offset));
    let place = place.map(|(line, column)| format!(" (line {line}, column {column})"));
    Failure::new(Exit::BadInput, format!("not JSON: {error}{}", place.unwrap_or_default()))
}

fn to_cbor(json: &[u8], keys: Option<&KeyTable>, policy: Policy) -> Result<(Vec<u8>, Repairs), Failure> {
    let options = EncodeOptions { keys, policy, order: Order::LengthFirst, ..EncodeOptions::default() };
    let mut cbor = Vec::new();
    match Encoder::new(options).encode(json, &mut cbor) {
        Ok(repairs) => Ok((cbor, repairs)),
        Err(error) => Err(not_json(error, Some(json))),
    }
}

/// Returns line and column, both from 1; columns count characters.
fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start_of_line = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let is_first_of_character = |byte: &&u8| !(0x80..0xc0).contains(*byte);
    let column = before.iter().skip(start_of_line).filter(is_first_of_character).count() + 1;
    (line, column)
}

/// The one of several equal keys that is written.
#[derive(Clone, Copy, Debug)]
enum Kept {
    First,
    Last,
}

fn tell(repairs: Repairs, kept: Kept) {
    repaired(repairs, kept).for_each(|line| output::message(&line));
}

fn repaired(repairs: Repairs, kept: Kept) -> impl Iterator<Item = String> {
    let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = repairs;
    let kept = match kept {
        Kept::First => "the first was kept",
        Kept::Last => "the last was kept",
    };
    [
        (big_integers, ["whole number", "whole numbers"], "beyond 64 bits, written as floating point"),
        (huge_numbers, ["number", "numbers"], "beyond floating point, written as null"),
        (repeated_keys, ["repeated key:", "repeated keys:"], kept),
        (lone_surrogates, ["lone surrogate,", "lone surrogates,"], "written as U+FFFD"),
        (too_deep, ["array or object", "arrays or objects"], "nested too deep, written as null"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, [one, many], what)| {
        format!("repaired: {count} {} {what}", if count == 1 { one } else { many })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MSC3079's test vector.
    const JSON: &str = r#"{"type":"m.room.message","content":{"msgtype":"m.text","body":"Hello World"},"sender":"@alice:localhost",
     "room_id":"!foo:localhost","unsigned":{"bool_value":true,"null_value":null}}"#;
    const CBOR: &str = "a5026e6d2e726f6f6d2e6d65737361676503a2181b6b48656c6c6f20576f726c64181c666d2e74657874056e21666f6f3a6c\
                        6f63616c686f7374067040616c6963653a6c6f63616c686f737409a26a626f6f6c5f76616c7565f56a6e756c6c5f76616c\
                        7565f6";

    #[test]
    fn the_vector_of_the_msc_comes_out_byte_for_byte() {
        let (cbor, repairs) = to_cbor(JSON.as_bytes(), Some(KeyTable::v1()), Policy::Strict).unwrap();
        assert_eq!(hex::encode(&cbor).trim_end(), CBOR);
        assert_eq!(repairs, Repairs::default());
    }

    #[test]
    fn without_a_key_table_names_stay_names() {
        let (cbor, _) = to_cbor(br#"{"type":1}"#, None, Policy::Strict).unwrap();
        assert_eq!(cbor, b"\xa1\x64type\x01");
        assert_eq!(to_json(b"\xa1\x02\x01", None).unwrap(), br#"{"2":1}"#);
        assert_eq!(to_json(b"\xa1\x02\x01", Some(KeyTable::v1())).unwrap(), br#"{"type":1}"#);
    }

    #[test]
    fn repairs_are_told_in_the_singular_and_in_the_plural() {
        let all = |count| Repairs {
            big_integers: count,
            huge_numbers: count,
            repeated_keys: count,
            lone_surrogates: count,
            too_deep: count,
        };
        assert_eq!(
            repaired(all(1), Kept::Last).collect::<Vec<_>>(),
            [
                "repaired: 1 whole number beyond 64 bits, written as floating point",
                "repaired: 1 number beyond floating point, written as null",
                "repaired: 1 repeated key: the last was kept",
                "repaired: 1 lone surrogate, written as U+FFFD",
                "repaired: 1 array or object nested too deep, written as null",
            ]
        );
        assert_eq!(
            repaired(all(2), Kept::First).collect::<Vec<_>>(),
            [
                "repaired: 2 whole numbers beyond 64 bits, written as floating point",
                "repaired: 2 numbers beyond floating point, written as null",
                "repaired: 2 repeated keys: the first was kept",
                "repaired: 2 lone surrogates, written as U+FFFD",
                "repaired: 2 arrays or objects nested too deep, written as null",
            ]
        );
        assert_eq!(repaired(all(0), Kept::Last).count(), 0);
    }

    #[test]
    fn an_error_in_json_names_byte_line_and_column() {
        let failure = to_cbor("{\n \"\u{e9}\": tru}".as_bytes(), None, Policy::Strict).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        assert!(failure.to_string().contains("line 2, column "), "{failure}");
    }

    #[test]
    fn hexadecimal_text_given_as_bytes_is_recognised() {
        let failure = to_json(b"a1026161\n", None).unwrap_err();
        assert!(failure.to_string().ends_with("add --hex"), "{failure}");
        let failure = to_json(b"\xff", None).unwrap_err();
        assert!(!failure.to_string().contains("--hex"), "{failure}");
    }

    #[test]
    fn lines_and_columns_start_at_one_and_count_characters() {
        let text = "a\n\u{e9}b\nc".as_bytes();
        for (offset, expected) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (4, (2, 2)), (5, (2, 3)), (6, (3, 1)), (99, (3, 2))]
        {
            assert_eq!(line_and_column(text, offset), expected, "offset {offset}");
        }
    }
}

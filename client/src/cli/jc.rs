//! `lowband jc`: JSON to CBOR and back.

mod hex;
mod pretty;

use super::exit::{Exit, Failure};
use super::input::Source;
use super::output::{self, Sink};
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, Limits, Order, Policy, Repairs,
};
use std::ffi::OsString;

/// Convert JSON to CBOR (the default) or CBOR to JSON, with Matrix's integer keys.
///
/// CBOR is written in canonical order (RFC 8949 section 4.2.3: shorter keys first), as MSC3079 asks. JSON is written with a
/// line end. Without -out, CBOR is written to stdout as hexadecimal text, also into a pipe; `-out -` writes the bytes.
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
    /// Repair what is JSON but not clean (numbers too large, repeated keys, lone surrogates, too deep) and say so
    #[arg(long, conflicts_with = "c2j")]
    lenient: bool,
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

Long flags may be written with one dash (-c2j, -out), as in Go.

{}"#,
        Exit::help_of_jc()
    )
}

pub(crate) fn run(arguments: JcArgs) -> Result<(), Failure> {
    let source = Source::parse(&arguments.input);
    let sink = Sink::parse(arguments.out.as_deref());
    let keys = (arguments.key_table == 1).then(KeyTable::v1);
    if arguments.c2j {
        let mut json = to_json(&read_cbor(&source, arguments.hex)?, keys)?;
        if arguments.pretty {
            json = pretty::indent(&json);
        }
        json.push(b'\n');
        sink.write(&json)
    } else {
        let json = source.read(Limits::default().max_input)?;
        let policy = if arguments.lenient { Policy::Lenient } else { Policy::Strict };
        let (cbor, repairs) = to_cbor(&json, keys, policy)?;
        tell(repairs);
        let as_text = arguments.hex || arguments.out.is_none();
        if as_text { sink.write(hex::encode(&cbor).as_bytes()) } else { sink.write(&cbor) }
    }
}

fn read_cbor(source: &Source<'_>, is_hex: bool) -> Result<Vec<u8>, Failure> {
    let limit = Limits::default().max_input;
    // An argument cannot hold any byte, so CBOR in one is always text.
    if is_hex || matches!(source, Source::Inline(_)) {
        let text = source.read(limit.saturating_mul(3))?;
        hex::decode(&text)
            .map_err(|error| Failure::new(Exit::BadInput, format!("not hexadecimal text: {error}")))
    } else {
        source.read(limit)
    }
}

fn to_json(cbor: &[u8], keys: Option<&KeyTable>) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::new();
    match Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }).decode(cbor, &mut json) {
        Ok(_) => Ok(json),
        Err(error) => {
            let hint =
                if hex::decode(cbor).is_ok() { "; it looks like hexadecimal text: add --hex" } else { "" };
            Err(Failure::new(Exit::BadInput, format!("not CBOR that JSON can say: {error}{hint}")))
        }
    }
}

fn to_cbor(json: &[u8], keys: Option<&KeyTable>, policy: Policy) -> Result<(Vec<u8>, Repairs), Failure> {
    let options = EncodeOptions { keys, policy, order: Order::LengthFirst, ..EncodeOptions::default() };
    let mut cbor = Vec::new();
    match Encoder::new(options).encode(json, &mut cbor) {
        Ok(repairs) => Ok((cbor, repairs)),
        Err(error) => {
            let (line, column) = line_and_column(json, error.offset);
            let place = format!("line {line}, column {column}");
            Err(Failure::new(Exit::BadInput, format!("not JSON: {error} ({place})")))
        }
    }
}

/// Both from 1; columns count characters.
fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start_of_line = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let is_first_of_character = |byte: &&u8| !(0x80..0xc0).contains(*byte);
    let column = before.iter().skip(start_of_line).filter(is_first_of_character).count() + 1;
    (line, column)
}

fn tell(repairs: Repairs) {
    let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = repairs;
    for (count, what) in [
        (big_integers, "whole numbers beyond 64 bits, written as floating point"),
        (huge_numbers, "numbers beyond floating point, written as null"),
        (repeated_keys, "repeated keys, of which the last was kept"),
        (lone_surrogates, "lone surrogates, written as U+FFFD"),
        (too_deep, "values nested too deep, written as null"),
    ] {
        if count > 0 {
            output::message(&format!("repaired: {count} {what}"));
        }
    }
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

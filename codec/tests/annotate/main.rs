//! The annotator: places, words, notes and mistakes; the decoder as the oracle for what both read.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use file::{hex, unhex};
use lowband_codec::annotate::{Annotated, Limits, MAX_PREVIEW, Options, Role, What};
use lowband_codec::{DecodeOptions, Decoder, Error, ErrorKind, KeyTable, json_to_cbor};
use properties::in_order;

#[path = "../vectors/file.rs"]
#[allow(dead_code, reason = "the encoder's options are for other tests")]
mod file;
mod properties;

fn annotate(cbor: &[u8]) -> Annotated<'_> {
    Annotated::new(cbor, Options::default())
}

fn sequence(cbor: &[u8]) -> Annotated<'_> {
    Annotated::new(cbor, Options { sequence: true, ..Options::default() })
}

fn words(annotated: &Annotated<'_>) -> Vec<String> {
    (0..annotated.items().len()).map(|item| annotated.words(item)).collect()
}

fn error(annotated: &Annotated<'_>) -> (&'static str, usize) {
    let error = annotated.error().unwrap();
    (error.kind.name(), error.offset)
}

fn notes(annotated: &Annotated<'_>) -> Vec<(usize, usize, What)> {
    annotated.notes().iter().map(|note| (note.item, note.offset, note.what)).collect()
}

#[test]
fn diagnostic_notation_is_that_of_rfc_8949_appendix_a() {
    for (cbor, expected) in [
        ("00", "0"),
        ("1bffffffffffffffff", "18446744073709551615"),
        ("c249010000000000000000", "2(h'010000000000000000')"),
        ("3bffffffffffffffff", "-18446744073709551616"),
        ("20", "-1"),
        ("f90000", "0.0"),
        ("f98000", "-0.0"),
        ("f93c00", "1.0"),
        ("fb3ff199999999999a", "1.1"),
        ("f93e00", "1.5"),
        ("fb7e37e43c8800759c", "1e+300"),
        ("f97c00", "Infinity"),
        ("f97e00", "NaN"),
        ("f9fc00", "-Infinity"),
        ("f4", "false"),
        ("f7", "undefined"),
        ("f0", "simple(16)"),
        ("f8ff", "simple(255)"),
        ("c11a514b67b0", "1(1363896240)"),
        ("d74401020304", "23(h'01020304')"),
        ("d818456449455446", "24(h'6449455446')"),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "32(\"http://www.example.com\")"),
        ("40", "h''"),
        ("6449455446", "\"IETF\""),
        ("62225c", "\"\\\"\\\\\""),
        ("62c3bc", "\"ü\""),
        ("80", "[]"),
        ("8301820203820405", "[1, [2, 3], [4, 5]]"),
        ("a0", "{}"),
        ("a201020304", "{1: 2, 3: 4}"),
        ("a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"),
        ("5f42010243030405ff", "(_ h'0102', h'030405')"),
        ("7f657374726561646d696e67ff", "(_ \"strea\", \"ming\")"),
        ("9fff", "[_ ]"),
        ("9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"),
        ("bf61610161629f0203ffff", "{_ \"a\": 1, \"b\": [_ 2, 3]}"),
        // Section 8.1: encoding indicators, and strings without chunks.
        ("fb3ff8000000000000", "1.5_3"),
        ("1801", "1_0"),
        ("190001", "1_1"),
        ("9a0000000101", "[_2 1]"),
        ("d80102", "1_0(2)"),
        ("780161", "\"a\"_0"),
        ("5fff", "''_"),
        ("7fff", "\"\"_"),
        // What is not UTF-8 has no text.
        ("61ff", "h'ff'"),
        ("a1810102", "{[1]: 2}"),
    ] {
        let cbor = unhex(cbor);
        let annotated = annotate(&cbor);
        assert_eq!(annotated.diagnostic(None, usize::MAX), expected, "{}", hex(&cbor));
        assert_eq!(annotated.diagnostic(Some(0), usize::MAX), expected, "{}", hex(&cbor));
        assert_eq!(annotated.error(), None);
    }
}

#[test]
fn every_item_of_an_event_has_its_words() {
    let cbor = unhex("bf02616103a2181c6161637461679fd901f400ff666f6b0120ff");
    let annotated = annotate(&cbor);
    let expected = [
        "map of indefinite length, 2 pairs, cut",
        "key 2: type",
        "text of 1 byte",
        "key 3: content",
        "map of 2 pairs",
        "key 28: msgtype",
        "text of 1 byte",
        "key: text of 3 bytes",
        "array of indefinite length, 1 element",
        "tag 500",
        "integer 0",
        "break: end of the array",
        "key: text of 6 bytes, cut",
    ];
    assert_eq!(words(&annotated), expected);
    assert_eq!(annotated.preview(12).unwrap(), "h'6f6b0120ff...");
}

#[test]
fn items_that_an_event_does_not_have_have_words_too() {
    let cbor = unhex("a2186901f5f4f7f8fffb7ff8000000000000fac00000005f4101ff7f6161ff2041fff6fc");
    let annotated = sequence(&cbor);
    let expected = [
        "map of 2 pairs",
        "key 105, not in table v1",
        "integer 1",
        "key: true",
        "false",
        "undefined",
        "simple value 255",
        "float of 64 bits: not a number",
        "float of 32 bits: -2",
        "byte string of indefinite length in 1 chunk",
        "chunk: byte string of 1 byte",
        "break: end of the byte string",
        "text of indefinite length in 1 chunk",
        "chunk: text of 1 byte",
        "break: end of the text",
        "integer -1",
        "byte string of 1 byte",
        "null",
    ];
    assert_eq!(words(&annotated), expected);
    assert_eq!(error(&annotated), ("invalid_head", cbor.len() - 1));
    assert_eq!(annotated.words(expected.len()), "");
}

#[test]
fn keys_are_named_by_the_table_that_was_agreed_on() {
    let table = KeyTable::new("mine", [("type", 7)]).unwrap();
    let cbor = unhex("a3026162076161647479706500");
    let options = Options { keys: Some(&table), ..Options::default() };
    let annotated = Annotated::new(&cbor[..], options);
    let of_keys = |annotated: &Annotated<'_>| [1, 3, 5].map(|key| annotated.words(key));
    let expected = ["key 2, not in table mine", "key 7: type", "key: text of 4 bytes; 7 in table mine"];
    assert_eq!(of_keys(&annotated), expected);
    assert_eq!(
        [annotated.key_name(1), annotated.key_name(3), annotated.key_name(5)],
        [None, Some("type"), None]
    );
    let without = Annotated::new(&cbor[..], Options { keys: None, ..Options::default() });
    assert_eq!(of_keys(&without), ["key 2", "key 7", "key: text of 4 bytes"]);
    assert_eq!(without.key_name(3), None);
}

#[test]
fn what_json_cannot_say_stands_in_diagnostic_notation_and_is_marked() {
    let cbor = unhex("8a41ffc11904d2f7f97e0061ff5f4101ff7f616161ffffa1810102a12001a0f6");
    let annotated = annotate(&cbor);
    let expected = "[\n  h'ff',\n  1(1234),\n  undefined,\n  NaN,\n  h'ff',\n  (_ h'01'),\n  (_ \"a\", h'ff'),\n  \
         {\n    [1]: 2\n  },\n  {\n    -1: 1\n  },\n  {}\n]";
    assert_eq!(annotated.json(), expected);
    assert_eq!(error(&annotated), ("trailing_data", cbor.len() - 1));
    let marked: Vec<_> = (0..annotated.items().len())
        .filter(|item| annotated.is_diagnostic(*item))
        .map(|item| &annotated.json()[annotated.json_range(item).unwrap()])
        .collect();
    let expected = [
        "h'ff'",
        "1(1234)",
        "undefined",
        "NaN",
        "h'ff'",
        "(_ h'01')",
        "h'01'",
        "(_ \"a\", h'ff')",
        "\"a\"",
        "h'ff'",
        "[1]",
        "1",
        "-1",
    ];
    assert_eq!(marked, expected);
    assert!(!annotated.is_json());
}

#[test]
fn what_the_decoder_refuses_is_noted_at_its_byte() {
    use ErrorKind::*;
    for (cbor, item, offset, kind) in [
        ("8141ff", 1, 1, ByteString),
        ("81c100", 1, 1, Tag),
        ("d9d9f7d9d9f700", 1, 3, Tag),
        ("81f7", 1, 1, SimpleValue),
        ("81f97c00", 1, 1, NotFinite),
        ("8162c328", 1, 2, InvalidUtf8),
        ("817f616162c3ffff", 3, 5, InvalidUtf8),
        ("a1f500", 1, 1, KeyType),
        ("a12000", 1, 1, KeyRange),
        ("a11b800000000000000000", 1, 1, KeyRange),
        ("a202000200", 3, 3, RepeatedKey),
        ("a2616100616100", 3, 4, RepeatedKey),
        ("a26161007f6161ff00", 3, 4, RepeatedKey),
    ] {
        let cbor = unhex(cbor);
        let annotated = annotate(&cbor);
        assert_eq!(notes(&annotated), [(item, offset, What::Refused(kind))], "{}", hex(&cbor));
        assert_eq!(annotated.notes_of(item), annotated.notes(), "{}", hex(&cbor));
        assert!(annotated.notes_of(item - 1).is_empty() && annotated.notes_of(item + 1).is_empty());
        assert_eq!(decode(&cbor, Some(KeyTable::v1())), Err(Error { kind, offset }), "{}", hex(&cbor));
    }
    let deep = [vec![0x81; 128], vec![0x80]].concat();
    assert_eq!(notes(&annotate(&deep)), [(128, 128, What::Refused(TooDeep))]);
    assert_eq!(notes(&annotate(&deep[1..])), []);
}

#[test]
fn a_key_that_is_there_as_text_too_is_not_in_the_json() {
    let cbor = unhex("a30281616464747970656162f5f4");
    let annotated = annotate(&cbor);
    assert_eq!(notes(&annotated)[0], (1, 1, What::Overruled));
    assert!(annotated.items()[1].overruled);
    assert_eq!(annotated.json(), "{\n  \"type\": \"b\",\n  true: false\n}");
    assert_eq!([1, 2, 3].map(|item| annotated.json_range(item)), [None, None, None]);
    assert_eq!(annotated.diagnostic(None, 100), "{2: [\"d\"], \"type\": \"b\", true: false}");
}

#[test]
fn heads_that_are_longer_than_necessary_are_noted() {
    for (cbor, long) in [
        ("1817", true),
        ("1818", false),
        ("1900ff", true),
        ("b900016161f4", true),
        ("fb3ff8000000000000", true),
        ("fb3ff199999999999a", false),
        ("f97e00", false),
        ("fb7ff8000000000000", false),
        ("d9d9f700", false),
    ] {
        let cbor = unhex(cbor);
        let noted = annotate(&cbor).notes().iter().any(|note| note.what == What::Long);
        assert_eq!(noted, long, "{}", hex(&cbor));
    }
}

#[test]
fn a_mistake_leaves_all_items_before_it_and_shows_where_something_is_missing() {
    for (cbor, mistake, json) in [
        ("", ("unexpected_end", 0), ""),
        ("8201", ("unexpected_end", 2), "[\n  1,\n  ...\n]"),
        ("82", ("unexpected_end", 1), "[\n  ...\n]"),
        ("9f", ("unexpected_end", 1), "[\n  ...\n]"),
        ("820118", ("unexpected_end", 3), "[\n  1,\n  ...\n]"),
        ("82016261", ("unexpected_end", 4), "[\n  1,\n  ...\n]"),
        ("8201c1", ("unexpected_end", 3), "[\n  1,\n  1(...)\n]"),
        ("a202616103", ("unexpected_end", 5), "{\n  \"type\": \"a\",\n  \"content\": ...\n}"),
        ("a2026161", ("unexpected_end", 4), "{\n  \"type\": \"a\",\n  ...\n}"),
        ("a202616162", ("unexpected_end", 5), "{\n  \"type\": \"a\",\n  ...\n}"),
        ("817f6161", ("unexpected_end", 4), "[\n  (_ \"a\", ...)\n]"),
        ("82011c", ("invalid_head", 2), "[\n  1,\n  ...\n]"),
        ("82f80001", ("invalid_head", 1), "[\n  ...\n]"),
        ("8201ff", ("unexpected_break", 2), "[\n  1,\n  ...\n]"),
        ("bf01ff", ("unexpected_break", 2), "{\n  \"event_id\": ...\n}"),
        ("7f61614100ff", ("invalid_chunk", 3), "(_ \"a\", ...)"),
        ("5f7f", ("invalid_chunk", 1), "(_ ...)"),
        ("ff", ("unexpected_break", 0), ""),
        ("0102", ("trailing_data", 1), "1"),
    ] {
        let bytes = unhex(cbor);
        let annotated = annotate(&bytes);
        assert_eq!((error(&annotated), annotated.json()), (mistake, json), "{cbor}");
        assert!(!annotated.is_json());
        in_order(&annotated);
    }
}

#[test]
fn a_sequence_goes_on_to_its_end() {
    let annotated = sequence(b"");
    assert_eq!((annotated.error(), annotated.items(), annotated.json()), (None, [].as_slice(), ""));
    let cbor = unhex("01a10204f5");
    let annotated = sequence(&cbor);
    assert_eq!(annotated.json(), "1\n{\n  \"type\": 4\n}\ntrue");
    assert_eq!(annotated.diagnostic(None, 100), "1, {2: 4}, true");
    assert_eq!(annotated.error(), None);
    let wholes: Vec<usize> =
        annotated.items().iter().filter(|item| item.role == Role::Whole).map(|item| item.start).collect();
    assert_eq!(wholes, [0, 1, 4]);
    assert_eq!(error(&sequence(&unhex("01a1"))), ("unexpected_end", 2));
    assert_eq!(sequence(&unhex("01a1")).json(), "1\n{\n  ...\n}");
}

#[test]
fn each_limit_ends_the_work_at_its_byte() {
    let cbor = unhex("8301820203626162");
    let with = |limits: Limits| Annotated::new(&cbor[..], Options { limits, ..Options::default() });
    let exact = Limits { max_input: 8, max_items: 6, max_depth: 2, max_json: 200 };
    assert!(with(exact).is_json());
    assert_eq!(error(&with(Limits { max_input: 7, ..exact })), ("input_too_large", 7));
    let fewer = with(Limits { max_items: 5, ..exact });
    assert_eq!((error(&fewer), fewer.items().len()), (("output_too_large", 5), 5));
    assert_eq!(fewer.json(), "[\n  1,\n  [\n    2,\n    3\n  ],\n  ...\n]");
    assert_eq!(error(&with(Limits { max_depth: 1, ..exact })), ("too_deep", 2));
    let cut = with(Limits { max_json: 77, ..exact });
    assert_eq!((cut.json(), cut.error(), cut.is_json()), ("[\n  1,\n  [...", None, false));
    assert_eq!([cut.json_range(0), cut.json_range(2), cut.json_range(3)], [Some(0..13), Some(9..13), None]);
    assert_eq!(with(exact).diagnostic(None, 68), "[1, [...");
}

#[test]
fn nesting_up_to_the_input_s_length_ends_at_the_limit() {
    let deep = vec![0x81; 1 << 20];
    let annotated = annotate(&deep);
    assert_eq!((error(&annotated), annotated.items().len()), (("too_deep", 1024), 1024));
    let tags = vec![0xc1; 1 << 20];
    assert_eq!(error(&annotate(&tags)), ("too_deep", 1024));
}

#[test]
fn previews_are_short_and_of_one_line() {
    let long = json_to_cbor(format!("\"{}\"", "é".repeat(MAX_PREVIEW + 1)).as_bytes()).unwrap();
    assert_eq!(annotate(&long).preview(0).unwrap(), format!("\"{}\"...", "é".repeat(MAX_PREVIEW)));
    let fits = json_to_cbor(format!("\"{}\"", "é".repeat(MAX_PREVIEW)).as_bytes()).unwrap();
    assert_eq!(annotate(&fits).preview(0).unwrap(), format!("\"{}\"", "é".repeat(MAX_PREVIEW)));
    let preview = |cbor: &str| annotate(&unhex(cbor)).preview(0);
    assert_eq!(preview("620a22").unwrap(), r#""\n\"""#);
    assert_eq!(preview("61ff").unwrap(), "h'ff'");
    assert_eq!(preview("4201ff").unwrap(), "h'01ff'");
    assert_eq!(preview("4301ff").unwrap(), "h'01ff...");
    assert_eq!(preview("6361c3").unwrap(), "\"a\"...", "a character is cut as well");
    assert_eq!((preview("80"), preview("7f6161ff")), (None, None));
}

fn decode(cbor: &[u8], keys: Option<&KeyTable>) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }).decode(cbor, &mut json)?;
    Ok(json)
}

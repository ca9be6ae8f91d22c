//! Whole bodies and random documents in random pieces.

use crate::{assert_decodes_alike, assert_encodes_alike, decode, encode, with_keys};
use lowband_codec::{DecodeOptions, KeyTable, Policy, PushDecoder, PushEncoder, PushOptions};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const SYNC: &str = include_str!("../data/sync-small.json");
const LARGER_SYNC: &str = include_str!("../data/sync-medium.json");
const BODIES: &str = include_str!("../data/bodies.jsonl");

fn v1() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

#[test]
fn bodies_of_a_homeserver_are_the_same_in_pieces_of_every_size() {
    for body in BODIES.lines().chain([SYNC, LARGER_SYNC]) {
        let (cbor, _) = assert_encodes_alike(body.as_bytes(), with_keys()).unwrap();
        let (json, _) = assert_decodes_alike(&cbor, v1()).unwrap();
        for size in [1, 2, 3, 7, 16, 61, 1024] {
            assert_eq!(encode(body.as_bytes().chunks(size), with_keys()).unwrap().0, cbor);
            assert_eq!(decode(cbor.chunks(size), v1()).unwrap().0, json);
        }
    }
}

#[test]
fn a_used_encoder_and_decoder_are_as_good_as_new() {
    let (mut encoder, mut decoder) = (PushEncoder::new(with_keys()), PushDecoder::new(v1()));
    // Each cut ends in another place of the grammar.
    for cut in [r#"{"a":[1,"#, r#"{"type":"te\u00"#, "[tru", "[12", "\"\u{e9}", "[1}"] {
        for bytes in [cut.as_bytes(), &cut.as_bytes()[..cut.len() - 1]] {
            let _ = encoder.push(bytes, &mut Vec::new());
            encoder.reset();
            let mut cbor = Vec::new();
            encoder.push(br#"{"type":"a"}"#, &mut cbor).unwrap();
            encoder.finish(&mut cbor).unwrap();
            assert_eq!(cbor, b"\xbf\x02\x61a\xff");
            encoder.reset();
        }
    }
    for cut in [
        b"\x82\x01".as_slice(),
        b"\xbf\x64ty",
        b"\x7f\x61a",
        b"\x62\xc3",
        b"\x19\x01",
        b"\xa2\x64type\x01\x02\x82",
        b"\xc1",
    ] {
        let _ = decoder.push(cut, &mut Vec::new());
        decoder.reset();
        let mut json = Vec::new();
        decoder.push(b"\xbf\x02\x61a\xff", &mut json).unwrap();
        assert!(decoder.finish(&mut json).unwrap().integer_keys);
        assert_eq!(json, br#"{"type":"a"}"#);
        decoder.reset();
    }
}

/// Makes an input and the places where it is cut.
fn in_pieces(input: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    (input, prop::collection::vec(prop_oneof![3 => 0..20_usize, 1 => 0..400_usize], 0..60))
}

fn pieces<'i>(mut input: &'i [u8], sizes: &[usize]) -> Vec<&'i [u8]> {
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, rest) = input.split_at((*size).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces.push(input);
    pieces
}

fn pieces_of_json() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&'static [u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\"a\":",
        b"\"type\":",
        b"\"\\u0074ype\":",
        b"true",
        b"null",
        b"fals",
        b"12",
        b"-0",
        b"1.5e3",
        b"1e400",
        b"18446744073709551616",
        b"01",
        b"e",
        b"\"text\"",
        b"\"\\ud834\\udd1e\"",
        b"\"\\ud800\"",
        b"\\u00e9",
        b"\\ud800",
        b"\\n",
        b"\xc3\xa9",
        b"\xf0\x9d\x84\x9e",
        b"\xc3",
        b" ",
        b"\n",
        b"\"event_id\":\"x\"",
        b"\"content\":{",
        b"\"a\":1,\"a\":2",
        b"\x01",
        b"\xff",
    ];
    prop::collection::vec(prop::sample::select(tokens), 0..40).prop_map(|tokens| tokens.concat())
}

/// Makes JSON texts, valid ones among them.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let text =
        prop_oneof!["[ -~&&[^\"\\\\]]{0,40}", "(a|\\\\n|\\\\u00e9|\\\\ud834\\\\udd1e|é|𝄞|\\\\ud800x?){0,12}"];
    let text = text.prop_map(|text| format!("\"{text}\""));
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:?}")),
        text.clone(),
    ];
    let key = prop_oneof![Just("\"type\"".to_owned()), Just("\"content\"".to_owned()), text];
    scalar
        .prop_recursive(5, 80, 12, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12)
                    .prop_map(|values| format!("[{}]", values.join(","))),
                prop::collection::vec((key.clone(), inner), 0..12).prop_map(|entries| {
                    let entries: Vec<String> =
                        entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    format!("{{{}}}", entries.join(",\n"))
                }),
            ]
        })
        .prop_map(String::into_bytes)
}

fn items_of_cbor() -> impl Strategy<Value = Vec<u8>> {
    let items: Vec<&'static [u8]> = vec![
        b"\x00",
        b"\x02",
        b"\x18\x1c",
        b"\x20",
        b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x60",
        b"\x61a",
        b"\x64type",
        b"\x62\xc3\xa9",
        b"\x62\xc3",
        b"\x7f",
        b"\xff",
        b"\x80",
        b"\x81",
        b"\x82",
        b"\x9f",
        b"\xa0",
        b"\xa1",
        b"\xa2",
        b"\xbf",
        b"\xf4",
        b"\xf6",
        b"\xf9\x3e\x00",
        b"\xfa\x47\xc3\x50\x00",
        b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a",
        b"\xd9\xd9\xf7",
        b"\xc1",
        b"\x41x",
        b"\x78\x03abc",
        b"\x78\x28abcdefghijklmnopqrstuvwxyzabcdefghijklmn",
        b"\xa2\x64type\x01\x02",
        b"\x5f",
        b"\x1c",
    ];
    prop::collection::vec(prop::sample::select(items), 0..30).prop_map(|items| items.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 512,
        rng_seed: RngSeed::Fixed(8949),
        ..ProptestConfig::default()
    })]

    #[test]
    fn json_in_random_pieces((json, sizes) in in_pieces(prop_oneof![pieces_of_json(), json()]), lenient: bool, keys: bool) {
        let policy = if lenient { Policy::Lenient } else { Policy::Strict };
        let options = PushOptions { keys: keys.then(KeyTable::v1), policy, ..PushOptions::default() };
        let mut whole = encode([json.as_slice()], options);
        // In push mode the lenient policy keeps another of the repeated keys.
        if whole.as_ref().is_ok_and(|(_, repairs)| repairs.repeated_keys == 0) || !lenient {
            whole = assert_encodes_alike(&json, options);
        }
        prop_assert_eq!(&encode(pieces(&json, &sizes), options), &whole);
        prop_assert_eq!(&encode(json.chunks(1), options), &whole);
    }

    #[test]
    fn cbor_in_random_pieces((cbor, sizes) in in_pieces(items_of_cbor()), keys: bool) {
        let options = DecodeOptions { keys: keys.then(KeyTable::v1), ..DecodeOptions::default() };
        let whole = assert_decodes_alike(&cbor, options);
        prop_assert_eq!(&decode(pieces(&cbor, &sizes), options), &whole);
        prop_assert_eq!(&decode(cbor.chunks(1), options), &whole);
    }

    #[test]
    fn what_push_mode_encodes_survives_the_way_back_in_push_mode((json, sizes) in in_pieces(json())) {
        let Ok((cbor, _)) = encode(pieces(&json, &sizes), with_keys()) else { return Ok(()) };
        let there: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let (json, _) = decode(pieces(&cbor, &sizes), v1()).unwrap();
        let back: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(encode([json.as_slice()], with_keys()).unwrap().0.len() <= cbor.len(), true);
        prop_assert_eq!(there.as_object().map(|o| o.len()), back.as_object().map(|o| o.len()));
    }
}

//! Inputs made to hurt. Nothing here measures time: at these sizes a quadratic step would not come to an end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, ErrorKind, KeyTable, Limits, Order, Policy, Repairs,
    cbor_to_json, json_to_cbor,
};

const MANY: usize = 200_000;

#[test]
fn containers_in_their_hundred_thousands() {
    let json = array("{}", MANY);
    let cbor = json_to_cbor(json.as_bytes()).unwrap();
    assert_eq!(cbor.len(), 5 + MANY);
    assert_eq!(cbor_to_json(&cbor).unwrap(), json.as_bytes());
    let deep = array(&format!("{}{}", "[".repeat(127), "]".repeat(127)), MANY / 127);
    assert_eq!(cbor_to_json(&json_to_cbor(deep.as_bytes()).unwrap()).unwrap(), deep.as_bytes());
}

#[test]
fn long_heads_to_insert_at_every_level_and_in_every_place() {
    let wide = array(&array("7", 24), MANY / 24);
    let cbor = json_to_cbor(wide.as_bytes()).unwrap();
    assert_eq!(cbor.len(), 3 + MANY / 24 * 26);
    assert_eq!(cbor_to_json(&cbor).unwrap(), wide.as_bytes());
    let mut nested = array("7", MANY);
    for _ in 0..100 {
        nested = format!("[{nested}{}]", ",7".repeat(300));
    }
    assert_eq!(cbor_to_json(&json_to_cbor(nested.as_bytes()).unwrap()).unwrap(), nested.as_bytes());
}

#[test]
fn unknown_keys_in_their_ten_thousands() {
    let names = [
        |i: usize| format!("key{i}"),
        // Names of one length with equal first and last eight bytes: no cheap fingerprint distinguishes them.
        |i: usize| format!("12345678{i:08}12345678"),
        // Long names that differ only at the end of the middle.
        |i: usize| format!("{}{i:08}12345678", "x".repeat(100)),
    ];
    for name in names {
        let entries: Vec<String> = (0..60_000).map(|i| format!("\"{}\":0", name(i))).collect();
        let json = format!("{{{}}}", entries.join(","));
        let cbor = json_to_cbor(json.as_bytes()).unwrap();
        assert_eq!(cbor_to_json(&cbor).unwrap(), json.as_bytes());
        let canonical = EncodeOptions { order: Order::LengthFirst, ..EncodeOptions::default() };
        assert!(Encoder::new(canonical).encode(json.as_bytes(), &mut Vec::new()).is_ok());
    }
}

#[test]
fn one_key_sixty_thousand_times() {
    for key in ["a", "type"] {
        let json = format!("{{{}}}", vec![format!("\"{key}\":0"); 60_000].join(","));
        let error = json_to_cbor(json.as_bytes()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 6 + key.len()));
        let mut cbor = Vec::new();
        let repairs = lenient().encode(json.as_bytes(), &mut cbor).unwrap();
        assert_eq!(repairs, Repairs { repeated_keys: 59_999, ..Repairs::default() });
        assert!(cbor.len() <= 4);
    }
    let mut cbor = vec![0xba, 0, 0, 0xea, 0x60];
    cbor.extend(b"\x61a\x00".repeat(60_000));
    assert_eq!(cbor_to_json(&cbor).unwrap_err().kind, ErrorKind::RepeatedKey);
}

#[test]
fn repeats_at_every_level() {
    let mut json = "0".to_owned();
    for _ in 0..1_000 {
        json = format!(r#"{{"a":0,"a":{json},"b":[{}]}}"#, "0,".repeat(99) + "0");
    }
    let limits = Limits { max_depth: 1_024, ..Limits::ENCODE };
    let (policy, mut cbor) = (Policy::Lenient, Vec::new());
    let mut encoder = Encoder::new(EncodeOptions { policy, limits, ..EncodeOptions::default() });
    assert_eq!(encoder.encode(json.as_bytes(), &mut cbor).unwrap().repeated_keys, 1_000);
}

#[test]
fn text_twins_of_integers_at_every_level_and_in_their_ten_thousands() {
    let mut cbor = vec![0];
    for _ in 0..128 {
        cbor = [b"\xa2\x02\x00\x64type".to_vec(), cbor].concat();
    }
    let json = cbor_to_json(&cbor).unwrap();
    assert_eq!(json, format!("{}0{}", r#"{"type":"#.repeat(128), "}".repeat(128)).as_bytes());
    let mut cbor = vec![0xba, 0, 1, 0x86, 0xa0];
    for i in 10_000..60_000_u16 {
        cbor.extend([0x19, (i >> 8) as u8, i as u8, 0x00]);
        cbor.extend(format!("\x65{i}\x01").as_bytes());
    }
    let json = cbor_to_json(&cbor).unwrap_or_else(|error| panic!("{error}"));
    assert!(json.starts_with(br#"{"10000":1,"#) && !json.ends_with(b",}"));
}

#[test]
fn strings_of_nothing_but_escapes() {
    let json = format!("\"{}\"", "\\u0041".repeat(MANY));
    assert_eq!(json_to_cbor(json.as_bytes()).unwrap().len(), 5 + MANY);
    let json = array(r#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n""#, MANY / 10);
    assert_eq!(cbor_to_json(&json_to_cbor(json.as_bytes()).unwrap()).unwrap(), json.as_bytes());
    let cbor = [vec![0x7a, 0, 3, 0x0d, 0x40], vec![1; MANY]].concat();
    assert_eq!(cbor_to_json(&cbor).unwrap().len(), 2 + 6 * MANY);
}

#[test]
fn numbers_that_grow_and_numbers_that_are_long() {
    let json = array("0.1", MANY);
    assert_eq!(json_to_cbor(json.as_bytes()).unwrap().len(), 5 + 9 * MANY);
    let json = array(&format!("0.{}", "7".repeat(800)), MANY / 100);
    assert!(json_to_cbor(json.as_bytes()).is_ok());
    let json = format!("0.{}", "7".repeat(65_534));
    assert_eq!(cbor_to_json(&json_to_cbor(json.as_bytes()).unwrap()).unwrap(), b"0.7777777777777778");
    let error = json_to_cbor(format!("[{json}0]").as_bytes()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::NumberTooLong, 1));
    let mut cbor = vec![0x9a, 0, 3, 0x0d, 0x40];
    for i in 0..MANY as u64 {
        cbor.push(0xfb);
        cbor.extend((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !(0x7ff << 52) | 0x3ff << 52).to_be_bytes());
    }
    assert!(cbor_to_json(&cbor).is_ok());
}

#[test]
fn the_longest_key_name_for_two_bytes() {
    let cbor = [vec![0x9a, 0, 3, 0x0d, 0x40], b"\xa1\x18\x48\x00".repeat(MANY)].concat();
    assert!(cbor_to_json(&cbor).unwrap().len() > 8 * cbor.len());
}

#[test]
fn an_indefinite_text_of_one_byte_chunks() {
    let cbor = [vec![0x7f], b"\x61a".repeat(MANY), vec![0xff]].concat();
    assert_eq!(cbor_to_json(&cbor).unwrap().len(), 2 + MANY);
}

#[test]
fn brackets_without_end_are_passed_over_by_the_lenient_policy() {
    let json = format!("{}{}", "[".repeat(MANY), "]".repeat(MANY));
    let mut cbor = Vec::new();
    assert_eq!(lenient().encode(json.as_bytes(), &mut cbor).unwrap().too_deep, 1);
    assert_eq!(cbor.len(), 129);
    assert_eq!(
        lenient().encode("[".repeat(MANY).as_bytes(), &mut cbor).unwrap_err().kind,
        ErrorKind::UnexpectedEnd
    );
    assert_eq!(json_to_cbor("[".repeat(MANY).as_bytes()).unwrap_err().kind, ErrorKind::TooDeep);
    assert_eq!(cbor_to_json(&vec![0x81; MANY]).unwrap_err().kind, ErrorKind::TooDeep);
    assert_eq!(cbor_to_json(&vec![0xc1; MANY]).unwrap_err().kind, ErrorKind::Tag);
}

#[test]
fn claimed_lengths_reserve_nothing() {
    for major in [0x7b, 0x9b, 0xbb] {
        for claimed in [1_u64 << 40, u64::MAX] {
            let cbor = [vec![major], claimed.to_be_bytes().to_vec(), vec![0x60; 100]].concat();
            let mut json = Vec::new();
            assert!(Decoder::new(DecodeOptions::default()).decode(&cbor, &mut json).is_err());
            assert!(json.capacity() < 10_000, "{}", json.capacity());
        }
    }
}

#[test]
fn the_output_limit_holds_while_a_text_grows() {
    let cbor = [vec![0x7a, 0, 3, 0x0d, 0x40], vec![1; MANY]].concat();
    let limits = Limits { max_output: 10_000, ..Limits::default() };
    let mut json = Vec::new();
    let error = Decoder::new(DecodeOptions { limits, ..DecodeOptions::default() })
        .decode(&cbor, &mut json)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutputTooLarge);
    assert!(json.capacity() < 40_000, "{}", json.capacity());
}

fn array(element: &str, count: usize) -> String {
    format!("[{}{element}]", format!("{element},").repeat(count - 1))
}

fn lenient() -> Encoder<'static> {
    let options =
        EncodeOptions { keys: Some(KeyTable::v1()), policy: Policy::Lenient, ..EncodeOptions::default() };
    Encoder::new(options)
}

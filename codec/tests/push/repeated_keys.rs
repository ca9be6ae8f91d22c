//! Repeated keys: only those of the table are noticed, because memory must not grow with the number of keys.

use crate::{decode, encode, with_keys};
use lowband_codec::{
    DecodeOptions, Error, ErrorKind, KeyTable, Limits, Policy, PushDecoder, PushOptions, Repairs,
    cbor_to_json,
};

fn v1() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

#[test]
fn strict_refuses_a_repeated_table_key_at_its_second_place() {
    let error = encode([br#"{"type":1,"a":2,"type":3}"#.as_slice()], with_keys()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 16));
    // In another object it is another key.
    assert!(encode([br#"{"type":{"type":[{"type":1},{"type":2}]}}"#.as_slice()], with_keys()).is_ok());
}

#[test]
fn repeated_unknown_keys_pass_and_receivers_take_the_last() {
    let (cbor, repairs) = encode([br#"{"a":1,"a":2}"#.as_slice()], with_keys()).unwrap();
    assert_eq!((cbor.as_slice(), repairs), (b"\xbf\x61a\x01\x61a\x02\xff".as_slice(), Repairs::default()));
    let (json, _) = decode([cbor.as_slice()], v1()).unwrap();
    assert_eq!(json, br#"{"a":1,"a":2}"#);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), serde_json::json!({"a": 2}));
}

#[test]
fn lenient_writes_the_later_table_key_as_text_so_that_it_holds() {
    let options = PushOptions { policy: Policy::Lenient, ..with_keys() };
    let (cbor, repairs) = encode([br#"{"type":1,"type":2}"#.as_slice()], options).unwrap();
    assert_eq!(cbor, b"\xbf\x02\x01\x64type\x02\xff");
    assert_eq!(repairs, Repairs { repeated_keys: 1, ..Repairs::default() });
    assert_eq!(cbor_to_json(&cbor).unwrap(), br#"{"type":2}"#);
    // And once more: who reads it takes the last text.
    let (cbor, repairs) = encode([br#"{"type":1,"type":2,"type":3}"#.as_slice()], options).unwrap();
    assert_eq!(cbor, b"\xbf\x02\x01\x64type\x02\x64type\x03\xff");
    assert_eq!(repairs.repeated_keys, 2);
}

#[test]
fn an_integer_key_whose_text_twin_has_left_is_dropped_with_all_its_value_wherever_it_is_cut() {
    // {"type": 1, 2: {"a": [true, "text"], 2: 1}, 1: 2}
    let cbor =
        [b"\xa3\x64type\x01".as_slice(), b"\x02\xa2\x61a\x82\xf5\x64text\x02\x01", b"\x01\x02"].concat();
    let expected = br#"{"type":1,"event_id":2}"#.as_slice();
    for at in 0..=cbor.len() {
        let (json, decoded) = decode([&cbor[..at], &cbor[at..]], v1()).unwrap();
        assert_eq!(json, expected, "cut at {at}");
        assert!(decoded.integer_keys);
    }
    assert_eq!(decode(cbor.chunks(1), v1()).unwrap().0, expected);
    assert_eq!(cbor_to_json(&cbor).unwrap(), expected);
    // As the last entry, twice on one level, and inside of what is dropped.
    for (cbor, json) in [
        (b"\xa2\x64type\x01\x02\x02".as_slice(), r#"{"type":1}"#),
        (b"\xbf\x64type\x01\x02\x02\x68event_id\x03\x01\x04\xff", r#"{"type":1,"event_id":3}"#),
        (b"\xa3\x64type\x01\x02\xa2\x64type\x05\x02\x06\x61b\x00", r#"{"type":1,"b":0}"#),
    ] {
        assert_eq!(decode(cbor.chunks(1), v1()).unwrap().0, json.as_bytes());
        assert_eq!(cbor_to_json(cbor).unwrap(), json.as_bytes());
    }
}

#[test]
fn nothing_is_taken_back_of_what_the_output_held_before_a_call() {
    let mut decoder = PushDecoder::new(v1());
    let mut all = Vec::new();
    for piece in [b"\xa2".as_slice(), b"\x18", b"\x1c\x01", b"\x18", b"", b"\x1d\x02"] {
        // What the caller had written itself ends as a pause might leave it.
        let mut output = b"before,".to_vec();
        decoder.push(piece, &mut output).unwrap();
        all.extend_from_slice(output.strip_prefix(b"before,").unwrap());
    }
    assert!(decoder.is_complete());
    assert_eq!(all, cbor_to_json(b"\xa2\x18\x1c\x01\x18\x1d\x02").unwrap());
}

#[test]
fn what_is_dropped_is_checked_all_the_same() {
    let error = decode([b"\xa2\x64type\x01\x02\x41x".as_slice()], v1()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::ByteString, 8));
    let error = decode([b"\xa3\x64type\x01\x02\x02\x02\x02".as_slice()], v1()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 9));
}

#[test]
fn what_is_dropped_does_not_count_as_output_wherever_it_is_cut() {
    // {"type": 1, 2: ["...", "..."]}, and a limit that only what leaves keeps.
    let cbor = [b"\xa2\x64type\x01\x02\x82".as_slice(), b"\x74", &[b'x'; 20], b"\x74", &[1; 20]].concat();
    let expected = br#"{"type":1}"#.as_slice();
    for (max_output, fits) in [(expected.len(), true), (expected.len() - 1, false)] {
        let limits = Limits { max_output, ..Limits::default() };
        for at in 0..=cbor.len() {
            let result = decode([&cbor[..at], &cbor[at..]], DecodeOptions { limits, ..v1() });
            match fits {
                true => assert_eq!(result.unwrap().0, expected, "cut at {at}"),
                false => assert_eq!(result.unwrap_err().kind, ErrorKind::OutputTooLarge, "cut at {at}"),
            }
        }
    }
}

#[test]
fn a_text_behind_its_integer_comes_too_late() {
    for cbor in
        [b"\xa2\x02\x01\x64type\x02".as_slice(), b"\xa2\x64type\x02\x64type\x02", b"\xa2\x02\x01\x02\x01"]
    {
        let error = decode([cbor], v1()).unwrap_err();
        let second = if cbor[1] == 2 { 3 } else { 7 };
        assert_eq!(error, Error { kind: ErrorKind::RepeatedKey, offset: second });
    }
}

#[test]
fn keys_beyond_the_128_that_have_a_bit_pass() {
    let names: Vec<String> = (0..300).map(|i| format!("key-{i}")).collect();
    let table = KeyTable::new("test", names.iter().map(String::as_str).zip(1000..)).unwrap();
    let options = PushOptions { keys: Some(&table), ..PushOptions::default() };
    for (key, noticed) in [(0, true), (127, true), (128, false), (299, false)] {
        let json = format!(r#"{{"key-{key}":1,"key-{key}":2}}"#);
        assert_eq!(encode([json.as_bytes()], options).is_err(), noticed, "{key}");
    }
}

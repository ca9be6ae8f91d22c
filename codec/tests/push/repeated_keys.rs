//! Repeated keys: noticed as soon as they come, because what has left cannot be taken back.

use crate::{decode, encode, one_shot_decode, with_keys};
use lowband_codec::{
    DecodeOptions, Error, ErrorKind, KeyTable, Limits, MAX_TEXT, Policy, PushDecoder, PushOptions, Repairs,
    cbor_to_json,
};

fn v1() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

#[test]
fn strict_refuses_a_repeated_table_key_at_its_second_place() {
    let error = encode([br#"{"type":1,"a":2,"type":3}"#.as_slice()], with_keys()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 16));
    // In another object it counts as another key.
    assert!(encode([br#"{"type":{"type":[{"type":1},{"type":2}]}}"#.as_slice()], with_keys()).is_ok());
}

#[test]
fn both_ways_refuse_a_repeated_unknown_key_at_its_second_place() {
    for (json, offset) in
        [(r#"{"a":1,"a":2}"#, 7), (r#"[{"b":{"a":1},"a":2,"\u0061":3}]"#, 20), (r#"{"":1,"":2,}"#, 6)]
    {
        for keys in [None, Some(KeyTable::v1())] {
            let error = encode([json.as_bytes()], PushOptions { keys, ..with_keys() }).unwrap_err();
            assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, offset), "{json}");
        }
    }
    for cbor in [
        b"\xbf\x61a\x01\x61a\x02\xff".as_slice(),
        b"\xa2\x18\x69\x01\x18\x69\x02\xff",
        b"\xa2\x18\x69\x01\x63105\x02",
    ] {
        let error = decode(cbor.chunks(1), v1()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 4), "{}", cbor.escape_ascii());
    }
}

#[test]
fn lenient_keeps_the_first_and_drops_later_ones_with_all_their_value_wherever_it_is_cut() {
    for (json, expected, repeated_keys) in [
        (r#"{"type":1,"type":2}"#, r#"{"type":1}"#, 1),
        (r#"{"type":1,"type":2,"type":3}"#, r#"{"type":1}"#, 2),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, 1),
        (r#"{"a":1,"b":2,"\u0061":"text","c":3}"#, r#"{"a":1,"b":2,"c":3}"#, 1),
        (
            r#"{"a":1,"a":"te\n\ud834\udd1ext","a":-1.5e3,"a":true,"a":[],"a":{},"b":null}"#,
            r#"{"a":1,"b":null}"#,
            5,
        ),
        (
            r#"[{"a":{"a":{}},"a":[1,{"a":1,"a":2,"b":["]}"]}],"b":[{"a":[]}]},2]"#,
            r#"[{"a":{"a":{}},"b":[{"a":[]}]},2]"#,
            1,
        ),
        (r#"{"a":{"b":1,"b":2},"a":{"b":3,"b":4}}"#, r#"{"a":{"b":1}}"#, 2),
        (r#"{"":0,"":[[[]]]}"#, r#"{"":0}"#, 1),
    ] {
        for keys in [None, Some(KeyTable::v1())] {
            let options = PushOptions { keys, policy: Policy::Lenient, ..PushOptions::default() };
            let (whole, repairs) = encode([json.as_bytes()], options).unwrap();
            assert_eq!(repairs, Repairs { repeated_keys, ..Repairs::default() }, "{json}");
            let readers = DecodeOptions { keys, ..DecodeOptions::default() };
            assert_eq!(one_shot_decode(&whole, readers).unwrap().0, expected.as_bytes(), "{json}");
            for at in 0..=json.len() {
                let (one, other) = json.as_bytes().split_at(at);
                assert_eq!(
                    encode([one, other], options).unwrap(),
                    (whole.clone(), repairs),
                    "{json} cut at {at}"
                );
            }
            assert_eq!(encode(json.as_bytes().chunks(1), options).unwrap(), (whole, repairs), "{json}");
        }
    }
}

#[test]
fn what_would_be_repaired_in_a_dropped_value_is_not_counted_and_its_grammar_is_checked() {
    let options = PushOptions { policy: Policy::Lenient, ..with_keys() };
    let (_, repairs) =
        encode([br#"{"a":1,"a":["\ud800",1e400,99999999999999999999]}"#.as_slice()], options).unwrap();
    assert_eq!(repairs, Repairs { repeated_keys: 1, ..Repairs::default() });
    let error = encode([br#"{"a":1,"a":[2,]}"#.as_slice()], options).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TrailingComma, 14));
}

#[test]
fn a_dropped_value_does_not_count_as_output_and_may_be_longer_than_a_buffer() {
    let json = format!(r#"{{"a":1,"a":"{}","b":2}}"#, "x".repeat(3 * MAX_TEXT));
    let limits = Limits { max_output: 8, ..Limits::ENCODE };
    for size in [1, 1000, usize::MAX] {
        let options = PushOptions { limits, policy: Policy::Lenient, ..with_keys() };
        assert_eq!(encode(json.as_bytes().chunks(size), options).unwrap().0, b"\xbf\x61a\x01\x61b\x02\xff");
    }
}

#[test]
fn a_repeat_is_noticed_among_many_keys_and_an_object_may_have_one_that_is_too_long_to_be_kept() {
    let entries: String = (0..5_000).map(|i| format!(r#""key {i}":{{"key":{i}}},"#)).collect();
    let json = format!(r#"{{{entries}"key 2500":0}}"#);
    let error = encode(json.as_bytes().chunks(1000), with_keys()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, 1 + entries.len()));
    let lenient = PushOptions { policy: Policy::Lenient, ..with_keys() };
    let (cbor, _) = encode(json.as_bytes().chunks(1000), lenient).unwrap();
    assert_eq!(
        decode(cbor.chunks(999), v1()).unwrap().0,
        format!("{{{}}}", entries.trim_end_matches(',')).as_bytes()
    );

    let long = "k".repeat(MAX_TEXT + 1);
    let json = format!(r#"[{{"{long}":1}},{{"{long}":1,"a":{{"{long}":2}}}}]"#);
    let (cbor, _) = encode(json.as_bytes().chunks(1000), with_keys()).unwrap();
    assert_eq!(decode(cbor.chunks(999), v1()).unwrap().0, json.as_bytes());
    assert_eq!(cbor_to_json(&cbor).unwrap(), json.as_bytes());
    let json = format!(r#"{{"{long}":1,"{long}":2}}"#);
    for size in [1, 1000, usize::MAX] {
        let error = encode(json.as_bytes().chunks(size), lenient).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::TooManyKeys, 1 + 2 + long.len() + 3));
    }
    let mut cbor = vec![0xa2];
    for _ in 0..2 {
        ciborium::into_writer(&long, &mut cbor).unwrap();
        cbor.push(0);
    }
    for size in [1, 1000, usize::MAX] {
        let error = decode(cbor.chunks(size), v1()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::TooManyKeys, 1 + 5 + long.len() + 1));
    }
}

#[test]
fn the_room_for_keys_is_a_limit() {
    let limits = Limits { max_keys: 72, ..Limits::ENCODE };
    let json = br#"{"type":0,"one":1,"two":{"three":3},"four":[{"five":5}],"six":6}"#;
    let error = encode([json.as_slice()], PushOptions { limits, ..with_keys() }).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooManyKeys, 45), "the key `five`");
    let (cbor, _) = encode([json.as_slice()], with_keys()).unwrap();
    let error = decode(cbor.chunks(3), DecodeOptions { limits, ..v1() }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooManyKeys);
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
    // The dropped entry is last, occurs twice on one level, and lies inside a dropped entry.
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
        // The caller's own earlier output ends as a pause might leave it.
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
    // {"type": 1, 2: ["...", "..."]}, and a limit that only the output that leaves keeps.
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
fn keys_beyond_the_128_that_have_a_bit_are_noticed_too() {
    let names: Vec<String> = (0..300).map(|i| format!("key-{i}")).collect();
    let table = KeyTable::new("test", names.iter().map(String::as_str).zip(1000..)).unwrap();
    let options = PushOptions { keys: Some(&table), ..PushOptions::default() };
    for key in [0, 127, 128, 299] {
        let json = format!(r#"{{"key-{key}":1,"key-{key}":2}}"#);
        let error = encode([json.as_bytes()], options).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::RepeatedKey, json.len() / 2 + 1), "{key}");
        // The decoder: a text wins over the integer before it.
        let integer = 1000 + key as u16;
        let [high, low] = integer.to_be_bytes();
        let name = format!("key-{key}");
        let text = [&[0x60 | name.len() as u8], name.as_bytes()].concat();
        let readers = DecodeOptions { keys: Some(&table), ..DecodeOptions::default() };
        let twins = [b"\xa2".as_slice(), &text, b"\x01\x19", &[high, low], b"\x02"].concat();
        assert_eq!(decode(twins.chunks(1), readers).unwrap().0, format!(r#"{{"{name}":1}}"#).as_bytes());
        for twice in [
            [b"\xa2\x19".as_slice(), &[high, low], b"\x01\x19", &[high, low], b"\x02"].concat(),
            [b"\xa2\x19".as_slice(), &[high, low], b"\x01", &text, b"\x02"].concat(),
            [b"\xa2".as_slice(), &text, b"\x01", &text, b"\x02"].concat(),
        ] {
            assert_eq!(decode(twice.chunks(1), readers).unwrap_err().kind, ErrorKind::RepeatedKey);
        }
    }
}

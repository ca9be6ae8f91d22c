//! Long inputs in little memory, and hostile ones in linear time: with a quadratic step these tests would not
//! finish.

use crate::{decode, encode, with_keys};
use lowband_codec::{DecodeOptions, ErrorKind, KeyTable, Limits, MAX_TEXT, Policy, PushOptions, Repairs};

const MANY: usize = 200_000;

fn v1() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

#[test]
fn a_text_that_fits_one_buffer_is_definite_and_a_longer_one_goes_in_chunks_cut_between_characters() {
    for (character, escape) in [("a", "\\u0061"), ("é", "\\u00e9"), ("…", "\\u2026"), ("𝄞", "\\ud834\\udd1e")]
    {
        let fitting = MAX_TEXT / character.len();
        for count in [fitting - 1, fitting, fitting + 1, 3 * fitting + 5] {
            let text = character.repeat(count);
            let mut expected = Vec::new();
            if text.len() <= MAX_TEXT {
                ciborium::into_writer(&text, &mut expected).unwrap();
            } else {
                expected.push(0x7f);
                let chunk_len = fitting * character.len();
                for chunk in text.as_bytes().chunks(chunk_len) {
                    ciborium::into_writer(str::from_utf8(chunk).unwrap(), &mut expected).unwrap();
                }
                expected.push(0xff);
            }
            for json in [format!("\"{text}\""), format!("\"{}\"", escape.repeat(count))] {
                for size in [1, 1000, 16 << 10, usize::MAX] {
                    let (cbor, _) = encode(json.as_bytes().chunks(size), with_keys()).unwrap();
                    assert_eq!(cbor.len(), expected.len(), "{count} of {character} in pieces of {size}");
                    assert_eq!(cbor, expected, "{count} of {character} in pieces of {size}");
                }
            }
            // The text as a key.
            let json = format!("{{\"{text}\":1}}");
            let (cbor, _) = encode(json.as_bytes().chunks(999), with_keys()).unwrap();
            assert_eq!(cbor, [b"\xbf".as_slice(), &expected, b"\x01\xff"].concat());
            for size in [1, 999, usize::MAX] {
                assert_eq!(decode(cbor.chunks(size), v1()).unwrap().0, json.as_bytes());
            }
        }
    }
}

#[test]
fn a_lone_surrogate_in_a_long_text_is_named_where_it_stands() {
    let json = format!("[\"{}\\ud800{}\"]", "a".repeat(100_000), "b".repeat(100_000));
    for size in [1, 4096, usize::MAX] {
        let error = encode(json.as_bytes().chunks(size), with_keys()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::LoneSurrogate, 100_002));
        let lenient = PushOptions { policy: Policy::Lenient, ..with_keys() };
        let (_, repairs) = encode(json.as_bytes().chunks(size), lenient).unwrap();
        assert_eq!(repairs, Repairs { lone_surrogates: 1, ..Repairs::default() });
    }
}

#[test]
fn a_number_may_have_65_536_characters_and_no_more() {
    for (head, tail) in [("[", "]"), ("", "")] {
        let json = format!("{head}0.{}{tail}", "7".repeat(65_534));
        for size in [1, 4096, usize::MAX] {
            assert!(encode(json.as_bytes().chunks(size), with_keys()).is_ok());
            for long in [format!("{head}0.{}{tail}", "7".repeat(65_535)), "7".repeat(1 << 20)] {
                let error = encode(long.as_bytes().chunks(size), with_keys()).unwrap_err();
                let offset = if long.starts_with('[') { 1 } else { 0 };
                assert_eq!((error.kind, error.offset), (ErrorKind::NumberTooLong, offset));
            }
        }
    }
}

#[test]
fn brackets_without_end_are_passed_over_up_to_a_million() {
    let options = PushOptions { policy: Policy::Lenient, ..with_keys() };
    let json = format!("{}{}", "[{\"a\":".repeat(MANY), "0}]".repeat(MANY).replacen("0}", "}", 0));
    for size in [1, 4096] {
        assert!(encode(json.as_bytes().chunks(size), options).is_err(), "its inner brackets hold no value");
        let json = format!("[{}1{},\"a\"]", "[".repeat(MANY), "]".repeat(MANY));
        let (cbor, repairs) = encode(json.as_bytes().chunks(size), options).unwrap();
        assert_eq!(repairs, Repairs { too_deep: 1, ..Repairs::default() });
        assert_eq!(cbor.len(), 2 * 128 + 3);
    }
    let error = encode(["[".repeat(1_100_000).as_bytes()], options).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooDeep, 128 + (1 << 20)));
}

#[test]
fn hostile_documents_in_one_byte_pieces() {
    for element in [
        "{}",
        "\"\\u0041\\n\"",
        "0.1",
        "12345678901234567890e-5",
        "[[[[[[1]]]]]]",
        "{\"type\":{\"a\":null}}",
        "\"\\ud800\\u00e9\"",
    ] {
        let json = format!("[{}{element}]", format!("{element},").repeat(MANY / element.len()));
        let options = PushOptions { policy: Policy::Lenient, ..with_keys() };
        let (cbor, _) = encode(json.as_bytes().chunks(1), options).unwrap();
        assert_eq!(encode([json.as_bytes()], options).unwrap().0, cbor);
        let (json, _) = decode(cbor.chunks(1), v1()).unwrap();
        assert_eq!(decode([cbor.as_slice()], v1()).unwrap().0, json);
    }
    let one_byte_chunks = [b"\x7f".as_slice(), &b"\x61a".repeat(MANY), b"\xff"].concat();
    assert_eq!(decode(one_byte_chunks.chunks(1), v1()).unwrap().0.len(), MANY + 2);
    let controls = [vec![0x7a, 0, 3, 0x0d, 0x40], vec![1; MANY]].concat();
    assert_eq!(decode(controls.chunks(1), v1()).unwrap().0.len(), 6 * MANY + 2);
}

#[test]
fn the_limits_count_over_all_pieces() {
    let limits = Limits { max_input: 10, max_output: 8, ..Limits::default() };
    let json = PushOptions { limits, ..PushOptions::default() };
    let cbor = DecodeOptions { limits, ..DecodeOptions::default() };
    for size in [1, 3, 100] {
        let error = encode(b"          1".chunks(size), json).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::InputTooLarge, 10));
        let error = encode(b"[1,2,3,\"ab\"]".chunks(size), json).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::InputTooLarge, 10));
        let error = encode(b"[0.1,0.2]".chunks(size), json).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::OutputTooLarge, 1));
        let error = decode(b"\x85\x01\x02\x03\x04\x05".chunks(size), cbor).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::OutputTooLarge, 5));
        let error = decode(b"\x69abcdefghij".chunks(size), cbor).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::OutputTooLarge, 0));
    }
}

#[test]
fn the_value_at_which_the_output_is_too_long_is_the_same_wherever_a_text_before_it_is_cut() {
    let long = "k".repeat(40);
    let json = format!(r#"{{"{long}":{{"another":"text"}}}}"#);
    let options =
        PushOptions { limits: Limits { max_output: 40, ..Limits::default() }, ..PushOptions::default() };
    let expected = (ErrorKind::OutputTooLarge, json.find(r#""text""#).unwrap());
    for at in 0..=json.len() {
        let (one, other) = json.as_bytes().split_at(at);
        let error = encode([one, other], options).unwrap_err();
        assert_eq!((error.kind, error.offset), expected, "cut at {at}");
    }
}

//! Diagnostic notation: the vectors both ways, mistakes with their places, limits, cuts at each byte.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use file::{Vector, hex, unhex, vectors};
use lowband_codec::diagnostic::{
    LIMITS, MAX_INTEGER_DIGITS, Mistake, Options, TextError, from_cbor, to_cbor,
};
use lowband_codec::{Error, ErrorKind, KeyTable, Limits};

#[path = "../vectors/file.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod file;
mod properties;

fn written(cbor: &[u8], options: Options<'_>) -> Result<String, Error> {
    let mut text = Vec::new();
    from_cbor(cbor, options, &mut text).map(|()| String::from_utf8(text).unwrap())
}

fn read(text: &str) -> Result<Vec<u8>, TextError> {
    to_cbor(text.as_bytes(), &LIMITS)
}

fn options(vector: &Vector) -> Options<'static> {
    let sequence = vector.0.get("sequence").is_some_and(|sequence| sequence.as_bool().unwrap());
    Options { keys: vector.keys(), sequence, ..Options::default() }
}

#[test]
fn the_vectors_are_written_and_read() {
    for vector in vectors("diagnostic.json") {
        let (cbor, text) = (unhex(vector.text("cbor")), vector.text("text"));
        assert_eq!(written(&cbor, options(&vector)).as_deref(), Ok(text), "{}", vector.name());
        let also = vector.0.get("also").and_then(|also| also.as_array());
        let also = also.into_iter().flatten().map(|also| also.as_str().unwrap());
        for text in [text].into_iter().chain(also) {
            assert_eq!(read(text).map(|cbor| hex(&cbor)).as_deref(), Ok(vector.text("cbor")), "{text}");
        }
        let pretty = written(&cbor, Options { pretty: true, ..options(&vector) }).unwrap();
        assert_eq!(read(&pretty).map(|cbor| hex(&cbor)).as_deref(), Ok(vector.text("cbor")), "{pretty}");
    }
}

#[test]
fn a_float_without_an_indicator_is_as_short_as_the_rfc_s_table_has_it() {
    for (text, cbor) in [("Infinity", "f97c00"), ("NaN", "f97e00"), ("+Infinity", "f97c00")] {
        assert_eq!(read(text).map(|cbor| hex(&cbor)).as_deref(), Ok(cbor), "{text}");
    }
}

#[test]
fn pretty_text_has_a_line_for_each_element_and_pair() {
    let cbor = read("{2: [1, {}, [_ ]], 3: {_ 27: (_ h'01', h'02')}, 4: 1([_0 5])}").unwrap();
    let expected = r#"{
  / type / 2: [
    1,
    {},
    [_ ]
  ],
  / content / 3: {_
    / body / 27: (_ h'01', h'02')
  },
  / state_key / 4: 1([_0
    5
  ])
}"#;
    let pretty = Options { pretty: true, ..Options::default() };
    assert_eq!(written(&cbor, pretty).as_deref(), Ok(expected));
    assert_eq!(written(b"\x80\x01", Options { sequence: true, ..pretty }).as_deref(), Ok("[],\n1"));
}

#[test]
fn what_the_notation_cannot_say_is_told_in_a_comment() {
    for (cbor, text, again) in [
        ("61ff", "h'ff' / a text, not UTF-8 /", "41ff"),
        ("a161ff01", "{h'ff' / a text, not UTF-8 /: 1}", "a141ff01"),
        ("f97e01", "NaN_1 / 0x7e01 /", "f97e00"),
        ("f9fe00", "NaN_1 / 0xfe00 /", "f97e00"),
        ("faffc00000", "NaN_2 / 0xffc00000 /", "fa7fc00000"),
        ("fb7ff8000000000001", "NaN_3 / 0x7ff8000000000001 /", "fb7ff8000000000000"),
    ] {
        assert_eq!(written(&unhex(cbor), Options::default()).as_deref(), Ok(text), "{cbor}");
        assert_eq!(read(text).map(|cbor| hex(&cbor)).as_deref(), Ok(again), "{text}");
    }
}

#[test]
fn a_name_that_would_end_its_comment_is_left_out() {
    let keys = KeyTable::new("odd", [("a/b", 1), ("c\nd", 2), ("e", 3)]).unwrap();
    let options = Options { keys: Some(&keys), ..Options::default() };
    assert_eq!(written(b"\xa3\x01\x01\x02\x02\x03\x03", options).as_deref(), Ok("{1: 1, 2: 2, / e / 3: 3}"));
}

#[test]
fn mistakes_in_a_text_have_their_place() {
    let huge = format!("1{}", "0".repeat(MAX_INTEGER_DIGITS));
    let long = format!("1.{}", "0".repeat(65_536));
    let common = Mistake::Common;
    for (text, mistake, offset) in [
        ("?", Mistake::ExpectedItem, 0),
        ("[1, ]", Mistake::ExpectedItem, 4),
        ("[, 1]", Mistake::ExpectedItem, 1),
        ("1,", common(ErrorKind::UnexpectedEnd), 2),
        ("{1: }", Mistake::ExpectedItem, 4),
        ("(1)", Mistake::ExpectedItem, 0),
        ("[1, ü]", Mistake::ExpectedItem, 4),
        ("nil", Mistake::UnknownWord, 0),
        ("[True]", Mistake::UnknownWord, 1),
        ("h", Mistake::UnknownWord, 0),
        ("h32'aa'", Mistake::UnknownWord, 0),
        ("simple", Mistake::UnknownWord, 0),
        ("{1 2}", Mistake::ExpectedColon, 3),
        ("{1}", Mistake::ExpectedColon, 2),
        ("[1 2]", Mistake::ExpectedCommaOrEnd, 3),
        ("[1}", Mistake::WrongBracket, 2),
        ("{1: 2]", Mistake::WrongBracket, 5),
        ("]", Mistake::WrongBracket, 0),
        ("1 )", Mistake::WrongBracket, 2),
        ("1()", Mistake::Tag, 2),
        ("1(2, 3)", Mistake::Tag, 3),
        ("(_ )", Mistake::Chunk, 3),
        ("(_ 1)", Mistake::Chunk, 3),
        ("(_ \"a\", h'01')", Mistake::Chunk, 8),
        ("(_ (_ \"a\"))", Mistake::Chunk, 3),
        ("01", Mistake::InvalidNumber, 0),
        ("[-]", Mistake::InvalidNumber, 1),
        (".5", Mistake::InvalidNumber, 0),
        ("[1.]", Mistake::InvalidNumber, 1),
        ("1.5e+ ", Mistake::InvalidNumber, 0),
        ("12a", Mistake::InvalidNumber, 0),
        ("0x", common(ErrorKind::UnexpectedEnd), 2),
        ("0xg", Mistake::InvalidNumber, 0),
        ("0b12", Mistake::InvalidNumber, 0),
        ("1.2.3", Mistake::InvalidNumber, 0),
        (&huge, Mistake::IntegerTooLong, 0),
        (&long, common(ErrorKind::NumberTooLong), 0),
        ("[1e400]", Mistake::HugeNumber, 1),
        ("simple(24)", Mistake::SimpleValue, 7),
        ("simple(31)", Mistake::SimpleValue, 7),
        ("simple(256)", Mistake::SimpleValue, 7),
        ("simple(-1)", Mistake::SimpleValue, 7),
        ("simple(1", common(ErrorKind::UnexpectedEnd), 8),
        ("-1(2)", Mistake::TagNumber, 0),
        ("18446744073709551616(2)", Mistake::TagNumber, 0),
        ("1.5(2)", Mistake::TagNumber, 0),
        ("h'0'", Mistake::InvalidHex, 0),
        ("h'0g'", Mistake::InvalidHex, 3),
        ("b64'A'", Mistake::InvalidBase64, 0),
        ("b64'AA='", Mistake::InvalidBase64, 0),
        ("b64'AB'", Mistake::InvalidBase64, 0),
        ("b64'AA==A'", Mistake::InvalidBase64, 8),
        ("b64'A?'", Mistake::InvalidBase64, 5),
        ("1_", Mistake::InvalidIndicator, 1),
        ("1_4", Mistake::InvalidIndicator, 1),
        ("1_0_0", Mistake::InvalidIndicator, 1),
        ("1.5_0", Mistake::InvalidIndicator, 3),
        ("\"a\"_", Mistake::InvalidIndicator, 3),
        ("(_ \"\"_)", Mistake::InvalidIndicator, 5),
        ("256_0", Mistake::IndicatorTooSmall, 3),
        ("-257_0", Mistake::IndicatorTooSmall, 4),
        ("24_i", Mistake::IndicatorTooSmall, 2),
        ("1.1_1", Mistake::IndicatorTooSmall, 3),
        ("1.1_2", Mistake::IndicatorTooSmall, 3),
        ("100000.0_1", Mistake::IndicatorTooSmall, 8),
        ("18446744073709551616_3", Mistake::IndicatorTooSmall, 20),
        ("[1 / open", Mistake::OpenComment, 3),
        ("[", common(ErrorKind::UnexpectedEnd), 1),
        ("\"a", common(ErrorKind::UnexpectedEnd), 2),
        ("'a", common(ErrorKind::UnexpectedEnd), 2),
        ("\"a\u{1}\"", common(ErrorKind::ControlCharacter), 2),
        ("'\n'", common(ErrorKind::ControlCharacter), 1),
        ("\"\\x\"", common(ErrorKind::InvalidEscape), 1),
        ("\"a\\ud800\"", common(ErrorKind::LoneSurrogate), 2),
        ("'\\udc00'", common(ErrorKind::LoneSurrogate), 1),
    ] {
        let shown = text.get(..20).unwrap_or(text);
        assert_eq!(read(text), Err(TextError { mistake, offset }), "{shown}");
        let sentence = TextError { mistake, offset }.to_string();
        assert!(sentence.starts_with(&format!("byte {offset}: ")) && !sentence.ends_with('.'), "{sentence}");
    }
    assert_eq!(
        to_cbor(b"\"\xff\"", &LIMITS),
        Err(TextError { mistake: common(ErrorKind::InvalidUtf8), offset: 1 })
    );
}

#[test]
fn the_largest_integer_is_the_product_of_its_digits() {
    for (text, content) in [
        ("340282366920938463463374607431768211456".to_owned(), format!("01{}", "00".repeat(16))),
        (format!("0x{}", "f".repeat(MAX_INTEGER_DIGITS)), "ff".repeat(MAX_INTEGER_DIGITS / 2)),
        (format!("0b1{}", "0".repeat(72)), format!("01{}", "00".repeat(9))),
        (format!("0o4{}", "0".repeat(23)), format!("80{}", "00".repeat(8))),
    ] {
        assert_eq!(read(&text), read(&format!("2(h'{content}')")), "{text}");
        let (minus, less) = (format!("-{text}"), unhex(&content));
        // -1 minus the content is one less than minus the content.
        let below = read(&minus).unwrap();
        assert_eq!(below[0], 0xc3, "{text}");
        let mut value = less.clone();
        for byte in value.iter_mut().rev() {
            *byte = byte.wrapping_sub(1);
            if *byte != 0xff {
                break;
            }
        }
        let zeros = value.iter().take_while(|byte| **byte == 0).count();
        assert!(below.ends_with(&value[zeros..]), "{text}");
    }
    assert_eq!(read("-18446744073709551616").map(|cbor| hex(&cbor)).as_deref(), Ok("3bffffffffffffffff"));
}

#[test]
fn heads_of_every_length_are_put_in_where_the_text_ends() {
    for entries in [0, 1, 23, 24, 255, 256, 300] {
        let items = vec!["[0, <<1>>]"; entries].join(", ");
        let inner = format!("<<{items}>>");
        let cbor = read(&format!("[{inner}, {{1: [{items}]}}]")).unwrap();
        let text = written(&cbor, Options { keys: None, ..Options::default() }).unwrap();
        let content = hex(&read(&items).unwrap_or_default());
        let shown = vec!["[0, h'01']"; entries].join(", ");
        assert_eq!(text, format!("[h'{content}', {{1: [{shown}]}}]"), "{entries}");
    }
}

#[test]
fn every_cut_of_a_text_is_refused_and_none_is_beyond_it() {
    let text = "{_ / n / 1_0: [h'00ff', b64'AQ==', 2(\"\\u00fc\"_0)], (_ 'a', 'b'): <<-1.5e3_3, NaN>>}";
    assert!(read(text).is_ok());
    for len in 1..text.len() {
        let error = read(&text[..len]).expect_err(&text[..len]);
        assert!(error.offset <= len, "{error}");
    }
}

#[test]
fn every_cut_of_cbor_is_refused_where_it_ends() {
    let cbor = read("{_ 1_0: [h'00ff', 1_2(\"ü\"_0), simple(99)], (_ 'a', 'b'): [_ -1.5_3, 9999]}").unwrap();
    for len in 0..cbor.len() {
        let expected = Err(Error { kind: ErrorKind::UnexpectedEnd, offset: len });
        assert_eq!(written(&cbor[..len], Options::default()), expected, "{len}");
    }
    let trailing = [cbor.as_slice(), b"\x00"].concat();
    let expected = Err(Error { kind: ErrorKind::TrailingData, offset: cbor.len() });
    assert_eq!(written(&trailing, Options::default()), expected);
}

#[test]
fn each_limit_holds_both_ways() {
    let limits = Limits { max_input: 10, max_output: 100, max_depth: 2, ..LIMITS };
    let options = Options { limits, ..Options::default() };
    let refused = |cbor: &[u8]| written(cbor, options).map_err(|error| (error.kind, error.offset));
    assert_eq!(refused(&[0; 11]), Err((ErrorKind::InputTooLarge, 10)));
    assert_eq!(refused(b"\x81\x81\x00"), Ok("[[0]]".to_owned()));
    assert_eq!(refused(b"\x81\x81\x80"), Err((ErrorKind::TooDeep, 2)));
    assert_eq!(refused(b"\xc1\xc1\xc1\x00"), Err((ErrorKind::TooDeep, 2)));
    let output = |max_output| Options { limits: Limits { max_output, ..LIMITS }, ..Options::default() };
    for cbor in [b"\x82\x00\x58\x40".iter().copied().chain([7; 64]).collect::<Vec<_>>(), vec![0x9f; 500]] {
        let error = written(&cbor, output(150)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::OutputTooLarge, "{error}");
        let mut text = Vec::new();
        let _refused = from_cbor(&cbor, output(150), &mut text);
        assert!(text.len() <= 150, "{}", text.len());
    }

    let refused = |text: &str| {
        to_cbor(text.as_bytes(), &limits).map_err(|error| match error.mistake {
            Mistake::Common(kind) => (kind, error.offset),
            mistake => panic!("{mistake:?}"),
        })
    };
    assert_eq!(refused("[0,1,2,3,4]"), Err((ErrorKind::InputTooLarge, 10)));
    assert_eq!(refused("[[0]]"), Ok(b"\x81\x81\x00".to_vec()));
    assert_eq!(refused("[[[]]]"), Err((ErrorKind::TooDeep, 3)));
    assert_eq!(refused("1(1(1(2)))"), Err((ErrorKind::TooDeep, 6)));
    let small = Limits { max_output: 4, ..LIMITS };
    assert_eq!(to_cbor(b"[1,2,3]", &small), Ok(b"\x83\x01\x02\x03".to_vec()));
    let error = to_cbor(b"[1,2,3,4]", &small).unwrap_err();
    assert_eq!(error.mistake, Mistake::Common(ErrorKind::OutputTooLarge));
}

#[test]
fn the_default_depth_is_read_and_one_more_is_not() {
    for (depth, fits) in [(LIMITS.max_depth, true), (LIMITS.max_depth + 1, false)] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read(&text).is_ok(), fits, "{depth}");
        let cbor = [vec![0x81; depth - 1], vec![0x80]].concat();
        let too_deep = Err(Error { kind: ErrorKind::TooDeep, offset: LIMITS.max_depth });
        assert_eq!(written(&cbor, Options::default()), if fits { Ok(text) } else { too_deep });
    }
}

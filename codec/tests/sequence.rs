//! Sequences: where items and texts end, however the bytes are cut.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use lowband_codec::annotate::{Annotated, Options, Role};
use lowband_codec::sequence::{CborItems, JsonTexts, Step, items};
use lowband_codec::{Error, ErrorKind};
use proptest::prelude::*;
use std::ops::Range;

/// Depth that no input of these tests reaches.
const DEEP: usize = 1 << 16;

type Found = (Vec<Range<usize>>, Option<Error>);

fn whole(cbor: &[u8]) -> Found {
    let (mut ranges, mut error) = (Vec::new(), None);
    for item in items(cbor, DEEP) {
        match item {
            Ok(range) => ranges.push(range),
            Err(found) => error = Some(found),
        }
    }
    (ranges, error)
}

fn in_pieces(cbor: &[u8], size: usize) -> Found {
    let (mut search, mut ranges, mut start) = (CborItems::new(DEEP), Vec::new(), 0);
    for mut piece in cbor.chunks(size) {
        while !piece.is_empty() {
            match search.push(piece) {
                Err(error) => return (ranges, Some(error)),
                Ok(step) => {
                    assert_eq!(step.skipped, 0);
                    assert!(step.ended || step.taken == piece.len());
                    assert_eq!(search.is_inside(), !step.ended);
                    piece = &piece[step.taken..];
                    if step.ended {
                        ranges.push(start..search.offset());
                        start = search.offset();
                    }
                }
            }
        }
    }
    let cut = Error { kind: ErrorKind::UnexpectedEnd, offset: cbor.len() };
    (ranges, search.is_inside().then_some(cut))
}

fn as_the_annotator(cbor: &[u8]) {
    let annotated = Annotated::new(cbor, Options { sequence: true, keys: None, ..Options::default() });
    let whole_items = annotated.items().iter().filter(|item| item.role == Role::Whole && !item.cut);
    // What ends with the mistake is not an item.
    let expected: Vec<_> = whole_items.map(|item| item.bytes()).collect();
    let (ranges, error) = whole(cbor);
    assert_eq!((ranges, error), (expected, annotated.error()), "{cbor:02x?}");
}

#[test]
fn the_examples_of_rfc_8742_and_sequences_of_one_and_of_none() {
    for (cbor, expected) in [
        (b"".as_slice(), vec![]),
        (b"\x01\x02\x03", vec![0..1, 1..2, 2..3]),
        // Section 4.1: a sequence of two items, an array and a text.
        (b"\x82\x01\x02\x63abc", vec![0..3, 3..7]),
        (b"\x9f\x01\xff\xbf\x01\x02\xff\x5f\x41\x00\xff", vec![0..3, 3..7, 7..11]),
        // A tag belongs to its content, also one in front of each item (RFC 9277).
        (b"\xd9\xd9\xf7\x01\xc1\xc1\x80", vec![0..4, 4..7]),
        (b"\x40\x60\x80\xa0", vec![0..1, 1..2, 2..3, 3..4]),
    ] {
        assert_eq!(whole(cbor), (expected, None), "{cbor:02x?}");
        as_the_annotator(cbor);
    }
}

#[test]
fn what_is_not_well_formed_ends_the_sequence_at_its_byte() {
    for (cbor, kind, offset) in [
        (b"\x01\x1c".as_slice(), ErrorKind::InvalidHead, 1),
        (b"\x01\xff", ErrorKind::UnexpectedBreak, 1),
        (b"\xbf\x01\xff", ErrorKind::UnexpectedBreak, 2),
        (b"\x81\xff", ErrorKind::UnexpectedBreak, 1),
        (b"\x9f\xc1\xff", ErrorKind::UnexpectedBreak, 2),
        (b"\x7f\x41a\xff", ErrorKind::InvalidChunk, 1),
        (b"\x7f\x7f\xff\xff", ErrorKind::InvalidChunk, 1),
        (b"\x5f\x00", ErrorKind::InvalidChunk, 1),
        (b"\xf8\x18", ErrorKind::InvalidHead, 0),
        (b"\x1f", ErrorKind::InvalidHead, 0),
        (b"\xdf", ErrorKind::InvalidHead, 0),
        (b"\x01\x82\x01", ErrorKind::UnexpectedEnd, 3),
        (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x00", ErrorKind::UnexpectedEnd, 10),
        (b"\x19\x01", ErrorKind::UnexpectedEnd, 2),
        (b"\xc1", ErrorKind::UnexpectedEnd, 1),
    ] {
        assert_eq!(whole(cbor).1, Some(Error { kind, offset }), "{cbor:02x?}");
        as_the_annotator(cbor);
    }
}

#[test]
fn the_depth_has_a_limit_and_tags_cost_nothing() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert!(items(&nested(3), 3).all(|item| item.is_ok()));
    let refused = items(&nested(4), 3).next();
    assert_eq!(refused, Some(Err(Error { kind: ErrorKind::TooDeep, offset: 3 })));
    let tags = [vec![0xc1; 1000], vec![0x80]].concat();
    assert_eq!(items(&tags, 0).next(), Some(Ok(0..1001)));
}

#[test]
fn every_cut_of_a_sequence_is_found_inside_an_item_or_between_two() {
    let cbor = b"\x9f\x19\x01\x00\xff\xa1\x61a\xc1\x42\x01\x02\xf9\x3c\x00";
    let (all, _) = whole(cbor);
    for len in 0..=cbor.len() {
        let (ranges, error) = whole(&cbor[..len]);
        let expected: Vec<_> = all.iter().filter(|range| range.end <= len).cloned().collect();
        let between = len == expected.last().map_or(0, |range| range.end);
        assert_eq!(error.map(|error| error.offset), (!between).then_some(len));
        assert_eq!(ranges, expected);
    }
}

fn texts(json: &str, size: usize) -> Vec<String> {
    let (mut search, mut texts, mut text) = (JsonTexts::new(), Vec::new(), Vec::new());
    for mut piece in json.as_bytes().chunks(size) {
        while !piece.is_empty() {
            let Step { skipped, taken, ended } = search.push(piece);
            assert!(ended || skipped + taken == piece.len());
            text.extend(&piece[skipped..skipped + taken]);
            piece = &piece[skipped + taken..];
            if ended {
                texts.push(String::from_utf8(std::mem::take(&mut text)).unwrap());
            }
        }
    }
    assert_eq!(search.is_inside(), !text.is_empty());
    if search.is_inside() {
        texts.push(String::from_utf8(text).unwrap());
    }
    texts
}

#[test]
fn texts_end_where_their_brackets_and_quotes_do_and_words_at_white_space() {
    for (json, expected) in [
        ("", &[][..]),
        (" \n\t\r", &[]),
        ("{}", &["{}"]),
        ("{\"a\":1}\n{\"a\":2}\n", &["{\"a\":1}", "{\"a\":2}"]),
        ("[1,\n2]{}[]", &["[1,\n2]", "{}", "[]"]),
        ("1 2\ttrue\r\nnull", &["1", "2", "true", "null"]),
        ("\"a\"\"]\"", &["\"a\"", "\"]\""]),
        (r#"{"\\":"\"}{"} "\\" "#, &[r#"{"\\":"\"}{"}"#, r#""\\""#]),
        ("\u{feff}[1] 2", &["\u{feff}[1]", "2"]),
        ("[\"\u{fc}\u{2028}\"]1", &["[\"\u{fc}\u{2028}\"]", "1"]),
        // What is not JSON goes to the encoder, which says so.
        ("{} } ]\n,{}", &["{}", "}", "]", ",{}"]),
        ("{\"a\":1}x", &["{\"a\":1}", "x"]),
        ("[1", &["[1"]),
        ("\"a", &["\"a"]),
    ] {
        for size in [1, 2, 3, 1000] {
            assert_eq!(texts(json, size), expected, "{json}, {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_items_as_the_annotator_reads_them(cbor in prop::collection::vec(any::<u8>(), 0..60), size in 1..9_usize) {
        as_the_annotator(&cbor);
        prop_assert_eq!(in_pieces(&cbor, size), whole(&cbor));
    }

    #[test]
    fn json_texts_come_out_one_by_one(
        values in prop::collection::vec("[0-9]{1,3}|\"[a\\]} ]{0,4}\"|\\[(\\{\"a\":\\[\\]\\},)?1\\]", 0..6),
        size in 1..9_usize,
    ) {
        prop_assert_eq!(texts(&values.join("\n"), size), values);
    }
}

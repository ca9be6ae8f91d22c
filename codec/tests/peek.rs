//! Reading one value of a map without decoding the rest.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use lowband_codec::{ErrorKind, KeyTable, json_to_cbor, peek};
use std::borrow::Cow;

fn v1() -> Option<&'static KeyTable> {
    Some(KeyTable::v1())
}

#[test]
fn a_text_is_found_behind_every_kind_of_value() {
    let json = br#"{"a":[1,[2,{"next_batch":"no"}],-3,1.5,"x"],"rooms":{"next_batch":"no"},"b":null,"c":{},"next_batch":"s1"}"#;
    let cbor = json_to_cbor(json).unwrap();
    assert_eq!(peek::text(&cbor, "next_batch", v1()), Ok(Some(Cow::Borrowed("s1"))));
    assert_eq!(peek::text(&cbor, "next_batch", None), Ok(None), "its key is an integer");
    assert_eq!(peek::text(&cbor, "rooms", v1()), Ok(None), "no text");
    assert_eq!(peek::text(&cbor, "pos", v1()), Ok(None));
}

#[test]
fn a_text_key_holds_over_its_integer_in_either_order() {
    for cbor in
        [&b"\xa2\x02\x61i\x64type\x61t"[..], b"\xa2\x64type\x61t\x02\x61i", b"\xbf\x02\x61i\x64type\x61t\xff"]
    {
        assert_eq!(peek::text(cbor, "type", v1()), Ok(Some(Cow::Borrowed("t"))));
    }
    assert_eq!(
        peek::text(b"\xa2\x02\x61i\x64type\x00", "type", v1()),
        Ok(None),
        "the text key's value is no text"
    );
}

#[test]
fn texts_and_keys_of_indefinite_length_are_put_together() {
    let cbor = b"\xbf\x7f\x62ty\x62pe\xff\x7f\x61a\x60\x62bc\xff\xff";
    assert_eq!(peek::text(cbor, "type", v1()), Ok(Some(Cow::Owned("abc".into()))));
}

#[test]
fn what_json_has_no_form_for_is_passed_over() {
    let cbor = b"\xa7\x40\x00\x00\x41x\x01\xc1\x00\x02\x5f\x41x\xff\x03\xf7\x81\x00\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00\x63pos\x61p";
    assert_eq!(peek::text(cbor, "pos", v1()).map(|text| text.map(Cow::into_owned)), Ok(Some("p".into())));
}

#[test]
fn an_item_that_is_no_map_has_no_keys() {
    for cbor in [&b"\x80"[..], b"\x00", b"\x63pos", b"\xa0", b"\xbf\xff", b"\xd9\xd9\xf7\xa0"] {
        assert_eq!(peek::text(cbor, "pos", v1()), Ok(None));
        assert_eq!(peek::unsigned(cbor, "pos", v1()), Ok(None));
        assert_eq!(peek::uses_integer_keys(cbor), Ok(false));
    }
    assert_eq!(peek::text(b"\xd9\xd9\xf7\xa1\x63pos\x61p", "pos", v1()), Ok(Some(Cow::Borrowed("p"))));
}

#[test]
fn whole_numbers_are_taken_in_every_form() {
    for (value, expected) in [
        (&b"\x00"[..], Some(0)),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX)),
        (b"\xf9\x77\x53", Some(30_000)),
        (b"\xf9\x80\x00", Some(0)),
        (b"\xfb\x42\x78\xbc\xfe\x56\x80\x00\x00", Some(1_700_000_000_000)),
        (b"\x20", None),
        (b"\xf9\xbc\x00", None),
        (b"\xf9\x3e\x00", None),
        (b"\xf9\x7e\x00", None),
        (b"\xf9\x7c\x00", None),
        (b"\x611", None),
        (b"\xf6", None),
    ] {
        let cbor = [b"\xa1\x6eretry_after_ms", value].concat();
        assert_eq!(peek::unsigned(&cbor, "retry_after_ms", v1()), Ok(expected), "{value:02x?}");
    }
}

#[test]
fn integer_keys_are_seen_at_any_depth_but_not_among_values() {
    for (cbor, expected) in [
        (&b"\xa1\x02\x00"[..], true),
        (b"\x81\xa1\x61a\xa1\x02\x00", true),
        (b"\xa1\x61a\x9f\xbf\x61b\x00\x02\x00\xff\xff", true),
        (b"\xa1\x61a\x02", false),
        (b"\xa2\x61a\x02\x61b\x82\x02\x03", false),
        (b"\xbf\x61a\x02\x61b\xbf\xff\xff", false),
        (b"\xa1\x612\x02", false),
    ] {
        assert_eq!(peek::uses_integer_keys(cbor), Ok(expected), "{cbor:02x?}");
    }
}

#[test]
fn every_cut_before_the_value_is_an_error_with_its_offset() {
    let cbor = json_to_cbor(br#"{"a":[1,{"b":[]},"xyz",1.1],"body":"text"}"#).unwrap();
    for len in 0..cbor.len() {
        let error = peek::text(&cbor[..len], "body", v1()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::UnexpectedEnd, len));
    }
    assert_eq!(peek::text(b"\xa1\x00\xff", "body", v1()).unwrap_err().kind, ErrorKind::UnexpectedBreak);
    assert_eq!(peek::text(b"\xa1\x63pos\x61\xff", "pos", v1()).unwrap_err().kind, ErrorKind::InvalidUtf8);
    assert_eq!(peek::text(b"\xa2\x61a\x1c", "pos", v1()).unwrap_err().kind, ErrorKind::InvalidHead);
    assert_eq!(peek::text(b"\xa2\x61a\x7f\x00\xff", "pos", v1()).unwrap_err().kind, ErrorKind::InvalidChunk);
}

#[test]
fn nesting_beyond_the_limit_is_an_error() {
    let nested = |depth: usize| [b"\xa1\x61a".to_vec(), vec![0x81; depth], vec![0]].concat();
    assert_eq!(peek::text(&nested(127), "pos", v1()), Ok(None));
    for depth in [128, 100_000] {
        let error = peek::text(&nested(depth), "pos", v1()).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::TooDeep, 3 + 127));
        let error = peek::uses_integer_keys(&nested(depth)).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::TooDeep, 3 + 127));
    }
    assert_eq!(peek::uses_integer_keys(&nested(127)), Ok(false));
}

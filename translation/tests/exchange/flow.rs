//! Answers longer than those that are held: they flow, chunk by chunk.

use crate::host::{Fate, Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::{cbor_to_json, json_to_cbor};
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Direction;
use lowband_translation::step::Then;

const HELD: usize = 100;

fn exchange() -> Exchange {
    let mut exchange = Exchange::new(Config { hold_response_bytes: HELD, ..Config::default() });
    pass(&mut exchange, &REQUEST, &get(&[("accept", CBOR)])).sent();
    exchange
}

/// Makes `["xxx...", 1.5, null]` of this many bytes.
fn document(size: usize) -> Vec<u8> {
    let json = format!("[\"{}\",1.5,null]", "x".repeat(size - 13));
    assert_eq!(json.len(), size);
    json.into_bytes()
}

fn in_pieces(json: &[u8], size: usize) -> Message {
    Message {
        pieces: json.chunks(size).map(<[u8]>::to_vec).collect(),
        ..ok(&[("content-type", JSON), ("etag", "\"1\""), ("content-length", "9999")], b"")
    }
}

#[test]
fn an_answer_at_the_limit_is_held_and_has_a_length_and_a_longer_one_has_none() {
    for (size, flows) in [(HELD - 1, false), (HELD, false), (HELD + 1, true), (2000, true)] {
        let json = document(size);
        for announced in [false, true] {
            let mut message = Message { late_end: true, ..in_pieces(&json, 10) };
            message.fields.pop();
            if announced {
                message.fields.push((b"content-length".to_vec(), size.to_string().into_bytes()));
            }
            let (fields, cbor) = pass(&mut exchange(), &RESPONSE, &message).sent();
            assert_eq!(cbor_to_json(&cbor).unwrap(), json);
            assert_eq!(value(&fields, "content-type").as_deref(), Some(CBOR));
            assert_eq!(value(&fields, "etag").as_deref(), Some("\"1\""));
            assert_eq!(value(&fields, "content-length"), (!flows).then(|| cbor.len().to_string()), "{size}");
            // Definite lengths are used if the whole answer is there before anything leaves (RFC 8949 section
            // 3.2.2).
            assert_eq!(cbor[0], if flows { 0x9f } else { 0x83 });
        }
    }
}

#[test]
fn an_answer_that_has_come_as_a_whole_is_translated_as_a_whole() {
    let json = document(5000);
    let (fields, cbor) = pass(&mut exchange(), &RESPONSE, &ok(&[("content-type", JSON)], &json)).sent();
    assert_eq!(cbor, json_to_cbor(&json).unwrap());
    assert_eq!(value(&fields, "content-length"), Some(cbor.len().to_string()));
}

#[test]
fn where_a_longer_one_is_announced_nothing_waits() {
    let mut exchange = exchange();
    let answer = ok(&[("content-type", JSON), ("content-length", "101")], b"");
    assert_eq!(exchange.response_headers(&headers(&answer), false).then, Then::Hold);
    assert_eq!(exchange.response_body(0, false).then, Then::Hold);
    assert_eq!(exchange.response_body(2, false).then, Then::Take);
    assert_eq!(exchange.response_taken(b"[1").then, Then::Replace(vec![0x9f]));
}

#[test]
fn broken_json_is_told_as_long_as_nothing_has_left_and_then_cuts() {
    let broken = [b"[1,".as_slice(), &document(300), b",}]"].concat();
    // The whole answer comes within the first chunk that no longer waits.
    let mut exchange_2 = exchange();
    exchange_2.response_headers(&headers(&in_pieces(&broken, 1)), false);
    assert_eq!(exchange_2.response_body(broken.len(), false).then, Then::Take);
    let Then::Reply(reply) = exchange_2.response_taken(&broken).then else { panic!("no reply") };
    assert_eq!(errcode(&reply), (502, "M_UNKNOWN".to_owned()));

    let (fields, sent) = pass(&mut exchange(), &RESPONSE, &in_pieces(&broken, 50)).cut();
    assert_eq!(value(&fields, "content-type").as_deref(), Some(CBOR));
    assert!(cbor_to_json(&sent).is_err(), "a cut answer must not look like a whole one");
}

#[test]
fn nothing_more_leaves_after_a_cut() {
    let mut exchange = exchange();
    exchange.response_headers(&headers(&in_pieces(b"", 1)), false);
    exchange.response_body(150, false);
    exchange.response_taken(&document(150)[..149]);
    exchange.response_body(1, false);
    assert_eq!(exchange.response_taken(b"}").then, Then::Cut);
    assert_eq!(exchange.response_body(1, true).then, Then::Hold);
    assert_eq!(exchange.response_taken(b"]").then, Then::Hold);
    assert_eq!(exchange.response_trailers().then, Then::Hold);
}

#[test]
fn an_answer_that_ends_before_its_last_bracket_is_cut_at_every_byte() {
    let json = document(300);
    for cut in HELD + 1..json.len() {
        for trailers in [false, true] {
            let message = Message { trailers, late_end: true, ..in_pieces(&json[..cut], 40) };
            let (_, sent) = pass(&mut exchange(), &RESPONSE, &message).cut();
            assert!(cbor_to_json(&sent).is_err(), "{cut}");
        }
    }
}

#[test]
fn all_bytes_have_left_before_the_trailers() {
    let json = document(300);
    for (size, late_end) in [(1, false), (7, true), (300, false), (300, true)] {
        let message = Message { trailers: true, late_end, ..in_pieces(&json, size) };
        let (fields, cbor) = pass(&mut exchange(), &RESPONSE, &message).sent();
        assert_eq!(cbor_to_json(&cbor).unwrap(), json);
        assert_eq!(value(&fields, "content-length"), None);
    }
}

#[test]
fn bytes_after_the_document_are_no_part_of_it() {
    let json = [&document(300)[..], b"\r\n \t"].concat();
    let cbor = pass(&mut exchange(), &RESPONSE, &in_pieces(&json, 9)).sent().1;
    assert_eq!(cbor_to_json(&cbor).unwrap(), document(300));
    let more = [&document(300)[..], b" 1"].concat();
    pass(&mut exchange(), &RESPONSE, &in_pieces(&more, 9)).cut();
}

#[test]
fn what_is_odd_is_repaired_while_it_flows() {
    let json = [b"{\"a\":1e400,".as_slice(), b"\"b\":", &document(300), b"}"].concat();
    let cbor = pass(&mut exchange(), &RESPONSE, &in_pieces(&json, 33)).sent().1;
    let json = String::from_utf8(cbor_to_json(&cbor).unwrap()).unwrap();
    assert!(json.starts_with("{\"a\":null,\"b\":["), "{json}");
}

#[test]
fn the_host_that_refuses_the_first_chunk_still_has_the_headers() {
    let mut exchange = exchange();
    exchange.response_headers(&headers(&in_pieces(b"", 1)), false);
    exchange.response_body(150, false);
    assert!(matches!(exchange.response_taken(&document(150)[..149]).then, Then::Replace(_)));
    let Then::Reply(reply) = exchange.host_refused(Direction::Response).then else { panic!("no reply") };
    assert_eq!(errcode(&reply), (500, "M_UNKNOWN".to_owned()));
}

#[test]
fn the_host_that_refuses_a_chunk_ends_the_stream() {
    let mut exchange = exchange();
    exchange.response_headers(&headers(&in_pieces(b"", 1)), false);
    exchange.response_body(150, false);
    exchange.response_taken(&document(150)[..148]);
    exchange.response_body(1, false);
    exchange.response_taken(b"l");
    assert_eq!(exchange.host_refused(Direction::Response).then, Then::Cut);
    assert_eq!(exchange.response_body(1, true).then, Then::Hold);
}

proptest::proptest! {
    #[test]
    fn the_cut_of_a_long_answer_changes_nothing(
        cuts in proptest::collection::vec(0..400usize, 0..12),
        late_end: bool,
        trailers: bool,
    ) {
        let json = document(400);
        let mut cuts = cuts;
        cuts.extend([0, json.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| json[pair[0]..pair[1]].to_vec()).collect();
        let message = Message { pieces, late_end, trailers, ..in_pieces(b"", 1) };
        match pass(&mut exchange(), &RESPONSE, &message) {
            Fate::Sent(_, cbor) => proptest::prop_assert_eq!(cbor_to_json(&cbor).unwrap(), json),
            other => proptest::prop_assert!(false, "{other:?}"),
        }
    }
}

#[test]
fn what_flows_can_be_read_whatever_was_odd_in_it() {
    let pad = "x".repeat(3 * HELD);
    for (json, expected) in [
        (format!(r#"{{"a":1,"a":2,"pad":"{pad}"}}"#), format!(r#"{{"a":1,"pad":"{pad}"}}"#)),
        (format!(r#"{{"pad":"{pad}","type":1,"type":2}}"#), format!(r#"{{"pad":"{pad}","type":1}}"#)),
        (format!("\u{feff}[\"{pad}\"]"), format!("[\"{pad}\"]")),
        (
            format!("[\"{pad}\",{}{}]", "[".repeat(200), "]".repeat(200)),
            format!("[\"{pad}\",{}null{}]", "[".repeat(31), "]".repeat(31)),
        ),
    ] {
        let (_, cbor) = pass(&mut exchange(), &RESPONSE, &in_pieces(json.as_bytes(), 50)).sent();
        assert_eq!(String::from_utf8(cbor_to_json(&cbor).unwrap()).unwrap(), expected);
    }
}

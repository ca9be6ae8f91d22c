//! Each limit, at its boundary.

use crate::host::{Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::cbor_to_json;
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Metric::Repaired;
use lowband_translation::metrics::Repair;
use lowband_translation::step::Then;

/// Makes a text of this many bytes as CBOR, head included.
fn cbor_text(size: usize) -> Vec<u8> {
    [&[0x79][..], &u16::try_from(size - 3).unwrap().to_be_bytes(), &vec![b'x'; size - 3]].concat()
}

#[test]
fn a_request_at_the_limit_passes_and_one_byte_above_it_is_too_large() {
    let config = Config { max_request_bytes: 1000, ..Config::default() };
    let request = |size: usize, told: bool| {
        let body = cbor_text(size);
        let length = body.len().to_string();
        let mut request = post(&[("content-type", CBOR)], &body);
        request.fields.extend(told.then(|| (b"content-length".to_vec(), length.into_bytes())));
        pass(&mut Exchange::new(config.clone()), &REQUEST, &request)
    };
    for told in [false, true] {
        // The quotes are one byte shorter than the head.
        assert_eq!(request(1000, told).sent().1.len(), 999);
        assert_eq!(errcode(&request(1001, told).replied()), (413, "M_TOO_LARGE".to_owned()));
    }
}

#[test]
fn a_told_length_above_the_limit_is_refused_before_the_body_comes() {
    let limits = Config { max_request_bytes: 10, ..Config::default() };
    for (length, above) in [("10", false), ("11", true), ("18446744073709551615", true)] {
        let mut exchange = Exchange::new(limits.clone());
        let request = post(&[("content-type", CBOR), ("content-length", length)], b"");
        assert_eq!(matches!(exchange.request_headers(&headers(&request), false).then, Then::Reply(_)), above);
    }
}

#[test]
fn a_request_is_refused_at_its_first_byte_too_many() {
    let config = Config { max_request_bytes: 10, ..Config::default() };
    let mut exchange = Exchange::new(config);
    let request = post(&[("content-type", CBOR)], b"");
    exchange.request_headers(&headers(&request), false);
    assert_eq!(exchange.request_body(10, false).then, Then::Hold);
    assert!(matches!(exchange.request_body(11, false).then, Then::Reply(_)));
}

#[test]
fn json_that_outgrows_the_request_limit_is_too_large() {
    // Six bytes of JSON for each control character.
    let config = Config { max_request_bytes: 602, ..Config::default() };
    let body = |characters: u8| [&[0x78, characters][..], &vec![1; usize::from(characters)]].concat();
    let request = |body: &[u8]| {
        pass(&mut Exchange::new(config.clone()), &REQUEST, &post(&[("content-type", CBOR)], body))
    };
    assert_eq!(request(&body(100)).sent().1.len(), 602);
    assert_eq!(errcode(&request(&body(101)).replied()), (413, "M_TOO_LARGE".to_owned()));
}

#[test]
fn nesting_at_the_limit_passes_and_one_more_is_refused() {
    let config = Config { max_depth: 5, ..Config::default() };
    let request = |depth: usize| {
        let body = [vec![0x81; depth], vec![0]].concat();
        pass(&mut Exchange::new(config.clone()), &REQUEST, &post(&[("content-type", CBOR)], &body))
    };
    assert_eq!(request(5).sent().1, b"[[[[[0]]]]]");
    assert_eq!(errcode(&request(6).replied()), (400, "M_NOT_JSON".to_owned()));
}

#[test]
fn nesting_of_an_answer_at_the_limit_passes_and_what_is_deeper_becomes_null_in_both_ways_of_writing() {
    let nested = |depth: usize, inner: &str| format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth));
    for (limit, config) in [
        (5, Config { max_depth_answers: 5, ..Config::default() }),
        (32, Config::default()),
        (128, Config { max_depth_answers: 128, ..Config::default() }),
    ] {
        for hold_response_bytes in [0, 4096] {
            let config = Config { hold_response_bytes, ..config.clone() };
            let answer = |depth: usize| {
                let mut exchange = Exchange::new(config.clone());
                pass(&mut exchange, &REQUEST, &get(&[("accept", CBOR)]));
                let body = nested(depth, "0").into_bytes();
                let answer = Message {
                    pieces: body.chunks(3).map(<[u8]>::to_vec).collect(),
                    ..ok(&[("content-type", JSON)], b"")
                };
                let (_, cbor) = pass(&mut exchange, &RESPONSE, &answer).sent();
                let repaired = exchange.counted().filter(|(metric, _)| *metric == Repaired(Repair::TooDeep));
                (cbor_to_json(&cbor).unwrap(), repaired.map(|(_, count)| count).sum::<u64>())
            };
            assert_eq!(answer(limit), (nested(limit, "0").into_bytes(), 0));
            assert_eq!(answer(limit + 1), (nested(limit, "null").into_bytes(), 1));
            assert_eq!(answer(1000), (nested(limit, "null").into_bytes(), 1));
        }
    }
}

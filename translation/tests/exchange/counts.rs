//! The counts of a stream.

use crate::host::{Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::json_to_cbor;
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Direction::{Request, Response};
use lowband_translation::metrics::Metric::{self, BodySize, BytesIn, BytesOut, Messages, Refused, Repaired};
use lowband_translation::metrics::{Outcome, Reason, Repair};
use lowband_translation::step::Then;

fn counted(request: &Message, response: Option<&Message>) -> Vec<(Metric, u64)> {
    let mut exchange =
        Exchange::new(Config { hold_response_bytes: 100, max_request_bytes: 500, ..Config::default() });
    pass(&mut exchange, &REQUEST, request);
    if let Some(response) = response {
        pass(&mut exchange, &RESPONSE, response);
    }
    let counted = exchange.counted().collect();
    assert_eq!(exchange.counted().count(), 0, "told twice");
    counted
}

#[test]
fn a_message_is_counted_once_and_a_translated_one_with_its_sizes() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    let (json_size, cbor_size) = (EVENT.len() as u64, cbor.len() as u64);
    assert_eq!(
        counted(&post(&[("content-type", CBOR)], &cbor), Some(&json(EVENT.as_bytes()))),
        [
            (Messages(Request, Outcome::Translated), 1),
            (BytesIn(Request), cbor_size),
            (BytesOut(Request), json_size),
            (BodySize(Request), cbor_size),
            (Messages(Response, Outcome::Translated), 1),
            (BytesIn(Response), json_size),
            (BytesOut(Response), cbor_size),
            (BodySize(Response), json_size),
        ]
    );
    assert_eq!(
        counted(&get(&[]), Some(&json(b"{}"))),
        [(Messages(Request, Outcome::Passed), 1), (Messages(Response, Outcome::Passed), 1)]
    );
}

#[test]
fn a_long_answer_is_counted_when_all_of_it_has_left() {
    let body = format!("[\"{}\"]", "x".repeat(400));
    for trailers in [false, true] {
        let answer = Message {
            pieces: body.as_bytes().chunks(90).map(<[u8]>::to_vec).collect(),
            trailers,
            ..ok(&[("content-type", JSON)], b"")
        };
        assert_eq!(
            counted(&get(&[("accept", CBOR)]), Some(&answer))[1..],
            [
                (Messages(Response, Outcome::Translated), 1),
                (BytesIn(Response), 404),
                // An array of indefinite length: its head, a text with a head of three bytes, the break.
                (BytesOut(Response), 405),
                (BodySize(Response), 404),
            ]
        );
    }
}

#[test]
fn refusals_and_cuts_are_counted_by_their_reason() {
    let request = |pairs: &[(&str, &str)], body: &[u8]| counted(&post(pairs, body), None);
    let refused = |reason| vec![(Messages(Request, Outcome::Refused), 1), (Refused(Request, reason), 1)];
    assert_eq!(request(&[("content-type", CBOR)], b"\xff"), refused(Reason::Malformed));
    assert_eq!(request(&[("content-type", CBOR)], &[0; 501]), refused(Reason::TooLarge));
    assert_eq!(
        request(&[("content-type", CBOR), ("content-encoding", "gzip")], b"\xa0"),
        refused(Reason::Compressed)
    );

    let response = |body: &[u8]| {
        let pieces = body.chunks(60).map(<[u8]>::to_vec).collect();
        let answer = Message { pieces, ..ok(&[("content-type", JSON)], b"") };
        counted(&get(&[("accept", CBOR)]), Some(&answer)).split_off(1)
    };
    let failed = |outcome, reason| vec![(Messages(Response, outcome), 1), (Refused(Response, reason), 1)];
    assert_eq!(response(b"[1"), failed(Outcome::Refused, Reason::Incomplete));
    assert_eq!(response(b"[1}"), failed(Outcome::Refused, Reason::Malformed));
    assert_eq!(response(&[b'['; 200]), failed(Outcome::Cut, Reason::Incomplete));
    assert_eq!(response(&[&[b'['; 150][..], &[b'}'; 20]].concat()), failed(Outcome::Cut, Reason::Malformed));

    let mut exchange = Exchange::new(Config::default());
    exchange.host_refused(Request);
    assert_eq!(exchange.counted().collect::<Vec<_>>(), refused(Reason::Host));
}

#[test]
fn who_has_to_give_way_is_answered_or_cut_and_needs_no_room_any_more() {
    for (form, bytes) in [(CBOR, 7), (JSON, 0)] {
        for (cut, outcome) in [(false, Outcome::Refused), (true, Outcome::Cut)] {
            let mut exchange = Exchange::new(Config::default());
            assert_eq!(exchange.unfinished(0), None);
            exchange.request_headers(&headers(&post(&[("content-type", form)], b"")), false);
            assert_eq!(exchange.unfinished(0), Some(0));
            exchange.request_body(7, false);
            assert_eq!(exchange.unfinished(7), Some(bytes), "what flows is not held");
            let _passed = exchange.counted().count();
            let step = if cut { exchange.cut_for_room() } else { exchange.no_room() };
            match step.then {
                Then::Cut => assert!(cut),
                Then::Reply(reply) => assert!(!cut && reply.status == 503),
                other => panic!("{other:?}"),
            }
            let counted: Vec<_> = exchange.counted().collect();
            assert_eq!(counted, [(Messages(Request, outcome), 1), (Refused(Request, Reason::NoRoom), 1)]);
            assert_eq!(exchange.request_body(8, false).then, Then::Hold);
            assert_eq!(exchange.unfinished(8), None);
        }
    }
}

#[test]
fn a_request_is_unfinished_until_its_last_piece_or_its_trailers() {
    let begun = |end| {
        let mut exchange = Exchange::new(Config::default());
        exchange.request_headers(&headers(&post(&[("content-type", JSON)], b"")), end);
        exchange
    };
    assert_eq!(begun(true).unfinished(0), None);
    let (mut by_body, mut by_trailers) = (begun(false), begun(false));
    by_body.request_body(1, true);
    by_trailers.request_trailers();
    assert_eq!((by_body.unfinished(1), by_trailers.unfinished(0)), (None, None));
}

#[test]
fn repairs_are_counted_by_their_kind() {
    let body = br#"{"a":1e400,"a":100000000000000000000000,"b":"\ud800"}"#;
    let counted = counted(&get(&[("accept", CBOR)]), Some(&json(body)));
    for repair in [Repair::HugeNumber, Repair::BigInteger, Repair::RepeatedKey, Repair::LoneSurrogate] {
        assert!(counted.contains(&(Repaired(repair), 1)), "{repair:?}: {counted:?}");
    }
}

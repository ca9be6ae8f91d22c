//! Any cut, any fields, any order of phases.

use crate::host::{Fate, Fields, Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::{cbor_to_json, json_to_cbor};
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::headers::Headers;
use lowband_translation::metrics::Direction;
use lowband_translation::step::Then;
use proptest::collection::vec;
use proptest::prelude::*;

/// Cuts a body into pieces, empty ones among them.
fn pieces(body: Vec<u8>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(0..=body.len(), 0..6).prop_map(move |mut cuts| {
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([body.len()]);
        ends.scan(0, |at, end| Some(body[std::mem::replace(at, end)..end].to_vec())).collect()
    })
}

const NAMES: [&str; 9] = [
    ":method",
    ":path",
    ":status",
    "content-type",
    "accept",
    "content-length",
    "content-encoding",
    "vary",
    "lowband-cbor-version",
];

fn odd_fields() -> impl Strategy<Value = Fields> {
    let name = prop::sample::select(&NAMES[..]).prop_map(|name| name.as_bytes().to_vec());
    let known = prop::sample::select(
        &[CBOR, JSON, "*/*", "HEAD", "204", "206", "gzip", "0", "1", "99999999999", "/_matrix/media/x"][..],
    );
    let value = prop_oneof![known.prop_map(|value| value.as_bytes().to_vec()), any::<Vec<u8>>()];
    vec((prop_oneof![4 => name, 1 => any::<Vec<u8>>()], value), 0..8)
}

#[derive(Clone, Debug)]
enum Phase {
    Headers(Fields, bool),
    Body(usize, bool),
    Trailers,
    Taken(Vec<u8>),
    Refused,
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        (odd_fields(), any::<bool>()).prop_map(|(fields, end)| Phase::Headers(fields, end)),
        (prop_oneof![0..100usize, Just(usize::MAX)], any::<bool>())
            .prop_map(|(held, end)| Phase::Body(held, end)),
        Just(Phase::Trailers),
        any::<Vec<u8>>().prop_map(Phase::Taken),
        Just(Phase::Refused),
    ]
}

proptest! {
    #[test]
    fn the_cut_of_the_bodies_changes_nothing(
        (request, late_end, trailers) in (pieces(json_to_cbor(EVENT.as_bytes()).unwrap()), any::<bool>(), any::<bool>()),
        (response, late_end_2, trailers_2) in (pieces(EVENT.as_bytes().to_vec()), any::<bool>(), any::<bool>()),
    ) {
        let request = Message { pieces: request, late_end, trailers, ..post(&[("content-type", CBOR)], b"") };
        let response = Message { pieces: response, late_end: late_end_2, trailers: trailers_2, ..json(b"") };
        let (sent, answered) = through(&request, &response);
        let ((sent, body), (answered, answer)) = (sent.sent(), answered.sent());
        prop_assert_eq!(body.as_slice(), EVENT.as_bytes());
        prop_assert_eq!(&answer, &json_to_cbor(EVENT.as_bytes()).unwrap());
        prop_assert_eq!(value(&sent, "content-length"), (!trailers).then(|| body.len().to_string()));
        prop_assert_eq!(value(&answered, "content-length"), (!trailers_2).then(|| answer.len().to_string()));
    }

    #[test]
    fn the_cut_of_a_body_that_passes_changes_nothing(body in any::<Vec<u8>>().prop_flat_map(pieces), late_end: bool, trailers: bool) {
        let message = Message { pieces: body.clone(), late_end, trailers, ..post(&[("content-type", "image/png")], b"") };
        let sent = pass(&mut Exchange::new(Config::default()), &REQUEST, &message);
        prop_assert_eq!(sent, Fate::Sent(message.fields, body.concat()));
    }

    #[test]
    fn any_body_is_sent_as_json_or_refused(body in any::<Vec<u8>>()) {
        match pass(&mut Exchange::new(Config::default()), &REQUEST, &post(&[("content-type", CBOR)], &body)) {
            Fate::Sent(_, json) => prop_assert!(body.is_empty() || serde_json::from_slice::<serde_json::Value>(&json).is_ok()),
            Fate::Replied(reply) => prop_assert_eq!(errcode(&reply), (400, "M_NOT_JSON".to_owned())),
            Fate::Cut(..) => prop_assert!(false, "a request is never cut"),
        }
    }

    #[test]
    fn a_client_of_cbor_never_gets_json_that_was_to_be_translated(body in any::<Vec<u8>>()) {
        match through(&get(&[("accept", CBOR)]), &json(&body)).1 {
            Fate::Sent(fields, cbor) => {
                prop_assert!(body.is_empty() || cbor_to_json(&cbor).is_ok());
                prop_assert!(body.is_empty() || value(&fields, "content-type").as_deref() == Some(CBOR));
            }
            Fate::Replied(reply) => prop_assert_eq!(errcode(&reply).0, 502),
            Fate::Cut(..) => prop_assert!(false, "a short answer is never cut"),
        }
    }

    #[test]
    fn whole_messages_with_any_fields_are_sent_or_answered(
        (request, response) in (odd_fields(), odd_fields()),
        (body, answer) in (vec(any::<Vec<u8>>(), 0..3), vec(any::<Vec<u8>>(), 0..3)),
        (late_end, trailers, trusted) in any::<(bool, bool, bool)>(),
    ) {
        let mut exchange = Exchange::new(Config { trusted, ..Config::default() });
        let request = Message { fields: request, pieces: body, late_end, trailers };
        if let Fate::Sent(fields, _) = pass(&mut exchange, &REQUEST, &request) {
            prop_assert!(!fields.iter().any(|(name, _)| name.starts_with(b"lowband-")));
        }
        pass(&mut exchange, &RESPONSE, &Message { fields: response, pieces: answer, late_end, trailers });
    }

    #[test]
    fn phases_in_any_order_end_nothing(phases in vec((any::<bool>(), phase()), 0..12), trusted: bool) {
        let mut exchange = Exchange::new(Config { trusted, ..Config::default() });
        let mut refused = false;
        for (request, phase) in phases {
            let step = match phase {
                Phase::Headers(fields, end) => {
                    let headers = Headers::new(fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect());
                    if request { exchange.request_headers(&headers, end) } else { exchange.response_headers(&headers, end) }
                }
                Phase::Body(held, end) if request => exchange.request_body(held, end),
                Phase::Body(held, end) => exchange.response_body(held, end),
                Phase::Trailers if request => exchange.request_trailers(),
                Phase::Trailers => exchange.response_trailers(),
                Phase::Taken(body) if request => exchange.request_taken(&body),
                Phase::Taken(body) => exchange.response_taken(&body),
                Phase::Refused if request => exchange.host_refused(Direction::Request),
                Phase::Refused => exchange.host_refused(Direction::Response),
            };
            exchange.counted().for_each(drop);
            refused |= matches!(step.then, Then::Reply(_));
        }
        // After an answer, no more of the request may go on.
        prop_assert!(!refused || exchange.request_body(1, true).then == Then::Hold);
    }
}

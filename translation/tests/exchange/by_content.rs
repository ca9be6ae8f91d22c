//! Discovery documents with a wrong type, and those in which nothing can be exchanged.

use crate::host::{Fate, Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::cbor_to_json;
use lowband_translation::config::{Advertise, Config};
use lowband_translation::discovery::Document::{self, Session, Versions, WellKnown};
use lowband_translation::discovery::Miss;
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Metric;

const WELL_KNOWN: &str = "/.well-known/matrix/client";
const DOCUMENT: &str = r#"{"m.homeserver":{"base_url":"https://hs"}}"#;
const EXCHANGED: &str = r#"{"m.homeserver":{"base_url":"https://lb.example.org"}}"#;
const HELD: usize = 200;

fn config(hold_headers: bool) -> Config {
    let base_url = Some("https://lb.example.org".to_owned());
    let advertise = Advertise { dtls_port: Some(18008), base_url, ..Advertise::default() };
    Config { advertise, hold_headers, hold_response_bytes: HELD, ..Config::default() }
}

/// Makes a stream whose client has sent this request.
fn asked(hold_headers: bool, method: &str, path: &str, accept: &str) -> Exchange {
    let mut exchange = Exchange::new(config(hold_headers));
    let mut request = get(&[("accept", accept)]);
    request.fields[0].1 = method.into();
    request.fields[1].1 = path.into();
    pass(&mut exchange, &REQUEST, &request).sent();
    exchange.counted().for_each(drop);
    exchange
}

/// Returns the message whole, in pieces, and with trailers.
fn ways(message: Message) -> [Message; 3] {
    let body = message.pieces.concat();
    let pieces = body.chunks(7).map(<[u8]>::to_vec).collect();
    let trailers = Message { trailers: true, ..message.clone() };
    [message.clone(), Message { pieces, late_end: true, ..message }, trailers]
}

fn labelled(label: Option<&str>, body: &[u8]) -> Message {
    ok(&label.map(|label| ("content-type", label)).into_iter().collect::<Vec<_>>(), body)
}

/// Makes an answer longer than those that wait, whose end is not known when it comes.
fn long(answer: Message) -> Message {
    Message { pieces: vec![format!("{DOCUMENT}{}", " ".repeat(HELD)).into_bytes(), b" ".to_vec()], ..answer }
}

fn missed(exchange: &mut Exchange) -> Vec<(Document, Miss)> {
    exchange
        .counted()
        .filter_map(|(metric, count)| match metric {
            Metric::Unadvertised(document, miss) => {
                assert_eq!(count, 1);
                Some((document, miss))
            }
            _ => None,
        })
        .collect()
}

const OF_FILES: [Option<&str>; 6] = [
    None,
    Some("application/octet-stream"),
    Some("binary/octet-stream"),
    Some("text/plain; charset=utf-8"),
    Some("Text/Plain"),
    Some("text/json"),
];

#[test]
fn a_document_is_json_by_its_content_and_leaves_as_what_it_is() {
    let html = [Some("text/html; charset=UTF-8"), Some("application/x-unknown"), Some("image/png")];
    let waiting = OF_FILES.iter().chain(&html).map(|label| (true, *label));
    for (hold_headers, label) in waiting.chain(OF_FILES.map(|label| (false, label))) {
        for mark in ["", "\u{feff}"] {
            for accept in [JSON, CBOR] {
                for answer in ways(labelled(label, [mark, DOCUMENT].concat().as_bytes())) {
                    let mut exchange = asked(hold_headers, "GET", WELL_KNOWN, accept);
                    let (fields, body) = pass(&mut exchange, &RESPONSE, &answer).sent();
                    assert_eq!(value(&fields, "content-type").as_deref(), Some(accept), "{label:?}");
                    assert_eq!(value(&fields, "vary").as_deref(), Some("Accept"));
                    let length = Some(body.len().to_string()).filter(|_| hold_headers && !answer.trailers);
                    assert_eq!(value(&fields, "content-length"), length);
                    let json = if accept == CBOR { cbor_to_json(&body).unwrap() } else { body };
                    assert_eq!(String::from_utf8(json).unwrap(), EXCHANGED, "{label:?}");
                    assert_eq!(missed(&mut exchange), []);
                }
            }
        }
    }
}

#[test]
fn a_document_without_anything_to_exchange_gets_its_name_and_keeps_its_bytes() {
    let body = r#"{ "user_id" : "@a:b" }"#;
    let login = "/_matrix/client/v3/login";
    for answer in ways(labelled(Some("text/plain"), body.as_bytes())) {
        let mut exchange = asked(true, "POST", login, JSON);
        let (fields, sent) = pass(&mut exchange, &RESPONSE, &answer).sent();
        assert_eq!((value(&fields, "content-type").as_deref(), sent), (Some(JSON), body.as_bytes().to_vec()));
        assert_eq!(missed(&mut exchange), [], "most logins name no homeserver");
        let mut exchange = asked(true, "POST", login, CBOR);
        let (fields, sent) = pass(&mut exchange, &RESPONSE, &answer).sent();
        assert_eq!(value(&fields, "content-type").as_deref(), Some(CBOR));
        assert_eq!(cbor_to_json(&sent).unwrap(), body.replace(' ', "").into_bytes());
    }
}

#[test]
fn what_is_no_json_passes_as_it_is_and_is_counted() {
    for label in OF_FILES.into_iter().chain([Some("text/html")]) {
        for body in [&b"<html>"[..], b"", b"[]", b"{\"m.homeserver\":", b"\xff", b"\xa1\x61a\x01"] {
            for accept in [JSON, CBOR] {
                for answer in ways(labelled(label, body)) {
                    let mut exchange = asked(true, "GET", WELL_KNOWN, accept);
                    let sent = pass(&mut exchange, &RESPONSE, &answer).sent();
                    assert_eq!(sent, (answer.fields, body.to_vec()), "{label:?}");
                    assert_eq!(missed(&mut exchange), [(WellKnown, Miss::NotJson)], "{label:?} {body:?}");
                }
            }
        }
    }
}

#[test]
fn where_headers_do_not_wait_a_label_is_believed_that_says_something_else() {
    for (label, accept) in [("text/html", JSON), ("text/html", CBOR), ("image/png", CBOR), (CBOR, CBOR)] {
        let answer = labelled(Some(label), DOCUMENT.as_bytes());
        let mut exchange = asked(false, "GET", WELL_KNOWN, accept);
        let sent = pass(&mut exchange, &RESPONSE, &answer).sent();
        assert_eq!(sent, (answer.fields, DOCUMENT.into()), "{label}");
        assert_eq!(missed(&mut exchange), [(WellKnown, Miss::NotJson)]);
    }
    // An answer without a type is taken for JSON: for a reader of CBOR it can only be cut.
    let answer = labelled(Some("text/plain"), b"not found");
    let mut exchange = asked(false, "GET", WELL_KNOWN, JSON);
    assert_eq!(pass(&mut exchange, &RESPONSE, &answer).sent().1, b"not found");
    assert_eq!(missed(&mut exchange), [(WellKnown, Miss::NotJson)]);
    let mut exchange = asked(false, "GET", WELL_KNOWN, CBOR);
    assert_eq!(pass(&mut exchange, &RESPONSE, &answer).cut().1, b"");
    assert_eq!(missed(&mut exchange), [(WellKnown, Miss::NotJson)]);
}

#[test]
fn each_reason_for_which_nothing_is_exchanged_is_counted() {
    let part = Message {
        fields: fields(&[(":status", "206"), ("content-type", JSON)]),
        ..json(DOCUMENT.as_bytes())
    };
    for hold_headers in [true, false] {
        for (method, path, answer, expected) in [
            (
                "GET",
                WELL_KNOWN,
                ok(&[("content-type", JSON), ("content-encoding", "gzip")], b"\x1f\x8b"),
                (WellKnown, Miss::Encoded),
            ),
            ("GET", WELL_KNOWN, ok(&[("content-encoding", "br")], b"\x1f\x8b"), (WellKnown, Miss::Encoded)),
            (
                "GET",
                WELL_KNOWN,
                long(ok(&[("content-type", JSON), ("content-length", "243")], b"")),
                (WellKnown, Miss::TooLong),
            ),
            ("GET", WELL_KNOWN, long(ok(&[("content-length", "243")], b"")), (WellKnown, Miss::TooLong)),
            ("GET", WELL_KNOWN, long(labelled(None, b"")), (WellKnown, Miss::TooLong)),
            ("GET", WELL_KNOWN, part.clone(), (WellKnown, Miss::Partial)),
            ("GET", WELL_KNOWN, json(b"{}"), (WellKnown, Miss::NoMember)),
            ("GET", WELL_KNOWN, labelled(Some("text/plain"), b"{}"), (WellKnown, Miss::NoMember)),
            ("GET", WELL_KNOWN, json(b"[]"), (WellKnown, Miss::NotJson)),
            ("GET", "/_matrix/client/versions", json(b"[]"), (Versions, Miss::NotJson)),
            ("POST", "/_matrix/client/v3/refresh", json(br#"{"well_known":{}}"#), (Session, Miss::NoMember)),
        ] {
            let again = answer.clone();
            let mut exchange = asked(hold_headers, method, path, JSON);
            let (mut sent, body) = pass(&mut exchange, &RESPONSE, &answer).sent();
            assert_eq!(body, answer.pieces.concat(), "{expected:?}");
            sent.retain(|(name, _)| name != b"vary" && name != b"content-length" && name != b"content-type");
            let mut fields = answer.fields;
            fields.retain(|(name, _)| name != b"content-length" && name != b"content-type");
            assert_eq!(sent, fields);
            assert_eq!(missed(&mut exchange), [expected], "{hold_headers}");
            // Whatever a reader of CBOR gets, the count is the same.
            let mut exchange = asked(hold_headers, method, path, CBOR);
            pass(&mut exchange, &RESPONSE, &again);
            assert_eq!(missed(&mut exchange), [expected], "{hold_headers}, CBOR");
        }
    }
}

#[test]
fn a_long_document_flows_to_a_reader_of_cbor_if_it_is_known_to_be_json() {
    for hold_headers in [true, false] {
        let answer = long(labelled(Some(JSON), b""));
        let mut exchange = asked(hold_headers, "GET", WELL_KNOWN, CBOR);
        let (fields, body) = pass(&mut exchange, &RESPONSE, &answer).sent();
        assert_eq!(value(&fields, "content-type").as_deref(), Some(CBOR));
        assert_eq!(cbor_to_json(&body).unwrap(), DOCUMENT.as_bytes());
        let answer = long(labelled(None, b""));
        let mut exchange = asked(hold_headers, "GET", WELL_KNOWN, CBOR);
        let (fields, body) = pass(&mut exchange, &RESPONSE, &answer).sent();
        match hold_headers {
            true => assert_eq!((fields, body), (answer.fields, answer.pieces.concat())),
            // Its type has left.
            false => assert_eq!(cbor_to_json(&body).unwrap(), DOCUMENT.as_bytes()),
        }
    }
}

#[test]
fn messages_that_speak_of_a_document_name_it_as_get_would_and_tell_no_length() {
    for (method, status, label, expected) in [
        ("HEAD", "200", Some("text/plain"), Some(CBOR)),
        ("HEAD", "200", None, Some(CBOR)),
        ("HEAD", "200", Some("text/html"), Some("text/html")),
        ("HEAD", "404", Some("text/plain"), Some("text/plain")),
        ("GET", "304", Some("application/octet-stream"), Some(CBOR)),
        ("GET", "304", None, None),
    ] {
        for hold_headers in [true, false] {
            let mut answer = labelled(label, b"");
            answer.fields[0].1 = status.into();
            answer.fields.push((b"content-length".to_vec(), b"42".to_vec()));
            answer.pieces.clear();
            let mut exchange = asked(hold_headers, method, WELL_KNOWN, CBOR);
            let (fields, _) = pass(&mut exchange, &RESPONSE, &answer).sent();
            assert_eq!(value(&fields, "content-type").as_deref(), expected, "{method} {status} {label:?}");
            let length = value(&fields, "content-length");
            assert_eq!(length.is_some(), expected != Some(CBOR), "{method} {status} {label:?}");
            assert_eq!(missed(&mut exchange), []);
        }
    }
}

#[test]
fn nobody_asks_for_less_than_the_whole_document() {
    let less =
        [("range", "bytes=0-9"), ("if-range", "x"), ("if-none-match", "x"), ("if-modified-since", "x")];
    for (path, goes_on) in [(WELL_KNOWN, false), ("/_matrix/client/v3/sync", true)] {
        let mut request = get(&less);
        request.fields[1].1 = path.into();
        let (fields, _) = pass(&mut Exchange::new(config(true)), &REQUEST, &request).sent();
        for (name, _) in less {
            assert_eq!(fields.iter().any(|(found, _)| found == name.as_bytes()), goes_on, "{path} {name}");
        }
    }
}

#[test]
fn other_answers_are_json_by_their_label_alone_and_nothing_is_counted() {
    for (path, status, label) in [
        ("/_matrix/client/v3/sync", "200", Some("text/plain")),
        ("/.well-known/matrix/server", "200", None),
        (WELL_KNOWN, "404", Some("text/plain")),
        (WELL_KNOWN, "404", Some(JSON)),
    ] {
        let mut answer = labelled(label, DOCUMENT.as_bytes());
        answer.fields[0].1 = status.into();
        let mut exchange = asked(true, "GET", path, JSON);
        let Fate::Sent(mut fields, body) = pass(&mut exchange, &RESPONSE, &answer) else { panic!("{path}") };
        fields.retain(|(name, _)| name != b"vary");
        assert_eq!((fields, body), (answer.fields, DOCUMENT.into()), "{path} {status}");
        assert_eq!(missed(&mut exchange), []);
    }
}

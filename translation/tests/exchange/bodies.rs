//! Bodies, and the fields that describe them, after the filter.

use crate::host::{Fate, Message, REQUEST, pass};
use crate::messages::*;
use lowband_codec::{cbor_to_json, json_to_cbor};
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;

#[test]
fn cbor_arrives_as_json_and_its_fields_with_it() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    let request = post(
        &[
            ("content-type", CBOR),
            ("content-length", &cbor.len().to_string()),
            ("content-digest", "sha-256=:AA==:"),
            ("accept", "application/cbor, */*;q=0.1"),
            ("accept-encoding", "gzip"),
            ("authorization", "Bearer x"),
        ],
        &cbor,
    );
    let (sent, body) = pass(&mut Exchange::new(Config::default()), &REQUEST, &request).sent();
    assert_eq!(String::from_utf8(body.clone()).unwrap(), EVENT);
    for (name, expected) in [
        ("content-type", Some(JSON)),
        ("content-length", Some(body.len().to_string().as_str())),
        ("content-digest", None),
        ("accept", Some(JSON)),
        ("accept-encoding", None),
        ("authorization", Some("Bearer x")),
    ] {
        assert_eq!(value(&sent, name).as_deref(), expected, "{name}");
    }
}

#[test]
fn a_client_that_wants_no_compression_need_not_be_changed() {
    for (coding, expected) in
        [(" Identity ", Some(" Identity ")), ("identity, gzip", None), ("identity;q=0", None)]
    {
        let request = get(&[("accept", CBOR), ("accept-encoding", coding)]);
        let (sent, _) = pass(&mut Exchange::new(Config::default()), &REQUEST, &request).sent();
        assert_eq!(value(&sent, "accept-encoding").as_deref(), expected, "{coding}");
    }
}

#[test]
fn json_becomes_cbor_for_a_client_that_reads_it_and_the_fields_follow() {
    let answer = ok(
        &[
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", "99"),
            ("digest", "x"),
            ("etag", "e"),
        ],
        EVENT.as_bytes(),
    );
    let (sent, body) = through(&get(&[("accept", CBOR)]), &answer).1.sent();
    assert_eq!(cbor_to_json(&body).unwrap(), EVENT.as_bytes());
    for (name, expected) in [
        ("content-type", Some(CBOR)),
        ("content-length", Some(body.len().to_string().as_str())),
        ("digest", None),
        ("etag", Some("e")),
        ("vary", Some("Accept")),
    ] {
        assert_eq!(value(&sent, name).as_deref(), expected, "{name}");
    }
}

#[test]
fn what_is_neither_cbor_nor_asked_for_in_cbor_passes_byte_for_byte() {
    let body = b"{ \"a\": 1.0 }\xff".as_slice();
    for request in [
        post(&[("content-type", JSON), ("accept-encoding", "gzip")], body),
        post(&[("content-type", "text/plain")], body),
        post(&[], body),
    ] {
        let (sent, answered) = through(&request, &json(body));
        assert_eq!(sent, Fate::Sent(request.fields, body.to_vec()));
        let (fields, got) = answered.sent();
        assert_eq!((got.as_slice(), value(&fields, "content-length")), (body, Some(body.len().to_string())));
        assert_eq!(value(&fields, "vary").as_deref(), Some("Accept"));
    }
}

#[test]
fn answers_that_are_no_whole_plain_json_pass_untouched() {
    for answer in [
        ok(&[("content-type", "image/png")], b"{}"),
        ok(&[], b"{}"),
        ok(&[("content-type", "application/problem+json")], b"{}"),
        Message { fields: fields(&[(":status", "206"), ("content-type", JSON)]), ..ok(&[], b"{\"a") },
        ok(&[("content-type", CBOR)], b"\xa0"),
    ] {
        let (_, answered) = through(&get(&[("accept", CBOR)]), &answer);
        assert_eq!(answered, Fate::Sent(answer.fields, answer.pieces.concat()));
    }
    // Compressed JSON also passes, but another `Accept` would have got another answer.
    let gzip =
        ok(&[("content-type", JSON), ("content-encoding", "gzip"), ("content-length", "2")], b"\x1f\x8b");
    let (sent, body) = through(&get(&[("accept", CBOR)]), &gzip).1.sent();
    assert_eq!((body.as_slice(), value(&sent, "vary").as_deref()), (&b"\x1f\x8b"[..], Some("Accept")));
    assert_eq!(value(&sent, "content-length").as_deref(), Some("2"));
    // `identity` does not count as a coding.
    let plain = ok(&[("content-type", JSON), ("content-encoding", "identity")], b"{}");
    assert_eq!(through(&get(&[("accept", CBOR)]), &plain).1.sent().1, b"\xa0");
}

#[test]
fn messages_without_a_body_keep_having_none() {
    let empty = |status: &str, pairs: &[(&str, &str)]| Message {
        fields: fields(&[&[(":status", status)], pairs].concat()),
        ..Message::default()
    };
    for answer in [empty("204", &[]), empty("200", &[("content-type", JSON), ("content-length", "0")])] {
        let (sent, body) = through(&post(&[("content-type", CBOR)], b"\xa0"), &answer).1.sent();
        assert_eq!(
            (body.as_slice(), value(&sent, "content-type")),
            (&b""[..], value(&answer.fields, "content-type"))
        );
    }
    for end in [false, true] {
        let answer = Message { late_end: end, ..ok(&[("content-type", JSON)], b"") };
        assert_eq!(through(&get(&[("accept", CBOR)]), &answer).1.sent().1, b"");
        let request = Message { late_end: end, ..post(&[("content-type", CBOR)], b"") };
        let (sent, body) = pass(&mut Exchange::new(Config::default()), &REQUEST, &request).sent();
        assert_eq!((body.as_slice(), value(&sent, "content-type").as_deref()), (&b""[..], Some(JSON)));
    }
    let bare =
        Message { pieces: Vec::new(), ..post(&[("content-type", CBOR), ("content-length", "0")], b"") };
    let (sent, answered) = through(&bare, &json(b"{}"));
    assert_eq!(value(&sent.sent().0, "content-length").as_deref(), Some("0"));
    assert_eq!(answered.sent().1, b"\xa0");
}

#[test]
fn head_and_not_modified_tell_what_get_would_get_but_for_the_length() {
    let length = (Config::default().hold_response_bytes + 1).to_string();
    for (method, status) in [("HEAD", "200"), ("HEAD", "304"), ("GET", "304")] {
        for (accept, form, told) in [(CBOR, CBOR, None), (JSON, JSON, Some(&*length))] {
            let mut request = get(&[("accept", accept)]);
            request.fields[0].1 = method.into();
            let mut answer = ok(&[("content-type", JSON), ("content-length", &length)], b"");
            answer.fields[0].1 = status.into();
            answer.pieces.clear();
            let (sent, _) = through(&request, &answer).1.sent();
            assert_eq!(value(&sent, "content-type").as_deref(), Some(form), "{method} {status}");
            assert_eq!(value(&sent, "content-length").as_deref(), told, "{method} {status} {accept}");
            assert_eq!(value(&sent, "vary").as_deref(), Some("Accept"));
        }
    }
}

#[test]
fn trailers_are_waited_for_and_leave_the_length_untold() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    let request =
        Message { trailers: true, ..post(&[("content-type", CBOR), ("content-length", "9")], &cbor) };
    let answer = Message { trailers: true, ..json(EVENT.as_bytes()) };
    let (sent, answered) = through(&request, &answer);
    let ((sent, body), (answered, answer)) = (sent.sent(), answered.sent());
    assert_eq!((body.as_slice(), value(&sent, "content-length")), (EVENT.as_bytes(), None));
    assert_eq!(
        (cbor_to_json(&answer).unwrap().as_slice(), value(&answered, "content-length")),
        (EVENT.as_bytes(), None)
    );
    // Trailers without a body.
    let none = Message { trailers: true, pieces: Vec::new(), ..post(&[("content-type", CBOR)], b"") };
    assert_eq!(pass(&mut Exchange::new(Config::default()), &REQUEST, &none).sent().1, b"");
}

#[test]
fn vary_names_accept_once() {
    for (before, after) in [
        (None, "Accept"),
        (Some("Origin"), "Origin, Accept"),
        (Some("accept"), "accept"),
        (Some("Origin,ACCEPT , X"), "Origin,ACCEPT , X"),
        (Some("*"), "*"),
        (Some("Accept-Encoding"), "Accept-Encoding, Accept"),
    ] {
        let mut answer = json(b"{}");
        answer.fields.extend(before.map(|value| (b"vary".to_vec(), value.into())));
        for accept in [CBOR, JSON] {
            let (sent, _) = through(&get(&[("accept", accept)]), &answer).1.sent();
            assert_eq!(value(&sent, "vary").as_deref(), Some(after));
        }
    }
}

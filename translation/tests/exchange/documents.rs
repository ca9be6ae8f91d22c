//! Discovery documents on their way through.

use crate::host::{Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::cbor_to_json;
use lowband_translation::common::Common;
use lowband_translation::config::{Advertise, Config};
use lowband_translation::exchange::Exchange;
use std::sync::Arc;

const VERSIONS: &str = "/_matrix/client/versions";
const WELL_KNOWN: &str = "/.well-known/matrix/client";
const ENTRY: &str =
    r#""org.matrix.msc3079.low_bandwidth":{"dtls":18008,"cbor_enum_version":1,"coap_enum_version":1}"#;

fn config() -> Config {
    let base_url = Some("https://lb.example.org".to_owned());
    let advertise = Advertise { dtls_port: Some(18008), base_url, ..Advertise::default() };
    Config { advertise, ..Config::default() }
}

fn exchange() -> Exchange {
    Exchange::new(config())
}

fn asked(exchange: &mut Exchange, method: &str, path: &str, pairs: &[(&str, &str)]) -> crate::host::Fields {
    let mut request = get(pairs);
    request.fields[0].1 = method.into();
    request.fields[1].1 = path.into();
    pass(exchange, &REQUEST, &request).sent().0
}

#[test]
fn versions_tells_of_the_wire_in_json_and_in_cbor() {
    let homeserver = br#"{"versions":["v1.1"], "unstable_features":{}}"#;
    let expected = format!(r#"{{"versions":["v1.1"], "unstable_features":{{}},{ENTRY}}}"#);
    for accept in [JSON, CBOR] {
        let mut exchange = exchange();
        let request =
            asked(&mut exchange, "GET", VERSIONS, &[("accept", accept), ("accept-encoding", "gzip")]);
        assert_eq!(
            value(&request, "accept-encoding"),
            None,
            "nothing could be exchanged in a compressed answer"
        );
        let (fields, body) = pass(&mut exchange, &RESPONSE, &json(homeserver)).sent();
        assert_eq!(value(&fields, "content-length"), Some(body.len().to_string()));
        assert_eq!(value(&fields, "content-type").as_deref(), Some(accept));
        match accept {
            JSON => assert_eq!(String::from_utf8(body).unwrap(), expected),
            _ => assert_eq!(cbor_to_json(&body).unwrap(), expected.replace(' ', "").into_bytes()),
        }
    }
}

#[test]
fn versions_that_were_translated_before_are_answered_and_counted_as_if_they_were_new() {
    // A repair is counted for each client that gets it.
    let texts = [r#"{"versions":["v1.1"],"a":1e400}"#, r#"{"versions":["v1.2"],"a":1e400}"#, "[1e400]"];
    let common: Arc<Common> = config().into();
    for _ in 0..2 {
        for (text, accept) in texts.into_iter().flat_map(|text| [(text, JSON), (text, CBOR)]) {
            let answers = [exchange(), Exchange::new(Arc::clone(&common))].map(|mut exchange| {
                asked(&mut exchange, "GET", VERSIONS, &[("accept", accept)]);
                let answer = pass(&mut exchange, &RESPONSE, &json(text.as_bytes())).sent();
                (answer, exchange.counted().collect::<Vec<_>>())
            });
            let [alone, shared] = &answers;
            assert_eq!(shared, alone, "{text} {accept}");
        }
    }
}

#[test]
fn base_urls_become_the_advertised_one() {
    for (method, path, homeserver) in [
        ("GET", WELL_KNOWN, r#"{"m.homeserver":{"base_url":"https://hs"}}"#),
        ("POST", "/_matrix/client/v3/login", r#"{"well_known":{"m.homeserver":{"base_url":"https://hs"}}}"#),
        (
            "POST",
            "/_matrix/client/v3/register",
            r#"{"well_known":{"m.homeserver":{"base_url":"https://hs"}}}"#,
        ),
        (
            "POST",
            "/_matrix/client/v3/refresh",
            r#"{"well_known":{"m.homeserver":{"base_url":"https://hs"}}}"#,
        ),
    ] {
        let mut exchange = exchange();
        asked(&mut exchange, method, path, &[]);
        let (_, body) = pass(&mut exchange, &RESPONSE, &json(homeserver.as_bytes())).sent();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            homeserver.replace("https://hs", "https://lb.example.org")
        );
    }
}

#[test]
fn all_other_answers_in_json_stay_as_they_are() {
    let document = br#"{"m.homeserver":{"base_url":"https://hs"}, "versions":[]}"#;
    let long = [&document[..], &vec![b' '; 300_000]].concat();
    for (path, answer) in [
        ("/_matrix/client/v3/sync", json(document)),
        (
            WELL_KNOWN,
            Message { fields: fields(&[(":status", "404"), ("content-type", JSON)]), ..json(document) },
        ),
        (WELL_KNOWN, ok(&[("content-type", "text/html")], b"<html>")),
        (WELL_KNOWN, ok(&[("content-type", JSON), ("content-encoding", "gzip")], document)),
        (WELL_KNOWN, json(b"{\"m.homeserver\"")),
        (WELL_KNOWN, json(b"")),
        // Too long to be held: the document passes, whether its length was announced or not.
        (
            WELL_KNOWN,
            Message { pieces: vec![long.clone(), b" ".to_vec()], ..json(&[&long[..], b" "].concat()) },
        ),
        (
            WELL_KNOWN,
            Message { pieces: vec![long.clone(), b" ".to_vec()], ..ok(&[("content-type", JSON)], b"") },
        ),
    ] {
        let mut exchange = exchange();
        asked(&mut exchange, "GET", path, &[]);
        let (mut sent, body) = pass(&mut exchange, &RESPONSE, &answer).sent();
        sent.retain(|(name, _)| name != b"vary");
        assert_eq!((sent, body), (answer.fields, answer.pieces.concat()), "{path}");
    }
}

#[test]
fn trailers_follow_a_document_without_a_length() {
    let mut exchange = exchange();
    asked(&mut exchange, "GET", VERSIONS, &[]);
    let (fields, body) = pass(&mut exchange, &RESPONSE, &Message { trailers: true, ..json(b"{}") }).sent();
    assert_eq!(body, format!("{{{ENTRY}}}").into_bytes());
    assert_eq!(value(&fields, "content-length"), None);
}

#[test]
fn head_tells_no_length_that_get_would_not_have() {
    let mut exchange = exchange();
    asked(&mut exchange, "HEAD", VERSIONS, &[]);
    let answer = Message { pieces: Vec::new(), ..json(b"{}") };
    let (fields, _) = pass(&mut exchange, &RESPONSE, &answer).sent();
    assert_eq!(value(&fields, "content-length"), None);
    assert_eq!(value(&fields, "content-type").as_deref(), Some(JSON));
}

#[test]
fn nothing_is_told_where_nothing_is_advertised() {
    let mut exchange = Exchange::new(Config::default());
    let request = asked(&mut exchange, "GET", VERSIONS, &[("accept-encoding", "gzip")]);
    assert_eq!(value(&request, "accept-encoding").as_deref(), Some("gzip"));
    let (_, body) = pass(&mut exchange, &RESPONSE, &json(b"{}")).sent();
    assert_eq!(body, b"{}");
}

//! Messages as clients and homeservers send them, and helpers to inspect them.

use crate::host::{Fate, Fields, Message, REQUEST, RESPONSE, pass};
use lowband_codec::cbor_to_json;
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::headers::Headers;
use lowband_translation::reply::Reply;

pub(crate) const CBOR: &str = "application/cbor";
pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENT: &str =
    r#"{"type":"m.room.message","content":{"msgtype":"m.text","body":"Grüße"},"depth":[1,{"x":null}]}"#;

pub(crate) fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

pub(crate) fn value(fields: &Fields, name: &str) -> Option<String> {
    let mut found = fields.iter().filter(|(n, _)| n == name.as_bytes());
    let value = found.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    assert_eq!(found.next(), None, "{name} twice");
    value
}

/// Makes a POST with these fields and a body in one piece.
pub(crate) fn post(pairs: &[(&str, &str)], body: &[u8]) -> Message {
    let mut fields = fields(&[(":method", "POST"), (":path", "/_matrix/client/v3/x")]);
    fields.extend(self::fields(pairs));
    Message { fields, pieces: vec![body.to_vec()], ..Message::default() }
}

pub(crate) fn get(pairs: &[(&str, &str)]) -> Message {
    let mut message = post(pairs, b"");
    message.fields[0].1 = b"GET".to_vec();
    message.pieces.clear();
    message
}

pub(crate) fn ok(pairs: &[(&str, &str)], body: &[u8]) -> Message {
    let mut fields = fields(&[(":status", "200")]);
    fields.extend(self::fields(pairs));
    Message { fields, pieces: vec![body.to_vec()], ..Message::default() }
}

pub(crate) fn json(body: &[u8]) -> Message {
    ok(&[("content-type", JSON), ("content-length", &body.len().to_string())], body)
}

/// Passes one stream through the filter with the default configuration.
pub(crate) fn through(request: &Message, response: &Message) -> (Fate, Fate) {
    let mut exchange = Exchange::new(Config::default());
    (pass(&mut exchange, &REQUEST, request), pass(&mut exchange, &RESPONSE, response))
}

pub(crate) fn errcode(reply: &Reply) -> (u16, String) {
    let json = match reply.headers[0].1 {
        CBOR => cbor_to_json(&reply.body).unwrap(),
        _ => reply.body.clone(),
    };
    let error: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(error["error"].as_str().unwrap().len() > 10);
    assert_eq!(error.as_object().unwrap().len(), 2);
    (reply.status, error["errcode"].as_str().unwrap().to_owned())
}

/// Returns the fields of a message as the exchange gets them.
pub(crate) fn headers(message: &Message) -> Headers<'_> {
    Headers::new(message.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect())
}

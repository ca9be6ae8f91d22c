//! Responses that are not answers of Matrix, from any source: none arrives under a wrong label, each costs
//! few bytes and says what the client can do. Each row is requested through the sidecar.

use crate::client::options;
use crate::harness::Chain;
use crate::stub::{Handler, handler, reply, streamed};
use bytes::Bytes;
use lowband_codec::peek;
use lowband_transport::coap::Response;
use lowband_wire::coap::{Code, Method};
use std::io;

/// The code and the `errcode` that the client gets.
type Told = ((u8, u8), &'static str);

/// A page such as nginx writes, of more than one block.
const PAGE: &str = "<html>\r\n<head><title>no</title></head>\r\n<body>...................................................\
                    ...............................................................................................\r\n";

type Fields = &'static [(&'static str, &'static str)];

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const TEXT: (&str, &str) = ("content-type", "text/plain");
const JSON: (&str, &str) = ("content-type", "application/json");
const CBOR: (&str, &str) = ("content-type", "application/cbor");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
/// The field by which Envoy marks responses from behind it.
const VIA: (&str, &str) = ("x-envoy-upstream-service-time", "3");

fn page(status: u16, fields: Fields) -> Handler {
    handler(move |_| async move { reply(status, fields, PAGE.repeat(20).as_bytes()) })
}

async fn ask(handler: Handler) -> Response {
    let chain = Chain::start(handler, &[]).await;
    chain.connect().await.get("/_matrix/client/v3/thing").await
}

/// Asserts that the answer is a Matrix error in CBOR of few bytes.
fn assert_told(response: &Response, code: (u8, u8), errcode: &str, of: &str) {
    assert_eq!(response.code, Code::new(code.0, code.1), "{of}");
    assert_eq!(response.options.content_format, Some(60), "{of}");
    let told =
        peek::text(&response.body, "errcode", None).unwrap().unwrap_or_else(|| panic!("{of}: no errcode"));
    assert_eq!(told, errcode, "{of}");
    let words = peek::text(&response.body, "error", None).unwrap();
    assert!(words.is_some_and(|words| words.len() > 10 && !words.contains('<')), "{of}");
    assert!(response.body.len() < 120, "{of}: {} bytes", response.body.len());
}

#[tokio::test]
async fn what_works_over_https_is_5_05_and_what_works_nowhere_5_02() {
    let https = ((5, 5), "M_UNRECOGNIZED");
    let nowhere = ((5, 2), "M_UNKNOWN");
    let rows: &[(u16, Fields, Told)] = &[
        // Redirections, whatever they bring: of the sign-in page, of a `.well-known`, of a whole site.
        (301, &[HTML, VIA], https),
        (302, &[HTML, VIA, ("location", "https://idp.example/a?b=c")], https),
        (302, &[JSON, VIA], https),
        (303, &[CBOR, VIA], https),
        (307, &[JSON], https),
        (308, &[TEXT, VIA], https),
        (300, &[HTML, VIA], https),
        // Pages, pictures, archives and streams of events.
        (200, &[HTML, VIA], https),
        (201, &[("content-type", "application/xhtml+xml"), VIA], https),
        (200, &[TEXT, VIA], https),
        (200, &[("content-type", "image/png"), VIA], https),
        (200, &[("content-type", "application/octet-stream"), VIA], https),
        (200, &[("content-type", "multipart/mixed; boundary=x"), VIA], https),
        (200, &[("content-type", "text/event-stream"), VIA], https),
        (200, &[("content-type", "application/x-ndjson"), VIA], https),
        (200, &[VIA], https),
        // Compressed bodies of any type.
        (200, &[JSON, ("content-encoding", "gzip"), VIA], https),
        (200, &[CBOR, ("content-encoding", "br"), VIA], https),
        (200, &[CBOR, ("content-encoding", "identity, zstd"), VIA], https),
        // A part of something, and a status that HTTP does not know.
        (206, &[JSON, ("content-range", "bytes 0-9/100"), VIA], nowhere),
        (206, &[("content-type", "multipart/byteranges; boundary=x"), VIA], nowhere),
        (700, &[JSON, VIA], nowhere),
    ];
    for (status, fields, (code, errcode)) in rows {
        assert_told(&ask(page(*status, fields)).await, *code, errcode, &format!("{status} {fields:?}"));
    }
}

/// Method, path, the homeserver's status and fields, and the code at the client.
type Row = (Method, &'static str, u16, Fields, (u8, u8));

/// The text that tells a client that its request is not to be sent again.
const DONE: &str = "carried out";

#[tokio::test]
async fn what_has_been_done_is_told_and_not_sent_to_https_to_be_done_again() {
    let send = "/_matrix/client/v3/rooms/!r:b/send/m.room.message/1";
    let state = "/_matrix/client/v3/rooms/!r:b/state/m.room.topic/";
    let room = "/_matrix/client/v3/createRoom";
    let device = "/_matrix/client/v3/devices/D";
    let (https, done) = ((5, 5), (5, 2));
    let rows: &[Row] = &[
        (Method::Post, room, 200, &[HTML, VIA], done),
        (Method::Post, room, 200, &[JSON, GZIP, VIA], done),
        (Method::Post, room, 200, &[("content-type", "text/event-stream"), VIA], done),
        (Method::Post, room, 201, &[TEXT, VIA], done),
        (Method::Post, room, 302, &[HTML, VIA], done),
        (Method::Post, room, 303, &[VIA], done),
        (Method::Put, state, 200, &[HTML, VIA], done),
        (Method::Delete, device, 200, &[HTML, VIA], done),
        // Of a transaction the homeserver knows that it is one; a GET changes nothing.
        (Method::Put, send, 200, &[HTML, VIA], https),
        (Method::Get, state, 200, &[HTML, VIA], https),
        // What is elsewhere has not been done here.
        (Method::Post, room, 301, &[HTML, VIA], https),
        (Method::Post, room, 307, &[HTML, VIA], https),
        (Method::Post, room, 308, &[VIA], https),
    ];
    for (method, target, status, fields, code) in rows {
        let chain = Chain::start(page(*status, fields), &[]).await;
        let response = chain.connect().await.request(*method, options(target), b"\xa0").await;
        let errcode = if *code == done { "M_UNKNOWN" } else { "M_UNRECOGNIZED" };
        let of = format!("{method:?} {target} {status} {fields:?}");
        assert_told(&response, *code, errcode, &of);
        let words = peek::text(&response.body, "error", None).unwrap().unwrap();
        assert_eq!(words.contains(DONE), *code == done, "{of}");
    }
    // Where nothing was asked of the homeserver, HTTPS is the right place for any method.
    let chain = Chain::start(page(200, &[HTML, VIA]), &[]).await;
    let media = options("/_matrix/media/v3/upload");
    let response = chain.connect().await.request(Method::Post, media, b"\xa0").await;
    assert_told(&response, https, "M_UNRECOGNIZED", "media");
}

#[tokio::test]
async fn an_error_that_is_none_of_matrix_keeps_its_status_and_gets_an_errcode() {
    let rows: &[(u16, Fields, (u8, u8), &str)] = &[
        (400, &[HTML, VIA], (4, 0), "M_UNKNOWN"),
        (401, &[HTML, VIA, ("www-authenticate", "Basic")], (4, 1), "M_UNAUTHORIZED"),
        (402, &[HTML, VIA], (4, 0), "M_UNKNOWN"),
        (403, &[HTML, VIA], (4, 3), "M_FORBIDDEN"),
        (404, &[HTML, VIA], (4, 4), "M_UNRECOGNIZED"),
        (404, &[TEXT, VIA], (4, 4), "M_UNRECOGNIZED"),
        (404, &[VIA], (4, 4), "M_UNRECOGNIZED"),
        (404, &[JSON, GZIP, VIA], (4, 4), "M_UNRECOGNIZED"),
        (405, &[HTML, VIA], (4, 5), "M_UNRECOGNIZED"),
        (406, &[HTML, VIA], (4, 6), "M_UNKNOWN"),
        (408, &[HTML, VIA], (5, 4), "M_UNKNOWN"),
        (409, &[HTML, VIA], (4, 9), "M_UNKNOWN"),
        (410, &[HTML, VIA], (4, 0), "M_UNRECOGNIZED"),
        (413, &[HTML, VIA], (4, 13), "M_TOO_LARGE"),
        (414, &[HTML, VIA], (4, 0), "M_TOO_LARGE"),
        (415, &[HTML, VIA], (4, 15), "M_UNKNOWN"),
        (418, &[("content-type", "image/png"), VIA], (4, 0), "M_UNKNOWN"),
        (429, &[HTML, VIA], (4, 29), "M_LIMIT_EXCEEDED"),
        (431, &[HTML, VIA], (4, 0), "M_TOO_LARGE"),
        (451, &[("content-type", "application/problem+json"), VIA], (4, 0), "M_UNKNOWN"),
        (500, &[HTML, VIA], (5, 2), "M_UNKNOWN"),
        (501, &[TEXT, VIA], (5, 2), "M_UNKNOWN"),
        (502, &[HTML, VIA], (5, 2), "M_UNKNOWN"),
        (503, &[HTML, VIA], (5, 3), "M_UNKNOWN"),
        (504, &[HTML, VIA], (5, 4), "M_UNKNOWN"),
        (520, &[HTML, VIA], (5, 2), "M_UNKNOWN"),
        // Envoy's own errors.
        (404, &[TEXT], (5, 2), "M_UNKNOWN"),
        (403, &[TEXT], (4, 3), "M_FORBIDDEN"),
        (413, &[TEXT], (4, 13), "M_TOO_LARGE"),
        (429, &[TEXT], (4, 29), "M_LIMIT_EXCEEDED"),
        (408, &[TEXT], (5, 4), "M_UNKNOWN"),
        (503, &[TEXT], (5, 3), "M_UNKNOWN"),
        (504, &[TEXT], (5, 4), "M_UNKNOWN"),
    ];
    for (status, fields, code, errcode) in rows {
        let response = ask(page(*status, fields)).await;
        assert_told(&response, *code, errcode, &format!("{status} {fields:?}"));
        let again = matches!(code, (4, 29) | (5, 3)).then_some(5);
        assert_eq!(response.options.max_age, again, "{status} {fields:?}");
    }
    let timed = ask(page(429, &[HTML, VIA, ("retry-after", "30")])).await;
    assert_eq!(timed.options.max_age, Some(30));
}

#[tokio::test]
async fn an_error_without_a_body_gets_one() {
    for (status, fields, code, errcode) in [
        (404, &[JSON, VIA][..], (4, 4), "M_UNRECOGNIZED"),
        (401, &[VIA], (4, 1), "M_UNAUTHORIZED"),
        (500, &[JSON, VIA], (5, 2), "M_UNKNOWN"),
        (429, &[JSON, VIA], (4, 29), "M_LIMIT_EXCEEDED"),
    ] {
        let at_once = ask(handler(move |_| async move { reply(status, fields, b"") })).await;
        assert_told(&at_once, code, errcode, &format!("{status} {fields:?}"));
        // Here the head does not say that nothing follows.
        let late = ask(handler(move |_| async move { streamed(status, fields).1 })).await;
        assert_told(&late, code, errcode, &format!("{status} {fields:?}, late"));
    }
}

#[tokio::test]
async fn a_success_without_a_body_is_fine_whatever_its_label() {
    let rows: &[(u16, Fields, (u8, u8))] = &[
        (200, &[VIA], (2, 5)),
        (200, &[JSON, ("content-length", "0"), VIA], (2, 5)),
        (200, &[HTML, ("content-length", "0"), VIA], (2, 5)),
        (200, &[HTML, VIA], (2, 5)),
        (200, &[TEXT, ("content-encoding", "gzip"), VIA], (2, 5)),
        (202, &[("content-type", "application/octet-stream"), VIA], (2, 5)),
        (204, &[VIA], (2, 4)),
        (204, &[CBOR, VIA], (2, 4)),
        (304, &[HTML, VIA], (2, 3)),
    ];
    for (status, fields, code) in rows {
        let (status, fields) = (*status, *fields);
        let at_once = handler(move |_| async move { reply(status, fields, b"") });
        let late = handler(move |_| async move { streamed(status, fields).1 });
        for answers in [at_once, late] {
            let response = ask(answers).await;
            assert_eq!(response.code, Code::new(code.0, code.1), "{status} {fields:?}");
            let left = (response.body.len(), response.options.content_format, response.options.size);
            assert_eq!(left, (0, None, None), "{status} {fields:?}");
        }
    }
}

#[tokio::test]
async fn matrix_goes_through_as_it_is() {
    let json = br#"{"errcode":"M_NOT_FOUND","error":"no such room"}"#.to_vec();
    let cbor = lowband_codec::json_to_cbor(&json).unwrap();
    for (status, code) in [(200, (2, 5)), (404, (4, 4)), (413, (4, 13)), (500, (5, 0)), (502, (5, 2))] {
        for (fields, format) in [(&[CBOR, VIA][..], 60), (&[JSON, ("content-encoding", "identity"), VIA], 50)]
        {
            let body = if format == 60 { &cbor } else { &json };
            let sent = body.clone();
            let response = ask(handler(move |_| {
                let sent = sent.clone();
                async move { reply(status, fields, &sent) }
            }))
            .await;
            assert_eq!(response.code, Code::new(code.0, code.1), "{status}");
            assert_eq!((response.options.content_format, &response.body), (Some(format), body), "{status}");
        }
    }
}

#[tokio::test]
async fn an_error_without_errcode_is_none_of_matrix_whatever_its_label_says() {
    for (status, code, errcode) in
        [(403, (4, 3), "M_FORBIDDEN"), (404, (4, 4), "M_UNRECOGNIZED"), (429, (4, 29), "M_LIMIT_EXCEEDED")]
    {
        for body in [r#"{"message":"Forbidden"}"#, "[]", "null", r#""no""#, r#"{"errcode":5}"#, "<html>"] {
            let sent = handler(move |_| async move { reply(status, &[JSON, VIA], body.as_bytes()) });
            assert_told(&ask(sent).await, code, errcode, body);
            let Ok(cbor) = lowband_codec::json_to_cbor(body.as_bytes()) else { continue };
            let sent = handler(move |_| {
                let cbor = cbor.clone();
                async move { reply(status, &[CBOR, VIA], &cbor) }
            });
            assert_told(&ask(sent).await, code, errcode, body);
        }
    }
    // The stages of an authentication have no `errcode`.
    let flows = br#"{"flows":[{"stages":["m.login.dummy"]}],"session":"x","params":{}}"#;
    let response = ask(handler(move |_| async move { reply(401, &[JSON, VIA], flows) })).await;
    assert_eq!((response.code, &response.body[..]), (Code::new(4, 1), &flows[..]));
}

#[tokio::test]
async fn a_stream_of_events_is_refused_before_its_first_event() {
    let stub = handler(|_| async {
        let (source, reply) = streamed(200, &[("content-type", "text/event-stream"), VIA]);
        // The stream is silent for longer than any wait here, and lives as long as it is listened to.
        tokio::spawn(async move { source.closed().await });
        reply
    });
    assert_told(&ask(stub).await, (5, 5), "M_UNRECOGNIZED", "a stream");
}

#[tokio::test]
async fn a_page_that_breaks_off_at_once_is_no_page() {
    let stub = handler(|_| async {
        let (source, reply) = streamed(200, &[HTML, VIA]);
        tokio::spawn(async move {
            let _: Result<(), _> = source.send(Err::<Bytes, _>(io::Error::other("broken off"))).await;
        });
        reply
    });
    assert_told(&ask(stub).await, (5, 2), "M_UNKNOWN", "half a page");
}

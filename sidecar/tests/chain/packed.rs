//! Bodies in fewer bytes, for clients that ask for them: Envoy sees plain CBOR.

use crate::client::options;
use crate::harness::Chain;
use crate::stub::{cbor, handler, reply, streamed};
use bytes::Bytes;
use lowband_wire::coap::content_format::{CBOR, JSON, PACKED};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use lowband_wire::packed;

/// `{3: "m.room.message", 4: "AQIDBAUG"}`.
const PLAIN: &[u8] = b"\xa2\x03\x6em.room.message\x04\x68AQIDBAUG";
const PATH: &str = "/_matrix/client/v3/thing";

fn asking(content_format: Option<u16>, accept: Option<u16>) -> RequestOptions {
    RequestOptions { content_format, accept, ..options(PATH) }
}

#[tokio::test]
async fn requests_are_unpacked_and_answers_packed_for_who_asks() {
    let chain = Chain::start(handler(|_| async { cbor(200, PLAIN) }), &[]).await;
    let wire = chain.connect().await;
    let short = packed::pack(PLAIN);
    for (sent, format, accept, comes) in [
        (PLAIN, Some(CBOR), None, Some(CBOR)),
        (&short, Some(PACKED), None, Some(CBOR)),
        (&short, Some(PACKED), Some(PACKED), Some(PACKED)),
        (PLAIN, None, Some(PACKED), Some(PACKED)),
    ] {
        let response = wire.request(Method::Put, asking(format, accept), sent).await;
        let seen = chain.stub.last();
        assert_eq!((&seen.body[..], seen.header("content-type")), (PLAIN, Some("application/cbor")));
        assert_eq!(seen.header("accept"), Some("application/cbor"));
        let body = if comes == Some(PACKED) { &short } else { PLAIN };
        assert_eq!(
            (response.options.content_format, &response.body[..]),
            (comes, body),
            "{format:?} {accept:?}"
        );
    }
}

#[tokio::test]
async fn a_packed_body_shows_its_login_and_its_keys_as_a_plain_one_does() {
    // A login that the sidecar reads: its answer's token becomes the session's.
    let login = lowband_codec::json_to_cbor(br#"{"type":"m.login.password","password":"AQIDBAUG"}"#).unwrap();
    let told = lowband_codec::json_to_cbor(br#"{"access_token":"AQIDBAUGBwgJ"}"#).unwrap();
    let stub = handler(move |seen| {
        let told = told.clone();
        async move { cbor(200, if seen.target().ends_with("/login") { &told } else { b"\xa0" }) }
    });
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    let ask = RequestOptions {
        content_format: Some(PACKED),
        accept: Some(PACKED),
        ..options("/_matrix/client/v3/login")
    };
    let response = wire.request(Method::Post, ask, &packed::pack(&login)).await;
    assert_eq!((response.code, response.options.content_format), (Code::CONTENT, Some(PACKED)));
    assert_eq!(chain.stub.last().body, login);
}

#[tokio::test]
async fn what_is_refused_or_not_cbor_comes_as_it_is() {
    let stub = handler(|seen| async move {
        match seen.target().rsplit('/').next().unwrap() {
            "json" => reply(200, &[("content-type", "application/json")], b"[\"AQIDBAUG\"]"),
            "page" => reply(200, &[("content-type", "text/html")], b"<p>"),
            "short" => cbor(200, b"\xa0"),
            _ => cbor(404, &lowband_codec::json_to_cbor(br#"{"errcode":"M_NOT_FOUND"}"#).unwrap()),
        }
    });
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    for (path, code, format) in [
        ("json", Code::CONTENT, Some(JSON)),
        ("page", Code::new(5, 5), Some(CBOR)),
        ("short", Code::CONTENT, Some(CBOR)),
        ("gone", Code::NOT_FOUND, Some(PACKED)),
    ] {
        let ask = RequestOptions { accept: Some(PACKED), ..options(&format!("/_matrix/client/v3/{path}")) };
        let response = wire.request(Method::Get, ask, b"").await;
        assert_eq!((response.code, response.options.content_format), (code, format), "{path}");
    }
    let before = chain.stub.seen().len();
    for (body, code) in
        [(&b"\xd6\x01"[..], Code::BAD_REQUEST), (&[0xe0; 4000], Code::REQUEST_ENTITY_TOO_LARGE)]
    {
        let response = wire.request(Method::Put, asking(Some(PACKED), None), body).await;
        assert_eq!(response.code, code);
    }
    assert_eq!(chain.stub.seen().len(), before, "nothing was done");
}

#[tokio::test]
async fn an_answer_that_comes_in_pieces_is_packed_in_pieces() {
    let plain = [b"\x9f".as_slice(), &PLAIN.repeat(400), b"\xff"].concat();
    let whole = plain.clone();
    let stub = handler(move |_| {
        let whole = whole.clone();
        async move {
            let (source, reply) = streamed(200, &[("content-type", "application/cbor")]);
            tokio::spawn(async move {
                // Cut within texts, so that some pieces tell nothing by themselves.
                for piece in whole.chunks(7) {
                    source.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
                }
            });
            reply
        }
    });
    let chain = Chain::start(stub, &[]).await;
    let response = chain.connect().await.request(Method::Get, asking(None, Some(PACKED)), b"").await;
    assert_eq!(response.options.content_format, Some(PACKED));
    assert!(response.body == packed::pack(&plain));
}

#[tokio::test]
async fn a_short_answer_of_known_length_has_its_length_when_packed() {
    for (repeats, is_known) in [(700, true), (4000, false)] {
        let plain = [b"\x9f".as_slice(), &PLAIN.repeat(repeats), b"\xff"].concat();
        let whole = plain.clone();
        let stub = handler(move |_| {
            let whole = whole.clone();
            async move {
                let length = whole.len().to_string();
                let kind = ("content-type", "application/cbor");
                let (source, reply) = streamed(200, &[kind, ("content-length", &length)]);
                tokio::spawn(async move {
                    for piece in whole.chunks(9_000) {
                        source.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
                    }
                });
                reply
            }
        });
        let chain = Chain::start(stub, &[]).await;
        let response = chain.connect().await.request(Method::Get, asking(None, Some(PACKED)), b"").await;
        let packed = packed::pack(&plain);
        assert_eq!(response.options.size, is_known.then_some(packed.len() as u64), "{}", plain.len());
        assert!(response.body == packed);
    }
}

#[tokio::test]
async fn what_is_not_packed_counts_for_the_rate() {
    let chain =
        Chain::start(crate::stub::ok(), &["--requests-per-second", "1", "--request-burst", "3"]).await;
    let wire = chain.connect().await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(wire.request(Method::Put, asking(Some(PACKED), None), b"\xd6\x01").await.code);
    }
    assert_eq!(codes.pop(), Some(Code::TOO_MANY_REQUESTS));
    assert_eq!(codes, [Code::BAD_REQUEST; 3]);
}

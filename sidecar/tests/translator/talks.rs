//! What goes to the homeserver, and what comes back.

use crate::stub::{Homeserver, json, reply};
use crate::{COAP, cbor, decoded, document, get, header, post, settings, stranger, translator, whole};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use lowband_sidecar::translator::{Client, Translator};
use lowband_translation::config::Advertise;
use lowband_translation::metrics::{Direction, Metric, Outcome};
use serde_json::json;

const VERSIONS: &str = "/_matrix/client/versions";

#[tokio::test]
async fn an_answer_is_json_there_and_cbor_here_with_the_keys_that_the_client_knows() {
    let homeserver = Homeserver::start(|_| async { json(200, r#"{"event_id":"$x","n":1}"#) }).await;
    let translator = translator(&homeserver.url());
    for (version, client, begins) in [
        (Some("1"), COAP, &b"\xa2\x01"[..]),
        (Some("0"), COAP, b"\xa2\x68event_id"),
        // The field is believed from the sidecar alone.
        (Some("1"), stranger(), b"\xa2\x68event_id"),
        (None, stranger(), b"\xa2\x68event_id"),
    ] {
        let mut request = get(VERSIONS);
        if let Some(version) = version {
            request.headers_mut().insert("lowband-cbor-version", version.parse().unwrap());
        }
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let response = translator.carry(request, client).await;
        assert_eq!(response.status(), 200);
        let length: usize = header(&response, "content-length").unwrap().parse().unwrap();
        assert_eq!(header(&response, "vary"), Some("Accept"));
        assert_eq!(header(&response, "content-type"), Some("application/cbor"));
        let body = whole(response).await;
        assert_eq!(body.len(), length);
        assert!(body.starts_with(begins), "{version:?} {client:?}: {body:?}");
        assert_eq!(decoded(&body), json!({"event_id": "$x", "n": 1}));
        let (_, uri, fields) = homeserver.seen.lock().unwrap().pop().unwrap();
        assert_eq!(uri, VERSIONS);
        assert_eq!(fields["host"], homeserver.address.to_string());
        assert_eq!(fields["accept"], "application/json");
        assert!(!fields.contains_key("lowband-cbor-version"));
        assert!(!fields.contains_key("accept-encoding"), "a compressed answer could not be read");
    }
    let counts = translator.counts();
    assert_eq!(counts.count(Metric::Messages(Direction::Response, Outcome::Translated)), 4);
    assert_eq!(counts.count(Metric::BytesIn(Direction::Response)), 4 * 23);
    assert_eq!(homeserver.connections.load(std::sync::atomic::Ordering::SeqCst), 1, "one is kept");
}

#[tokio::test]
async fn a_request_is_cbor_here_and_json_there_and_a_broken_one_never_gets_there() {
    let homeserver = Homeserver::start(|seen| async {
        let (kind, length) = (seen.header("content-type"), seen.header("content-length"));
        let body = seen.whole().await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        json(200, &json!({"kind": kind, "length": length, "body": body}).to_string())
    })
    .await;
    let translator = translator(&homeserver.url());
    for client in [COAP, stranger()] {
        let told =
            document(translator.carry(post("/_matrix/client/v3/x", cbor(r#"{"body":"hi"}"#)), client).await);
        assert_eq!(told.await, json!({"kind": "application/json", "length": "13", "body": {"body": "hi"}}));
        let broken = translator.carry(post("/_matrix/client/v3/x", &b"\xa1\x61"[..]), client).await;
        assert_eq!(broken.status(), 400);
        let told = document(broken).await;
        assert_eq!(told["errcode"], "M_NOT_JSON");
        assert!(told["error"].as_str().unwrap().contains("byte 2"), "{told}");
        // What JSON clients send is not looked into.
        let request = Request::post("/_matrix/client/v3/x").header("content-type", "application/json");
        let response = translator.carry(request.body(Full::new(Bytes::from("[1, 2]"))).unwrap(), client);
        let told: serde_json::Value = serde_json::from_slice(&whole(response.await).await).unwrap();
        assert_eq!(told["body"], json!([1, 2]));
    }
    assert_eq!(homeserver.requests(), 4);
}

#[tokio::test]
async fn a_path_arrives_as_it_was_written_or_not_at_all() {
    let homeserver = Homeserver::start(|_| async { json(200, "{}") }).await;
    let translator = translator(&homeserver.url());
    for (path, status) in [
        ("/_matrix/client/v3/directory/room/%23a%2Fb%3Fc%25d+%C3%BC:d//?x=%2F&y=//..", 200),
        ("/_matrix/client/v3/a..b/.c", 200),
        ("/_matrix/client/../../_synapse/admin/v1/users", 400),
        ("/_matrix/client/%2e%2E/x", 400),
        ("/_matrix/client/..%2f..%2f_synapse/admin", 400),
        ("/_synapse/admin/v1/users", 404),
        ("/_matrix%2Fclient/versions", 404),
        ("/", 404),
    ] {
        for client in [COAP, stranger()] {
            let before = homeserver.requests();
            let response = translator.carry(get(path), client).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(homeserver.requests() - before, usize::from(status == 200), "{path}");
            if status == 200 {
                assert_eq!(homeserver.seen.lock().unwrap().last().unwrap().1, path);
            } else {
                assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
                let expected = if status == 404 { "M_UNRECOGNIZED" } else { "M_UNKNOWN" };
                assert_eq!(document(response).await["errcode"], expected, "{path}");
            }
        }
    }
    // Only strangers get to these.
    for path in ["/_matrix/media/v3/config", "/_synapse/client/pick_username"] {
        assert_eq!(translator.carry(get(path), COAP).await.status(), 404, "{path}");
        assert_eq!(translator.carry(get(path), stranger()).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_homeserver_learns_who_asks_from_us_alone() {
    let homeserver = Homeserver::start(|_| async { json(200, "{}") }).await;
    let translator = translator(&homeserver.url());
    let claims = |client: Client| {
        let mut request = get(VERSIONS);
        for (name, value) in [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "mine"),
            ("forwarded", "for=198.51.100.1"),
            ("authorization", "Bearer abc"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        translator.carry(request, client)
    };
    assert_eq!(claims(COAP).await.status(), 200);
    let (.., believed) = homeserver.seen.lock().unwrap().pop().unwrap();
    assert_eq!(
        (&believed["x-forwarded-for"], &believed["x-request-id"]),
        (&"198.51.100.1".parse().unwrap(), &"mine".parse().unwrap())
    );
    let in_clear = Client::Stranger { address: [192, 0, 2, 7].into(), is_secure: false, id: None };
    assert_eq!(claims(in_clear).await.status(), 200);
    let (.., known) = homeserver.seen.lock().unwrap().pop().unwrap();
    assert_eq!(
        (&known["x-forwarded-for"], &known["x-forwarded-proto"]),
        (&"192.0.2.7".parse().unwrap(), &"http".parse().unwrap())
    );
    assert!(known["x-request-id"].len() == 36 && !known.contains_key("forwarded"), "{known:?}");
    assert_eq!(known["authorization"], "Bearer abc");
}

#[tokio::test]
async fn what_nobody_looks_into_passes_as_it_is() {
    let homeserver = Homeserver::start(|seen| async move {
        assert_eq!(seen.header("accept-encoding").as_deref(), Some("gzip"));
        let fields = [
            ("content-type", "image/png"),
            ("content-encoding", "gzip"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("etag", "\"x\""),
        ];
        reply(200, &fields, "not to be read")
    })
    .await;
    let translator = translator(&homeserver.url());
    let mut request = get("/_matrix/client/v1/media/download/a/b");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let response = translator.carry(request, stranger()).await;
    assert_eq!(header(&response, "content-type"), Some("image/png"));
    assert_eq!(header(&response, "content-encoding"), Some("gzip"));
    assert_eq!((header(&response, "etag"), header(&response, "x-hop")), (Some("\"x\""), None));
    assert_eq!(header(&response, "content-length"), Some("14"));
    assert_eq!(whole(response).await, "not to be read");
}

#[tokio::test]
async fn discovery_states_what_is_advertised() {
    let homeserver = Homeserver::start(|_| async { json(200, r#"{"versions":["v1.1"]}"#) }).await;
    let advertise = Advertise { dtls_port: Some(8008), ..Advertise::default() };
    let translator =
        Translator::new(&lowband_sidecar::translator::Settings { advertise, ..settings(&homeserver.url()) })
            .unwrap();
    for client in [COAP, stranger()] {
        let told = document(translator.carry(get(VERSIONS), client).await).await;
        assert_eq!(told["org.matrix.msc3079.low_bandwidth"]["dtls"], 8008);
        let request = Request::get(VERSIONS).body(Full::<Bytes>::default()).unwrap();
        let told = whole(translator.carry(request, client).await).await;
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["org.matrix.msc3079.low_bandwidth"]["dtls"], 8008);
    }
}

#[tokio::test]
async fn head_and_304_have_no_body() {
    let homeserver = Homeserver::start(|seen| async move {
        match seen.method {
            http::Method::HEAD => {
                reply(200, &[("content-type", "application/json"), ("content-length", "1000")], "")
            }
            _ => reply(304, &[("etag", "\"x\"")], ""),
        }
    })
    .await;
    let translator = translator(&homeserver.url());
    for method in ["HEAD", "GET"] {
        let request = Request::builder().method(method).uri(VERSIONS).header("accept", "application/cbor");
        let response = translator.carry(request.body(Full::<Bytes>::default()).unwrap(), stranger()).await;
        assert_eq!(response.status(), if method == "HEAD" { 200 } else { 304 });
        assert_eq!(header(&response, "content-length"), None, "{method}");
        assert_eq!(whole(response).await, "");
    }
}

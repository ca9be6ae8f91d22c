//! What clients over TCP get: the homeserver's answers, in the form that they read.

use crate::client::{Http, get, post, raw, with};
use crate::harness::Server;
use crate::homeserver::{Handler, handler, json, ok, reply, streamed};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};

const VERSIONS: &str = "/_matrix/client/versions";
const BOTH: &[u8] = b"\x02h2\x08http/1.1";
const ONE: &[u8] = b"\x08http/1.1";

fn homeserver() -> Handler {
    handler(|seen| async move {
        match seen.uri.path() {
            VERSIONS => json(r#"{"versions":["v1.11"]}"#),
            "/.well-known/matrix/client" => json(r#"{"m.homeserver":{"base_url":"http://inner.test"}}"#),
            path if path.starts_with("/_matrix/media") => reply("image/png", seen.body),
            _ => json(r#"{"user_id": "@a:b" ,"x":1.0}"#),
        }
    })
}

#[tokio::test]
async fn each_version_of_http_is_spoken_with_tls_and_without() {
    let (tls, clear) = (Server::tls(homeserver(), &[]).await, Server::clear(homeserver(), &[]).await);
    let mut clients = [
        (Http::tls(tls.address, BOTH).await, true),
        (Http::tls(tls.address, b"\x02h2").await, true),
        (Http::tls(tls.address, ONE).await, false),
        (Http::tls(tls.address, b"").await, false),
        (Http::clear(clear.address, false).await, false),
        (Http::clear(clear.address, true).await, true),
    ];
    for (client, is_http2) in &mut clients {
        assert_eq!(client.is_http2(), *is_http2);
        // Twice: the connection stays.
        for _ in 0..2 {
            let answer = client.send(get("/_matrix/client/v3/account/whoami")).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.body(), &br#"{"user_id": "@a:b" ,"x":1.0}"#[..], "JSON as it came");
        }
    }
    assert_eq!(tls.metric(r#"lowband_public_requests_total{status="2xx"}"#).await, 8.0);
    assert_eq!(tls.metric("lowband_public_connections").await, 4.0);
}

#[tokio::test]
async fn who_asks_for_cbor_gets_cbor_and_sends_it() {
    let server = Server::tls(homeserver(), &[]).await;
    let mut client = Http::tls(server.address, BOTH).await;
    let answer = client.send(with("/_matrix/client/v3/x", &[("accept", "application/cbor")])).await;
    assert_eq!(answer.headers()["content-type"], "application/cbor");
    let text = lowband_codec::texts_to_cbor(&[("a", "b")]);
    let answer = client.send(post("/_matrix/client/v3/x", "application/cbor", text)).await;
    assert_eq!(answer.headers()["content-type"], "application/cbor");
    let seen = server.homeserver.last();
    assert_eq!(
        (&seen.body[..], &seen.headers["content-type"]),
        (&br#"{"a":"b"}"#[..], &"application/json".parse().unwrap())
    );
}

#[tokio::test]
async fn media_passes_both_ways_in_any_size() {
    let server = Server::tls(homeserver(), &[]).await;
    let picture: Bytes = (0..5_000_000_u32).map(|n| ((n * 7) >> 3) as u8).collect::<Vec<_>>().into();
    for offer in [BOTH, ONE] {
        let mut client = Http::tls(server.address, offer).await;
        let answer = client.send(post("/_matrix/media/v3/upload", "image/png", picture.clone())).await;
        assert_eq!(answer.headers()["content-type"], "image/png");
        assert!(answer.body() == &picture);
    }
}

#[tokio::test]
async fn a_piece_of_an_answer_goes_on_before_the_next_one_is_there() {
    let (pieces, body) = streamed("image/png");
    let body = std::sync::Mutex::new(Some(body));
    let streams = handler(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { body }
    });
    let server = Server::tls(streams, &[]).await;
    let mut client = Http::tls(server.address, BOTH).await;
    let mut answer = client.ask(get("/_matrix/media/v3/download/h/x")).await.unwrap().into_body();
    for piece in ["first", "second"] {
        pieces.send(Bytes::from_static(piece.as_bytes())).await.unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(pieces);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn discovery_names_this_proxy() {
    let options = ["--advertise", "https://lb.example.org/", "--dtls-port", "8443"];
    let server = Server::tls(homeserver(), &options).await;
    let mut client = Http::tls(server.address, BOTH).await;
    let answer = client.send(get("/.well-known/matrix/client")).await;
    assert_eq!(answer.body(), &br#"{"m.homeserver":{"base_url":"https://lb.example.org"}}"#[..]);
    let answer = client.send(get(VERSIONS)).await;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains(r#""org.matrix.msc3079.low_bandwidth":{"dtls":8443,"#), "{text}");
}

#[tokio::test]
async fn the_homeserver_hears_who_asks_and_not_what_the_client_says_of_itself() {
    let server = Server::tls(homeserver(), &[]).await;
    let mut client = Http::tls(server.address, ONE).await;
    let claims = [
        ("x-forwarded-for", "192.0.2.9"),
        ("x-forwarded-proto", "http"),
        ("connection", "x-secret"),
        ("x-secret", "1"),
    ];
    client.send(with("/_matrix/client/v3/x?a=%2F..%2f", &claims)).await;
    let seen = server.homeserver.last();
    assert_eq!(seen.uri.path_and_query().unwrap(), "/_matrix/client/v3/x?a=%2F..%2f");
    assert_eq!(
        (&seen.headers["x-forwarded-for"], &seen.headers["x-forwarded-proto"]),
        (&"127.0.0.1".parse().unwrap(), &"https".parse().unwrap())
    );
    assert_eq!(seen.headers["host"], server.homeserver.address.to_string());
    assert!(!seen.headers.contains_key("x-secret"));
}

#[tokio::test]
async fn what_a_balancer_says_is_believed() {
    let server = Server::clear(homeserver(), &["--balancers", "127.0.0.1"]).await;
    let mut client = Http::clear(server.address, false).await;
    let said = [("x-forwarded-for", "192.0.2.9, 198.51.100.1"), ("x-forwarded-proto", "https")];
    client.send(with("/_matrix/client/v3/x", &said)).await;
    let seen = server.homeserver.last();
    assert_eq!(
        (&seen.headers["x-forwarded-for"], &seen.headers["x-forwarded-proto"]),
        (&"198.51.100.1".parse().unwrap(), &"https".parse().unwrap())
    );
}

#[tokio::test]
async fn a_preflight_is_for_the_homeserver_and_other_paths_and_protocols_are_for_nobody() {
    let server = Server::clear(homeserver(), &[]).await;
    let mut client = Http::clear(server.address, false).await;
    let mut preflight =
        with(VERSIONS, &[("access-control-request-method", "GET"), ("origin", "https://app.test")]);
    *preflight.method_mut() = Method::OPTIONS;
    assert_eq!(client.send(preflight).await.status(), 200);
    assert_eq!(server.homeserver.last().method, Method::OPTIONS);
    let asked = server.homeserver.seen().len();
    for (path, fields, status, errcode) in [
        ("/_synapse/admin/v1/users", &[][..], 404, "M_UNRECOGNIZED"),
        ("/_matrix/../_synapse/admin", &[], 400, "M_UNKNOWN"),
        (VERSIONS, &[("upgrade", "websocket"), ("connection", "upgrade")], 501, "M_UNRECOGNIZED"),
    ] {
        let answer = client.send(with(path, fields)).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(text.contains(errcode), "{path}: {text}");
    }
    assert_eq!(client.send(with("/.lowband/ready", &[])).await.body(), "ready\n");
    let tunnel = raw(
        server.address,
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(tunnel.starts_with("HTTP/1.1 501"), "{tunnel}");
    assert_eq!(server.homeserver.seen().len(), asked);
    assert_eq!(server.metric(r#"lowband_public_requests_refused_total{reason="upgrade"}"#).await, 2.0);
}

#[tokio::test]
async fn who_asks_for_http2_by_an_upgrade_goes_on_in_http1() {
    let server = Server::clear(ok(), &[]).await;
    let mut client = Http::clear(server.address, false).await;
    let fields = [
        ("upgrade", "h2c"),
        ("connection", "upgrade, http2-settings"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    assert_eq!(client.send(with(VERSIONS, &fields)).await.status(), 200);
    assert!(!server.homeserver.last().headers.contains_key("http2-settings"));
}

#[tokio::test]
async fn no_bytes_of_one_request_become_another_one() {
    let server = Server::clear(ok(), &[]).await;
    // Both lengths: the chunks count (RFC 9112 section 6.3), and what follows them is refused or a request of
    // its own, never part of what the homeserver reads.
    let both = b"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\
        connection: close\r\n\r\n0\r\n\r\nGET /_matrix/client/v3/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    raw(server.address, both).await;
    for broken in [
        &b"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde"[..],
        b"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\nabcd",
        b"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        b"GET /_matrix/client/v3/x HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET /_matrix/client/v3/x y HTTP/1.1\r\nhost: a\r\n\r\n",
        b"nonsense\r\n\r\n",
    ] {
        let answer = raw(server.address, broken).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let seen = server.homeserver.seen();
    assert!(seen.iter().all(|seen| !seen.uri.path().contains("smuggled")), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.body.is_empty()) && seen.len() <= 1, "{seen:?}");
}

#[tokio::test]
async fn a_request_in_absolute_form_asks_the_homeserver_and_nobody_else() {
    let server = Server::clear(ok(), &[]).await;
    let asked = b"GET http://other.test/_matrix/client/versions HTTP/1.1\r\nhost: other.test\r\nconnection: close\r\n\r\n";
    assert!(raw(server.address, asked).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.homeserver.last().headers["host"], server.homeserver.address.to_string());
    let request: Request<Full<Bytes>> = get("/");
    assert_eq!(Http::clear(server.address, true).await.send(request).await.status(), 404);
}

//! What arrives upstream for each request of a client.

use crate::client::{Wire, options};
use crate::harness::Chain;
use crate::stub::{handler, ok, reply};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};

fn with_token(path: &str, token: &str) -> RequestOptions {
    RequestOptions { authorization: Some(token.to_owned()), ..options(path) }
}

async fn start() -> (Chain, Wire) {
    let chain = Chain::start(ok(), &[]).await;
    let wire = chain.connect().await;
    (chain, wire)
}

#[tokio::test]
async fn versions_by_path_code_and_by_full_path_is_one_request() {
    let (chain, wire) = start().await;
    for path in ["0", "/_matrix/client/versions"] {
        let response = wire.get(path).await;
        assert_eq!((response.code, response.body.as_slice()), (Code::CONTENT, &b"\xa0"[..]));
        assert_eq!(response.options.content_format, Some(60));
        let seen = chain.stub.last();
        assert_eq!((seen.method.as_str(), seen.target()), ("GET", "/_matrix/client/versions"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.header("accept"), Some("application/cbor"));
        assert_eq!(seen.header("lowband-cbor-version"), Some("1"));
        assert_eq!(seen.header("user-agent"), Some(concat!("lowband/", env!("CARGO_PKG_VERSION"))));
        assert!(seen.body.is_empty());
        assert_eq!(seen.header("content-type"), None);
    }
}

#[tokio::test]
async fn the_list_of_resources_is_answered_by_the_sidecar_alone() {
    let (chain, wire) = start().await;
    let listed = wire.get("/.well-known/core").await;
    assert_eq!((listed.code, listed.options.content_format), (Code::CONTENT, Some(40)));
    let text = String::from_utf8(listed.body).unwrap();
    assert!(text.starts_with("</_matrix/client>;rt=\"matrix.client\"") && !text.contains("obs"), "{text}");
    let filtered = wire.get("/.well-known/core?rt=lowband*").await;
    assert_eq!(filtered.body, b"</.lowband/ready>;rt=\"lowband.ready\"");
    let nothing = wire.get("/.well-known/core?rt=temperature").await;
    assert_eq!((nothing.code, nothing.body.len()), (Code::CONTENT, 0));
    let cbor = RequestOptions { accept: Some(60), ..options("/.well-known/core") };
    assert_eq!(wire.request(Method::Get, cbor, b"").await.code, Code::NOT_ACCEPTABLE);
    let posted = wire.request(Method::Post, options("/.well-known/core"), b"").await;
    assert_eq!(posted.code, Code::METHOD_NOT_ALLOWED);
    let unread = wire.get("/.well-known/%63ore").await;
    assert_eq!(unread.code, Code::PROXYING_NOT_SUPPORTED);
    assert!(chain.stub.seen().is_empty());
}

#[tokio::test]
async fn bodies_small_large_and_absent_arrive_whole() {
    let (chain, wire) = start().await;
    let large = vec![0x58; 300_000];
    for (method, sent, arrived) in [
        (Method::Post, &b"\xa1\x61a\x01"[..], &b"\xa1\x61a\x01"[..]),
        (Method::Put, &large, &large),
        (Method::Post, b"", b"\xa0"),
        (Method::Put, b"", b"\xa0"),
        (Method::Delete, b"", b""),
        (Method::Delete, b"\xa0", b"\xa0"),
    ] {
        let response = wire.request(method, options("/_matrix/client/v3/x"), sent).await;
        assert_eq!(response.code, Code::CONTENT);
        let seen = chain.stub.last();
        assert_eq!(seen.body, arrived, "{method:?} {}", sent.len());
        let kind = (!arrived.is_empty()).then_some("application/cbor");
        assert_eq!(seen.header("content-type"), kind, "{method:?} {}", sent.len());
    }
}

#[tokio::test]
async fn parameters_and_queries_arrive_as_a_plain_http_client_would_send_them() {
    let (chain, wire) = start().await;
    let path = ["_matrix", "client", "v3", "rooms", "!a/b?c#d%2F:hs", "state", "m.\u{fc}\u{1f600}", ""];
    let options = RequestOptions {
        path: path.iter().map(|s| (*s).to_owned()).collect(),
        query: ["z=1", "bare", "a=b&c", "z=2"].iter().map(|s| (*s).to_owned()).collect(),
        ..RequestOptions::default()
    };
    wire.request(Method::Get, options, b"").await;
    let seen = chain.stub.last();
    let (path, query) = seen.target().split_once('?').unwrap();
    let decoded: Vec<_> = path
        .split('/')
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8().unwrap().into_owned())
        .collect();
    assert_eq!(decoded[5], "!a/b?c#d%2F:hs");
    assert_eq!(decoded[7..], ["m.\u{fc}\u{1f600}", ""]);
    assert_eq!(query, "z=1&bare&a=b%26c&z=2");
}

#[tokio::test]
async fn a_token_sticks_to_its_session_and_to_no_other() {
    let (chain, wire) = start().await;
    let other = chain.connect().await;
    let authorization = || chain.stub.last().header("authorization").map(str::to_owned);
    wire.get("7").await;
    assert_eq!(authorization(), None);
    wire.request(Method::Get, with_token("7", "Bearer abc"), b"").await;
    assert_eq!(authorization().as_deref(), Some("Bearer abc"));
    wire.get("7").await;
    assert_eq!(authorization().as_deref(), Some("Bearer abc"));
    other.get("7").await;
    assert_eq!(authorization(), None);
    wire.request(Method::Get, with_token("7", "def"), b"").await;
    wire.get("7").await;
    assert_eq!(authorization().as_deref(), Some("Bearer def"));
    for path in ["4", "1", "/_matrix/client/v3/refresh"] {
        wire.request(Method::Post, options(path), b"").await;
        assert_eq!(authorization(), None, "{path}");
    }
    wire.request(Method::Post, with_token("4", "ghi"), b"").await;
    assert_eq!(authorization().as_deref(), Some("Bearer ghi"));
}

#[tokio::test]
async fn a_refused_request_replaces_the_token_all_the_same() {
    let (chain, wire) = start().await;
    let refused = wire.request(Method::Get, with_token("/_synapse/admin", "abc"), b"").await;
    assert_eq!(refused.code, Code::PROXYING_NOT_SUPPORTED);
    wire.get("7").await;
    assert_eq!(chain.stub.last().header("authorization"), Some("Bearer abc"));
    let refused = wire.request(Method::Get, with_token("7", "a\r\nx-evil: 1"), b"").await;
    assert_eq!(refused.code, Code::BAD_REQUEST);
    wire.get("7").await;
    assert_eq!(chain.stub.last().header("authorization"), None);
}

#[tokio::test]
async fn the_cbor_version_is_sticky_and_integer_keys_tell_it() {
    let chain = Chain::start(ok(), &["--default-cbor-version", "0"]).await;
    let (wire, other) = (chain.connect().await, chain.connect().await);
    let version = || chain.stub.last().header("lowband-cbor-version").map(str::to_owned).unwrap();
    wire.get("7").await;
    assert_eq!(version(), "0");
    let said = RequestOptions { cbor_version: Some(2), ..options("7") };
    wire.request(Method::Get, said, b"").await;
    assert_eq!(version(), "1");
    wire.get("7").await;
    assert_eq!(version(), "1");
    other.request(Method::Put, options("/_matrix/client/v3/x"), b"\xa1\x02\x61x").await;
    assert_eq!(version(), "1");
    other.get("7").await;
    assert_eq!(version(), "1");
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_upstream() {
    let (chain, wire) = start().await;
    for (path, code) in [
        ("/_synapse/admin/v1/users", Code::PROXYING_NOT_SUPPORTED),
        ("/_matrix/federation/v1/version", Code::PROXYING_NOT_SUPPORTED),
        ("/_matrix/client/v1/media/config", Code::PROXYING_NOT_SUPPORTED),
        ("/_matrix/client//v1/media/config", Code::PROXYING_NOT_SUPPORTED),
        ("/_matrix/client/v1/%6Dedia/config", Code::PROXYING_NOT_SUPPORTED),
        ("//_matrix/client/versions", Code::PROXYING_NOT_SUPPORTED),
        ("/_matrix/client/%2e%2e/%2e%2e/_synapse", Code::BAD_REQUEST),
        ("9", Code::NOT_FOUND),
    ] {
        let response = wire.get(path).await;
        assert_eq!(response.code, code, "{path}");
        if code == Code::PROXYING_NOT_SUPPORTED {
            assert_eq!(response.options.content_format, Some(60));
            let errcode = lowband_codec::peek::text(&response.body, "errcode", None).unwrap();
            assert_eq!(errcode.as_deref(), Some("M_UNRECOGNIZED"));
        } else {
            assert!(std::str::from_utf8(&response.body).is_ok_and(|text| !text.is_empty()), "{path}");
        }
    }
    for (options, code) in [
        (RequestOptions { accept: Some(0), ..options("0") }, Code::NOT_ACCEPTABLE),
        (RequestOptions { content_format: Some(0), ..options("1") }, Code::UNSUPPORTED_CONTENT_FORMAT),
    ] {
        let counter = format!("lowband_requests_total{{method=\"POST\",code=\"{code}\"}}");
        assert_eq!(wire.request(Method::Post, options, b"x").await.code, code);
        assert_eq!(chain.metric(&counter).await, 1.0, "{counter}");
    }
    assert_eq!(chain.stub.seen().len(), 0);
}

#[tokio::test]
async fn json_goes_both_ways_when_the_client_asks_for_it() {
    let json = handler(|_| async { reply(200, &[("content-type", "application/json")], b"{}") });
    let chain = Chain::start(json, &[]).await;
    let wire = chain.connect().await;
    let options = RequestOptions { accept: Some(50), content_format: Some(50), ..options("1") };
    let response = wire.request(Method::Post, options, b"{\"a\":1}").await;
    assert_eq!((response.options.content_format, response.body.as_slice()), (Some(50), &b"{}"[..]));
    let seen = chain.stub.last();
    assert_eq!(
        (seen.header("accept"), seen.header("content-type")),
        (Some("application/json"), Some("application/json"))
    );
    assert_eq!(seen.body, "{\"a\":1}");
}

//! An upstream that is down, hangs, breaks off, talks nonsense or too much; and our own limits.

use crate::client::{answer, options};
use crate::harness::{Chain, Folder, eventually};
use crate::stub::{Stub, cbor, handler, ok, reply, streamed};
use bytes::Bytes;
use lowband_transport::coap::Response;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::io;
use tokio::net::UnixListener;

fn errcode(response: &Response) -> String {
    assert_eq!(response.options.content_format, Some(60));
    let errcode = lowband_codec::peek::text(&response.body, "errcode", None).unwrap();
    errcode.expect("a Matrix error").into_owned()
}

#[tokio::test]
async fn a_dead_upstream_is_5_02_and_is_found_again_without_a_restart() {
    let folder = Folder::new();
    let stub = Stub::new(folder.path().join("envoy.sock"), ok());
    let chain = Chain::with_stub(folder, stub, &[]).await;
    let wire = chain.connect().await;
    for _ in 0..2 {
        let response = wire.get("0").await;
        assert_eq!((response.code, errcode(&response).as_str()), (Code::BAD_GATEWAY, "M_UNKNOWN"));
        chain.stub.listen();
        eventually("recovery", async || wire.get("0").await.code == Code::CONTENT).await;
        chain.stub.die().await;
    }
    assert!(chain.metric("lowband_upstream_failures_total{reason=\"unreachable\"}").await >= 2.0);
}

#[tokio::test]
async fn a_hung_upstream_is_5_04() {
    let folder = Folder::new();
    let socket = folder.path().join("envoy.sock");
    let stub = Stub::new(socket.clone(), ok());
    // The kernel accepts connections, and no program ever reads from them.
    let _listener = UnixListener::bind(socket).unwrap();
    let chain = Chain::with_stub(folder, stub, &["--response-timeout", "100ms"]).await;
    let response = chain.connect().await.get("0").await;
    assert_eq!((response.code, errcode(&response).as_str()), (Code::GATEWAY_TIMEOUT, "M_UNKNOWN"));
    assert_eq!(chain.metric("lowband_upstream_failures_total{reason=\"hung\"}").await, 1.0);
}

#[tokio::test]
async fn an_upstream_that_dies_in_mid_request_is_5_02() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let stub = handler(move |_| {
        let _ = tell.send(());
        std::future::pending()
    });
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    let answered = wire.ask(Method::Put, options("/_matrix/client/v3/x"), b"\xa0");
    told.recv().await.unwrap();
    chain.stub.die().await;
    assert_eq!(answer(answered).await.unwrap().code, Code::BAD_GATEWAY);
    // The request may have been executed: it must not be sent again.
    assert_eq!(chain.stub.seen().len(), 1);
}

#[tokio::test]
async fn half_a_body_is_5_02_whether_it_breaks_before_or_after_the_first_block() {
    for sent in [0, 100, 5_000, 50_000] {
        let stub = handler(move |_| async move {
            let (source, reply) =
                streamed(200, &[("content-type", "application/cbor"), ("content-length", "100000")]);
            tokio::spawn(async move {
                if sent > 0 {
                    source.send(Ok(Bytes::from(vec![1; sent]))).await.unwrap();
                }
                let _ = source.send(Err(io::Error::other("broken off"))).await;
            });
            reply
        });
        let chain = Chain::start(stub, &[]).await;
        let wire = chain.connect().await;
        let response = wire.get("7").await;
        assert_eq!(response.code, Code::BAD_GATEWAY, "{sent}");
        assert_eq!(chain.metric("lowband_upstream_failures_total{reason=\"broken\"}").await, 1.0, "{sent}");
        assert_eq!(wire.get("/.lowband/ready").await.code, Code::CONTENT, "the session lives on");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_5_04() {
    let stub = handler(|_| async {
        let (source, reply) = streamed(200, &[("content-type", "application/cbor")]);
        tokio::spawn(async move {
            source.send(Ok(Bytes::from_static(b"\xa1"))).await.unwrap();
            source.closed().await;
        });
        reply
    });
    let chain = Chain::start(stub, &["--response-timeout", "100ms"]).await;
    assert_eq!(chain.connect().await.get("7").await.code, Code::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_header_of_100_kb_ends_its_request_and_nothing_else() {
    let stub = handler(|seen| async move {
        if seen.target().ends_with("versions") {
            return cbor(200, b"\xa0");
        }
        reply(200, &[("content-type", "application/cbor"), ("x-large", &"x".repeat(100_000))], b"\xa0")
    });
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    let response = wire.get("7").await;
    assert_eq!((response.code, errcode(&response).as_str()), (Code::BAD_GATEWAY, "M_UNKNOWN"));
    assert_eq!(chain.metric("lowband_upstream_failures_total{reason=\"broken\"}").await, 1.0);
    assert_eq!(wire.get("0").await.code, Code::CONTENT);
}

#[tokio::test]
async fn an_error_with_a_body_made_to_hurt_is_searched_in_vain_and_told_in_our_words_where_it_is_short() {
    for (body, passes) in [
        (&b"\x5b\x00\x00\x01\x00\x00\x00\x00\x00abc"[..], false),
        (b"\xbb\x00\x00\x01\x00\x00\x00\x00\x00", false),
        (&[0x81; 10_000], false),
        (&[0x81; 50_000], true),
        (&[0xc1; 50_000], true),
        (b"\xa2\x67errcode\x61x\x6eretry_after_ms\x43abc", true),
        (b"\xa2\x67errcode\x61x\x6eretry_after_ms\x3b\xff\xff\xff\xff\xff\xff\xff\xff", true),
    ] {
        let chain = Chain::start(handler(|_| async { cbor(429, body) }), &[]).await;
        let wire = chain.connect().await;
        for _ in 0..2 {
            let response = wire.get("7").await;
            let max_age = (!passes).then_some(5);
            assert_eq!((response.code, response.options.max_age), (Code::TOO_MANY_REQUESTS, max_age));
            assert_eq!(response.body == body, passes);
        }
    }
}

#[tokio::test]
async fn what_envoy_says_by_itself_becomes_a_matrix_error() {
    for (status_in, code, max_age) in [
        (503, Code::SERVICE_UNAVAILABLE, Some(5)),
        (504, Code::GATEWAY_TIMEOUT, None),
        (502, Code::BAD_GATEWAY, None),
        (500, Code::BAD_GATEWAY, None),
        (404, Code::BAD_GATEWAY, None),
    ] {
        let text = handler(move |_| async move {
            reply(
                status_in,
                &[("content-type", "text/plain"), ("server", "envoy")],
                b"upstream connect error",
            )
        });
        let empty = handler(move |_| async move { reply(status_in, &[("server", "envoy")], b"") });
        for stub in [text, empty] {
            let response = Chain::start(stub, &[]).await.connect().await.get("7").await;
            assert_eq!((response.code, response.options.max_age), (code, max_age), "{status_in}");
            assert_eq!(errcode(&response), "M_UNKNOWN");
        }
    }
}

#[tokio::test]
async fn beyond_the_limit_of_requests_in_flight_clients_are_told_to_come_again() {
    let stub = handler(|_| std::future::pending());
    // The share of one address is 2, and 7 asks for no waiting, so nothing can be answered early.
    let chain = Chain::start(stub, &["--upstream-requests", "8"]).await;
    let (wire, other) = (chain.connect().await, chain.connect().await);
    let _waiting = [wire.ask(Method::Get, options("7"), b""), other.ask(Method::Get, options("7"), b"")];
    chain.metric_reaches("lowband_requests_in_flight", 2.0).await;
    for asks in [&wire, &other] {
        let response = asks.get("7").await;
        assert_eq!((response.code, response.options.max_age), (Code::SERVICE_UNAVAILABLE, Some(1)));
        assert_eq!(errcode(&response), "M_UNKNOWN");
    }
}

#[tokio::test]
async fn bodies_on_their_way_upstream_share_a_bounded_memory() {
    let stub = handler(|_| std::future::pending());
    let chain = Chain::start(stub, &["--upload", "64KiB", "--blockwise-memory", "64KiB"]).await;
    let wire = chain.connect().await;
    let _waiting = wire.ask(Method::Put, options("/_matrix/client/v3/x"), &[0; 40_000]);
    chain.metric_reaches("lowband_requests_in_flight", 1.0).await;
    let response = wire.request(Method::Put, options("/_matrix/client/v3/x"), &[0; 40_000]).await;
    assert_eq!(response.code, Code::SERVICE_UNAVAILABLE);
    let small = wire.request(Method::Put, options("/_matrix/client/v3/media/x"), b"").await;
    assert_eq!(small.code, Code::PROXYING_NOT_SUPPORTED);
}

#[tokio::test]
async fn a_request_for_another_server_never_reaches_ours() {
    let chain = Chain::start(ok(), &["--server-names", "matrix.example.org"]).await;
    let wire = chain.connect().await;
    for (host, code) in [
        (Some("matrix.example.com"), Code::PROXYING_NOT_SUPPORTED),
        (Some("Matrix.example.org"), Code::CONTENT),
        (None, Code::CONTENT),
    ] {
        let options = RequestOptions { host: host.map(str::to_owned), ..options("0") };
        assert_eq!(wire.request(Method::Get, options, b"").await.code, code, "{host:?}");
    }
    assert_eq!(chain.stub.seen().len(), 2);
}

#[tokio::test]
async fn an_address_beyond_its_rate_is_told_so_before_the_upstream_is_asked() {
    let chain = Chain::start(ok(), &["--requests-per-second", "1", "--request-burst", "2"]).await;
    let wire = chain.connect().await;
    let asked: Vec<_> = (0..3).map(|_| wire.ask(Method::Get, options("0"), b"")).collect();
    let mut codes = Vec::new();
    for one in asked {
        codes.push(answer(one).await.unwrap());
    }
    let limited: Vec<_> = codes.iter().filter(|r| r.code == Code::TOO_MANY_REQUESTS).collect();
    assert_eq!(limited.len(), 1);
    assert_eq!((errcode(limited[0]).as_str(), limited[0].options.max_age), ("M_LIMIT_EXCEEDED", Some(1)));
    assert_eq!(chain.stub.seen().len(), 2);
}

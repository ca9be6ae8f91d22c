//! What operators see: health, readiness, metrics, key log.

use crate::client::options;
use crate::harness::{Chain, Folder};
use crate::stub::{Stub, ok};
use lowband_sidecar::admin::MAX_CONNECTIONS;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn the_pages_answer_and_readiness_needs_no_upstream() {
    let folder = Folder::new();
    let stub = Stub::new(folder.path().join("envoy.sock"), ok());
    let chain = Chain::with_stub(folder, stub, &[]).await;
    assert_eq!(chain.page("/healthz").await, (200, "ok\n".to_owned()));
    assert!(!chain.page("/metrics").await.1.contains("lowband_ready "), "nobody has asked");
    assert_eq!(chain.page("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(chain.metric("lowband_ready").await, 1.0);
    assert_eq!(chain.page("/").await.0, 404);
    assert!(chain.metric("lowband_requests_total{method=\"GET\",code=\"2.05\"}").await >= 1.0);
}

#[tokio::test]
async fn connections_that_ask_for_nothing_keep_nobody_from_the_pages() {
    let chain = Chain::start(ok(), &[]).await;
    let (begin, mut silent) = (Instant::now(), Vec::new());
    for _ in 0..MAX_CONNECTIONS {
        silent.push(TcpStream::connect(chain.admin).await.unwrap());
    }
    assert_eq!(chain.page("/healthz").await.0, 200);
    assert!(begin.elapsed() < Duration::from_secs(5), "a silent connection has come to its end by itself");
    // The oldest connection has made room, and only that one.
    let oldest = silent.first_mut().unwrap();
    assert_eq!(oldest.read(&mut [0]).await.unwrap_or(0), 0);
    let newest = silent.last().unwrap();
    assert_eq!(newest.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn readiness_is_asked_for_once_in_five_seconds_however_often_the_page_is_read() {
    let chain = Chain::start(ok(), &[]).await;
    for _ in 0..5 {
        assert_eq!(chain.page("/readyz").await.0, 200);
    }
    assert_eq!(chain.metric("lowband_handshakes_total{result=\"finished\"}").await, 1.0);
}

#[tokio::test]
async fn a_sidecar_without_room_for_sessions_stays_ready_for_those_it_has() {
    let chain = Chain::start(ok(), &["--sessions", "1"]).await;
    let wire = chain.connect().await;
    // The homeserver knows this client: one that it does not know would give way.
    let token = Some("alice".to_owned());
    let options = RequestOptions { authorization: token, ..options("/_matrix/client/v3/account/whoami") };
    assert_eq!(wire.request(Method::Get, options, b"").await.code, Code::CONTENT);
    let (code, text) = chain.page("/readyz").await;
    assert_eq!(code, 200, "{text}");
    assert_eq!(chain.metric("lowband_ready").await, 1.0);
    assert_eq!(chain.page("/healthz").await.0, 200);
    assert_eq!(chain.metric("lowband_dtls_hellos_refused_total{reason=\"sessions\"}").await, 1.0);
    assert_eq!(wire.get("1").await.code, Code::CONTENT);
}

#[tokio::test]
async fn metrics_count_requests_datagrams_and_sessions() {
    let chain = Chain::start(ok(), &[]).await;
    let wire = chain.connect().await;
    wire.get("0").await;
    wire.get("/_synapse/admin").await;
    assert_eq!(chain.metric("lowband_requests_total{method=\"GET\",code=\"2.05\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_requests_total{method=\"GET\",code=\"5.05\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_sessions").await, 1.0);
    assert_eq!(chain.metric("lowband_handshakes_total{result=\"finished\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_coap_requests_total").await, 2.0);
    assert_eq!(chain.metric("lowband_upstream_response_seconds_count").await, 1.0);
    assert_eq!(chain.metric("lowband_request_own_seconds_count").await, 1.0);
    assert!(chain.metric("lowband_udp_datagrams_total{direction=\"in\"}").await >= 4.0);
    assert_eq!(chain.metric("lowband_upstream_long_poll_seconds_count").await, 0.0);
    assert_eq!(chain.metric("lowband_handshake_seconds_count").await, 1.0);
    assert_eq!(chain.metric("lowband_upstream_connections").await, 1.0);
    assert_eq!(chain.metric("lowband_upstream_up").await, 1.0);
}

#[tokio::test]
async fn the_configured_limits_stand_beside_what_they_limit() {
    let options =
        ["--sessions", "70", "--half-open", "60", "--blockwise-memory", "9MiB", "--upstream-requests", "50"];
    let chain = Chain::start(ok(), &[&options[..], &["--upstream-connections", "2"]].concat()).await;
    for (name, limit) in [
        ("sessions_limit", 70.0),
        ("handshakes_half_open_limit", 60.0),
        ("blockwise_limit_bytes", 9_437_184.0),
        ("coap_remembered_limit_bytes", 67_108_864.0),
        ("coap_waiting_answer_limit_bytes", 33_554_432.0),
        ("upstream_body_limit_bytes", 9_437_184.0),
        ("requests_in_flight_limit", 50.0),
        ("upstream_connections_limit", 2.0),
        ("rate_addresses_limit", 100_000.0),
    ] {
        assert_eq!(chain.metric(&format!("lowband_{name}")).await, limit, "{name}");
    }
}

#[tokio::test]
async fn handshakes_of_readiness_are_none_of_clients() {
    let chain = Chain::start(ok(), &[]).await;
    assert_eq!(chain.page("/readyz").await.0, 200);
    assert_eq!(chain.metric("lowband_handshake_seconds_count").await, 0.0);
    chain.connect().await.get("0").await;
    assert_eq!(chain.metric("lowband_handshake_seconds_count").await, 1.0);
}

#[tokio::test]
async fn the_end_of_the_certificate_is_told() {
    let chain = Chain::start(ok(), &[]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let days = (chain.metric("lowband_certificate_not_after_timestamp_seconds").await - now) / 86_400.0;
    assert!((1.9..2.1).contains(&days), "{days} days: the certificate of the tests holds for two");
}

#[tokio::test]
async fn a_scrape_has_the_format_that_its_reader_prefers() {
    let chain = Chain::start(ok(), &[]).await;
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, kind, is_open_metrics) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", false),
        ("accept: */*\r\n", "text/plain; version=0.0.4; charset=utf-8", false),
        ("accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n", OPEN_METRICS, true),
    ] {
        let (head, text) = chain.page_with("/metrics", accept).await;
        assert!(head.contains(&format!("\r\ncontent-type: {kind}\r\n")), "{head}");
        assert_eq!(text.ends_with("# EOF\n"), is_open_metrics, "{accept}");
    }
}

#[tokio::test]
async fn the_key_log_holds_a_line_for_each_session() {
    let folder = Folder::new();
    let path = folder.path().join("keys.log");
    let mut chain = Chain::start(ok(), &["--key-log", path.to_str().unwrap(), "--close-within", "0"]).await;
    chain.connect().await.get("0").await;
    chain.shut_down();
    chain.ended().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("CLIENT_RANDOM "), "{text}");
    assert_eq!(text.lines().count(), 1);
}

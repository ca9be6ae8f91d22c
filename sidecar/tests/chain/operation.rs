//! What operators see: health, readiness, metrics, key log.

use crate::harness::{Chain, Folder};
use crate::stub::{Stub, ok};
use lowband_sidecar::status;

#[tokio::test]
async fn the_pages_answer_and_readiness_needs_no_upstream() {
    let folder = Folder::new();
    let stub = Stub::new(folder.path().join("envoy.sock"), ok());
    let chain = Chain::with_stub(folder, stub, &[]).await;
    assert_eq!(chain.page("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(chain.page("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(chain.page("/").await.0, 404);
    assert!(chain.metric("lowband_requests_total{method=\"GET\",code=\"2.05\"}").await >= 1.0);
}

#[tokio::test]
async fn readiness_is_asked_for_once_in_five_seconds_however_often_the_page_is_read() {
    let chain = Chain::start(ok(), &[]).await;
    for _ in 0..5 {
        assert_eq!(chain.page("/readyz").await.0, 200);
    }
    assert_eq!(chain.metric("lowband_dtls_events_total{event=\"handshakes\"}").await, 1.0);
}

#[tokio::test]
async fn a_sidecar_without_room_for_sessions_is_not_ready() {
    let chain = Chain::start(ok(), &["--sessions", "1"]).await;
    let wire = chain.connect().await;
    assert_eq!(wire.get("0").await.code, status::CONTENT);
    let (code, text) = chain.page("/readyz").await;
    assert_eq!(code, 503, "{text}");
}

#[tokio::test]
async fn metrics_count_requests_datagrams_and_sessions() {
    let chain = Chain::start(ok(), &[]).await;
    let wire = chain.connect().await;
    wire.get("0").await;
    wire.get("/_synapse/admin").await;
    assert_eq!(chain.metric("lowband_requests_total{method=\"GET\",code=\"2.05\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_requests_total{method=\"GET\",code=\"5.05\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_dtls_sessions").await, 1.0);
    assert_eq!(chain.metric("lowband_dtls_events_total{event=\"handshakes\"}").await, 1.0);
    assert_eq!(chain.metric("lowband_coap_events_total{event=\"requests\"}").await, 2.0);
    assert_eq!(chain.metric("lowband_upstream_response_seconds_count").await, 1.0);
    assert!(chain.metric("lowband_udp_datagrams_total{direction=\"in\"}").await >= 4.0);
    assert!(chain.page("/metrics").await.1.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_key_log_holds_a_line_for_each_session() {
    let folder = Folder::new();
    let path = folder.path().join("keys.log");
    let chain = Chain::start(ok(), &["--key-log", path.to_str().unwrap()]).await;
    chain.connect().await.get("0").await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("CLIENT_RANDOM "), "{text}");
    assert_eq!(text.lines().count(), 1);
}

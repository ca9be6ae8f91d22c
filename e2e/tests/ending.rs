//! The end of the sidecar, and what clients on HTTPS see of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::envoy::Envoy;
use lowband_e2e::http1::Http1;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::wire;
use tokio::net::UnixStream;

/// A URL at which no program listens: the answers that Envoy makes by itself are enough here.
const NO_HOMESERVER: &str = "http://127.0.0.1:1";

async fn ask(client: &mut Http1) -> Response<Bytes> {
    client.send(Request::get("/nothing").body(Full::default()).unwrap()).await.unwrap()
}

fn ends_its_connection(response: &Response<Bytes>) -> bool {
    assert_eq!(response.status(), 404);
    response.headers().get(header::CONNECTION).is_some_and(|value| value == "close")
}

#[tokio::test]
async fn at_the_end_envoy_lets_its_clients_go_and_serves_the_sidecar_on() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("ending").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    let envoy = Envoy::start(&parts, &folder, &port, NO_HOMESERVER, None).unwrap();
    let admin = envoy.admin().port().to_string();
    let sidecar =
        Sidecar::start(&parts, &folder, &port, &certificate, &["--envoy-admin-port", &admin]).unwrap();
    sidecar.ready().await.unwrap();
    envoy.ready().await.unwrap();

    let https = async || Http1::tls(port.loopback(), &certificate.certificate).await.unwrap();
    let (mut one, mut two) = (https().await, https().await);
    for client in [&mut one, &mut two] {
        assert!(!ends_its_connection(&ask(client).await));
    }
    let connection = wire::connect(port.loopback(), &certificate.certificate).await.unwrap();
    assert!(sidecar.process.stop().unwrap().success());
    drop(connection);

    for client in [&mut one, &mut two] {
        assert!(ends_its_connection(&ask(client).await), "a connection that stood");
    }
    assert!(ends_its_connection(&ask(&mut https().await).await), "a new one");
    let log = std::fs::read_to_string(sidecar.process.log()).unwrap();
    assert!(log.contains("Envoy lets its clients go") && !log.contains("WARN"), "{log}");
    UnixStream::connect(folder.join("envoy.sock")).await.unwrap();
    envoy.process.check().unwrap();
}

#[tokio::test]
async fn an_envoy_that_does_not_answer_changes_nothing_of_the_end() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("ending_alone").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    let nobody = Port::free().unwrap().number().to_string();
    let sidecar =
        Sidecar::start(&parts, &folder, &port, &certificate, &["--envoy-admin-port", &nobody]).unwrap();
    sidecar.ready().await.unwrap();
    assert!(sidecar.process.stop().unwrap().success());
    let log = std::fs::read_to_string(sidecar.process.log()).unwrap();
    assert!(log.contains("they will be cut"), "{log}");
}

//! A renewed certificate over TCP: new connections are shown it, and those that are there go on.

use crate::client::{Http, get, shown};
use crate::harness::Server;
use crate::homeserver::ok;
use crate::identity::Pair;
use openssl::x509::X509;
use std::fs;

/// The option for no check before the test is over.
const NEVER: [&str; 2] = ["--certificate-check", "24h"];

fn pem(pair: &[u8]) -> X509 {
    X509::from_pem(pair).unwrap()
}

#[tokio::test]
async fn new_connections_are_shown_a_renewed_certificate_and_old_ones_go_on() {
    let server = Server::tls(ok(), &NEVER).await;
    let old = fs::read(server.folder.path().join("certificate.pem")).unwrap();
    assert!(shown(server.address).await == pem(&old));
    let mut held = Http::tls(server.address, b"").await;
    let wrong = Pair { key: Pair::new().key, ..Pair::new() };
    wrong.write(server.folder.path());
    server.hang_up().await;
    server.metric_becomes(r#"lowband_certificate_reloads_total{result="refused"}"#, 1.0).await;
    assert!(shown(server.address).await == pem(&old));
    for taken in 1..3 {
        let renewed = Pair::new();
        renewed.write(server.folder.path());
        server.hang_up().await;
        server.metric_becomes(r#"lowband_certificate_reloads_total{result="taken"}"#, f64::from(taken)).await;
        assert!(shown(server.address).await == pem(&renewed.certificate));
        assert_eq!(held.send(get("/_matrix/client/versions")).await.status(), 200);
    }
}

//! A server without Envoy: real clients at its TCP port, and a command line of the reference's `proxy`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::certificate::Certificate;
use lowband_e2e::chain::{Chain, Homeserver, Layout};
use lowband_e2e::fixture::output;
use lowband_e2e::http1;
use lowband_e2e::matrix::{self, SignedIn, User};
use lowband_e2e::parts::{Parts, Translator};
use lowband_e2e::ports::Port;
use lowband_e2e::process::{Process, Recipe};
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::wait;
use lowband_e2e::wire::{Wire, from_cbor};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);
const MEDIA: usize = 5_000_000;
const LOW_BANDWIDTH: &str = "org.matrix.msc3079.low_bandwidth";

/// curl, which believes one certificate.
struct Curl {
    base: String,
    ca: PathBuf,
    /// The argument that chooses the version of HTTP: `--http1.1` or `--http2`.
    version: &'static str,
}

impl Curl {
    /// Asks for a path, with further arguments, and returns the body.
    async fn get(&self, path: &str, more: &[&str]) -> Vec<u8> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body", self.version, "--cacert"]).arg(&self.ca);
        command.args(["-w", "%{stderr}HTTP/%{http_version}"]).args(more).arg(format!("{}{path}", self.base));
        let done = output(command, WITHIN).await.unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{path}: {said} {}", String::from_utf8_lossy(&done.stdout));
        let expected = if self.version == "--http2" { "HTTP/2" } else { "HTTP/1.1" };
        assert!(said.ends_with(expected), "{said}");
        done.stdout
    }
}

fn document(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

/// Sends media up and down again.
async fn media(curl: &Curl, folder: &Path, user: &SignedIn) {
    let file = folder.join("picture");
    let picture: Vec<u8> = (0..MEDIA).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&file, &picture).unwrap();
    let (bearer, data) = (format!("authorization: Bearer {}", user.token), format!("@{}", file.display()));
    let upload = ["-H", &bearer, "-H", "content-type: image/png", "--data-binary", &data];
    let uploaded = document(&curl.get("/_matrix/media/v3/upload?filename=x", &upload).await);
    let id = uploaded["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
    let path = format!("/_matrix/client/v1/media/download/{id}");
    assert!(curl.get(&path, &["-H", &bearer]).await == picture);
}

/// Lets two users of matrix-nio live in JSON over HTTPS.
async fn life(parts: &Parts, server: &str, ca: &Path) {
    let settings = json!({ "server": server, "ca": ca });
    let mut command = Command::new(parts.nio_python().unwrap());
    command.arg(parts.own("foreign/nio/life.py")).arg(settings.to_string());
    let done = output(command, WITHIN).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let notes = String::from_utf8(done.stdout).unwrap();
    assert!(notes.lines().count() > 25, "{notes}");
}

#[tokio::test]
async fn curl_and_nio_are_served_in_json_in_cbor_and_with_media() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("without_envoy").unwrap();
    let layout = Layout {
        folder,
        homeserver: Homeserver::Own(RateLimits::Lifted),
        sidecar: &[],
        translator: Translator::Sidecar,
        base_url: false,
    };
    let chain = Chain::start(&parts, layout, Port::free_for_both().unwrap()).unwrap();
    chain.ready().await.unwrap();
    let ca = &chain.certificate.certificate;
    let base = format!("https://localhost:{}", chain.address().port());
    let mut wire = Wire::https(chain.address(), ca).await.unwrap();
    let user = matrix::sign_in(&mut wire, &User::new("ann")).await.unwrap();
    for version in ["--http1.1", "--http2"] {
        let curl = Curl { base: base.clone(), ca: ca.clone(), version };
        let versions = document(&curl.get("/_matrix/client/versions", &[]).await);
        assert_eq!(versions[LOW_BANDWIDTH]["dtls"], chain.address().port());
        let cbor = curl.get("/_matrix/client/versions", &["-H", "accept: application/cbor"]).await;
        assert_eq!(document(&from_cbor(&cbor).unwrap()), versions);
        media(&curl, chain.folder(), &user).await;
    }
    life(&parts, &base, ca).await;
}

#[tokio::test]
async fn a_command_line_of_the_references_proxy_serves_both_ports() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("without_envoy_reference").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let synapse = Synapse::start(&parts, &folder, RateLimits::Lifted).unwrap();
    let (port, admin) = (Port::free_for_both().unwrap(), Port::free().unwrap());
    let base = format!("https://localhost:{}", port.number());
    let bind = format!("127.0.0.1:{}", port.number());
    let (pem, key) = (certificate.certificate.display().to_string(), certificate.key.display().to_string());
    let arguments = [
        "-local",
        &synapse.url(),
        "--tls-cert",
        &pem,
        "--tls-key",
        &key,
        "-advertise",
        &base,
        "-dtls-bind-addr",
        &bind,
    ];
    let process = Process::start(Recipe {
        name: "sidecar",
        program: parts.program("lowband-sidecar").unwrap(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: vec![("LOWBAND_ADMIN".to_owned(), admin.loopback().to_string())],
        folder: folder.clone(),
    })
    .unwrap();
    wait::until_ready(&process, admin.loopback(), "/readyz", WITHIN).await.unwrap();
    synapse.ready().await.unwrap();
    let server: SocketAddr = bind.parse().unwrap();

    let curl = Curl { base, ca: certificate.certificate.clone(), version: "--http2" };
    let over_tcp = document(&curl.get("/_matrix/client/versions", &[]).await);
    assert_eq!(over_tcp[LOW_BANDWIDTH]["dtls"], server.port());
    let mut coap = Wire::Coap(lowband_e2e::wire::connect(server, &certificate.certificate).await.unwrap());
    let user = matrix::sign_in(&mut coap, &User::new("bob")).await.unwrap();
    media(&curl, &folder, &user).await;
    let log = std::fs::read_to_string(folder.join("sidecar.log")).unwrap();
    for today in ["--homeserver", "--certificate", "--key", "--advertise", "--listen", "--public"] {
        assert!(
            log.contains(&format!("name of {today}")) || log.contains(&format!("{today} https://")),
            "{log}"
        );
    }
    let metrics = http1::get(admin.loopback(), "/metrics").await.unwrap();
    let text = String::from_utf8_lossy(metrics.body()).into_owned();
    assert!(text.contains("lowband_public_connections_limit 1000"), "{text}");
}

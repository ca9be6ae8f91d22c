//! Handshakes of foreign programs that lose a whole flight once: the server's, and the client's last. Each
//! must complete, and the session must carry a request.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::call::Call;
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::loss::Flight;
use lowband_e2e::parts::system_program;
use lowband_e2e::reference::Reference;
use lowband_e2e::relay::Relay;
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "lost_flights").unwrap_or_else(|why| panic!("{why}"))
}

/// A confirmable GET of path code 0, `/versions`. It ends with a line feed, the value of a Content-Format
/// that a request without a payload may have, and holds no zero: both programs read lines of text.
const GET_VERSIONS: &[u8] = b"\x44\x01\x31\x32abcd\xb1\x30\x11\x0a";
/// A text that only the answer holds.
const ANSWER: &[u8] = b"r0.6.1";
/// Time for one client: a lost flight costs a second or two.
const WITHIN: Duration = Duration::from_secs(30);

/// Lets a program that speaks DTLS between its standard input and output fetch `/versions`.
async fn fetches_versions_although_lost(flight: Flight, program: &'static str, arguments: &[&str]) {
    let relay = Relay::losing(fixture().chain.address(), flight).await.unwrap();
    let (chain, port) = (&fixture().chain, relay.address().port().to_string());
    let ca = chain.certificate.certificate.display().to_string();
    let arguments = arguments.iter().map(|argument| argument.replace("{port}", &port).replace("{ca}", &ca));
    let log = chain.folder().join(format!("{program}-{flight:?}.log"));
    let mut command = Command::new(system_program(program, "setup-test").unwrap());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(File::create(&log).unwrap());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    input.write_all(GET_VERSIONS).await.unwrap();
    let mut said = Vec::new();
    let answered = tokio::time::timeout(WITHIN, async {
        while !said.windows(ANSWER.len()).any(|part| part == ANSWER) {
            assert!(output.read_buf(&mut said).await.unwrap() > 0, "{program} has ended: {}", log.display());
        }
    });
    let answered = answered.await.is_ok();
    assert!(answered, "{program} said {:?}", String::from_utf8_lossy(&said));
    assert!(relay.lost() > 0);
    child.kill().await.unwrap();
}

const S_CLIENT: [&str; 8] = [
    "s_client",
    "-dtls1_2",
    "-connect",
    "127.0.0.1:{port}",
    "-CAfile",
    "{ca}",
    "-verify_return_error",
    "-quiet",
];
const GNUTLS: [&str; 4] = ["--udp", "--x509cafile={ca}", "--port={port}", "127.0.0.1"];

#[test]
fn openssl_s_client_comes_through_when_the_servers_flight_is_lost() {
    fixture().run(fetches_versions_although_lost(Flight::Server, "openssl", &S_CLIENT));
}

#[test]
fn openssl_s_client_comes_through_when_its_last_flight_is_lost() {
    fixture().run(fetches_versions_although_lost(Flight::ClientLast, "openssl", &S_CLIENT));
}

#[test]
fn gnutls_cli_comes_through_when_the_servers_flight_is_lost() {
    fixture().run(fetches_versions_although_lost(Flight::Server, "gnutls-cli", &GNUTLS));
}

#[test]
fn gnutls_cli_comes_through_when_its_last_flight_is_lost() {
    fixture().run(fetches_versions_although_lost(Flight::ClientLast, "gnutls-cli", &GNUTLS));
}

async fn the_reference_comes_through_although_lost(flight: Flight) {
    let relay = Relay::losing(fixture().chain.address(), flight).await.unwrap();
    let mut client = Reference::start(&fixture().parts, relay.address()).await.unwrap();
    let told = client.call(&Call::get("/_matrix/client/versions")).await.unwrap();
    assert_eq!((&*told.over, &*told.code), ("coap", "2.05"));
    assert!(relay.lost() > 0);
    client.end().await.unwrap();
}

#[test]
fn the_references_client_comes_through_when_the_servers_flight_is_lost() {
    fixture().run(the_reference_comes_through_although_lost(Flight::Server));
}

#[test]
fn the_references_client_comes_through_when_its_last_flight_is_lost() {
    fixture().run(the_reference_comes_through_although_lost(Flight::ClientLast));
}

//! Foreign clients, and ours, on a path of 576 bytes and on one that loses a tenth each way: the handshake
//! and a small request. The sidecar is the real one; a stub behind it answers at once.
//!
//! Blocks of 1024, which foreign clients ask for, pass a path of 576 bytes only as IP fragments, which the
//! relay does not make.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "late/stub.rs"]
#[allow(dead_code, reason = "shared with the tests of late answers")]
mod stub;

use lowband_client::Request;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::fetcher::{Fetcher, Library};
use lowband_e2e::fixture::output;
use lowband_e2e::loss::BadPath;
use lowband_e2e::parts::{Parts, system_program};
use lowband_e2e::ports::Port;
use lowband_e2e::reference::Reference;
use lowband_e2e::relay::Relay;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::wire::{self, Call, document, to_cbor};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Bytes of the answer to the small request.
const LENGTH: usize = 100;
/// OpenSSL and GnuTLS double their timers.
const WITHIN: Duration = Duration::from_secs(100);

#[derive(Clone, Copy, Debug)]
enum Who {
    Ours,
    /// A body that needs blocks, which must become smaller. It takes a minute: two pings show that it
    /// is not silence.
    OursWithBody,
    Reference,
    Fetcher(Library),
    Libcoap(&'static str),
}

async fn fetch(who: Who, path: BadPath) {
    let parts = Parts::from_environment();
    let name = format!("bad_paths-{who:?}-{}-{}", path.percent, path.seed);
    let folder = parts.test_folder(&name.replace(['"', '(', ')'], "")).unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    stub::serve(&folder.join("envoy.sock"));
    let sidecar = Sidecar::start(&parts, &folder, &port, &certificate, &[]).unwrap();
    sidecar.ready().await.unwrap();
    let relay = Relay::over(port.loopback(), path).await.unwrap();
    let (server, target) = (relay.address(), stub::path(Duration::ZERO, LENGTH));
    let began = Instant::now();
    match who {
        Who::Ours => {
            let connection = wire::connect(server, &certificate.certificate).await.unwrap();
            let response = connection.request(Request::get(target)).await.unwrap();
            assert_eq!(document(&response).unwrap()["body"], stub::text(LENGTH));
        }
        Who::OursWithBody => {
            let connection = wire::connect(server, &certificate.certificate).await.unwrap();
            let response = connection.request(Request::get(stub::path(Duration::ZERO, 5_000))).await.unwrap();
            assert_eq!(document(&response).unwrap()["body"], stub::text(5_000));
        }
        Who::Reference => {
            let mut client = Reference::start(&parts, server).await.unwrap();
            let told = client.call(&Call::get(target)).await.unwrap();
            assert_eq!(told.body["body"], stub::text(LENGTH));
            client.end().await.unwrap();
        }
        Who::Fetcher(library) => {
            let mut client = Fetcher::start(&parts, library, server).unwrap();
            let expected = to_cbor(&stub::document(LENGTH)).unwrap();
            assert!(client.payload(&target).await.unwrap() == expected);
            client.end().await.unwrap();
        }
        Who::Libcoap(program) => {
            let file = folder.join("answer.cbor");
            let mut command = Command::new(system_program(program, "setup-test").unwrap());
            command.arg("-B").arg("90").arg("-C").arg(&certificate.certificate).arg("-o").arg(&file);
            command.arg(format!("coaps://localhost:{}{target}", server.port()));
            let output = output(command, WITHIN).await.unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(std::fs::read(&file).unwrap() == to_cbor(&stub::document(LENGTH)).unwrap());
        }
    }
    println!("{who:?}, {path:?}: {:?}", began.elapsed());
    assert!(path.percent > 0 || relay.lost() > 0, "all of it has passed");
}

fn all_fetch(who: &[Who], path: BadPath) {
    std::thread::scope(|scope| {
        for who in who {
            scope.spawn(|| Runtime::new().unwrap().block_on(fetch(*who, path)));
        }
    });
}

const GO_COAP: Who = Who::Fetcher(Library::GoCoap);
const SCANDIUM: Who = Who::Fetcher(Library::Scandium);
const OPENSSL: Who = Who::Libcoap("coap-client-openssl");
/// libcoap 4.3.1 ends a handshake when the timer that it looks at once a second has expired five times
/// (MAX_RETRANSMIT and one), though GnuTLS would wait for a minute. Of 120 seeds at a tenth lost each way 11
/// ended so, after 5 to 10 s; with OpenSSL 2. So the seed matters.
const GNUTLS: Who = Who::Libcoap("coap-client-gnutls");

#[test]
fn a_path_of_576_bytes_takes_handshakes_and_small_requests() {
    all_fetch(&[Who::Ours, Who::Reference, OPENSSL], BadPath::SMALL);
}

#[test]
fn a_tenth_lost_each_way_costs_no_handshake() {
    all_fetch(&[Who::Ours, Who::Reference, OPENSSL], BadPath::losing(10, 2));
}

#[test]
#[ignore = "needs what `make test-more` installs, and a minute"]
fn bad_paths_let_the_clients_through_that_need_more() {
    all_fetch(&[Who::OursWithBody, GO_COAP, GNUTLS, SCANDIUM], BadPath::SMALL);
    all_fetch(&[GO_COAP, GNUTLS, SCANDIUM], BadPath::losing(10, 2));
    all_fetch(&[GO_COAP, Who::Reference, OPENSSL], BadPath::losing(10, 3));
}

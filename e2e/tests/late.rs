//! Answers that come late, as each long poll with news does: after the acknowledgement, in one block or in
//! hundreds, with every client that there is. The sidecar is the real one; behind it stands a stub that
//! answers at the time it is asked to.
//!
//! The clients differ in what they do with such an answer: see the page for client authors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "late/shim.rs"]
mod shim;
#[path = "late/stub.rs"]
mod stub;

use lowband_client::{Method, Request};
use lowband_e2e::aiocoap::{Aiocoap, Order};
use lowband_e2e::call::Call;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::fetcher::{Fetcher, Library};
use lowband_e2e::fixture::output;
use lowband_e2e::http1;
use lowband_e2e::parts::{Parts, system_program};
use lowband_e2e::ports::Port;
use lowband_e2e::reference::Reference;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::wire::{self, Wire, code, document as read, to_cbor};
use serde_json::json;
use shim::Shim;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Time of a late answer: longer than any client waits with its first copy.
const LATE: Duration = Duration::from_secs(3);
/// Time of a very late answer: longer than any client repeats, and than the server keeps a body that no
/// client asks for.
const VERY_LATE: Duration = Duration::from_secs(70);

/// Lengths of answers in bytes: three blocks and three hundred.
const SIZES: [usize; 2] = [3_000, 300_000];

struct Fixture {
    parts: Parts,
    folder: PathBuf,
    certificate: Certificate,
    server: SocketAddr,
    sidecar: Sidecar,
    runtime: Runtime,
}

fn fixture() -> &'static Fixture {
    static ONLY: OnceLock<Fixture> = OnceLock::new();
    ONLY.get_or_init(|| start("late"))
}

fn start(name: &str) -> Fixture {
    let runtime = Runtime::new().unwrap();
    let parts = Parts::from_environment();
    let folder = parts.test_folder(name).unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    let sidecar = runtime.block_on(async {
        stub::serve(&folder.join("envoy.sock"));
        // The usual minute is for answers to requests that do not ask to wait.
        let sidecar =
            Sidecar::start(&parts, &folder, &port, &certificate, &["--response-timeout", "5m"]).unwrap();
        sidecar.ready().await.unwrap();
        sidecar
    });
    Fixture { parts, folder, certificate, server: port.loopback(), sidecar, runtime }
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Ours,
    Reference,
    Aiocoap,
    Other(Library),
}

use Who::{Aiocoap as Aio, Other, Ours, Reference as Ref};

/// Clients that need nothing but what `make test` installs anyway, and Node.
const USUAL: [Who; 5] = [Ours, Ref, Aio, Other(Library::NodeCoap), Other(Library::NodeCoapClient)];
/// Clients that need another Go or Java.
const MORE: [Who; 2] = [Other(Library::GoCoap), Other(Library::Californium(1 << 20))];

/// Fetches an answer and compares it.
async fn fetch(who: Who, server: SocketAddr, wait: Duration, length: usize) {
    fetch_from(who, server, stub::path(wait, length), length).await;
}

async fn fetch_from(who: Who, server: SocketAddr, path: String, length: usize) {
    let parts = &fixture().parts;
    let is_whole = |payload: &[u8]| {
        let expected = to_cbor(&stub::document(length)).unwrap();
        assert!(payload == expected, "{who:?}: {} of {} bytes", payload.len(), expected.len());
    };
    match who {
        Ours => {
            let connection = wire::connect(server, &fixture().certificate.certificate).await.unwrap();
            let response = connection.request(Request::get(path)).await.unwrap();
            assert_eq!(code(&response), "2.05");
            assert_eq!(read(&response).unwrap()["body"], stub::text(length));
        }
        Ref => {
            let mut client = Reference::start(parts, server).await.unwrap();
            let told = client.call(&Call::get(path)).await.unwrap_or_else(|why| panic!("{length}: {why}"));
            assert_eq!((&*told.over, &*told.code), ("coap", "2.05"));
            assert!(told.body["body"] == stub::text(length), "{} of {length} bytes", told.bytes);
            client.end().await.unwrap();
        }
        Aio => {
            let shim = Shim::dtls(server).await;
            let mut client = Aiocoap::start(parts, shim.address()).unwrap();
            let path = path[1..].split('/').map(str::to_owned).collect();
            // This client reads text: Accept is 50, which is JSON.
            let order = Order { method: "GET", path, options: vec![(17, "2")], ..Order::default() };
            let told = client.ask(&order).await.unwrap();
            assert!(told.body == stub::document(length), "{length}: {} {}", told.code, told.error);
            client.end().await.unwrap();
        }
        Other(library) => {
            let shim = Shim::dtls(server).await;
            let server = if library == Library::GoCoap { server } else { shim.address() };
            let mut client = Fetcher::start(parts, library, server).unwrap();
            is_whole(&client.payload(&path).await.unwrap_or_else(|why| panic!("{who:?}, {length}: {why}")));
            client.end().await.unwrap();
        }
    }
}

/// Fetches with all clients at once: what takes long is the waiting.
async fn all_fetch(who: impl IntoIterator<Item = Who>, wait: Duration) {
    let server = fixture().server;
    let mut fetches = JoinSet::new();
    for who in who {
        for length in SIZES {
            fetches.spawn(fetch(who, server, wait, length));
        }
    }
    while let Some(done) = fetches.join_next().await {
        done.unwrap();
    }
}

/// Returns how often an event has happened in the sidecar's CoAP layer.
async fn events(fixture: &Fixture, name: &str) -> u64 {
    let response = http1::get(fixture.sidecar.admin(), "/metrics").await.unwrap();
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn a_late_answer_of_3_or_300_kb_reaches_every_client() {
    fixture().runtime.block_on(async {
        all_fetch(USUAL, LATE).await;
        // The blocks came inside acknowledgements, and not by an easier way.
        assert!(events(fixture(), "lowband_coap_requests_in_acknowledgements_total").await >= 295);
        assert!(events(fixture(), "lowband_coap_blocks_acknowledged_by_next_total").await >= 2);
    });
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn a_late_answer_of_3_or_300_kb_reaches_the_clients_that_need_more() {
    fixture().runtime.block_on(all_fetch(MORE, LATE));
}

#[test]
#[ignore = "takes more than a minute: `make test-more`"]
fn a_very_late_answer_of_3_or_300_kb_reaches_every_client() {
    fixture().runtime.block_on(all_fetch(USUAL.into_iter().chain(MORE), VERY_LATE));
}

/// A block that has not come yet is late by itself, in the middle of the others.
#[test]
fn an_answer_that_halts_and_goes_on_reaches_every_client() {
    const LENGTH: usize = 20_000;
    fixture().runtime.block_on(async {
        let mut fetches = JoinSet::new();
        for who in USUAL {
            fetches.spawn(fetch_from(who, fixture().server, stub::halting_path(LATE, LENGTH), LENGTH));
        }
        while let Some(done) = fetches.join_next().await {
            done.unwrap();
        }
    });
}

/// Requests with a body, of one block and of more, are answered in blocks by the same way.
#[test]
fn a_late_answer_to_an_upload_reaches_every_client_that_uploads() {
    const ANSWER: usize = 5_000;
    let fixture = fixture();
    fixture.runtime.block_on(async {
        let shim = Shim::dtls(fixture.server).await;
        let mut reference = Reference::start(&fixture.parts, fixture.server).await.unwrap();
        let mut aiocoap = Aiocoap::start(&fixture.parts, shim.address()).unwrap();
        let mut ours = Wire::coap(fixture.server, &fixture.certificate.certificate).await.unwrap();
        for (method, length) in [(Method::Post, 10), (Method::Post, 5_000), (Method::Put, 5_000)] {
            let body = json!({ "pad": stub::text(length) });
            let path = stub::path(LATE, ANSWER);
            let call = Call { method, body: Some(body.clone()), ..Call::get(path.clone()) };
            let order = Order {
                method: if method == Method::Post { "POST" } else { "PUT" },
                path: path[1..].split('/').map(str::to_owned).collect(),
                body: body.to_string(),
                content_format: Some(50),
                options: vec![(17, "2")],
                ..Order::default()
            };
            let (one, two, three) =
                tokio::join!(reference.call(&call), aiocoap.ask(&order), ours.call(call.clone()));
            assert!(one.unwrap().body["body"] == stub::text(ANSWER), "{method:?} {length}");
            let two = two.unwrap();
            assert!(two.body == stub::document(ANSWER), "{method:?} {length}: {} {}", two.code, two.error);
            assert!(three.unwrap().ok().unwrap()["body"] == stub::text(ANSWER), "{method:?} {length}");
        }
        reference.end().await.unwrap();
        aiocoap.end().await.unwrap();
    });
}

#[test]
fn a_late_answer_reaches_the_reference_although_each_tenth_datagram_is_lost() {
    fixture().runtime.block_on(async {
        let shim = Shim::losing(fixture().server, 10).await;
        fetch(Ref, shim.address(), LATE, 30_000).await;
    });
}

/// Californium's default takes 8 kB. Where the length is known the first block gives it, so that the client
/// need not fetch the whole answer to fail.
#[test]
#[ignore = "needs what `make test-more` installs"]
fn californium_fails_at_the_first_block_of_what_is_more_than_it_takes() {
    // A chain of its own: the counters must count no other client.
    let fixture = start("late-californium");
    fixture.runtime.block_on(async {
        let shim = Shim::dtls(fixture.server).await;
        let mut client = Fetcher::start(&fixture.parts, Library::Californium(0), shim.address()).unwrap();
        client.payload(&stub::path(LATE, 8_000)).await.unwrap();
        let before = events(&fixture, "lowband_coap_snapshot_blocks_total").await;
        let begin = Instant::now();
        let fetched = client.fetch(&stub::path(LATE, 9_000)).await.unwrap();
        assert_eq!((&*fetched.code, &*fetched.payload), ("", ""), "{}", fetched.error);
        assert!(begin.elapsed() < LATE * 2, "{:?}", begin.elapsed());
        assert_eq!(events(&fixture, "lowband_coap_snapshot_blocks_total").await, before + 1);
        client.end().await.unwrap();
    });
}

/// Fetches with libcoap's client, which has DTLS. The file holds what the client has received.
async fn libcoap(arguments: &[&str], wait: Duration, length: usize) -> Vec<u8> {
    let fixture = fixture();
    let path = stub::path(wait, length);
    let file = fixture.folder.join(format!("libcoap{}{}", arguments.concat(), path.replace('/', "-")));
    let mut command = Command::new(system_program("coap-client-openssl", "setup-test").unwrap());
    command.arg("-C").arg(&fixture.certificate.certificate).arg("-o").arg(&file).args(arguments);
    command.arg(format!("coaps://localhost:{}{path}", fixture.server.port()));
    let output = output(command, VERY_LATE * 2).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(&file).unwrap_or_default()
}

/// Checks that libcoap's client loses late answers of more than one block, says nothing and exits with 0; not
/// so when it asks by non-confirmable messages or for notifications. A server cannot help it.
async fn libcoap_gets(wait: Duration) {
    let mut fetches = JoinSet::new();
    for (arguments, length) in
        [(&[][..], 900), (&["-N"], 3_000), (&["-N"], 300_000), (&["-s", "1"], 3_000), (&["-s", "1"], 300_000)]
    {
        fetches.spawn(async move {
            let got = libcoap(arguments, wait, length).await;
            let expected = to_cbor(&stub::document(length)).unwrap();
            assert!(got == expected, "{arguments:?} {length}: {} bytes", got.len());
        });
    }
    while let Some(done) = fetches.join_next().await {
        done.unwrap();
    }
}

#[test]
fn libcoap_gets_late_answers_of_one_block_and_of_more_when_it_asks_in_another_way() {
    fixture().runtime.block_on(libcoap_gets(LATE));
}

#[test]
#[ignore = "takes more than a minute: `make test-more`"]
fn libcoap_gets_very_late_answers_as_well() {
    fixture().runtime.block_on(libcoap_gets(VERY_LATE));
}

/// An answer before the acknowledgement is one message, whatever the client makes of late ones.
#[test]
fn an_answer_after_a_second_comes_in_the_acknowledgement_to_whoever_can_wait_for_it() {
    fixture().runtime.block_on(async {
        let soon = Duration::from_secs(1);
        let got = libcoap(&[], soon, 3_000).await;
        assert!(got == to_cbor(&stub::document(3_000)).unwrap(), "{} bytes", got.len());
        fetch(Ref, fixture().server, soon, 300_000).await;
    });
}

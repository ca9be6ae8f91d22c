//! A body over a link that the relay makes: what `make bench-link` stands on, in a few seconds.
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

use lowband_e2e::certificate::Certificate;
use lowband_e2e::fixture::output;
use lowband_e2e::link::{Fate, Link, Loss, Way};
use lowband_e2e::link_relay::LinkRelay;
use lowband_e2e::loss::From;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::wire::to_cbor;
use std::process::Command;
use std::time::{Duration, Instant};

/// Length of the text in the body, in bytes.
const LENGTH: usize = 20_000;
/// Of this seed the seventh datagram each way is lost: the handshake is over by then.
const SEED: u64 = 41;
/// Time for all of it.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_body_takes_the_time_of_its_link_and_what_is_lost_comes_again() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("link").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    stub::serve(&folder.join("envoy.sock"));
    let sidecar = Sidecar::start(&parts, &folder, &port, &certificate, &[]).unwrap();
    sidecar.ready().await.unwrap();
    let loss = Loss::Share(0.1);
    let link = Link { down: Way { loss, ..Link::E.down }, up: Way { loss, ..Link::E.up }, ..Link::E };
    let relay = LinkRelay::start(port.loopback(), link, SEED).await.unwrap();

    let mut command = Command::new(parts.program("lowband").unwrap());
    let path = stub::path(Duration::ZERO, LENGTH);
    command.args(["coap", "-k"]).arg(format!("https://localhost:{}{path}", relay.address().port()));
    let began = Instant::now();
    let output = output(command, WITHIN).await.unwrap();
    let took = began.elapsed();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == to_cbor(&stub::document(LENGTH)).unwrap(), "{} bytes", output.stdout.len());

    assert!(took >= link.least_time(From::Server, LENGTH), "{took:?}");
    let log = relay.log();
    for from in [From::Client, From::Server] {
        let fates: Vec<Fate> =
            log.iter().filter(|passed| passed.from == from).map(|passed| passed.passage.fate).collect();
        assert!(fates.contains(&Fate::Lost), "{from:?}: {fates:?}");
        assert!(fates.iter().any(|fate| matches!(fate, Fate::Arrives(_))), "{from:?}");
    }
}

//! `lowband doctor` on a link of some delay that loses datagrams: what it tells, beside what the link did.
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
use lowband_e2e::link_relay::{LinkRelay, Passed};
use lowband_e2e::loss::From;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::sidecar::Sidecar;
use lowband_wire::dtls::record::ContentType;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Delay of the link, there and back.
const ROUND_TRIP: Duration = Duration::from_millis(200);
/// The link's loss, each way. Of the seed the handshake comes through, and later requests and answers do not.
const LOSS: f64 = 0.15;
const SEED: u64 = 87;
/// What both ends and the relay may take besides, on a machine that does other things as well.
const AT_WORK: Duration = Duration::from_millis(60);
/// Time for all of it.
const WITHIN: Duration = Duration::from_secs(15);

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns the datagrams of sessions that carried messages, and not the handshake.
fn messages(log: &[Passed]) -> Vec<Passed> {
    log.iter().filter(|passed| passed.first == ContentType::ApplicationData as u8).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trip_and_loss_are_told_as_the_link_has_them() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("doctor").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    stub::serve(&folder.join("envoy.sock"));
    let sidecar = Sidecar::start(&parts, &folder, &port, &certificate, &[]).unwrap();
    sidecar.ready().await.unwrap();
    let way = Way { rate: 10_000_000, delay: ROUND_TRIP / 2, loss: Loss::Share(LOSS), ..Link::E.down };
    let relay =
        LinkRelay::start(port.loopback(), Link { down: way, up: way, ..Link::E }, SEED).await.unwrap();

    let mut command = Command::new(parts.program("lowband").unwrap());
    command.args(["doctor", "--json", "-k"]).arg(format!("coaps://{}", relay.address()));
    let output = output(command, WITHIN).await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = told["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == "round trip").unwrap();
    let (text, facts) = (check["text"].as_str().unwrap(), &check["facts"]);
    let fact = |name: &str| facts[name].as_f64().unwrap_or_else(|| panic!("{name} is missing in: {facts}"));

    // Not less than the link takes, and little more where nothing was lost.
    let (least, most) = (milliseconds(ROUND_TRIP), milliseconds(ROUND_TRIP + AT_WORK));
    for name in ["least_ms", "round_trip_ms"] {
        assert!((least..most).contains(&fact(name)), "{name}: {told}");
    }
    assert!(text.contains(&format!("round trip {:.1} ms", fact("round_trip_ms"))), "{text}");

    let passed = messages(&relay.log());
    let is_lost = |passed: &&Passed| passed.passage.fate == Fate::Lost;
    let (up, down): (Vec<Passed>, Vec<Passed>) =
        passed.iter().partition(|passed| passed.from == From::Client);
    let lost = [&up, &down].map(|way| way.iter().filter(is_lost).count());
    assert!(lost.iter().all(|lost| *lost > 0), "{lost:?}");
    // Each request that went out was a message or its copy, and each copy stands for a loss on either way. A
    // block whose answer is lost may be asked for by another message instead of a copy.
    let (sent, again) = (fact("messages"), fact("sent_again"));
    assert_eq!(sent + again, up.len() as f64, "{told}");
    let losses = lost.iter().sum::<usize>() as f64;
    assert!(again >= losses - 1.0 && again <= losses, "{losses} losses: {told}");
    assert!(text.contains(&format!("{again} of {sent} messages sent again")), "{text}");
    assert_eq!(check["state"], "warn", "{check}");
}

//! Requests of Matrix clients, replayed twice: as CBOR through the whole chain, and as JSON straight to a
//! second homeserver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::call::Call;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::replay::{Pace, Side, replay};
use lowband_e2e::synapse::{RateLimits, Synapse};

#[test]
fn a_sample_of_what_clients_ask_is_answered_over_the_chain_as_in_plain_json() {
    let fixture = Fixture::start("replay", RateLimits::Lifted, &[]).unwrap();
    let folder = fixture.parts.test_folder("replay-plain").unwrap();
    let second = Synapse::start(&fixture.parts, &folder, RateLimits::Lifted).unwrap();
    fixture.run(second.ready()).unwrap();
    let mut chain = Side::chain(&fixture).unwrap();
    let mut plain = Side::http(second.address(), second.address());
    let (asked, differences) = fixture.run(replay(&mut chain, &mut plain, Pace::Together)).unwrap();
    assert!(asked > 150, "{asked}");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    // The replay takes out the one member that the proxy adds.
    let told = fixture.run(async {
        let mut wire = fixture.coap().await?;
        wire.call(Call::get("/_matrix/client/versions")).await?.ok()
    });
    assert!(told.unwrap().get("org.matrix.msc3079.low_bandwidth").is_some());
}

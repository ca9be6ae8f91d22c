//! Parts that are down, hung or slow: the error that the client gets, and the recovery without a restart of
//! the sidecar.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Connection, Method, Request, Response};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::process::{Process, Signal};
use lowband_e2e::relay::Relay;
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::wait;
use lowband_e2e::wire::{self, code, document};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Timeouts shorter than the sidecar's defaults, so that a 5.04 does not take a minute.
const SIDECAR: &[&str] = &["--response-timeout", "3s", "--connect-timeout", "2s"];
const SOON: Duration = Duration::from_secs(20);

/// Returns the chain to one test at a time, repaired whatever the previous test has left.
fn fixture() -> MutexGuard<'static, Fixture> {
    static ONLY: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let start = || {
        let fixture = Fixture::start("failure", RateLimits::Lifted, SIDECAR);
        Mutex::new(fixture.unwrap_or_else(|why| panic!("{why}")))
    };
    let fixture = ONLY.get_or_init(start).lock().unwrap_or_else(PoisonError::into_inner);
    fixture.run(repair(&fixture));
    fixture
}

/// Thaws and starts parts that need it. The sidecar never needs it, except in a test that ends it itself.
async fn repair(fixture: &Fixture) {
    let synapse = fixture.synapse().unwrap();
    for part in [Some(&synapse.process), envoy(fixture)].into_iter().flatten() {
        part.signal(Signal::Continue).unwrap();
        part.start_again().unwrap();
    }
    synapse.ready().await.unwrap();
    if let Some(envoy) = &fixture.chain.envoy {
        envoy.ready().await.unwrap();
    }
}

async fn versions(connection: &Connection) -> Response {
    let target = "/_matrix/client/versions".to_owned();
    let request = Request {
        method: Method::Get,
        target,
        access_token: None,
        content_format: None,
        accept: None,
        body: Vec::new(),
    };
    connection.request(request).await.unwrap()
}

fn expect_matrix_error(response: &Response, expected: &str) {
    assert_eq!(code(response), expected, "{response:?}");
    let body = document(response).unwrap();
    assert_eq!(body["errcode"], "M_UNKNOWN", "{body}");
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    // The answer is alike whether Envoy or the sidecar has written it.
    assert_eq!(response.max_age, (expected == "5.03").then_some(5), "{response:?}");
}

async fn one_request_waits(fixture: &Fixture) {
    wait::until("that the request waits", SOON, async || {
        match fixture.chain.waiting_requests().await.unwrap() {
            1 => Ok(()),
            other => Err(format!("{other} requests")),
        }
    })
    .await
    .unwrap();
}

/// Asserts that the chain works before, gives `expected` while `part` is as `harm` leaves it, and works
/// afterwards on the old session and on a new one. A part that this chain does without cannot fail.
fn told_and_recovered(part: impl Fn(&Fixture) -> Option<&Process>, harm: impl Fn(&Process), expected: &str) {
    let fixture = fixture();
    fixture.run(async {
        let sidecar = fixture.chain.sidecar.process.id();
        let connection_before = fixture.connection().await.unwrap();
        assert_eq!(code(&versions(&connection_before).await), "2.05");
        let Some(part) = part(&fixture) else { return };
        harm(part);
        expect_matrix_error(&versions(&connection_before).await, expected);
        // A session that begins meanwhile gets the error too: DTLS needs no upstream.
        expect_matrix_error(&versions(&fixture.connection().await.unwrap()).await, expected);
        repair(&fixture).await;
        // The request works at the first try: nothing here hides a second.
        assert_eq!(code(&versions(&connection_before).await), "2.05");
        assert_eq!(code(&versions(&fixture.connection().await.unwrap()).await), "2.05");
        fixture.chain.check().unwrap();
        assert_eq!(fixture.chain.sidecar.process.id(), sidecar);
    });
}

fn envoy(fixture: &Fixture) -> Option<&Process> {
    fixture.chain.envoy.as_ref().map(|envoy| &envoy.process)
}

fn synapse(fixture: &Fixture) -> &Process {
    &fixture.synapse().unwrap().process
}

fn homeserver(fixture: &Fixture) -> Option<&Process> {
    Some(synapse(fixture))
}

fn kill(part: &Process) {
    part.kill();
}

fn freeze(part: &Process) {
    part.signal(Signal::Stop).unwrap();
}

#[test]
fn envoy_down_is_5_02() {
    told_and_recovered(envoy, kill, "5.02");
}

#[test]
fn envoy_hung_is_5_04() {
    told_and_recovered(envoy, freeze, "5.04");
}

#[test]
fn synapse_down_is_5_03() {
    told_and_recovered(homeserver, kill, "5.03");
}

#[test]
fn synapse_hung_is_5_04() {
    told_and_recovered(homeserver, freeze, "5.04");
}

#[test]
fn a_part_that_dies_under_a_request_ends_it_at_once() {
    for (part, expected) in [(envoy as fn(&Fixture) -> Option<&Process>, "5.02"), (homeserver, "5.03")] {
        let fixture = fixture();
        fixture.run(async {
            let Some(part) = part(&fixture) else { return };
            let connection = fixture.connection().await.unwrap();
            freeze(synapse(&fixture));
            let waiting = connection.clone();
            let waiting = tokio::spawn(async move { versions(&waiting).await });
            one_request_waits(&fixture).await;
            part.kill();
            expect_matrix_error(&waiting.await.unwrap(), expected);
            repair(&fixture).await;
            assert_eq!(code(&versions(&connection).await), "2.05");
        });
    }
}

#[test]
fn a_slow_homeserver_is_acknowledged_first_and_answered_when_it_answers() {
    let fixture = fixture();
    fixture.run(async {
        let relay = Relay::start(fixture.chain.address()).await.unwrap();
        let connection =
            wire::connect(relay.address(), &fixture.chain.certificate.certificate).await.unwrap();
        assert_eq!(code(&versions(&connection).await), "2.05");
        let before = relay.traffic().await.unwrap().packets;
        freeze(synapse(&fixture));
        let waiting = connection.clone();
        let waiting = tokio::spawn(async move { versions(&waiting).await });
        wait::until("an empty acknowledgement", SOON, async || {
            // The packets are the request and its acknowledgement; the client may have repeated its request.
            match relay.traffic().await.unwrap().packets - before {
                packets @ 0..=1 => Err(format!("{packets} datagrams")),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
        assert!(!waiting.is_finished());
        synapse(&fixture).signal(Signal::Continue).unwrap();
        assert_eq!(code(&waiting.await.unwrap()), "2.05");
    });
}

#[test]
fn a_sidecar_that_is_asked_to_end_finishes_what_it_has_begun() {
    let fixture = fixture();
    fixture.run(async {
        let connection = fixture.connection().await.unwrap();
        freeze(synapse(&fixture));
        let waiting = connection.clone();
        let waiting = tokio::spawn(async move { versions(&waiting).await });
        one_request_waits(&fixture).await;
        let sidecar = &fixture.chain.sidecar.process;
        sidecar.signal(Signal::Terminate).unwrap();
        wait::until("that the sidecar begins to end", SOON, async || {
            match std::fs::read_to_string(sidecar.log()).unwrap().contains("draining") {
                true => Ok(()),
                false => Err("it has not said so".to_owned()),
            }
        })
        .await
        .unwrap();
        assert!(fixture.chain.sidecar.ready_now().await, "until everybody has been told");
        synapse(&fixture).signal(Signal::Continue).unwrap();
        assert_eq!(code(&waiting.await.unwrap()), "2.05");
        let status =
            wait::until("that the sidecar ends", SOON, async || sidecar.ended().ok_or("it runs".to_owned()));
        assert!(status.await.unwrap().success());
        sidecar.start_again().unwrap();
        fixture.chain.sidecar.ready().await.unwrap();
        assert_eq!(code(&versions(&fixture.connection().await.unwrap()).await), "2.05");
    });
}

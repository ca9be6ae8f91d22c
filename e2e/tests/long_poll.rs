//! Requests that wait at the homeserver: they wait as long as they should, many at once, and no longer than
//! their client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Method, Request};
use lowband_e2e::call::Call;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::matrix::{self, SignedIn};
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::wait;
use lowband_e2e::wire::{Wire, code, document};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Returns the chain to one test at a time: the tests count the requests that wait.
fn fixture() -> MutexGuard<'static, Fixture> {
    static ONLY: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let start = || {
        let fixture = Fixture::start("long_poll", RateLimits::Lifted, &[]);
        Mutex::new(fixture.unwrap_or_else(|why| panic!("{why}")))
    };
    ONLY.get_or_init(start).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until exactly `count` requests of the sidecar wait for the homeserver.
async fn waiting_requests(fixture: &Fixture, count: u64) {
    let what = format!("{count} requests that wait");
    wait::until(&what, Duration::from_secs(20), async || {
        match fixture.chain.waiting_requests().await.unwrap() {
            now if now == count => Ok(()),
            now => Err(format!("{now} are waiting")),
        }
    })
    .await
    .unwrap();
}

/// Returns how many requests the sidecar has acknowledged because they wait: their answers come late.
async fn acknowledged(fixture: &Fixture) -> u64 {
    fixture.chain.sidecar.metric("lowband_coap_empty_acknowledgements_total").await.unwrap()
}

fn long_poll(user: &SignedIn, since: &str, timeout: Duration) -> Request {
    Request {
        method: Method::Get,
        target: format!("/_matrix/client/r0/sync?since={since}&timeout={}", timeout.as_millis()),
        access_token: Some(user.token.clone()),
        content_format: None,
        accept: None,
        body: Vec::new(),
    }
}

async fn next_batch(wire: &mut Wire, user: &SignedIn) -> String {
    let sync = matrix::sync(wire, user, "timeout=0").await.unwrap();
    sync["next_batch"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_wakes_hundreds_of_waiting_syncs() {
    const SESSIONS: usize = 15;
    const SYNCS: usize = 20;
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("many").await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        let since = next_batch(&mut wire, &user).await;
        let mut syncs = tokio::task::JoinSet::new();
        for _ in 0..SESSIONS {
            let connection = fixture.connection().await.unwrap();
            for _ in 0..SYNCS {
                let connection = connection.clone();
                let request = long_poll(&user, &since, Duration::from_secs(120));
                syncs.spawn(async move { connection.request(request).await.unwrap() });
            }
        }
        waiting_requests(&fixture, (SESSIONS * SYNCS) as u64).await;
        let event = matrix::send(&mut wire, &user, &room, "1", "wake up").await.unwrap();
        let mut woken = 0;
        while let Some(response) = syncs.join_next().await {
            let response = response.unwrap();
            let sync = document(&response).unwrap();
            matrix::expect_message(&sync, &room, &event, "wake up").unwrap();
            woken += 1;
        }
        assert_eq!(woken, SESSIONS * SYNCS);
        waiting_requests(&fixture, 0).await;
    });
}

#[test]
fn a_sync_without_news_comes_back_empty_when_its_time_is_over() {
    const TIMEOUT: Duration = Duration::from_secs(12);
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("patient").await.unwrap();
        let since = next_batch(&mut wire, &user).await;
        let begin = Instant::now();
        let response =
            fixture.connection().await.unwrap().request(long_poll(&user, &since, TIMEOUT)).await.unwrap();
        assert!(begin.elapsed() >= TIMEOUT);
        assert_eq!(code(&response), "2.05");
        let sync = document(&response).unwrap();
        assert!(sync["rooms"]["join"].is_null(), "{sync}");
    });
}

/// The reference's stack asks for the blocks of such an answer inside its acknowledgements.
#[test]
fn news_of_many_blocks_reach_a_client_on_the_references_stack_that_has_waited() {
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("reference-waits").await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        let mut since = next_batch(&mut wire, &user).await;
        let mut client = fixture.reference().await.unwrap();
        for (number, length, observes) in [(1, 3_000, false), (2, 60_000, false), (3, 60_000, true)] {
            let text = format!("{number} and so on. ").repeat(length / 13);
            let before = acknowledged(&fixture).await;
            let (target, token) =
                (format!("/_matrix/client/r0/sync?since={since}&timeout=60000"), user.token.clone());
            let waiting = tokio::spawn(async move {
                let call = Call::get(target).by(&token);
                let told = if observes { client.observe(&call).await } else { client.call(&call).await };
                (client, told.unwrap())
            });
            wait::until("an early acknowledgement", Duration::from_secs(20), async || {
                if acknowledged(&fixture).await > before { Ok(()) } else { Err("none".to_owned()) }
            })
            .await
            .unwrap();
            let event = matrix::send(&mut wire, &user, &room, &number.to_string(), &text).await.unwrap();
            let told;
            (client, told) = waiting.await.unwrap();
            assert_eq!((&*told.over, &*told.code), ("coap", "2.05"));
            assert!(told.bytes > length as u64 - 100, "{}", told.bytes);
            matrix::expect_message(&told.body, &room, &event, &text).unwrap();
            since = told.text("next_batch").to_owned();
        }
        client.end().await.unwrap();
    });
}

#[test]
fn a_client_that_says_goodbye_ends_its_upstream_request() {
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("gone").await.unwrap();
        let since = next_batch(&mut wire, &user).await;
        let connection = fixture.connection().await.unwrap();
        let waiting = connection.clone();
        let request = long_poll(&user, &since, Duration::from_secs(300));
        let waiting = tokio::spawn(async move { waiting.request(request).await });
        waiting_requests(&fixture, 1).await;
        connection.close().await;
        waiting_requests(&fixture, 0).await;
        assert!(waiting.await.unwrap().is_err(), "a closed connection gave an answer");
    });
}

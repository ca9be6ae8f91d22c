//! Clients that take all they get, and a modest one that is served all the same.

use crate::client::{Outcome, Wire, answer, options};
use crate::harness::{Chain, eventually};
use crate::stub::{Handler, cbor, handler};
use lowband_wire::coap::{Code, Method};
use std::net::Ipv4Addr;
use tokio::sync::{broadcast, oneshot};

const POLL: &str = "7?timeout=600000";

/// Makes a stub whose long polls and slow requests wait for a message; the rest is answered at once.
fn polls() -> (Handler, broadcast::Sender<()>) {
    let (message, _) = broadcast::channel::<()>(1);
    let messages = message.clone();
    let stub = handler(move |seen| {
        let mut message = messages.subscribe();
        async move {
            if seen.target().contains("timeout=") || seen.target().ends_with("/slow") {
                let _ = message.recv().await;
            }
            cbor(200, b"\xa0")
        }
    });
    (stub, message)
}

/// Returns an address in a site of its own.
fn address(site: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, site, 1)
}

fn ask_often(wire: &Wire, times: usize) -> Vec<oneshot::Receiver<Outcome>> {
    (0..times).map(|_| wire.ask(Method::Get, options(POLL), b"")).collect()
}

/// Waits until this many long polls have got either a place or an answer.
async fn all_judged(chain: &Chain, polls: usize) {
    eventually("every poll has a place or an answer", async || {
        let waiting = chain.metric("lowband_long_polls_in_flight").await;
        let evicted = chain.metric("lowband_long_polls_evicted_total").await;
        let refused = chain.metric(r#"lowband_requests_refused_total{reason="upstream_requests"}"#).await;
        waiting + evicted + refused == polls as f64
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_little_is_served_beside_those_who_take_all_places() {
    const PLACES: usize = 64;
    const NETWORKS: u8 = 6;
    const SESSIONS: usize = 3;
    const POLLS: usize = 16;
    let (stub, message) = polls();
    let limits = ["--upstream-requests", "64", "--upstream-cancel-after", "0"];
    let chain = Chain::start(stub, &limits).await;
    let mut greedy = Vec::new();
    let mut unwanted = Vec::new();
    for site in 1..=NETWORKS {
        for _ in 0..SESSIONS {
            let wire = Wire::connect_from(address(site), chain.server).await;
            unwanted.extend(ask_often(&wire, POLLS));
            greedy.push(wire);
        }
    }
    all_judged(&chain, unwanted.len()).await;
    // All places are taken, at most a quarter of them by one network.
    assert_eq!(chain.metric("lowband_requests_in_flight").await, PLACES as f64);
    let limit = chain.metric("lowband_requests_in_flight_network_limit").await;
    assert_eq!(limit, (PLACES / 4) as f64);
    assert!(chain.metric("lowband_requests_in_flight_heaviest_network").await <= limit);

    let stranger = Wire::connect_from(address(100), chain.server).await;
    let neighbour = Wire::connect_from(address(1), chain.server).await;
    let modest = [&stranger, &neighbour].map(|wire| wire.ask(Method::Get, options(POLL), b""));
    all_judged(&chain, unwanted.len() + modest.len()).await;
    for wire in [&stranger, &neighbour] {
        let put = wire.request(Method::Put, options("/_matrix/client/v3/x"), b"\xa0").await;
        assert_eq!(put.code, Code::CONTENT);
    }
    // The greedy clients go on, and take places from each other.
    for wire in &greedy {
        unwanted.extend(ask_often(wire, 8));
    }
    all_judged(&chain, unwanted.len() + modest.len()).await;
    assert!(chain.metric("lowband_requests_in_flight").await <= PLACES as f64);
    message.send(()).unwrap();
    for poll in modest {
        assert_eq!(answer(poll).await.unwrap().code, Code::CONTENT);
    }
    for poll in unwanted {
        let response = answer(poll).await.unwrap();
        let again = response.options.max_age;
        match response.code {
            Code::CONTENT => {}
            code => assert!(
                code == Code::SERVICE_UNAVAILABLE && (Some(1)..=Some(4)).contains(&again),
                "{code:?} {again:?}"
            ),
        }
    }
}

#[tokio::test]
async fn nobody_gives_way_to_a_neighbour_who_holds_more() {
    let (stub, message) = polls();
    let chain = Chain::start(stub, &["--upstream-requests", "64", "--upstream-cancel-after", "0"]).await;
    let (greedy, modest) = (chain.connect().await, chain.connect().await);
    let poll = modest.ask(Method::Get, options(POLL), b"");
    chain.metric_reaches("lowband_long_polls_in_flight", 1.0).await;
    // A session has half of the sixteen places of its network.
    let slow = || greedy.ask(Method::Put, options("/_matrix/client/v3/slow"), b"");
    let held: Vec<_> = (0..8).map(|_| slow()).collect();
    chain.metric_reaches("lowband_requests_in_flight", 9.0).await;
    for _ in 0..5 {
        assert_eq!(answer(slow()).await.unwrap().code, Code::SERVICE_UNAVAILABLE);
    }
    assert_eq!(chain.metric("lowband_long_polls_evicted_total").await, 0.0);
    message.send(()).unwrap();
    assert_eq!(answer(poll).await.unwrap().code, Code::CONTENT);
    for held in held {
        assert_eq!(answer(held).await.unwrap().code, Code::CONTENT);
    }
}

#[tokio::test]
async fn a_modest_client_gets_a_place_from_networks_of_many_young_polls() {
    let (stub, _message) = polls();
    // A stream may be reset only after minutes: all of them are young.
    let chain = Chain::start(stub, &["--upstream-requests", "32", "--upstream-cancel-after", "10m"]).await;
    let mut greedy = Vec::new();
    for site in 1..=4 {
        for _ in 0..8 {
            let wire = Wire::connect_from(address(site), chain.server).await;
            greedy.push((wire.ask(Method::Get, options(POLL), b""), wire));
        }
    }
    chain.metric_reaches("lowband_requests_in_flight", 32.0).await;
    let modest = Wire::connect_from(address(100), chain.server).await;
    let _poll = modest.ask(Method::Get, options(POLL), b"");
    chain.metric_reaches("lowband_long_polls_evicted_total", 1.0).await;
    let put = modest.request(Method::Put, options("/_matrix/client/v3/x"), b"\xa0").await;
    assert_eq!(put.code, Code::CONTENT);
}

#[tokio::test]
async fn who_goes_away_too_often_uses_up_the_share_of_his_network() {
    let (stub, message) = polls();
    // Ten requests may be abandoned at once.
    let chain = Chain::start(stub, &["--cancels-per-second", "1", "--upstream-cancel-after", "0"]).await;
    let wire = chain.connect().await;
    let _unwanted = ask_often(&wire, 30);
    chain.metric_reaches("lowband_long_polls_in_flight", 30.0).await;
    wire.close();
    chain.metric_reaches("lowband_requests_cancelled_total", 30.0).await;
    assert_eq!(chain.metric("lowband_long_polls_in_flight").await, 0.0);
    let left = chain.metric("lowband_requests_cancelled_over_rate_total").await;
    assert_eq!(left, 20.0);
    // The others have ended. These requests hold their places until their answers come.
    chain.metric_becomes("lowband_requests_in_flight", left).await;
    assert_eq!(chain.metric("lowband_requests_in_flight_heaviest_network").await, left);
    assert_eq!(chain.metric("lowband_requests_running_out").await, left);
    message.send(()).unwrap();
    for gauge in ["in_flight", "in_flight_heaviest_network", "running_out"] {
        chain.metric_becomes(&format!("lowband_requests_{gauge}"), 0.0).await;
    }
}

#[tokio::test]
async fn requests_that_nobody_waits_for_give_way_first() {
    let (stub, _message) = polls();
    let limits = ["--upstream-requests", "32", "--cancels-per-second", "1", "--upstream-cancel-after", "0"];
    let chain = Chain::start(stub, &limits).await;
    // The share of one network is eight. Ten requests may be abandoned at once, and one a second; the others
    // keep their places.
    let mut asked = 0.0;
    while chain.metric("lowband_requests_in_flight_heaviest_network").await < 8.0 {
        assert!(asked < 400.0, "clients that leave hold no places");
        let wire = chain.connect().await;
        let _unwanted = ask_often(&wire, 4);
        asked += 4.0;
        eventually("all have a place or an answer", async || {
            let refused = chain.metric(r#"lowband_requests_refused_total{reason="upstream_requests"}"#).await;
            let cancelled = chain.metric("lowband_requests_cancelled_total").await;
            chain.metric("lowband_long_polls_in_flight").await + cancelled + refused == asked
        })
        .await;
        wire.close();
        chain.metric_becomes("lowband_long_polls_in_flight", 0.0).await;
    }
    let neighbour = chain.connect().await;
    let put = neighbour.request(Method::Put, options("/_matrix/client/v3/x"), b"\xa0").await;
    assert_eq!(put.code, Code::CONTENT);
    assert_eq!(chain.metric("lowband_long_polls_evicted_total").await, 0.0);
}

//! What one network takes of the public port, and what is left for the others. Each address of loopback is a
//! network of its own, each 127.0.N a site.

use crate::client::{Http, connect_from, get, until_closed};
use crate::harness::Server;
use crate::homeserver::{ok, waits_for_sync};
use std::net::SocketAddr;

const GREEDY: [u8; 4] = [127, 0, 1, 1];
const MODEST: [u8; 4] = [127, 0, 2, 1];

/// Fails unless a client from this address is served.
async fn is_served(source: [u8; 4], server: SocketAddr) {
    let mut client = Http::over(connect_from(source, server).await, false).await;
    assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
}

#[tokio::test]
async fn a_network_that_opens_connections_without_end_takes_none_from_another() {
    let options = ["--public-connections", "16", "--handshake-burst", "1000"];
    let server = Server::clear(ok(), &options).await;
    let mut modest = Http::over(connect_from(MODEST, server.address).await, false).await;
    modest.send(get("/_matrix/client/versions")).await;
    let mut greedy = Vec::new();
    for _ in 0..40 {
        greedy.push(connect_from(GREEDY, server.address).await);
    }
    // A quarter of all is what it has at last: the first ones have given way.
    server.metric_becomes(r#"lowband_public_connections_ended_total{reason="gave_way"}"#, 36.0).await;
    for stream in &mut greedy[..36] {
        assert_eq!(until_closed(stream).await, "");
    }
    assert_eq!(server.metric("lowband_public_connections").await, 5.0);
    assert_eq!(server.metric("lowband_public_connections_limit").await, 16.0);
    assert_eq!(modest.send(get("/_matrix/client/versions")).await.status(), 200);
    is_served([127, 0, 3, 1], server.address).await;
}

#[tokio::test]
async fn a_network_whose_connections_are_all_busy_is_refused_and_others_are_not() {
    let options = ["--public-connections", "8", "--handshake-burst", "1000"];
    let server = Server::clear(waits_for_sync(), &options).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = Http::over(connect_from(GREEDY, server.address).await, true).await;
        let mut other = match &client {
            Http::Two(sender) => Http::Two(sender.clone()),
            Http::One(_) => panic!("HTTP/2"),
        };
        let poll = tokio::spawn(async move { other.ask(get("/_matrix/client/v3/sync")).await.is_ok() });
        // Requests of a connection begin in order, so the poll has begun when this one is answered.
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
        busy.push((client, poll));
    }
    assert_eq!(until_closed(&mut connect_from(GREEDY, server.address).await).await, "");
    assert_eq!(server.metric(r#"lowband_public_connections_refused_total{reason="places"}"#).await, 1.0);
    is_served(MODEST, server.address).await;
    for (mut client, poll) in busy {
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
        assert!(!poll.is_finished());
        poll.abort();
    }
}

#[tokio::test]
async fn a_network_that_connects_too_often_waits_and_others_do_not() {
    let options = ["--handshakes-per-address", "1", "--handshake-burst", "3"];
    let server = Server::clear(ok(), &options).await;
    for _ in 0..3 {
        is_served(GREEDY, server.address).await;
    }
    assert_eq!(until_closed(&mut connect_from(GREEDY, server.address).await).await, "");
    assert_eq!(server.metric(r#"lowband_public_connections_refused_total{reason="rate"}"#).await, 1.0);
    is_served(MODEST, server.address).await;
}

#[tokio::test]
async fn clients_behind_a_balancer_do_not_share_a_quarter() {
    let options = ["--public-connections", "8", "--balancers", "127.0.1.1"];
    let server = Server::clear(ok(), &options).await;
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut client = Http::over(connect_from(GREEDY, server.address).await, false).await;
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
        all.push(client);
    }
    for client in &mut all {
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
    }
}

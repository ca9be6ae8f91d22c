//! The end of the process over TCP: clients are asked to leave, and those that do not are cut.

use crate::client::{Http, get, raw};
use crate::harness::{PATIENCE, Server};
use crate::homeserver::{handler, json, ok, waits_for_sync};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::timeout;

const END: [&str; 4] = ["--close-within", "50ms", "--grace-period", "24h"];

/// Waits until the connection takes no further request.
async fn closed(client: &mut Http) {
    let closing = async {
        while client.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closing).await.unwrap();
}

#[tokio::test]
async fn idle_connections_are_closed_and_the_process_ends() {
    let mut server = Server::tls(ok(), &END).await;
    let mut clients = [Http::tls(server.address, b"\x02h2").await, Http::tls(server.address, b"").await];
    for client in &mut clients {
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
    }
    server.shut_down();
    for client in &mut clients {
        closed(client).await;
    }
    server.ended().await.unwrap();
}

#[tokio::test]
async fn an_open_request_is_answered_and_newcomers_are_served_meanwhile() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let slow = handler(move |seen| {
        let wait = Arc::clone(&wait);
        async move {
            if seen.uri.path().ends_with("/sync") {
                wait.notified().await;
            }
            json("{}")
        }
    });
    // Over UDP nobody is there, so it is TCP alone that keeps the process.
    let mut server = Server::clear(slow, &[END.as_slice(), &["--linger", "24h"]].concat()).await;
    let address = server.address;
    let mut open = Vec::new();
    for is_http2 in [false, true] {
        let mut client = Http::clear(address, is_http2).await;
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
        open.push(tokio::spawn(async move {
            let answer = client.send(get("/_matrix/client/v3/sync")).await;
            closed(&mut client).await;
            answer
        }));
    }
    let begun = async {
        while server.homeserver.seen().len() < 4 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    server.shut_down();
    server.metric_becomes("lowband_draining", 1.0).await;
    let request = b"GET /_matrix/client/versions HTTP/1.1\r\nhost: a\r\n\r\n";
    let newcomer = raw(address, request).await;
    assert!(newcomer.starts_with("HTTP/1.1 200") && newcomer.contains("connection: close"), "{newcomer}");
    go.notify_one();
    go.notify_one();
    for answer in open {
        assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 200);
    }
    server.hurry();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_period_is_cut() {
    let mut server =
        Server::clear(waits_for_sync(), &["--close-within", "10ms", "--grace-period", "50ms"]).await;
    let mut client = Http::clear(server.address, true).await;
    let poll = tokio::spawn(async move { client.ask(get("/_matrix/client/v3/sync")).await.is_err() });
    let begun = async {
        while server.homeserver.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    server.shut_down();
    server.ended().await.unwrap();
    assert!(poll.await.unwrap());
}

#[tokio::test]
async fn who_comes_when_the_time_is_over_does_not_keep_the_process() {
    let options = ["--close-within", "10ms", "--grace-period", "50ms", "--linger", "2s"];
    let mut server = Server::clear(waits_for_sync(), &options).await;
    let poll = async |address| {
        let mut client = Http::clear(address, true).await;
        client.ask(get("/_matrix/client/v3/sync")).await.is_err()
    };
    let first = tokio::spawn(poll(server.address));
    let begun = async {
        while server.homeserver.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    server.shut_down();
    assert!(timeout(PATIENCE, first).await.unwrap().unwrap());
    // The process lingers, and serves.
    let late = tokio::spawn(poll(server.address));
    server.ended().await.unwrap();
    assert!(late.await.unwrap());
}

#[tokio::test]
async fn a_second_signal_waits_for_nobody() {
    let mut server = Server::clear(waits_for_sync(), &END).await;
    let mut client = Http::clear(server.address, false).await;
    let poll = tokio::spawn(async move { client.ask(get("/_matrix/client/v3/sync")).await.is_err() });
    let begun = async {
        while server.homeserver.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    server.shut_down();
    server.hurry();
    server.ended().await.unwrap();
    assert!(poll.await.unwrap());
}

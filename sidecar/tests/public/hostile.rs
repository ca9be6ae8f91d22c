//! Clients that are slow on purpose, or ask and go away: they lose their own connection, and nobody else's.

use crate::client::{Http, connect_from, get, post, raw, tls, until_closed};
use crate::harness::{PATIENCE, Server};
use crate::homeserver::{Handler, handler, json, ok, reply, waits_for_sync};
use bytes::Bytes;
use lowband_sidecar::public::{Settings, Times};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);

/// Returns settings in which only some times are short.
fn only(change: impl FnOnce(&mut Times)) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.times = Times { handshake: LONG, head: LONG, idle: LONG, stall: LONG, silence: LONG };
        change(&mut settings.times);
    }
}

fn ended(reason: &str) -> String {
    format!("lowband_public_connections_ended_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_ends() {
    let server = Server::tuned("https", ok(), &[], only(|times| times.handshake = SHORT)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The beginning of a record.
    stream.write_all(b"\x16\x03\x01\x02").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    server.metric_becomes(&ended("handshake"), 1.0).await;
    // Clear text on the encrypted port is no handshake at all.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(!until_closed(&mut stream).await.contains("HTTP"));
    server.metric_becomes(&ended("handshake"), 2.0).await;
}

#[tokio::test]
async fn a_head_that_is_never_finished_ends() {
    let server = Server::tuned("http", ok(), &[], only(|times| times.head = SHORT)).await;
    for beginning in
        [&b"GET /_matrix/client/versions HTTP/1.1\r\nhost: a\r\nx: "[..], b"G", b"PRI * HTTP/2.0\r\n"]
    {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        assert_eq!(until_closed(&mut stream).await, "");
    }
    assert_eq!(server.metric(&ended("head")).await, 3.0);
}

#[tokio::test]
async fn a_connection_without_requests_ends_in_order() {
    let server = Server::tuned(
        "http",
        ok(),
        &[],
        only(|times| {
            (times.idle, times.head) = (SHORT, SHORT);
        }),
    )
    .await;
    for is_http2 in [false, true] {
        let mut client = Http::clear(server.address, is_http2).await;
        assert_eq!(client.send(get("/_matrix/client/versions")).await.status(), 200);
        let closing = async {
            while client.ready().await.is_ok() {
                tokio::task::yield_now().await
            }
        };
        timeout(PATIENCE, closing).await.unwrap();
    }
    assert_eq!(server.metric(&ended("idle")).await, 2.0);
}

#[tokio::test]
async fn a_request_that_waits_for_the_homeserver_outlasts_every_limit() {
    let slow = handler(|_| async {
        tokio::time::sleep(5 * SHORT).await;
        json("{}")
    });
    let server = Server::tuned("http", slow, &[], |settings| {
        settings.times = Times { handshake: SHORT, head: SHORT, idle: SHORT, stall: SHORT, silence: SHORT };
    })
    .await;
    for is_http2 in [false, true] {
        let mut client = Http::clear(server.address, is_http2).await;
        assert_eq!(client.send(get("/_matrix/client/v3/sync")).await.status(), 200);
    }
}

/// Answers with more than all buffers between hold.
fn large() -> Handler {
    handler(|_| async { reply("image/png", vec![7; 32 << 20]) })
}

#[tokio::test]
async fn who_does_not_read_an_answer_loses_the_connection() {
    let server = Server::tuned("http", large(), &[], only(|times| times.stall = 2 * SHORT)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /_matrix/media/v3/download/h/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.metric_becomes(&ended("stall"), 1.0).await;
    assert_eq!(server.metric("lowband_public_connections").await, 0.0);
    drop(stream);
    // Over HTTP/2 the connection itself is read, and only the window stays shut.
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://a/_matrix/media/v3/download/h/x").body(()).unwrap();
    let (answer, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    server.metric_becomes(&ended("stall"), 2.0).await;
    drop(answer);
    let _ = timeout(PATIENCE, connection).await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let server = Server::tuned("http", ok(), &[], only(|times| times.silence = SHORT)).await;
    for kind in ["application/json", "application/cbor"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\naccept: application/json\r\n\
             content-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("M_UNKNOWN"), "{kind}: {answer}");
    }
    assert_eq!(server.metric(r#"lowband_public_requests_refused_total{reason="slow_body"}"#).await, 2.0);
    // Nothing of them was a whole request for the homeserver.
    assert!(server.homeserver.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_is_broken_is_its_clients_fault() {
    let server = Server::clear(ok(), &[]).await;
    for kind in ["application/json", "application/cbor"] {
        let request = format!(
            "POST /_matrix/client/v3/x HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n\
             nonsense\r\n"
        );
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{kind}: {answer}");
    }
    assert_eq!(server.metric(r#"lowband_public_requests_total{status="5xx"}"#).await, 0.0);
    assert!(server.homeserver.seen().is_empty());
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let server = Server::clear(ok(), &[]).await;
    let long = "a".repeat(40 << 10);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /_matrix/client/versions?{long} HTTP/1.1\r\nhost: a\r\n\r\n");
    // The server does not read all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let mut client = Http::clear(server.address, true).await;
    let request = http::Request::get("http://a/_matrix/client/versions").header("x", long);
    let answer = client.ask(request.body(http_body_util::Full::default()).unwrap()).await;
    assert!(answer.is_err() || answer.unwrap().status() == 431);
    assert!(server.homeserver.seen().is_empty());
}

#[tokio::test]
async fn who_opens_and_resets_streams_without_end_loses_the_connection() {
    let server = Server::clear(waits_for_sync(), &[]).await;
    let mut neighbour = Http::over(connect_from([127, 0, 2, 1], server.address).await, true).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut connection = tokio::spawn(connection);
    let mut sender: h2::client::SendRequest<Bytes> = sender;
    let resetting = async {
        loop {
            let Ok(ready) = sender.ready().await else { break };
            sender = ready;
            let request = http::Request::get("http://a/_matrix/client/v3/sync").body(()).unwrap();
            let Ok((_, mut stream)) = sender.send_request(request, false) else { break };
            stream.send_reset(h2::Reason::CANCEL);
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, resetting).await.expect("the connection goes on");
    let _ = timeout(PATIENCE, &mut connection).await.unwrap();
    assert_eq!(neighbour.send(get("/_matrix/client/versions")).await.status(), 200);
}

#[tokio::test]
async fn who_goes_away_from_too_many_requests_loses_the_connection_and_neighbours_do_not() {
    let server = Server::tuned("http", waits_for_sync(), &["--cancels-per-second", "1"], |_| {}).await;
    let mut neighbour = Http::over(connect_from([127, 0, 2, 1], server.address).await, true).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    // Ten at once are allowed.
    for _ in 0..11 {
        let ready: h2::client::SendRequest<Bytes> = sender.clone().ready().await.unwrap();
        sender = ready;
        let request = http::Request::get("http://a/_matrix/client/v3/sync").body(()).unwrap();
        let (_, mut poll) = sender.send_request(request, true).unwrap();
        // Answered after the poll has begun.
        let request = http::Request::get("http://a/_matrix/client/versions").body(()).unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 200);
        poll.send_reset(h2::Reason::CANCEL);
    }
    server.metric_becomes(&ended("cancels"), 1.0).await;
    let _ = timeout(PATIENCE, connection).await.unwrap();
    assert_eq!(neighbour.send(get("/_matrix/client/versions")).await.status(), 200);
}

#[tokio::test]
async fn a_connection_is_counted_once_however_many_requests_end_with_it() {
    let open = Arc::new(());
    let of_all = Arc::clone(&open);
    let polls = handler(move |_| {
        let held = Arc::clone(&of_all);
        async move {
            let _held = held;
            std::future::pending().await
        }
    });
    let server = Server::tuned("http", polls, &["--cancels-per-second", "1"], |_| {}).await;
    let mut client = Http::clear(server.address, true).await;
    let Http::Two(sender) = &mut client else { panic!("HTTP/2") };
    let polls: Vec<_> = (0..40).map(|_| sender.send_request(get("/_matrix/client/v3/sync"))).collect();
    let until = |count| {
        let (homeserver, open) = (&server.homeserver, &open);
        timeout(PATIENCE, async move {
            while homeserver.seen().len() < 40 || Arc::strong_count(open) != count {
                tokio::task::yield_now().await;
            }
        })
    };
    until(42).await.unwrap();
    drop((polls, client));
    until(2).await.unwrap();
    assert!(server.metric(&ended("cancels")).await <= 1.0);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_at_the_homeserver() {
    let (gone, mut heard) = tokio::sync::mpsc::channel::<()>(1);
    let polls = handler(move |seen| {
        // Dropped when the homeserver's side of the request ends.
        let held = gone.clone();
        async move {
            if seen.uri.path().ends_with("/sync") {
                let _held = held;
                std::future::pending::<()>().await;
            }
            json("{}")
        }
    });
    let server = Server::tls(polls, &[]).await;
    let stream = tls(TcpStream::connect(server.address).await.unwrap(), b"").await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    writer.write_all(b"GET /_matrix/client/v3/sync HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let seen = async {
        while server.homeserver.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap();
    drop(writer);
    let mut rest = [0; 1];
    drop(timeout(SHORT, reader.read(&mut rest)).await);
    drop(reader);
    server.metric_becomes("lowband_public_connections", 0.0).await;
    assert!(heard.try_recv().is_err());
    let mut client = Http::tls(server.address, b"").await;
    assert_eq!(client.send(post("/_matrix/client/v3/x", "application/json", "{}")).await.status(), 200);
}

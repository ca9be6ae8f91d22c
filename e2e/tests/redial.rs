//! A client that outlives the sidecar, which is killed and started again, or asked to end. A homeserver that
//! counts stands behind the real Envoy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{
    CloseReason, ConnectOptions, Error, LastingConnection, Method, Redial, Request, Response, Settings,
    Verification,
};
use lowband_e2e::chain::Homeserver;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::process::Signal;
use lowband_e2e::wait;
use lowband_e2e::wire::code;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const SIDECAR: &[&str] = &["--close-within", "1s", "--grace-period", "5s", "--linger", "1s"];

/// How often each request has arrived, by method and last segment of the path.
type Arrivals = Arc<Mutex<HashMap<String, u32>>>;

/// Leaves a request for `slow` without an answer the first time it comes, until its client hangs up;
/// answers all others.
fn serve(stream: &TcpStream, arrivals: &Arrivals) {
    let mut lines = BufReader::new(stream).lines();
    // Envoy may have opened a connection in vain.
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let name = target.split('?').next().unwrap().rsplit('/').next().unwrap();
    let first = {
        let mut arrivals = arrivals.lock().unwrap();
        let count = arrivals.entry(format!("{method} {name}")).or_default();
        *count += 1;
        *count == 1
    };
    if first && name.starts_with("slow") {
        while lines.next().is_some_and(|line| line.is_ok()) {}
        return;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2";
    let _ = (&mut &*stream).write_all(format!("{head}\r\n\r\n{{}}").as_bytes());
}

fn start(name: &str) -> (Fixture, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let homeserver = format!("http://{}", listener.local_addr().unwrap());
    let arrivals = Arrivals::default();
    let counted = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let arrivals = Arc::clone(&counted);
            std::thread::spawn(move || serve(&stream.unwrap(), &arrivals));
        }
    });
    let fixture = Fixture::start_before(name, Homeserver::At(homeserver), SIDECAR);
    (fixture.unwrap_or_else(|why| panic!("{why}")), arrivals)
}

async fn connect(fixture: &Fixture) -> LastingConnection {
    let options = ConnectOptions {
        server: fixture.chain.address(),
        server_name: "localhost".into(),
        verification: Verification::Roots(std::fs::read(&fixture.chain.certificate.certificate).unwrap()),
        connect_timeout: SOON,
    };
    let redial = Redial { silence: Duration::from_secs(2), ..Redial::default() };
    LastingConnection::connect_with(options, Settings::default(), redial).await.unwrap()
}

fn request(method: Method, name: &str) -> Request {
    Request {
        access_token: Some("secret".into()),
        content_format: (method != Method::Get).then_some(60),
        body: if method == Method::Get { Vec::new() } else { b"\xa0".to_vec() },
        ..Request::new(method, format!("/_matrix/client/v3/{name}"))
    }
}

type Asked = tokio::task::JoinHandle<Result<Response, Error>>;

fn ask(connection: &LastingConnection, method: Method, name: &str) -> Asked {
    let (connection, request) = (connection.clone(), request(method, name));
    tokio::spawn(async move { connection.request(request).await })
}

async fn answered(asked: Asked) {
    assert_eq!(code(&asked.await.unwrap().unwrap()), "2.05");
}

async fn arrived(arrivals: &Arrivals, wanted: &[&str]) {
    wait::until("that the requests arrive", SOON, async || {
        let arrivals = arrivals.lock().unwrap();
        let missing: Vec<_> = wanted.iter().filter(|name| !arrivals.contains_key(**name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await
    .unwrap();
}

fn count(arrivals: &Arrivals, name: &str) -> u32 {
    arrivals.lock().unwrap().get(name).copied().unwrap_or_default()
}

/// kill -9: no close_notify, and no memory of any session when the sidecar is back on its port.
#[test]
fn a_sidecar_that_was_killed_is_dialled_again_and_no_post_is_made_twice() {
    let (fixture, arrivals) = start("redial-killed");
    fixture.run(async {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(connect(&fixture).await);
        }
        let put = ask(&clients[0], Method::Put, "slow-put");
        let post = ask(&clients[1], Method::Post, "slow-post");
        arrived(&arrivals, &["PUT slow-put", "POST slow-post"]).await;
        let sidecar = &fixture.chain.sidecar;
        sidecar.process.kill();
        // The sidecar has never seen a request of the third client.
        let unseen = ask(&clients[2], Method::Put, "unseen");
        sidecar.process.start_again().unwrap();
        sidecar.ready().await.unwrap();
        answered(put).await;
        answered(unseen).await;
        let post = post.await.unwrap();
        assert!(matches!(post, Err(Error::Closed(CloseReason::Idle))), "{post:?}");
        answered(ask(&clients[1], Method::Post, "next-post")).await;
        assert_eq!(clients.iter().map(LastingConnection::redials).collect::<Vec<_>>(), [1, 1, 1]);
        for (name, expected) in
            [("PUT slow-put", 2), ("PUT unseen", 1), ("POST slow-post", 1), ("POST next-post", 1)]
        {
            assert_eq!(count(&arrivals, name), expected, "{name}");
        }
    });
}

/// SIGTERM: each client is notified, and requests under way are finished.
#[test]
fn a_sidecar_that_ends_costs_a_redial_and_nothing_is_made_twice_but_the_long_poll() {
    let (fixture, arrivals) = start("redial-ended");
    fixture.run(async {
        let (polling, writing) = (connect(&fixture).await, connect(&fixture).await);
        let poll = ask(&polling, Method::Get, "slow-sync?timeout=30000");
        arrived(&arrivals, &["GET slow-sync"]).await;
        let sidecar = &fixture.chain.sidecar.process;
        sidecar.signal(Signal::Terminate).unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let series = tokio::spawn({
            let writing = writing.clone();
            async move {
                let mut puts = 0;
                while !*stopped.borrow() {
                    puts += 1;
                    answered(ask(&writing, Method::Put, &format!("put-{puts}"))).await;
                }
                puts
            }
        });
        let status =
            wait::until("that the sidecar ends", SOON, async || sidecar.ended().ok_or("it runs".to_owned()));
        assert!(status.await.unwrap().success());
        sidecar.start_again().unwrap();
        fixture.chain.sidecar.ready().await.unwrap();
        answered(poll).await;
        answered(ask(&writing, Method::Post, "post")).await;
        stop.send(true).unwrap();
        let puts = series.await.unwrap();
        assert!(polling.redials() > 0 && writing.redials() > 0);
        for number in 1..=puts {
            assert_eq!(count(&arrivals, &format!("PUT put-{number}")), 1, "{number} of {puts}");
        }
        assert_eq!((count(&arrivals, "POST post"), count(&arrivals, "GET slow-sync")), (1, 2));
    });
}

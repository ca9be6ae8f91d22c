//! Clients that wait for a long poll while the sidecar is killed, or while a NAT gives them another port:
//! with their defaults, they know within 40 s. The real sidecar; a homeserver that lets all clients wait
//! stands behind the real Envoy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{
    CloseReason, ConnectOptions, Connection, Error, LastingConnection, Method, Request, Response,
    Verification,
};
use lowband_e2e::chain::Homeserver;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::http1;
use lowband_e2e::relay::Relay;
use lowband_e2e::wait;
use lowband_e2e::wire::code;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
/// The promised time in which clients know.
const KNOWN_WITHIN: Duration = Duration::from_secs(40);
const CLIENTS: usize = 3;

/// Lets the first `CLIENTS` that ask for `sync` wait until they hang up; answers all other requests.
fn serve(stream: &TcpStream, polls: &AtomicUsize) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    if request.contains("/sync") && polls.fetch_add(1, Ordering::SeqCst) < CLIENTS {
        while lines.next().is_some_and(|line| line.is_ok()) {}
        return;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2";
    let _ = (&mut &*stream).write_all(format!("{head}\r\n\r\n{{}}").as_bytes());
}

fn start(name: &str) -> (Fixture, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let homeserver = format!("http://{}", listener.local_addr().unwrap());
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let polls = Arc::clone(&counted);
            std::thread::spawn(move || serve(&stream.unwrap(), &polls));
        }
    });
    let fixture = Fixture::start_before(name, Homeserver::At(homeserver), &[]);
    (fixture.unwrap_or_else(|why| panic!("{why}")), polls)
}

fn sync() -> Request {
    Request {
        access_token: Some("secret".into()),
        ..Request::new(Method::Get, "/_matrix/client/v3/sync?timeout=600000")
    }
}

struct Clients {
    options: ConnectOptions,
    plain: Connection,
    lasting: LastingConnection,
    plain_poll: tokio::task::JoinHandle<Result<Response, Error>>,
    lasting_poll: tokio::task::JoinHandle<Result<Response, Error>>,
    command: tokio::process::Child,
}

/// Makes all three clients wait for their long poll, which has been acknowledged.
async fn all_wait(fixture: &Fixture, server: SocketAddr, polls: &AtomicUsize) -> Clients {
    let authority = &fixture.chain.certificate.certificate;
    let options = ConnectOptions {
        server,
        server_name: "localhost".into(),
        verification: Verification::Roots(std::fs::read(authority).unwrap()),
        connect_timeout: SOON,
    };
    let plain = Connection::connect(options.clone()).await.unwrap();
    let lasting = LastingConnection::connect(options.clone()).await.unwrap();
    let plain_poll = tokio::spawn({
        let plain = plain.clone();
        async move { plain.request(sync()).await }
    });
    let lasting_poll = tokio::spawn({
        let lasting = lasting.clone();
        async move { lasting.request(sync()).await }
    });
    let command = tokio::process::Command::new(fixture.parts.bin().join("lowband"))
        .args(["coap", "--cacert"])
        .arg(authority)
        .args(["-H", "Authorization: Bearer secret"])
        .arg(format!("coaps://localhost:{}/_matrix/client/v3/sync?timeout=600000", server.port()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait::until("that all wait", SOON, async || match polls.load(Ordering::SeqCst) {
        CLIENTS => Ok(()),
        others => Err(format!("{others} wait")),
    })
    .await
    .unwrap();
    wait::until("that all are acknowledged", SOON, async || {
        let metrics =
            http1::get(fixture.chain.sidecar.admin(), "/metrics").await.map_err(|why| why.to_string())?;
        let acknowledged = format!("coap_empty_acknowledgements_total {CLIENTS}");
        let text = String::from_utf8_lossy(metrics.body()).into_owned();
        if text.contains(&acknowledged) { Ok(()) } else { Err("some are not".to_owned()) }
    })
    .await
    .unwrap();
    Clients { options, plain, lasting, plain_poll, lasting_poll, command }
}

/// Asserts that each client has an answer, or an error that it can act on, and that its next request is
/// answered.
async fn all_know(clients: Clients) {
    let Clients { options, plain, lasting, plain_poll, lasting_poll, command } = clients;
    let begin = Instant::now();
    let all = async {
        let told = plain_poll.await.unwrap();
        println!("plain: {:?} after {:?}", told.as_ref().map(code), begin.elapsed());
        assert!(matches!(told, Err(Error::Closed(CloseReason::Dead))), "{told:?}");
        assert!(plain.has_ended());
        let anew = Connection::connect(options).await.unwrap();
        assert_eq!(code(&anew.request(sync()).await.unwrap()), "2.05");

        let answer = lasting_poll.await.unwrap().unwrap();
        println!("lasting: {:?} after {:?}", code(&answer), begin.elapsed());
        assert_eq!((code(&answer).as_str(), lasting.redials()), ("2.05", 1));
        assert_eq!(code(&lasting.request(sync()).await.unwrap()), "2.05");

        let output = command.wait_with_output().await.unwrap();
        println!("lowband coap: {} after {:?}", output.status, begin.elapsed());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"\xa0");
    };
    tokio::time::timeout(KNOWN_WITHIN, all).await.expect("everybody knows in time");
}

#[test]
fn whoever_waits_knows_within_40_seconds_that_the_sidecar_was_killed() {
    let (fixture, polls) = start("death-killed");
    fixture.run(async {
        let clients = all_wait(&fixture, fixture.chain.address(), &polls).await;
        let sidecar = &fixture.chain.sidecar;
        sidecar.process.kill();
        sidecar.process.start_again().unwrap();
        sidecar.ready().await.unwrap();
        all_know(clients).await;
    });
}

#[test]
fn whoever_waits_knows_within_40_seconds_that_a_nat_has_moved_him() {
    let (fixture, polls) = start("death-moved");
    fixture.run(async {
        let relay = Relay::start(fixture.chain.address()).await.unwrap();
        let clients = all_wait(&fixture, relay.address(), &polls).await;
        relay.forget_ports().await.unwrap();
        all_know(clients).await;
    });
}

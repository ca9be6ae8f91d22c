//! Clients that ask and leave at once, many of them: how Envoy judges the connection that they share with all
//! other clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Method, Request};
use lowband_e2e::chain::Homeserver;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::wait;
use lowband_e2e::wire::code;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(30);
/// Number of groups, one after the other, so that all of them use the one connection, which takes a hundred
/// requests at once before another is opened.
const GROUPS: usize = 5;
const SESSIONS: usize = 5;
/// Requests of each session: two windows of the client, and none is older than a second when all have
/// arrived.
const REQUESTS: usize = 16;

/// A homeserver whose long polls wait until there is news.
#[derive(Default)]
struct Homes {
    arrived: AtomicUsize,
    has_news: Mutex<bool>,
    news: Condvar,
}

impl Homes {
    fn serve(&self, stream: &TcpStream) {
        let mut lines = BufReader::new(stream).lines();
        // Envoy may have opened a connection in vain.
        let Some(Ok(_request)) = lines.next() else { return };
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        self.arrived.fetch_add(1, Ordering::SeqCst);
        drop(self.news.wait_while(self.has_news.lock().unwrap(), |has_news| !*has_news).unwrap());
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2";
        // The client may have gone.
        let _ = (&mut &*stream).write_all(format!("{head}\r\n\r\n{{}}").as_bytes());
    }

    async fn has_seen(&self, requests: usize) {
        wait::until("that the requests arrive", SOON, async || match self.arrived.load(Ordering::SeqCst) {
            seen if seen >= requests => Ok(()),
            seen => Err(format!("{seen} of {requests}")),
        })
        .await
        .unwrap();
    }

    fn tell_news(&self) {
        *self.has_news.lock().unwrap() = true;
        self.news.notify_all();
    }
}

fn start() -> (Fixture, Arc<Homes>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let homeserver = format!("http://{}", listener.local_addr().unwrap());
    let homes = Arc::new(Homes::default());
    let served = Arc::clone(&homes);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let homes = Arc::clone(&served);
            std::thread::spawn(move || homes.serve(&stream.unwrap()));
        }
    });
    let fixture =
        Fixture::start_before("leaving", Homeserver::At(homeserver), &["--cancels-per-second", "100000"]);
    (fixture.unwrap_or_else(|why| panic!("{why}")), homes)
}

fn poll() -> Request {
    Request::new(Method::Get, "/_matrix/client/v3/sync?timeout=600000")
}

async fn metric(fixture: &Fixture, name: &str) -> u64 {
    fixture.chain.sidecar.metric(name).await.unwrap()
}

async fn reaches(fixture: &Fixture, name: &str, wanted: u64) {
    wait::until(&format!("{name} {wanted}"), SOON, async || match metric(fixture, name).await {
        value if value == wanted => Ok(()),
        value => Err(value.to_string()),
    })
    .await
    .unwrap();
}

/// Returns how many connections Envoy has cut because too many of their streams were reset young.
async fn cut(fixture: &Fixture) -> u64 {
    let Some(envoy) = &fixture.chain.envoy else { return 0 };
    envoy.stat("http.sidecar.downstream_rq_too_many_premature_resets").await.unwrap()
}

/// Waits until the other side knows that so many requests have ended, and that of the stranger has not.
async fn other_side_knows(fixture: &Fixture, ended: u64) {
    let Some(envoy) = &fixture.chain.envoy else {
        // Over HTTP/1.1 a request that is ended takes its connection with it.
        return reaches(fixture, "lowband_upstream_connections", 1).await;
    };
    wait::until("that Envoy knows of all ends", SOON, async || {
        match envoy.stat("http.sidecar.downstream_rq_rx_reset").await.unwrap() {
            seen if seen >= ended => Ok(()),
            seen => Err(format!("{seen} of {ended}")),
        }
    })
    .await
    .unwrap();
}

#[test]
fn those_who_ask_and_leave_at_once_do_not_end_the_long_poll_of_a_stranger() {
    let (fixture, homes) = start();
    fixture.run(async {
        let stranger = fixture.connection().await.unwrap();
        let waiting = {
            let stranger = stranger.clone();
            tokio::spawn(async move { stranger.request(poll()).await })
        };
        homes.has_seen(1).await;
        for group in 1..=GROUPS {
            let mut asked = JoinSet::new();
            let mut connections = Vec::new();
            for _ in 0..SESSIONS {
                let connection = fixture.connection().await.unwrap();
                for _ in 0..REQUESTS {
                    let connection = connection.clone();
                    asked.spawn(async move { connection.request(poll()).await });
                }
                connections.push(connection);
            }
            homes.has_seen(1 + group * SESSIONS * REQUESTS).await;
            for connection in connections {
                connection.close().await;
            }
        }
        let all = u64::try_from(GROUPS * SESSIONS * REQUESTS).unwrap();
        reaches(&fixture, "lowband_requests_cancelled_total", all).await;
        assert_eq!(cut(&fixture).await, 0, "no sooner than they are old");
        // Streams that are reset at all are reset when they are old enough for Envoy.
        reaches(&fixture, "lowband_requests_running_out", 0).await;
        other_side_knows(&fixture, all).await;
        assert_eq!(cut(&fixture).await, 0, "nor later");

        homes.tell_news();
        assert_eq!(code(&waiting.await.unwrap().unwrap()), "2.05");
        assert_eq!(metric(&fixture, "lowband_requests_repeated_total").await, 0, "its connection has lived");
        reaches(&fixture, "lowband_requests_in_flight_heaviest_network", 0).await;
    });
}

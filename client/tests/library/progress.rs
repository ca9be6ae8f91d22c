//! The library: how far a body is, and what is known of the path.

use crate::connection::{connect, options};
use crate::slow_link::SlowLink;
use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_client::{
    ConnectOptions, Connection, Direction, LastingConnection, Limits, Method, Progress, Redial, Request,
    Settings,
};
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(10);
/// Bytes of a body that takes a second, block by block: 50 blocks of two latencies each.
const LENGTH: usize = 50 << 10;

fn echo(seen: &Seen) -> Reply {
    content(seen.body.clone())
}

/// Settings with which a body takes a round trip for each block.
fn one_by_one() -> Settings {
    Settings { limits: Limits { body_window: 1, window: 1, ..Limits::default() }, ..Settings::default() }
}

fn over(link: &SlowLink, stub: &StubServer) -> ConnectOptions {
    ConnectOptions { server: link.address, ..options(stub) }
}

/// Asserts that these are steps of one body of `LENGTH` bytes, and that some of them were seen.
fn assert_grows(steps: &[Progress], direction: Direction) {
    let moved: Vec<_> =
        steps.iter().filter(|step| step.direction == direction).map(|step| step.moved).collect();
    assert!(moved.len() >= 3 && moved.is_sorted() && moved[0] < moved[moved.len() - 1], "{steps:?}");
    assert!(moved.iter().all(|moved| (1..=LENGTH as u64).contains(moved)), "{moved:?}");
}

#[tokio::test]
async fn a_body_that_takes_its_time_is_seen_to_grow_up_and_then_down() {
    let stub = StubServer::start(echo);
    let link = SlowLink::start(stub.address, LATENCY);
    let connection = Connection::connect_with(over(&link, &stub), one_by_one()).await.unwrap();
    let request = Request { body: vec![7; LENGTH], ..Request::new(Method::Post, "/echo") };
    let mut steps = Vec::new();
    // What sees it may borrow, and may use the connection.
    let see = |step| {
        assert!(connection.traffic().datagrams_out > 0);
        steps.push(step);
    };
    let begin = std::time::Instant::now();
    let response = connection.request_with_progress(request, see).await.unwrap();
    let tenths = begin.elapsed().as_millis() / 100;
    assert_eq!(response.body.len(), LENGTH);
    assert_grows(&steps, Direction::Upload);
    assert_grows(&steps, Direction::Download);
    assert!(steps.is_sorted_by_key(|step| step.direction == Direction::Download), "{steps:?}");
    let upload = steps.iter().find(|step| step.direction == Direction::Upload).unwrap();
    assert_eq!(upload.total, Some(LENGTH as u64));
    assert!(steps.len() as u128 <= tenths, "{} in {tenths} tenths of a second", steps.len());
}

#[tokio::test]
async fn a_lasting_connection_shows_the_same() {
    let stub = StubServer::start(|_| content(vec![7; LENGTH]));
    let link = SlowLink::start(stub.address, LATENCY);
    let connecting = LastingConnection::connect_with(over(&link, &stub), one_by_one(), Redial::default());
    let connection = connecting.await.unwrap();
    let mut steps = Vec::new();
    connection.request_with_progress(Request::get("/any"), |step| steps.push(step)).await.unwrap();
    assert_grows(&steps, Direction::Download);
    let path = connection.path();
    assert_eq!(path.window, Some(1));
    assert!(path.blocks >= 49, "{path:?}");
}

#[tokio::test]
async fn a_body_of_one_block_is_not_seen() {
    let stub = StubServer::start(|_| content("short"));
    let link = SlowLink::start(stub.address, Duration::from_millis(150));
    let connection = Connection::connect_with(over(&link, &stub), Settings::default()).await.unwrap();
    let never = |step| panic!("{step:?}");
    assert_eq!(connection.request_with_progress(Request::get("/any"), never).await.unwrap().body, b"short");
}

#[tokio::test]
async fn the_path_is_known_during_a_connection_and_after_it() {
    let stub = StubServer::start(|_| content(vec![7; LENGTH]));
    let link = SlowLink::start(stub.address, LATENCY);
    let connection = Connection::connect_with(over(&link, &stub), one_by_one()).await.unwrap();
    assert_eq!((connection.path().window, connection.path().blocks), (None, 0));
    connection.request(Request::get("/any")).await.unwrap();
    let path = connection.path();
    let (smoothed, least) = (path.round_trip.unwrap(), path.least_round_trip.unwrap());
    assert!(smoothed >= least && least >= 2 * LATENCY, "{path:?}");
    assert!(path.window == Some(1) && path.blocks >= 49, "{path:?}");
    let same = connection.clone();
    connection.close().await;
    assert_eq!(same.path(), path);
}

#[tokio::test]
async fn a_window_of_one_block_moves_one_after_the_other() {
    let stub = StubServer::start(|_| content(vec![7; LENGTH]));
    let link = SlowLink::start(stub.address, LATENCY);
    let connection = Connection::connect_with(over(&link, &stub), one_by_one()).await.unwrap();
    assert_eq!(connection.request(Request::get("/any")).await.unwrap().body.len(), LENGTH);
    assert_eq!(link.most_on_their_way(), 1);
}

#[tokio::test]
async fn a_connection_without_a_body_of_blocks_has_no_window() {
    let stub = StubServer::start(|_| content("short"));
    let connection = connect(&stub, Settings::default()).await;
    connection.request(Request::get("/any")).await.unwrap();
    assert_eq!((connection.path().window, connection.path().lists), (None, 0));
}

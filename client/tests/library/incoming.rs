//! The library: responses that are handed out while they come.

use crate::connection::{connect, options};
use crate::slow_link::SlowLink;
use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_client::{
    Code, ConnectOptions, Connection, LastingConnection, Limits, Redial, Request, Settings,
};
use std::time::Duration;

const LENGTH: usize = 50 << 10;

fn body() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

fn large(_: &Seen) -> Reply {
    content(body())
}

/// A body takes a round trip for each of its 50 blocks.
async fn connect_slowly(link: &SlowLink, stub: &StubServer) -> Connection {
    let limits = Limits { body_window: 1, window: 1, ..Limits::default() };
    let options = ConnectOptions { server: link.address, ..options(stub) };
    Connection::connect_with(options, Settings { limits, ..Settings::default() }).await.unwrap()
}

#[tokio::test]
async fn a_long_body_comes_in_pieces_after_its_head() {
    let stub = StubServer::start(large);
    let link = SlowLink::start(stub.address, Duration::from_millis(1));
    let connection = connect_slowly(&link, &stub).await;
    let mut incoming = connection.begin(Request::get("/large")).await.unwrap();
    assert_eq!((incoming.code, incoming.content_format), (Code::new(2, 5), Some(60)));
    let mut pieces = Vec::new();
    while let Some(piece) = incoming.piece().await.unwrap() {
        pieces.push(piece);
    }
    assert!(pieces.len() >= 10, "{} pieces", pieces.len());
    assert!(pieces[0].len() < LENGTH / 2, "the first piece waited for {} bytes", pieces[0].len());
    assert!(pieces.concat() == body());
    assert_eq!(incoming.piece().await.unwrap(), None, "the end stays the end");
}

#[tokio::test]
async fn a_short_response_comes_at_once_with_its_code() {
    let stub = StubServer::start(|_| Reply::Now(Code::new(4, 4), Default::default(), b"no".to_vec()));
    let lasting = LastingConnection::connect_with(options(&stub), Settings::default(), Redial::default());
    let incoming = lasting.await.unwrap().begin(Request::get("/short")).await.unwrap();
    let response = incoming.whole().await.unwrap();
    assert_eq!((response.code, response.body.as_slice()), (Code::new(4, 4), &b"no"[..]));
}

#[tokio::test]
async fn a_body_whose_session_ends_is_never_taken_for_a_whole_one() {
    let stub = StubServer::start(large);
    let link = SlowLink::start(stub.address, Duration::from_millis(1));
    let connection = connect_slowly(&link, &stub).await;
    let mut incoming = connection.begin(Request::get("/large")).await.unwrap();
    assert!(incoming.piece().await.unwrap().is_some());
    connection.close().await;
    let error = loop {
        match incoming.piece().await {
            Ok(piece) => assert!(piece.is_some(), "the body has ended early"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("ended"), "{error}");
}

#[tokio::test]
async fn dropping_a_response_gives_its_place_to_the_next_request() {
    let stub = StubServer::start(large);
    let limits = Limits { exchanges_per_session: 1, ..Limits::default() };
    let connection = connect(&stub, Settings { limits, ..Settings::default() }).await;
    let incoming = connection.begin(Request::get("/large")).await.unwrap();
    drop(incoming);
    assert_eq!(connection.request(Request::get("/large")).await.unwrap().body.len(), LENGTH);
}

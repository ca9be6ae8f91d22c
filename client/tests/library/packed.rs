//! The library: bodies in fewer bytes, of which callers see nothing.

use crate::connection::options;
use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_client::content_format::{CBOR, JSON, PACKED};
use lowband_client::{Code, Connection, Error, Limits, Request, Settings};
use lowband_transport::coap;
use lowband_wire::coap::options::ResponseOptions;
use lowband_wire::packed::{self, LONGEST_REQUEST};

/// `["m.room.message", "AQIDBAUG", 1]`.
const PLAIN: &[u8] = b"\x83\x6em.room.message\x68AQIDBAUG\x01";

async fn connect(stub: &StubServer, limits: Limits) -> Connection {
    Connection::connect_with(options(stub), Settings { limits, ..Settings::default() }).await.unwrap()
}

fn knowing() -> Limits {
    Limits { packed_bodies: true, ..Limits::default() }
}

fn packed(body: &[u8]) -> Reply {
    let options = ResponseOptions { content_format: Some(PACKED), ..ResponseOptions::default() };
    Reply::Now(Code::new(2, 5), options, body.to_vec())
}

/// Answers as the sidecar does.
fn as_asked(seen: &Seen) -> Reply {
    match seen.options.accept {
        Some(PACKED) => packed(&packed::pack(PLAIN)),
        _ => content(PLAIN),
    }
}

fn put(body: &[u8], content_format: Option<u16>, accept: Option<u16>) -> Request {
    let request = Request::get("/_matrix/client/v3/x");
    Request { method: coap::Method::Put, body: body.to_vec(), content_format, accept, ..request }
}

#[tokio::test]
async fn bodies_are_packed_both_ways_once_the_server_has_said_that_it_knows_them() {
    let stub = StubServer::start(as_asked);
    let connection = connect(&stub, knowing()).await;
    for _ in 0..2 {
        let response = connection.request(put(PLAIN, None, None)).await.unwrap();
        assert_eq!((response.content_format, &response.body[..]), (Some(CBOR), PLAIN));
    }
    let incoming = connection.begin(put(PLAIN, Some(CBOR), Some(CBOR))).await.unwrap();
    assert_eq!(incoming.content_format, Some(CBOR));
    assert_eq!(incoming.whole().await.unwrap().body, PLAIN);
    let short = packed::pack(PLAIN);
    assert!(short.len() < PLAIN.len());
    let seen =
        stub.seen().into_iter().map(|seen| (seen.options.content_format, seen.options.accept, seen.body));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            (None, None, PLAIN.to_vec()),
            (Some(PACKED), Some(PACKED), short.clone()),
            (Some(PACKED), Some(PACKED), short),
        ]
    );
}

#[tokio::test]
async fn what_is_json_or_long_or_no_shorter_packed_stays_as_it_is() {
    let stub = StubServer::start(as_asked);
    let connection = connect(&stub, knowing()).await;
    connection.request(Request::get("/first")).await.unwrap();
    for (request, content_format, accept) in [
        (put(b"\"AQIDBAUG\"", Some(JSON), None), Some(JSON), None),
        (put(PLAIN, Some(JSON), Some(CBOR)), Some(JSON), Some(PACKED)),
        (put(b"\x61a", None, Some(JSON)), None, Some(JSON)),
        (put(b"", None, None), None, Some(PACKED)),
        (put(&PLAIN.repeat(LONGEST_REQUEST / PLAIN.len() + 1), None, None), None, Some(PACKED)),
    ] {
        let body = request.body.clone();
        connection.request(request).await.unwrap();
        let seen = stub.seen().pop().unwrap();
        assert_eq!(
            (seen.options.content_format, seen.options.accept, seen.body),
            (content_format, accept, body)
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_so_asks_for_nothing() {
    let stub = StubServer::start(as_asked);
    let connection = connect(&stub, Limits::default()).await;
    for _ in 0..2 {
        connection.request(put(PLAIN, None, None)).await.unwrap();
    }
    assert!(stub.seen().iter().all(|seen| seen.options.accept.is_none() && seen.body == PLAIN));
}

#[tokio::test]
async fn an_answer_that_is_not_what_it_says_fails_with_its_place_and_gives_nothing_out() {
    let long = [b"\x9f".as_slice(), &b"\xe0".repeat(50_000), b"\xff"].concat();
    let stub = StubServer::start(move |seen| match seen.options.path.last().unwrap().as_str() {
        "broken" => packed(b"\x82\xe0\xd6\x01"),
        "cut" => packed(b"\x82\xe0\xd6\x46a"),
        _ => packed(&long),
    });
    let connection = connect(&stub, Limits { download: 100_000, ..knowing() }).await;
    for (path, told) in [
        ("/broken", "byte 2 of the packed body stands for nothing"),
        ("/cut", "the packed body breaks off at byte 5"),
        ("/long", "the packed body stands for more than 100000 bytes"),
    ] {
        let told = format!("the server's answer cannot be unpacked: {told}");
        let whole = connection.request(Request::get(path)).await.unwrap_err();
        assert!(matches!(whole, Error::NotPacked(_)), "{whole}");
        assert_eq!(whole.to_string(), told);
        let in_pieces = connection.begin(Request::get(path)).await.unwrap().whole().await.unwrap_err();
        assert_eq!(in_pieces.to_string(), told);
    }
}

#[tokio::test]
async fn a_long_answer_in_pieces_is_unpacked_piece_by_piece() {
    let plain = [b"\x9f".as_slice(), &PLAIN.repeat(3000), b"\xff"].concat();
    let whole = plain.clone();
    let stub = StubServer::start(move |_| packed(&packed::pack(&whole)));
    let connection = connect(&stub, knowing()).await;
    let mut incoming = connection.begin(Request::get("/long")).await.unwrap();
    assert_eq!(incoming.content_format, Some(CBOR));
    let mut body = Vec::new();
    while let Some(piece) = incoming.piece().await.unwrap() {
        body.extend(piece);
    }
    assert!(body == plain);
}

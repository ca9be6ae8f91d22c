//! The library: what goes over a connection that works.

use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_client::trace::{Meter, Trace, Tracer, records};
use lowband_client::{
    Code, ConnectOptions, Connection, Limits, Method, Request, Settings, TokenUse, Verification,
};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

/// Long enough for any machine; no test waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn options(stub: &StubServer) -> ConnectOptions {
    ConnectOptions {
        server: stub.address,
        server_name: "localhost".into(),
        verification: Verification::Roots(stub.certificate.ca.clone()),
        connect_timeout: LONG,
    }
}

pub(crate) async fn connect(stub: &StubServer, settings: Settings) -> Connection {
    Connection::connect_with(options(stub), settings).await.unwrap()
}

fn echo(seen: &Seen) -> Reply {
    content(seen.body.clone())
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_response_comes_back() {
    let stub = StubServer::start(|_| content("answer"));
    let connection = connect(&stub, Settings::default()).await;
    let request = Request {
        access_token: Some("Bearer abc".into()),
        content_format: Some(60),
        accept: Some(50),
        body: b"question".to_vec(),
        ..Request::new(Method::Put, "/_matrix/client/r0/rooms/!r%3Ahs/send/m.room.message/1?k=v&flag")
    };
    let response = connection.request(request).await.unwrap();
    assert_eq!((response.code, response.content_format), (Code::new(2, 5), Some(60)));
    assert_eq!(response.body, b"answer");
    assert!(response.is_success());

    let seen = stub.only_request();
    assert_eq!(seen.method, Method::Put);
    assert_eq!(seen.options.path, ["9", "!r:hs", "m.room.message", "1"]);
    assert_eq!(seen.options.query, ["k=v", "flag"]);
    assert_eq!(seen.options.authorization.as_deref(), Some("abc"));
    assert_eq!((seen.options.content_format, seen.options.accept), (Some(60), Some(50)));
    assert_eq!(seen.options.cbor_version, None);
    assert_eq!(seen.body, b"question");
    connection.close().await;
}

#[tokio::test]
async fn without_path_codes_the_segments_go_out_as_they_stand() {
    let stub = StubServer::start(echo);
    let connection = connect(&stub, Settings { path_codes: false, ..Settings::default() }).await;
    connection.request(Request::get("/_matrix/client/versions")).await.unwrap();
    assert_eq!(stub.only_request().options.path, ["_matrix", "client", "versions"]);
}

#[tokio::test]
async fn overlapping_requests_are_answered_in_any_order() {
    let stub = StubServer::start(|seen| match seen.body.as_slice() {
        b"first" => Reply::AfterNext(Code::new(2, 5), b"to the first".to_vec()),
        _ => content("to the second"),
    });
    let connection = connect(&stub, Settings::default()).await;
    let ask = |body: &str| {
        let request = Request { body: body.into(), ..Request::new(Method::Post, "/ask") };
        connection.request(request)
    };
    let (first, second) = tokio::join!(ask("first"), ask("second"));
    assert_eq!(first.unwrap().body, b"to the first");
    assert_eq!(second.unwrap().body, b"to the second");
}

#[tokio::test]
async fn bodies_of_many_blocks_arrive_whole_both_ways() {
    let stub = StubServer::start(echo);
    let connection = connect(&stub, Settings::default()).await;
    for length in [0, 1, 1023, 1024, 1025, 2048, 100_000] {
        let body: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let request = Request { body: body.clone(), ..Request::new(Method::Post, "/echo") };
        let response = connection.request(request).await.unwrap();
        assert!(response.body == body, "{length} bytes came back as {}", response.body.len());
    }
}

fn with_token(token: &str) -> Request {
    Request { access_token: Some(token.into()), ..Request::get("/whoami") }
}

async fn tokens_on_the_wire(token_use: TokenUse, tokens: &[Option<&str>]) -> Vec<Option<String>> {
    let stub = StubServer::start(echo);
    let connection = connect(&stub, Settings { token_use, ..Settings::default() }).await;
    for token in tokens {
        let request = token.map_or_else(|| Request::get("/whoami"), with_token);
        connection.request(request).await.unwrap();
    }
    stub.seen().into_iter().map(|seen| seen.options.authorization).collect()
}

#[tokio::test]
async fn a_token_goes_over_the_wire_once_and_again_when_it_changes() {
    let sent = tokens_on_the_wire(TokenUse::UntilKnown, &["a", "a", "b", "b", "a"].map(Some)).await;
    assert_eq!(sent, [Some("a".into()), None, Some("b".into()), None, Some("a".into())]);
}

#[tokio::test]
async fn a_token_goes_over_the_wire_each_time_where_that_is_asked_for() {
    let sent = tokens_on_the_wire(TokenUse::EachRequest, &[Some("a"), None, Some("a")]).await;
    assert_eq!(sent, [Some("a".into()), None, Some("a".into())]);
}

#[tokio::test]
async fn without_a_token_an_empty_option_takes_the_servers_away() {
    let sent = tokens_on_the_wire(TokenUse::UntilKnown, &[None, Some("a"), None, None, Some("a")]).await;
    assert_eq!(sent, [None, Some("a".into()), Some(String::new()), None, Some("a".into())]);
}

#[tokio::test]
async fn the_cbor_version_is_announced_with_the_first_request() {
    let stub = StubServer::start(echo);
    let connection = connect(&stub, Settings { cbor_version: Some(1), ..Settings::default() }).await;
    for _ in 0..2 {
        connection.request(Request::get("/any")).await.unwrap();
    }
    let versions: Vec<_> = stub.seen().into_iter().map(|seen| seen.options.cbor_version).collect();
    assert_eq!(versions, [Some(1), None]);
}

#[tokio::test]
async fn more_requests_than_may_overlap_wait_for_their_turn() {
    let stub = StubServer::start(echo);
    let limits = Limits { exchanges_per_session: 2, ..Limits::default() };
    let connection = connect(&stub, Settings { limits, ..Settings::default() }).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.request(Request::get("/any")).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap().unwrap().is_success());
    }
    assert_eq!(stub.seen().len(), 20);
}

#[tokio::test]
async fn a_silent_connection_is_kept_alive_by_pings() {
    let stub = StubServer::start(echo);
    let (pong, mut pongs) = tokio::sync::mpsc::unbounded_channel();
    let tracer = Tracer::new(move |what| {
        if let Trace::Pong = what {
            let _ = pong.send(());
        }
    });
    let settings =
        Settings { keep_alive: Some(Duration::from_millis(5)), tracer: Some(tracer), ..Settings::default() };
    let _connection = connect(&stub, settings).await;
    for _ in 0..3 {
        pongs.recv().await.unwrap();
    }
}

/// Sizes of the requests on the wire: 29 bytes of DTLS record, 4 of CoAP header, 1 of CoAP token, then
/// options and body. The first request of a session names the client by 4 more.
#[tokio::test]
async fn requests_are_as_small_as_their_options() {
    let stub = StubServer::start(echo);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tracer = Tracer::new(move |what| {
        if let Trace::Sent(datagram) = what
            && records(datagram) == "application data"
        {
            let _ = tell.send(datagram.len());
        }
    });
    let connection = connect(&stub, Settings { tracer: Some(tracer), ..Settings::default() }).await;
    let token = "syt_YWxpY2U_aaaaaaaaaaaaaaaaaaaa_0abcde";
    let send = Request {
        access_token: Some(token.into()),
        body: b"\xa2\x18\x1bkHello World\x18\x1cfm.text".to_vec(),
        ..Request::new(
            Method::Put,
            "/_matrix/client/r0/rooms/!aaaaaaaaaaaaaaaaaa:localhost/send/m.room.message/1",
        )
    };
    let with_body = 29 + 4 + 1 + 51 + 1 + send.body.len();
    for (request, expected) in [
        (Request::get("/_matrix/client/versions"), 29 + 4 + 1 + 2 + 4),
        (send.clone(), with_body + 3 + token.len()),
        (send, with_body),
    ] {
        connection.request(request).await.unwrap();
        let size = told.recv().await.unwrap();
        assert!(size <= expected, "{size} bytes instead of {expected}");
        // Repetitions on a slow machine have the same size, and are not of interest.
        while told.try_recv().is_ok() {}
    }
}

#[tokio::test]
async fn the_counters_say_what_the_trace_saw() {
    let stub = StubServer::start(echo);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tracer = Tracer::new(move |what| {
        let _ = match what {
            Trace::Sent(datagram) => tell.send((datagram.len(), 0)),
            Trace::Received(datagram) => tell.send((0, datagram.len())),
            _ => Ok(()),
        };
    });
    let connection = connect(&stub, Settings { tracer: Some(tracer), ..Settings::default() }).await;
    connection.request(Request::get("/any")).await.unwrap();
    let traffic = connection.traffic();
    connection.close().await;
    let mut sizes = Vec::new();
    while let Some(size) = told.recv().await {
        sizes.push(size);
    }
    let out: Vec<_> = sizes.iter().filter(|(out, _)| *out > 0).collect();
    let come: Vec<_> = sizes.iter().filter(|(_, come)| *come > 0).collect();
    // One more datagram went out after the count: close_notify.
    assert_eq!(traffic.datagrams_out + 1, out.len() as u64);
    assert_eq!(traffic.datagrams_in, come.len() as u64);
    assert_eq!(traffic.bytes_in, come.iter().map(|(_, come)| *come as u64).sum::<u64>());
}

#[tokio::test]
async fn a_meter_counts_several_connections_and_handshakes_that_come_to_nothing() {
    let stub = StubServer::start(echo);
    let meter = Arc::new(Meter::default());
    let settings = || Settings { meter: Some(Arc::clone(&meter)), ..Settings::default() };
    let (one, other) = (connect(&stub, settings()).await, connect(&stub, settings()).await);
    assert_eq!(meter.traffic(), one.traffic() + other.traffic());
    let before = meter.traffic();
    let distrusted = ConnectOptions { verification: Verification::System, ..options(&stub) };
    Connection::connect_with(distrusted, settings()).await.unwrap_err();
    assert!(meter.traffic().bytes_in > before.bytes_in && meter.traffic().bytes_out > before.bytes_out);
}

#[tokio::test]
async fn the_key_log_holds_the_secrets_and_is_for_its_owner_alone() {
    let stub = StubServer::start(echo);
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("key-log-{}", std::process::id()));
    let connection = connect(&stub, Settings { key_log: Some(path.clone()), ..Settings::default() }).await;
    connection.request(Request::get("/any")).await.unwrap();
    connection.close().await;
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(&path).unwrap();
    let fields: Vec<_> = log.split_whitespace().collect();
    assert_eq!(
        (fields.len(), fields[0], fields[1].len(), fields[2].len()),
        (3, "CLIENT_RANDOM", 64, 96),
        "{log}"
    );
}

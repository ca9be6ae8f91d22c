//! The library: a connection that outlives its sessions.

use crate::certificate::Certificate;
use crate::connection::{LONG, options};
use crate::stub_server::{Reply, Seen, StubServer, Told, content};
use crate::versions::ask_for_versions;
use lowband_client::trace::{Trace, Tracer};
use lowband_client::{
    CloseReason, Code, ConnectOptions, Error, LastingConnection, Method, Redial, Request, Settings, Times,
};
use lowband_wire::coap::options::ResponseOptions;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const MS: Duration = Duration::from_millis(1);

/// Returns settings so fast that no test waits long, and patient beyond any machine.
fn quick() -> Redial {
    Redial {
        silence: 100 * MS,
        patience: LONG,
        spread: MS,
        first_gap: 10 * MS,
        longest_gap: 50 * MS,
        handshake: LONG,
        ..Redial::default()
    }
}

/// Returns settings with a longer silence than the stub takes to acknowledge what it does not answer: half a
/// second.
fn patient() -> Redial {
    Redial { silence: 700 * MS, ..quick() }
}

fn times() -> Times {
    Times { ack_timeout: 5 * MS, measured: false, ..Times::measured() }
}

async fn connect(stub: &StubServer, redial: Redial) -> LastingConnection {
    let settings = Settings { times: times(), ..Settings::default() };
    LastingConnection::connect_with(options(stub), settings, redial).await.unwrap()
}

/// Replies with `first` once, then with the body of the request.
fn once(first: impl Fn() -> Reply + Send + 'static) -> StubServer {
    let mut first = Some(first);
    StubServer::start(move |seen| first.take().map_or_else(|| content(seen.body.clone()), |reply| reply()))
}

fn with_token(method: Method, body: &str) -> Request {
    Request {
        access_token: Some("abc".into()),
        content_format: Some(60),
        body: body.into(),
        ..Request::new(method, "/_matrix/client/r0/rooms/!r%3Ahs/send/m.room.message/1?k=v")
    }
}

#[tokio::test]
async fn the_example_asks_for_the_versions() {
    let versions = r#"{"versions":["v1.11"]}"#;
    let stub = StubServer::start(move |_| content(lowband_codec::json_to_cbor(versions.as_bytes()).unwrap()));
    assert_eq!(ask_for_versions(options(&stub)).await.unwrap(), versions);
    assert_eq!(stub.only_request().options.path, ["0"]);
}

#[tokio::test]
async fn what_can_be_repeated_is_made_again_from_a_new_port_with_its_token() {
    for method in [Method::Get, Method::Put, Method::Delete] {
        let stub = once(|| Reply::CloseSession);
        let connection = connect(&stub, quick()).await;
        let request = with_token(method, if method == Method::Put { "body" } else { "" });
        let response = connection.request(request.clone()).await.unwrap();
        assert_eq!(response.body, request.body);
        // The token is known to the new session now.
        connection.request(request).await.unwrap();
        let [first, second, third] = &stub.seen()[..] else { panic!("{:?}", stub.seen()) };
        let told = |seen: &Seen| (seen.method, seen.options.clone(), seen.body.clone());
        assert_eq!(told(first), told(second));
        assert_eq!(second.options.authorization.as_deref(), Some("abc"));
        assert_eq!(third.options.authorization, None);
        assert_ne!(first.port, second.port);
        assert_eq!((second.port, connection.redials()), (third.port, 1));
    }
}

#[tokio::test]
async fn a_post_that_may_have_arrived_fails_and_the_next_has_a_new_session() {
    let stub = once(|| Reply::CloseSession);
    let connection = connect(&stub, quick()).await;
    let post = || with_token(Method::Post, "body");
    let outcome = connection.request(post()).await;
    assert!(matches!(outcome, Err(Error::Closed(CloseReason::CloseNotify))), "{outcome:?}");
    assert_eq!((stub.seen().len(), connection.redials()), (1, 0));
    assert_eq!(connection.request(post()).await.unwrap().body, b"body");
    assert_eq!((stub.seen().len(), connection.redials()), (2, 1));
}

#[tokio::test]
async fn a_post_that_nothing_was_sent_of_is_made_on_the_next_session() {
    const ALERT: u8 = 21;
    let mut stub = once(|| Reply::Last(b"first".to_vec()));
    let (tracer, mut close_notify) =
        watcher(|what| matches!(what, Trace::Received(datagram) if datagram.first() == Some(&ALERT)));
    let settings = Settings { times: times(), tracer: Some(tracer), ..Settings::default() };
    let connection = LastingConnection::connect_with(options(&stub), settings, quick()).await.unwrap();
    assert_eq!(connection.request(Request::get("/any")).await.unwrap().body, b"first");
    close_notify.recv().await.unwrap();
    stub.start_again();
    assert_eq!(connection.request(with_token(Method::Post, "body")).await.unwrap().body, b"body");
    assert_eq!((stub.seen().len(), connection.redials()), (2, 1));
}

#[tokio::test]
async fn a_server_that_has_forgotten_us_is_dialled_after_its_silence() {
    let mut stub = StubServer::start(|seen| content(seen.body.clone()));
    let connection = connect(&stub, quick()).await;
    connection.request(with_token(Method::Put, "one")).await.unwrap();
    stub.start_again();
    assert_eq!(connection.request(with_token(Method::Put, "two")).await.unwrap().body, b"two");
    assert_eq!(connection.redials(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_dialled_until_it_is_back() {
    let mut stub = StubServer::start(|seen| content(seen.body.clone()));
    let (tracer, mut unreached) = watcher(|what| matches!(what, Trace::Unreached(_)));
    let settings = Settings { times: times(), tracer: Some(tracer), ..Settings::default() };
    let connection = LastingConnection::connect_with(options(&stub), settings, quick()).await.unwrap();
    stub.vanish();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(with_token(Method::Put, "x")).await }
    });
    for _ in 0..3 {
        unreached.recv().await.unwrap();
    }
    stub.start_again();
    assert_eq!(waiting.await.unwrap().unwrap().body, b"x");
    assert_eq!(connection.redials(), 1);
}

fn watcher(wanted: impl Fn(&Trace<'_>) -> bool + Send + Sync + 'static) -> (Tracer, UnboundedReceiver<()>) {
    let (tell, told) = unbounded_channel();
    let tracer = Tracer::new(move |what| {
        if wanted(&what) {
            let _ = tell.send(());
        }
    });
    (tracer, told)
}

#[tokio::test]
async fn who_acknowledges_a_request_and_is_still_there_may_take_his_time() {
    let stub = StubServer::start(|seen| match seen.body.as_slice() {
        b"slow" => Reply::AfterNext(Code::new(2, 5), b"at last".to_vec()),
        _ => content("quick"),
    });
    let (tracer, mut pongs) = watcher(|what| matches!(what, Trace::Pong));
    let settings = Settings { times: times(), tracer: Some(tracer), ..Settings::default() };
    let connection = LastingConnection::connect_with(options(&stub), settings, patient()).await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(with_token(Method::Post, "slow")).await }
    });
    // Each request comes after half of the longest silence: four of them are twice as long.
    for _ in 0..4 {
        pongs.recv().await.unwrap();
    }
    connection.request(Request::get("/any")).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().body, b"at last");
    assert_eq!(connection.redials(), 0);
}

#[tokio::test]
async fn who_acknowledges_a_request_and_goes_is_missed() {
    let mut stub = once(|| Reply::Never);
    let (tracer, mut pongs) = watcher(|what| matches!(what, Trace::Pong));
    let settings = Settings { times: times(), tracer: Some(tracer), ..Settings::default() };
    let connection = LastingConnection::connect_with(options(&stub), settings, patient()).await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(with_token(Method::Put, "x")).await }
    });
    pongs.recv().await.unwrap();
    stub.start_again();
    assert_eq!(waiting.await.unwrap().unwrap().body, b"x");
    assert_eq!((stub.seen().len(), connection.redials()), (2, 1));
}

#[tokio::test]
async fn many_requests_that_lose_their_session_share_the_next() {
    let stub = StubServer::start({
        let mut closed = false;
        move |seen| match seen.body.as_slice() {
            b"0" if !closed => {
                closed = true;
                Reply::CloseSession
            }
            body => content(body),
        }
    });
    let connection = connect(&stub, quick()).await;
    let requests: Vec<_> = (0..20)
        .map(|number| {
            let connection = connection.clone();
            tokio::spawn(
                async move { connection.request(with_token(Method::Put, &number.to_string())).await },
            )
        })
        .collect();
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap().unwrap().body, number.to_string().into_bytes());
    }
    assert_eq!(connection.redials(), 1);
    let ports: HashSet<_> = stub.seen().iter().map(|seen| seen.port).collect();
    assert_eq!(ports.len(), 2);
}

fn unavailable(max_age: u32) -> Reply {
    let options = ResponseOptions { max_age: Some(max_age), ..ResponseOptions::default() };
    Reply::Now(Code::new(5, 3), options, b"not now".to_vec())
}

#[tokio::test]
async fn what_is_unavailable_for_now_is_asked_for_again_and_a_post_is_not() {
    let stub = once(|| unavailable(0));
    let connection = connect(&stub, quick()).await;
    assert_eq!(connection.request(with_token(Method::Put, "x")).await.unwrap().body, b"x");
    assert_eq!((stub.seen().len(), connection.redials()), (2, 0));

    let stub = once(|| unavailable(0));
    let connection = connect(&stub, quick()).await;
    let response = connection.request(with_token(Method::Post, "x")).await.unwrap();
    assert_eq!((response.code, stub.seen().len()), (Code::new(5, 3), 1));
}

#[tokio::test]
async fn what_is_unavailable_for_longer_than_our_patience_or_too_often_is_told() {
    for (max_age, expected) in [(1000, 1), (0, 3)] {
        let stub = StubServer::start(move |_| unavailable(max_age));
        let connection = connect(&stub, quick()).await;
        let response = connection.request(Request::get("/any")).await.unwrap();
        assert_eq!((response.code, response.max_age), (Code::new(5, 3), Some(max_age)));
        assert_eq!(stub.seen().len(), expected);
    }
}

#[tokio::test]
async fn patience_has_an_end() {
    let mut stub = StubServer::start(|_| content("x"));
    let connection = connect(&stub, Redial { patience: 100 * MS, ..quick() }).await;
    stub.vanish();
    let outcome = connection.request(Request::get("/any")).await;
    assert!(matches!(outcome, Err(Error::Refused(_) | Error::ConnectTimeout(_))), "{outcome:?}");

    // A server that takes sessions and never a request.
    let stub = StubServer::start(|_| Reply::CloseSession);
    let connection = connect(&stub, Redial { patience: 100 * MS, ..quick() }).await;
    let outcome = connection.request(Request::get("/any")).await;
    assert!(matches!(outcome, Err(Error::Closed(_) | Error::ConnectTimeout(_))), "{outcome:?}");
    assert!((2..30).contains(&stub.seen().len()), "{}", stub.seen().len());
}

#[tokio::test]
async fn never_means_never() {
    let stub = once(|| Reply::CloseSession);
    let connection = connect(&stub, Redial::never()).await;
    for _ in 0..2 {
        let outcome = connection.request(Request::get("/any")).await;
        assert!(matches!(outcome, Err(Error::Closed(CloseReason::CloseNotify))), "{outcome:?}");
    }
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_comes_back_as_somebody_else_is_not_believed() {
    let mut stub = once(|| Reply::CloseSession);
    let connection = connect(&stub, quick()).await;
    stub.certificate = Certificate::for_another_name();
    stub.start_again();
    let outcome = connection.request(Request::get("/any")).await;
    assert!(matches!(outcome, Err(Error::Certificate(_))), "{outcome:?}");
}

#[tokio::test]
async fn closing_ends_the_dialling() {
    let mut stub = StubServer::start(|_| content("x"));
    let (tracer, mut unreached) = watcher(|what| matches!(what, Trace::Unreached(_)));
    let settings = Settings { times: times(), tracer: Some(tracer), ..Settings::default() };
    let connection = LastingConnection::connect_with(options(&stub), settings, quick()).await.unwrap();
    stub.vanish();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(Request::get("/any")).await }
    });
    unreached.recv().await.unwrap();
    connection.close().await;
    let outcome = waiting.await.unwrap();
    assert!(matches!(outcome, Err(Error::Closed(CloseReason::Local))), "{outcome:?}");
}

#[tokio::test]
async fn dropping_the_last_clone_tells_the_server() {
    let mut stub = once(|| Reply::CloseSession);
    let connection = connect(&stub, quick()).await;
    connection.request(Request::get("/any")).await.unwrap();
    stub.session_opened().await;
    drop(connection);
    loop {
        match stub.told().await {
            Told::SessionClosed(CloseReason::CloseNotify) => return,
            Told::SessionClosed(CloseReason::Local) | Told::Request | Told::SessionOpened => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_first_dial_that_fails_is_told_at_once() {
    let mut stub = StubServer::start(|_| content("x"));
    stub.vanish();
    let options = ConnectOptions { connect_timeout: LONG, ..options(&stub) };
    let outcome = LastingConnection::connect(options).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
}

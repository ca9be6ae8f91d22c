//! The library: connections that do not come about, requests that are given up, servers that go away.

use crate::certificate::Certificate;
use crate::connection::{LONG, connect, options};
use crate::stub_server::{Reply, StubServer, Told, content};
use lowband_client::{
    CertificateFailure, CloseReason, ConnectOptions, Connection, Error, Limits, Method, Request, Settings,
    TargetError, Times, Unsendable, Verification,
};
use std::time::Duration;

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_after_the_connect_timeout() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let time = Duration::from_millis(50);
    let outcome = Connection::connect(ConnectOptions {
        server: silent.local_addr().unwrap(),
        server_name: "localhost".into(),
        verification: Verification::None,
        connect_timeout: time,
    })
    .await;
    assert!(matches!(outcome, Err(Error::ConnectTimeout(told)) if told == time), "{outcome:?}");
}

#[tokio::test]
async fn a_closed_port_is_known_at_once() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // A socket that is connected takes its port, and nothing of others.
    socket.connect("127.0.0.1:9").unwrap();
    let server = socket.local_addr().unwrap();
    let outcome = Connection::connect(ConnectOptions {
        server,
        server_name: "localhost".into(),
        verification: Verification::None,
        connect_timeout: LONG,
    })
    .await;
    assert!(matches!(outcome, Err(Error::Refused(told)) if told == server), "{outcome:?}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca_is_not_accepted() {
    let stub = StubServer::start(|_| content("x"));
    let stranger = Verification::Roots(Certificate::for_loopback().ca);
    for verification in [stranger, Verification::System] {
        let outcome = Connection::connect(ConnectOptions { verification, ..options(&stub) }).await;
        assert!(matches!(outcome, Err(Error::Certificate(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let stub = StubServer::with_certificate(Certificate::for_another_name(), |_| content("x"));
    let outcome = Connection::connect(options(&stub)).await;
    let Err(Error::Certificate(why)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.code, CertificateFailure::WRONG_NAME, "{why}");
}

#[tokio::test]
async fn nobody_is_checked_where_that_is_asked_for() {
    let stub = StubServer::with_certificate(Certificate::for_another_name(), |_| content("x"));
    let options = ConnectOptions { verification: Verification::None, ..options(&stub) };
    assert!(Connection::connect(options).await.is_ok());
}

#[tokio::test]
async fn a_request_that_no_message_can_carry_is_the_callers_fault() {
    let stub = StubServer::start(|_| content("x"));
    let connection = Connection::connect(options(&stub)).await.unwrap();
    let target = format!("/any?{}", vec!["q".repeat(200); 100].join("&"));
    let outcome = connection.request(Request::get(&target)).await;
    assert!(matches!(outcome, Err(Error::Unsendable(Unsendable::Message { .. }))), "{outcome:?}");
    assert!(connection.request(Request::get("/any")).await.is_ok());
}

#[tokio::test]
async fn an_address_is_checked_as_well_as_a_name() {
    let stub = StubServer::start(|_| content("x"));
    let options = ConnectOptions { server_name: "127.0.0.1".into(), ..options(&stub) };
    assert!(Connection::connect(options).await.is_ok());
}

#[tokio::test]
async fn a_dropped_request_makes_room_for_the_next() {
    let mut stub = StubServer::start(|seen| match seen.method {
        Method::Get => Reply::Never,
        _ => content("x"),
    });
    let limits = Limits { exchanges_per_session: 1, ..Limits::default() };
    let connection = connect(&stub, Settings { limits, ..Settings::default() }).await;
    tokio::select! {
        outcome = connection.request(Request::get("/never")) => panic!("answered: {outcome:?}"),
        told = stub.told() => assert!(matches!(told, Told::Request), "{told:?}"),
    }
    let response = connection.request(Request::new(Method::Post, "/now")).await.unwrap();
    assert_eq!(response.body, b"x");
}

#[tokio::test]
async fn when_the_server_closes_the_session_requests_fail_with_its_reason() {
    let stub = StubServer::start(|_| Reply::CloseSession);
    let connection = connect(&stub, Settings::default()).await;
    for _ in 0..2 {
        let outcome = connection.request(Request::get("/any")).await;
        assert!(matches!(outcome, Err(Error::Closed(CloseReason::CloseNotify))), "{outcome:?}");
    }
}

#[tokio::test]
async fn when_the_server_vanishes_a_request_fails_after_its_retransmissions() {
    let mut stub = StubServer::start(|_| content("x"));
    let times = Times {
        ack_timeout: Duration::from_millis(2),
        max_retransmit: 3,
        measured: false,
        ..Times::rfc7252()
    };
    let connection = connect(&stub, Settings { times, ..Settings::default() }).await;
    stub.vanish();
    let outcome = connection.request(Request::get("/any")).await;
    assert!(matches!(outcome, Err(Error::Timeout)), "{outcome:?}");
}

/// The request has been acknowledged, so that nothing of it is sent again.
#[tokio::test]
async fn when_the_server_vanishes_whoever_waits_is_told_by_a_ping() {
    let mut stub = StubServer::start(|_| Reply::Never);
    let ms = Duration::from_millis;
    // The stub acknowledges after half a second.
    let times = Times { ack_timeout: ms(5), dead_after: ms(50), measured: false, ..Times::measured() };
    let settings = Settings { times, keep_alive: Some(ms(700)), ..Settings::default() };
    let connection = connect(&stub, settings).await;
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(Request::get("/sync?timeout=600000")).await }
    });
    assert!(matches!(stub.told().await, Told::Request));
    stub.vanish();
    let outcome = waiting.await.unwrap();
    assert!(matches!(outcome, Err(Error::Closed(CloseReason::Dead))), "{outcome:?}");
    let next = connection.request(Request::get("/any")).await;
    assert!(matches!(next, Err(Error::Closed(CloseReason::Dead))), "{next:?}");
}

/// A third host sends what looks as if it came from the server, more often than a ping is due.
#[tokio::test]
async fn forged_datagrams_do_not_hide_that_the_server_has_vanished() {
    let mut stub = StubServer::start(|_| Reply::Never);
    let ms = Duration::from_millis;
    let times = Times { ack_timeout: ms(5), dead_after: ms(50), measured: false, ..Times::measured() };
    let settings = Settings { times, keep_alive: Some(ms(700)), ..Settings::default() };
    let connection = connect(&stub, settings).await;
    let waiting = connection.request(Request::get("/sync?timeout=600000"));
    let forged = async {
        assert!(matches!(stub.told().await, Told::Request));
        let client = ("127.0.0.1", stub.only_request().port);
        stub.vanish();
        let forger = tokio::net::UdpSocket::bind(stub.address).await.unwrap();
        let mut often = tokio::time::interval(ms(20));
        loop {
            often.tick().await;
            let record = [&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 30][..], &[7; 30]].concat();
            forger.send_to(&record, client).await.unwrap();
        }
    };
    tokio::select! {
        outcome = waiting => assert!(matches!(outcome, Err(Error::Closed(CloseReason::Dead))), "{outcome:?}"),
        () = forged => {}
    }
}

async fn reason_at_the_server(stub: &mut StubServer) -> CloseReason {
    loop {
        if let Told::SessionClosed(why) = stub.told().await {
            return why;
        }
    }
}

#[tokio::test]
async fn closing_tells_the_server_and_fails_what_is_under_way() {
    let mut stub = StubServer::start(|_| Reply::Never);
    let connection = connect(&stub, Settings::default()).await;
    let pending = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(Request::get("/never")).await }
    });
    assert!(matches!(stub.told().await, Told::Request));
    connection.clone().close().await;
    assert!(matches!(pending.await.unwrap(), Err(Error::Closed(CloseReason::Local))));
    assert_eq!(reason_at_the_server(&mut stub).await, CloseReason::CloseNotify);
    let outcome = connection.request(Request::get("/any")).await;
    assert!(matches!(outcome, Err(Error::Closed(CloseReason::Local))), "{outcome:?}");
    // A second close does no harm.
    connection.close().await;
}

#[tokio::test]
async fn dropping_the_last_clone_tells_the_server() {
    let mut stub = StubServer::start(|_| content("x"));
    let connection = connect(&stub, Settings::default()).await;
    connection.request(Request::get("/any")).await.unwrap();
    drop(connection.clone());
    connection.request(Request::get("/any")).await.unwrap();
    drop(connection);
    assert_eq!(reason_at_the_server(&mut stub).await, CloseReason::CloseNotify);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is() {
    let stub = StubServer::start(|_| content("x"));
    let connection = connect(&stub, Settings::default()).await;
    let outcome = connection.request(Request::get("/a/../b")).await;
    assert!(matches!(outcome, Err(Error::Target(TargetError::DotSegment))), "{outcome:?}");
    let request = Request { access_token: Some(String::new()), ..Request::get("/any") };
    let outcome = connection.request(request).await;
    assert!(matches!(outcome, Err(Error::AccessToken(0))), "{outcome:?}");
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn a_key_log_that_cannot_be_written_is_told_before_anything_is_sent() {
    let stub = StubServer::start(|_| content("x"));
    let settings = Settings { key_log: Some("/nonexistent/folder/log".into()), ..Settings::default() };
    let outcome = Connection::connect_with(options(&stub), settings).await;
    assert!(matches!(outcome, Err(Error::KeyLog { .. })), "{outcome:?}");
}

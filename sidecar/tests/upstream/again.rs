//! Which requests are sent again, by which side, and which never are.

use super::{Played, accept, carry, put, respond, started, waits, while_serving};
use h2::Reason;
use lowband_sidecar::answer::Command;
use lowband_sidecar::failure::Failure;
use lowband_sidecar::request::Forward;
use lowband_wire::coap::Code;
use std::time::Duration;
use tokio::net::UnixStream;

#[tokio::test]
async fn a_refused_stream_is_sent_again_because_it_was_not_processed() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let mut server = played.connection().await;
    let (_, mut first) = accept(&mut server).await;
    first.send_reset(Reason::REFUSED_STREAM);
    let (_, second) = accept(&mut server).await;
    respond(second, true);
    assert!(matches!(started(&mut server, &mut commands).await, Command::Start { code: Code::CONTENT, .. }));
}

#[tokio::test]
async fn a_goaway_that_does_not_cover_the_stream_sends_it_again_on_a_new_connection() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let stream = played.listener.accept().await.unwrap().0;
    go_away_at_once(stream).await;
    let mut server = played.connection().await;
    let (_, second) = accept(&mut server).await;
    respond(second, true);
    assert!(matches!(started(&mut server, &mut commands).await, Command::Start { code: Code::CONTENT, .. }));
}

/// Sends SETTINGS, then GOAWAY with last stream 0 (RFC 9113 section 6.8), when the request has arrived.
async fn go_away_at_once(mut stream: UnixStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    let mut kind = 0;
    while kind != HEADERS {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; len as usize]).await.unwrap();
        kind = head[3];
    }
    stream.write_all(&GOAWAY).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_breaks_after_it_was_processed_is_never_sent_again() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let mut server = played.connection().await;
    let (_, mut first) = accept(&mut server).await;
    first.send_reset(Reason::INTERNAL_ERROR);
    let Command::Refuse { refusal, failure } = started(&mut server, &mut commands).await else { panic!() };
    assert_eq!(refusal.code, Code::BAD_GATEWAY);
    assert!(matches!(failure, Some(Failure::Broken(_))));
}

#[tokio::test]
async fn a_stream_refused_again_and_again_is_given_up() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let mut server = played.connection().await;
    for _ in 0..3 {
        accept(&mut server).await.1.send_reset(Reason::REFUSED_STREAM);
    }
    is_to_ask_again(started(&mut server, &mut commands).await);
}

fn is_to_ask_again(command: Command) {
    let Command::Refuse { refusal, failure } = command else { panic!("{command:?}") };
    assert_eq!((refusal.code, refusal.max_age), (Code::SERVICE_UNAVAILABLE, Some(1)));
    assert!(matches!(failure, Some(Failure::Unprocessed(_))), "{failure:?}");
}

#[tokio::test]
async fn what_was_not_processed_and_has_no_body_any_more_is_the_clients_to_ask_again() {
    let played = Played::new();
    let upstream = played.upstream(Duration::ZERO);
    let (_task, mut commands) = carry(&upstream, waits());
    let mut server = played.connection().await;
    let (request, mut stream) = accept(&mut server).await;
    let mut body = request.into_body();
    while_serving(&mut server, body.data()).await.unwrap().unwrap();
    stream.send_reset(Reason::REFUSED_STREAM);
    is_to_ask_again(started(&mut server, &mut commands).await);

    let played = Played::new();
    let (_task, mut commands) = carry(&played.upstream(Duration::ZERO), waits());
    let goes = tokio::spawn(async move {
        go_away_at_once(played.listener.accept().await.unwrap().0).await;
        played
    });
    is_to_ask_again(commands.recv().await.unwrap().1);
    goes.await.unwrap();
}

#[tokio::test]
async fn what_may_be_repeated_is_asked_again_once_when_its_connection_breaks_off() {
    for (is_repeatable, connections) in [(true, 2), (false, 1)] {
        let played = Played::new();
        let upstream = played.upstream(Duration::ZERO);
        let (_task, mut commands) = carry(&upstream, Forward { is_repeatable, ..put() });
        for _ in 0..connections {
            let mut server = played.connection().await;
            let (request, _stream) = accept(&mut server).await;
            assert_eq!(request.method(), "PUT");
        }
        let (_, Command::Refuse { refusal, failure }) = commands.recv().await.unwrap() else { panic!() };
        assert_eq!(refusal.code, Code::BAD_GATEWAY, "{failure:?}");
        assert_eq!(upstream.usage().repeated, connections - 1);
    }
}

#[tokio::test]
async fn a_repeated_request_has_its_body_and_gets_its_answer() {
    let played = Played::new();
    let (_task, mut commands) =
        carry(&played.upstream(Duration::ZERO), Forward { is_repeatable: true, ..put() });
    let mut server = played.connection().await;
    accept(&mut server).await;
    drop(server);
    let mut server = played.connection().await;
    let (request, stream) = accept(&mut server).await;
    let mut body = request.into_body();
    assert_eq!(while_serving(&mut server, body.data()).await.unwrap().unwrap(), "body");
    respond(stream, true);
    assert!(matches!(started(&mut server, &mut commands).await, Command::Start { .. }));
}

#[tokio::test]
async fn a_stream_that_its_upstream_resets_is_never_repeated() {
    let played = Played::new();
    let (_task, mut commands) =
        carry(&played.upstream(Duration::ZERO), Forward { is_repeatable: true, ..put() });
    let mut server = played.connection().await;
    accept(&mut server).await.1.send_reset(Reason::INTERNAL_ERROR);
    assert!(matches!(started(&mut server, &mut commands).await, Command::Refuse { .. }));
}

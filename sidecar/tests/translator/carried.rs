//! Requests from CoAP on their way through the upstream: their places, and clients that go away.

use crate::stub::{Homeserver, streamed};
use crate::{PATIENCE, cbor, translator};
use bytes::Bytes;
use http::Request;
use lowband_sidecar::answer::{AnswerWriter, Command};
use lowband_sidecar::credentials::Credentials;
use lowband_sidecar::request::Forward;
use lowband_sidecar::translator::Translator;
use lowband_sidecar::upstream::{Address, Holder, Settings, Upstream};
use lowband_transport::shares::{Limit, Network};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::Code;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const HOLDER: SessionId = SessionId(1);
/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(600);

fn upstream(translator: Translator, cancel_after: Duration) -> Arc<Upstream> {
    let settings = Settings {
        address: Address::Unix("/nonexistent/envoy.sock".into()),
        connections: 1,
        requests: 10,
        request_bytes: 1 << 20,
        largest_body: 1 << 20,
        connect_timeout: LONG,
        response_timeout: Duration::from_secs(60),
        longest_poll: LONG,
        cancel_after,
        cancels: Limit { per_second: 1, burst: 1 },
        connection_age: LONG,
        ping: LONG,
    };
    Arc::new(Upstream::new(settings, Some(translator)))
}

fn carry(
    upstream: &Arc<Upstream>,
    request: Request<Bytes>,
) -> (JoinHandle<()>, mpsc::Receiver<(ExchangeId, Command)>) {
    let (commands, commanded) = mpsc::channel(8);
    let answer = AnswerWriter::new(ExchangeId(1), commands);
    let holder = Holder { session: HOLDER, network: Network::alone(1) };
    let place = Arc::new(upstream.place(holder, request.body().len()).unwrap());
    let forward = Forward {
        request,
        credentials: Credentials::default(),
        long_poll: Duration::ZERO,
        is_repeatable: false,
        wants_packed: false,
    };
    let upstream = Arc::clone(upstream);
    (tokio::spawn(async move { upstream.carry(forward, answer, place).await }), commanded)
}

fn post(body: Vec<u8>) -> Request<Bytes> {
    let request = Request::post("/_matrix/client/v3/x").header("accept", "application/cbor");
    request.header("content-type", "application/cbor").body(body.into()).unwrap()
}

#[tokio::test]
async fn a_body_counts_until_the_homeserver_has_it_and_the_next_piece_waits_until_it_is_wanted() {
    const LENGTH: usize = 300_000;
    let homeserver = Homeserver::start(|seen| async {
        assert_eq!(seen.whole().await.len(), LENGTH + 4);
        let (pieces, reply) = streamed();
        tokio::spawn(async move {
            for piece in [format!("[\"{}\"", "x".repeat(LENGTH)), format!(",\"{}\"]", "y".repeat(LENGTH))] {
                let _ = pieces.send(Ok(Bytes::from(piece))).await;
            }
        });
        reply
    })
    .await;
    let upstream = upstream(translator(&homeserver.url()), Duration::ZERO);
    let body = cbor(&format!("[\"{}\"]", "x".repeat(LENGTH)));
    let held = body.len() as u64;
    let (task, mut commands) = carry(&upstream, post(body));
    assert_eq!((upstream.usage().body_bytes, upstream.held_by(HOLDER)), (held, 1));
    let command = timeout(PATIENCE, commands.recv()).await.unwrap().unwrap().1;
    let Command::Start { code, piece, .. } = command else { panic!() };
    assert_eq!((code, upstream.usage().body_bytes), (Code::CONTENT, 0));
    assert!(commands.try_recv().is_err(), "nobody wants more yet");
    let mut go_on = piece.go_on;
    let mut all = piece.bytes.to_vec();
    while let Some(wanted) = go_on {
        wanted.send(()).unwrap();
        let command = timeout(PATIENCE, commands.recv()).await.unwrap().unwrap().1;
        let Command::Continue(piece) = command else { panic!() };
        all.extend_from_slice(&piece.bytes);
        go_on = piece.go_on;
    }
    assert_eq!(crate::decoded(&all)[1], "y".repeat(LENGTH));
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!((upstream.usage().requests, upstream.usage().up), (0, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_young_request_that_nobody_waits_for_keeps_its_place_until_it_is_old_enough() {
    const YOUNG: Duration = Duration::from_secs(3);
    let homeserver = Homeserver::start(|_| std::future::pending()).await;
    let upstream = upstream(translator(&homeserver.url()), YOUNG);
    let (task, _commands) = carry(&upstream, post(cbor("{}")));
    homeserver.works_on(1).await;
    let begun = Instant::now();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!((upstream.usage().running_out, upstream.held_by(HOLDER)), (1, 1));
    homeserver.works_on(0).await;
    assert!(begun.elapsed() >= YOUNG, "{:?}", begun.elapsed());
    assert_eq!((upstream.usage().running_out, upstream.held_by(HOLDER)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_says_nothing_is_5_04_and_its_connection_ends() {
    let homeserver = Homeserver::start(|_| std::future::pending()).await;
    let upstream = upstream(translator(&homeserver.url()), Duration::ZERO);
    let begun = Instant::now();
    let (_task, mut commands) = carry(&upstream, post(cbor("{}")));
    let (_, Command::Refuse { refusal, .. }) = commands.recv().await.unwrap() else { panic!() };
    assert_eq!((refusal.code, begun.elapsed().as_secs()), (Code::GATEWAY_TIMEOUT, 60));
    homeserver.works_on(0).await;
}

#[test]
fn a_request_that_waits_takes_little_memory() {
    let translator = translator("http://127.0.0.1:1");
    let request = post(Vec::new()).map(http_body_util::Full::new);
    let size = size_of_val(&translator.carry(request, crate::COAP));
    assert!(size < 4096, "{size} bytes");
}

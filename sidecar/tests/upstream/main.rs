//! The HTTP/2 side by itself, against a server that is played frame by frame.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use lowband_sidecar::answer::{AnswerWriter, Command};
use lowband_sidecar::credentials::Credentials;
use lowband_sidecar::failure::Failure;
use lowband_sidecar::request::Forward;
use lowband_sidecar::upstream::{Address, Holder, Settings, Upstream};
use lowband_transport::shares::{Limit, Network};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::Code;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

mod again;

/// Bytes of the window of a stream at the played server (RFC 9113 section 6.9.2).
const WINDOW: usize = 65_535;
/// Bytes of the window of a stream here.
const STREAM_WINDOW: usize = 16 << 10;
const LONG_BODY: usize = 300_000;
/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(600);
const PING: Duration = Duration::from_secs(20);

struct Played {
    path: PathBuf,
    listener: UnixListener,
}

type Server = Connection<UnixStream, Bytes>;
type Arrived = (Request<RecvStream>, SendResponse<Bytes>);
type Commands = mpsc::Receiver<(ExchangeId, Command)>;

impl Played {
    fn new() -> Played {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lowband-upstream-{}-{number}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        Played { path, listener }
    }

    async fn connection(&self) -> Server {
        let (stream, _) = self.listener.accept().await.unwrap();
        h2::server::handshake(stream).await.unwrap()
    }

    fn upstream(&self, cancel_after: Duration) -> Arc<Upstream> {
        self.upstream_for(cancel_after, 10)
    }

    /// Makes an upstream with one connection for this many requests.
    fn upstream_for(&self, cancel_after: Duration, requests: usize) -> Arc<Upstream> {
        let long = LONG;
        let settings = Settings {
            address: Address::Unix(self.path.clone()),
            connections: 1,
            requests,
            request_bytes: 1 << 20,
            largest_body: 1 << 20,
            connect_timeout: long,
            response_timeout: long,
            longest_poll: long,
            cancel_after,
            cancels: Limit { per_second: 1, burst: 1 },
            connection_age: long,
            ping: PING,
        };
        Arc::new(Upstream::new(settings, None))
    }

    /// Starts one request; its commands come on the receiver.
    fn ask(&self) -> (JoinHandle<()>, Commands) {
        carry(&self.upstream(Duration::ZERO), put())
    }
}

/// Makes a request that changes the homeserver each time it is sent.
fn put() -> Forward {
    let request = Request::put("http://localhost/_matrix/client/v3/x").body(Bytes::from("body")).unwrap();
    let (credentials, long_poll) = (Credentials::default(), Duration::ZERO);
    Forward { request, credentials, long_poll, is_repeatable: false, wants_packed: false }
}

/// Makes a sliding sync: a POST that waits.
fn waits() -> Forward {
    Forward { long_poll: Duration::from_secs(30), ..put() }
}

fn carry(upstream: &Arc<Upstream>, forward: Forward) -> (JoinHandle<()>, Commands) {
    let (commands, commanded) = mpsc::channel(8);
    let answer = AnswerWriter::new(ExchangeId(1), commands);
    let holder = Holder { session: SessionId(1), network: Network::alone(1) };
    let place = Arc::new(upstream.place(holder, forward.request.body().len()).unwrap());
    let upstream = Arc::clone(upstream);
    (tokio::spawn(async move { upstream.carry(forward, answer, place).await }), commanded)
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(server: &mut Server) -> Arrived {
    server.accept().await.unwrap().unwrap()
}

/// Drives the played server's frames while something else is waited for.
async fn while_serving<T>(server: &mut Server, waited_for: impl Future<Output = T>) -> T {
    tokio::pin!(waited_for);
    loop {
        tokio::select! {
            done = &mut waited_for => return done,
            more = server.accept() => assert!(more.is_none(), "a further request"),
        }
    }
}

fn respond(mut stream: SendResponse<Bytes>, end: bool) -> h2::SendStream<Bytes> {
    let head = Response::builder().status(200).header("content-type", "application/cbor").body(()).unwrap();
    stream.send_response(head, end).unwrap()
}

async fn started(server: &mut Server, commands: &mut Commands) -> Command {
    while_serving(server, commands.recv()).await.unwrap().1
}

#[tokio::test]
async fn the_next_piece_waits_until_it_is_wanted() {
    let played = Played::new();
    let (task, mut commands) = played.ask();
    let mut server = played.connection().await;
    let (_, stream) = accept(&mut server).await;
    let mut body = respond(stream, false);
    body.send_data(Bytes::from_static(b"one"), false).unwrap();
    let Command::Start { piece, waited, .. } = started(&mut server, &mut commands).await else { panic!() };
    assert_eq!(piece.bytes, "one");
    assert!(!waited.is_zero(), "the upstream has taken its time");
    body.send_data(Bytes::from_static(b"two"), true).unwrap();
    // A ping comes back when the other side has read everything that was sent before it.
    let mut ping = server.ping_pong().unwrap();
    while_serving(&mut server, ping.ping(h2::Ping::opaque())).await.unwrap();
    assert!(commands.try_recv().is_err());
    piece.go_on.unwrap().send(()).unwrap();
    let Command::Continue(piece) = started(&mut server, &mut commands).await else { panic!() };
    assert_eq!((piece.bytes.as_ref(), piece.go_on.is_none()), (&b"two"[..], true));
    while_serving(&mut server, task).await.unwrap();
}

#[tokio::test]
async fn of_an_answer_that_is_not_read_on_two_windows_leave_the_upstream() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let mut server = played.connection().await;
    let (_, stream) = accept(&mut server).await;
    let mut body = respond(stream, false);
    let mut sent = 0;
    body.reserve_capacity(1 << 20);
    // Sends whatever is allowed each time a ping has come back: then the other side has read all before it.
    let mut ping = server.ping_pong().unwrap();
    for _ in 0..4 {
        while_serving(&mut server, ping.ping(h2::Ping::opaque())).await.unwrap();
        let now = body.capacity();
        body.send_data(vec![b'x'; now].into(), false).unwrap();
        sent += now;
        body.reserve_capacity(1 << 20);
    }
    let Command::Start { piece, .. } = started(&mut server, &mut commands).await else { panic!() };
    assert!(piece.go_on.is_some());
    // One window that has been read, and one that waits.
    assert!((STREAM_WINDOW..=2 * STREAM_WINDOW).contains(&sent), "{sent}");
}

#[tokio::test]
async fn answers_that_are_not_read_on_stop_nobody_else_on_their_connection() {
    const UNREAD: usize = 600;
    let played = Played::new();
    // One session has half of the places that are free.
    let upstream = played.upstream_for(Duration::ZERO, 4 * UNREAD);
    let mut unread = vec![carry(&upstream, put())];
    let mut bodies = Vec::new();
    let mut server = played.connection().await;
    let mut ping = server.ping_pong().unwrap();
    for number in 0..UNREAD {
        if number > 0 {
            unread.push(carry(&upstream, put()));
        }
        let (_, stream) = accept(&mut server).await;
        let mut body = respond(stream, false);
        // The first piece is read, and the second one fills the window of the stream.
        for _ in 0..2 {
            body.reserve_capacity(STREAM_WINDOW);
            // When the ping has come back, the other side has read everything before it.
            while_serving(&mut server, ping.ping(h2::Ping::opaque())).await.unwrap();
            assert!(body.capacity() > 0, "answer {number} goes on");
            body.send_data(vec![b'x'; body.capacity()].into(), false).unwrap();
        }
        bodies.push(body);
    }
    let (task, mut commands) = carry(&upstream, put());
    let (_, stream) = accept(&mut server).await;
    respond(stream, false).send_data(Bytes::from_static(b"all"), true).unwrap();
    let Command::Start { piece, .. } = started(&mut server, &mut commands).await else { panic!() };
    assert_eq!((piece.bytes.as_ref(), piece.go_on.is_none()), (&b"all"[..], true));
    while_serving(&mut server, task).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_resets_its_stream() {
    let played = Played::new();
    let (task, _commands) = played.ask();
    let mut server = played.connection().await;
    let (_, mut stream) = accept(&mut server).await;
    task.abort();
    let reset = std::future::poll_fn(|cx| stream.poll_reset(cx));
    assert_eq!(while_serving(&mut server, reset).await.unwrap(), Reason::CANCEL);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_given_up_long_before_a_long_poll_would_be() {
    let played = Played::new();
    let (_task, mut commands) = played.ask();
    let mut server = played.connection().await;
    let begun = tokio::time::Instant::now();
    let _unanswered = accept(&mut server).await;
    let (_, Command::Refuse { refusal, failure }) = commands.recv().await.unwrap() else { panic!() };
    assert_eq!((refusal.code, failure), (Code::GATEWAY_TIMEOUT, Some(Failure::Hung)));
    assert!(begun.elapsed() < 3 * PING, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_is_kept_until_the_answer_begins_and_that_of_a_long_poll_until_it_is_sent() {
    for (forward, kept) in [(put(), LONG_BODY as u64), (waits(), 0)] {
        let long_poll = forward.long_poll;
        let forward = Forward { request: forward.request.map(|_| vec![7; LONG_BODY].into()), ..forward };
        let played = Played::new();
        let upstream = played.upstream(Duration::ZERO);
        let (_task, mut commands) = carry(&upstream, forward);
        assert_eq!(upstream.usage().body_bytes, LONG_BODY as u64);
        let mut server = played.connection().await;
        let (request, stream) = accept(&mut server).await;
        let mut body = request.into_body();
        let mut read = 0;
        while read < LONG_BODY {
            if read + WINDOW < LONG_BODY {
                assert_eq!(upstream.usage().body_bytes, LONG_BODY as u64, "{long_poll:?}: {read} were read");
            }
            let piece = while_serving(&mut server, body.data()).await.unwrap().unwrap();
            read += piece.len();
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        // The bytes written last are released a moment later: when a ping comes back, that has happened.
        let mut ping = server.ping_pong().unwrap();
        while_serving(&mut server, ping.ping(h2::Ping::opaque())).await.unwrap();
        assert_eq!(upstream.usage().body_bytes, kept, "{long_poll:?}");
        let mut answer = respond(stream, false);
        answer.send_data(Bytes::from_static(b"one"), false).unwrap();
        let Command::Start { piece, .. } = started(&mut server, &mut commands).await else { panic!() };
        // The client does not read any further.
        assert_eq!((upstream.usage().body_bytes, upstream.held_by(SessionId(1))), (0, 1));
        assert!(piece.go_on.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_young_stream_that_nobody_waits_for_any_more_keeps_its_place_and_is_reset_later() {
    const YOUNG: Duration = Duration::from_secs(3);
    let played = Played::new();
    let upstream = played.upstream(YOUNG);
    let (task, _commands) = carry(&upstream, put());
    let mut server = played.connection().await;
    let (_, mut stream) = accept(&mut server).await;
    let begun = tokio::time::Instant::now();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!((upstream.usage().running_out, upstream.held_by(SessionId(1))), (1, 1));
    let reset = std::future::poll_fn(|cx| stream.poll_reset(cx));
    assert_eq!(while_serving(&mut server, reset).await.unwrap(), Reason::CANCEL);
    assert!(begun.elapsed() >= YOUNG, "{:?}", begun.elapsed());
    assert_eq!((upstream.usage().running_out, upstream.held_by(SessionId(1))), (0, 0));
}

#[tokio::test]
async fn a_young_stream_that_nobody_waits_for_any_more_ends_with_its_head() {
    let played = Played::new();
    let upstream = played.upstream(LONG);
    let (task, _commands) = carry(&upstream, put());
    let mut server = played.connection().await;
    let (_, stream) = accept(&mut server).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let mut answer = respond(stream, false);
    let reset = std::future::poll_fn(|cx| answer.poll_reset(cx));
    while_serving(&mut server, reset).await.unwrap();
    assert_eq!((upstream.usage().running_out, upstream.held_by(SessionId(1))), (0, 0));
}

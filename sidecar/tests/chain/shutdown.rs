//! The end: long polls are answered, open requests finished, each session closed, and only
//! then readiness fails.

use crate::client::{Wire, answer, options};
use crate::harness::Chain;
use crate::stub::{Handler, cbor, handler, ok};
use lowband_sidecar::drain::POLL_SPREAD;
use lowband_transport::dtls::CloseReason;
use lowband_wire::coap::{Code, Method};
use tokio::sync::{broadcast, mpsc};

/// Long enough for everything that is checked in between.
const LINGER: [&str; 2] = ["--linger", "1h"];

/// Makes a stub in which each request waits for a message.
fn waiting() -> (Handler, broadcast::Sender<()>) {
    let (message, _) = broadcast::channel::<()>(1);
    let messages = message.clone();
    let stub = handler(move |_| {
        let mut message = messages.subscribe();
        async move {
            let _ = message.recv().await;
            cbor(200, b"\xa0")
        }
    });
    (stub, message)
}

#[tokio::test]
async fn an_idle_sidecar_says_close_notify_and_ends() {
    let mut chain = Chain::start(ok(), &[]).await;
    let (mut one, mut two) = (chain.connect().await, chain.connect().await);
    one.get("0").await;
    two.get("0").await;
    chain.shut_down();
    assert_eq!(one.closed().await, CloseReason::CloseNotify);
    assert_eq!(two.closed().await, CloseReason::CloseNotify);
    chain.ended().await.unwrap();
}

#[tokio::test]
async fn open_requests_are_finished_while_everybody_else_is_served() {
    let (stub, message) = waiting();
    let mut chain = Chain::start(stub, &LINGER).await;
    let (mut wire, mut idle) = (chain.connect().await, chain.connect().await);
    let answered = wire.ask(Method::Get, options("7"), b"");
    chain.metric_reaches("lowband_requests_in_flight", 1.0).await;
    chain.shut_down();
    assert_eq!(idle.closed().await, CloseReason::CloseNotify);
    assert_eq!(chain.metric("lowband_draining").await, 1.0);
    // A balancer would move the flow of the open request: not yet.
    assert_eq!(chain.page("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(chain.page("/healthz").await.0, 200);
    // The flow of a client that comes now cannot get elsewhere.
    let mut late = chain.connect().await;
    assert_eq!(late.get("/.lowband/ready").await.code, Code::CONTENT);
    // The session of the open request is served normally.
    assert_eq!(wire.get("/.lowband/ready").await.code, Code::CONTENT);
    message.send(()).unwrap();
    assert_eq!(answer(answered).await.unwrap().code, Code::CONTENT);
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    assert_eq!(late.closed().await, CloseReason::CloseNotify);
    let (mut later, _connected) = Wire::start(chain.server).await;
    // The client is notified of that, and can go elsewhere at once.
    let why = later.closed().await;
    assert_eq!(why, CloseReason::Refused);
    assert!(why.to_string().contains("about to end"), "{why}");
    assert_eq!(chain.page("/readyz").await.0, 503);
    assert_eq!(chain.page("/healthz").await.0, 200);
}

#[tokio::test]
async fn long_polls_are_answered_those_that_wait_and_those_to_come() {
    let (stub, message) = waiting();
    let (tell, mut ended) = mpsc::unbounded_channel();
    let stub = handler(move |seen| {
        let (answer, tell) = (stub(seen), tell.clone());
        async move {
            let _guard = Guard(tell);
            answer.await
        }
    });
    let mut chain = Chain::start(stub, &LINGER).await;
    let mut wire = chain.connect().await;
    let poll = wire.ask(Method::Get, options("7?timeout=30000"), b"");
    let running = wire.ask(Method::Get, options("7"), b"");
    // The request may change something: a client could not know whether it has.
    let put = wire.ask(Method::Put, options("/_matrix/client/v3/x?timeout=30000"), b"\xa0");
    chain.metric_reaches("lowband_requests_in_flight", 3.0).await;
    chain.shut_down();
    let refused = answer(poll).await.unwrap();
    assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
    let max_age = refused.options.max_age.unwrap();
    assert!((1..=POLL_SPREAD).contains(&max_age), "{max_age}");
    // The long poll ends at the homeserver as well.
    ended.recv().await.unwrap();
    let again = wire.get("7?timeout=30000").await;
    assert_eq!((again.code, again.options.max_age), (Code::SERVICE_UNAVAILABLE, Some(max_age)));
    message.send(()).unwrap();
    assert_eq!(answer(running).await.unwrap().code, Code::CONTENT);
    assert_eq!(answer(put).await.unwrap().code, Code::CONTENT);
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    assert_eq!(chain.metric("lowband_requests_total{method=\"GET\",code=\"5.03\"}").await, 2.0);
}

/// Reports when it is dropped.
struct Guard(mpsc::UnboundedSender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn the_grace_period_ends_what_does_not_end_by_itself() {
    let mut chain = Chain::start(handler(|_| std::future::pending()), &["--grace-period", "50ms"]).await;
    let mut wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7"), b"");
    chain.metric_reaches("lowband_requests_in_flight", 1.0).await;
    chain.shut_down();
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    assert!(answer(answered).await.is_err());
    chain.ended().await.unwrap();
}

#[tokio::test]
async fn a_body_in_blocks_is_read_to_its_end() {
    let whole = [&b"\x59\xc3\x50"[..], &[7; 50_000]].concat();
    let body = whole.clone();
    let stub = handler(move |_| {
        let body = body.clone();
        async move { cbor(200, &body) }
    });
    let mut chain = Chain::start(stub, &[]).await;
    let mut wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7"), b"");
    chain.metric_reaches("lowband_exchanges", 1.0).await;
    let resume = wire.pause();
    chain.shut_down();
    chain.metric_reaches("lowband_draining", 1.0).await;
    drop(resume);
    assert_eq!(answer(answered).await.unwrap().body, whole);
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    chain.ended().await.unwrap();
}

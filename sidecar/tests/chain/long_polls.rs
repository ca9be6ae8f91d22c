//! Long polls: hundreds at once, longer than the response timeout, ended with their client.

use crate::client::{answer, options};
use crate::harness::{Chain, PATIENCE};
use crate::stub::{Handler, cbor, handler};
use lowband_wire::coap::{Code, Method};
use tokio::sync::{broadcast, mpsc};

/// Reports when it is dropped.
struct Guard(mpsc::UnboundedSender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("ended");
    }
}

/// Makes a stub whose long polls wait for a message; it reports when one arrives and when one ends.
fn polls() -> (Handler, broadcast::Sender<()>, mpsc::UnboundedReceiver<&'static str>) {
    let (message, _) = broadcast::channel(1);
    let (tell, told) = mpsc::unbounded_channel();
    let messages = message.clone();
    let stub = handler(move |_| {
        let mut message = messages.subscribe();
        let tell = tell.clone();
        async move {
            let _ = tell.send("arrived");
            let _guard = Guard(tell);
            let _ = message.recv().await;
            cbor(200, b"\xa0")
        }
    });
    (stub, message, told)
}

async fn next(told: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    tokio::time::timeout(PATIENCE, told.recv()).await.expect("the stub is silent").unwrap()
}

#[tokio::test]
async fn two_hundred_long_polls_wait_at_once_on_one_connection_pool() {
    const SESSIONS: usize = 10;
    const POLLS: usize = 20;
    let (stub, message, mut told) = polls();
    let chain = Chain::start(stub, &[]).await;
    let mut answered = Vec::new();
    let mut wires = Vec::new();
    for _ in 0..SESSIONS {
        let wire = chain.connect().await;
        answered.extend((0..POLLS).map(|_| wire.ask(Method::Get, options("7?timeout=30000"), b"")));
        wires.push(wire);
    }
    for _ in 0..SESSIONS * POLLS {
        assert_eq!(next(&mut told).await, "arrived");
    }
    assert_eq!(chain.metric("lowband_requests_in_flight").await, (SESSIONS * POLLS) as f64);
    message.send(()).unwrap();
    for one in answered {
        assert_eq!(answer(one).await.unwrap().code, Code::CONTENT);
    }
    chain.metric_becomes("lowband_requests_in_flight", 0.0).await;
}

#[tokio::test]
async fn a_client_that_closes_its_session_ends_its_upstream_request() {
    let (stub, _message, mut told) = polls();
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    let _answered = wire.ask(Method::Get, options("7?timeout=30000"), b"");
    assert_eq!(next(&mut told).await, "arrived");
    wire.close();
    assert_eq!(next(&mut told).await, "ended");
    chain.metric_reaches("lowband_requests_cancelled_total", 1.0).await;
    chain.metric_becomes("lowband_requests_in_flight", 0.0).await;
}

#[tokio::test]
async fn a_long_poll_may_last_longer_than_the_response_timeout() {
    let (stub, message, mut told) = polls();
    let chain = Chain::start(stub, &["--response-timeout", "100ms"]).await;
    let wire = chain.connect().await;
    let plain = wire.ask(Method::Get, options("7"), b"");
    let poll = wire.ask(Method::Get, options("7?timeout=60000"), b"");
    assert_eq!(next(&mut told).await, "arrived");
    assert_eq!(next(&mut told).await, "arrived");
    // The plain request is given up; by then the long poll has outlived the response timeout as well.
    assert_eq!(answer(plain).await.unwrap().code, Code::GATEWAY_TIMEOUT);
    assert_eq!(next(&mut told).await, "ended");
    message.send(()).unwrap();
    assert_eq!(answer(poll).await.unwrap().code, Code::CONTENT);
}

#[tokio::test]
async fn a_long_poll_is_believed_up_to_a_limit() {
    let (stub, _message, _told) = polls();
    let chain = Chain::start(stub, &["--response-timeout", "50ms", "--longest-poll", "50ms"]).await;
    let response = chain.connect().await.get("7?timeout=18446744073709551615").await;
    assert_eq!(response.code, Code::GATEWAY_TIMEOUT);
}

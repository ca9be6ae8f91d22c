//! The end: no new sessions, open requests finished, close_notify to everybody.

use crate::client::{Wire, answer, options};
use crate::harness::Chain;
use crate::stub::{cbor, handler, ok};
use lowband_sidecar::status;
use lowband_transport::coap::Method;
use lowband_transport::dtls::CloseReason;
use tokio::sync::broadcast;

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
async fn open_requests_are_finished_while_no_new_session_is_taken() {
    let (message, _) = broadcast::channel::<()>(1);
    let messages = message.clone();
    let stub = handler(move |_| {
        let mut message = messages.subscribe();
        async move {
            let _ = message.recv().await;
            cbor(200, b"\xa0")
        }
    });
    let mut chain = Chain::start(stub, &[]).await;
    let mut wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7?timeout=30000"), b"");
    chain.metric_reaches("lowband_requests_in_flight", 1.0).await;
    chain.shut_down();
    chain.metric_reaches("lowband_draining", 1.0).await;
    assert_eq!(chain.page("/readyz").await, (503, "not ready: draining\n".to_owned()));
    assert_eq!(chain.page("/healthz").await.0, 200);
    let (mut late, _connected) = Wire::start(chain.server).await;
    chain.metric_reaches("lowband_dtls_hellos_refused_total{reason=\"not_accepting\"}", 1.0).await;
    // It is told so, and can go elsewhere at once.
    let CloseReason::Handshake(why) = late.closed().await else { panic!() };
    assert!(why.contains("about to end"), "{why}");
    message.send(()).unwrap();
    assert_eq!(answer(answered).await.unwrap().code, status::CONTENT);
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    chain.ended().await.unwrap();
}

#[tokio::test]
async fn the_grace_period_ends_what_does_not_end_by_itself() {
    let mut chain = Chain::start(handler(|_| std::future::pending()), &["--grace-period", "50ms"]).await;
    let mut wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7?timeout=30000"), b"");
    chain.metric_reaches("lowband_requests_in_flight", 1.0).await;
    chain.shut_down();
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    assert!(answer(answered).await.is_err());
    chain.ended().await.unwrap();
}

//! The whole end of the real program, with clients of every kind.

use crate::client::{Wire, answer, options};
use crate::harness::{eventually, page};
use crate::process::Process;
use crate::stub::{cbor, handler};
use lowband_sidecar::drain::POLL_SPREAD;
use lowband_transport::dtls::CloseReason;
use lowband_wire::coap::{Code, Method};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// Returns the statuses of /readyz, each once, until the page is not served any more; `None` at the end.
fn watch_readiness(process: &Process) -> mpsc::UnboundedReceiver<Option<u16>> {
    let (tell, told) = mpsc::unbounded_channel();
    let admin = process.admin();
    tokio::spawn(async move {
        let mut last = None;
        loop {
            let status = page(admin, "/readyz").await.ok().map(|(status, _)| status);
            if status != last || status.is_none() {
                let _ = tell.send(status);
            }
            let Some(_) = status else { return };
            last = status;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    told
}

#[tokio::test]
async fn five_clients_are_told_each_as_it_needs_and_readiness_fails_last() {
    const GRACE: Duration = Duration::from_secs(3);
    const LINGER: Duration = Duration::from_secs(1);
    let (message, _) = broadcast::channel::<()>(1);
    let messages = message.clone();
    let stub = handler(move |seen| {
        let mut message = messages.subscribe();
        async move {
            match seen.target().rsplit('/').next().unwrap() {
                "quick" => {}
                "never" => std::future::pending().await,
                _ => _ = message.recv().await,
            }
            cbor(200, b"\xa0")
        }
    });
    let mut process = Process::start(stub, &["--grace-period", "3s", "--linger", "1s"]).await;
    let server = process.server();
    let mut polling = Wire::connect(server).await;
    let mut running = Wire::connect(server).await;
    let mut idle = Wire::connect(server).await;
    let mut greedy = Wire::connect(server).await;
    let deaf = Wire::connect(server).await;
    let poll = polling.ask(Method::Get, options("7?timeout=30000"), b"");
    let request = running.ask(Method::Put, options("/_matrix/client/v3/slow"), b"\xa0");
    let unheard = deaf.ask(Method::Get, options("7?timeout=30000"), b"");
    assert_eq!(idle.get("/_matrix/client/v3/quick").await.code, Code::CONTENT);
    let never = greedy.ask(Method::Get, options("/_matrix/client/v3/never"), b"");
    eventually("all requests are there", async || {
        let (_, text) = page(process.admin(), "/metrics").await.unwrap();
        crate::harness::value(&text, "lowband_requests_in_flight") == 4.0
    })
    .await;
    let _deaf_for_ever = deaf.pause();
    let mut readiness = watch_readiness(&process);
    assert_eq!(readiness.recv().await.unwrap(), Some(200));

    let begin = Instant::now();
    process.signal("TERM").await;
    process.line_with("draining: each session").await;
    let refused = answer(poll).await.unwrap();
    assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
    assert!((1..=POLL_SPREAD).contains(&refused.options.max_age.unwrap()));
    assert_eq!(polling.closed().await, CloseReason::CloseNotify);
    assert_eq!(idle.closed().await, CloseReason::CloseNotify);
    assert!(begin.elapsed() < GRACE, "neighbours delay nobody: {:?}", begin.elapsed());
    // New clients are served, and so are those with an open request.
    let mut late = Wire::connect(server).await;
    assert_eq!(late.get("/_matrix/client/v3/quick").await.code, Code::CONTENT);
    assert_eq!(running.get("/_matrix/client/v3/quick").await.code, Code::CONTENT);
    message.send(()).unwrap();
    assert_eq!(answer(request).await.unwrap().code, Code::CONTENT);
    assert_eq!(running.closed().await, CloseReason::CloseNotify);
    // A client that keeps sending requests is served, but is not at rest because of it.
    for _ in 0..10 {
        assert_eq!(greedy.get("/_matrix/client/v3/quick").await.code, Code::CONTENT);
    }
    assert!(readiness.try_recv().is_err(), "ready while somebody is to be told");

    assert_eq!(greedy.closed().await, CloseReason::CloseNotify);
    assert!(answer(never).await.is_err());
    let cut = begin.elapsed();
    assert!(cut >= GRACE - Duration::from_millis(100), "not before its time: {cut:?}");
    assert_eq!(late.closed().await, CloseReason::CloseNotify);
    process.line_with("all sessions have been notified").await;
    assert_eq!(readiness.recv().await.unwrap(), Some(503));
    assert_eq!(process.child.wait().await.unwrap().code(), Some(0));
    assert!(begin.elapsed() >= GRACE + LINGER, "{:?}", begin.elapsed());
    assert_eq!(readiness.recv().await.unwrap(), None);
    drop(unheard);
    println!("cut after {cut:?}, ended after {:?}", begin.elapsed());
}

#[tokio::test]
async fn without_clients_it_ends_at_once_but_stays_for_as_long_as_told() {
    for (linger, least) in [("0", Duration::ZERO), ("300ms", Duration::from_millis(300))] {
        let mut process =
            Process::start(crate::stub::ok(), &["--grace-period", "1h", "--linger", linger]).await;
        let begin = Instant::now();
        process.signal("TERM").await;
        assert_eq!(process.child.wait().await.unwrap().code(), Some(0));
        assert!(begin.elapsed() >= least, "{:?}", begin.elapsed());
    }
}

//! What a client gets for each answer of the upstream.

use crate::client::{answer, options};
use crate::harness::Chain;
use crate::stub::{cbor, handler, reply, streamed};
use bytes::Bytes;
use lowband_wire::coap::{Code, Method};
use std::sync::Mutex;
use tokio::sync::mpsc;

/// Starts a stub that answers with the status that is the last segment of the path.
async fn by_status(kind: &'static str, body: &'static [u8]) -> Chain {
    let stub = handler(move |seen| async move {
        let status = seen.target().rsplit('/').next().unwrap().parse().unwrap();
        let body = if status == 204 || status == 304 { &[] } else { body };
        reply(status, &[("content-type", kind)], body)
    });
    Chain::start(stub, &[]).await
}

#[tokio::test]
async fn statuses_become_the_codes_of_the_table_for_every_method() {
    let chain = by_status("application/cbor", b"\xa1\x67errcode\x69M_UNKNOWN").await;
    let wire = chain.connect().await;
    for (http, code) in [
        (200, (2, 5)),
        (201, (2, 1)),
        (202, (2, 5)),
        (204, (2, 4)),
        (206, (5, 2)),
        (301, (5, 5)),
        (304, (2, 3)),
        (400, (4, 0)),
        (401, (4, 1)),
        (402, (4, 0)),
        (403, (4, 3)),
        (404, (4, 4)),
        (408, (4, 0)),
        (409, (4, 9)),
        (413, (4, 13)),
        (429, (4, 29)),
        (500, (5, 0)),
        (503, (5, 3)),
        (504, (5, 4)),
        (599, (5, 0)),
    ] {
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
            let response = wire.request(method, options(&format!("/_matrix/client/v3/{http}")), b"").await;
            assert_eq!(response.code, Code::new(code.0, code.1), "{http} {method:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_answer_has_neither_body_nor_format() {
    let chain = by_status("application/cbor", b"").await;
    let response = chain.connect().await.get("/_matrix/client/v3/204").await;
    assert_eq!((response.code, response.body.len()), (Code::new(2, 4), 0));
    assert_eq!(response.options.content_format, None);
}

#[tokio::test]
async fn a_rate_limit_carries_its_time_from_the_header_or_from_the_body() {
    let in_header = handler(|_| async {
        reply(429, &[("content-type", "application/cbor"), ("retry-after", "7")], b"\xa1\x61a\x01")
    });
    let chain = Chain::start(in_header, &[]).await;
    let response = chain.connect().await.get("7").await;
    assert_eq!((response.code, response.options.max_age), (Code::TOO_MANY_REQUESTS, Some(7)));

    let body =
        lowband_codec::json_to_cbor(br#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2001}"#).unwrap();
    let whole = body.clone();
    let in_body = handler(move |_| {
        // In two pieces, because the head has to wait for the second.
        let (first, second) = whole.split_at(5);
        let pieces = [Bytes::copy_from_slice(first), Bytes::copy_from_slice(second)];
        async move {
            let (source, reply) = streamed(429, &[("content-type", "application/cbor")]);
            tokio::spawn(async move {
                for piece in pieces {
                    source.send(Ok(piece)).await.unwrap();
                }
            });
            reply
        }
    });
    let chain = Chain::start(in_body, &[]).await;
    let response = chain.connect().await.get("7").await;
    assert_eq!((response.code, response.options.max_age), (Code::TOO_MANY_REQUESTS, Some(3)));
    assert_eq!(response.body, body);
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let body: Vec<u8> = (0..500_000_u32).flat_map(u32::to_be_bytes).collect();
    let sent = body.clone();
    let chain = Chain::start(
        handler(move |_| {
            let sent = sent.clone();
            async move { cbor(200, &sent) }
        }),
        &[],
    )
    .await;
    let response = chain.connect().await.get("7").await;
    assert_eq!(response.body.len(), body.len());
    assert!(response.body == body);
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_upstream_and_then_gets_everything() {
    const PIECE: usize = 8 << 10;
    const PIECES: usize = 1000;
    let (taken, mut told) = mpsc::unbounded_channel();
    let stub = handler(move |_| {
        let taken = taken.clone();
        async move {
            let (source, reply) = streamed(200, &[("content-type", "application/cbor")]);
            tokio::spawn(async move {
                for number in 0..PIECES {
                    source.send(Ok(Bytes::from(vec![number as u8; PIECE]))).await.unwrap();
                    let _ = taken.send(number);
                }
            });
            reply
        }
    });
    let chain = Chain::start(stub, &[]).await;
    let wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7"), b"");
    told.recv().await.unwrap();
    let resume = wire.pause();
    chain.metric_reaches("lowband_coap_reads_paused_total", 1.0).await;
    let mut taken_so_far = 0;
    while let Ok(number) = told.try_recv() {
        taken_so_far = number;
    }
    assert!(taken_so_far * PIECE < 4 << 20, "{taken_so_far} pieces were read for a client that reads none");
    drop(resume);
    let response = answer(answered).await.unwrap();
    assert_eq!(response.body.len(), PIECE * PIECES);
    assert!(
        response
            .body
            .chunks(PIECE)
            .enumerate()
            .all(|(number, piece)| piece.iter().all(|b| *b == number as u8))
    );
}

#[tokio::test]
async fn a_slow_answer_comes_in_a_separate_response() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let stub = handler(move |_| {
        let gone = gone.lock().unwrap().take().unwrap();
        async move {
            let _ = gone.await;
            cbor(200, b"\xa1\x61a\x01")
        }
    });
    let chain = Chain::start(stub, &["--piggyback-wait", "20ms"]).await;
    let wire = chain.connect().await;
    let answered = wire.ask(Method::Get, options("7"), b"");
    chain.metric_reaches("lowband_coap_empty_acknowledgements_total", 1.0).await;
    go.send(()).unwrap();
    assert_eq!(answer(answered).await.unwrap().body, b"\xa1\x61a\x01");
    assert!(chain.metric("lowband_coap_separate_responses_total").await >= 1.0);
}

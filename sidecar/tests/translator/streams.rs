//! Bodies that go on as they come, and clients that go away.

use crate::stub::{Homeserver, json, streamed};
use crate::{COAP, PATIENCE, decoded, get, header, post, stranger, translator};
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

const PATH: &str = "/_matrix/client/v3/sync";

/// A body that comes piece by piece from a channel.
struct Sent(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn a_long_answer_becomes_cbor_as_it_comes() {
    let (give, given) = mpsc::channel(1);
    let given = Arc::new(Mutex::new(given));
    let homeserver = Homeserver::start(move |_| {
        let given = Arc::clone(&given);
        async move { given.lock().await.recv().await.unwrap() }
    })
    .await;
    let (pieces, reply) = streamed();
    give.send(reply).await.unwrap();
    let translator = translator(&homeserver.url());
    let answering = tokio::spawn({
        let translator = translator.clone();
        async move { translator.carry(get(PATH), COAP).await }
    });
    let text = "x".repeat(100_000);
    pieces.send(Ok(Bytes::from("["))).await.unwrap();
    for _ in 0..3 {
        pieces.send(Ok(Bytes::from(format!("\"{text}\",")))).await.unwrap();
    }
    // The beginning comes while the homeserver has not said the end.
    let mut response = timeout(PATIENCE, answering).await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, None));
    let mut cbor = BytesMut::new();
    let first = timeout(PATIENCE, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
    cbor.extend_from_slice(&first.into_data().unwrap());
    assert!(cbor.len() > 200_000, "{}", cbor.len());
    pieces.send(Ok(Bytes::from("1]"))).await.unwrap();
    drop(pieces);
    cbor.extend_from_slice(&response.into_body().collect().await.unwrap().to_bytes());
    let list = decoded(&cbor);
    assert_eq!((list.as_array().unwrap().len(), &list[3]), (4, &serde_json::json!(1)));
    homeserver.works_on(0).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_on_stops_the_homeserver() {
    const PIECE: usize = 64 << 10;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let homeserver = Homeserver::start(move |_| {
        let counted = Arc::clone(&counted);
        async move {
            let (pieces, reply) = streamed();
            tokio::spawn(async move {
                let _ = pieces.send(Ok(Bytes::from("["))).await;
                let piece = Bytes::from(format!("\"{}\",", "x".repeat(PIECE)));
                while pieces.send(Ok(piece.clone())).await.is_ok() {
                    counted.fetch_add(PIECE, Ordering::SeqCst);
                }
            });
            reply
        }
    })
    .await;
    let translator = translator(&homeserver.url());
    let response = translator.carry(get(PATH), COAP).await;
    assert_eq!(response.status(), 200);
    // Looks until what is sent no longer grows: the buffers between are full.
    let mut before = 0;
    loop {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let now = sent.load(Ordering::SeqCst);
        if now == before {
            break;
        }
        before = now;
    }
    // What the kernel keeps for both sockets is most of it.
    assert!(before < 16 << 20, "{before}");
    drop(response);
    homeserver.works_on(0).await;
}

#[tokio::test]
async fn an_upload_streams_and_an_early_end_of_its_client_ends_it_there() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let homeserver = Homeserver::start(move |mut seen| {
        let tell = tell.clone();
        async move {
            while let Some(frame) = seen.body.frame().await {
                let Ok(frame) = frame else {
                    tell.send(None).unwrap();
                    break;
                };
                tell.send(frame.into_data().ok()).unwrap();
            }
            json(200, "{}")
        }
    })
    .await;
    let translator = translator(&homeserver.url());
    for ends in [true, false] {
        let (pieces, sent) = mpsc::channel(1);
        let request = Request::post("/_matrix/media/v3/upload").header("content-type", "image/png");
        let request = request.body(Sent(sent)).unwrap();
        let task = tokio::spawn({
            let translator = translator.clone();
            async move { translator.carry(request, stranger()).await }
        });
        for piece in ["one", "two"] {
            pieces.send(Bytes::from(piece)).await.unwrap();
            let got = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
            assert_eq!(got.unwrap(), piece, "it arrives before the next one is sent");
        }
        assert_eq!(translator.held_by_strangers(), (1, 16 << 10));
        if ends {
            drop(pieces);
            assert_eq!(task.await.unwrap().status(), 200);
        } else {
            task.abort();
            assert_eq!(timeout(PATIENCE, told.recv()).await.unwrap(), Some(None), "it breaks off there");
            assert!(task.await.is_err());
        }
        assert_eq!(translator.held_by_strangers(), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_take_any_time_as_long_as_it_moves() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let homeserver = Homeserver::start(move |mut seen| {
        let tell = tell.clone();
        async move {
            while let Some(frame) = seen.body.frame().await {
                tell.send(frame.unwrap().into_data().unwrap()).unwrap();
            }
            std::future::pending().await
        }
    })
    .await;
    let translator = translator(&homeserver.url());
    let (pieces, sent) = mpsc::channel(1);
    let request = Request::post("/_matrix/media/v3/upload").header("content-type", "image/png");
    let request = request.body(Sent(sent)).unwrap();
    let begun = tokio::time::Instant::now();
    let task = tokio::spawn(async move { translator.carry(request, stranger()).await });
    // Each pause is within the limit of 300 s, and all of them are not.
    for _ in 0..4 {
        pieces.send(Bytes::from_static(b"piece")).await.unwrap();
        assert_eq!(told.recv().await.unwrap(), "piece");
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert!(!task.is_finished());
    drop(pieces);
    // The homeserver says nothing then.
    assert_eq!(task.await.unwrap().status(), 504);
    assert_eq!(begun.elapsed().as_secs(), 800 + 300);
}

#[tokio::test]
async fn what_the_homeserver_has_not_taken_counts_to_its_stranger() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let translator = translator(&format!("http://{}", listener.local_addr().unwrap()));
    // More than the kernel takes for a homeserver that does not read.
    let strings = (0..120).flat_map(|_| [&b"\x7a\x00\x01\x00\x00"[..], &[b'x'; 65_536]].concat());
    let body: Vec<u8> = [0x98, 120].into_iter().chain(strings).collect();
    let length = body.len();
    let task = tokio::spawn({
        let translator = translator.clone();
        async move { translator.carry(post("/_matrix/client/v3/x", body), stranger()).await }
    });
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    // When its head comes, all of it has been translated.
    stream.read_exact(&mut [0; 4]).await.unwrap();
    let (requests, bytes) = translator.held_by_strangers();
    assert!(requests == 1 && bytes > length - 1000, "{bytes} of {length}");
    drop(stream);
    assert_eq!(timeout(PATIENCE, task).await.unwrap().unwrap().status(), 503);
    let given_back = async {
        while translator.held_by_strangers() != (0, 0) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, given_back).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request_at_the_homeserver() {
    let homeserver = Homeserver::start(|seen| async move {
        if seen.uri.path() == PATH {
            std::future::pending::<()>().await;
        }
        let (pieces, reply) = streamed();
        pieces.send(Ok(Bytes::from(format!("[\"{}\",", "x".repeat(300_000))))).await.unwrap();
        tokio::spawn(async move { pieces.closed().await });
        reply
    })
    .await;
    let translator = translator(&homeserver.url());
    for client in [COAP, stranger()] {
        let task = tokio::spawn({
            let translator = translator.clone();
            async move { translator.carry(get(PATH), client).await }
        });
        timeout(PATIENCE, homeserver.works_on(1)).await.unwrap();
        task.abort();
        timeout(PATIENCE, homeserver.works_on(0)).await.unwrap();
        // The same while its answer comes.
        let response = translator.carry(get("/_matrix/client/v3/long"), client).await;
        timeout(PATIENCE, homeserver.works_on(1)).await.unwrap();
        drop(response);
        timeout(PATIENCE, homeserver.works_on(0)).await.unwrap();
    }
    assert_eq!(translator.held_by_strangers(), (0, 0));
}

#[tokio::test]
async fn a_body_in_many_pieces_is_translated_and_one_that_is_too_large_is_refused() {
    let homeserver = Homeserver::start(|seen| async {
        let length = seen.whole().await.len();
        json(200, &format!("[{length}]"))
    })
    .await;
    let translator = translator(&homeserver.url());
    for (strings, status) in [(10, 200), (200, 413)] {
        let string = [&b"\x7a\x00\x01\x00\x00"[..], &vec![b'x'; 65_536]].concat();
        let pieces = std::iter::once(vec![0x98, strings]).chain((0..strings).map(|_| string.clone()));
        let (send, sent) = mpsc::channel(256);
        for piece in pieces {
            send.try_send(Bytes::from(piece)).unwrap();
        }
        drop(send);
        let request = Request::post("/_matrix/client/v3/x").header("content-type", "application/cbor");
        let response = translator.carry(request.body(Sent(sent)).unwrap(), stranger()).await;
        assert_eq!(response.status(), status);
        if status == 200 {
            assert_eq!(crate::document(response).await[0], 1 + 10 * (65_536 + 3));
        }
    }
    assert_eq!(homeserver.requests(), 1);
}

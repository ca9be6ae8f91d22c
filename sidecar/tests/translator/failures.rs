//! A homeserver that is not there, hangs up, breaks off or talks nonsense.

use crate::stub::{Homeserver, json, saying, streamed};
use crate::{COAP, REPEATABLE, cbor, document, get, header, post, stranger, translator, whole};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use lowband_sidecar::translator::BodyError;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

const PATH: &str = "/_matrix/client/v3/x";

fn answer(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_homeserver_that_is_not_there_is_told_in_the_clients_form() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let translator = translator(&format!("http://{address}"));
    assert_eq!(translator.is_up(), None);
    let response = translator.carry(get(PATH), COAP).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("5")));
    let length = header(&response, "content-length").unwrap().to_owned();
    assert_eq!(document(response).await["errcode"], "M_UNKNOWN");
    assert_eq!((translator.is_up(), translator.connections()), (Some(false), 0));
    let request = Request::get(PATH).body(Full::<Bytes>::default()).unwrap();
    let response = translator.carry(request, stranger()).await;
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_ne!(header(&response, "content-length"), Some(length.as_str()));
    assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
    assert_eq!(
        whole(response).await,
        r#"{"errcode":"M_UNKNOWN","error":"The homeserver cannot be reached at the moment"}"#
    );
    // A browser learns that from its own request, and not from the question before it.
    let request = Request::options(PATH).header("access-control-request-method", "PUT");
    let response = translator.carry(request.body(Full::<Bytes>::default()).unwrap(), stranger()).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "access-control-allow-methods").unwrap().contains("PUT"));
}

#[tokio::test]
async fn each_mistake_of_a_homeserver_has_its_status() {
    let large = "x".repeat(100_000);
    for (said, status) in [
        (Vec::new(), 503),
        (b"HTTP/1.1 20".to_vec(), 503),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(), 502),
        (answer(&format!("x-large: {large}"), ""), 502),
        (answer("content-length: 100", ""), 502),
        (answer("content-length: 100", "{\"a\":"), 502),
        (answer("transfer-encoding: chunked", "1000\r\n[1,2,3"), 502),
        (answer("content-length: 6", "<html>"), 502),
        (answer("content-length: 5", "{\"a\":"), 502),
    ] {
        let (url, _) = saying(vec![said.clone()]).await;
        let translator = translator(&url);
        for client in [COAP, stranger()] {
            let response = translator.carry(post(PATH, cbor("{}")), client).await;
            let head: String = String::from_utf8_lossy(&said).chars().take(90).collect();
            assert_eq!(response.status(), status, "{head}");
            assert_eq!(document(response).await["errcode"], "M_UNKNOWN", "{head}");
        }
    }
}

#[tokio::test]
async fn what_may_be_repeated_is_sent_once_more_when_its_connection_is_cut() {
    let whole = answer("content-length: 2", "{}");
    for (request, client, statuses, sent) in [
        (get(PATH), REPEATABLE, 200, 2),
        (post(PATH, cbor("{}")), REPEATABLE, 200, 2),
        (get(PATH), stranger(), 200, 2),
        (get(PATH), COAP, 503, 1),
        (post(PATH, cbor("{}")), COAP, 503, 1),
        (post(PATH, cbor("{}")), stranger(), 503, 1),
    ] {
        let (url, count) = saying(vec![Vec::new(), whole.clone()]).await;
        let translator = translator(&url);
        let method = request.method().clone();
        assert_eq!(translator.carry(request, client).await.status(), statuses, "{method} {client:?}");
        assert_eq!((count.load(Ordering::SeqCst), translator.repeated()), (sent, sent as u64 - 1));
    }
    // But not for ever.
    let (url, count) = saying(vec![Vec::new()]).await;
    assert_eq!(translator(&url).carry(get(PATH), REPEATABLE).await.status(), 503);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_long_answer_that_breaks_off_or_turns_out_to_be_no_json_is_never_whole() {
    let long = format!("[\"{}\"", "x".repeat(400_000));
    for (rest, is_json) in [(None, true), (Some(Bytes::from_static(b",]")), false)] {
        let long = long.clone();
        let homeserver = Homeserver::start(move |_| {
            let (long, rest) = (long.clone(), rest.clone());
            async move {
                let (pieces, reply) = streamed();
                tokio::spawn(async move {
                    let _ = pieces.send(Ok(long.into())).await;
                    let last = rest.ok_or_else(|| std::io::Error::other("broken"));
                    let _ = pieces.send(last).await;
                });
                reply
            }
        })
        .await;
        let response = translator(&homeserver.url()).carry(get(PATH), COAP).await;
        assert_eq!(response.status(), 200);
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(matches!(error, BodyError::Broken(_)), is_json, "{error}");
        assert_eq!(matches!(error, BodyError::NotJson), !is_json, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_does_not_wait_for_ever_for_a_homeserver_that_says_nothing() {
    let homeserver = Homeserver::start(|seen| async move {
        let (pieces, reply) = streamed();
        if seen.uri.path().ends_with("begins") {
            pieces.send(Ok(Bytes::from_static(b"[1,"))).await.unwrap();
            tokio::spawn(async move { pieces.closed().await });
            return reply;
        }
        std::future::pending().await
    })
    .await;
    let translator = translator(&homeserver.url());
    let begun = tokio::time::Instant::now();
    assert_eq!(translator.carry(get(PATH), stranger()).await.status(), 504);
    assert_eq!(begun.elapsed().as_secs(), 1800);
    let request = Request::get("/_matrix/client/v3/begins").body(Full::<Bytes>::default()).unwrap();
    let response = translator.carry(request, stranger()).await;
    assert_eq!(response.status(), 200);
    let error = response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, BodyError::Hung), "{error}");
    homeserver.works_on(0).await;
}

#[tokio::test]
async fn a_homeserver_that_comes_back_is_used_again() {
    let homeserver = Homeserver::start(|_| async { json(200, "{}") }).await;
    let translator = translator(&homeserver.url());
    assert_eq!(translator.carry(get(PATH), COAP).await.status(), 200);
    assert_eq!((translator.is_up(), translator.connections()), (Some(true), 1));
}

//! What real clients need, one test for each thing that was seen of them (docs/clients.md).

use super::*;
use crate::stub_server::Told;
use lowband_wire::coap::Method as CoapMethod;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

fn diagnostic(code: Code, text: &str) -> Reply {
    Reply::Now(code, ResponseOptions::default(), text.as_bytes().to_vec())
}

#[tokio::test]
async fn no_error_is_binary_or_empty_whatever_the_server_says() {
    let chain = Chain::start(|seen| match seen.options.path.last().unwrap().as_str() {
        "matrix" => coded(Code::new(4, 3), json!({ "errcode": "M_FORBIDDEN", "error": "no" })),
        "text" => diagnostic(Code::new(4, 2), "option 9 is not understood"),
        "silent" => diagnostic(Code::new(5, 0), ""),
        "broken" => {
            let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
            Reply::Now(Code::new(4, 0), options, b"\xa1\x61".to_vec())
        }
        other => panic!("{other}"),
    });
    let chain = chain.await;
    let get = async |end: &str| {
        let (status, answer) = chain.get(&format!("/_matrix/client/v3/{end}")).await;
        (status, answer["errcode"].as_str().unwrap().to_owned())
    };
    assert_eq!(get("matrix").await, (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(get("text").await, (400, "M_UNKNOWN".to_owned()));
    assert_eq!(get("silent").await, (500, "M_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn when_to_ask_again_stands_where_each_client_reads_it() {
    let chain = Chain::start(|_| {
        let body = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": 1500 });
        let cbor = lowband_codec::json_to_cbor(body.to_string().as_bytes()).unwrap();
        let options =
            ResponseOptions { content_format: Some(60), max_age: Some(2), ..ResponseOptions::default() };
        Reply::Now(Code::new(4, 29), options, cbor)
    });
    let chain = chain.await;
    let message = request(Method::PUT, "/_matrix/client/v3/rooms/!r:b/send/m/1", Some("t"), &json!({}));
    let response = chain.send(message).await;
    assert_eq!(response.headers()["retry-after"], "2");
    let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
    assert!(exposed.contains("Retry-After"), "{exposed}");
    let (status, answer) = read(response).await;
    assert_eq!((status, &answer["retry_after_ms"]), (429, &json!(1500)));
}

fn away(_: &Seen) -> Reply {
    coded(Code::new(5, 2), json!({ "errcode": "M_UNKNOWN", "error": "away" }))
}

#[tokio::test]
async fn a_failing_sync_is_told_later_and_later() {
    let late = Duration::from_millis(100);
    let chain = Chain::start_with(away, |settings| settings.times.late = late).await;
    for least in [1, 2, 4] {
        let begin = Instant::now();
        assert_eq!(chain.get("/_matrix/client/v3/sync?timeout=30000").await.0, 502);
        assert!(begin.elapsed() >= late * least, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_failing_message_is_told_at_once() {
    let late = Duration::from_secs(20);
    let chain = Chain::start_with(away, |settings| settings.times.late = late).await;
    let begin = Instant::now();
    let message = "/_matrix/client/v3/rooms/!r:b/send/m/1";
    assert_eq!(chain.ask(Method::PUT, message, Some("t"), &json!({})).await.0, 502);
    assert!(begin.elapsed() < late, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_long_poll_ends_with_the_client_that_asked() {
    let polls = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&polls);
    let mut chain = Chain::start_with(
        move |_| if still.load(Ordering::SeqCst) { Reply::Never } else { content(json!({})) },
        // The next request needs the place of the poll.
        |settings| settings.limits.requests_of_one = 1,
    )
    .await;
    let poll = request(Method::GET, "/_matrix/client/v3/sync?timeout=30000", Some("t"), &Value::Null);
    let mut connection = chain.connect().await;
    let waiting = tokio::spawn(connection.send_request(chain.named(poll)));
    assert!(matches!(chain.stub.told().await, Told::Request));
    assert_eq!(chain.get("/_matrix/client/v3/account/whoami").await.0, 429, "the poll is under way");
    polls.store(false, Ordering::SeqCst);
    waiting.abort();
    drop(connection);
    // The end of a connection is noticed when the system says so; there is no event to wait for.
    while chain.get("/_matrix/client/v3/account/whoami").await.0 == 429 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_poll_is_asked_for_less_than_the_client_waits() {
    let chain = Chain::start(|seen| content(json!(seen.options.query))).await;
    let sync = |timeout: u32| format!("/_matrix/client/v3/sync?since=s&timeout={timeout}");
    // matrix-nio asks for 60 s by default, and gives up after 60 s.
    assert_eq!(chain.get(&sync(60_000)).await.1, json!(["since=s", "timeout=55000"]));
    assert_eq!(chain.get(&sync(30_000)).await.1, json!(["since=s", "timeout=30000"]));
}

#[tokio::test]
async fn the_head_of_a_long_answer_does_not_wait_for_its_body() {
    // The stub sends the blocks of a body only as they are asked for, over a link with a latency.
    let certificate = Certificate::for_loopback();
    let stub = StubServer::with_certificate(certificate.clone(), |_| content(long()));
    let link = crate::slow_link::SlowLink::start(stub.address, Duration::from_millis(20));
    let port = link.address.port();
    let through = crate::Fixed { host: "localhost".into(), port, addresses: vec![link.address] };
    let chain = Chain::start_with(
        |_| Reply::Never,
        |settings| {
            settings.udp = Some(format!("localhost:{port}"));
            settings.verification = lowband_client::Verification::Roots(certificate.ca.clone());
            settings.resolve = vec![through];
        },
    );
    let chain = chain.await;
    let target = "/_matrix/client/v3/sync?timeout=0";
    let response = chain.send(request(Method::GET, target, Some("t"), &Value::Null)).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("content-length"), "it has come whole");
    let (head_at, mut frames, mut body) = (Instant::now(), 0, Vec::new());
    let mut incoming = response.into_body();
    while let Some(frame) = incoming.frame().await {
        frames += 1;
        body.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert!(frames > 1 && head_at.elapsed() >= Duration::from_millis(20), "{frames} pieces");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), long());
}

#[tokio::test]
async fn a_connection_outlives_the_pauses_of_its_client() {
    let chain = Chain::start(|_| content(json!({}))).await;
    let mut connection = chain.connect().await;
    for _ in 0..3 {
        let asked = request(Method::GET, "/.well-known/matrix/client", None, &Value::Null);
        let answer = read(connection.send_request(chain.named(asked)).await.unwrap()).await;
        assert_eq!(answer.0, 200);
        // Only the time of this pause is made up.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(120)).await;
        // Whoever has waited for that time gets his turn.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_short_answer_says_its_length() {
    let chain = Chain::start(|_| content(json!({}))).await;
    for target in ["/_matrix/client/v3/account/whoami", "/nowhere"] {
        let response = chain.send(request(Method::GET, target, Some("t"), &Value::Null)).await;
        let told = response.headers()["content-length"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(told, body.len().to_string(), "{target}");
    }
}

#[tokio::test]
async fn the_token_may_stand_in_the_query_and_never_reaches_the_path() {
    let chain = Chain::start(|seen| content(seen_json(seen))).await;
    let target = "/_matrix/client/v3/account/whoami?access_token=secret&a=b";
    let (_, answer) = chain.ask(Method::GET, target, None, &Value::Null).await;
    assert_eq!((&answer["token"], &answer["query"]), (&json!("secret"), &json!(["a=b"])));
}

#[tokio::test]
async fn a_content_type_without_a_body_and_a_post_without_one_are_taken_as_nio_means_them() {
    let chain = Chain::start(|seen| content(json!([seen.options.content_format, seen.body.len()]))).await;
    for method in [Method::GET, Method::POST] {
        let mut bare = request(method, "/_matrix/client/v3/join/!r:b", Some("t"), &Value::Null);
        bare.headers_mut().insert("content-type", "application/json".parse().unwrap());
        assert_eq!(read(chain.send(bare).await).await, (200, json!([null, 0])));
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused_here_as_the_homeserver_would() {
    let chain = Chain::start(|_| content(json!({}))).await;
    for body in ["{\"a\":", "NaN", "{'a':1}"] {
        let bad =
            Request::put("/_matrix/client/v3/rooms/!r:b/send/m/1").body(body::whole(bytes(body))).unwrap();
        let (status, answer) = read(chain.send(bad).await).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_NOT_JSON")), "{body}");
    }
    assert!(chain.stub.seen().is_empty());
}

#[tokio::test]
async fn a_message_goes_by_the_method_that_it_came_with() {
    let chain = Chain::start(|seen| content(json!(format!("{:?}", seen.method)))).await;
    for (method, expected) in [
        (Method::PUT, CoapMethod::Put),
        (Method::POST, CoapMethod::Post),
        (Method::DELETE, CoapMethod::Delete),
        (Method::GET, CoapMethod::Get),
    ] {
        let answer = chain.ask(method, "/_matrix/client/v3/x", Some("t"), &Value::Null).await;
        assert_eq!(answer, (200, json!(format!("{expected:?}"))));
    }
}

//! Greedy neighbours, and what is left for the others.

use super::*;
use crate::body::BoxError;
use crate::stub_server::Told;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn poll(seen: &Seen) -> Reply {
    if seen.options.path.last().is_some_and(|end| end == "sync") { Reply::Never } else { content(json!({})) }
}

#[tokio::test]
async fn requests_of_a_greedy_neighbour_leave_room_for_the_others() {
    let mut chain = Chain::start_with(poll, |settings| settings.limits.requests_of_one = 3).await;
    assert_eq!(chain.ask(Method::GET, WHOAMI, Some("modest"), &Value::Null).await.0, 200);
    assert!(matches!(chain.stub.told().await, Told::Request));
    let mut waiting = Vec::new();
    for number in 0..3 {
        let mut connection = chain.connect().await;
        // One token for each, made up: they are one client all the same.
        let token = format!("greedy-{number}");
        let sync = request(Method::GET, "/_matrix/client/v3/sync?timeout=30000", Some(&token), &Value::Null);
        let sync = chain.named(sync);
        waiting.push(tokio::spawn(async move { connection.send_request(sync).await }));
        assert!(matches!(chain.stub.told().await, Told::Request));
    }
    let (status, answer) = chain.ask(Method::GET, WHOAMI, Some("greedy"), &Value::Null).await;
    assert_eq!((status, &answer["errcode"]), (429, &json!("M_LIMIT_EXCEEDED")));
    assert_eq!(chain.ask(Method::GET, WHOAMI, Some("modest"), &Value::Null).await.0, 200);
    waiting.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn bytes_of_a_greedy_neighbour_leave_room_for_the_others() {
    let chain = Chain::start_with(
        |_| content(json!({})),
        |settings| {
            settings.limits.held = 3000;
            settings.limits.held_by_one = 2000;
        },
    );
    let chain = chain.await;
    let target = "/_matrix/client/v3/rooms/!r:b/send/m/1";
    let body = json!({ "body": "x".repeat(500) });
    assert_eq!(chain.ask(Method::PUT, target, Some("modest"), &body).await.0, 200);
    // Two bodies that never end hold what they have announced; of one more token, made up as well, none has
    // room.
    let mut held = Vec::new();
    for (number, status) in ["100", "100", "429"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(chain.proxy).await.unwrap();
        let head = format!(
            "PUT {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer greedy-{number}\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // 100 Continue is sent when the body is read for the first time: then it is held.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes());
        held.push(stream);
    }
    assert_eq!(chain.ask(Method::PUT, target, Some("greedy"), &body).await.0, 429);
    assert_eq!(chain.ask(Method::PUT, target, Some("modest"), &body).await.0, 200);
}

#[tokio::test]
async fn bodies_that_a_greedy_neighbour_does_not_read_leave_room_for_the_others() {
    let senders = Arc::new(Mutex::new(Vec::<Sender<Bytes, BoxError>>::new()));
    let to = Arc::clone(&senders);
    let homeserver = move |request: Request<Incoming>, udp_port| {
        if !request.uri().path().contains("/media/") {
            return documents(request, None, udp_port, false);
        }
        let (sender, body) = Channel::new(1);
        to.lock().unwrap().push(sender);
        Response::builder().header("content-length", "9").body(body.boxed_unsync()).unwrap()
    };
    let chain = Chain::start_before(
        homeserver,
        |_| content(json!({})),
        |settings| {
            settings.limits.connections = 3;
            settings.limits.requests_of_one = 2;
        },
    )
    .await;
    assert_eq!(chain.ask(Method::GET, WHOAMI, Some("modest"), &Value::Null).await.0, 200);
    let mut held = Vec::new();
    for (number, status) in [200, 200, 429].into_iter().enumerate() {
        let target = format!("/_matrix/media/v3/download/b/{number}");
        let response = chain.send(request(Method::GET, &target, Some("greedy"), &Value::Null)).await;
        assert_eq!(response.status(), status);
        held.push(response);
    }
    // Its two connections are in use, and this one gives way.
    assert_eq!(chain.ask(Method::GET, WHOAMI, Some("modest"), &Value::Null).await.0, 200);
    // A body that has ended gives its place back.
    let mut sender = senders.lock().unwrap().remove(0);
    sender.send_data(bytes("a picture")).await.unwrap();
    assert_eq!(held.remove(0).into_body().collect().await.unwrap().to_bytes(), "a picture");
    let target = "/_matrix/media/v3/download/b/3";
    assert_eq!(
        chain.send(request(Method::GET, target, Some("greedy"), &Value::Null)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_connection_without_a_request_gives_way_to_one_with_a_request() {
    let chain = Chain::start_with(|_| content(json!({})), |settings| settings.limits.connections = 3).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(chain.proxy).await.unwrap());
        assert_eq!(chain.get(WHOAMI).await.0, 200);
    }
    let mut oldest = idle.swap_remove(0);
    assert_eq!(oldest.read(&mut [0]).await.unwrap(), 0, "it has been closed");
}

#[tokio::test]
async fn a_newcomer_is_not_the_one_to_give_way_where_all_others_have_requests() {
    let mut chain = Chain::start_with(poll, |settings| settings.limits.connections = 2).await;
    let mut connection = chain.connect().await;
    let sync = request(Method::GET, "/_matrix/client/v3/sync?timeout=30000", Some("greedy"), &Value::Null);
    let waiting = tokio::spawn(connection.send_request(chain.named(sync)));
    assert!(matches!(chain.stub.told().await, Told::Request));
    // The last place is its own for as long as nobody else comes.
    let mut newcomer = chain.connect().await;
    for _ in 0..2 {
        let whoami = chain.named(request(Method::GET, WHOAMI, Some("modest"), &Value::Null));
        assert_eq!(read(newcomer.send_request(whoami).await.unwrap()).await.0, 200);
    }
    waiting.abort();
}

#[tokio::test]
async fn more_sessions_than_the_limit_that_are_all_in_use_leave_https_for_the_others() {
    let mut chain = Chain::start_with(poll, |settings| settings.limits.sessions = 1).await;
    let mut connection = chain.connect().await;
    let sync = request(Method::GET, "/_matrix/client/v3/sync?timeout=30000", Some("greedy"), &Value::Null);
    let waiting = tokio::spawn(connection.send_request(chain.named(sync)));
    assert!(matches!(chain.stub.told().await, Told::Request));
    let echoed = json!({ "body": "over HTTPS" });
    let target = "/_matrix/client/v3/rooms/!r:b/send/m/1";
    let message = request(Method::PUT, target, Some("modest"), &echoed);
    let response = chain.send(message).await;
    assert_eq!(response.status(), 200);
    assert!(chain.homeserver.targets().iter().any(|seen| seen == target));
    waiting.abort();
}

#[tokio::test]
async fn a_body_that_is_too_long_goes_over_https_or_is_refused_if_its_length_was_not_told() {
    let chain =
        Chain::start_with(|_| content(json!({})), |settings| settings.limits.request_body = 1000).await;
    let target = "/_matrix/client/v3/rooms/!r:b/send/m/1";
    let long = json!({ "body": "x".repeat(1000) });
    let response = chain.send(request(Method::PUT, target, Some("t"), &long)).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), long.to_string());
    assert!(chain.homeserver.targets().iter().any(|seen| seen == target));
    let mut stream = TcpStream::connect(chain.proxy).await.unwrap();
    let text = format!(
        "PUT {target} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n400\r\n\"{}\r\n400\r\n{}\r\n",
        "x".repeat(1023),
        "x".repeat(1024)
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

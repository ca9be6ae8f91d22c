//! Which way a request goes, and what its client hears if there is none.

use super::*;
use crate::testing::{self, Relay};
use std::time::Instant;

/// Long enough for any machine; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);
const VERSIONS: &str = "/_matrix/client/versions";
const MESSAGE: &str = "/_matrix/client/v3/rooms/!r:b/send/m.room.message/1";

#[tokio::test]
async fn media_goes_over_https_both_ways_as_it_is() {
    let chain = Chain::start(|_| panic!("media over CoAP")).await;
    let file: Vec<u8> = (0..200_000).map(|at| (at % 256) as u8).collect();
    let upload = Request::post("/_matrix/media/v3/upload?filename=a%2Fb").header("content-type", "image/png");
    let response = chain.send(upload.body(body::whole(file.clone())).unwrap()).await;
    assert_eq!(response.status(), 200);
    // The homeserver of this test answers with what it got.
    assert!(response.into_body().collect().await.unwrap().to_bytes() == file);
    assert_eq!(chain.homeserver.targets().pop().unwrap(), "/_matrix/media/v3/upload?filename=a%2Fb");
    assert!(chain.stub.seen().is_empty());
}

#[tokio::test]
async fn single_sign_on_leads_a_browser_to_the_homeserver_itself_and_no_token() {
    let chain = Chain::start(|_| panic!("a page over CoAP")).await;
    let target = "/_matrix/client/v3/login/sso/redirect/idp?access_token=t&redirectUrl=app%3A%2F%2Fx";
    let response = chain.send(Request::get(target).body(body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    let there = "https://localhost/_matrix/client/v3/login/sso/redirect/idp?redirectUrl=app%3A%2F%2Fx";
    assert_eq!(response.headers()["location"], there);
}

#[tokio::test]
async fn what_a_browser_keeps_for_this_machine_does_not_go_there_nor_come_from_there() {
    let own = ["set-cookie", "strict-transport-security", "alt-svc"];
    let homeserver = move |request: Request<hyper::body::Incoming>, udp_port| {
        let mut answer = documents(request, None, udp_port, false);
        for field in own {
            answer.headers_mut().insert(field, "x".parse().unwrap());
        }
        answer.headers_mut().insert("content-disposition", "inline".parse().unwrap());
        answer
    };
    let chain = Chain::start_before(homeserver, |_| content(json!({})), |_| {}).await;
    let file = Request::get("/_matrix/client/v1/media/download/b/id").header("cookie", "of=another");
    let response = chain.send(file.header("range", "bytes=0-1").body(body::empty()).unwrap()).await;
    assert!(own.iter().all(|field| !response.headers().contains_key(*field)), "{response:?}");
    assert!(response.headers().contains_key("content-disposition"));
    let seen = chain.homeserver.seen().pop().unwrap();
    assert!(!seen.headers().contains_key("cookie") && seen.headers().contains_key("range"));
}

#[tokio::test]
async fn what_the_server_says_is_for_https_goes_there_with_its_body() {
    let chain = Chain::start(|_| {
        coded(Code::new(5, 5), json!({ "errcode": "M_UNRECOGNIZED", "error": "this path is for HTTPS" }))
    });
    let chain = chain.await;
    let body = json!({ "body": "a" });
    let response = chain.send(request(Method::PUT, MESSAGE, Some("t"), &body)).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body.to_string());
    let seen = chain.homeserver.seen().pop().unwrap();
    assert_eq!(
        (seen.uri().path(), &seen.headers()["authorization"]),
        (MESSAGE, &"Bearer t".parse().unwrap())
    );
}

#[tokio::test]
async fn what_the_server_has_done_and_cannot_show_is_told_and_not_done_again() {
    let told = json!({ "errcode": "M_UNKNOWN", "error": "the request has been carried out" });
    let chain = Chain::start({
        let told = told.clone();
        move |_| coded(Code::new(5, 2), told.clone())
    });
    let chain = chain.await;
    for (method, target) in [
        (Method::POST, "/_matrix/client/v3/createRoom"),
        (Method::PUT, "/_matrix/client/v3/rooms/!r:b/state/m.room.topic/"),
        (Method::DELETE, "/_matrix/client/v3/devices/D"),
    ] {
        assert_eq!(chain.ask(method, target, Some("t"), &json!({})).await, (502, told.clone()), "{target}");
        assert!(!chain.homeserver.targets().iter().any(|seen| seen == target), "{target}");
    }
}

#[tokio::test]
async fn json_that_cbor_cannot_say_goes_over_https_byte_for_byte() {
    let chain = Chain::start(|_| content(json!({}))).await;
    for odd in ["{\"a\":1, \"a\":2}", "\"\\ud800\"", "[1e400]", "[18446744073709551616]"] {
        let put = Request::put(MESSAGE).body(body::whole(bytes(odd))).unwrap();
        let response = chain.send(put).await;
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), odd);
    }
    assert!(chain.stub.seen().is_empty());
}

#[tokio::test]
async fn a_filter_that_no_option_can_carry_goes_over_https() {
    let chain = Chain::start(|_| content(json!({}))).await;
    let target = format!("/_matrix/client/v3/sync?filter={}", "x".repeat(300));
    let response = chain.send(request(Method::GET, &target, Some("t"), &Value::Null)).await;
    assert_eq!(response.status(), 200);
    assert!(chain.homeserver.targets().contains(&target));
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_for_again_over_https_but_nothing_is_done_twice() {
    let chain = Chain::start(|_| {
        let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
        Reply::Now(Code::new(2, 5), options, b"\xa1\x61".to_vec())
    });
    let chain = chain.await;
    let room = "/_matrix/client/v3/createRoom";
    let (status, answer) = chain.ask(Method::POST, room, Some("t"), &json!({})).await;
    assert_eq!((status, &answer["errcode"]), (502, &json!("M_UNKNOWN")));
    let message = request(Method::PUT, MESSAGE, Some("t"), &json!({ "body": "a" }));
    assert_eq!(chain.send(message).await.status(), 200);
    let asked = chain.homeserver.targets();
    assert!(asked.iter().any(|target| target == MESSAGE) && asked.iter().all(|target| target != room));
}

#[tokio::test]
async fn no_body_of_a_success_is_lost_whatever_its_code_and_its_label() {
    let chain = Chain::start(|seen| match seen.options.path.last().unwrap().as_str() {
        "changed" => coded(Code::new(2, 4), json!({ "event_id": "$e" })),
        "bare" => Reply::Now(Code::new(2, 4), ResponseOptions::default(), Vec::new()),
        _ => Reply::Now(Code::new(2, 5), ResponseOptions::default(), b"text".to_vec()),
    });
    let chain = chain.await;
    let put = async |end: &str| {
        let target = format!("/_matrix/client/v3/{end}");
        let put = request(Method::PUT, &target, Some("t"), &json!({ "body": "a" }));
        let response = chain.send(put).await;
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    };
    assert_eq!(put("changed").await, (200, bytes(r#"{"event_id":"$e"}"#)));
    assert_eq!(put("bare").await, (204, bytes("")));
    // The homeserver of this test answers with what it got, over HTTPS.
    assert_eq!(put("unlabelled").await, (200, bytes(r#"{"body":"a"}"#)));
    let (status, _) = chain.ask(Method::POST, "/_matrix/client/v3/x", Some("t"), &json!({})).await;
    assert_eq!(status, 502, "nothing is done twice");
}

/// A chain whose datagrams can be swallowed, and whose HTTPS is nowhere. `/versions` says for whom it is.
async fn cut_off(times: impl FnOnce(&mut crate::Times)) -> (Chain, Relay) {
    let certificate = Certificate::for_loopback();
    let stub = StubServer::with_certificate(certificate.clone(), |seen| {
        content(json!({ "versions": ["v1.1"], "for": seen.options.authorization }))
    });
    let relay = Relay::start(stub.address).await;
    let port = relay.address.port();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fixed = |port, address| crate::Fixed { host: "localhost".into(), port, addresses: vec![address] };
    let chain = Chain::start_with(
        |_| Reply::Never,
        |settings| {
            settings.udp = Some(format!("localhost:{port}"));
            settings.verification = lowband_client::Verification::Roots(certificate.ca.clone());
            settings.resolve = vec![fixed(443, nowhere), fixed(port, relay.address)];
            times(&mut settings.times);
        },
    );
    let mut chain = chain.await;
    chain.stub = stub;
    (chain, relay)
}

#[tokio::test]
async fn versions_are_answered_from_memory_while_the_link_is_down() {
    let (chain, relay) = cut_off(|times| times.versions = Duration::from_millis(100)).await;
    let versions = json!({ "versions": ["v1.1"], "for": "t" });
    assert_eq!(chain.get(VERSIONS).await, (200, versions.clone()));
    relay.swallow(true);
    let begin = Instant::now();
    assert_eq!(chain.get(VERSIONS).await, (200, versions));
    assert!(begin.elapsed() >= Duration::from_millis(100), "it has not been asked for");
}

#[tokio::test]
async fn versions_that_one_account_was_told_are_not_told_to_another() {
    let times = |times: &mut crate::Times| {
        (times.versions, times.hold) = (Duration::from_millis(100), Duration::from_millis(300));
    };
    for told in [&["one"][..], &["one", ""]] {
        let (chain, relay) = cut_off(times).await;
        let ask = async |token: &str| {
            let token = Some(token).filter(|token| !token.is_empty());
            let (status, answer) = chain.ask(Method::GET, VERSIONS, token, &Value::Null).await;
            (status, answer["for"].clone())
        };
        for token in told {
            assert_eq!(ask(token).await.0, 200);
        }
        relay.swallow(true);
        assert_eq!(ask("one").await, (200, json!("one")));
        // What everybody is told is told to whoever was told nothing else.
        let others = if told.contains(&"") { 200 } else { 504 };
        assert_eq!(ask("other").await, (others, Value::Null));
        assert_eq!(ask("").await, (others, Value::Null));
    }
}

#[tokio::test]
async fn while_the_link_is_down_a_message_is_held_and_then_told_to_come_again() {
    let (chain, relay) = cut_off(|times| times.hold = Duration::from_millis(300)).await;
    relay.swallow(true);
    for (method, target, status, errcode) in [
        (Method::PUT, MESSAGE, 429, "M_LIMIT_EXCEEDED"),
        (Method::POST, "/_matrix/client/v3/createRoom", 429, "M_LIMIT_EXCEEDED"),
        (Method::GET, "/_matrix/client/v3/account/whoami", 504, "M_UNKNOWN"),
        (Method::GET, "/_matrix/client/versions", 504, "M_UNKNOWN"),
    ] {
        let begin = Instant::now();
        let response = chain.send(request(method, target, Some("secret"), &json!({}))).await;
        assert!(begin.elapsed() >= Duration::from_millis(300), "{target} was not held");
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
        let (told, answer) = read(response).await;
        assert_eq!((told, &answer["errcode"]), (status, &json!(errcode)), "{target}");
        assert_eq!(answer["retry_after_ms"].is_u64(), status == 429);
        assert!(!answer.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_file_of_a_homeserver_that_is_not_found_is_told_in_time() {
    let (chain, _relay) = cut_off(|times| times.hold = Duration::from_millis(300)).await;
    for (method, target, status) in [
        (Method::GET, "/_matrix/client/v1/media/download/b/id", 504),
        (Method::POST, "/_matrix/media/v3/upload", 429),
    ] {
        let nothing = json!({});
        let answer = chain.ask(method, target, Some("t"), &nothing);
        let (told, answer) = tokio::time::timeout(LONG, answer).await.expect("an answer");
        assert_eq!(told, status, "{target}: {answer}");
    }
}

#[tokio::test]
async fn a_message_that_was_held_goes_out_as_soon_as_the_link_is_up() {
    let (chain, relay) = cut_off(|_| {}).await;
    relay.swallow(true);
    let mut connection = chain.connect().await;
    let message = chain.named(request(Method::PUT, MESSAGE, Some("t"), &json!({})));
    let held = tokio::spawn(connection.send_request(message));
    relay.swallow(false);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    assert_eq!(chain.stub.seen().len(), 1);
}

/// A chain whose datagrams nobody reads, before a homeserver that reads CBOR over HTTPS or does not.
async fn without_udp(reads_cbor: bool) -> (Chain, std::net::UdpSocket) {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let homeserver = move |request: Request<hyper::body::Incoming>, _| {
        let accept = request.headers().get("accept").cloned();
        let wants_cbor = accept.is_some_and(|accept| accept.to_str().unwrap().contains("cbor"));
        if !request.uri().path().ends_with("/whoami") {
            return documents(request, None, address.port(), reads_cbor);
        }
        let json = json!({ "in": if wants_cbor { "CBOR" } else { "JSON" } }).to_string();
        let mut answer = match wants_cbor {
            true => {
                let cbor = lowband_codec::json_to_cbor(json.as_bytes()).unwrap();
                testing::answer(200, "application/cbor", cbor)
            }
            false => testing::answer(200, "application/json", json),
        };
        answer.headers_mut().insert("retry-after", "7".parse().unwrap());
        answer
    };
    let choose = move |settings: &mut Settings| {
        settings.udp = Some(format!("localhost:{}", address.port()));
        settings.times.silence = Duration::from_millis(50);
        let place = crate::Fixed { host: "localhost".into(), port: address.port(), addresses: vec![address] };
        settings.resolve.push(place);
    };
    (Chain::start_before(homeserver, |_| Reply::Never, choose).await, silent)
}

#[tokio::test]
async fn where_udp_does_not_get_through_https_carries_cbor_or_else_json() {
    for (reads_cbor, form) in [(true, "CBOR"), (false, "JSON")] {
        let (chain, _silent) = without_udp(reads_cbor).await;
        let whoami = "/_matrix/client/v3/account/whoami";
        let response = chain.send(request(Method::GET, whoami, Some("t"), &Value::Null)).await;
        assert_eq!(response.headers()["retry-after"], "7", "{reads_cbor}");
        assert_eq!(read(response).await, (200, json!({ "in": form })), "{reads_cbor}");
    }
}

#[tokio::test]
async fn https_that_stops_getting_through_is_told_once() {
    let file = || Request::get("/_matrix/client/v1/media/download/b/id").body(body::empty()).unwrap();
    let mut chain = Chain::start(|_| content(json!({}))).await;
    assert_eq!(chain.send(file()).await.status(), 200);
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
    // This runtime has one thread, so that all tasks log here.
    let _here = tracing::subscriber::set_default(subscriber);
    // A place that was first passed by another test, on a thread that logs nothing, is silent until then.
    tracing::callsite::rebuild_interest_cache();
    // The new one is elsewhere: nobody listens any more where the old one was.
    let certificate = Certificate::for_loopback();
    chain.homeserver =
        Homeserver::start(&certificate, b"\x02h2", |request| documents(request, None, 0, false)).await;
    for _ in 0..3 {
        assert_eq!(chain.send(file()).await.status(), 504);
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let told: Vec<_> = logged.lines().filter(|line| line.contains("HTTPS does not get through")).collect();
    assert_eq!(told.len(), 1, "{logged}");
    assert!(told[0].contains("WARN") && told[0].contains("Connection refused"), "{}", told[0]);
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_not_though_its_answer_cannot_be_unpacked() {
    let chain = Chain::start(|_| {
        let options = ResponseOptions { content_format: Some(65060), ..ResponseOptions::default() };
        Reply::Now(Code::new(2, 5), options, b"\x82\xe0\xd6\x01".to_vec())
    });
    let chain = chain.await;
    let target = "/_matrix/client/v3/createRoom";
    let (status, answer) = chain.ask(Method::POST, target, Some("t"), &json!({ "name": "x" })).await;
    assert_eq!((status, &answer["errcode"]), (504, &json!("M_UNKNOWN")));
    let over_udp =
        chain.stub.seen().iter().filter(|seen| seen.method == lowband_client::Method::Post).count();
    let over_https = chain.homeserver.targets().iter().filter(|asked| asked.contains("createRoom")).count();
    assert_eq!((over_udp, over_https), (1, 0));
}

#[tokio::test]
async fn bodies_are_packed_once_the_server_has_said_that_it_knows_them() {
    let chain = Chain::start(|_| content(json!({}))).await;
    let target = "/_matrix/client/v3/rooms/!r:b/send/m.room.encrypted/1";
    let body = json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AQIDBAUG" });
    for _ in 0..2 {
        assert_eq!(chain.ask(Method::PUT, target, Some("t"), &body).await.0, 200);
    }
    let formats =
        chain.stub.seen().into_iter().map(|seen| (seen.options.content_format, seen.options.accept));
    assert_eq!(formats.collect::<Vec<_>>(), [(Some(60), Some(60)), (Some(65060), Some(65060))]);
}

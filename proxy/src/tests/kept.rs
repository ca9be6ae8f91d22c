//! What is kept: which requests cost no byte, and which do.

use super::*;
use crate::body::BoxError;
use http::HeaderMap;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use std::sync::{Arc, Mutex};

const FILE: &str = "/_matrix/client/v1/media/download/lb.test/id";
const TEXT: &str = "a picture";
/// What Synapse says of files.
const FOR_A_DAY: (&str, &str) = ("cache-control", "public,max-age=86400,s-maxage=0,proxy-revalidate");
const TAG: (&str, &str) = ("etag", "1");
/// Of use only with a word of the homeserver's.
const STALE: (&str, &str) = ("cache-control", "public,max-age=0");

type Fields = [(&'static str, &'static str)];

/// Has the homeserver know tokens: they are made up no longer.
async fn know(chain: &Chain, tokens: &[&str]) {
    for token in tokens {
        assert_eq!(
            chain.ask(Method::GET, "/_matrix/client/v3/account/whoami", Some(token), &Value::Null).await.0,
            200
        );
    }
}

fn with(mut response: Response<Body>, fields: &Fields) -> Response<Body> {
    for (name, value) in fields {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

/// A chain whose homeserver has a file with these fields, and confirms its tag.
async fn chain(fields: &'static Fields) -> Chain {
    chain_with(fields, |_| {}).await
}

async fn chain_with(fields: &'static Fields, choose: impl FnOnce(&mut Settings)) -> Chain {
    let homeserver = move |request: Request<Incoming>, udp_port| {
        if !request.uri().path().contains("/media/") {
            return documents(request, None, udp_port, false);
        }
        let tag = request.headers().get("if-none-match").and_then(|tag| tag.to_str().ok());
        match tag {
            Some("1") => with(testing::answer(304, "text/plain", ""), &[FOR_A_DAY, TAG]),
            _ if request.method() == Method::DELETE => testing::answer(200, "application/json", "{}"),
            _ => with(testing::answer(200, "image/png", TEXT), fields),
        }
    };
    Chain::start_before(homeserver, |_| content(json!({})), choose).await
}

/// Asks for a file; returns status, fields and text.
async fn fetch(chain: &Chain, target: &str, token: &str, fields: &Fields) -> (u16, HeaderMap, String) {
    let mut request = request(Method::GET, target, Some(token), &Value::Null);
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let (parts, body) = chain.send(request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Asks for the file of this test; returns the status.
async fn get(chain: &Chain, token: &str, fields: &Fields) -> u16 {
    let (status, _, text) = fetch(chain, FILE, token, fields).await;
    assert!(status != 200 || text == TEXT, "{text}");
    status
}

/// Returns the fields with which the homeserver was asked for files.
fn asked(chain: &Chain) -> Vec<HeaderMap> {
    let seen = chain.homeserver.seen().into_iter().filter(|seen| seen.uri().path().contains("/media/"));
    seen.map(|seen| seen.headers().clone()).collect()
}

#[tokio::test]
async fn a_fresh_file_is_asked_for_once_and_looks_as_it_came() {
    let mut chain = chain(&[FOR_A_DAY, TAG, ("content-disposition", "inline"), ("x", "1"), ("x", "2")]).await;
    let (_, first, _) = fetch(&chain, FILE, "t", &[]).await;
    let (status, mut second, text) = fetch(&chain, FILE, "t", &[]).await;
    assert_eq!((status, text.as_str(), asked(&chain).len()), (200, TEXT, 1));
    let age = second.remove("age").unwrap();
    assert!(age.to_str().unwrap().parse::<u64>().unwrap() < 86_400);
    assert_eq!(first, second);
    assert!(second.contains_key("access-control-allow-origin") && second.get_all("x").iter().count() == 2);
    chain.stop.take();
    let summary = chain.running.await.unwrap();
    assert_eq!((summary.kept, summary.kept_bytes, summary.over_https), (1, TEXT.len() as u64, 1));
}

#[tokio::test]
async fn what_only_the_homeserver_can_judge_is_neither_answered_here_nor_kept() {
    let chain = chain(&[FOR_A_DAY]).await;
    let with_both = format!("{FILE}?access_token=t");
    for (target, credentials, asked_by_then) in
        [(FILE, "Basic dDp1", 2), (&with_both, "Bearer t", 4), (FILE, "Bearer ", 6)]
    {
        for _ in 0..2 {
            let mut request = request(Method::GET, target, None, &Value::Null);
            request.headers_mut().insert("authorization", credentials.parse().unwrap());
            assert_eq!(chain.send(request).await.status(), 200);
        }
        assert_eq!(asked(&chain).len(), asked_by_then, "{target} {credentials}");
    }
    for token in [None, Some("t")] {
        let mut request = request(Method::GET, FILE, token, &Value::Null);
        request.headers_mut().insert("cache-control", "only-if-cached".parse().unwrap());
        assert_eq!(chain.send(request).await.status(), 504);
    }
}

#[tokio::test]
async fn what_is_stale_is_checked_and_a_304_brings_the_kept_body_and_makes_it_fresh() {
    let mut chain = chain(&[STALE, TAG]).await;
    for _ in 0..3 {
        assert_eq!(get(&chain, "t", &[]).await, 200);
    }
    let asked = asked(&chain);
    assert_eq!(asked.len(), 2, "the 304 says that it is fresh for a day");
    assert!(!asked[0].contains_key("if-none-match"));
    assert_eq!(asked[1]["if-none-match"], "1");
    chain.stop.take();
    let summary = chain.running.await.unwrap();
    assert_eq!((summary.kept, summary.kept_bytes), (2, 2 * TEXT.len() as u64));
}

#[tokio::test]
async fn a_304_about_another_answer_has_all_of_it_asked_for() {
    let homeserver = |request: Request<Incoming>, udp_port| {
        let is_asked = request.headers().contains_key("if-none-match");
        match request.uri().path().contains("/media/") {
            false => documents(request, None, udp_port, false),
            true if is_asked => with(testing::answer(304, "text/plain", ""), &[STALE, ("etag", "\"new\"")]),
            true => with(testing::answer(200, "image/png", TEXT), &[STALE, ("etag", "\"old\"")]),
        }
    };
    let chain = Chain::start_before(homeserver, |_| content(json!({})), |_| {}).await;
    assert_eq!([get(&chain, "t", &[]).await, get(&chain, "t", &[]).await], [200, 200]);
    let tags = asked(&chain).iter().map(|asked| asked.contains_key("if-none-match")).collect::<Vec<_>>();
    assert_eq!(tags, [false, true, false]);
}

#[tokio::test]
async fn accounts_are_apart_and_so_are_the_variants_that_vary_names() {
    let chain = chain(&[FOR_A_DAY, ("vary", "Accept-Language")]).await;
    for (token, fields, asked_by_then) in [
        ("one", &[][..], 1),
        ("two", &[], 2),
        ("one", &[], 2),
        ("two", &[], 2),
        ("one", &[("accept-language", "de")], 3),
        ("one", &[("accept-language", "de")], 3),
        ("one", &[], 4),
    ] {
        assert_eq!(get(&chain, token, fields).await, 200);
        assert_eq!(asked(&chain).len(), asked_by_then, "{token} {fields:?}");
    }
    let in_query = format!("{FILE}?access_token=two");
    let request = request(Method::GET, &in_query, None, &Value::Null);
    assert_eq!(chain.send(request).await.status(), 200);
    assert_eq!(asked(&chain).len(), 4, "a token is the same in either place");
}

#[tokio::test]
async fn what_a_client_wants_of_a_cache_is_done() {
    let chain = chain(&[FOR_A_DAY, TAG]).await;
    for (fields, status, asked_by_then) in [
        (&[("cache-control", "only-if-cached")][..], 504, 0),
        (&[("cache-control", "no-store")], 200, 1),
        (&[], 200, 2),
        (&[("cache-control", "no-store")], 200, 3),
        (&[("cache-control", "only-if-cached")], 200, 3),
        // Its own copy is judged by what is fresh here.
        (&[("if-none-match", "\"x\", 1")], 304, 3),
        (&[("if-none-match", "\"x\"")], 200, 3),
        // Asked to check, it does: with a tag of its own if the client has none.
        (&[("cache-control", "no-cache")], 200, 4),
        (&[("pragma", "no-cache")], 200, 5),
        (&[("cache-control", "max-age=0")], 200, 6),
        (&[("cache-control", "no-cache"), ("if-none-match", "1")], 304, 7),
        // A part of it is the homeserver's to give.
        (&[("range", "bytes=0-1")], 200, 8),
        (&[("if-match", "1")], 200, 9),
        (&[], 200, 9),
    ] {
        assert_eq!(get(&chain, "t", fields).await, status, "{fields:?}");
        assert_eq!(asked(&chain).len(), asked_by_then, "{fields:?}");
    }
    let asked = asked(&chain);
    assert!(asked[3..6].iter().all(|asked| asked["if-none-match"] == "1"), "{asked:?}");
    assert!(asked[7..].iter().all(|asked| !asked.contains_key("if-none-match")), "{asked:?}");
}

#[tokio::test]
async fn a_clients_own_conditions_and_their_answers_pass_untouched() {
    let chain = chain(&[STALE, ("etag", "\"2\"")]).await;
    let conditions = [("if-none-match", "W/\"a\", 1"), ("if-modified-since", "yesterday")];
    for _ in 0..2 {
        assert_eq!(get(&chain, "t", &conditions).await, 200);
        for (name, value) in conditions {
            assert_eq!(asked(&chain).pop().unwrap()[name], value, "what is kept adds nothing");
        }
    }
    let (status, headers, text) = fetch(&chain, FILE, "t", &[("if-none-match", "1")]).await;
    assert_eq!((status, &headers["etag"], text.as_str()), (304, &"1".parse().unwrap(), ""));
    assert!(!headers.contains_key("age"));
    // Of what CoAP could carry, too.
    let whoami = "/_matrix/client/v3/account/whoami";
    let (status, _, _) = fetch(&chain, whoami, "t", &[("if-none-match", "\"a\"")]).await;
    let seen = chain.homeserver.seen().pop().unwrap();
    assert_eq!(
        (status, seen.uri().path(), &seen.headers()["if-none-match"]),
        (200, whoami, &"\"a\"".parse().unwrap())
    );
}

#[tokio::test]
async fn what_does_not_say_that_it_may_be_kept_is_asked_for_each_time() {
    for fields in [
        &[][..],
        &[TAG],
        &[("cache-control", "no-store,max-age=86400"), TAG],
        &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[FOR_A_DAY, ("vary", "*")],
    ] {
        let chain = chain(fields).await;
        assert_eq!([get(&chain, "t", &[]).await, get(&chain, "t", &[]).await], [200, 200]);
        let asked = asked(&chain);
        assert!(asked.len() == 2 && !asked[1].contains_key("if-none-match"), "{fields:?}");
    }
    let chain = chain_with(&[FOR_A_DAY], |settings| settings.limits.kept = 0).await;
    assert_eq!([get(&chain, "t", &[]).await, get(&chain, "t", &[]).await], [200, 200]);
    assert_eq!(asked(&chain).len(), 2);
}

#[tokio::test]
async fn answers_over_coap_are_not_kept_whatever_their_max_age() {
    let chain = Chain::start(|_| {
        let options =
            ResponseOptions { content_format: Some(60), max_age: Some(86_400), ..ResponseOptions::default() };
        Reply::Now(Code::new(2, 5), options, lowband_codec::json_to_cbor(b"{}").unwrap())
    });
    let chain = chain.await;
    for _ in 0..2 {
        let whoami = request(Method::GET, "/_matrix/client/v3/account/whoami", Some("t"), &Value::Null);
        let response = chain.send(whoami).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    assert_eq!(chain.stub.seen().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_unknown_and_changes_of_a_file_end_what_is_kept() {
    let homeserver = |request: Request<Incoming>, udp_port| match request.uri().path() {
        FILE => with(testing::answer(200, "image/png", TEXT), &[FOR_A_DAY]),
        "/_matrix/media/v3/config" => {
            testing::answer(401, "application/json", r#"{"errcode":"M_UNKNOWN_TOKEN","error":"gone"}"#)
        }
        _ => documents(request, None, udp_port, false),
    };
    let stub = |seen: &Seen| match seen.options.path.last().unwrap().as_str() {
        "unknown" => coded(Code::new(4, 1), json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "gone" })),
        "devices" => coded(Code::new(4, 1), json!({ "flows": [], "session": "s" })),
        _ => content(json!({})),
    };
    let chain = Chain::start_before(homeserver, stub, |_| {}).await;
    for (method, target, ends) in [
        (Method::GET, "/_matrix/client/v3/unknown", true),
        (Method::GET, "/_matrix/media/v3/config", true),
        (Method::DELETE, FILE, true),
        (Method::POST, "/_matrix/client/v3/devices", false),
        (Method::PUT, "/_matrix/client/v3/rooms/!r:b/send/m/1", false),
    ] {
        know(&chain, &["t", "other"]).await;
        get(&chain, "t", &[]).await;
        get(&chain, "other", &[]).await;
        chain.send(request(method, target, Some("t"), &json!({}))).await;
        let before = asked(&chain).len();
        get(&chain, "t", &[]).await;
        assert_eq!(asked(&chain).len() - before, usize::from(ends), "{target}");
        if target != FILE {
            get(&chain, "other", &[]).await;
            assert_eq!(asked(&chain).len() - before, usize::from(ends), "{target}: the other keeps its own");
        }
    }
}

#[tokio::test]
async fn a_body_is_handed_on_as_it_comes_and_kept_only_if_it_comes_whole() {
    let senders = Arc::new(Mutex::new(Vec::<Sender<Bytes, BoxError>>::new()));
    let to = Arc::clone(&senders);
    let homeserver = move |request: Request<Incoming>, udp_port| {
        if request.uri().path() != FILE {
            return documents(request, None, udp_port, false);
        }
        let (sender, body) = Channel::new(4);
        to.lock().unwrap().push(sender);
        let response = Response::builder().header("content-length", "9");
        with(response.body(body.boxed_unsync()).unwrap(), &[FOR_A_DAY])
    };
    let chain = Chain::start_before(homeserver, |_| content(json!({})), |_| {}).await;
    let begin = async || {
        let response = chain.send(request(Method::GET, FILE, Some("t"), &Value::Null)).await;
        let mut sender = senders.lock().unwrap().pop().expect("it has been asked for");
        sender.send_data(bytes("a pic")).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a pic");
        (sender, body)
    };
    let (sender, mut broken) = begin().await;
    sender.abort("the homeserver ends".into());
    assert!(broken.frame().await.unwrap().is_err());
    let (_sender, left) = begin().await;
    drop(left);
    let (mut sender, body) = begin().await;
    sender.send_data(bytes("ture")).await.unwrap();
    drop(sender);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ture");
    assert_eq!(get(&chain, "t", &[]).await, 200);
    assert_eq!(asked(&chain).len(), 3);
}

/// A homeserver with files of 8,000 bytes, and of 20,001 where the name is "long".
fn files(request: Request<Incoming>, udp_port: u16) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let length = match path.rsplit('/').next() {
        _ if !path.contains("/media/") => return documents(request, None, udp_port, false),
        Some("long") => 20_001,
        _ => 8_000,
    };
    with(testing::answer(200, "image/png", vec![b'x'; length]), &[FOR_A_DAY])
}

async fn fetch_file(chain: &Chain, name: &str, token: &str) {
    fetch(chain, &format!("/_matrix/media/v3/download/b/{name}"), token, &[]).await;
}

#[tokio::test]
async fn a_greedy_neighbour_costs_another_nothing_and_long_files_are_not_kept() {
    let choose = |settings: &mut Settings| settings.limits.kept = 80_000;
    let chain = Chain::start_before(files, |_| content(json!({})), choose).await;
    know(&chain, &["greedy", "modest"]).await;
    let greedy = async |names: std::ops::Range<u32>| {
        for name in names {
            fetch_file(&chain, &name.to_string(), "greedy").await;
        }
    };
    greedy(0..30).await;
    for name in ["a", "b", "long"] {
        fetch_file(&chain, name, "modest").await;
    }
    greedy(30..60).await;
    let before = asked(&chain).len();
    for (token, name, is_asked) in [
        ("modest", "a", 0),
        ("modest", "b", 0),
        ("modest", "long", 1),
        ("greedy", "59", 1),
        ("greedy", "30", 2),
    ] {
        fetch_file(&chain, name, token).await;
        assert_eq!(asked(&chain).len() - before, is_asked, "{token} {name}");
    }
}

#[tokio::test]
async fn tokens_that_may_be_made_up_have_one_part_of_what_is_kept() {
    let choose = |settings: &mut Settings| settings.limits.kept = 80_000;
    let chain = Chain::start_before(files, |_| content(json!({})), choose).await;
    know(&chain, &["modest"]).await;
    for name in ["a", "b", "c", "d"] {
        fetch_file(&chain, name, "modest").await;
    }
    // Each for itself would be entitled to as much as the other one has.
    for token in 0..20 {
        for name in 0..2 {
            fetch_file(&chain, &name.to_string(), &format!("greedy-{token}")).await;
        }
    }
    let before = asked(&chain).len();
    for name in ["a", "b", "c", "d"] {
        fetch_file(&chain, name, "modest").await;
    }
    assert_eq!(asked(&chain).len(), before);
    // They are apart, and what is kept for the last of them is there.
    fetch_file(&chain, "1", "greedy-19").await;
    assert_eq!(asked(&chain).len(), before);
    fetch_file(&chain, "1", "greedy-20").await;
    assert_eq!(asked(&chain).len(), before + 1);
}

//! The message layer and blockwise without DTLS, with a client of another project: aiocoap.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "clear_text/shell.rs"]
mod shell;

use lowband_e2e::aiocoap::{Aiocoap, Order, Told};
use lowband_e2e::loss::From::{self, Client, Server};
use lowband_e2e::parts::Parts;
use lowband_transport::coap::{Limits, Times};
use lowband_wire::coap::Method;
use lowband_wire::coap::block::BlockSize;
use shell::{Seen, Settings, Shell, text_of};
use std::time::Duration;

/// Starts a shell and a client of it.
async fn started(settings: Settings) -> (Shell, Aiocoap) {
    let shell = Shell::start(settings).await;
    let client = Aiocoap::start(&Parts::from_environment(), shell.address()).unwrap();
    (shell, client)
}

/// Timeout of a patient end: nothing is lost unless a test says so, and a busy machine must not look like a
/// lossy one.
const PATIENT: Duration = Duration::from_secs(20);

fn order(method: &'static str) -> Order {
    let ack_timeout = Some(PATIENT.as_secs_f64());
    Order { method, path: vec!["echo".to_owned()], ack_timeout, ..Order::default() }
}

fn get(query: &str) -> Order {
    Order { query: vec![query.to_owned()], ..order("GET") }
}

/// Returns the answer to a request with this body.
fn echoed(kind: &str, body: &str) -> Told {
    Told { code: "2.05".to_owned(), kind: kind.to_owned(), body: body.to_owned(), ..Told::default() }
}

fn seen<const N: usize>(messages: [(From, &'static str, &str); N]) -> Vec<Seen> {
    messages.map(|(from, kind, code)| (from, kind, code.to_owned())).to_vec()
}

const METHODS: [(&str, Method); 4] =
    [("GET", Method::Get), ("PUT", Method::Put), ("POST", Method::Post), ("DELETE", Method::Delete)];

#[tokio::test]
async fn requests_arrive_as_they_were_meant_and_are_answered_in_the_acknowledgement() {
    let (shell, mut client) = started(Settings::default()).await;
    let texts = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
    let path = texts(&["echo", "a/b", "größe 🛎", "", "%2F", ""]);
    let query = texts(&["a=1", "bare", "a=1", "", "x=ü&y"]);
    for (method, expected) in METHODS {
        let body = if method == "GET" { "" } else { "größer" };
        let asked = Order {
            path: path.clone(),
            query: query.clone(),
            body: body.to_owned(),
            content_format: Some(60),
            ..order(method)
        };
        let told = client.ask(&asked).await.unwrap();
        assert_eq!(told, Told { content_format: Some(60), ..echoed("ACK", body) }, "{method}");
        let arrived = shell.requests().pop().unwrap();
        assert_eq!((arrived.method, &*arrived.body), (expected, body));
        assert_eq!((&arrived.options.path, &arrived.options.query), (&path, &query));
    }
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_non_confirmable_request_has_a_non_confirmable_response() {
    let (shell, mut client) = started(Settings::default()).await;
    for (method, _) in METHODS {
        let asked = Order { unreliable: true, body: "unreliable".to_owned(), ..order(method) };
        assert_eq!(client.ask(&asked).await.unwrap(), echoed("NON", "unreliable"), "{method}");
    }
    assert!(shell.messages().iter().all(|(_, kind, _)| *kind == "NON"), "{:?}", shell.messages());
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_body_of_100_kb_goes_up_and_comes_back_in_blocks_of_each_size() {
    let (shell, mut client) = started(Settings::default()).await;
    for (method, size, length) in [
        ("PUT", 6, 100_000),
        ("POST", 6, 100_000),
        ("PUT", 4, 100_000),
        ("POST", 2, 20_000),
        ("PUT", 0, 2_000),
    ] {
        let before = shell.messages().len();
        let body = text_of(length);
        let asked = Order { body: body.clone(), block_size: Some(size), ..order(method) };
        let told = client.ask(&asked).await.unwrap();
        assert!(told == echoed("ACK", &body), "{method} {size}: {} {}", told.code, told.error);
        assert!(shell.requests().pop().unwrap().body == body);
        let sent = &shell.messages()[before..];
        let count =
            |code: &str| sent.iter().filter(|(from, _, sent)| *from == Server && sent == code).count();
        let blocks = |length: usize| length.div_ceil(16 << size);
        // The first block down is as large as blocks may be; the client asks for the others in its own size.
        assert_eq!((count("2.31"), count("2.05")), (blocks(length) - 1, 1 + blocks(length - 1024)), "{size}");
    }
    assert_eq!(shell.requests().len(), 5);
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_body_of_300_kb_comes_in_blocks_of_the_size_that_the_client_wants_from_the_start_or_later() {
    let (shell, mut client) = started(Settings::default()).await;
    for (size, ask_block_size) in [(6, false), (4, true), (4, false)] {
        let asked = Order { block_size: Some(size), ask_block_size, ..get("bytes=300000") };
        let told = client.ask(&asked).await.unwrap();
        assert!(told == echoed("ACK", &text_of(300_000)), "{size}: {} {}", told.code, told.error);
    }
    let counters = shell.counters();
    assert_eq!((counters.requests, counters.snapshots), (3, 3), "one for each body, not for each block");
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_server_with_smaller_blocks_makes_the_client_take_them() {
    let limits = Limits { block_size: BlockSize::from_szx(3).unwrap(), ..Limits::default() };
    let (shell, mut client) = started(Settings { limits, ..Settings::default() }).await;
    let body = text_of(10_000);
    let told = client.ask(&Order { body: body.clone(), ..order("PUT") }).await.unwrap();
    assert!(told == echoed("ACK", &body), "{} {}", told.code, told.error);
    assert!(shell.requests()[0].body == body);
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_response_that_takes_its_time_comes_separately_after_an_early_acknowledgement() {
    let times = Times { ack_timeout: PATIENT, ..Times::rfc7252() };
    let (shell, mut client) = started(Settings { times, ..Settings::default() }).await;
    let told = client.ask(&Order { body: "slow".to_owned(), ..get("wait=900") }).await.unwrap();
    assert_eq!(told, echoed("CON", "slow"));
    // Whatever comes next, the client's acknowledgement has come before it.
    client.ask(&Order { method: "PING", ..Order::default() }).await.unwrap();
    let expected = [
        (Client, "CON", "0.01"),
        (Server, "ACK", "0.00"),
        (Server, "CON", "2.05"),
        (Client, "ACK", "0.00"),
        (Client, "CON", "0.00"),
        (Server, "RST", "0.00"),
    ];
    assert_eq!(shell.messages(), seen(expected));
    // A body in blocks is treated alike.
    let query = vec!["wait=900".to_owned(), "bytes=5000".to_owned()];
    let told = client.ask(&Order { query, ..order("GET") }).await.unwrap();
    assert_eq!(told, echoed("CON", &text_of(5_000)));
    client.end().await.unwrap();
}

#[tokio::test]
async fn each_request_is_done_once_although_of_each_third_message_a_copy_is_lost_both_ways() {
    let quick = Duration::from_millis(60);
    let times = Times { ack_timeout: quick, piggyback_wait: quick, max_retransmit: 8, ..Times::rfc7252() };
    let (shell, mut client) = started(Settings { times, loses_each: 3, ..Settings::default() }).await;
    let ask = |asked: Order| Order { ack_timeout: Some(quick.as_secs_f64()), ..asked };
    let mut bodies = Vec::new();
    for number in 0..8 {
        let body = number.to_string();
        let told = client.ask(&ask(Order { body: body.clone(), ..order("POST") })).await.unwrap();
        assert_eq!((&*told.code, &*told.body), ("2.05", &*body));
        bodies.push(body);
    }
    let large = text_of(15_000);
    let told = client.ask(&ask(Order { body: large.clone(), ..order("PUT") })).await.unwrap();
    assert!(told.body == large, "{} {}", told.code, told.error);
    bodies.push(large);
    // The server sends two messages each time, an acknowledgement and later the response: of six, one of each
    // kind is lost.
    for _ in 0..3 {
        let slow = Order { body: "slow".to_owned(), query: vec!["wait=100".to_owned()], ..order("POST") };
        assert_eq!(client.ask(&ask(slow)).await.unwrap().body, "slow");
        bodies.push("slow".to_owned());
    }
    let arrived: Vec<_> = shell.requests().into_iter().map(|request| request.body).collect();
    assert!(arrived == bodies, "{} requests for {}", arrived.len(), bodies.len());
    let counters = shell.counters();
    assert!(counters.duplicates > 0 && counters.retransmissions > 0, "{counters:?}");
    client.end().await.unwrap();
}

#[tokio::test]
async fn an_unknown_critical_option_is_4_02_or_silence_and_an_elective_one_is_ignored() {
    let (shell, mut client) = started(Settings::default()).await;
    // The lowest bit of an option's number makes it critical (RFC 7252 section 5.4.6).
    let critical = Order { options: vec![(65_001, "new")], ..order("GET") };
    let told = client.ask(&critical).await.unwrap();
    assert_eq!((&*told.code, &*told.kind), ("4.02", "ACK"));
    assert!(told.body.contains("65001"), "{}", told.body);
    // RFC 7252 section 5.4.1: a non-confirmable request is rejected without a word, or by a Reset.
    let unreliable = Order { unreliable: true, give_up_after: Some(0.1), ..critical };
    assert_eq!(client.ask(&unreliable).await.unwrap().error, "TimeoutError");
    let elective = Order { options: vec![(65_000, "new")], body: "done".to_owned(), ..order("PUT") };
    assert_eq!(client.ask(&elective).await.unwrap(), echoed("ACK", "done"));

    let expected = [
        (Client, "CON", "0.01"),
        (Server, "ACK", "4.02"),
        (Client, "NON", "0.01"),
        (Client, "CON", "0.03"),
        (Server, "ACK", "2.05"),
    ];
    assert_eq!(shell.messages(), seen(expected));
    assert_eq!((shell.requests().len(), shell.counters().non_confirmable_dropped), (1, 1));
    client.end().await.unwrap();
}

#[tokio::test]
async fn fetch_and_its_siblings_are_4_05() {
    let (shell, mut client) = started(Settings::default()).await;
    for method in ["FETCH", "PATCH", "iPATCH"] {
        let told = client.ask(&Order { body: "{}".to_owned(), ..order(method) }).await.unwrap();
        assert_eq!((&*told.code, &*told.kind), ("4.05", "ACK"), "{method}");
    }
    assert_eq!((shell.requests().len(), shell.counters().methods_refused), (0, 3));
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_by_a_reset() {
    let (shell, mut client) = started(Settings::default()).await;
    let told = client.ask(&Order { method: "PING", ..Order::default() }).await.unwrap();
    assert_eq!((&*told.code, &*told.kind, &*told.error), ("0.00", "RST", ""));
    assert_eq!(shell.counters().pings, 1);
    client.end().await.unwrap();
}

#[tokio::test]
async fn a_request_for_notifications_has_one_response_that_promises_none() {
    let (shell, mut client) = started(Settings::default()).await;
    for query in ["bytes=100", "bytes=5000", "wait=700"] {
        let told = client.ask(&Order { observe: true, ..get(query) }).await.unwrap();
        assert_eq!((&*told.code, told.observing, &*told.error), ("2.05", false, ""), "{query}");
    }
    // RFC 7641 section 2: where nothing can be observed, such a request is treated like any other.
    let requests = shell.requests();
    assert!(requests.iter().all(|request| request.options.observe == Some(0)), "{requests:?}");
    client.end().await.unwrap();
}

//! A client's request arrives at the homeserver as if a plain HTTP client had made it: paths, queries,
//! headers.
//!
//! An echo stands at the end of the chain: it answers with the request line and the headers that have reached
//! it. The plain client is curl on Envoy's public port; over CoAP both our client and libcoap's ask.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Connection, Method, Request};
use lowband_e2e::chain::Homeserver;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::parts::system_program;
use lowband_e2e::wire::{code, document, from_cbor, to_cbor};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use url::form_urlencoded;

fn fixture() -> &'static Fixture {
    static SHARED: OnceLock<Fixture> = OnceLock::new();
    SHARED.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let homeserver = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || echo(&stream.unwrap()));
            }
        });
        Fixture::start_before("targets", Homeserver::At(homeserver), &[])
            .unwrap_or_else(|why| panic!("{why}"))
    })
}

/// Answers each request of a connection with its own target, headers and body. No HTTP library stands in
/// between, because it might change how a target is spelled.
fn echo(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        let target = line.split(' ').nth(1).unwrap().to_owned();
        let mut headers = Map::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_owned(), json!(value));
        }
        let length = headers.get("content-length").and_then(Value::as_str).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let answer = json!({"target": target, "headers": headers, "body": body}).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", answer.len());
        let mut writer = stream;
        writer.write_all(format!("{head}\r\n\r\n{answer}").as_bytes()).unwrap();
        line.clear();
    }
}

/// Returns what arrives when our client sends the request.
async fn over_chain(connection: &Connection, request: Request) -> Value {
    let target = request.target.clone();
    let response = connection.request(request).await.unwrap_or_else(|why| panic!("{target}: {why}"));
    assert_eq!(code(&response), "2.05", "{target}: {response:?}");
    document(&response).unwrap()
}

/// Returns what arrives when libcoap's client sends a GET, by the full path.
async fn over_libcoap(target: &str) -> Value {
    let mut command = Command::new(system_program("coap-client-openssl", "setup-test").unwrap());
    command.arg("-C").arg(&fixture().chain.certificate.certificate).args(["-o", "-"]);
    command.arg(format!("coaps://localhost:{}{target}", fixture().chain.address().port()));
    let output = fixture().output(command).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let json = from_cbor(&output.stdout).unwrap_or_else(|why| panic!("{target}: {why} {said}"));
    serde_json::from_slice(&json).unwrap()
}

/// Returns what arrives when curl sends a request.
async fn over_https(arguments: &[&str], target: &str) -> Value {
    let mut command = Command::new(system_program("curl", "setup-test").unwrap());
    command.args(["-sS", "--path-as-is", "--globoff", "--cacert"]);
    command.arg(&fixture().chain.certificate.certificate);
    command.args(arguments).arg(format!("https://{}{target}", fixture().chain.address()));
    let output = fixture().output(command).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{target}: {why} {said}"))
}

#[test]
fn a_path_and_a_query_arrive_byte_for_byte() {
    // No segment is longer than the 100 bytes that libcoap's client takes without a warning among its output.
    let targets = [
        // The values hold characters that would end a segment or the path, and the escape itself.
        "/_matrix/client/v3/directory/room/%23lobby:lb.test",
        "/_matrix/client/v3/directory/room/%23a%2Fb%2Fc:lb.test",
        "/_matrix/client/v3/directory/room/%23who%3F:lb.test",
        "/_matrix/client/v3/profile/@100%25:lb.test/displayname",
        "/_matrix/client/v3/rooms/!r:lb.test/state/a%252Fb/%2525",
        "/_matrix/client/v3/rooms/!r:lb.test/state/%3F%23%2F%25/%2F",
        // Text that is not ASCII, and characters that curl and a browser escape besides.
        "/_matrix/client/v3/directory/room/%23empfang-gr%C3%B6%C3%9Fe:lb.test",
        "/_matrix/client/v3/rooms/!r/state/x/%F0%9F%9B%8E%EF%B8%8F%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7",
        "/_matrix/client/v3/rooms/!r:lb.test/state/org.example/a%20b%22%3C%3E%5B%5D%5C%5E%60%7B%7C%7D%00%7F",
        "/_matrix/client/v3/rooms/!r:lb.test/state/org.example/-._~!$&'()*+,;=:@",
        // Empty segments: the last, and one in between.
        "/_matrix/client/v3/pushrules/",
        "/_matrix/client/v3/rooms/!r:lb.test/state/m.room.name/",
        "/_matrix/client/v3/rooms//state/m.room.name",
        // Empty segments in paths that have path codes.
        "/_matrix/client/r0/pushrules/",
        "/_matrix/client/r0/directory/room/%23a%2Fb%3F%C3%BC:lb.test",
        "/_matrix/client/r0/rooms/!a%2Fb:lb.test/send/%3F%23%25/%F0%9F%9B%8E",
        "/_matrix/client/r0/rooms/!r:lb.test/state/m.room.name/",
        "/_matrix/client/r0/sync?since=s1_2&since=s3_4&full_state",
        // Repeated, bare and empty parameters, in the order in which they came.
        "/_matrix/client/v3/sync?b=2&a=1&b=1&a=2",
        "/_matrix/client/v3/sync?flag",
        "/_matrix/client/v3/sync?flag&a=&flag&=b&=",
        // Values that hold separators.
        "/_matrix/client/v3/sync?q=1%2B1&r=a%26b&s=a%3Bb&t=a=b==&u=%23%25",
        "/_matrix/client/v3/sync?a%2Bb%26c=d",
        "/_matrix/client/v3/sync?from=/a/b?c&to=!$'()*,:@-._~",
        "/_matrix/client/v3/sync?%C3%BC=%F0%9F%9B%8E&filter=%7B%22room%22:%7B%22ids%22:%5B%22a%20b%22%5D%7D%7D",
        "/.well-known/matrix/client?a=1",
    ];
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        for target in targets {
            assert_eq!(over_https(&[], target).await["target"], target, "curl");
            assert_eq!(over_chain(&connection, Request::get(target)).await["target"], target, "the chain");
            assert_eq!(over_libcoap(target).await["target"], target, "libcoap");
        }
    });
}

#[test]
fn what_is_spelled_in_another_way_arrives_in_one_way_and_means_the_same() {
    // Each pair has the target as a client spells it, and as it arrives over the chain: nothing is escaped
    // without need, and a space is %20.
    let targets = [
        ("/_matrix/client/v3/profile/%40alice%3Alb.test", "/_matrix/client/v3/profile/@alice:lb.test"),
        (
            "/_matrix/client/v3/rooms/%21r%3alb.test/state/%7e/",
            "/_matrix/client/v3/rooms/!r:lb.test/state/~/",
        ),
        (
            "/_matrix/client/v3/rooms/!r/state/%c3%bc%2f/a+b%2B",
            "/_matrix/client/v3/rooms/!r/state/%C3%BC%2F/a+b+",
        ),
        ("/_matrix/client/r0/join/%23a%2fb%3Alb.test", "/_matrix/client/r0/join/%23a%2Fb:lb.test"),
        ("/_matrix/client/v3/sync?q=one+two%20three", "/_matrix/client/v3/sync?q=one%20two%20three"),
        ("/_matrix/client/v3/sync?q=%3D%2Fa%3A&a%20b", "/_matrix/client/v3/sync?q==/a:&a%20b"),
        ("/_matrix/client/v3/sync?q=1;2", "/_matrix/client/v3/sync?q=1%3B2"),
        ("/_matrix/client/v3/sync?&a=1&&b&", "/_matrix/client/v3/sync?a=1&b"),
        ("/_matrix/client/v3/sync?", "/_matrix/client/v3/sync"),
    ];
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        for (spelled, arrives) in targets {
            assert_eq!(over_https(&[], spelled).await["target"], spelled, "curl");
            assert_eq!(over_chain(&connection, Request::get(spelled)).await["target"], arrives, "the chain");
            assert_eq!(meaning(spelled), meaning(arrives), "{spelled}");
        }
    });
}

/// Returns segments and parameters as a homeserver reads them.
fn meaning(target: &str) -> (Vec<String>, Vec<(String, String)>) {
    // In a path a plus sign stands for itself.
    let decoded = |raw: &str| {
        form_urlencoded::parse(raw.replace('+', "%2B").as_bytes()).next().map(|(text, _)| text.into())
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments = path.split('/').map(|segment| decoded(segment).unwrap_or_default()).collect();
    (segments, form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

#[test]
fn headers_and_a_body_arrive_as_those_of_a_plain_client() {
    const TARGET: &str = "/_matrix/client/v3/rooms/!r:lb.test/send/m.room.message/1";
    const BODY: &str = r#"{"body":"größer \u0000 🛎️","n":9007199254740991}"#;
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        let request = Request {
            access_token: Some("token".to_owned()),
            body: to_cbor(BODY).unwrap(),
            ..Request::new(Method::Put, TARGET)
        };
        let mut chain = over_chain(&connection, request).await;
        let arguments = ["-X", "PUT", "-d", BODY, "-H", "Accept: application/json", "-H"];
        let more = ["Content-Type: application/json", "-H", "Authorization: Bearer token"];
        let mut plain = over_https(&[&arguments[..], &more].concat(), TARGET).await;
        assert_eq!(chain["target"], plain["target"]);
        assert_eq!(
            serde_json::from_str::<Value>(chain["body"].as_str().unwrap()).unwrap(),
            serde_json::from_str::<Value>(plain["body"].as_str().unwrap()).unwrap()
        );
        for arrived in [&mut chain, &mut plain] {
            let headers = arrived["headers"].as_object_mut().unwrap();
            // These headers show the client, the name it asked for and the request itself, and really differ.
            for name in ["user-agent", "host", "x-request-id"] {
                assert!(headers.remove(name).is_some(), "{name}");
            }
        }
        assert_eq!(chain["headers"], plain["headers"]);
    });
}

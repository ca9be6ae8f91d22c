//! A homeserver that hangs up, breaks off, talks nonsense or too much, behind the real Envoy and the filter:
//! each request gets its error, and the session and its neighbours go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Connection, Request, Response};
use lowband_e2e::chain::Homeserver;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::http1;
use lowband_e2e::wire::{code, document};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Returns what the homeserver does, by the last segment of the path. The connection ends behind the bytes
/// that it writes.
fn answer(behaviour: &str) -> Vec<u8> {
    // Each connection ends after one answer, and says so: otherwise the next request might meet one that is
    // just ending.
    let json = |length: usize, body: &[u8]| {
        let fields = "content-type: application/json\r\nconnection: close";
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let whole = |body: &[u8]| json(body.len(), body);
    let list = |length: usize| [b"[\"", &vec![b'x'; length - 4][..], b"\"]"].concat();
    match behaviour {
        "answers" => whole(b"{}"),
        "hangs-up" => vec![],
        "half-a-status-line" => b"HTTP/1.1 20".to_vec(),
        "half-a-head" => b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-le".to_vec(),
        "no-http" => b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(),
        "a-header-of-100-kb" => {
            let large = "x".repeat(100_000);
            format!("HTTP/1.1 200 OK\r\nx-large: {large}\r\ncontent-length: 0\r\n\r\n").into_bytes()
        }
        "no-body-at-all" => json(100, b""),
        "half-a-body" => json(100_000, &list(100_000)[..50_000]),
        "half-a-large-body" => json(4_000_000, &list(4_000_000)[..2_000_000]),
        "half-a-chunk" => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            format!("{head}1000\r\n[1,2,3").into_bytes()
        }
        "no-json" => whole(b"<html>"),
        "half-json" => whole(b"{\"a\":[1,"),
        "open-brackets" => whole(&[b'['; 200_000]),
        other => panic!("{other}"),
    }
}

fn serve(stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    // Envoy may have opened a connection in vain.
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let target = request.split(' ').nth(1).unwrap();
    // Envoy need not wait for the end of an answer that it will not take.
    let _ = (&mut &*stream).write_all(&answer(target.rsplit('/').next().unwrap()));
}

fn fixture() -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let homeserver = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(&stream.unwrap()));
        }
    });
    Fixture::start_before("hostile_homeserver", Homeserver::At(homeserver), &[])
        .unwrap_or_else(|why| panic!("{why}"))
}

async fn get(connection: &Connection, behaviour: &str) -> Response {
    connection.request(Request::get(format!("/_matrix/client/v3/{behaviour}"))).await.unwrap()
}

/// Returns how many requests the sidecar has answered with this code.
async fn counted(fixture: &Fixture, code: &str) -> u32 {
    let metrics = http1::get(fixture.chain.sidecar.admin(), "/metrics").await.unwrap();
    let text = String::from_utf8(metrics.body().to_vec()).unwrap();
    let name = format!("lowband_requests_total{{method=\"GET\",code=\"{code}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Expects a Matrix error; a text where the body has begun as another one.
fn expect_told(response: &Response, behaviour: &str) {
    if response.content_format.is_some() {
        let error = document(response).unwrap();
        assert_eq!(error["errcode"], "M_UNKNOWN", "{behaviour}");
        assert!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{behaviour}: {error}");
    } else {
        assert_eq!(behaviour, "half-a-large-body");
        assert!(!response.body.is_empty(), "a diagnostic text");
    }
}

#[test]
fn each_failure_is_told_and_counted_and_the_session_and_its_neighbour_are_served() {
    let fixture = fixture();
    fixture.run(async {
        let connection = fixture.connection().await.unwrap();
        let neighbour = fixture.connection().await.unwrap();
        for (behaviour, expected) in [
            ("hangs-up", "5.03"),
            // For Envoy this is 502 or 503, as the end of the connection is read with the bytes
            // or after them.
            ("half-a-status-line", "5.02 5.03"),
            ("half-a-head", "5.02 5.03"),
            ("no-http", "5.02"),
            ("a-header-of-100-kb", "5.02"),
            ("no-body-at-all", "5.02"),
            ("half-a-body", "5.02"),
            ("half-a-large-body", "5.02"),
            ("half-a-chunk", "5.02"),
            ("no-json", "5.02"),
            ("half-json", "5.02"),
            ("open-brackets", "5.02"),
        ] {
            let before = [counted(&fixture, "5.02").await, counted(&fixture, "5.03").await];
            let response = get(&connection, behaviour).await;
            let got = code(&response);
            assert!(expected.contains(&got), "{behaviour}: {got}");
            expect_told(&response, behaviour);
            let after = [counted(&fixture, "5.02").await, counted(&fixture, "5.03").await];
            let expected =
                if got == "5.02" { [before[0] + 1, before[1]] } else { [before[0], before[1] + 1] };
            assert_eq!(after, expected, "{behaviour}");
            for session in [&connection, &neighbour] {
                assert_eq!(code(&get(session, "answers").await), "2.05", "after {behaviour}");
            }
            fixture.chain.check().unwrap();
        }
    });
}

//! Content that must not pass the chain, and how it is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Method, Request};
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::wait;
use lowband_e2e::wire::{code, document};
use serde_json::Value;
use std::time::Duration;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "edges").unwrap_or_else(|why| panic!("{why}"))
}

fn request(method: Method, target: &str, body: &[u8]) -> Request {
    let content_format = (!body.is_empty()).then_some(60);
    Request {
        method,
        target: target.to_owned(),
        access_token: None,
        content_format,
        accept: None,
        body: body.to_vec(),
    }
}

/// Expects that the request for `target`, the malformed one of this number, has not left for the homeserver.
async fn never_left(fixture: &Fixture, target: &str, number: u64) {
    let Some(envoy) = &fixture.chain.envoy else {
        let refused = "lowband_refused_total{direction=\"request\",kind=\"malformed\"}";
        return assert_eq!(fixture.chain.sidecar.metric(refused).await.unwrap(), number);
    };
    let log = envoy.process.log();
    let what = format!("a line for {target} in Envoy's log");
    let line = wait::until(&what, Duration::from_secs(20), async || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().find(|line| line.contains(target)).map(str::to_owned).ok_or(log)
    });
    let line = line.await.unwrap();
    assert!(!line.contains("via_upstream"), "{line}");
}

#[test]
fn malformed_cbor_is_4_00_with_its_offset_and_never_reaches_the_homeserver() {
    let fixture = fixture();
    fixture.run(async {
        let connection = fixture.connection().await.unwrap();
        let claims = |head: u8| [b"\xa1\x61a", &[head][..], &(1_u64 << 40).to_be_bytes(), b"abc"].concat();
        let bodies: [(Vec<u8>, usize); 14] = [
            // {"a": "hel and no more; {"a": 1} and one byte too many; a simple value that is not assigned;
            // nothing but a break.
            (b"\xa1\x61a\x65hel".to_vec(), 7),
            (b"\xa1\x61a\x01\x00".to_vec(), 4),
            (b"\xa1\x61a\xf0".to_vec(), 3),
            (b"\xff".to_vec(), 0),
            // Byte strings, as a value and as a key; tags, one and too many; open arrays and maps, of known
            // length and without.
            (b"\xa1\x61a\x43abc".to_vec(), 3),
            (b"\xa1\x43abc\x01".to_vec(), 1),
            (b"\xa1\x61a\xc1\x00".to_vec(), 3),
            (vec![0xc1; 100_000], 0),
            (vec![0x81; 100_000], 128),
            ([&b"\xbf\x61a".repeat(50_000)[..], &[0]].concat(), 384),
            // Lengths of 2^40 where three bytes follow: bytes, text, array, map.
            (claims(0x5b), 3),
            (claims(0x7b), 15),
            (claims(0x9b), 15),
            (claims(0xbb), 15),
        ];
        for (number, (body, offset)) in bodies.into_iter().enumerate() {
            let target = format!("/_matrix/client/v3/malformed/{number}");
            let response = connection.request(request(Method::Post, &target, &body)).await.unwrap();
            assert_eq!(code(&response), "4.00", "{number}");
            let error = document(&response).unwrap();
            assert_eq!(error["errcode"], "M_NOT_JSON", "{number}");
            let text = error["error"].as_str().unwrap();
            let numbers: Vec<usize> =
                text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            assert!(numbers.contains(&offset), "{number}: no offset {offset} in {text:?}");

            never_left(fixture, &target, number as u64 + 1).await;
        }
        // The session is still usable.
        let response =
            connection.request(request(Method::Get, "/_matrix/client/versions", &[])).await.unwrap();
        assert_eq!(code(&response), "2.05");
    });
}

#[test]
fn media_and_what_is_no_client_path_are_5_05_and_point_to_https() {
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        for target in [
            "/_matrix/client/v1/media/download/lb.test/abc",
            "/_matrix/client/v1/media/config",
            "/_matrix/media/v3/upload",
            "/_matrix/federation/v1/version",
            "/_synapse/admin/v1/server_version",
            "/.well-known/matrix/server",
            "/health",
        ] {
            let response = connection.request(request(Method::Get, target, &[])).await.unwrap();
            assert_eq!(code(&response), "5.05", "{target}");
            let error = document(&response).unwrap();
            assert_eq!(error["errcode"], "M_UNRECOGNIZED", "{target}");
            assert!(error["error"].as_str().unwrap().contains("HTTPS"), "{target}: {error}");
        }
    });
}

#[test]
fn an_accept_that_nobody_can_serve_is_4_06_and_a_foreign_content_format_4_15() {
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        let get = request(Method::Get, "/_matrix/client/versions", &[]);
        let response = connection.request(Request { accept: Some(40), ..get.clone() }).await.unwrap();
        assert_eq!(code(&response), "4.06");
        let post = request(Method::Post, "/_matrix/client/v3/login", &[0xa0]);
        let response = connection.request(Request { content_format: Some(40), ..post }).await.unwrap();
        assert_eq!(code(&response), "4.15");
        let response = connection.request(Request { accept: Some(50), ..get }).await.unwrap();
        assert_eq!((code(&response).as_str(), response.content_format), ("2.05", Some(50)));
        assert!(serde_json::from_slice::<Value>(&response.body).unwrap()["versions"].is_array());
    });
}

#[test]
fn a_post_without_a_body_reaches_the_homeserver_as_an_empty_document() {
    fixture().run(async {
        let connection = fixture().connection().await.unwrap();
        let response =
            connection.request(request(Method::Post, "/_matrix/client/v3/register", &[])).await.unwrap();
        // The homeserver asks for the stages of registration: it understood the body. M_NOT_JSON
        // would be 4.00.
        assert_eq!(code(&response), "4.01");
        let body = document(&response).unwrap();
        assert!(body["flows"].is_array(), "{body}");
    });
}

//! Envoy's public port: HTTPS and HTTP for all clients, JSON or CBOR as they like, and media.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::envoy::Envoy;
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::http1::{self, Http1};
use lowband_e2e::matrix::{self, User};
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::process::{Process, Recipe};
use lowband_e2e::wait;
use lowband_e2e::wire::{from_cbor, to_cbor};
use serde_json::{Value, json};
use std::time::Duration;

static SHARED: Shared = Shared::new();

const CBOR: &str = "application/cbor";
const JSON: &str = "application/json";
const VERSIONS: &str = "/_matrix/client/versions";

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "public_port").unwrap_or_else(|why| panic!("{why}"))
}

fn get(path: &str, accept: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(path);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    request.body(Full::default()).unwrap()
}

fn post(
    path: &str,
    content_type: &str,
    accept: Option<&str>,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, content_type);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    request.body(Full::new(body.into())).unwrap()
}

/// Checks content type and content-length, then reads the document.
fn document(response: &Response<Bytes>, expected_type: &str) -> Value {
    let field = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
    let content_type = field(header::CONTENT_TYPE).unwrap_or_default();
    assert_eq!(content_type.split(';').next(), Some(expected_type), "{response:?}");
    if let Some(length) = field(header::CONTENT_LENGTH) {
        assert_eq!(length, response.body().len().to_string());
    }
    let json = if expected_type == CBOR {
        from_cbor(response.body()).unwrap().into()
    } else {
        response.body().clone()
    };
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn a_plain_client_gets_json_and_one_that_asks_for_it_cbor() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.http1().await.unwrap();
        let plain = client.send(get(VERSIONS, None)).await.unwrap();
        let expected = document(&plain, JSON);
        assert!(expected["versions"].is_array());
        for (accept, kind) in
            [("*/*", JSON), (JSON, JSON), (CBOR, CBOR), ("application/json;q=0.5, application/cbor", CBOR)]
        {
            let response = client.send(get(VERSIONS, Some(accept))).await.unwrap();
            assert_eq!(document(&response, kind), expected, "{accept}");
        }
    });
}

#[test]
fn the_answer_to_a_cbor_body_is_cbor_unless_the_client_wants_json() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.http1().await.unwrap();
        let register = |name: &str| {
            json!({"username": name, "password": "p", "auth": {"type": "m.login.dummy"}}).to_string()
        };
        for (name, sent, accept, answered) in [
            ("cbor", CBOR, None, CBOR),
            ("cbor-json", CBOR, Some(JSON), JSON),
            ("json", JSON, None, JSON),
            ("json-any", JSON, Some("*/*"), JSON),
            ("json-cbor", JSON, Some(CBOR), CBOR),
        ] {
            let body = if sent == CBOR { to_cbor(&register(name)).unwrap() } else { register(name).into() };
            let request = post("/_matrix/client/v3/register", sent, accept, body);
            let response = client.send(request).await.unwrap();
            assert_eq!(response.status(), 200, "{name} {response:?}");
            assert_eq!(document(&response, answered)["user_id"], format!("@{name}:lb.test"), "{name}");
        }
    });
}

#[test]
fn the_port_speaks_plain_http_too() {
    let fixture = fixture();
    // Envoy tells the two apart; the sidecar takes one of them on a port.
    if fixture.chain.envoy.is_none() {
        return;
    }
    fixture.run(async {
        let response = http1::get(fixture.chain.address(), VERSIONS).await.unwrap();
        assert!(document(&response, JSON)["versions"].is_array());
    });
}

#[test]
fn errors_of_the_homeserver_come_in_the_form_that_was_asked_for() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.http1().await.unwrap();
        for kind in [JSON, CBOR] {
            let response = client.send(get("/_matrix/client/v3/account/whoami", Some(kind))).await.unwrap();
            assert_eq!(response.status(), 401);
            assert_eq!(document(&response, kind)["errcode"], "M_MISSING_TOKEN");
        }
    });
}

#[test]
fn malformed_cbor_is_refused_in_cbor_with_its_offset_and_never_reaches_the_homeserver() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.http1().await.unwrap();
        // The map has one pair, whose value is cut after two bytes of text.
        let cut = [0xa1, 0x61, b'a', 0x65, b'x', b'y'];
        let response = client.send(post("/_matrix/client/v3/login", CBOR, None, cut.to_vec())).await.unwrap();
        assert_eq!(response.status(), 400);
        let said = document(&response, CBOR);
        assert_eq!(said["errcode"], "M_NOT_JSON");
        let error = said["error"].as_str().unwrap();
        assert!(error.chars().any(|c| c.is_ascii_digit()), "no offset in {error:?}");
    });
}

#[test]
fn media_goes_up_and_comes_down_unharmed() {
    let fixture = fixture();
    fixture.run(async {
        let mut wire = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut wire, &User::new("media")).await.unwrap();
        let mut client: Http1 = fixture.http1().await.unwrap();
        let authorized = |mut request: Request<Full<Bytes>>| {
            let bearer = format!("Bearer {}", user.token).parse().unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
            request
        };
        // The body holds every byte value, a megabyte of them. The last two types would be translated if
        // anything looked into them.
        let binary: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let cbor = to_cbor(r#"{"body":"x"}"#).unwrap();
        let samples = [("image/png", binary), (CBOR, cbor), (JSON, b"{ \"body\" : \"x\" }".to_vec())];
        for (kind, body) in samples {
            let upload =
                authorized(post("/_matrix/media/v3/upload?filename=x", kind, Some("*/*"), body.clone()));
            let response = client.send(upload).await.unwrap();
            assert_eq!(response.status(), 200, "{kind} {response:?}");
            let uri = document(&response, JSON)["content_uri"].as_str().unwrap().to_owned();
            let path = uri.strip_prefix("mxc://").unwrap();
            let download = authorized(get(&format!("/_matrix/client/v1/media/download/{path}"), Some("*/*")));
            let response = client.send(download).await.unwrap();
            assert_eq!(response.status(), 200, "{kind}");
            // Synapse adds a charset to types that it takes for text.
            let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert_eq!(content_type.split(';').next(), Some(kind));
            assert!(response.body() == &body, "{kind} was changed on its way");
        }
    });
}

#[test]
fn the_homeserver_sees_the_address_of_the_socket_and_not_what_a_client_claims() {
    let fixture = fixture();
    fixture.run(async {
        let mut wire = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut wire, &User::new("claims")).await.unwrap();
        let mut client = fixture.http1().await.unwrap();
        let request = Request::get("/_matrix/client/v3/devices")
            .header(header::AUTHORIZATION, format!("Bearer {}", user.token))
            .header("x-forwarded-for", "203.0.113.9")
            .body(Full::default())
            .unwrap();
        let devices = document(&client.send(request.clone()).await.unwrap(), JSON);
        assert_eq!(devices["devices"][0]["last_seen_ip"], "127.0.0.1", "{devices}");
    });
}

#[test]
fn nothing_of_the_homeserver_but_the_client_side_can_be_reached() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.http1().await.unwrap();
        for path in ["/_synapse/admin/v1/server_version", "/_matrixx", "/"] {
            let response = client.send(get(path, None)).await.unwrap();
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(document(&response, JSON)["errcode"], "M_UNRECOGNIZED", "{path}");
        }
    });
}

#[tokio::test]
async fn a_second_envoy_does_not_share_the_port_without_a_word() {
    let parts = Parts::from_environment();
    let port = Port::free_for_both().unwrap();
    let start = |name| {
        let folder = parts.test_folder(name).unwrap();
        Certificate::make(&folder).unwrap();
        Envoy::start(&parts, &folder, &port, "http://127.0.0.1:1", None).unwrap()
    };
    let first = start("port_first");
    first.ready().await.unwrap();
    let second = start("port_second");
    assert!(second.ready().await.is_err());
    let log = std::fs::read_to_string(second.process.log()).unwrap();
    let refused = format!("cannot bind '0.0.0.0:{}': Address already in use", port.number());
    assert!(log.contains(&refused), "{log}");
    first.process.check().unwrap();
}

#[tokio::test]
async fn a_sidecar_whose_upstream_is_this_port_is_told_so() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("port_as_upstream").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    let envoy = Envoy::start(&parts, &folder, &port, "http://127.0.0.1:1", None).unwrap();
    envoy.ready().await.unwrap();
    let upstream = format!("http://{}", port.loopback());
    let arguments = [
        ("--listen", port.loopback().to_string()),
        ("--certificate", certificate.certificate.display().to_string()),
        ("--key", certificate.key.display().to_string()),
        ("--upstream", upstream.clone()),
        ("--admin", "off".to_owned()),
    ];
    let sidecar = Process::start(Recipe {
        name: "sidecar",
        program: parts.program("lowband-sidecar").unwrap(),
        arguments: arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
        environment: Vec::new(),
        folder: folder.clone(),
    })
    .unwrap();
    wait::until("a warning", Duration::from_secs(20), async || {
        let log = std::fs::read_to_string(sidecar.log()).unwrap();
        let told = |line: &&str| line.contains("--upstream names Envoy's port for clients");
        let warning = log.lines().find(told).map(str::to_owned);
        let warning = warning.ok_or(log)?;
        assert!(warning.contains("WARN") && warning.contains(&upstream), "{warning}");
        assert!(warning.contains("unix:run/envoy.sock"), "the cure: {warning}");
        Ok(())
    })
    .await
    .unwrap();
    let log = std::fs::read_to_string(envoy.process.log()).unwrap();
    assert!(!log.contains("/.lowband/ready"), "the question stands in the access log: {log}");
}

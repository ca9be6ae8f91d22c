//! The life of two users of a real client, matrix-nio, twice: in CBOR over HTTPS through Envoy and the
//! filter, without the sidecar, and as nio comes, in JSON straight to a second homeserver. Each answer of the
//! first is compared with its twin of the second, and each GET also with the first homeserver's answer in
//! JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_codec::KeyTable;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::twins::Twins;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::process::Command;

/// The client's note on one exchange.
#[derive(Debug, Deserialize)]
struct Note {
    user: String,
    /// Method and path of the request.
    what: String,
    status: u16,
    body: Value,
    /// Length of the body as it came, in bytes.
    bytes: u64,
    integer_keys: u64,
    /// Number of keys that came as text although the key table has them.
    text_keys: u64,
    /// Whether the homeserver was asked the same in JSON, and answered the same.
    #[serde(default)]
    asked_straight: bool,
}

/// Lets the client live; the homeserver's own address is taken out of the answers it got.
async fn life(fixture: &Fixture, settings: &Value, homeserver: &Synapse) -> Vec<Note> {
    let mut command = Command::new(fixture.parts.nio_python().unwrap());
    command.arg(fixture.parts.own("foreign/nio/life.py")).arg(settings.to_string());
    let output = fixture.output(command).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let notes =
        String::from_utf8(output.stdout).unwrap().replace(&homeserver.address().to_string(), "homeserver");
    notes.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns whether integer keys come only in answers to requests that had some themselves, and whether such
/// an answer then has no name of the table left as text.
fn keys_are_as_negotiated(note: &Note) -> bool {
    let asked_with_integers = note.user == "nio-ann" && !note.what.starts_with("GET ");
    note.integer_keys == 0 || (asked_with_integers && note.text_keys == 0)
}

#[test]
fn a_life_in_cbor_over_https_is_the_life_in_plain_json() {
    let fixture = Fixture::start("nio", RateLimits::Lifted, &[]).unwrap();
    let folder = fixture.parts.test_folder("nio-plain").unwrap();
    let second = Synapse::start(&fixture.parts, &folder, RateLimits::Lifted).unwrap();
    fixture.run(second.ready()).unwrap();
    let first = fixture.synapse().unwrap();
    let keys: Map<String, Value> =
        KeyTable::v1().iter().map(|(name, key)| (name.to_owned(), json!(key))).collect();
    let in_cbor = json!({
        "server": format!("https://{}", fixture.chain.address()),
        "ca": fixture.chain.certificate.certificate,
        "keys": keys,
        "straight": first.url(),
    });
    let in_json = json!({"server": second.url()});
    let (cbor, plain) = fixture
        .run(async { tokio::join!(life(&fixture, &in_cbor, first), life(&fixture, &in_json, &second)) });

    assert_eq!(cbor.len(), plain.len());
    assert!(cbor.len() > 50, "{}", cbor.len());
    let mut twins = Twins::default();
    let mut differences = Vec::new();
    for (left, right) in cbor.iter().zip(&plain) {
        let [one, other] = [left, right].map(|note| json!([note.user, note.what, note.status, note.body]));
        if let Err(why) = twins.compare(&one, &other) {
            differences.push(format!("{}\n    {why}", left.what));
        }
        assert!(keys_are_as_negotiated(left), "{left:?}");
        assert_eq!(left.asked_straight, left.what.starts_with("GET "), "{left:?}");
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(cbor.iter().any(|note| note.integer_keys > 0), "nobody was answered with integer keys");
    assert!(cbor.iter().any(|note| note.text_keys > 0), "nobody was answered with text keys");
    let [in_cbor, in_json] = [cbor, plain].map(|notes| notes.iter().map(|note| note.bytes).sum::<u64>());
    assert!(in_cbor < in_json, "{in_cbor} bytes of CBOR, {in_json} of JSON");
}

//! The pipelines of the reference's tutorial, with the names of the programs replaced and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::fixture::{Fixture, Shared};
use serde_json::Value;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "tutorial").unwrap_or_else(|why| panic!("{why}"))
}

/// Runs a line of the tutorial, on this chain's port.
async fn line(line: &str) -> Value {
    let line = line.replace("8008", &fixture().chain.address().port().to_string());
    let out = fixture().shell(&line).await.unwrap_or_else(|why| panic!("{why}"));
    serde_json::from_slice(&out).unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&out)))
}

#[test]
fn versions_are_fetched_and_shown_as_json() {
    fixture().run(async {
        let versions = line(
            "lowband coap -X GET -k 'http://localhost:8008/_matrix/client/versions' | lowband jc -c2j '-'",
        )
        .await;
        assert!(versions["versions"].as_array().is_some_and(|versions| !versions.is_empty()), "{versions}");
    });
}

#[test]
fn a_user_is_registered_with_a_body_made_on_the_way() {
    fixture().run(async {
        let registered = line(
            r#"lowband jc -out - '{"auth":{"type":"m.login.dummy"},"username":"foo","password":"barbarbar"}' | lowband coap -X POST -d - -H "Content-Type: application/cbor" -k https://localhost:8008/_matrix/client/r0/register | lowband jc -c2j -"#,
        )
        .await;
        assert_eq!(registered["user_id"], "@foo:lb.test", "{registered}");
        assert!(registered["access_token"].is_string(), "{registered}");
    });
}

#[test]
fn an_error_sets_the_exit_status() {
    let fixture = fixture();
    fixture.run(async {
        let port = fixture.chain.address().port();
        let url = format!("https://localhost:{port}/_matrix/client/v3/account/whoami");
        let failed = fixture.shell(&format!("lowband coap -k {url} >whoami.cbor")).await;
        assert!(failed.is_err(), "4.01 gave status 0");
        let said = fixture.shell("lowband jc -c2j @whoami.cbor").await.unwrap();
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["errcode"], "M_MISSING_TOKEN");
    });
}

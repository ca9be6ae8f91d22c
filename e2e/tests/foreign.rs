//! Clients that nobody here wrote: Debian's libcoap, over OpenSSL and over GnuTLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::matrix::{self, User};
use lowband_e2e::parts::system_program;
use lowband_e2e::wire::{Call, from_cbor, to_cbor};
use serde_json::{Value, json};
use std::process::Command;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "foreign").unwrap_or_else(|why| panic!("{why}"))
}

/// Runs a libcoap client on a path: the JSON of what it received.
async fn coap_client(program: &'static str, arguments: &[&str], path: &str) -> Value {
    let fixture = fixture();
    let mut command = Command::new(system_program(program, "setup-test").unwrap());
    command.arg("-C").arg(&fixture.chain.certificate.certificate);
    command.args(arguments).args(["-o", "-"]);
    command.arg(format!("coaps://localhost:{}{path}", fixture.chain.address().port()));
    let output = fixture.output(command).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json = from_cbor(&output.stdout).unwrap_or_else(|why| panic!("{why}: {:?} {said}", output.stdout));
    serde_json::from_slice(&json).unwrap()
}

/// Fetches `/versions` by its full path and by its path code, with these arguments.
async fn fetches_versions(program: &'static str, arguments: &[&str]) {
    let expected = matrix::versions(&mut fixture().https().await.unwrap()).await.unwrap();
    for path in ["/_matrix/client/versions", "/0"] {
        assert_eq!(coap_client(program, arguments, path).await, expected, "{program} {path}");
    }
}

#[test]
fn coap_client_openssl_fetches_versions_by_full_path_and_by_path_code() {
    fixture().run(fetches_versions("coap-client-openssl", &[]));
}

#[test]
fn coap_client_gnutls_fetches_versions_by_full_path_and_by_path_code() {
    fixture().run(fetches_versions("coap-client-gnutls", &[]));
}

#[test]
fn a_non_confirmable_request_is_answered_too() {
    fixture().run(fetches_versions("coap-client-openssl", &["-N"]));
}

#[test]
fn small_blocks_are_served_as_the_client_wants_them() {
    fixture().run(fetches_versions("coap-client-openssl", &["-b", "64"]));
}

#[test]
fn coap_client_sends_a_message_with_put_and_the_token_in_option_256() {
    let fixture = fixture();
    fixture.run(async {
        let mut wire = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut wire, &User::new("foreign")).await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        let file = fixture.chain.folder().join("message.cbor");
        for (program, words) in
            [("coap-client-openssl", "Hello World"), ("coap-client-gnutls", "Hello again")]
        {
            std::fs::write(&file, to_cbor(&json!({"msgtype": "m.text", "body": words}).to_string()).unwrap())
                .unwrap();
            let option = format!("256,{}", user.token);
            let arguments = ["-m", "put", "-t", "60", "-f", "message.cbor", "-O", &option];
            // Path code 9 is send; the transaction is the program's name.
            let answer =
                coap_client(program, &arguments, &format!("/9/{room}/m.room.message/{program}")).await;
            let event = answer["event_id"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let target = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
            let sent = wire.call(Call::get(target).by(&user.token)).await.unwrap();
            assert_eq!(sent.text("/content/body").unwrap(), words);
        }
    });
}

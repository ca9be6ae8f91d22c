//! The pipelines of the reference implementation's tutorial, word for word but for the port, run by a shell.

use crate::stub_server::{StubServer, content};
use lowband_client::Method;
use std::process::{Command, Output};

fn shell(pipeline: &str) -> Output {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_lowband")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", pipeline]).env("PATH", path).env_remove("SSLKEYLOGFILE").output().unwrap()
}

fn assert_prints(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), told.as_ref()), (expected, ""));
    assert!(output.status.success());
}

#[test]
fn the_versions_are_printed_as_json() {
    let json = r#"{"versions":["r0.6.1"],"unstable_features":{}}"#;
    let stub = StubServer::start(move |_| content(lowband_codec::json_to_cbor(json.as_bytes()).unwrap()));
    let port = stub.address.port();
    let output = shell(&format!(
        "lowband coap -X GET -k 'http://localhost:{port}/_matrix/client/versions' | lowband jc -c2j '-'"
    ));
    assert_prints(&output, &format!("{json}\n"));
    assert_eq!(stub.only_request().options.path, ["0"]);
}

#[test]
fn a_user_registers() {
    let json = r#"{"user_id":"@alice:localhost"}"#;
    let stub = StubServer::start(move |_| content(lowband_codec::json_to_cbor(json.as_bytes()).unwrap()));
    let port = stub.address.port();
    let output = shell(&format!(
        r#"lowband jc -out - '{{"auth":{{"type":"m.login.dummy"}},"username":"alice","password":"secret"}}' | lowband coap -X POST -d - -H "Content-Type: application/cbor" -k https://localhost:{port}/_matrix/client/r0/register | lowband jc -c2j -"#
    ));
    assert_prints(&output, &format!("{json}\n"));
    let seen = stub.only_request();
    assert_eq!((seen.method, seen.options.path.as_slice()), (Method::Post, &["4".to_owned()][..]));
    assert_eq!(seen.options.content_format, Some(60));
    let body = lowband_codec::cbor_to_json(&seen.body).unwrap();
    assert!(String::from_utf8(body).unwrap().contains(r#""username":"alice""#));
}

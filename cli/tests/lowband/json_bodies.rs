//! `lowband coap`: JSON on this side, CBOR on the wire.

use crate::command::{TemporaryFile, assert_quiet_success, coap, run, run_with_stdin, status, stderr};
use crate::stub_server::{Reply, Seen, StubServer, content};
use crate::terminal::run_on_terminal;
use lowband_client::{Code, Method};
use lowband_transport::coap::ResponseOptions;

/// `{"type":"m.text","body":"Hi"}`, and as CBOR in canonical order.
const JSON: &str = r#"{"type":"m.text","body":"Hi"}"#;
const CBOR: &[u8] = b"\xa2\x02\x66m.text\x18\x1b\x62Hi";

fn echo(seen: &Seen) -> Reply {
    content(seen.body.clone())
}

fn labelled(content_format: Option<u16>, body: &'static [u8]) -> StubServer {
    let options = ResponseOptions { content_format, ..ResponseOptions::default() };
    StubServer::start(move |_| Reply::Now(Code::new(2, 5), options.clone(), body.to_vec()))
}

#[test]
fn json_goes_out_as_cbor_and_the_answer_comes_as_json_in_one_process() {
    let stub = StubServer::start(echo);
    let file = TemporaryFile::with("event.json", JSON.as_bytes());
    for json in [JSON, &file.at(), "-"] {
        let output = run_with_stdin(&["coap", "-k", "--json", json, &stub.url("/any")], JSON.as_bytes());
        assert_quiet_success(&output);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{JSON}\n"));
        let seen = stub.seen().pop().unwrap();
        assert_eq!((seen.method, seen.body.as_slice()), (Method::Post, CBOR));
        assert_eq!((seen.options.content_format, seen.options.accept), (Some(60), None));
    }
}

#[test]
fn an_empty_text_is_not_json_and_its_argument_is_named() {
    let file = TemporaryFile::with("empty.json", b"\n");
    for (json, name) in [("", "the argument of --json"), (&*file.at(), file.path()), ("-", "stdin")] {
        let output = run_with_stdin(&["coap", "-k", "--json", json, "localhost:1/any"], b"");
        let told = stderr(&output);
        assert_eq!(status(&output), 1, "{told}");
        assert!(told.starts_with(&format!("lowband: {name} is empty")), "{told}");
        assert!(told.contains("an empty text is not JSON") && told.contains("--as-json in place"), "{told}");
    }
}

#[test]
fn an_answer_without_a_request_body_is_json_in_a_pipe() {
    let stub = StubServer::start(|seen| {
        content(if seen.method == Method::Get { CBOR.to_vec() } else { seen.body.clone() })
    });
    let output = coap(&stub, "/any", &["--as-json"]);
    assert_quiet_success(&output);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{JSON}\n"));
    let seen = stub.seen().pop().unwrap();
    assert_eq!((seen.method, seen.body.len(), seen.options.accept), (Method::Get, 0, None));
    let output = coap(&stub, "/any", &["--as-json", "--json", JSON]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{JSON}\n"));
    assert_eq!(status(&coap(&stub, "/any", &["--as-json", "-r"])), 2);
    for wrong in [&["--json", "hs.example/any"][..], &["hs.example/any", "--json"]] {
        let output = run(&[&["coap"], wrong].concat());
        let told = stderr(&output);
        assert_eq!(status(&output), 2, "{told}");
        assert!(told.contains("tip: --as-json writes the answer as JSON"), "{told}");
    }
}

#[test]
fn an_error_is_json_too_and_its_status_is_that_of_the_command() {
    let stub = StubServer::start(|_| {
        let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
        let error = lowband_codec::json_to_cbor(br#"{"errcode":"M_UNKNOWN"}"#).unwrap();
        Reply::Now(Code::new(4, 0), options, error)
    });
    let output = coap(&stub, "/any", &["--json", "{}"]);
    assert_eq!((status(&output), output.stdout.as_slice()), (22, &b"{\"errcode\":\"M_UNKNOWN\"}\n"[..]));
    let (status, shown, told) = run_on_terminal(&["coap", "-k", &stub.url("/any")], &[("NO_COLOR", "1")]);
    assert_eq!((status, shown.as_str()), (22, "{\n  \"errcode\": \"M_UNKNOWN\"\n}\n"));
    assert!(told.contains("4.00"), "{told}");
}

#[test]
fn what_is_repaired_or_refused_is_told_with_its_place() {
    let stub = StubServer::start(echo);
    let output = coap(&stub, "/any", &["--json", "{\"a\":1,\n \"b\":1e400,\"a\":2}"]);
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"{\"a\":2,\"b\":null}\n"[..]));
    let told = stderr(&output);
    for part in ["(line 2, column 6)", "1 number beyond", "1 repeated key"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    let output = coap(&stub, "/any", &["--json", "{\"a\":\n1,}"]);
    let told = stderr(&output);
    assert_eq!(status(&output), 1, "{told}");
    assert!(told.contains("is not JSON: byte 8") && told.contains("(line 2, column 3)"), "{told}");
    assert_eq!(stub.seen().len(), 1, "what is refused is not sent");
}

#[test]
fn a_pipe_gets_the_bytes_and_gives_bytes() {
    let stub = StubServer::start(echo);
    let output = coap(&stub, "/any", &["-d", JSON, "-H", "Content-Type: application/cbor"]);
    assert_quiet_success(&output);
    assert_eq!(output.stdout, JSON.as_bytes());
    let output = coap(&stub, "/any", &["-d", JSON]);
    assert_eq!(output.stdout, JSON.as_bytes());
    assert!(stderr(&output).contains("--json BODY"), "{}", stderr(&output));
    let output = coap(&stub, "/any", &["--json", JSON, "-r"]);
    assert_quiet_success(&output);
    assert_eq!(output.stdout, CBOR);
}

#[test]
fn a_terminal_shows_json_in_lines_and_colours() {
    let stub = StubServer::start(echo);
    let url = stub.url("/any");
    for body in ["-d", "--data-raw", "--json"] {
        let (status, shown, told) = run_on_terminal(&["coap", "-k", body, JSON, &url], &[("NO_COLOR", "1")]);
        assert_eq!((status, told.as_str()), (0, ""));
        assert_eq!(shown, "{\n  \"type\": \"m.text\",\n  \"body\": \"Hi\"\n}\n");
        assert_eq!(stub.seen().pop().unwrap().body, CBOR, "{body}");
    }
    let (_, shown, _) = run_on_terminal(&["coap", "-k", "-d", JSON, &url], &[]);
    assert!(shown.contains("\x1b[1;34m\"type\"\x1b[m: \x1b[32m\"m.text\"\x1b[m"), "{shown:?}");
}

#[test]
fn as_is_sends_what_stands_there_and_what_is_typed_wrong_is_not_sent() {
    let stub = StubServer::start(echo);
    let url = stub.url("/any");
    let label = "-HContent-Type: application/json";
    for arguments in [&["--as-is"][..], &[label]] {
        run_on_terminal(&[&["coap", "-k", "-d", JSON, &url], arguments].concat(), &[]);
        assert_eq!(stub.seen().pop().unwrap().body, JSON.as_bytes(), "{arguments:?}");
    }
    let (status, shown, told) = run_on_terminal(&["coap", "-k", "-d", "{type:1}", &url], &[]);
    assert_eq!((status, shown.as_str()), (1, ""));
    assert!(told.contains("byte 1") && told.contains("--as-is"), "{told}");
    assert_eq!(stub.seen().len(), 2);
    assert_eq!(status_of(&["coap", "--as-is", "--json", "{}", "localhost"]), 2);
}

fn status_of(arguments: &[&str]) -> i32 {
    status(&run(arguments))
}

#[test]
fn binary_does_not_go_to_a_terminal_unless_it_is_asked_for() {
    let stub = labelled(Some(42), b"\x1b[2J\x00\xff");
    let url = stub.url("/any");
    let (status, shown, told) = run_on_terminal(&["coap", "-k", &url], &[]);
    assert_eq!((status, shown.as_str()), (23, ""));
    for part in ["application/octet-stream, 6 bytes", "-o FILE", "-r"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    let stub = labelled(Some(60), b"\xa1\x02\x41\x07");
    let url = stub.url("/any");
    let (status, shown, told) = run_on_terminal(&["coap", "-k", &url], &[]);
    assert_eq!((status, shown.as_str()), (56, ""));
    assert!(told.contains("byte 2") && told.contains("lowband jc --diag"), "{told}");
    let file = TemporaryFile::absent("binary");
    let (status, shown, told) = run_on_terminal(&["coap", "-k", "-o", file.path(), &url], &[]);
    assert_eq!((status, shown.as_str(), told.as_str()), (0, "", ""));
    assert_eq!(std::fs::read(&file.0).unwrap(), b"\xa1\x02\x41\x07");
    let stub = labelled(Some(60), b"\xa1\x02\x01");
    let (status, shown, _) = run_on_terminal(&["coap", "-k", "-r", &stub.url("/any")], &[]);
    assert_eq!((status, shown.as_str()), (0, "\u{fffd}\x02\x01"));
}

//! `lowband coap`: requests that are answered.

use crate::command::{
    TemporaryFile, assert_quiet_success, coap, lowband, run, run_with_stdin, status, stderr,
};
use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_client::{Code, Method};
use lowband_transport::coap::ResponseOptions;
use std::process::Stdio;

fn echo(seen: &Seen) -> Reply {
    content(seen.body.clone())
}

#[test]
fn the_body_of_the_answer_goes_to_stdout_as_it_came() {
    let stub = StubServer::start(|_| content(b"\xa1\x00\xff\n\r\n".as_slice()));
    let output = coap(&stub, "/_matrix/client/versions", &[]);
    assert_quiet_success(&output);
    assert_eq!(output.stdout, b"\xa1\x00\xff\n\r\n");
    let seen = stub.only_request();
    assert_eq!((seen.method, seen.options.path.as_slice()), (Method::Get, &["0".to_owned()][..]));
    assert_eq!(
        (seen.options.content_format, seen.options.accept, seen.options.authorization),
        (None, None, None)
    );
}

#[test]
fn every_scheme_is_dialled_by_dtls() {
    let stub = StubServer::start(|_| content("x"));
    let port = stub.address.port();
    for url in [
        format!("coaps://localhost:{port}/_matrix/client/versions"),
        format!("https://127.0.0.1:{port}/_matrix/client/versions"),
        format!("http://localhost:{port}/_matrix/client/versions"),
        format!("localhost:{port}/_matrix/client/versions"),
    ] {
        let output = run(&["coap", "-k", &url]);
        assert_quiet_success(&output);
        assert_eq!(output.stdout, b"x", "{url}");
    }
    assert_eq!(stub.seen().len(), 4);
}

#[test]
fn data_comes_from_the_argument_a_file_or_stdin() {
    let stub = StubServer::start(echo);
    let file = TemporaryFile::with("data", b"from a file\n");
    let url = stub.url("/echo");
    for (data, expected) in
        [("inline", "inline"), (&file.at(), "from a file\n"), ("-", "stdin"), ("@-", "stdin")]
    {
        let output = run_with_stdin(&["coap", "-k", "-d", data, &url], b"stdin");
        assert_quiet_success(&output);
        assert_eq!(output.stdout, expected.as_bytes(), "-d {data}");
    }
    for seen in stub.seen() {
        assert_eq!((seen.method, seen.options.content_format), (Method::Post, Some(60)));
    }
}

#[test]
fn headers_become_options() {
    let stub = StubServer::start(echo);
    let headers = [
        "-XPUT",
        "-d{}",
        "-HAuthorization: Bearer secret",
        "-HContent-Type: application/json",
        "-HAccept: application/cbor",
    ];
    assert_quiet_success(&coap(&stub, "/any?a=b%20c&flag", &headers));
    let seen = stub.only_request();
    assert_eq!(seen.method, Method::Put);
    assert_eq!(seen.options.authorization.as_deref(), Some("secret"));
    assert_eq!((seen.options.content_format, seen.options.accept), (Some(50), Some(60)));
    assert_eq!(seen.options.query, ["a=b c", "flag"]);
}

#[test]
fn headers_come_from_a_file_too() {
    let stub = StubServer::start(echo);
    let file = TemporaryFile::with("headers", b"Authorization: Bearer secret\n\nAccept: application/json\n");
    assert_quiet_success(&coap(&stub, "/any", &["-H", &file.at()]));
    let options = stub.only_request().options;
    assert_eq!((options.authorization.as_deref(), options.accept), (Some("secret"), Some(50)));
}

#[test]
fn what_coap_cannot_carry_and_json_without_a_label_are_warned_about() {
    let stub = StubServer::start(echo);
    let output = coap(&stub, "/any", &["-HX-Custom: value", "-d", "{}"]);
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"{}"[..]));
    let stderr = stderr(&output);
    assert!(stderr.contains("X-Custom") && stderr.contains("looks like JSON"), "{stderr}");
    assert_eq!(stub.only_request().options.content_format, Some(60));
}

#[test]
fn uploads_and_downloads_of_many_blocks_arrive_whole() {
    let stub = StubServer::start(echo);
    let body: Vec<u8> = (0..50_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let file = TemporaryFile::with("large", &body);
    let answer = TemporaryFile::absent("large-answer");
    let output = coap(&stub, "/echo", &["-d", &file.at(), "-o", answer.path()]);
    assert_quiet_success(&output);
    assert!(output.stdout.is_empty());
    assert!(std::fs::read(&answer.0).unwrap() == body);
    assert!(stub.only_request().body == body);
}

#[test]
fn code_and_options_are_shown_before_the_body_where_asked_for() {
    let stub = StubServer::start(|_| {
        let options = ResponseOptions { content_format: Some(60), max_age: Some(5), size: None };
        Reply::Now(Code::new(2, 5), options, b"\xa0".to_vec())
    });
    let output = coap(&stub, "/any", &["-i"]);
    assert_eq!(output.stdout, b"2.05 Content\nContent-Format: 60 (application/cbor)\nMax-Age: 5\n\n\xa0");
}

#[test]
fn an_error_code_is_status_22_and_its_body_is_written_all_the_same() {
    for code in [Code::new(4, 4), Code::new(5, 3)] {
        let stub = StubServer::start(move |_| Reply::Now(code, ResponseOptions::default(), b"why".to_vec()));
        let output = coap(&stub, "/any", &[]);
        assert_eq!((status(&output), output.stdout.as_slice()), (22, &b"why"[..]));
        assert!(stderr(&output).contains(&code.with_reason()), "{}", stderr(&output));
    }
}

#[test]
fn what_fingers_of_curl_users_type_is_taken() {
    let stub = StubServer::start(echo);
    let file = TemporaryFile::with("fingers", b"from a file\n");
    for (arguments, expected, formats) in [
        (&["-s", "--data-binary", &*file.at()][..], "from a file\n", (Some(60), None)),
        (&["-sS", "--data-raw", "@literal"], "@literal", (Some(60), None)),
        (&["-L", "--data-raw", "-"], "-", (Some(60), None)),
        (&["--insecure", "-ss", "-S", "-S", "-d", "x"], "x", (Some(60), None)),
        (&["-HAccept: text/html, application/json;q=0.9, */*;q=0.1", "-d", "x"], "x", (Some(60), Some(50))),
    ] {
        let output = coap(&stub, "/any", arguments);
        assert_quiet_success(&output);
        assert_eq!(output.stdout, expected.as_bytes(), "{arguments:?}");
        let seen = stub.seen().pop().unwrap();
        assert_eq!(seen.method, Method::Post);
        assert_eq!((seen.options.content_format, seen.options.accept), formats, "{arguments:?}");
    }
    for two in [&["-d", "x", "--json", "y"][..], &["--data-raw", "x", "-d", "y"], &["-L", "--http"]] {
        assert_eq!(status(&coap(&stub, "/any", two)), 2, "{two:?}");
    }
}

#[test]
fn fail_keeps_the_body_of_an_error_back() {
    let stub = StubServer::start(|_| {
        Reply::Now(Code::new(4, 4), ResponseOptions::default(), b"no such thing".to_vec())
    });
    for fail in ["-f", "--fail"] {
        let output = coap(&stub, "/any", &[fail, "-i"]);
        assert_eq!((status(&output), output.stdout.as_slice()), (22, &b""[..]));
        assert!(stderr(&output).contains("4.04"), "{}", stderr(&output));
    }
}

#[test]
fn success_codes_of_every_kind_are_status_0() {
    for code in [Code::new(2, 1), Code::new(2, 4), Code::new(2, 3)] {
        let stub = StubServer::start(move |_| Reply::Now(code, ResponseOptions::default(), Vec::new()));
        assert_quiet_success(&coap(&stub, "/any", &["-X", "delete"]));
    }
}

#[test]
fn path_codes_and_the_cbor_version_can_be_chosen() {
    let stub = StubServer::start(echo);
    assert_quiet_success(&coap(
        &stub,
        "/_matrix/client/versions",
        &["--no-path-codes", "--cbor-version", "1"],
    ));
    let options = stub.only_request().options;
    assert_eq!((options.path.join("/").as_str(), options.cbor_version), ("_matrix/client/versions", Some(1)));
    let output = coap(&stub, "/any", &["--cbor-version", "9"]);
    assert_eq!(status(&output), 0);
    assert!(stderr(&output).contains("key table version 9"), "{}", stderr(&output));
    assert_eq!(stub.seen().pop().unwrap().options.cbor_version, Some(9));
}

#[test]
fn verbose_tells_of_datagrams_and_options_but_never_the_token() {
    let stub = StubServer::start(|_| content("x"));
    let output = coap(&stub, "/any?access_token=secret1", &["-v", "-H", "Authorization: Bearer secret2"]);
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"x"[..]));
    let told = stderr(&output);
    for expected in [
        "ClientHello",
        "-> CON ",
        " GET  token ",
        "Uri-Path any  Uri-Query access_token=(hidden)",
        "Authorization (hidden) 7 bytes",
        "<- ACK ",
        " 2.05 Content  token ",
        "Content-Format 60",
        "  1 byte\n",
        "> GET /any",
        "< 2.05 Content",
        "connected by DTLS",
        "Uri-Path any",
        "datagrams",
    ] {
        assert!(told.contains(expected), "{expected} is missing in: {told}");
    }
    assert!(!told.contains("secret") && !told.contains("application data"), "{told}");
}

#[test]
fn one_byte_is_told_in_the_singular() {
    let stub = StubServer::start(|seen| content(seen.body.clone()));
    for (body, told) in [("x", "(1 byte of body)"), ("xy", "(2 bytes of body)")] {
        let output = coap(&stub, "/any", &["-v", "-d", body]);
        for arrow in [">", "<"] {
            let line = format!("{arrow} {told}");
            assert!(stderr(&output).lines().any(|found| found == line), "{line}: {}", stderr(&output));
        }
    }
}

#[test]
fn twice_verbose_shows_records_and_bytes_and_hides_the_token_still() {
    let stub = StubServer::start(|_| content("the answer"));
    let secret = ["-H", "Authorization: Bearer secret2", "-d", "the body"];
    let output = coap(&stub, "/any?access_token=secret1", &[&["-vv"][..], &secret].concat());
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"the answer"[..]));
    let told = stderr(&output);
    // The bytes of a message as they stand in its dump, with blanks as full stops.
    let dumped: String = told
        .lines()
        .filter_map(|line| line.strip_prefix("*    "))
        .filter_map(|line| line.split("  ").last().map(str::trim))
        .collect();
    for expected in ["access_token=*******", "*******", "the.body", "the.answer"] {
        assert!(dumped.contains(expected), "{expected} is missing in: {told}");
    }
    assert!(told.contains("application data"), "{told}");
    assert!(!told.contains("secret") && !dumped.contains("secret"), "{told}");
}

#[test]
fn the_key_log_of_the_environment_is_written() {
    let stub = StubServer::start(|_| content("x"));
    let log = TemporaryFile::absent("environment-key-log");
    let output =
        lowband().args(["coap", "-k", &stub.url("/any")]).env("SSLKEYLOGFILE", log.path()).output().unwrap();
    assert_quiet_success(&output);
    assert!(std::fs::read_to_string(&log.0).unwrap().starts_with("CLIENT_RANDOM "));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let stub = StubServer::start(|_| content(vec![0; 200_000]));
    let mut command = lowband();
    command.args(["coap", "-k", &stub.url("/any")]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_quiet_success(&child.wait_with_output().unwrap());
}

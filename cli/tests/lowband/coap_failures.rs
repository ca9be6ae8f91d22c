//! `lowband coap`: requests that come to nothing, and the status that says so.

use crate::certificate::Certificate;
use crate::command::{TemporaryFile, assert_quiet_success, coap, lowband, run, status, stderr};
use crate::stub_server::{Reply, StubServer, content};
use crate::terminal::Terminal;
use lowband_transport::coap::{Code, ResponseOptions};
use std::process::Output;

fn assert_fails(output: &Output, expected: i32, words: &[&str]) {
    let told = stderr(output);
    assert_eq!(status(output), expected, "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is missing in: {told}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn certificates_are_verified_and_the_way_out_is_told() {
    let stub = StubServer::start(|_| content("x"));
    let url = stub.url("/any");
    assert_fails(&run(&["coap", &url]), 60, &["certificate of localhost", "--cacert", "-k"]);
    let stranger = TemporaryFile::with("stranger.pem", &Certificate::for_loopback().ca);
    assert_fails(&run(&["coap", "--cacert", stranger.path(), &url]), 60, &["--cacert"]);
    assert!(stub.seen().is_empty());

    let ca = TemporaryFile::with("ca.pem", &stub.certificate.ca);
    assert_quiet_success(&run(&["coap", "--cacert", ca.path(), &url]));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let stub = StubServer::with_certificate(Certificate::for_another_name(), |_| content("x"));
    let ca = TemporaryFile::with("other-ca.pem", &stub.certificate.ca);
    assert_fails(
        &run(&["coap", "--cacert", ca.path(), &stub.url("/any")]),
        60,
        &["not trusted", "--resolve"],
    );
}

#[test]
fn a_ca_file_that_is_none_is_told_before_anything_is_sent() {
    assert_fails(&run(&["coap", "--cacert", "/nonexistent", "localhost/any"]), 77, &["/nonexistent"]);
    assert_fails(&run(&["coap", "--cacert", "/dev/null", "localhost/any"]), 77, &["no certificate"]);
}

#[test]
fn a_server_that_never_answers_ends_at_max_time() {
    let stub = StubServer::start(|_| Reply::Never);
    assert_fails(&coap(&stub, "/any", &["--max-time", "0.3"]), 28, &["--max-time"]);
}

#[test]
fn a_port_without_dtls_ends_at_the_connect_timeout() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("coaps://{}/any", silent.local_addr().unwrap());
    assert_fails(&run(&["coap", "-k", "--connect-timeout", "0.1", &url]), 28, &["127.0.0.1", "firewall"]);
}

#[test]
fn a_handshake_that_max_time_ends_names_max_time() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let also_silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (more, address) in
        [(&[][..], silent.local_addr().unwrap()), (&["--http"], also_silent.local_addr().unwrap())]
    {
        let (url, address) = (format!("coaps://{address}/any"), address.to_string());
        let told = |time: &str| {
            let output = run(&[&["coap", "-k", time, "0.1"], more, &[&url]].concat());
            assert_fails(&output, 28, &[&address]);
            stderr(&output)
        };
        let told_of_max_time = told("-m");
        assert!(told_of_max_time.contains("--max-time"), "{told_of_max_time}");
        assert!(!told_of_max_time.contains("--connect-timeout"), "{told_of_max_time}");
        assert!(!told("--connect-timeout").contains("--max-time"));
    }
}

#[test]
fn a_closed_port_is_refused() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // A socket that is connected takes its port, and nothing of others.
    socket.connect("127.0.0.1:9").unwrap();
    let url = format!("coaps://{}/any", socket.local_addr().unwrap());
    assert_fails(&run(&["coap", "-k", &url]), 7, &["refused"]);
}

#[test]
fn a_session_that_the_server_closes_is_a_transfer_cut_off() {
    let stub = StubServer::start(|_| Reply::CloseSession);
    assert_fails(&coap(&stub, "/any", &["--no-redial"]), 56, &["close_notify"]);
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn a_post_that_may_have_arrived_is_not_made_again() {
    let stub = StubServer::start(|_| Reply::CloseSession);
    assert_fails(&coap(&stub, "/any", &["-X", "POST"]), 56, &["close_notify"]);
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn a_session_that_is_closed_in_between_is_not_noticed_but_with_v() {
    for (more, notes) in [(&[][..], &[][..]), (&["-v"], &["close_notify", "made again", "from a new port"])] {
        let mut asked = 0;
        let stub = StubServer::start(move |_| {
            asked += 1;
            if asked == 1 { Reply::CloseSession } else { content("x") }
        });
        let output = coap(&stub, "/any", more);
        let told = stderr(&output);
        assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"x"[..]), "{told}");
        assert_eq!(told.is_empty(), notes.is_empty(), "{told}");
        for note in notes {
            assert!(told.contains(note), "{note:?} is missing in: {told}");
        }
    }
}

#[test]
fn what_is_unavailable_is_told_at_once() {
    let stub = StubServer::start(|_| {
        let options = ResponseOptions { max_age: Some(0), ..ResponseOptions::default() };
        Reply::Now(Code::new(5, 3), options, b"x".to_vec())
    });
    let output = coap(&stub, "/any", &["--fail"]);
    assert_fails(&output, 22, &["5.03"]);
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn an_ipv6_address_without_brackets_is_told_with_them() {
    for command in [&["coap", "-k"][..], &["doctor"]] {
        let output = run(&[command, &["coaps://::1:9108"]].concat());
        assert_fails(&output, 3, &["in brackets", "coaps://[::1]:9108"]);
    }
}

#[test]
fn a_host_that_cannot_be_resolved_is_named() {
    // A label longer than DNS allows, so that no resolver is asked.
    let host = "x".repeat(64);
    assert_fails(&run(&["coap", "-k", &format!("coaps://{host}/any")]), 6, &[&host]);
}

#[test]
fn urls_that_cannot_be_used_are_refused_with_their_reason() {
    for (url, word) in [
        ("coap://localhost/any", "without DTLS"),
        ("ftp://localhost/any", "schemes"),
        ("coaps://user:secret@localhost/any", "user and password"),
        ("coaps:///any", "no host"),
        ("coaps://localhost/_matrix/client/v3/directory/room/#secret:hs", "%23"),
    ] {
        let output = run(&["coap", "-k", url]);
        assert_fails(&output, 3, &[word]);
        assert!(!stderr(&output).contains("secret"));
    }
}

#[test]
fn a_path_that_would_be_taken_for_a_code_is_refused_unless_it_is_meant() {
    let stub = StubServer::start(|_| content("x"));
    assert_fails(&coap(&stub, "/0", &[]), 3, &["--no-path-codes"]);
    let output = coap(&stub, "/0", &["--no-path-codes"]);
    assert_quiet_success(&output);
    assert_eq!(stub.only_request().options.path, ["0"]);
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &["coap"][..],
        &["coap", "-X", "PATCH", "localhost"],
        &["coap", "--max-time", "0", "localhost"],
        &["coap", "--unknown", "localhost"],
        &["coap", "-H", "no colon", "localhost"],
        &["coap", "-H", "Accept: image/png", "localhost"],
        &["coap", "-H", "Authorization: Basic eA==", "localhost"],
        &["coap", "--http", "--cbor-version", "1", "localhost"],
        &["unknown"],
        &[],
    ] {
        let output = run(arguments);
        assert_eq!(status(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn all_messages_begin_with_the_name_of_the_program() {
    for arguments in [
        // What the parser of the command line refuses, and what the commands themselves do.
        &["--unknown"][..],
        &["unknown"],
        &["coap"],
        &["coap", "--unknown", "localhost"],
        &["coap", "--max-time", "0", "localhost"],
        &["coap", "ftp://localhost"],
        &["coap", "-d", "{}", "--http", "http://localhost:1", "ftp://x"],
        &["doctor", "-4", "-6", "localhost"],
        &["doctor", "ftp://localhost"],
        &["jc", "--unknown"],
        &["jc", "{"],
        &["show"],
        &["show", "/nonexistent"],
        &["completions", "tcsh"],
        &["man"],
        &["man", "/dev/null/pages"],
    ] {
        let told = stderr(&run(arguments));
        assert!(told.starts_with("lowband: "), "{arguments:?}: {told}");
        assert!(!told.contains("error:"), "{arguments:?}: {told}");
    }
    let terminal = Terminal::new();
    let mut command = lowband();
    command.args(["coap", "--unknown", "localhost"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let output = command.stderr(terminal.to_program()).output().unwrap();
    drop(command);
    let shown = terminal.shown();
    assert_eq!(status(&output), 2);
    assert!(
        shown.starts_with("\x1b[") && shown.contains("lowband:") && !shown.contains("error:"),
        "{shown:?}"
    );
}

#[test]
fn tips_are_true() {
    for (arguments, tip) in [
        (&["--insecur"][..], Some("'--insecure'")),
        (&["-I"], Some("no HEAD")),
        (&["-sI"], Some("no HEAD")),
        (&["--head"], Some("no HEAD")),
        (&["-O"], Some("-o FILE")),
        (&["--data-urlencode=a=b"], Some("the query stands in the URL")),
        (&["-ualice:secret"], Some("Authorization")),
        (&["-Z"], Some("on one session")),
        (&["--fail-with-body"], Some("without -f the body of an error is written")),
        (&["-q"], None),
        (&["--zzz"], None),
    ] {
        let output = run(&[&["coap"], arguments, &["localhost"]].concat());
        let told = stderr(&output);
        assert_eq!(status(&output), 2, "{told}");
        assert_eq!(told.matches("tip:").count(), usize::from(tip.is_some()), "{told}");
        assert!(told.contains(tip.unwrap_or_default()) && !told.contains("-- -"), "{told}");
    }
}

#[test]
fn tips_of_other_commands_are_true() {
    for (arguments, tip) in [
        (&["doctor", "-v", "hs"][..], None),
        (&["doctor", "-I", "hs"], None),
        (&["doctor", "--insecur", "hs"], Some("'--insecure'")),
        (&["jc", "-x", "{}"], None),
        (&["show", "-x", "f"], None),
        (&["completions", "-x"], None),
        (&["man", "-x"], None),
        (&["proxy", "https://hs.example"], Some("--homeserver https://hs.example names")),
        (&["proxy", "--homeserver", "a", "b"], None),
        (&["proxy", "--homeserver=a", "--stats", "5"], Some("--stats=5")),
        (&["proxy", "-x"], None),
        (&["--insecure", "doctor", "hs"], Some("exists")),
        (&["-x"], None),
    ] {
        let output = run(arguments);
        let told = stderr(&output);
        assert_eq!(status(&output), 2, "{told}");
        assert_eq!(told.matches("tip:").count(), usize::from(tip.is_some()), "{arguments:?}: {told}");
        assert!(told.contains(tip.unwrap_or_default()) && !told.contains("-- -"), "{told}");
    }
}

#[test]
fn a_token_without_a_name_is_told_by_file_line_and_form() {
    let file = TemporaryFile::with("token.txt", b"\nsyt_secret\n");
    let output = run(&["coap", "-k", "-H", &file.at(), "localhost:1/any"]);
    assert_fails(&output, 2, &[file.path(), ": line 2 is not", "'Authorization: Bearer TOKEN'"]);
    assert!(!stderr(&output).contains("syt_secret"));
}

#[test]
fn data_that_cannot_be_read_is_status_26() {
    assert_fails(&run(&["coap", "-d", "@/nonexistent", "localhost"]), 26, &["/nonexistent"]);
    assert_fails(&run(&["coap", "-H", "@/nonexistent", "localhost"]), 26, &["/nonexistent"]);
}

#[test]
fn output_that_cannot_be_written_is_status_23() {
    let stub = StubServer::start(|_| content("x"));
    assert_fails(&coap(&stub, "/any", &["-o", "/nonexistent/file"]), 23, &["/nonexistent/file"]);
}

#[test]
fn what_stands_below_the_options_fits_80_columns() {
    for command in ["coap", "doctor", "jc", "show", "completions"] {
        let output = run(&[command, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        let below = help.lines().skip_while(|line| *line != "Examples:");
        let long: Vec<_> = below.clone().filter(|line| line.chars().count() > 80).collect();
        assert!(below.count() > 1 && long.is_empty(), "{command}: {long:#?}");
    }
}

#[test]
fn help_and_version_are_status_0() {
    for (arguments, word) in [
        (&["--help"][..], "coap"),
        (&["coap", "--help"], "Exit status:"),
        (&["jc", "--help"], "Exit status:"),
        (&["-V"], env!("CARGO_PKG_VERSION")),
        (&["coap", "-V"], env!("CARGO_PKG_VERSION")),
        (&["coap", "--version"], env!("CARGO_PKG_VERSION")),
        (&["show", "-V"], env!("CARGO_PKG_VERSION")),
        (&["jc", "--version"], env!("CARGO_PKG_VERSION")),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(arguments);
        assert_quiet_success(&output);
        assert!(String::from_utf8(output.stdout).unwrap().contains(word), "{arguments:?}");
    }
}

//! `lowband coap`: several URLs, what is measured of them, and other tries.

use crate::command::{TemporaryFile, assert_quiet_success, coap, run, status, stderr};
use crate::stub_server::{Reply, Seen, StubServer, content};
use crate::terminal::run_on_terminal;
use lowband_client::Code;
use lowband_transport::coap::ResponseOptions;
use std::process::Output;

/// Answers with the last segment of the path; with 4.04 where that is `missing`.
fn name(seen: &Seen) -> Reply {
    let name = seen.options.path.last().cloned().unwrap_or_default();
    if name == "missing" {
        return Reply::Now(Code::new(4, 4), ResponseOptions::default(), name.into_bytes());
    }
    let options = ResponseOptions { content_format: Some(0), ..ResponseOptions::default() };
    Reply::Now(Code::new(2, 5), options, name.into_bytes())
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn several_urls_are_asked_for_in_order_on_one_session() {
    let stub = StubServer::start(name);
    let [one, two, three] = ["/x/one", "/x/two", "/x/three"].map(|target| stub.url(target));
    let file = TemporaryFile::absent("two");
    let output = run(&["coap", "-k", "-o", "-", "--url", &one, "-o", file.path(), &two, "--url", &three]);
    assert_quiet_success(&output);
    assert_eq!(out(&output), "onethree");
    assert_eq!(std::fs::read(&file.0).unwrap(), b"two");
    let seen = stub.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.options.path[1].as_str()).collect::<Vec<_>>(),
        ["one", "two", "three"]
    );
    assert!(seen.iter().all(|other| other.port == seen[0].port), "one session has one port: {seen:?}");
}

#[test]
fn each_url_has_counts_of_its_own() {
    let stub = StubServer::start(name);
    let [one, two] = ["/x/one", "/x/two"].map(|target| stub.url(target));
    let output = run(&["coap", "-k", "-v", &one, &two]);
    let told = String::from_utf8(output.stderr).unwrap();
    let sent = told.lines().filter_map(|line| line.strip_prefix("* sent "));
    let datagrams: Vec<u32> = sent
        .map(|line| {
            line.split(" in ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap()
        })
        .collect();
    let [first, second] = datagrams[..] else { panic!("{told}") };
    // The handshake is the first one's, the second has its request and the end of the session.
    assert!(first > 2 && second == 2, "{told}");
}

#[test]
fn all_urls_have_the_same_flags_and_body() {
    let stub = StubServer::start(|seen| content(seen.body.clone()));
    let [one, two] = ["/x/one", "/x/two"].map(|target| stub.url(target));
    let output = run(&["coap", "-k", "-X", "PUT", "--json", "{}", &one, &two]);
    assert_quiet_success(&output);
    assert_eq!(out(&output), "{}\n{}\n");
    assert_eq!(stub.seen().len(), 2);
}

#[test]
fn the_first_failure_sets_the_status_and_the_others_are_asked_for_all_the_same() {
    let stub = StubServer::start(name);
    let [one, missing, two] =
        ["/x/one", "/x/missing?access_token=secret", "/x/two"].map(|target| stub.url(target));
    let output = run(&["coap", "-k", "-f", &one, &missing, &two]);
    let told = stderr(&output);
    assert_eq!((status(&output), out(&output)), (22, "onetwo"));
    assert!(told.contains("/x/missing") && told.contains("4.04") && !told.contains("secret"), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_dialled_once() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // A socket that is connected takes its port, and nothing of others.
    socket.connect("127.0.0.1:9").unwrap();
    let url = format!("coaps://{}/any", socket.local_addr().unwrap());
    let output = run(&["coap", "-k", &url, &url]);
    assert_eq!(status(&output), 7);
    assert_eq!(stderr(&output).matches("refused").count(), 1, "{}", stderr(&output));
}

#[test]
fn urls_of_several_hosts_and_too_many_files_are_refused() {
    for (arguments, expected, part) in [
        (&["hs/a", "other/a"][..], 3, "other:8008 is not hs:8008"),
        (&["-o", "a", "-o", "b", "hs/a"], 2, "more -o than URLs"),
    ] {
        let output = run(&[&["coap"], arguments].concat());
        assert_eq!(status(&output), expected);
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn each_url_has_its_lines_of_v() {
    let stub = StubServer::start(name);
    let [one, two] = ["/x/one", "/x/two"].map(|target| stub.url(target));
    let told = stderr(&run(&["coap", "-kv", &one, &two]));
    for line in ["* sent ", "* path: window ", "* answered in ", "> GET /x/", "< 2.05 Content"] {
        assert_eq!(told.lines().filter(|told| told.starts_with(line)).count(), 2, "{line}: {told}");
    }
}

#[test]
fn what_is_measured_is_written_as_the_user_says() {
    let stub = StubServer::start(|seen| content(seen.body.clone()));
    let body = TemporaryFile::with("measured", &[7; 5000]);
    let format = "|%{code} %{http_code} %{method} %{url} %{content_type} %{size_upload} %{size_download} %{exitcode}\\n\
                  %{time_connect} %{time_total} %{bytes_out} %{bytes_in} %{datagrams_out} %{datagrams_in} %{blocks}\\n";
    let [one, two] = ["/x/one", "/x/two?a=b"].map(|target| stub.url(target));
    let output =
        run(&["coap", "-kf", "-d", &body.at(), "-o/dev/null", "-o/dev/null", "-w", format, &one, &two]);
    assert_quiet_success(&output);
    let lines: Vec<_> = out(&output).lines().collect();
    let [first, figures, second, later] = lines[..] else { panic!("{lines:?}") };
    assert_eq!(first, "|2.05 200 POST /x/one application/cbor 5000 5000 0");
    assert_eq!(second, "|2.05 200 POST /x/two?a=b application/cbor 5000 5000 0");
    let numbers = |line: &str| line.split(' ').map(|one| one.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let (figures, later) = (numbers(figures), numbers(later));
    let [connect, total, bytes_out, bytes_in, datagrams_out, datagrams_in, blocks] = figures[..] else {
        panic!()
    };
    assert!(connect > 0.0 && total > connect, "{figures:?}");
    assert!(
        bytes_out > 5000.0 && bytes_in > 5000.0 && datagrams_out >= 5.0 && datagrams_in >= 5.0,
        "{figures:?}"
    );
    // A body of 5,000 bytes has five blocks, both ways, and the first of each does not count.
    assert_eq!(blocks, 8.0);
    // The second is on the session of the first.
    assert!(
        later[0] == 0.0 && later[1] > 0.0 && later[2] < bytes_out && later[6] < 2.0 * blocks,
        "{later:?}"
    );
}

#[test]
fn failures_are_measured_too_and_unknown_variables_named() {
    let stub = StubServer::start(name);
    let output = coap(&stub, "/x/missing", &["-f", "-w", "%{code} %{http_code} %{exitcode} %{errormsg}"]);
    assert_eq!((status(&output), out(&output)), (22, "4.04 404 22 the server answered 4.04 Not Found"));
    let output = coap(&stub, "/any", &["-w", "%{http_code} %{speed}"]);
    assert_eq!(status(&output), 2);
    let told = stderr(&output);
    assert!(told.contains("\"speed\"") && told.contains("time_total"), "{told}");
    assert_eq!(stub.seen().len(), 1);
    let help = run(&["coap", "--help"]);
    assert!(out(&help).contains("bytes_in "), "{}", out(&help));
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_final_is_not() {
    let unavailable = |times: usize, code: Code| {
        let mut asked = 0;
        StubServer::start(move |_| {
            asked += 1;
            let options = ResponseOptions { max_age: Some(0), ..ResponseOptions::default() };
            if asked <= times { Reply::Now(code, options, Vec::new()) } else { content("x") }
        })
    };
    let stub = unavailable(2, Code::new(5, 3));
    let output = coap(&stub, "/any", &["--retry", "3", "-w", " %{num_retries}"]);
    assert_eq!((status(&output), out(&output)), (0, "x 2"));
    let told = stderr(&output);
    assert_eq!(told.matches("asked again in 0 s").count(), 2, "{told}");
    let seen = stub.seen();
    assert!(seen.len() == 3 && seen.iter().all(|other| other.port == seen[0].port), "{seen:?}");

    let stub = unavailable(2, Code::new(5, 3));
    assert_eq!(status(&coap(&stub, "/any", &["-s", "--retry", "1"])), 22);
    assert_eq!(stub.seen().len(), 2);
    let stub = unavailable(1, Code::new(4, 4));
    assert_eq!(status(&coap(&stub, "/any", &["--retry", "3"])), 22);
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn addresses_are_chosen_by_family_and_by_hand() {
    let stub = StubServer::start(name);
    let port = stub.address.port();
    let ca = TemporaryFile::with("resolve-ca.pem", &stub.certificate.ca);
    let fixed = format!("LOCALHOST:{port}:127.0.0.1");
    let url = stub.url("/x/one");
    // The certificate is for localhost, whatever address is dialled.
    assert_quiet_success(&run(&["coap", "--cacert", ca.path(), "--resolve", &fixed, &url]));
    let invalid = format!("hs.invalid:{port}:127.0.0.1");
    let output = run(&["coap", "-k", "--resolve", &invalid, &format!("hs.invalid:{port}/x/one")]);
    assert_quiet_success(&output);
    assert_eq!(out(&output), "one");
    let output = run(&["coap", "-k", "-6", "--resolve", &fixed, &url]);
    assert_eq!(status(&output), 6);
    assert!(stderr(&output).contains("no IPv6 address"), "{}", stderr(&output));
    assert_quiet_success(&run(&["coap", "-k4", &format!("127.0.0.1:{port}/x/one")]));
    assert_eq!(status(&run(&["coap", "-4", "-6", "hs/a"])), 2);
    assert_eq!(status(&run(&["coap", "--resolve", "hs:1", "hs/a"])), 2);
}

#[test]
fn a_terminal_has_each_answer_on_its_own_lines() {
    let stub = StubServer::start(|_| content(b"\xa0".as_slice()));
    let [one, two] = ["/x/one", "/x/two"].map(|target| stub.url(target));
    let (status, shown, told) =
        run_on_terminal(&["coap", "-k", "-w", "%{code}\\n", &one, &two], &[("NO_COLOR", "1")]);
    assert_eq!((status, shown.as_str(), told.as_str()), (0, "{}\n2.05\n{}\n2.05\n", ""));
}

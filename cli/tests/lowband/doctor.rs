//! `lowband doctor`: a stub of CoAP and one of HTTPS on the same port, whole and in each of its illnesses.

use crate::certificate::Certificate;
use crate::command::{TemporaryFile, run, status, stderr};
use crate::http_command::{acceptor, serve_by_head};
use crate::stub_server::{Reply, Seen, StubServer, content};
use lowband_transport::coap::{Code, ResponseOptions};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Output;

pub(crate) const LARGE: usize = 5000;

/// What /versions says while the homeserver is down: nothing, and each way answers with an error.
pub(crate) const DOWN: &str = "";

/// What /versions says.
pub(crate) fn versions(names: &str, port: Option<u16>) -> String {
    let entry = port.map(|port| {
        format!(r#","org.matrix.msc3079.low_bandwidth":{{"dtls":{port},"cbor_enum_version":1}}"#)
    });
    format!(r#"{{"versions":[{names}]{}}}"#, entry.unwrap_or_default())
}

/// Answers over CoAP: /versions as it is given, a long list of resources, and nothing else.
pub(crate) fn answer_coap(versions: &str, seen: &Seen) -> Reply {
    let options = |content_format| ResponseOptions { content_format, ..ResponseOptions::default() };
    match seen.options.path.join("/").as_str() {
        "0" | ".well-known/matrix/client" if versions == DOWN => {
            Reply::Now(Code::new(5, 2), options(None), Vec::new())
        }
        "0" => content(lowband_codec::json_to_cbor(versions.as_bytes()).unwrap()),
        ".well-known/core" => Reply::Now(Code::new(2, 5), options(Some(40)), vec![b'x'; LARGE]),
        _ => Reply::Now(Code::new(4, 4), options(None), Vec::new()),
    }
}

/// Serves HTTPS on a port of the loopback, as long as the test process lives. Returns whether the port was
/// free.
fn serve_https(address: SocketAddr, certificate: &Certificate, versions: &str, base: Option<&str>) -> bool {
    let Ok(listener) = TcpListener::bind(address) else { return false };
    let acceptor = acceptor(certificate);
    let (versions, base) = (versions.to_owned(), base.map(str::to_owned));
    std::thread::spawn(move || {
        let answer = |head: &str| {
            let body = if head.starts_with("get /_matrix/client/versions ") {
                Some(versions.clone())
            } else if head.starts_with("get /.well-known/matrix/client ") {
                base.as_ref().map(|base| format!(r#"{{"m.homeserver":{{"base_url":"{base}"}}}}"#))
            } else {
                None
            };
            let (code, body) = match body {
                _ if versions == DOWN => ("503 Service Unavailable", "{}".into()),
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", "{}".into()),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {length}");
            format!("{head}\r\n\r\n{body}").into_bytes()
        };
        for tcp in listener.incoming() {
            if let Ok(tls) = acceptor.accept(tcp.unwrap()) {
                serve_by_head(tls, answer);
            }
        }
    });
    true
}

/// A stub of CoAP and one of HTTPS, on one port.
struct Site {
    stub: StubServer,
    ca: TemporaryFile,
}

impl Site {
    /// Starts both on one port, which `over_coap` and `over_https` are told.
    fn start(
        name: &str,
        certificate: Certificate,
        over_coap: impl Fn(u16) -> String + Clone + Send + 'static,
        over_https: impl Fn(u16) -> String,
        base: Option<&str>,
    ) -> Site {
        let ca = TemporaryFile::with(&format!("doctor-{name}.pem"), &certificate.ca);
        // A port that is free for UDP may be taken for TCP by another test.
        for _ in 0..100 {
            let over_coap = over_coap.clone();
            let (tell, told) = std::sync::mpsc::channel::<u16>();
            let mut text = None;
            let stub = StubServer::with_certificate(certificate.clone(), move |seen| {
                let text = text.get_or_insert_with(|| over_coap(told.recv().unwrap()));
                answer_coap(text, seen)
            });
            let port = stub.address.port();
            tell.send(port).unwrap();
            if serve_https(stub.address, &certificate, &over_https(port), base) {
                return Site { stub, ca };
            }
        }
        panic!("no port is free for both");
    }

    /// Starts a site without a fault.
    fn whole(name: &str) -> Site {
        let text = |port| versions(r#""v1.1","v1.11""#, Some(port));
        Site::start(name, Certificate::for_loopback(), text, text, None)
    }

    fn examine(&self, arguments: &[&str]) -> Output {
        let url = self.stub.url("");
        let resolve = format!("localhost:{}:127.0.0.1", self.stub.address.port());
        run(&[&["doctor", "--cacert", self.ca.path(), "--resolve", &resolve], arguments, &[&url]].concat())
    }
}

/// Returns a socket that takes nothing of others: who sends to its port is refused.
fn closed_port() -> UdpSocket {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    closed.connect("127.0.0.1:9").unwrap();
    closed
}

pub(crate) fn lines(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the line of a check, which there is once.
fn line<'l>(lines: &'l str, name: &str) -> &'l str {
    let of_name = |line: &&str| line.get(10..).is_some_and(|line| line.starts_with(&format!("{name:<11}  ")));
    let mut found = lines.lines().filter(of_name);
    let line = found.next().unwrap_or_else(|| panic!("{name} is missing in: {lines}"));
    assert!(found.next().is_none(), "{name} is there twice in: {lines}");
    line
}

/// Asserts that the line of a check begins with the state and has these words.
pub(crate) fn assert_line(lines: &str, name: &str, state: &str, words: &[&str]) {
    let line = line(lines, name);
    assert_eq!(line[..8].trim_end(), state, "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
}

#[test]
fn a_whole_path_is_ok_from_end_to_end() {
    let site = Site::whole("whole");
    let output = site.examine(&[]);
    let told = lines(&output);
    assert_eq!((status(&output), stderr(&output).as_str()), (0, ""), "{told}");
    let port = site.stub.address.port().to_string();
    for (name, words) in [
        ("name", &["localhost is 127.0.0.1; no IPv6 address"][..]),
        ("https", &["2 versions of Matrix"]),
        ("udp", &["127.0.0.1", "connected in"]),
        ("dtls", &["DTLS 1.2", "TLS_ECDHE_ECDSA_WITH_"]),
        ("certificate", &["localhost, 127.0.0.1, ::1", "left", "1 in the chain", "in 1 datagram"]),
        ("coap", &["2 versions of Matrix"]),
        ("agreement", &["both ways agree", &port]),
        ("large", &["4 more blocks after the first", "largest datagram"]),
        ("round trip", &["5 answers", "0 of"]),
    ] {
        assert_line(&told, name, "ok", words);
    }
    assert_line(&told, "well-known", "not seen", &["none here"]);
    assert_eq!(told.lines().count(), 10, "{told}");
}

#[test]
fn json_is_one_object_with_facts() {
    let site = Site::whole("json");
    let output = site.examine(&["--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&all["ok"], &all["status"]), (&Value::Bool(true), &Value::from(0)), "{all}");
    let check = |name: &str| {
        let checks = all["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap().clone()
    };
    assert_eq!(check("dtls")["facts"]["version"], "DTLS 1.2");
    assert_eq!(check("udp")["facts"]["address"], site.stub.address.to_string());
    assert_eq!(check("certificate")["facts"]["names"][0], "localhost");
    assert_eq!(check("coap")["facts"]["advertised_port"], site.stub.address.port());
    assert_eq!(check("large")["facts"]["blocks"], 4);
    assert_eq!(check("well-known")["state"], "not seen");
}

#[test]
fn json_has_each_check_without_a_session_too() {
    let site = Site::whole("json-silent");
    let closed = closed_port();
    let url = format!("coaps://{}", closed.local_addr().unwrap());
    let https = site.stub.address.port().to_string();
    let output = run(&["doctor", "--json", "--cacert", site.ca.path(), "--https-port", &https, &url]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: Vec<_> = all["checks"].as_array().unwrap().iter().map(|check| &check["check"]).collect();
    let expected = ["name", "https", "udp", "coap", "agreement", "well-known", "large", "round trip"];
    assert_eq!(told, expected, "{all}");
    for name in ["coap", "large", "round trip"] {
        let check = all["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap();
        assert_eq!((&check["state"], &check["text"]), (&"not seen".into(), &"no session".into()), "{all}");
    }
}

#[test]
fn what_leads_elsewhere_is_told() {
    let text = |port| versions(r#""v1.1""#, Some(port));
    let base = Some("https://other.example");
    let site = Site::start("base", Certificate::for_loopback(), text, text, base);
    let output = site.examine(&[]);
    let cure = ["--base-url of lowband-sidecar render-envoy", "without Envoy by --advertise"];
    let words = ["https://other.example", cure[0], cure[1]];
    assert_line(&lines(&output), "well-known", "warn", &words);
    assert_eq!(status(&output), 0);
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_its_names() {
    let site = Site::whole("stranger");
    let stranger = TemporaryFile::with("doctor-stranger-ca.pem", &Certificate::for_loopback().ca);
    let output = run(&["doctor", "--cacert", stranger.path(), "-4", &site.stub.url("")]);
    let told = lines(&output);
    assert_eq!(status(&output), 60, "{told}");
    assert_line(&told, "https", "failed", &["not trusted"]);
    assert!(!line(&told, "https").contains("--https-port"), "{told}");
    assert_line(&told, "udp", "ok", &["answers"]);
    assert_line(&told, "dtls", "ok", &["DTLS 1.2"]);
    assert_line(&told, "certificate", "failed", &["not trusted", "--cacert", "for localhost"]);
    for name in ["coap", "well-known", "large", "round trip"] {
        assert_line(&told, name, "not seen", &["no session"]);
    }
    assert!(site.stub.seen().is_empty());
}

#[test]
fn each_address_is_dialled_on_its_own() {
    let site = Site::whole("addresses");
    let port = site.stub.address.port();
    let resolve = format!("localhost:{port}:127.0.0.2,127.0.0.1");
    let output = run(&["doctor", "--cacert", site.ca.path(), "--resolve", &resolve, &site.stub.url("")]);
    let told = lines(&output);
    assert_eq!(status(&output), 7, "{told}");
    assert!(told.contains("failed    udp          127.0.0.2:") && told.contains("refused"), "{told}");
    assert!(told.contains("ok        udp          127.0.0.1:"), "{told}");
    assert_line(&told, "agreement", "ok", &["both ways agree"]);
}

#[test]
fn an_unverified_certificate_is_a_warning() {
    let site = Site::whole("insecure");
    let output = run(&["doctor", "-k", "-4", &site.stub.url("")]);
    assert_line(&lines(&output), "certificate", "warn", &["not verified", "--cacert"]);
    assert_eq!(status(&output), 0);
}

#[test]
fn an_expired_certificate_is_told_with_its_age() {
    let text = |port| versions(r#""v1.1""#, Some(port));
    let site = Site::start("expired", Certificate::expired(), text, text, None);
    let output = site.examine(&[]);
    let told = lines(&output);
    assert_eq!(status(&output), 60, "{told}");
    assert_line(&told, "certificate", "failed", &["expired", "renew", "ended 1 day ago"]);
}

#[test]
fn udp_that_is_silent_is_told_apart_from_a_host_that_is_down() {
    let certificate = Certificate::for_loopback();
    let ca = TemporaryFile::with("doctor-silent.pem", &certificate.ca);
    let (silent, port) = loop {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let text = versions(r#""v1.1""#, Some(address.port()));
        if serve_https(address, &certificate, &text, None) {
            break (silent, address.port());
        }
    };
    let url = format!("coaps://127.0.0.1:{port}");
    let output = run(&["doctor", "--cacert", ca.path(), "--connect-timeout", "0.5", &url]);
    let told = lines(&output);
    assert_eq!(status(&output), 28, "{told}");
    assert_line(&told, "https", "ok", &[]);
    assert_line(&told, "udp", "failed", &["HTTPS answers", &format!("UDP port {port}"), "firewalls"]);
    assert_line(&told, "agreement", "ok", &["one way answered"]);
    drop(silent);
}

#[test]
fn a_wrong_port_is_told_with_the_advertised_one() {
    let site = Site::start(
        "port",
        Certificate::for_loopback(),
        |_| versions(r#""v1.1""#, Some(8448)),
        |_| versions(r#""v1.1""#, Some(8448)),
        None,
    );
    let output = site.examine(&[]);
    let told = lines(&output);
    assert_eq!(status(&output), 120, "{told}");
    assert_line(&told, "agreement", "failed", &["UDP port 8448 is advertised", "advertise.dtls_port"]);

    let closed = closed_port();
    let (https, url) = (site.stub.address.port().to_string(), closed.local_addr().unwrap());
    let url = format!("coaps://{url}");
    let output = run(&["doctor", "--cacert", site.ca.path(), "--https-port", &https, &url]);
    let told = lines(&output);
    assert_eq!(status(&output), 7, "{told}");
    assert_line(&told, "udp", "failed", &["refused", "advertises UDP port 8448"]);
    let output = run(&["doctor", "--cacert", site.ca.path(), &url]);
    let (told, address) = (lines(&output), closed.local_addr().unwrap().to_string());
    assert_line(&told, "udp", "failed", &["connection refused", "see that the sidecar runs"]);
    assert!(!line(&told, "udp").contains("host is up"), "{told}");
    assert_eq!(line(&told, "udp").matches(&address).count(), 1, "{told}");
}

#[test]
fn no_advertised_port_is_a_warning() {
    let text = |_| versions(r#""v1.1""#, None);
    let site = Site::start("unadvertised", Certificate::for_loopback(), text, text, None);
    let output = site.examine(&[]);
    assert_line(&lines(&output), "agreement", "warn", &["no UDP port", "advertise.dtls_port"]);
    assert_eq!(status(&output), 0);
}

#[test]
fn versions_that_differ_are_named() {
    let site = Site::start(
        "differ",
        Certificate::for_loopback(),
        |port| versions(r#""v1.1""#, Some(port)),
        |port| versions(r#""v1.1","v1.11""#, Some(port)),
        None,
    );
    let output = site.examine(&[]);
    let told = lines(&output);
    assert_eq!(status(&output), 120, "{told}");
    assert_line(&told, "agreement", "failed", &["differ on versions: v1.11", "different homeservers"]);
}

#[test]
fn coap_without_https_lacks_the_way_back() {
    let stub = StubServer::start(|seen| answer_coap(&versions(r#""v1.1""#, None), seen));
    let output = run(&["doctor", "-k", &format!("coaps://127.0.0.1:{}", stub.address.port())]);
    let told = lines(&output);
    assert_eq!(status(&output), 7, "{told}");
    assert_line(&told, "https", "failed", &["fall back", "--https-port"]);
    assert_line(&told, "coap", "ok", &[]);
}

#[test]
fn a_homeserver_that_is_down_is_told_apart_from_its_proxies() {
    let down = |_| DOWN.to_owned();
    let site = Site::start("down", Certificate::for_loopback(), down, down, None);
    let output = site.examine(&[]);
    let told = lines(&output);
    assert_eq!(status(&output), 22, "{told}");
    assert_line(&told, "https", "failed", &["503", "not the homeserver"]);
    assert!(!line(&told, "https").contains("fall back"), "{told}");
    assert_line(&told, "coap", "failed", &["5.02", "homeserver"]);
    assert_line(&told, "well-known", "not seen", &["5.02"]);
    assert!(!line(&told, "well-known").contains("m.homeserver"), "{told}");
    assert_line(&told, "round trip", "not seen", &["each was an error", "5.02"]);
}

#[test]
fn of_an_unknown_host_nothing_else_can_be_seen_and_each_check_says_so() {
    // A label longer than DNS allows, so that no resolver is asked.
    let host = "x".repeat(64);
    let output = run(&["doctor", &format!("coaps://{host}")]);
    let told = lines(&output);
    assert_eq!(status(&output), 6, "{told}");
    assert_line(&told, "name", "failed", &[&host, "DNS", "--resolve"]);
    for name in ["https", "udp", "coap", "agreement", "well-known", "large", "round trip"] {
        assert_line(&told, name, "not seen", &["no address"]);
    }
    assert_eq!(told.lines().count(), 8, "{told}");
}

#[test]
fn the_addresses_that_there_are_are_told_where_the_family_that_is_wanted_has_none() {
    let output = run(&["doctor", "-6", "--resolve", "hs:8008:127.0.0.1", "coaps://hs"]);
    let told = lines(&output);
    assert_eq!(status(&output), 6, "{told}");
    assert_line(&told, "name", "failed", &["no IPv6 address, only 127.0.0.1", "Leave out -6 "]);
    assert!(!line(&told, "name").contains("DNS"), "{told}");
    let output = run(&["coap", "-6", "--resolve", "hs:8008:127.0.0.1", "coaps://hs/any"]);
    assert!(stderr(&output).contains("hs has no IPv6 address, only 127.0.0.1"), "{}", stderr(&output));
}

#[test]
fn an_address_is_named_once_in_the_line_of_https() {
    let site = Site::whole("once");
    let port = site.stub.address.port();
    let closed = closed_port();
    let stranger = TemporaryFile::with("doctor-once.pem", &Certificate::for_loopback().ca);
    let (open, closed) = (format!("127.0.0.1:{port}"), closed.local_addr().unwrap().to_string());
    for (address, said) in [(&open, "HTTPS on port"), (&closed, "HTTPS: TCP to")] {
        let output = run(&["doctor", "--cacert", stranger.path(), &format!("coaps://{address}")]);
        let told = lines(&output);
        assert_line(&told, "name", "ok", &["127.0.0.1 is an address"]);
        assert_line(&told, "https", "failed", &[said]);
        assert_eq!(line(&told, "https").matches("127.0.0.1").count(), 1, "{told}");
    }
}

#[test]
fn help_names_the_statuses_and_what_cannot_be_seen() {
    let output = run(&["doctor", "--help"]);
    let told = lines(&output);
    for word in ["Exit status:", "\n  120  agreement", "x-forwarded-for", "Examples:"] {
        assert!(told.contains(word), "{word:?} is missing in: {told}");
    }
    for wrong in [&["doctor"][..], &["doctor", "-4", "-6", "hs"], &["doctor", "--https-port", "0", "hs"]] {
        assert_eq!(status(&run(wrong)), 2, "{wrong:?}");
    }
    assert_eq!(status(&run(&["doctor", "ftp://hs"])), 3);
}

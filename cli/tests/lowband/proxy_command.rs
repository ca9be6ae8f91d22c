//! `lowband proxy`: from its first line to its last, between a plain client and stubs of a homeserver.

use crate::certificate::Certificate;
use crate::command::{TemporaryFile, lowband, run, status, stderr};
use crate::http_command::{acceptor, serve_by_head};
use crate::stub_server::{StubServer, content};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, Stdio};

const TOKEN: &str = "syt_very_secret";
const UNIT: &str = include_str!("../../../deploy/systemd/lowband-proxy.service");

/// A running proxy, killed when dropped.
struct Proxy {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts it for this homeserver with these flags besides, and waits until it listens.
    fn start(homeserver: &str, flags: &[&str]) -> Proxy {
        let always = ["proxy", "--listen", "127.0.0.1:0", "--no-state", "--homeserver", homeserver];
        let mut child = lowband().args(always).args(flags).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut proxy = Proxy { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let first = proxy.line_with(" stands for ");
        let url = first.split(" stands for ").next().unwrap().rsplit("://").next().unwrap();
        proxy.address = url.parse().unwrap();
        proxy
    }

    /// Returns the next line of the log that has these words.
    fn line_with(&mut self, words: &str) -> String {
        let mut before = String::new();
        loop {
            let begin = before.len();
            assert_ne!(self.log.read_line(&mut before).unwrap(), 0, "{words:?} is not in the log:\n{before}");
            if before[begin..].contains(words) {
                return before[begin..].to_owned();
            }
        }
    }

    /// Makes a request, and returns the whole answer.
    fn ask(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Tells it to end, and returns the rest of the log.
    fn end(mut self, signal: Signal) -> String {
        self.signal(signal);
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{rest}");
        rest
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended is not killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A homeserver of both ways.
struct Site {
    udp: StubServer,
    ca: TemporaryFile,
    https: SocketAddr,
}

impl Site {
    fn start(name: &str) -> Site {
        let udp = StubServer::start(|_| {
            content(lowband_codec::json_to_cbor(br#"{"rooms":{"join":{}},"next_batch":"udp"}"#).unwrap())
        });
        let ca = TemporaryFile::with(name, &udp.certificate.ca);
        let https = serve_https(&udp.certificate);
        Site { udp, ca, https }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.https.port())
    }
}

/// Serves HTTPS on a port of the loopback, as long as the test process lives.
fn serve_https(certificate: &Certificate) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(certificate);
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            if let Ok(tls) = acceptor.accept(tcp.unwrap()) {
                serve_by_head(tls, |head| {
                    let body = if head.starts_with("get /_matrix/client/versions ") {
                        r#"{"versions":["v1.1"]}"#
                    } else {
                        r#"{"rooms":{},"next_batch":"https"}"#
                    };
                    let length = body.len();
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
                         Content-Length: {length}\r\n\r\n{body}"
                    )
                    .into_bytes()
                });
            }
        }
    });
    address
}

#[test]
fn a_plain_client_is_served_over_udp_and_the_log_has_ways_and_stats_and_no_token() {
    let site = Site::start("proxy-udp");
    let udp = site.udp.address.to_string();
    let mut proxy =
        Proxy::start(&site.url(), &["--udp", &udp, "--cacert", site.ca.path(), "-v", "--stats=3600"]);
    let answer = proxy.ask("/_matrix/client/v3/sync?since=secret_since");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(r#""next_batch":"udp""#), "{answer}");
    assert_eq!(site.udp.only_request().options.authorization.as_deref(), Some(TOKEN));
    let way = proxy.line_with("requests go over ");
    assert!(way.contains(&format!("requests go over UDP, to {udp}")), "{way}");
    proxy.signal(Signal::USR1);
    let meanwhile = proxy.line_with("by UDP ");
    let rest = proxy.end(Signal::TERM);
    for line in [&meanwhile, &rest] {
        assert!(line.contains("by UDP 1 request in 1 session, "), "{line}");
        assert!(line.contains(" that HTTPS with JSON would have cost (estimated)"), "{line}");
    }
    let whole = way + &meanwhile + &rest;
    assert!(!whole.contains(TOKEN) && !whole.contains("secret_since"), "{whole}");
}

#[test]
fn without_udp_requests_go_over_https_and_the_line_says_why() {
    let site = Site::start("proxy-https");
    // A port that nobody listens on: the socket that had it is closed.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut proxy = Proxy::start(&site.url(), &["--udp", &nobody, "--cacert", site.ca.path()]);
    let answer = proxy.ask("/_matrix/client/v3/sync");
    assert!(answer.contains(r#""next_batch":"https""#), "{answer}");
    let way = proxy.line_with("requests go over ");
    for part in ["HTTPS with JSON", &site.url(), "connection refused: nobody listens"] {
        assert!(way.contains(part), "{part}: {way}");
    }
    let rest = proxy.end(Signal::INT);
    assert!(rest.contains("; by HTTPS 1 request, "), "{rest}");
    assert!(site.udp.seen().is_empty());
}

#[test]
fn a_way_that_works_at_the_start_is_told_without_a_request() {
    let site = Site::start("proxy-start");
    let udp = site.udp.address.to_string();
    let mut proxy = Proxy::start(&site.url(), &["--udp", &udp, "--cacert", site.ca.path()]);
    let way = proxy.line_with("requests go over ");
    assert!(way.contains(&format!("requests go over UDP, to {udp}")), "{way}");
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut proxy = Proxy::start(&site.url(), &["--udp", &nobody, "--cacert", site.ca.path()]);
    let way = proxy.line_with("requests go over ");
    assert!(way.contains("HTTPS with JSON") && way.contains("connection refused"), "{way}");
}

#[test]
fn where_no_way_works_the_start_says_why_of_each_also_of_what_is_remembered() {
    // Ports that nobody listens on: the sockets that had them are closed.
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let https = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://localhost:{}", https.port());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let found = format!(
        r#"{{"homeserver":"{url}","base_url":"{url}","udp_port":null,"cbor":false,"udp":true,"found":{now}}}"#
    );
    let state = TemporaryFile::with("proxy-no-way", found.as_bytes());
    for remembers in [false, true] {
        let more: &[&str] = if remembers { &["--state", state.path()] } else { &["--no-state"] };
        let always = ["proxy", "--listen", "127.0.0.1:0", "--homeserver", &url, "--udp", &udp];
        let mut child = lowband().args(always).args(more).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut proxy = Proxy { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let why = proxy.line_with("WARN the homeserver is not found over HTTPS");
        assert!(why.contains("Connection refused"), "{why}");
        let why = proxy.line_with("WARN no way leads to the homeserver");
        assert!(why.contains("connection refused: nobody listens"), "{why}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_at_the_start() {
    let site = Site::start("proxy-untrusted");
    let udp = site.udp.address.to_string();
    let mut proxy = Proxy::start(&site.url(), &["--udp", &udp]);
    let why = proxy.line_with("WARN the homeserver is not found over HTTPS");
    assert!(why.contains("certificate verify failed") && why.contains("--cacert FILE"), "{why}");
    let why = proxy.line_with("WARN no way leads to the homeserver");
    assert!(why.contains("certificate is not accepted"), "{why}");
}

#[test]
fn what_cannot_begin_says_what_helps() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, code, words) in [
        (&["--homeserver", "hs.example", "--listen", &taken][..], 7, "--listen ADDRESS:PORT takes another"),
        (&["--homeserver", "hs.example", "--listen", "0.0.0.0:0"], 2, "--allow-remote"),
        (&["--homeserver", "http://192.0.2.1:8008"], 3, "on the way; --allow-http takes it"),
        (&["--homeserver", "@u:example.org"], 3, "use example.org"),
        (&["--homeserver", "hs.example", "--udp", "localhost:99999"], 2, "\"99999\" is not a port"),
        (&["--homeserver", "hs.example", "--listen", "8010"], 2, "127.0.0.1:8010, or [::1]:8010"),
        (&["--homeserver", "hs.example", "--listen", "localhost:8010"], 2, "127.0.0.1:8010, or [::1]:8010"),
        (&["--homeserver", "hs.example", "--cacert", "/nonexistent"], 77, "/nonexistent"),
        (
            &[
                "--homeserver",
                "hs.example",
                "--listen",
                "127.0.0.1:0",
                "--certificate",
                "/nonexistent",
                "--key",
                "/x",
            ],
            77,
            "/nonexistent",
        ),
        (&[], 2, "--homeserver"),
    ] {
        let output = run(&[&["proxy", "--no-state"], flags].concat());
        let told = stderr(&output);
        assert_eq!(status(&output), code, "{flags:?}: {told}");
        assert!(told.contains(words), "{flags:?}: {told}");
    }
}

#[test]
fn variables_without_a_value_count_as_not_set() {
    let told = |homeserver: &str| {
        let mut command = lowband();
        command.args(["proxy", "--no-state", "--cacert", "/nonexistent"]);
        command.env("LOWBAND_PROXY_HOMESERVER", homeserver).env("LOWBAND_PROXY_LISTEN", "");
        let output = command.output().unwrap();
        (status(&output), stderr(&output))
    };
    let (code, words) = told("hs.example");
    assert!(code == 77 && words.contains("/nonexistent"), "{code}: {words}");
    let (code, words) = told("");
    assert!(code == 2 && words.contains("--homeserver <NAME|URL>"), "{code}: {words}");
}

#[test]
fn variables_that_no_option_has_are_told() {
    let told = |variables: &[(&str, &str)]| {
        let mut command = lowband();
        command.args(["proxy", "--no-state", "--cacert", "/nonexistent"]).envs(variables.iter().copied());
        let output = command.output().unwrap();
        (status(&output), stderr(&output))
    };
    let homeserver = ("LOWBAND_PROXY_HOMESERVER", "hs.example");
    let (code, words) = told(&[
        homeserver,
        ("LOWBAND_PROXY_LISTN", "127.0.0.1:1"),
        ("LOWBAND_PROXY_FLAGS", "--stats"),
        ("LOWBAND_PROXY_PORT", "tcp://10.96.0.7:8009"),
        ("LOWBAND_PROXY_SERVICE_HOST", "10.96.0.7"),
    ]);
    let line = "LOWBAND_PROXY_LISTN does nothing: no option has this name; LOWBAND_PROXY_LISTEN is meant";
    assert!(code == 77 && words.contains(line) && words.contains("WARN"), "{code}: {words}");
    assert_eq!(words.matches("does nothing").count(), 1, "{words}");
    // Where it is the one that is missing, the line stands before the mistake.
    let (code, words) = told(&[("LOWBAND_PROXY_HOMESERVR", "hs.example")]);
    assert!(code == 2 && words.contains("LOWBAND_PROXY_HOMESERVER is meant, perhaps"), "{code}: {words}");
    assert!(words.contains("--homeserver <NAME|URL>"), "{words}");
}

#[test]
fn a_file_that_cannot_remember_is_told_at_the_start() {
    let arguments = ["proxy", "--listen", "127.0.0.1:0", "--homeserver", "https://localhost:1"];
    let mut child =
        lowband().args(arguments).args(["--state", "/dev/null/x"]).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut proxy = Proxy { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
    let told = proxy.line_with("remembered");
    assert!(told.contains("WARN") && told.contains("/dev/null/x: "), "{told}");
    proxy.line_with(" stands for ");
}

#[test]
fn the_unit_names_variables_and_statuses_that_there_are() {
    let help = String::from_utf8(run(&["proxy", "--help"]).stdout).unwrap();
    assert!(
        UNIT.contains("echo LOWBAND_PROXY_HOMESERVER=") && help.contains("[env: LOWBAND_PROXY_HOMESERVER=")
    );
    let line = UNIT.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    for status in line.split(' ') {
        assert!(
            help.contains(&format!("\n  {status:>2}  ")) || help.contains(&format!(" {status}  ")),
            "{status}"
        );
    }
}

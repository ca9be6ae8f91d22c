//! The binary as a process: signals, exit codes, and what its log never holds.

use crate::client::{Wire, options};
use crate::harness::Folder;
use crate::identity::self_signed;
use crate::stub::{Handler, Stub, handler, ok};
use lowband_transport::dtls::CloseReason;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

pub(crate) struct Process {
    pub(crate) child: Child,
    log: BufReader<ChildStderr>,
    server: SocketAddr,
    admin: SocketAddr,
    pub(crate) stub: Stub,
    folder: Folder,
}

impl Process {
    /// Starts the program with a certificate of its own. Returns when it serves.
    pub(crate) async fn start(answers: Handler, more: &[&str]) -> Process {
        let folder = Folder::new();
        let (certificate, key) = self_signed(folder.path());
        Process::with_identity(folder, answers, &certificate, &key, more).await
    }

    /// Starts the program with a certificate of its own and an environment.
    pub(crate) async fn start_in(environment: &[(&str, &str)]) -> Process {
        let folder = Folder::new();
        let (certificate, key) = self_signed(folder.path());
        Process::with(folder, ok(), &certificate, &key, &[], environment).await
    }

    /// Starts the program with a certificate of its own and no upstream at the path of its stub.
    pub(crate) async fn without_upstream(more: &[&str]) -> Process {
        let folder = Folder::new();
        let (certificate, key) = self_signed(folder.path());
        let stub = Stub::new(folder.path().join("envoy.sock"), ok());
        Process::before(stub, folder, &certificate, &key, more, &[]).await
    }

    /// Starts the program with a certificate that other processes may have as well.
    pub(crate) async fn with_identity(
        folder: Folder,
        answers: Handler,
        certificate: &str,
        key: &str,
        more: &[&str],
    ) -> Process {
        Process::with(folder, answers, certificate, key, more, &[]).await
    }

    async fn with(
        folder: Folder,
        answers: Handler,
        certificate: &str,
        key: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Process {
        let stub = Stub::new(folder.path().join("envoy.sock"), answers);
        stub.listen();
        Process::before(stub, folder, certificate, key, more, environment).await
    }

    /// Starts the program before a stub that may not listen.
    async fn before(
        stub: Stub,
        folder: Folder,
        certificate: &str,
        key: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Process {
        let upstream = format!("unix:{}", stub.path().display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"))
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &upstream])
            .args(["--certificate", certificate, "--key", key])
            .args(more)
            .env_clear()
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let line = line_with(&mut log, "serving").await;
        assert!(line.contains("admin=127.0.0.1:") || line.contains("\"admin\":\"127.0.0.1:"), "{line}");
        let mut ports = line
            .split("127.0.0.1:")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<u16>().unwrap());
        let mut address = || SocketAddr::from(([127, 0, 0, 1], ports.next().unwrap()));
        let (server, admin) = (address(), address());
        Process { child, log, server, admin, stub, folder }
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the folder of certificate and key.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Returns the memory in use, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    }

    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        line_with(&mut self.log, text).await
    }

    /// Returns what the program logs until it ends.
    pub(crate) async fn rest_of_log(&mut self) -> String {
        let mut log = String::new();
        self.log.read_to_string(&mut log).await.unwrap();
        log
    }

    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
    }
}

async fn line_with(log: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(log.read_line(&mut line).await.unwrap() > 0, "the log ends without {text}");
    }
    line
}

#[tokio::test]
async fn sigterm_and_sigint_end_with_0() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start(ok(), &[]).await;
        process.signal(name).await;
        process.line_with("draining").await;
        assert_eq!(process.child.wait().await.unwrap().code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn sigusr1_sigusr2_and_sighup_never_end_it() {
    let mut process = Process::start(ok(), &[]).await;
    let wire = Wire::connect(process.server).await;
    for name in ["USR1", "USR2", "HUP"] {
        process.signal(name).await;
    }
    // The signals were sent in this order: the last one has been handled when this line comes.
    process.line_with("certificate and key are those that are served").await;
    assert_eq!(wire.get("0").await.code, Code::CONTENT);
    process.signal("TERM").await;
    assert_eq!(process.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_clients_with_open_requests_hear_of_it() {
    let stub = handler(|_| std::future::pending());
    let mut process = Process::start(stub, &["--grace-period", "1h", "--piggyback-wait", "0"]).await;
    let mut wire = Wire::connect(process.server).await;
    let _answered = wire.ask(Method::Get, options("7"), b"");
    // Requests are taken in order, so the first one is open when this one is answered.
    wire.get("/.lowband/ready").await;
    process.signal("TERM").await;
    process.line_with("draining").await;
    process.signal("TERM").await;
    process.line_with("at once").await;
    assert_eq!(wire.closed().await, CloseReason::CloseNotify);
    assert!(process.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_log_never_holds_a_token_a_query_or_a_body() {
    let mut process = Process::start(ok(), &["--log-level", "trace"]).await;
    let wire = Wire::connect(process.server).await;
    for target in ["/_matrix/client/v3/x?access_token=secret", "/_synapse/x?access_token=secret"] {
        let token = Some("secret".to_owned());
        let options = RequestOptions { authorization: token, ..options(target) };
        wire.request(Method::Put, options, b"\x66secret").await;
    }
    assert_eq!(wire.get("0").await.code, Code::CONTENT);
    process.signal("TERM").await;
    let log = process.rest_of_log().await;
    assert_eq!(log.matches("/_matrix/client/v3/x").count(), 1, "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_json_log_is_one_object_a_line() {
    let mut process = Process::start(ok(), &["--log-format", "json", "--log-level", "debug"]).await;
    let wire = Wire::connect(process.server).await;
    wire.get("0").await;
    let line = process.line_with("\"request\"").await;
    let object = lowband_codec::json_to_cbor(line.trim().as_bytes()).unwrap();
    for (key, value) in [("method", "GET"), ("path", "/_matrix/client/versions"), ("code", "2.05")] {
        assert_eq!(lowband_codec::peek::text(&object, key, None).unwrap().as_deref(), Some(value), "{line}");
    }
}

#[tokio::test]
async fn a_request_has_one_line_at_info_with_its_peer_its_session_and_the_id_that_the_upstream_sees() {
    let mut process = Process::start(ok(), &["--close-within", "0"]).await;
    let wire = Wire::connect(process.server).await;
    for _ in 0..3 {
        assert_eq!(wire.get("0").await.code, Code::CONTENT);
    }
    wire.get("/.lowband/ready").await;
    process.signal("TERM").await;
    let log = process.rest_of_log().await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("path=")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    let seen = process.stub.seen();
    for (line, seen) in lines.iter().zip(&seen) {
        let id = seen.header("x-request-id").unwrap();
        assert!(line.contains("INFO request peer=127.0.0.1:") && line.contains(" session="), "{line}");
        assert!(line.contains(&format!(" id={id} method=\"GET\"")), "{id}: {line}");
    }
    assert_ne!(seen[0].header("x-request-id"), seen[1].header("x-request-id"));
}

#[tokio::test]
async fn a_json_log_has_numbers_as_numbers_and_nothing_of_rust_in_its_values() {
    let folder = Folder::new();
    let file = folder.path().join("keys.log");
    let more = ["--log-format", "json", "--log-level", "debug", "--key-log", file.to_str().unwrap()];
    let mut process = Process::start(ok(), &more).await;
    let wire = Wire::connect(process.server).await;
    wire.get("0").await;
    let line = process.line_with("\"request\"").await;
    for number in ["millis", "first_millis", "session", "bytes_in", "bytes_out"] {
        let at = line.find(&format!("\"{number}\":")).unwrap_or_else(|| panic!("no {number} in {line}"));
        assert!(line[at + number.len() + 3..].starts_with(|c: char| c.is_ascii_digit()), "{number}: {line}");
    }
    process.signal("TERM").await;
    let rest = process.rest_of_log().await;
    assert!(rest.contains("\"grace_period_seconds\":10.0"), "{rest}");
    for line in rest.lines() {
        lowband_codec::json_to_cbor(line.as_bytes()).unwrap_or_else(|why| panic!("{why}: {line}"));
        let is_of_rust =
            ["Some(", "\"None\"", "CloseNotify", "\\\"", "\"10s\""].iter().any(|word| line.contains(word));
        assert!(!is_of_rust, "{line}");
    }
}

#[tokio::test]
async fn a_key_log_is_warned_about_at_start() {
    let folder = Folder::new();
    let file = folder.path().join("keys.log");
    let mut process = Process::start(ok(), &["--key-log", file.to_str().unwrap()]).await;
    let line = process.line_with("--key-log").await;
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn the_key_log_of_an_inherited_environment_is_not_written() {
    let folder = Folder::new();
    let file = folder.path().join("keys.log");
    let mut process = Process::start_in(&[("SSLKEYLOGFILE", file.to_str().unwrap())]).await;
    let line = process.line_with("SSLKEYLOGFILE").await;
    assert!(line.contains("WARN") && line.contains("LOWBAND_KEY_LOG"), "{line}");
    assert_eq!(Wire::connect(process.server).await.get("0").await.code, Code::CONTENT);
    process.signal("TERM").await;
    process.child.wait().await.unwrap();
    assert!(!file.exists());
}

//! The program itself: the reference's flags, and what the log says at the start.

use crate::client::{Http, get};
use crate::harness::{Folder, PATIENCE};
use crate::identity::self_signed;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

type Log = Lines<BufReader<ChildStderr>>;

/// Starts the program and returns the lines of its log up to the one that contains `last`.
async fn log(args: &[&str], last: &str) -> (Child, Vec<String>) {
    let (child, mut log) = start(args);
    let lines = until(&mut log, last).await;
    (child, lines)
}

fn start(args: &[&str]) -> (Child, Log) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"))
        .args(args)
        .env_clear()
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, log)
}

/// Returns the next lines up to the one that contains `last`.
async fn until(log: &mut Log, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let reading = async {
        while let Some(line) = log.next_line().await.unwrap() {
            lines.push(line);
            if lines.last().unwrap().contains(last) {
                return;
            }
        }
        panic!("no line with {last}: {lines:?}");
    };
    timeout(PATIENCE, reading).await.unwrap();
    lines
}

/// Returns a port of 127.0.0.1 that is free over UDP and TCP.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[tokio::test]
async fn the_references_flags_serve_as_the_reference_does_and_are_told_by_todays_names() {
    let folder = Folder::new();
    let (certificate, key) = self_signed(folder.path());
    let bind = format!("127.0.0.1:{}", free_port());
    let args = [
        "-local",
        "http://127.0.0.1:9",
        "--tls-cert",
        &certificate,
        "-tls-key",
        &key,
        "-advertise",
        "http://lb.example.org:8008",
        "-dtls-bind-addr",
        &bind,
        "--admin",
        "off",
    ];
    let (_child, lines) = log(&args, "serving clients over TCP").await;
    for told in [
        "-local is the reference's name of --homeserver",
        "-tls-cert is the reference's name of --certificate",
        "-tls-key is the reference's name of --key",
        "-advertise is the reference's name of --advertise",
        "-dtls-bind-addr is the reference's name of --listen",
        &format!("--public http://{bind} does it today"),
        &format!("tcp={bind} scheme=\"http\""),
    ] {
        assert_eq!(lines.iter().filter(|line| line.contains(told)).count(), 1, "{told}: {lines:#?}");
    }
}

#[tokio::test]
async fn paths_that_lead_nowhere_do_not_fill_the_log() {
    let folder = Folder::new();
    let (certificate, key) = self_signed(folder.path());
    let public: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let (listen, url) = (format!("127.0.0.1:{}", free_port()), format!("http://{public}"));
    let args = [
        "--homeserver",
        "http://127.0.0.1:9",
        "--certificate",
        &certificate,
        "--key",
        &key,
        "--admin",
        "off",
    ];
    let (_child, mut log) = start(&[&args[..], &["--listen", &listen, "--public", &url]].concat());
    until(&mut log, "serving clients over TCP").await;
    let mut client = Http::clear(public, true).await;
    for _ in 0..200 {
        assert_eq!(client.send(get("/wp-login.php")).await.status(), 404);
        assert_eq!(client.send(get("/_matrix/../x")).await.status(), 400);
    }
    // A request with a place at the homeserver has its line.
    assert_eq!(client.send(get("/_matrix/client/v3/x")).await.status(), 503);
    let lines = until(&mut log, "path=\"/_matrix/client/v3/x\"").await;
    assert!(lines.len() < 100, "{} lines", lines.len());
    assert!(lines.iter().any(|line| line.contains("path=\"/wp-login.php\"")), "{lines:#?}");
}

#[tokio::test]
async fn clear_text_on_an_address_that_others_reach_is_warned_of_once() {
    let folder = Folder::new();
    let (certificate, key) = self_signed(folder.path());
    for (public, warned) in [("http://0.0.0.0:0", 1), ("http://127.0.0.1:0", 0), ("0.0.0.0:0", 0)] {
        let args = [
            "--homeserver",
            "http://127.0.0.1:9",
            "--certificate",
            &certificate,
            "--key",
            &key,
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--public",
            public,
        ];
        let (_child, lines) = log(&args, "fall back to HTTPS at the number of the UDP port").await;
        let warnings = lines.iter().filter(|line| line.contains("WARN") && line.contains("in clear text"));
        assert_eq!(warnings.count(), warned, "{public}: {lines:#?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let folder = Folder::new();
    let (certificate, key) = self_signed(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let public = taken.local_addr().unwrap().to_string();
    let args = [
        "--homeserver",
        "http://127.0.0.1:9",
        "--certificate",
        &certificate,
        "--key",
        &key,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--public",
        &public,
    ];
    let (mut child, lines) = log(&args, "ERROR").await;
    let line = lines.last().unwrap();
    assert!(line.contains(&format!("cannot bind {public}/tcp (--public)")), "{line}");
    assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code(), Some(1));
}

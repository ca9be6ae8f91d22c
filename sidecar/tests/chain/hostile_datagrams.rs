//! Datagrams made to hurt, before any session and against a live one: nothing is kept of them, each is
//! counted under its own reason, and honest clients are served.

use crate::client::Wire;
use crate::harness::Chain;
use crate::process::Process;
use crate::raw::Raw;
use crate::stub::ok;
use lowband_wire::coap::Code;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Offsets of fields in a datagram with a hello: record header, message header, version, random, session id
/// (none).
const MESSAGE_SEQ: usize = 13 + 4;
const FRAGMENT_LENGTH: usize = 13 + 9;
const VERSION: usize = 13 + 12;
const RANDOM: usize = VERSION + 2;
const COOKIE: usize = RANDOM + 32 + 1;

/// Returns `hello` with `bytes` at `at`.
fn with(hello: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = hello.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

/// Returns the hello once more, with a cookie that no server has given out.
fn with_a_cookie(hello: &[u8], message_seq: u8) -> Vec<u8> {
    let mut forged = with(hello, MESSAGE_SEQ, &[0, message_seq]);
    forged[COOKIE] = 8;
    forged.splice(COOKIE + 1..COOKIE + 1, *b"a cookie");
    for length in [11, 14 + 1, FRAGMENT_LENGTH + 1] {
        let longer = u16::from_be_bytes([forged[length], forged[length + 1]]) + 8;
        forged[length..length + 2].copy_from_slice(&longer.to_be_bytes());
    }
    forged
}

#[tokio::test]
async fn each_is_counted_under_its_own_reason_while_an_honest_session_goes_on() {
    let chain = Chain::start(ok(), &[]).await;
    let mut honest = Raw::connect(chain.server).await;
    let mut stranger = Raw::at(STRANGER, chain.server).await;
    let hello = stranger.hello();
    let record = |kind: u8, epoch: u8, fragment: &[u8]| {
        let header = [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0xff, 0xff, 0, fragment.len() as u8];
        [&header[..], fragment].concat()
    };
    let fatal_alert = record(21, 0, &[2, 40]);
    let from_anywhere = [
        (vec![], r#"lowband_dtls_records_dropped_total{reason="malformed"}"#),
        (vec![0xff; 100], r#"lowband_dtls_records_dropped_total{reason="malformed"}"#),
        (vec![0; 65_507], r#"lowband_dtls_records_dropped_total{reason="malformed"}"#),
        (record(23, 7, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="wrong_epoch"}"#),
        (hello[..40].to_vec(), r#"lowband_dtls_hellos_refused_total{reason="malformed"}"#),
        ([&hello[..], &[0]].concat(), r#"lowband_dtls_hellos_refused_total{reason="malformed"}"#),
        (with(&hello, VERSION, &[0xfe, 0xff]), r#"lowband_dtls_hellos_refused_total{reason="old_version"}"#),
        // The beginning of a longer message, and a piece from further on.
        (with(&hello, 14, &[1]), "lowband_dtls_cookies_sent_total"),
        (
            with(&with(&hello, 14, &[1]), 19, &[0, 0, 1]),
            r#"lowband_dtls_records_dropped_total{reason="hello_piece"}"#,
        ),
        (with_a_cookie(&hello, 1), "lowband_dtls_cookies_invalid_total"),
        (with_a_cookie(&hello, 200), r#"lowband_dtls_hellos_refused_total{reason="message_seq"}"#),
        (with(&hello, RANDOM, b"another random of thirty-two byt"), "lowband_dtls_cookies_sent_total"),
    ];
    let from_a_stranger = [
        (fatal_alert.clone(), r#"lowband_dtls_records_dropped_total{reason="no_session"}"#),
        (record(22, 0, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="no_session"}"#),
        (record(23, 1, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="no_session"}"#),
    ];
    let known = honest.seal(b"\x70\x00\xff\xff");
    honest.send(&known).await;
    // An attacker that writes the address of the live session on its datagrams.
    let spoofed = [
        (fatal_alert, r#"lowband_dtls_records_dropped_total{reason="unprotected_alert"}"#),
        (record(21, 0, &[1, 0]), r#"lowband_dtls_records_dropped_total{reason="unprotected_alert"}"#),
        (record(22, 0, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="unprotected"}"#),
        (record(23, 0, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="unprotected"}"#),
        (record(23, 1, &[0; 40]), r#"lowband_dtls_records_dropped_total{reason="forged"}"#),
        (with(&known, 20, b"x"), r#"lowband_dtls_records_dropped_total{reason="replayed"}"#),
        (known, r#"lowband_dtls_records_dropped_total{reason="replayed"}"#),
    ];
    let from_anywhere = from_anywhere.iter();
    let cases = from_anywhere.clone().chain(&from_a_stranger).map(|case| (false, case));
    for (is_spoofed, (datagram, reason)) in
        cases.chain(from_anywhere.chain(&spoofed).map(|case| (true, case)))
    {
        let before = chain.metric(reason).await;
        match is_spoofed {
            true => honest.send(datagram).await,
            false => stranger.send(datagram).await,
        }
        honest.is_served().await;
        let what = format!("{reason}, spoofed: {is_spoofed}, {} bytes", datagram.len());
        assert_eq!(chain.metric(reason).await, before + 1.0, "{what}");
    }
    assert_eq!(chain.metric("lowband_handshakes_half_open").await, 0.0);
    assert_eq!(chain.metric("lowband_sessions").await, 1.0);
    assert_eq!(chain.connect().await.get("0").await.code, Code::CONTENT);
}

#[tokio::test]
async fn two_hellos_whose_cookie_is_never_answered_keep_nobody_waiting() {
    let chain = Chain::start(ok(), &[]).await;
    for address in [STRANGER, Ipv4Addr::new(127, 0, 0, 3)] {
        let mut silent = Raw::at(address, chain.server).await;
        let hello = silent.hello();
        silent.send(&hello).await;
        silent.receive().await;
    }
    let asked = std::time::Instant::now();
    assert_eq!(chain.connect().await.get("0").await.code, Code::CONTENT);
    // A server that waits for the silent clients does so for the half minute of a handshake.
    assert!(asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
    assert_eq!(chain.metric("lowband_dtls_cookies_sent_total").await, 3.0);
}

#[tokio::test]
async fn handshakes_that_are_never_finished_push_out_each_other_and_touch_no_session() {
    let limits = ["--half-open", "3", "--half-open-per-address", "2"];
    let chain = Chain::start(ok(), &limits).await;
    let mut honest = Raw::connect(chain.server).await;
    let mut silent = Vec::new();
    for site in [2, 2, 2, 3, 4, 5] {
        let mut client = Raw::at(Ipv4Addr::new(127, 0, site, 1), chain.server).await;
        client.half_open().await;
        silent.push(client);
        honest.is_served().await;
        assert_eq!(chain.connect().await.get("0").await.code, Code::CONTENT);
        assert_eq!(chain.page("/readyz").await.0, 200);
    }
    assert!(chain.metric("lowband_handshakes_half_open").await >= 2.0);
    assert!(chain.metric(r#"lowband_handshakes_total{result="evicted"}"#).await >= 4.0);
}

/// Sends `count` hellos from as many addresses, each of which must be answered by a request for its cookie.
fn flood(server: SocketAddr, hello: &[u8], first: u32, count: u32) {
    const AT_ONCE: u32 = 50;
    for batch in (first..first + count).step_by(AT_ONCE as usize) {
        let sockets: Vec<_> = (batch..batch + AT_ONCE)
            .map(|number| {
                let socket = UdpSocket::bind((Ipv4Addr::from(0x7f01_0000 + number), 0)).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                socket.send_to(&with(hello, RANDOM, &number.to_be_bytes()), server).unwrap();
                socket
            })
            .collect();
        for socket in sockets {
            let mut answer = [0; 100];
            assert_eq!(socket.recv(&mut answer).unwrap(), 36);
        }
    }
}

#[tokio::test]
async fn sixty_thousand_forged_hellos_cost_no_memory_and_an_honest_client_is_served_between_them() {
    let process = Process::start(ok(), &[]).await;
    let server = process.server();
    let hello = Raw::at(STRANGER, server).await.hello();
    let mut honest = Raw::connect(server).await;
    honest.is_served().await;
    let attack = |first, count| {
        let hello = hello.clone();
        tokio::task::spawn_blocking(move || flood(server, &hello, first, count))
    };
    // After these the process has taken what it needs once.
    attack(0, 2000).await.unwrap();
    let before = process.resident();
    let attacking = attack(2000, 60_000);
    let mut served = 0;
    while !attacking.is_finished() {
        honest.is_served().await;
        if served < 10 {
            assert_eq!(Wire::connect(server).await.get("0").await.code, Code::CONTENT);
            served += 1;
        }
    }
    attacking.await.unwrap();
    assert_eq!(served, 10);
    let grown = process.resident().saturating_sub(before);
    println!("60,000 forged hellos: {grown} bytes more");
    // The sessions of ten clients, and not 20 bytes for each hello.
    assert!(grown < 1_000_000, "{grown}");
    honest.is_served().await;
}

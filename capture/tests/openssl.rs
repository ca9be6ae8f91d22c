//! Sessions of OpenSSL with OpenSSL, in memory: each suite that it has with an AEAD, certificates and
//! pre-shared keys, full handshakes and resumed ones. Every plaintext has to come out as it went in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "openssl/ends.rs"]
mod ends;

use ends::{Ends, Run, messages, p256, rsa};
use lowband_capture::session::Keys;
use lowband_capture::{Capture, Datagram, Event, Exchange, Options, Session, Suite, Time};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Reads datagrams, and returns what has been told and the bytes that details are made of.
fn read(
    capture: &mut Capture,
    datagrams: &[(bool, Vec<u8>)],
) -> (Vec<Session>, Vec<Exchange>, HashMap<u64, Vec<u8>>) {
    let (client, server): (SocketAddr, SocketAddr) =
        ("10.0.0.1:5000".parse().unwrap(), "10.0.0.2:8008".parse().unwrap());
    let (mut sessions, mut exchanges, mut file) = (Vec::new(), Vec::new(), HashMap::new());
    let mut take = |event| match event {
        Event::Session(session) => sessions.push(session),
        Event::Exchange(exchange) => exchanges.push(exchange),
        other => panic!("{other:?}"),
    };
    for (at, (from_client, payload)) in datagrams.iter().enumerate() {
        let (from, to) = if *from_client { (client, server) } else { (server, client) };
        let (frame, offset) = (at as u64 + 1, at as u64 * 65_536);
        file.insert(offset, payload.clone());
        let datagram = Datagram {
            frame,
            offset: Some(offset),
            time: Time(frame),
            from,
            to,
            payload,
            length: payload.len(),
        };
        capture.datagram(&datagram, &mut take);
    }
    capture.finish(&mut take);
    exchanges.sort_by_key(|exchange| exchange.number);
    (sessions, exchanges, file)
}

/// Reads a run, and asserts that every message has come out.
fn check(run: &Run, key_log: &str, suite: u16) -> Session {
    let mut capture = Capture::new(Options::default());
    capture.add_secrets(key_log.as_bytes(), 1);
    let (sessions, exchanges, file) = read(&mut capture, &run.datagrams);
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((session.suite, session.keys), (Suite::from_id(suite), Keys::Proven));
    assert_eq!(session.unread, []);
    let mut read = Vec::new();
    for exchange in &exchanges {
        let detail = capture.detail(exchange, &mut |offset, length| {
            let from = (offset % 65_536) as usize;
            file.get(&(offset - from as u64))?.get(from..from + length).map(<[u8]>::to_vec)
        });
        let [asked, answered] = [detail.request_body, detail.response_body].map(|body| body.unwrap().bytes);
        read.push((asked, answered));
    }
    let all = messages();
    let expected: Vec<_> = all.chunks(2).map(|pair| (pair[0][8..].to_vec(), pair[1][6..].to_vec())).collect();
    assert_eq!(read, expected, "{suite:#06x}");
    session.clone()
}

#[test]
fn every_plaintext_of_every_suite_comes_out_and_of_resumed_sessions_too() {
    let (p256, rsa) = (p256(), rsa());
    for (number, suite, key) in [
        (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", &p256),
        (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", &rsa),
        (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", &p256),
        (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", &rsa),
        (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", &p256),
        (0xc030, "ECDHE-RSA-AES256-GCM-SHA384", &rsa),
        (0xc0ae, "ECDHE-ECDSA-AES128-CCM8", &p256),
        (0xc0ac, "ECDHE-ECDSA-AES128-CCM", &p256),
        (0xc0ad, "ECDHE-ECDSA-AES256-CCM", &p256),
        (0xc0af, "ECDHE-ECDSA-AES256-CCM8", &p256),
        (0x009c, "AES128-GCM-SHA256", &rsa),
        (0x00a8, "PSK-AES128-GCM-SHA256", &p256),
        (0x00a9, "PSK-AES256-GCM-SHA384", &p256),
        (0xc0a4, "PSK-AES128-CCM", &p256),
        (0xc0a8, "PSK-AES128-CCM8", &p256),
        (0xc0a9, "PSK-AES256-CCM8", &p256),
        (0xccab, "PSK-CHACHA20-POLY1305", &p256),
        (0xccac, "ECDHE-PSK-CHACHA20-POLY1305", &p256),
    ] {
        let ends = Ends::new(suite, key);
        let first = ends.meet(None, &messages());
        let log = ends.key_log.lock().unwrap().clone();
        let session = check(&first, &log, number);
        assert!(!session.resumed && !first.was_resumed);
        let again = ends.meet(Some(&first.session.unwrap()), &messages());
        assert!(again.was_resumed, "{suite}");
        let log = ends.key_log.lock().unwrap().clone();
        assert!(check(&again, &log, number).resumed, "{suite}");
    }
}

#[test]
fn a_capture_with_a_lost_datagram_loses_its_messages_alone() {
    let ends = Ends::new("ECDHE-ECDSA-AES128-GCM-SHA256", &p256());
    let run = ends.meet(None, &messages());
    let log = ends.key_log.lock().unwrap().clone();
    let messages_from = run.datagrams.len() - messages().len() - 1;
    for lost in 0..run.datagrams.len() {
        let mut datagrams = run.datagrams.clone();
        datagrams.remove(lost);
        let mut capture = Capture::new(Options::default());
        capture.add_secrets(log.as_bytes(), 1);
        let mut read = 0;
        let client: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let server: SocketAddr = "10.0.0.2:8008".parse().unwrap();
        for (at, (from_client, payload)) in datagrams.iter().enumerate() {
            let (from, to) = if *from_client { (client, server) } else { (server, client) };
            let length = payload.len();
            let (frame, offset, time) = (at as u64 + 1, None, Time(at as u64));
            capture.datagram(&Datagram { frame, offset, time, from, to, payload, length }, &mut |_| {});
        }
        capture.finish(&mut |event| {
            if let Event::Exchange(exchange) = event {
                read += exchange.messages.len();
            }
        });
        let all = messages().len();
        let expected = if lost >= messages_from && lost + 1 < run.datagrams.len() { all - 1 } else { all };
        // Without the first hello there is the one with the cookie, or nothing else with the random.
        assert!(read == expected || (lost < messages_from && read == 0), "without {lost}: {read}");
    }
}

//! Records that our own record layer has sealed with ChaCha20-Poly1305, which Wireshark cannot read in DTLS.
//! A server of ours with a key log prefers other suites, so a client of OpenSSL offers this one alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what helps a test may fail as the test does, and reads clocks"
)]

use lowband_capture::session::Keys;
use lowband_capture::{Capture, Datagram, Event, Options, Suite, Time};
use lowband_transport::coap::{Code, Limits, ResponseOptions, Times};
use lowband_transport::dtls::{self, PrivateKey, ServerIdentity};
use lowband_transport::{Server, server};
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

const SUITE: u16 = 0xcca9;

/// Datagrams in one direction.
type Way = Rc<RefCell<VecDeque<Vec<u8>>>>;

struct Pipe {
    up: Way,
    down: Way,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.down.borrow_mut().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.up.borrow_mut().push_back(bytes.to_vec());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server of ours that sends each body back, and a capture of what it gets and sends.
struct Echo {
    server: Server,
    now: Instant,
    up: Way,
    down: Way,
    client: SocketAddr,
    captured: Vec<(bool, Vec<u8>)>,
    key_log: String,
}

impl Echo {
    fn new() -> Echo {
        let identity = ServerIdentity {
            certificate_chain: include_bytes!("../../fuzz/certificate.pem").to_vec(),
            private_key: PrivateKey::from(include_bytes!("../../fuzz/key.pem").to_vec()),
        };
        let dtls = dtls::Config { server: Some(identity), key_log: true, ..dtls::Config::default() };
        let config = server::Config { dtls, times: Times::measured(), limits: Limits::default() };
        Echo {
            server: Server::new(config, [3; 32]).unwrap(),
            now: Instant::now(),
            up: Way::default(),
            down: Way::default(),
            client: "192.0.2.1:5000".parse().unwrap(),
            captured: Vec::new(),
            key_log: String::new(),
        }
    }

    fn pipe(&self) -> Pipe {
        Pipe { up: Rc::clone(&self.up), down: Rc::clone(&self.down) }
    }

    /// Takes what the client has sent, and sends what there is to say.
    fn run(&mut self) {
        loop {
            let arrived = self.up.borrow_mut().pop_front();
            if let Some(bytes) = arrived {
                self.server.handle_datagram(self.now, self.client, None, &bytes);
                self.captured.push((true, bytes));
            } else if let Some(transmit) = self.server.poll_transmit() {
                self.captured.push((false, transmit.bytes.clone()));
                self.down.borrow_mut().push_back(transmit.bytes);
            } else if let Some(event) = self.server.poll_event() {
                if let server::Event::Request { exchange, body, .. } = event {
                    self.server.respond_head(self.now, exchange, Code::CONTENT, ResponseOptions::default());
                    self.server.respond_chunk(self.now, exchange, &body, true);
                }
            } else if let Some(line) = self.server.poll_key_log() {
                self.key_log += &(line + "\n");
            } else {
                return;
            }
        }
    }
}

/// A confirmable PUT to `/9` with a body of this many bytes.
fn request(id: u8, length: usize) -> Vec<u8> {
    [&[0x41, 3, 0, id, id, 0xb1, b'9', 0xff], &vec![id; length][..]].concat()
}

#[test]
fn chacha20_poly1305_of_our_own_records_is_read() {
    let mut echo = Echo::new();
    let mut context = SslContext::builder(SslMethod::dtls_client()).unwrap();
    context.set_cipher_list("ECDHE-ECDSA-CHACHA20-POLY1305").unwrap();
    context.set_verify(SslVerifyMode::NONE);
    let mut client = SslStream::new(Ssl::new(&context.build()).unwrap(), echo.pipe()).unwrap();
    loop {
        match client.connect() {
            Ok(()) => break,
            Err(why) => assert_eq!(why.code(), ErrorCode::WANT_READ, "{why}"),
        }
        echo.run();
    }
    let lengths = [1, 15, 16, 17, 900];
    let mut buffer = [0; 2048];
    for (id, length) in (1..).zip(lengths) {
        client.ssl_write(&request(id, length)).unwrap();
        echo.run();
        let got = client.ssl_read(&mut buffer).unwrap();
        assert!(buffer[..got].ends_with(&vec![id; length]), "the answer to {id}");
    }

    let mut capture = Capture::new(Options::default());
    capture.add_secrets(echo.key_log.as_bytes(), 1);
    let (mut exchanges, mut sessions) = (Vec::new(), Vec::new());
    let mut take = |event| match event {
        Event::Exchange(exchange) => exchanges.push(exchange),
        Event::Session(session) => sessions.push(session),
        other => panic!("{other:?}"),
    };
    let server: SocketAddr = "198.51.100.1:8008".parse().unwrap();
    for (at, (from_client, payload)) in echo.captured.iter().enumerate() {
        let (from, to) = if *from_client { (echo.client, server) } else { (server, echo.client) };
        let (frame, offset, length) = (at as u64 + 1, Some(at as u64 * 65_536), payload.len());
        let datagram = Datagram { frame, offset, time: Time(frame), from, to, payload, length };
        capture.datagram(&datagram, &mut take);
    }
    capture.finish(&mut take);
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((session.suite, session.keys), (Suite::from_id(SUITE), Keys::Proven));
    exchanges.sort_by_key(|exchange| exchange.number);
    let bodies = exchanges.iter().map(|exchange| {
        let detail = capture.detail(exchange, &mut |offset, length| {
            let (at, from) = ((offset / 65_536) as usize, (offset % 65_536) as usize);
            Some(echo.captured[at].1[from..from + length].to_vec())
        });
        [detail.request_body, detail.response_body].map(|body| body.unwrap().bytes)
    });
    let expected = (1..).zip(lengths).map(|(id, length)| [vec![id; length], vec![id; length]]);
    assert!(bodies.eq(expected));
}

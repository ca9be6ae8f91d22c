//! Our own client and server over a link that loses, doubles and reorders, captured at the server: each
//! request that was carried out is one exchange, and its bodies are what the two ends have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what helps a test may fail as the test does, and reads files and clocks"
)]

use lowband_capture::session::Keys;
use lowband_capture::{Capture, Datagram, Event, Exchange, Kind, Options, Session, State, Time};
use lowband_transport::coap::{Code, Limits, Method, Request, RequestOptions, ResponseOptions, Times};
use lowband_transport::dtls::{self, PrivateKey, ServerIdentity, Verification};
use lowband_transport::{Client, Server, SessionId, client, server};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SERVER: &str = "198.51.100.1:8008";
const CLIENT: &str = "192.0.2.1:5000";

/// Throws of a die from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }
}

/// Both ends, and what a capture at the server has seen.
struct Link {
    seed: u64,
    dice: Dice,
    start: Instant,
    now: Instant,
    client: Client,
    server: Server,
    /// How many of a hundred datagrams are lost.
    loss: u64,
    due: BTreeMap<(Instant, usize), (bool, Vec<u8>)>,
    count: usize,
    captured: Vec<(Duration, bool, Vec<u8>)>,
    key_log: String,
    /// Bodies of requests as the server has got them.
    executed: Vec<Vec<u8>>,
    /// Bodies of responses as the client has got them.
    answered: Vec<Vec<u8>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed of this simulation is {}", self.seed);
        }
    }
}

impl Link {
    fn new(seed: u64, loss: u64) -> Link {
        let pem = |text: &str| text.as_bytes().to_vec();
        let identity = ServerIdentity {
            certificate_chain: pem(include_str!("../../fuzz/certificate.pem")),
            private_key: PrivateKey::from(pem(include_str!("../../fuzz/key.pem"))),
        };
        let dtls = dtls::Config { server: Some(identity), key_log: true, ..dtls::Config::default() };
        let server = server::Config { dtls, times: Times::measured(), limits: Limits::default() };
        let dtls = dtls::Config { client: Some(Verification::None), ..dtls::Config::default() };
        let client = client::Config { dtls, times: Times::measured(), limits: Limits::default() };
        let start = Instant::now();
        Link {
            seed,
            dice: Dice(seed * 2 + 1),
            start,
            now: start,
            client: Client::new(client, [seed as u8; 32]).unwrap(),
            server: Server::new(server, [!seed as u8; 32]).unwrap(),
            loss,
            due: BTreeMap::new(),
            count: 0,
            captured: Vec::new(),
            key_log: String::new(),
            executed: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// Sends a datagram on its way, once, twice or not at all.
    fn send(&mut self, from_client: bool, bytes: Vec<u8>) {
        if !from_client {
            self.captured.push((self.now - self.start, false, bytes.clone()));
        }
        if self.dice.below(100) < self.loss {
            return;
        }
        let copies = if self.dice.below(100) < self.loss { 2 } else { 1 };
        for _ in 0..copies {
            let delay = Duration::from_millis(20 + self.dice.below(if self.loss > 0 { 80 } else { 1 }));
            self.count += 1;
            self.due.insert((self.now + delay, self.count), (from_client, bytes.clone()));
        }
    }

    fn drain(&mut self) {
        loop {
            if let Some(transmit) = self.client.poll_transmit() {
                self.send(true, transmit.bytes);
            } else if let Some(transmit) = self.server.poll_transmit() {
                self.send(false, transmit.bytes);
            } else if let Some(event) = self.client.poll_event() {
                match event {
                    client::Event::Response { response, .. } => self.answered.push(response.body),
                    client::Event::Failed { why, .. } => panic!("{why}"),
                    _ => {}
                }
            } else if let Some(event) = self.server.poll_event() {
                if let server::Event::Request { exchange, body, .. } = event {
                    // The answer is as long as the request says, so that both may have many blocks.
                    let answer = vec![b'0' + (body.len() % 10) as u8; body.len() * 3 % 9000];
                    let options = ResponseOptions::default();
                    self.server.respond_head(self.now, exchange, Code::CONTENT, options);
                    self.server.respond_chunk(self.now, exchange, &answer, true);
                    self.executed.push(body);
                }
            } else if let Some(line) = self.server.poll_key_log() {
                self.key_log += &(line + "\n");
            } else {
                return;
            }
        }
    }

    /// Lets time pass until this many responses are there.
    fn run(&mut self, responses: usize) {
        let end = self.now + Duration::from_secs(600);
        self.drain();
        while self.answered.len() < responses {
            let arrival = self.due.keys().next().map(|(at, _)| *at);
            let next = [arrival, self.client.poll_timeout(), self.server.poll_timeout()];
            self.now = self.now.max(next.into_iter().flatten().min().unwrap());
            assert!(self.now < end, "{} of {responses} responses", self.answered.len());
            while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from_client, bytes) = entry.remove();
                if from_client {
                    self.captured.push((self.now - self.start, true, bytes.clone()));
                    self.server.handle_datagram(self.now, CLIENT.parse().unwrap(), None, &bytes);
                } else {
                    self.client.handle_datagram(self.now, SERVER.parse().unwrap(), None, &bytes);
                }
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.drain();
        }
    }

    fn put(&mut self, session: SessionId, which: usize, length: usize) {
        let options = RequestOptions {
            path: vec!["9".into(), "!r:a".into(), "m.x".into(), which.to_string()],
            content_format: Some(50),
            cbor_version: Some(1),
            authorization: Some("a-secret".into()),
            ..RequestOptions::default()
        };
        let body = format!("\"{}\"", "x".repeat(length - 2)).into_bytes();
        self.client.request(self.now, session, Request { method: Method::Put, options, body });
    }
}

/// What a capture has told of what was seen.
struct Told {
    capture: Capture,
    exchanges: Vec<Exchange>,
    sessions: Vec<Session>,
    unread: Vec<&'static str>,
}

fn read(link: &Link, captured: &[(Duration, bool, Vec<u8>)]) -> Told {
    let mut capture = Capture::new(Options::default());
    capture.add_secrets(link.key_log.as_bytes(), 1);
    let (client, server): (SocketAddr, SocketAddr) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    let (mut exchanges, mut sessions, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    let mut take = |event| match event {
        Event::Exchange(exchange) => exchanges.push(exchange),
        Event::Session(session) => sessions.push(session),
        Event::Unread(one) => unread.push(one.why.name()),
        other => panic!("{other:?}"),
    };
    for (at, (time, from_client, payload)) in captured.iter().enumerate() {
        let (from, to) = if *from_client { (client, server) } else { (server, client) };
        let (frame, offset, length) = (at as u64 + 1, Some(at as u64 * 65_536), payload.len());
        let time = Time(time.as_nanos() as u64);
        capture.datagram(&Datagram { frame, offset, time, from, to, payload, length }, &mut take);
    }
    capture.finish(&mut take);
    exchanges.retain(|exchange| exchange.kind == Kind::Request);
    exchanges.sort_by_key(|exchange| exchange.number);
    Told { capture, exchanges, sessions, unread }
}

/// Returns the bodies of each exchange.
fn bodies(link: &Link, told: &Told) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bodies = |exchange| {
        let detail = told.capture.detail(exchange, &mut |offset, length| {
            let (_, _, payload) = link.captured.get((offset / 65_536) as usize)?;
            let from = (offset % 65_536) as usize;
            payload.get(from..from + length).map(<[u8]>::to_vec)
        });
        [detail.request_body, detail.response_body]
            .map(|body| body.map(|body| body.bytes).unwrap_or_default())
            .into()
    };
    told.exchanges.iter().map(bodies).collect()
}

const LENGTHS: [usize; 6] = [3, 1000, 1025, 2048, 5000, 2990];

/// Has a client make requests of all these lengths at once.
fn run(seed: u64, loss: u64) -> Link {
    let mut link = Link::new(seed, loss);
    let session = link.client.connect(link.now, SERVER.parse().unwrap(), "server.test").unwrap();
    for (which, length) in LENGTHS.into_iter().enumerate() {
        link.put(session, which, length);
    }
    link.run(LENGTHS.len());
    link
}

#[test]
fn each_request_that_was_carried_out_is_one_exchange_with_its_bodies() {
    for seed in 0..24 {
        let loss = seed % 4 * 8;
        let link = run(seed, loss);
        let told = read(&link, &link.captured);
        let [session] = &told.sessions[..] else { panic!("{:?}", told.sessions) };
        assert_eq!((session.keys, session.cbor_version), (Keys::Proven, Some(1)));
        assert_eq!(session.unread.len(), told.unread.iter().collect::<std::collections::BTreeSet<_>>().len());
        let mut found = bodies(&link, &told);
        let mut expected: Vec<_> = link
            .executed
            .iter()
            .map(|body| (body.clone(), vec![b'0' + (body.len() % 10) as u8; body.len() * 3 % 9000]))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found.len(), expected.len(), "seed {seed}: {:#?}", told.exchanges);
        assert!(found == expected, "seed {seed}");
        let repeats: u32 = told.exchanges.iter().map(|exchange| exchange.repeats).sum();
        assert_eq!(repeats > 0, loss > 0, "seed {seed}");
        for exchange in &told.exchanges {
            assert_eq!(exchange.state, State::Complete, "seed {seed}: {exchange:#?}");
            assert_eq!(exchange.path_code, Some('9'));
            let body = exchange.request_body.as_ref().unwrap();
            assert_eq!(body.json_bytes, Some(body.bytes), "JSON as it is");
        }
        // What is not of an exchange is of the handshake, or cannot be read, or is there twice.
        let up: u64 = told.exchanges.iter().map(|exchange| exchange.up.bytes).sum();
        assert!(up + session.handshake_up.bytes <= session.up.bytes);
    }
}

#[test]
fn a_capture_that_begins_or_ends_anywhere_loses_what_it_lacks_and_invents_nothing() {
    let link = run(3, 0);
    let whole = bodies(&link, &read(&link, &link.captured));
    for cut in 1..link.captured.len() {
        let told = read(&link, &link.captured[..cut]);
        for (exchange, found) in told.exchanges.iter().zip(bodies(&link, &told)) {
            if exchange.state == State::Complete {
                assert!(whole.contains(&found), "cut at {cut}");
            } else {
                assert_eq!(exchange.state, State::Cut, "cut at {cut}");
            }
        }
        if cut > 3 {
            // Without the hellos nothing can be read, and each record says so.
            let told = read(&link, &link.captured[cut..]);
            assert!(told.exchanges.is_empty());
            assert!(told.unread.iter().all(|why| *why == "no_handshake"), "{:?}", told.unread);
        }
    }
}

#[test]
fn a_capture_that_has_each_datagram_twice_tells_the_same() {
    let link = run(5, 0);
    let once = read(&link, &link.captured);
    let twice: Vec<_> = link.captured.iter().flat_map(|one| [one.clone(), one.clone()]).collect();
    let told = read(&link, &twice);
    let summary = |told: &Told| {
        let of = |one: &Exchange| {
            (one.path.clone(), one.state, one.up, one.down, one.repeats, one.request_body.clone())
        };
        told.exchanges.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(summary(&told), summary(&once));
    assert!(told.sessions[0].duplicates >= 20);
}

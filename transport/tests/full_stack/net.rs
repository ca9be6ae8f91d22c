//! A network of datagrams: one server, and clients that may be replaced by others at the same address.

use crate::certificates;
use crate::sim::{Dice, MS, zero};
use lowband_transport::coap::{Code, FailReason, Limits, Response, ResponseOptions, Times};
use lowband_transport::dtls::{self, Verification};
use lowband_transport::{Client, ExchangeId, Server, SessionId, Transmit, client, server};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const SERVER: &str = "198.51.100.1:8008";
pub(crate) const CLIENT: &str = "192.0.2.1:5000";

/// One server, and clients that may be replaced by others at the same address.
pub(crate) struct Net {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) server_events: Vec<server::Event>,
    pub(crate) client_events: Vec<client::Event>,
    pub(crate) loss: f64,
    /// Bytes of the longest datagram that passes; longer ones are lost.
    pub(crate) most: usize,
    pub(crate) delay: Duration,
    pub(crate) dice: Dice,
    /// Datagrams on the way; the client's generation keeps those for its predecessor apart.
    pub(crate) due: BTreeMap<(Instant, usize), Transmit>,
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
    /// The longest datagram with application data.
    pub(crate) longest_message: usize,
    /// Body of the answer to requests that have none; others are answered with their own, unless
    /// `silent` is set.
    pub(crate) answer: Vec<u8>,
    pub(crate) silent: bool,
    pub(crate) executed: Vec<Vec<u8>>,
}

pub(crate) fn new_client(seed: u8) -> Client {
    new_client_with(seed, None)
}

pub(crate) fn new_client_with(seed: u8, max_fragment_length: Option<dtls::MaxFragmentLength>) -> Client {
    let dtls =
        dtls::Config { client: Some(Verification::None), max_fragment_length, ..dtls::Config::default() };
    let config = client::Config { dtls, times: Times::measured(), limits: Limits::default() };
    Client::new(config, [seed; 32]).unwrap()
}

/// Prints the seed if a test fails.
impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed of this simulation is {}", self.seed);
        }
    }
}

impl Net {
    pub(crate) fn new(seed: u64) -> Net {
        Net::with(seed, certificates::Authority::new().identity(&certificates::p256()))
    }

    pub(crate) fn with(seed: u64, identity: dtls::ServerIdentity) -> Net {
        let dtls = dtls::Config { server: Some(identity), ..dtls::Config::default() };
        let config = server::Config { dtls, times: Times::measured(), limits: Limits::default() };
        Net {
            seed,
            now: zero(),
            server: Server::new(config, [1; 32]).unwrap(),
            client: new_client(2),
            server_events: Vec::new(),
            client_events: Vec::new(),
            loss: 0.0,
            most: usize::MAX,
            delay: 50 * MS,
            dice: Dice::new(seed),
            due: BTreeMap::new(),
            datagrams: 0,
            bytes: 0,
            longest_message: 0,
            answer: Vec::new(),
            silent: false,
            executed: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> SessionId {
        let session = self.client.connect(self.now, SERVER.parse().unwrap(), "server.test").unwrap();
        self.drain();
        session
    }

    fn drain(&mut self) {
        loop {
            let sent = self.client.poll_transmit().or_else(|| self.server.poll_transmit());
            if let Some(transmit) = sent {
                self.datagrams += 1;
                self.bytes += transmit.bytes.len();
                if transmit.bytes[0] == 23 {
                    self.longest_message = self.longest_message.max(transmit.bytes.len());
                }
                if !self.dice.chance(self.loss) && transmit.bytes.len() <= self.most {
                    self.due.insert((self.now + self.delay, self.datagrams), transmit);
                }
                continue;
            }
            if let Some(event) = self.client.poll_event() {
                self.client_events.push(event);
                continue;
            }
            let Some(event) = self.server.poll_event() else { return };
            if let server::Event::Request { exchange, body, .. } = &event
                && !self.silent
            {
                self.server.respond_head(self.now, *exchange, Code::CONTENT, ResponseOptions::default());
                let answer = if body.is_empty() { &self.answer } else { body };
                self.server.respond_chunk(self.now, *exchange, answer, true);
            }
            if let server::Event::Request { body, .. } = &event {
                self.executed.push(body.clone());
            }
            self.server_events.push(event);
        }
    }

    pub(crate) fn run(&mut self, most: Duration, done: impl Fn(&Net) -> bool) -> bool {
        let end = self.now + most;
        self.drain();
        while !done(self) {
            let next = [
                self.due.keys().next().map(|(at, _)| *at),
                self.client.poll_timeout(),
                self.server.poll_timeout(),
            ];
            let Some(next) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let transmit = entry.remove();
                let (server, client): (SocketAddr, SocketAddr) =
                    (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
                if transmit.peer == server {
                    self.server.handle_datagram(self.now, client, Some(server.ip()), &transmit.bytes);
                } else {
                    assert_eq!((transmit.peer, transmit.local), (client, Some(server.ip())));
                    self.client.handle_datagram(self.now, server, None, &transmit.bytes);
                }
                self.drain();
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        true
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    pub(crate) fn result(&self, exchange: ExchangeId) -> Option<Result<&Response, &FailReason>> {
        self.client_events.iter().find_map(|event| match event {
            client::Event::Response { exchange: of, response } if *of == exchange => Some(Ok(response)),
            client::Event::Failed { exchange: of, why, .. } if *of == exchange => Some(Err(why)),
            _ => None,
        })
    }
}

//! Endpoints whose handshakes depend on a seed alone, and a fake clock.

use crate::openssl_random;
use lowband_transport::dtls::{Config, Endpoint, Event, Limits, ServerIdentity, Verification};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);
pub(crate) const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5000);
pub(crate) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 8008);

pub(crate) fn identity() -> ServerIdentity {
    ServerIdentity {
        certificate_chain: include_bytes!("../certificate.pem").to_vec(),
        private_key: include_bytes!("../key.pem").to_vec().into(),
    }
}

fn server_endpoint() -> Endpoint {
    let limits = Limits { sessions: 4, half_open: 3, half_open_per_address: 2, ..Limits::default() };
    let config = Config { server: Some(identity()), limits, ..Config::default() };
    Endpoint::new(config, [2; 32]).expect("the certificate is in order")
}

fn client_endpoint() -> Endpoint {
    let config = Config { client: Some(Verification::None), ..Config::default() };
    Endpoint::new(config, [1; 32]).expect("a client needs nothing")
}

/// A server without a client.
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
}

impl Server {
    pub(crate) fn new() -> Server {
        openssl_random::begin(1);
        let start = Instant::now();
        Server { endpoint: server_endpoint(), start, now: start }
    }

    /// Delivers a datagram and returns the immediate replies.
    pub(crate) fn receive(&mut self, peer: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.endpoint.handle_datagram(self.now, peer, None, datagram);
        let answers = std::iter::from_fn(|| self.endpoint.poll_transmit());
        answers.inspect(|transmit| assert_eq!(transmit.peer, peer)).map(|transmit| transmit.bytes).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, arbitrary::Arbitrary)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    pub(crate) fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }

    fn address(self) -> SocketAddr {
        match self {
            End::Client => CLIENT,
            End::Server => SERVER,
        }
    }
}

/// A client and a server.
pub(crate) struct Pair {
    client: Endpoint,
    server: Endpoint,
    pub(crate) now: Instant,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        openssl_random::begin(1);
        Pair { client: client_endpoint(), server: server_endpoint(), now: Instant::now() }
    }

    pub(crate) fn endpoint(&mut self, end: End) -> &mut Endpoint {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }

    /// Delivers a datagram to an end as if the other one had sent it.
    pub(crate) fn deliver(&mut self, to: End, datagram: &[u8]) {
        let now = self.now;
        self.endpoint(to).handle_datagram(now, to.other().address(), None, datagram);
    }

    pub(crate) fn deliver_from_stranger(&mut self, to: End, datagram: &[u8]) {
        let now = self.now;
        self.endpoint(to).handle_datagram(now, STRANGER, None, datagram);
    }

    /// Returns the datagrams that an end has sent to the other one. Those sent to strangers are ignored.
    pub(crate) fn sent(&mut self, from: End) -> Vec<Vec<u8>> {
        let to = from.other().address();
        let transmits = std::iter::from_fn(|| self.endpoint(from).poll_transmit());
        transmits.filter(|transmit| transmit.peer == to).map(|transmit| transmit.bytes).collect()
    }

    pub(crate) fn events(&mut self, of: End) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint(of).poll_event()).collect()
    }

    pub(crate) fn connect(&mut self) {
        let now = self.now;
        self.client.connect(now, SERVER, "server.test").expect("a first flight");
    }

    /// Advances the time and runs due timers.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for end in [End::Client, End::Server] {
            while let Some(due) = self.endpoint(end).poll_timeout().filter(|due| *due <= until) {
                self.endpoint(end).handle_timeout(due);
            }
        }
        self.now = until;
    }
}

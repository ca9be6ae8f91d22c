//! A client and a server over a link in memory, under a fake clock.

use crate::certificates::{Authority, p256};
use lowband_transport::SessionId;
use lowband_transport::dtls::{Config, Counters, Endpoint, Event, Limits, Verification};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Delay of each direction.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            End::Client => "192.0.2.1:5000".parse().unwrap(),
            End::Server => "198.51.100.1:8008".parse().unwrap(),
        }
    }
    pub(crate) fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// A datagram on the link.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) from: End,
    /// Number within its direction, from 0.
    pub(crate) number: usize,
    pub(crate) at: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// Returns for each datagram after which delays it arrives, one for each copy.
pub(crate) type Link = Box<dyn FnMut(&Sent) -> Vec<Duration>>;

pub(crate) struct Pair {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    pub(crate) client_events: Vec<Event>,
    pub(crate) server_events: Vec<Event>,
    pub(crate) link: Link,
    pub(crate) trace: Vec<Sent>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    queue: BTreeMap<(Instant, usize), (End, Vec<u8>)>,
    queued: usize,
}

pub(crate) fn server_config() -> Config {
    Config { server: Some(Authority::new().identity(&p256())), ..Config::default() }
}

pub(crate) fn client_config() -> Config {
    Config { client: Some(Verification::None), ..Config::default() }
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config) -> Pair {
        let now = Instant::now();
        Pair {
            client: Endpoint::new(client, [1; 32]).unwrap(),
            server: Endpoint::new(server, [2; 32]).unwrap(),
            client_events: Vec::new(),
            server_events: Vec::new(),
            link: Box::new(|_| vec![LATENCY]),
            trace: Vec::new(),
            start: now,
            now,
            queue: BTreeMap::new(),
            queued: 0,
        }
    }

    pub(crate) fn default() -> Pair {
        Pair::with_limits(Limits::default())
    }

    /// Makes a pair of which both ends have these limits.
    pub(crate) fn with_limits(limits: Limits) -> Pair {
        let client = Config { limits: limits.clone(), ..client_config() };
        Pair::new(client, Config { limits, ..server_config() })
    }

    /// Makes a pair with a session on which one message has gone each way; traces and events are empty.
    pub(crate) fn connected() -> (Pair, SessionId, SessionId) {
        let mut pair = Pair::default();
        let (client, server) = pair.establish();
        (pair, client, server)
    }

    pub(crate) fn connect(&mut self) -> SessionId {
        self.client.connect(self.now, End::Server.address(), "server.test").unwrap()
    }

    pub(crate) fn establish(&mut self) -> (SessionId, SessionId) {
        let client = self.connect();
        self.run_for(Duration::from_secs(1));
        assert!(matches!(self.client_events[..], [Event::Connected { .. }]), "{:?}", self.client_events);
        self.client.send(self.now, client, b"ping").unwrap();
        self.run_for(LATENCY * 2);
        let [Event::Connected { session: server, .. }, Event::Data { .. }] = self.server_events[..] else {
            panic!("{:?}", self.server_events)
        };
        self.server.send(self.now, server, b"pong").unwrap();
        self.run_for(LATENCY * 2);
        assert_eq!(data(&self.client_events), [b"pong"]);
        self.clear();
        (client, server)
    }

    pub(crate) fn clear(&mut self) {
        self.client_events.clear();
        self.server_events.clear();
        self.trace.clear();
    }

    pub(crate) fn endpoint(&mut self, end: End) -> &mut Endpoint {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }

    /// Gives `bytes` to an end as if they came from the other one.
    pub(crate) fn inject(&mut self, to: End, bytes: &[u8]) {
        let now = self.now;
        self.endpoint(to).handle_datagram(now, to.other().address(), None, bytes);
        self.drain();
    }

    /// Lets this much time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.drain();
            let next = [self.next_arrival(), self.client.poll_timeout(), self.server.poll_timeout()];
            let Some(next) = next.into_iter().flatten().min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            while let Some((_, (to, bytes))) =
                self.next_arrival().filter(|at| *at <= self.now).and_then(|_| self.queue.pop_first())
            {
                self.inject(to, &bytes);
            }
            for end in [End::Client, End::Server] {
                let now = self.now;
                if self.endpoint(end).poll_timeout().is_some_and(|due| due <= now) {
                    self.endpoint(end).handle_timeout(now);
                }
            }
        }
        self.now = until;
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    fn drain(&mut self) {
        for end in [End::Client, End::Server] {
            while let Some(transmit) = self.endpoint(end).poll_transmit() {
                assert_eq!(transmit.peer, end.other().address());
                let number = self.trace.iter().filter(|sent| sent.from == end).count();
                let sent = Sent { from: end, number, at: self.now - self.start, bytes: transmit.bytes };
                for delay in (self.link)(&sent) {
                    self.queued += 1;
                    self.queue.insert((self.now + delay, self.queued), (end.other(), sent.bytes.clone()));
                }
                self.trace.push(sent);
            }
        }
        while let Some(event) = self.client.poll_event() {
            self.client_events.push(event);
        }
        while let Some(event) = self.server.poll_event() {
            self.server_events.push(event);
        }
    }
}

/// Returns what the `Data` events carry.
pub(crate) fn data<'a>(events: &'a [Event]) -> Vec<&'a [u8]> {
    let bytes = |event: &'a Event| match event {
        Event::Data { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    };
    events.iter().filter_map(bytes).collect()
}

/// Returns the counters that are not zero, without gauges and those of the normal course.
pub(crate) fn oddities(counters: &Counters) -> Vec<(&'static str, u64)> {
    const NORMAL: [&str; 4] = ["handshakes", "cookies_sent", "records_in", "records_out"];
    counters.each().filter(|(name, value)| *value > 0 && !NORMAL.contains(name)).collect()
}

//! Thousands of clients in one: a single [`Client`] without I/O, and a UDP socket for each session.
//!
//! To the sans-IO client every session has a server of its own, under a name that only looks like an address
//! (its number); the sidecar sees as many peers as there are sockets. A link of some length is simulated at
//! the sockets: each datagram is held back for half a round trip on its way out, and again on its way in.

use lowband_e2e::{Error, Result};
use lowband_transport::client::{Config, Event};
use lowband_transport::coap::{self, Request, Times};
use lowband_transport::dtls::{self, Verification};
use lowband_transport::{Client, ExchangeId, SessionId, Transmit};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, sleep_until};

/// Longest time in which nothing happens while anything is waited for. Retransmissions come much sooner.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a receive buffer: more than any datagram of a handshake (its MTU) or with a block of 1,024 bytes.
const LARGEST: usize = 2048;
/// Number of datagrams taken at once.
const BATCH: usize = 64;

/// Datagrams and bytes of UDP payload, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of UDP datagrams that were counted.
    pub datagrams: usize,
    /// Bytes of their UDP payload.
    pub bytes: usize,
}

/// A datagram for the session with this number.
type Arrival = (usize, Vec<u8>);

/// The clients of one sidecar.
#[derive(Debug)]
pub struct Fleet {
    client: Client,
    server: SocketAddr,
    one_way: Duration,
    sockets: Vec<Arc<UdpSocket>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    arrived: mpsc::UnboundedReceiver<Arrival>,
    readers: JoinSet<()>,
    traffic: Traffic,
    /// Number of datagrams that may still be sent; further ones are lost. `None`: no limit.
    allowance: Option<usize>,
}

impl Fleet {
    /// Makes a fleet without clients. `round_trip` is that of the link to the sidecar.
    pub fn new(server: SocketAddr, round_trip: Duration) -> Result<Fleet> {
        let config = Config {
            dtls: dtls::Config { client: Some(Verification::None), ..dtls::Config::default() },
            times: Times::measured(),
            limits: coap::Limits::default(),
        };
        let mut seed = [0; 32];
        openssl::rand::rand_bytes(&mut seed).map_err(|why| Error::Setup(format!("no random seed: {why}")))?;
        let client = Client::new(config, seed)
            .map_err(|why| Error::Setup(format!("the clients cannot be made: {why}")))?;
        let (arrivals, arrived) = mpsc::unbounded_channel();
        Ok(Fleet {
            client,
            server,
            one_way: round_trip / 2,
            sockets: Vec::new(),
            arrivals,
            arrived,
            readers: JoinSet::new(),
            traffic: Traffic::default(),
            allowance: None,
        })
    }

    /// Returns what the clients have sent and received since the last call.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// Connects `count` more clients, `at_once` of them at the same time, until each has finished its
    /// handshake.
    pub async fn connect(&mut self, count: usize, at_once: usize) -> Result<Vec<SessionId>> {
        let mut connected = Vec::with_capacity(count);
        let mut begun = 0;
        while connected.len() < count {
            while begun < count && begun - connected.len() < at_once {
                self.begin(Ipv4Addr::LOCALHOST).await?;
                begun += 1;
            }
            match self.next("a handshake").await? {
                Event::Connected { session, .. } => connected.push(session),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(connected)
    }

    /// Makes `total` requests, one at a time on each of the `sessions`, each of which must be answered by a
    /// success with `length` bytes. The request is made from its number.
    pub async fn ask(
        &mut self,
        sessions: &[SessionId],
        total: usize,
        length: usize,
        request: impl Fn(usize) -> Request,
    ) -> Result<()> {
        let mut under_way = HashMap::new();
        let mut numbers = 0..total;
        for (&session, number) in sessions.iter().zip(numbers.by_ref()) {
            under_way.insert(self.client.request(Instant::now(), session, request(number)), session);
        }
        while !under_way.is_empty() {
            match self.next("an answer").await? {
                Event::Response { exchange, response }
                    if response.code.is_success() && response.body.len() == length =>
                {
                    let Some(session) = under_way.remove(&exchange) else { continue };
                    if let Some(number) = numbers.next() {
                        let exchange = self.client.request(Instant::now(), session, request(number));
                        under_way.insert(exchange, session);
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
        Ok(())
    }

    /// Makes one request on the first of the `sessions`, which must be answered by a success. Returns the
    /// bytes of the answer.
    pub async fn length(&mut self, sessions: &[SessionId], request: Request) -> Result<usize> {
        let first = sessions.first().ok_or_else(|| Error::Setup("the fleet has no session".to_owned()))?;
        self.client.request(Instant::now(), *first, request);
        match self.next("an answer").await? {
            Event::Response { response, .. } if response.code.is_success() => Ok(response.body.len()),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins the handshake of one more client, from this address; [`Event::Connected`] or [`Event::Closed`]
    /// reports how it went.
    pub async fn begin(&mut self, from: Ipv4Addr) -> Result<SessionId> {
        let open = async {
            let socket = UdpSocket::bind((from, 0)).await?;
            socket.connect(self.server).await?;
            Ok(Arc::new(socket))
        };
        let doing = "open one more UDP socket (`ulimit -n` must be higher than the number of sessions)";
        let socket = open.await.map_err(Error::io(doing))?;
        let number = self.sockets.len();
        self.readers.spawn(read(Arc::clone(&socket), number, self.one_way, self.arrivals.clone()));
        self.sockets.push(socket);
        let begun = self.client.connect(Instant::now(), name(number), "localhost");
        begun.map_err(|why| Error::Setup(format!("a handshake cannot begin: {why}")))
    }

    /// Makes a request; its outcome is reported as an event.
    pub fn request(&mut self, session: SessionId, request: Request) -> ExchangeId {
        self.client.request(Instant::now(), session, request)
    }

    /// Lets the sockets take so many more datagrams and then none, as if the rest were lost on the way.
    pub fn allow(&mut self, more: usize) {
        self.allowance = Some(self.allowance.unwrap_or_default() + more);
    }

    /// Moves datagrams until something has happened.
    async fn next(&mut self, what: &str) -> Result<Event> {
        self.event_before(Instant::now() + PATIENCE).await.ok_or_else(|| Error::Deadline {
            what: what.to_owned(),
            after: PATIENCE,
            last: "silence".to_owned(),
        })
    }

    /// Moves datagrams until something has happened, or until then; datagrams that have arrived are taken
    /// even if that is past.
    pub async fn event_before(&mut self, until: Instant) -> Option<Event> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut has_looked = false;
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                self.send(transmit).await;
            }
            if let Some(event) = self.client.poll_event() {
                return Some(event);
            }
            if Instant::now() >= until {
                if has_looked {
                    return None;
                }
                // The sockets are read by tasks of this thread.
                yield_now().await;
            }
            has_looked = true;
            let timer = self.client.poll_timeout();
            let due = timer.map_or(until, |timer| timer.min(until));
            tokio::select! {
                biased;
                _ = self.arrived.recv_many(&mut batch, BATCH) => {}
                () = sleep_until(due.into()) => {}
            }
            let now = Instant::now();
            for (number, datagram) in batch.drain(..) {
                self.count(&datagram);
                self.client.handle_datagram(now, name(number), None, &datagram);
            }
            if timer.is_some_and(|timer| timer <= now) {
                self.client.handle_timeout(now);
            }
        }
    }

    async fn send(&mut self, transmit: Transmit) {
        self.count(&transmit.bytes);
        if let Some(allowance) = &mut self.allowance {
            let Some(less) = allowance.checked_sub(1) else { return };
            *allowance = less;
        }
        let Some(socket) = self.sockets.get(number(transmit.peer)) else { return };
        // A datagram that cannot be sent is lost, which clients can bear.
        if self.one_way.is_zero() {
            let _ = socket.send(&transmit.bytes).await;
        } else {
            let (socket, one_way) = (Arc::clone(socket), self.one_way);
            tokio::spawn(async move {
                sleep(one_way).await;
                let _ = socket.send(&transmit.bytes).await;
            });
        }
    }

    fn count(&mut self, datagram: &[u8]) {
        self.traffic.datagrams += 1;
        self.traffic.bytes += datagram.len();
    }
}

/// Reads one socket, as a task of its own.
async fn read(
    socket: Arc<UdpSocket>,
    number: usize,
    one_way: Duration,
    arrivals: mpsc::UnboundedSender<Arrival>,
) {
    let mut buffer = [0; LARGEST];
    while let Ok(length) = socket.recv(&mut buffer).await {
        let arrival = (number, buffer.get(..length).unwrap_or_default().to_vec());
        if one_way.is_zero() {
            // The fleet no longer listens: it is being dropped, and with it this task.
            let _ = arrivals.send(arrival);
        } else {
            let arrivals = arrivals.clone();
            tokio::spawn(async move {
                sleep(one_way).await;
                let _ = arrivals.send(arrival);
            });
        }
    }
}

/// Returns the name by which the client without I/O knows the server of a session.
fn name(number: usize) -> SocketAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    (Ipv4Addr::from(number), 1).into()
}

fn number(name: SocketAddr) -> usize {
    match name {
        SocketAddr::V4(name) => name.ip().to_bits() as usize,
        SocketAddr::V6(_) => usize::MAX,
    }
}

fn unexpected(event: &Event) -> Error {
    // A body of 128,000 bytes is of no use in a message.
    let got = format!("{event:?}").chars().take(300).collect();
    Error::Wrong { what: "a client".to_owned(), expected: "to be served".to_owned(), got }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_sessions_are_the_same_thing() {
        for session in [0, 1, 255, 256, 65_536, 11_999] {
            assert_eq!(number(name(session)), session);
        }
    }
}

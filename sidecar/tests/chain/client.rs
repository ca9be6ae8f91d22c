//! A client on the wire: one session over a UDP socket, with any option a test wants, that can stop reading.

use crate::harness::PATIENCE;
use lowband_transport::client::{Client, Config, Event};
use lowband_transport::coap::{self, FailReason, Request, Response};
use lowband_transport::dtls::{self, CloseReason, Verification};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::Method;
use lowband_wire::coap::options::RequestOptions;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) type Outcome = Result<Response, FailReason>;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) struct Wire {
    asks: mpsc::UnboundedSender<Ask>,
    closed: watch::Receiver<Option<CloseReason>>,
}

enum Ask {
    Request(Request, oneshot::Sender<Outcome>),
    Pause(oneshot::Receiver<()>),
    Close,
}

impl Wire {
    pub(crate) async fn connect(server: SocketAddr) -> Wire {
        Wire::connect_from(LOOPBACK, server).await
    }

    /// Connects from another address of the loopback network.
    pub(crate) async fn connect_from(local: Ipv4Addr, server: SocketAddr) -> Wire {
        let (wire, connected) = Wire::believing(local, server, Verification::None).await;
        let done = tokio::time::timeout(PATIENCE, connected).await.expect("no handshake");
        done.expect("the handshake failed");
        wire
    }

    /// Returns whether the server shows this self-signed certificate (PEM) to new clients.
    pub(crate) async fn is_shown(server: SocketAddr, certificate: &[u8]) -> bool {
        let (_wire, connected) =
            Wire::believing(LOOPBACK, server, Verification::Roots(certificate.to_vec())).await;
        tokio::time::timeout(PATIENCE, connected).await.expect("no end of the handshake").is_ok()
    }

    /// Begins a handshake that may fail; the receiver reports its end.
    pub(crate) async fn start(server: SocketAddr) -> (Wire, oneshot::Receiver<()>) {
        Wire::believing(LOOPBACK, server, Verification::None).await
    }

    async fn believing(
        local: Ipv4Addr,
        server: SocketAddr,
        verification: Verification,
    ) -> (Wire, oneshot::Receiver<()>) {
        let socket = UdpSocket::bind((local, 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        let config = Config {
            dtls: dtls::Config { client: Some(verification), ..dtls::Config::default() },
            times: coap::Times::measured(),
            limits: coap::Limits { exchanges_per_session: 1000, ..coap::Limits::default() },
        };
        let mut seed = [0; 32];
        openssl::rand::rand_bytes(&mut seed).unwrap();
        let mut client = Client::new(config, seed).unwrap();
        let session = client.connect(Instant::now(), server, "localhost").unwrap();
        let (asks, asked) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(None);
        let (connecting, connected) = oneshot::channel();
        let driver = Driver {
            client,
            session,
            socket,
            server,
            asked,
            closing,
            connecting: Some(connecting),
            waiting: HashMap::new(),
        };
        tokio::spawn(driver.run());
        (Wire { asks, closed }, connected)
    }

    /// Sends a request; the answer comes on the receiver.
    pub(crate) fn ask(
        &self,
        method: Method,
        options: RequestOptions,
        body: &[u8],
    ) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let request = Request { method, options, body: body.to_vec() };
        let _ = self.asks.send(Ask::Request(request, answer));
        answered
    }

    pub(crate) async fn request(&self, method: Method, options: RequestOptions, body: &[u8]) -> Response {
        answer(self.ask(method, options, body)).await.expect("a response")
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::Get, options(path), b"").await
    }

    /// Stops reading and sending until the returned sender is used or dropped.
    pub(crate) fn pause(&self) -> oneshot::Sender<()> {
        let (resume, resumed) = oneshot::channel();
        let _ = self.asks.send(Ask::Pause(resumed));
        resume
    }

    /// Sends close_notify and ends.
    pub(crate) fn close(&self) {
        let _ = self.asks.send(Ask::Close);
    }

    /// Waits until the session has ended.
    pub(crate) async fn closed(&mut self) -> CloseReason {
        let ended = tokio::time::timeout(PATIENCE, self.closed.wait_for(Option::is_some)).await;
        ended.expect("the session still lives").unwrap().clone().unwrap()
    }
}

/// Returns the answer to [`Wire::ask`], with patience.
pub(crate) async fn answer(answered: oneshot::Receiver<Outcome>) -> Outcome {
    tokio::time::timeout(PATIENCE, answered).await.expect("no answer").expect("the client has ended")
}

/// Makes options from a path with queries, taken literally: nothing is decoded.
pub(crate) fn options(target: &str) -> RequestOptions {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    RequestOptions {
        path: path.strip_prefix('/').unwrap_or(path).split('/').map(str::to_owned).collect(),
        query: query.split('&').filter(|q| !q.is_empty()).map(str::to_owned).collect(),
        ..RequestOptions::default()
    }
}

struct Driver {
    client: Client,
    session: SessionId,
    socket: UdpSocket,
    server: SocketAddr,
    asked: mpsc::UnboundedReceiver<Ask>,
    closing: watch::Sender<Option<CloseReason>>,
    connecting: Option<oneshot::Sender<()>>,
    waiting: HashMap<ExchangeId, oneshot::Sender<Outcome>>,
}

impl Driver {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                let _ = self.socket.send(&transmit.bytes).await;
            }
            while let Some(event) = self.client.poll_event() {
                self.handle(event);
            }
            let due = self.client.poll_timeout().unwrap_or_else(|| Instant::now() + PATIENCE);
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    if let Ok(len) = received {
                        self.client.handle_datagram(Instant::now(), self.server, None, &buffer[..len]);
                    }
                }
                ask = self.asked.recv() => match ask {
                    Some(Ask::Request(request, answer)) => {
                        let exchange = self.client.request(Instant::now(), self.session, request);
                        self.waiting.insert(exchange, answer);
                    }
                    Some(Ask::Pause(resumed)) => {
                        let _ = resumed.await;
                    }
                    Some(Ask::Close) => self.client.close(Instant::now(), self.session),
                    None => return,
                },
                () = tokio::time::sleep_until(due.into()) => self.client.handle_timeout(Instant::now()),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let (exchange, outcome) = match event {
            Event::Response { exchange, response } => (exchange, Ok(response)),
            Event::Failed { exchange, why, .. } => (exchange, Err(why)),
            Event::Connected { .. } => {
                let _ = self.connecting.take().unwrap().send(());
                return;
            }
            Event::Closed { why, .. } => {
                self.connecting = None;
                let _ = self.closing.send(Some(why));
                return;
            }
            _ => return,
        };
        if let Some(answer) = self.waiting.remove(&exchange) {
            let _ = answer.send(outcome);
        }
    }
}

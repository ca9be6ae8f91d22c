//! A low-bandwidth server with a made-up inside: `lowband_transport::Server` on a loopback socket, in a
//! thread of its own.

use crate::certificate::Certificate;
use lowband_transport::coap::{Limits, Times};
use lowband_transport::dtls::{self, CloseReason, ServerIdentity};
use lowband_transport::server::{Config, Event};
use lowband_transport::{ExchangeId, Server, SessionId};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) options: RequestOptions,
    pub(crate) body: Vec<u8>,
    /// The port that the request came from.
    pub(crate) port: u16,
}

/// What the stub does with a request.
pub(crate) enum Reply {
    Now(Code, ResponseOptions, Vec<u8>),
    /// The answer comes when the next request has been answered.
    AfterNext(Code, Vec<u8>),
    Never,
    /// The stub sends close_notify instead of an answer.
    CloseSession,
    /// The stub sends an answer, and close_notify behind it.
    Last(Vec<u8>),
}

/// What the stub reports to a test that waits for it.
#[derive(Debug)]
pub(crate) enum Told {
    Request,
    SessionOpened,
    SessionClosed(CloseReason),
}

pub(crate) fn content(body: impl Into<Vec<u8>>) -> Reply {
    let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
    Reply::Now(Code::new(2, 5), options, body.into())
}

pub(crate) struct StubServer {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Certificate,
    reply: Arc<Mutex<Replies>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tell: UnboundedSender<Told>,
    told: UnboundedReceiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Replies = dyn FnMut(&Seen) -> Reply + Send;

impl StubServer {
    /// Starts the stub on 127.0.0.1, with a certificate for loopback.
    pub(crate) fn start(reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> StubServer {
        StubServer::with_certificate(Certificate::for_loopback(), reply)
    }

    pub(crate) fn with_certificate(
        certificate: Certificate,
        reply: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> StubServer {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(Mutex::new(reply));
        let (tell, told) = unbounded_channel();
        let mut stub = StubServer { address, certificate, reply, seen, tell, told, stop: None, thread: None };
        stub.serve(socket);
        stub
    }

    /// Starts the stub again on its port, with no memory of any session. It goes on to reply as before.
    pub(crate) fn start_again(&mut self) {
        self.vanish();
        self.serve(std::net::UdpSocket::bind(self.address).unwrap());
    }

    fn serve(&mut self, socket: std::net::UdpSocket) {
        socket.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let inside = Inside {
            server: Server::new(config(&self.certificate), [7; 32]).unwrap(),
            reply: Arc::clone(&self.reply),
            seen: Arc::clone(&self.seen),
            tell: self.tell.clone(),
            held: Vec::new(),
            ports: HashMap::new(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(inside.run(socket, stopped));
        });
        (self.stop, self.thread) = (Some(stop), Some(thread));
    }

    /// Returns `https://localhost:PORT` with this target behind it.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    /// Returns all requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the only request so far.
    pub(crate) fn only_request(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "requests at the stub: {seen:?}");
        seen.remove(0)
    }

    /// Waits for the next event other than the opening of a session.
    pub(crate) async fn told(&mut self) -> Told {
        loop {
            match self.told.recv().await.unwrap() {
                Told::SessionOpened => {}
                told => return told,
            }
        }
    }

    /// Waits until a client has finished its handshake.
    pub(crate) async fn session_opened(&mut self) {
        while !matches!(self.told.recv().await.unwrap(), Told::SessionOpened) {}
    }

    /// Stops without a word: no close_notify, and the port is closed.
    pub(crate) fn vanish(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the stub server panicked");
            }
        }
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.vanish();
    }
}

fn config(certificate: &Certificate) -> Config {
    let identity = ServerIdentity {
        certificate_chain: certificate.chain.clone(),
        private_key: certificate.key.clone().into(),
    };
    Config {
        dtls: dtls::Config { server: Some(identity), ..dtls::Config::default() },
        times: Times::rfc7252(),
        // What it does with them is each test's.
        limits: Limits { packed_bodies: true, ..Limits::default() },
    }
}

struct Inside {
    server: Server,
    reply: Arc<Mutex<Replies>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tell: UnboundedSender<Told>,
    held: Vec<(ExchangeId, Code, Vec<u8>)>,
    ports: HashMap<SessionId, u16>,
}

impl Inside {
    async fn run(mut self, socket: std::net::UdpSocket, mut stopped: oneshot::Receiver<()>) {
        let socket = UdpSocket::from_std(socket).unwrap();
        let mut buffer = vec![0; 65536];
        loop {
            while let Some(event) = self.server.poll_event() {
                self.handle(event);
            }
            while let Some(transmit) = self.server.poll_transmit() {
                // A client that has gone makes an error here, which does not matter to the stub.
                let _ = socket.send_to(&transmit.bytes, transmit.peer).await;
            }
            let timeout = self.server.poll_timeout();
            tokio::select! {
                received = socket.recv_from(&mut buffer) => if let Ok((length, peer)) = received {
                    self.server.handle_datagram(Instant::now(), peer, None, &buffer[..length]);
                },
                () = sleep_until(timeout) => self.server.handle_timeout(Instant::now()),
                _ = &mut stopped => return,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request { session, exchange, method, options, body, .. } => {
                let seen = Seen { method, options, body, port: self.ports[&session] };
                self.answer(session, exchange, &seen);
                self.seen.lock().unwrap().push(seen);
                let _ = self.tell.send(Told::Request);
            }
            Event::SessionOpened { session, peer, .. } => {
                self.ports.insert(session, peer.port());
                let _ = self.tell.send(Told::SessionOpened);
            }
            Event::SessionClosed { why, .. } => {
                let _ = self.tell.send(Told::SessionClosed(why));
            }
            _ => {}
        }
    }

    fn answer(&mut self, session: SessionId, exchange: ExchangeId, seen: &Seen) {
        let reply = (self.reply.lock().unwrap())(seen);
        match reply {
            Reply::Now(code, options, body) => {
                self.respond(exchange, code, options, &body);
                for (exchange, code, body) in std::mem::take(&mut self.held) {
                    self.respond(exchange, code, ResponseOptions::default(), &body);
                }
            }
            Reply::AfterNext(code, body) => self.held.push((exchange, code, body)),
            Reply::Never => {}
            Reply::Last(body) => {
                self.respond(exchange, Code::new(2, 5), ResponseOptions::default(), &body);
                self.server.close(Instant::now(), session);
            }
            Reply::CloseSession => self.server.close(Instant::now(), session),
        }
    }

    fn respond(&mut self, exchange: ExchangeId, code: Code, options: ResponseOptions, body: &[u8]) {
        let now = Instant::now();
        self.server.respond_head(now, exchange, code, options);
        self.server.respond_chunk(now, exchange, body, true);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

//! The server's message layer and blockwise on a bare UDP socket, with an echo behind it: what a foreign
//! client without DTLS can speak to.
//!
//! A peer's address is its session here, which anyone could take over: DTLS is there to prevent that. Hence
//! this shell is part of a test, and of no library and no program.

use lowband_e2e::loss::From;
use lowband_transport::coap::{Counters, Limits, Server, ServerEvent, Times};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What reached the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) options: RequestOptions,
    pub(crate) body: String,
}

/// A message on the wire: its sender, its type and its code.
pub(crate) type Seen = (From, &'static str, String);

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    messages: Vec<Seen>,
    counters: Counters,
}

/// A running shell; it ends when dropped.
pub(crate) struct Shell {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

/// The settings in which a shell differs from the usual.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) times: Times,
    pub(crate) limits: Limits,
    /// The first copy of every n-th message of each direction is lost, n being this number; 0: none is. So
    /// the losses do not depend on when copies are sent.
    pub(crate) loses_each: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { times: Times::rfc7252(), limits: Limits::default(), loses_each: 0 }
    }
}

impl Shell {
    pub(crate) async fn start(settings: Settings) -> Shell {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let log = Arc::<Mutex<Log>>::default();
        let loop_ = Loop {
            socket,
            server: Server::new(settings.times, settings.limits, [7; 32]),
            sessions: HashMap::new(),
            peers: Vec::new(),
            answers: BTreeMap::new(),
            loses_each: settings.loses_each,
            known: Default::default(),
            log: Arc::clone(&log),
        };
        Shell { address, log, task: tokio::spawn(loop_.run()) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all requests that have reached the application, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log().requests.clone()
    }

    /// Returns all messages that were sent or received, lost ones left out.
    pub(crate) fn messages(&self) -> Vec<Seen> {
        self.log().messages.clone()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.log().counters
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    socket: UdpSocket,
    server: Server,
    sessions: HashMap<SocketAddr, SessionId>,
    /// Addresses of the peers, by number of the session.
    peers: Vec<SocketAddr>,
    /// Answers to come, by the time at which they are due.
    answers: BTreeMap<(Instant, ExchangeId), (ResponseOptions, Vec<u8>)>,
    loses_each: usize,
    /// The messages of each direction that have been seen.
    known: [HashSet<Vec<u8>>; 2],
    log: Arc<Mutex<Log>>,
}

impl Loop {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_535];
        loop {
            self.settle().await;
            let answer = self.answers.keys().next().map(|(due, _)| *due);
            let due = [answer, self.server.poll_timeout()].into_iter().flatten().min();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, peer)) => self.receive(peer, &buffer[..length]),
                    // The client at this port has gone.
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
                },
                () = timer => {}
            }
        }
    }

    fn receive(&mut self, peer: SocketAddr, message: &[u8]) {
        if self.loses(From::Client, message) {
            return;
        }
        let now = Instant::now();
        let session = *self.sessions.entry(peer).or_insert_with(|| {
            let session = SessionId(self.peers.len() as u64);
            self.peers.push(peer);
            self.server.session_opened(now, session, None);
            session
        });
        self.server.handle_message(now, session, Network::of(peer.ip()), message);
    }

    /// Does what is due, and sends what there is to send.
    async fn settle(&mut self) {
        let now = Instant::now();
        // Timeouts come first, so that an acknowledgement goes before the answer also when both are late.
        self.server.handle_timeout(now);
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Request { exchange, method, options, body, .. } => {
                    self.plan_answer(now, exchange, method, options, body);
                }
                ServerEvent::Cancelled { exchange } => self.answers.retain(|(_, of), _| *of != exchange),
                _ => {}
            }
        }
        while let Some(next) = self.answers.first_entry().filter(|next| next.key().0 <= now) {
            let ((_, exchange), (options, body)) = next.remove_entry();
            self.server.respond_head(now, exchange, Code::CONTENT, options);
            self.server.respond_chunk(now, exchange, &body, true);
        }
        self.log.lock().unwrap().counters = self.server.counters();
        while let Some((session, message)) = self.server.poll_transmit() {
            if !self.loses(From::Server, &message) {
                self.socket.send_to(&message, self.peers[session.0 as usize]).await.unwrap();
            }
        }
    }

    /// Plans the echo: the request's body, or as many bytes as it asks for by `bytes=`; after the
    /// milliseconds of `wait=`.
    fn plan_answer(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        method: Method,
        options: RequestOptions,
        body: Vec<u8>,
    ) {
        let parameter = |name: &str| {
            let value = options.query.iter().find_map(|pair| pair.strip_prefix(name));
            value.map(|value| value.parse::<usize>().unwrap())
        };
        let due = now + Duration::from_millis(parameter("wait=").unwrap_or(0) as u64);
        let answer = parameter("bytes=").map_or_else(|| body.clone(), |length| text_of(length).into_bytes());
        let response = ResponseOptions { content_format: options.content_format, ..Default::default() };
        self.answers.insert((due, exchange), (response, answer));
        let body = String::from_utf8(body).unwrap();
        self.log.lock().unwrap().requests.push(Request { method, options, body });
    }

    /// Returns whether this datagram is lost; if not, notes it.
    fn loses(&mut self, from: From, message: &[u8]) -> bool {
        let known = &mut self.known[usize::from(from == From::Server)];
        if known.insert(message.to_vec())
            && self.loses_each > 0
            && known.len().is_multiple_of(self.loses_each)
        {
            return true;
        }
        // Type and code of the message (RFC 7252 section 3).
        let kind = ["CON", "NON", "ACK", "RST"][usize::from(message[0] >> 4 & 3)];
        let code = format!("{}.{:02}", message[1] >> 5, message[1] & 0x1f);
        self.log.lock().unwrap().messages.push((from, kind, code));
        false
    }
}

/// Makes a text of this many bytes in which no part occurs twice.
pub(crate) fn text_of(length: usize) -> String {
    let mut text: String = (0..).map(|number: u32| format!("{number} ")).take(length / 2 + 1).collect();
    text.truncate(length);
    text
}

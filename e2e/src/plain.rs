//! Our client's CoAP over plain UDP: for tests against servers of other projects, without DTLS in between.
//!
//! ```text
//! coap::Client -> message -> lost? -> delayed -> socket -> foreign server
//!              <- delayed <- lost? <- message <-
//! ```
//!
//! The path loses and delays by a seed, in this process. Every message of either direction is written down,
//! so that a test can say what was asked for, in which order, and what came.

use crate::error::{Error, Result};
use crate::loss::{BadPath, From};
use crate::relay::Loses;
use lowband_transport::coap::{
    BlockSize, Client, ClientEvent, FailReason, Limits, Method, PathReport, Request, Response, Times,
};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Kind, Message, MessageId, Token};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::uint::from_uint;
use lowband_wire::coap::{Code, numbers};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

const SESSION: SessionId = SessionId(1);
/// Bytes of the largest UDP payload.
const LARGEST: usize = 65_535;

/// What the path does to a message.
#[derive(Clone, Debug)]
pub struct Path {
    /// Time from one end to the other, drawn anew for each message: messages may overtake each other.
    pub delay: Range<Duration>,
    /// Percentage of messages that are lost in each direction.
    pub percent: u64,
    /// Seed of loss, delay, message ids and timers.
    pub seed: u64,
}

impl Path {
    /// A path that neither loses nor delays.
    pub const CLEAR: Path = Path { delay: Duration::ZERO..Duration::ZERO, percent: 0, seed: 1 };
}

/// A message that has been sent by one of both ends.
#[derive(Clone, Debug)]
pub struct Passed {
    /// When the client sent or received it, since the client's start; of a lost answer when it was lost.
    pub at: Duration,
    /// The end that sent it.
    pub from: From,
    /// Whether it was lost on the way.
    pub lost: bool,
    /// Type of the message.
    pub kind: Kind,
    /// Method or response code.
    pub code: Code,
    /// Id of the message, or of the one that it acknowledges.
    pub id: MessageId,
    /// Token of the request.
    pub token: Token,
    /// Place and size of the block that is asked for or comes (option Block2).
    pub block: Option<Block>,
    /// Mark of the body that the block is of (option ETag).
    pub etag: Option<Vec<u8>>,
    /// Bytes of the whole body, as the server says (option Size2).
    pub size: Option<u32>,
    /// Bytes of the payload.
    pub payload: usize,
}

impl Passed {
    fn read(at: Duration, from: From, lost: bool, bytes: &[u8]) -> Option<Passed> {
        let message = Message::parse(bytes).ok()?;
        let option = |number| message.options().find(|(found, _)| *found == number).map(|(_, value)| value);
        Some(Passed {
            at,
            from,
            lost,
            kind: message.kind,
            code: message.code,
            id: message.id,
            token: message.token,
            block: option(numbers::BLOCK2).and_then(|value| Block::decode(value).ok()),
            etag: option(numbers::ETAG).map(<[u8]>::to_vec),
            size: option(numbers::SIZE2).and_then(from_uint),
            payload: message.payload().len(),
        })
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.from == From::Client { "->" } else { "<-" };
        let (ms, kind, id) = (self.at.as_millis(), self.kind.abbreviation(), self.id.0);
        write!(f, "{ms:>6} ms {arrow} {kind} {}.{:02} id {id}", self.code.class(), self.code.detail())?;
        write!(f, " token {}", hexadecimal(self.token.as_bytes()))?;
        if let Some(Block { num, more, size }) = self.block {
            write!(f, " Block2 {num}/{}/{}", u8::from(more), size.bytes())?;
        }
        if let Some(etag) = &self.etag {
            write!(f, " ETag {}", hexadecimal(etag))?;
        }
        if let Some(size) = self.size {
            write!(f, " Size2 {size}")?;
        }
        if self.payload > 0 {
            write!(f, " {} bytes", self.payload)?;
        }
        f.write_str(if self.lost { " lost" } else { "" })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What came of a request.
pub type Outcome = std::result::Result<Response, FailReason>;

/// A message that is on its way, in the order of its arrival. Messages that arrive at the same time keep the
/// order in which they were sent.
type OnItsWay = Reverse<(Instant, u64, bool, Vec<u8>)>;

/// A client on a socket of its own, which is one peer to the server.
pub struct Plain {
    client: Client,
    socket: UdpSocket,
    path: Path,
    loses: Loses,
    random: u64,
    on_their_way: BinaryHeap<OnItsWay>,
    sent: u64,
    began: Instant,
    log: Vec<Passed>,
    ended: BTreeMap<ExchangeId, Outcome>,
    /// Blocks whose next answer is lost.
    doomed: Vec<Block>,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("path", &self.path)
            .field("log", &self.log.len())
            .finish_non_exhaustive()
    }
}

impl Plain {
    /// Starts a client of `server`.
    pub async fn start(server: SocketAddr, times: Times, limits: Limits, path: Path) -> Result<Plain> {
        let doing = || Error::io("open a UDP socket");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(doing())?;
        // A burst of answers waits here while this process does something else.
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 22).map_err(doing())?;
        socket.connect(server).await.map_err(doing())?;
        let mut seed = [0; 32];
        seed.iter_mut().zip(path.seed.to_be_bytes()).for_each(|(byte, given)| *byte = given);
        let began = Instant::now();
        let mut client = Client::new(times, limits, seed);
        client.session_opened(began, SESSION, None);
        Ok(Plain {
            client,
            socket,
            loses: Box::new(BadPath::losing(path.percent, path.seed).takes(Arc::new(AtomicUsize::new(0)))),
            random: path.seed,
            path,
            on_their_way: BinaryHeap::new(),
            sent: 0,
            began,
            log: Vec::new(),
            ended: BTreeMap::new(),
            doomed: Vec::new(),
        })
    }

    /// Begins a GET of a resource whose path has one segment.
    pub fn get(&mut self, segment: &str) -> ExchangeId {
        let options = RequestOptions { path: vec![segment.to_owned()], ..RequestOptions::default() };
        let request = Request { method: Method::Get, options, body: Vec::new() };
        self.client.request(Instant::now(), SESSION, request)
    }

    /// Loses the next answer with this block, whether it is the last one or not.
    pub fn lose_answer(&mut self, num: u32, size: BlockSize) {
        self.doomed.push(Block { num, more: false, size });
    }

    /// Returns what the client has found out about the path.
    pub fn report(&self) -> Option<PathReport> {
        self.client.path(SESSION)
    }

    /// Returns all messages so far: the client's when it sent them, the server's when they arrived or were
    /// lost.
    pub fn log(&self) -> &[Passed] {
        &self.log
    }

    /// Returns the last messages, a line each, for a person.
    pub fn told(&self, most: usize) -> String {
        let left_out = self.log.len().saturating_sub(most);
        let lines = self.log.iter().skip(left_out).map(|passed| format!("{passed}\n"));
        format!("{left_out} messages before\n{}", lines.collect::<String>())
    }

    /// Moves messages until the request has come to its end.
    pub async fn finish(&mut self, exchange: ExchangeId, within: Duration) -> Result<Outcome> {
        loop {
            if let Some(outcome) = self.run(exchange, within, |_| false).await? {
                return Ok(outcome);
            }
        }
    }

    /// Moves messages until `stop` returns true of those that have passed, or the request has come to its
    /// end. Messages on their way stay there.
    pub async fn run(
        &mut self,
        exchange: ExchangeId,
        within: Duration,
        stop: impl Fn(&[Passed]) -> bool,
    ) -> Result<Option<Outcome>> {
        let until = Instant::now() + within;
        let mut buffer = vec![0; LARGEST];
        loop {
            while let Some((_, bytes)) = self.client.poll_transmit() {
                self.pass(From::Client, bytes);
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    ClientEvent::Response { exchange, response } => self.ended.insert(exchange, Ok(response)),
                    ClientEvent::Failed { exchange, why, .. } => self.ended.insert(exchange, Err(why)),
                    _ => None,
                };
            }
            if let Some(outcome) = self.ended.remove(&exchange) {
                return Ok(Some(outcome));
            }
            if stop(&self.log) {
                return Ok(None);
            }
            let now = Instant::now();
            if now >= until {
                let last = self.told(60);
                return Err(Error::Deadline { what: "the end of a request".to_owned(), after: within, last });
            }
            let arrives = self.on_their_way.peek().map(|Reverse((at, ..))| *at);
            if arrives.is_some_and(|at| at <= now) {
                self.arrive(now).await?;
                continue;
            }
            let due = self.client.poll_timeout();
            if due.is_some_and(|at| at <= now) {
                self.client.handle_timeout(now);
                continue;
            }
            let wake = [arrives, due, Some(until)].into_iter().flatten().min().unwrap_or(until);
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    let length = received.map_err(Error::io("receive from the server"))?;
                    self.pass(From::Server, buffer.get(..length).unwrap_or_default().to_vec());
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Puts a message on its way, or loses it.
    fn pass(&mut self, from: From, bytes: Vec<u8>) {
        let lost = (self.loses)(from, &bytes) || self.is_doomed(from, &bytes);
        if from == From::Client || lost {
            self.note(from, lost, &bytes);
        }
        if !lost {
            self.sent += 1;
            let at = Instant::now() + self.delay();
            self.on_their_way.push(Reverse((at, self.sent, from == From::Client, bytes)));
        }
    }

    fn is_doomed(&mut self, from: From, bytes: &[u8]) -> bool {
        if from == From::Client || self.doomed.is_empty() {
            return false;
        }
        let answer = Passed::read(Duration::ZERO, from, true, bytes);
        let Some(block) = answer.and_then(|answer| answer.block) else { return false };
        let is_it = |doomed: &Block| (doomed.num, doomed.size) == (block.num, block.size);
        let found = self.doomed.iter().position(is_it);
        found.map(|place| self.doomed.swap_remove(place)).is_some()
    }

    /// Lets the first message on its way arrive.
    async fn arrive(&mut self, now: Instant) -> Result<()> {
        let Some(Reverse((_, _, from_client, bytes))) = self.on_their_way.pop() else { return Ok(()) };
        if from_client {
            self.socket.send(&bytes).await.map_err(Error::io("send to the server"))?;
        } else {
            self.note(From::Server, false, &bytes);
            self.client.handle_message(now, SESSION, &bytes);
        }
        Ok(())
    }

    fn note(&mut self, from: From, lost: bool, bytes: &[u8]) {
        self.log.extend(Passed::read(self.began.elapsed(), from, lost, bytes));
    }

    /// Draws the time that the next message takes. The generator is the one of Knuth's MMIX.
    fn delay(&mut self) -> Duration {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = self.path.delay.end.saturating_sub(self.path.delay.start);
        let share = (self.random >> 40) as f64 / (1_u64 << 24) as f64;
        self.path.delay.start + span.mul_f64(share)
    }
}

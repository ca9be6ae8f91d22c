//! A server and a client over a simulated link: a fake clock, seeded loss, duplication, delay and reordering,
//! and an upstream that answers as slowly and in as many pieces as a test wants.

#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/requests.rs"]
mod requests;
#[path = "sim/way.rs"]
mod way;

pub(crate) use dice::Dice;
pub(crate) use requests::*;
pub(crate) use way::*;

use coap_lite::Packet;
use lowband_transport::coap::{
    Client, ClientEvent, Code, FailReason, Limits, Method, Request, RequestOptions, Response,
    ResponseOptions, Server, ServerEvent, Times,
};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::numbers::{BLOCK1, BLOCK2, Q_BLOCK2};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The only reading of a clock: the zero of the fake one.
#[allow(clippy::disallowed_methods, reason = "an Instant cannot be made in any other way")]
pub(crate) fn zero() -> Instant {
    Instant::now()
}

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Session of a client that is not ours.
pub(crate) const FOREIGN: SessionId = SessionId(u64::MAX);

/// What the upstream answers to a request.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) body: Vec<u8>,
    /// Time until the head comes.
    pub(crate) after: Duration,
    /// Bytes of each piece of the body, and the time between pieces.
    pub(crate) chunk: usize,
    pub(crate) every: Duration,
    pub(crate) tells_size: bool,
}

impl Answer {
    pub(crate) fn new(body: Vec<u8>) -> Answer {
        let (after, every) = (Duration::ZERO, Duration::ZERO);
        Answer { code: Code::CONTENT, body, after, chunk: 16 << 10, every, tells_size: false }
    }
    pub(crate) fn after(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }
    pub(crate) fn in_chunks(self, chunk: usize, every: Duration) -> Answer {
        Answer { chunk, every, ..self }
    }
}

/// A request that reached the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    pub(crate) exchange: ExchangeId,
    pub(crate) method: Method,
    pub(crate) options: RequestOptions,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum To {
    Server,
    Client,
}

enum Due {
    Message(To, SessionId, Vec<u8>),
    /// The next piece of an answer, from this offset on.
    Piece(ExchangeId, usize),
}

/// Decides how a request is answered.
pub(crate) type Upstream = Box<dyn FnMut(&Executed) -> Answer>;

/// Decides whether a message is lost on purpose.
pub(crate) type Loss = Box<dyn FnMut(To, &[u8]) -> bool>;

pub(crate) struct Sim {
    seed: u64,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) up: Way,
    pub(crate) down: Way,
    pub(crate) dice: Dice,
    pub(crate) answer: Upstream,
    /// All requests that reached the upstream, in order.
    pub(crate) executed: Vec<Executed>,
    pub(crate) cancelled: Vec<ExchangeId>,
    pub(crate) results: BTreeMap<ExchangeId, Result<Response, FailReason>>,
    /// When each result came, by exchange.
    pub(crate) finished: BTreeMap<ExchangeId, Instant>,
    /// For each exchange that failed, whether a part of it had been sent.
    pub(crate) sent_before_failing: BTreeMap<ExchangeId, bool>,
    pub(crate) pongs: usize,
    /// Sessions that the client has found dead, and closed.
    pub(crate) dead: Vec<(SessionId, Instant)>,
    /// Decides which messages are lost on purpose, in both directions: true loses.
    pub(crate) lose: Loss,
    /// Messages sent, before any loss.
    pub(crate) sent: Vec<(To, Vec<u8>)>,
    /// What has arrived in sessions that are not our client's: see [`Sim::say`].
    pub(crate) inbox: VecDeque<Vec<u8>>,
    /// What each direction remembers.
    weather_up: Weather,
    weather_down: Weather,
    /// The longest time that a message has waited at the narrow place on its way to the client.
    pub(crate) longest_queue: Duration,
    /// When something was sent last, in either direction.
    last: Option<Instant>,
    due: BTreeMap<(Instant, u64), Due>,
    next_due: u64,
    answers: BTreeMap<ExchangeId, (Answer, usize)>,
}

/// Prints the seed if a test fails.
impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed of this simulation is {}", self.seed);
        }
    }
}

impl Sim {
    /// Makes a clean link and an upstream that answers with the path.
    pub(crate) fn new(seed: u64) -> Sim {
        Sim::with(seed, Times::rfc7252(), Times::rfc7252(), Limits::default())
    }

    pub(crate) fn with(seed: u64, server: Times, client: Times, limits: Limits) -> Sim {
        let start = zero();
        let mut dice = Dice::new(seed);
        let mut key = || {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&dice.u64().to_le_bytes());
            key
        };
        let server = Server::new(server, limits.clone(), key());
        let client = Client::new(client, limits, key());
        Sim {
            seed,
            start,
            now: start,
            server,
            client,
            up: CLEAN,
            down: CLEAN,
            dice,
            answer: Box::new(|request| Answer::new(request.options.path.join("/").into_bytes())),
            executed: Vec::new(),
            cancelled: Vec::new(),
            results: BTreeMap::new(),
            finished: BTreeMap::new(),
            sent_before_failing: BTreeMap::new(),
            pongs: 0,
            dead: Vec::new(),
            lose: Box::new(|_, _| false),
            sent: Vec::new(),
            inbox: VecDeque::new(),
            weather_up: Weather::new(start),
            weather_down: Weather::new(start),
            longest_queue: Duration::ZERO,
            last: None,
            due: BTreeMap::new(),
            next_due: 0,
            answers: BTreeMap::new(),
        }
    }

    pub(crate) fn both_ways(mut self, way: Way) -> Sim {
        self.up = way;
        self.down = way;
        self
    }

    /// Opens a session; the handshake has seen one round trip.
    pub(crate) fn open(&mut self, session: u64) -> SessionId {
        let session = SessionId(session);
        let round_trip = Some(self.up.delay + self.down.delay);
        self.server.session_opened(self.now, session, round_trip);
        self.client.session_opened(self.now, session, round_trip);
        self.settle();
        session
    }

    pub(crate) fn request(&mut self, session: SessionId, request: Request) -> ExchangeId {
        let exchange = self.client.request(self.now, session, request);
        self.settle();
        exchange
    }

    /// Sends a message of a hand-written client in the session [`FOREIGN`], which need not be opened.
    pub(crate) fn say(&mut self, bytes: Vec<u8>) {
        self.say_as(FOREIGN, bytes);
    }

    /// Sends such a message in any session.
    pub(crate) fn say_as(&mut self, session: SessionId, bytes: Vec<u8>) {
        self.send(To::Server, session, bytes);
        self.settle();
    }

    /// Lets time pass until `done` returns true, or nothing is left to happen within `most`.
    pub(crate) fn run(&mut self, most: Duration, mut done: impl FnMut(&Sim) -> bool) -> bool {
        let end = self.now + most;
        self.settle();
        while !done(self) {
            let next = [
                self.due.keys().next().map(|(at, _)| *at),
                self.server.poll_timeout(),
                self.client.poll_timeout(),
            ];
            let Some(next) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// Lets all of `time` pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    /// Closes a session at both ends; what is on its way in it arrives nowhere.
    pub(crate) fn close(&mut self, session: SessionId) {
        self.due.retain(|_, due| !matches!(due, Due::Message(_, of, _) if *of == session));
        self.client.session_closed(self.now, session);
        self.server.session_closed(self.now, session);
        while self.client.poll_transmit().is_some() || self.server.poll_transmit().is_some() {}
        self.settle();
    }

    /// Runs one request to its end.
    pub(crate) fn ask(&mut self, session: SessionId, request: Request) -> Response {
        let exchange = self.request(session, request);
        self.run(Duration::from_secs(3600), |sim| sim.results.contains_key(&exchange));
        self.results.get(&exchange).cloned().expect("an end within an hour").expect("a response")
    }

    fn step(&mut self) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Due::Message(To::Server, session, bytes) => {
                    let network = Network::alone(session.0);
                    self.server.handle_message(self.now, session, network, &bytes);
                }
                Due::Message(To::Client, session, bytes) if session == FOREIGN => self.inbox.push_back(bytes),
                Due::Message(To::Client, session, bytes) => {
                    self.client.handle_message(self.now, session, &bytes);
                }
                Due::Piece(exchange, from) => self.piece(exchange, from),
            }
            self.settle();
        }
        self.server.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        self.settle();
    }

    /// Drains both ends until they are quiet.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some((session, bytes)) = self.client.poll_transmit() {
                self.send(To::Server, session, bytes);
            }
            while let Some((session, bytes)) = self.server.poll_transmit() {
                self.send(To::Client, session, bytes);
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    ClientEvent::Response { exchange, response } => self.finish(exchange, Ok(response)),
                    ClientEvent::Failed { exchange, why, sent } => {
                        self.sent_before_failing.insert(exchange, sent);
                        self.finish(exchange, Err(why));
                    }
                    ClientEvent::Pong { .. } => self.pongs += 1,
                    ClientEvent::Dead { session } => {
                        self.dead.push((session, self.now));
                        self.client.session_closed(self.now, session);
                    }
                    other => panic!("{other:?}"),
                }
            }
            while let Some(event) = self.server.poll_event() {
                quiet = false;
                match event {
                    ServerEvent::Request { exchange, method, options, body, .. } => {
                        let executed = Executed { exchange, method, options, body };
                        let answer = (self.answer)(&executed);
                        self.executed.push(executed);
                        self.later(answer.after, Due::Piece(exchange, 0));
                        self.answers.insert(exchange, (answer, 0));
                    }
                    ServerEvent::Cancelled { exchange } => {
                        self.cancelled.push(exchange);
                        self.answers.remove(&exchange);
                    }
                    ServerEvent::WantsChunk { exchange } => {
                        let from = self.answers.get(&exchange).map(|(_, from)| *from);
                        if let Some(from) = from {
                            self.later(Duration::ZERO, Due::Piece(exchange, from));
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn finish(&mut self, exchange: ExchangeId, result: Result<Response, FailReason>) {
        assert!(self.results.insert(exchange, result).is_none(), "an exchange ends once");
        self.finished.insert(exchange, self.now);
    }

    /// Passes on the upstream's next piece, if the server wants one.
    fn piece(&mut self, exchange: ExchangeId, from: usize) {
        let Some((answer, sent)) = self.answers.get_mut(&exchange).filter(|(_, sent)| *sent == from) else {
            return;
        };
        if from == 0 {
            let size = answer.tells_size.then_some(answer.body.len() as u64);
            let options = ResponseOptions { content_format: Some(60), max_age: None, size };
            self.server.respond_head(self.now, exchange, answer.code, options);
        }
        if !self.server.wants_chunk(exchange) {
            return;
        }
        let to = (from + answer.chunk).min(answer.body.len());
        let last = to == answer.body.len();
        *sent = to;
        let (chunk, every) = (answer.body[from..to].to_vec(), answer.every);
        if last {
            self.answers.remove(&exchange);
        } else {
            self.later(every, Due::Piece(exchange, to));
        }
        self.server.respond_chunk(self.now, exchange, &chunk, last);
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.next_due += 1;
        self.due.insert((self.now + after, self.next_due), due);
    }

    fn send(&mut self, to: To, session: SessionId, bytes: Vec<u8>) {
        let way = if to == To::Server { self.up } else { self.down };
        if to == To::Client {
            assert_anybody_takes(&bytes);
        }
        self.sent.push((to, bytes.clone()));
        let wakes = way.wakes(self.now, self.last, &mut self.dice);
        self.last = Some(self.now);
        let weather = if to == To::Server { &mut self.weather_up } else { &mut self.weather_down };
        if to == To::Client {
            self.longest_queue = self.longest_queue.max(way.backlog(self.now, weather));
        }
        let lose = &mut self.lose;
        for after in way.carry(self.now, bytes.len(), weather, &mut self.dice, || lose(to, &bytes)) {
            self.later(wakes + after, Due::Message(to, session, bytes.clone()));
        }
    }

    /// Counts the messages sent towards one end so far.
    pub(crate) fn sent_to(&self, to: To) -> usize {
        self.sent.iter().filter(|(direction, _)| *direction == to).count()
    }

    /// Returns how long an exchange took from the beginning of the simulation.
    pub(crate) fn took(&self, exchange: ExchangeId) -> Duration {
        self.finished[&exchange] - self.start
    }
}

/// Checks for odd option numbers, which are critical (RFC 7252 section 5.4.6): a client that does not know
/// one throws the answer away. Only blocks have such numbers, and a client that does not know blocks, or has
/// not asked for them by Q-Block2, could not use the answer.
pub(crate) fn assert_anybody_takes(message: &[u8]) {
    let packet = Packet::from_bytes(message).unwrap();
    let taken = |number: u16| number.is_multiple_of(2) || [BLOCK1, BLOCK2, Q_BLOCK2].contains(&number);
    assert!(packet.options().all(|(number, _)| taken(*number)), "{packet:?}");
}

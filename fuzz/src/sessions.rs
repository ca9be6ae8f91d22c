//! Sessions that come and go at a server with few places: which get one, which keep it, and which give way.
//!
//! A client that was heard of lately, and has asked for something, loses no place to a stranger. Of the
//! others the one that has been silent longest gives way, and only when another session takes the place.
//! Unfinished handshakes push out each other. A client that can have a place is served, another is not. The
//! state of a session ends with it, once.

use crate::dtls::{SERVER, identity};
use crate::openssl_random;
use arbitrary::{Arbitrary, Unstructured};
use lowband_transport::coap::{self, Request, Times};
use lowband_transport::dtls::{self, CloseReason, Counters, Verification};
use lowband_transport::{Client, ExchangeId, Server, SessionId, client, server};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Debug, Arbitrary)]
enum Step {
    /// A client begins and asks for something at once. The previous client at its address sends nothing more.
    Connect {
        at: u8,
    },
    /// A client begins, and sends nothing more after its hello with the cookie.
    HalfOpen {
        at: u8,
    },
    /// A request, which waits for the upstream or does not.
    Ask {
        at: u8,
        waits: bool,
    },
    /// A client sends nothing more.
    Vanish {
        at: u8,
    },
    /// The client sends close_notify.
    Close {
        at: u8,
    },
    Pass {
        minutes: u8,
    },
}

const MOST_STEPS: usize = 60;
const ADDRESSES: usize = 6;
/// The most requests of one client: more would wait for their turn.
const MOST_WAITING: usize = 4;

const MINUTE: Duration = Duration::from_secs(60);
const HANDSHAKE: Duration = MINUTE;
const MAKE_ROOM_AFTER: Duration = Duration::from_secs(10 * 60);
const IDLE: Duration = Duration::from_secs(120 * 60);
const SESSIONS: usize = 3;
const HALF_OPEN: usize = 2;
const HALF_OPEN_PER_ADDRESS: usize = 1;

/// Returns an address: the first two are of one machine, the others far from each other.
fn address(at: usize) -> SocketAddr {
    let machine = at.saturating_sub(1) as u8;
    ([192, 0, machine, 2], 5000 + at as u16).into()
}

struct Asking {
    client: Client,
    session: SessionId,
    waiting: usize,
}

struct World {
    now: Instant,
    server: Server,
    /// Clients that are present, by the number of their address.
    clients: BTreeMap<usize, Asking>,
    /// Responses of the step, by the number of the client's address.
    responses: BTreeMap<usize, usize>,
    /// The server's sessions, and the time at which each was last heard of.
    heard: BTreeMap<SessionId, Instant>,
    /// Handshakes that will not be finished, the oldest first: the number of the address, and when they end.
    half_open: Vec<(usize, Instant)>,
    /// Sessions that the server has reported.
    opened: BTreeSet<SessionId>,
    /// Requests that wait for the upstream.
    waiting: BTreeMap<ExchangeId, SessionId>,
}

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(&step);
        world.check();
    }
    world.end(data.len().is_multiple_of(2));
}

impl World {
    fn new() -> World {
        openssl_random::begin(1);
        let limits = dtls::Limits {
            sessions: SESSIONS,
            half_open: HALF_OPEN,
            half_open_per_address: HALF_OPEN_PER_ADDRESS,
            handshake: HANDSHAKE,
            idle: IDLE,
            make_room_after: MAKE_ROOM_AFTER,
            ..dtls::Limits::default()
        };
        let dtls = dtls::Config { server: Some(identity()), limits, ..dtls::Config::default() };
        let config = server::Config { dtls, times: Times::rfc7252(), limits: coap::Limits::default() };
        World {
            now: Instant::now(),
            server: Server::new(config, [2; 32]).expect("the configuration is in order"),
            clients: BTreeMap::new(),
            responses: BTreeMap::new(),
            heard: BTreeMap::new(),
            half_open: Vec::new(),
            opened: BTreeSet::new(),
            waiting: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        let number = |at: u8| usize::from(at) % ADDRESSES;
        self.responses.clear();
        match *step {
            Step::Connect { at } => self.connect(number(at)),
            Step::HalfOpen { at } => self.begin(number(at)),
            Step::Ask { at, waits } => self.ask(number(at), waits),
            Step::Vanish { at } => _ = self.clients.remove(&number(at)),
            Step::Close { at } => {
                if let Some(mut asking) = self.clients.remove(&number(at)) {
                    asking.client.close(self.now, asking.session);
                    while let Some(transmit) = asking.client.poll_transmit() {
                        self.deliver(number(at), &transmit.bytes);
                    }
                    self.settle();
                }
            }
            Step::Pass { minutes } => self.pass(MINUTE * u32::from(minutes % 32)),
        }
    }

    fn connect(&mut self, at: usize) {
        let has_place = self.has_place(at);
        if has_place {
            self.push_out(at);
        }
        self.clients.insert(at, new_client(self.now));
        self.settle();
        if has_place {
            assert_eq!(self.responses.get(&at), Some(&1), "who can have a place is served");
        } else {
            assert_eq!(self.responses.get(&at), None, "there is no place");
            self.clients.remove(&at);
        }
    }

    /// Begins a handshake that ends with its hello.
    fn begin(&mut self, at: usize) {
        let has_place = self.has_place(at);
        self.clients.remove(&at);
        let Asking { mut client, .. } = new_client(self.now);
        for _ in 0..2 {
            let hello = client.poll_transmit().expect("a hello").bytes;
            self.deliver(at, &hello);
            if let Some(answer) = self.answer(at) {
                client.handle_datagram(self.now, SERVER, None, &answer);
            }
        }
        if has_place {
            self.push_out(at);
            self.half_open.push((at, self.now + HANDSHAKE));
        }
        self.settle();
    }

    /// Returns the server's first datagram for an address; datagrams for others arrive.
    fn answer(&mut self, at: usize) -> Option<Vec<u8>> {
        let mut answer = None;
        while let Some(transmit) = self.server.poll_transmit() {
            match transmit.peer == address(at) {
                true => answer = answer.or(Some(transmit.bytes)),
                false => self.arrive(transmit.peer, &transmit.bytes),
            }
        }
        answer
    }

    /// Returns whether a hello from this address begins a handshake. An older one of the same address ends in
    /// any case.
    fn has_place(&mut self, at: usize) -> bool {
        self.half_open.retain(|(other, _)| *other != at);
        let is_full = self.heard.len() + self.half_open.len() >= SESSIONS;
        let has_session = self.heard.keys().any(|id| self.server.peer(*id) == Some(address(at)));
        let gives_way = self.heard.values().min().is_some_and(|heard| *heard + MAKE_ROOM_AFTER <= self.now);
        !is_full || has_session || gives_way
    }

    /// Removes the half-open handshake that gives way when one of this address takes a place.
    fn push_out(&mut self, at: usize) {
        let same_machine = |(other, _): &(usize, Instant)| address(*other).ip() == address(at).ip();
        if self.half_open.iter().filter(|other| same_machine(other)).count() >= HALF_OPEN_PER_ADDRESS {
            let oldest = self.half_open.iter().position(same_machine).expect("there is one");
            self.half_open.remove(oldest);
        } else if self.half_open.len() >= HALF_OPEN {
            self.half_open.remove(0);
        }
    }

    fn ask(&mut self, at: usize, waits: bool) {
        let Some(asking) = self.clients.get_mut(&at) else { return };
        let waits = waits && asking.waiting < MOST_WAITING;
        asking.waiting += usize::from(waits);
        asking.client.request(self.now, asking.session, request(if waits { "wait" } else { "x" }));
        self.settle();
        assert_eq!(self.responses.contains_key(&at), !waits);
    }

    /// Carries datagrams to and fro until there are none. Datagrams for an absent client are dropped.
    fn settle(&mut self) {
        loop {
            let mut sent = Vec::new();
            for (at, asking) in &mut self.clients {
                while let Some(transmit) = asking.client.poll_transmit() {
                    sent.push((*at, transmit.bytes));
                }
            }
            let from_clients = !sent.is_empty();
            for (at, bytes) in sent {
                self.deliver(at, &bytes);
            }
            let Some(transmit) = self.server.poll_transmit() else {
                if from_clients { continue } else { return }
            };
            self.arrive(transmit.peer, &transmit.bytes);
        }
    }

    fn arrive(&mut self, peer: SocketAddr, bytes: &[u8]) {
        let Some(at) = (0..ADDRESSES).find(|at| address(*at) == peer) else {
            panic!("nothing is sent to {peer}");
        };
        let Some(asking) = self.clients.get_mut(&at) else { return };
        asking.client.handle_datagram(self.now, SERVER, None, bytes);
        while let Some(event) = asking.client.poll_event() {
            match event {
                client::Event::Response { .. } => *self.responses.entry(at).or_default() += 1,
                client::Event::Closed { why, .. } => {
                    // A handshake without a place gets an explicit refusal.
                    assert!(matches!(why, CloseReason::CloseNotify | CloseReason::Refused), "{why:?}");
                    self.clients.remove(&at);
                    return;
                }
                client::Event::Connected { .. } | client::Event::Failed { .. } => {}
                other => panic!("nobody has asked for one, and the server has lost no session: {other:?}"),
            }
        }
    }

    fn deliver(&mut self, from: usize, datagram: &[u8]) {
        let before = self.server.counters().0;
        self.server.handle_datagram(self.now, address(from), None, datagram);
        self.account(&before);
        let is_authentic = self.server.counters().0.records_in > before.records_in;
        for (id, heard) in &mut self.heard {
            if is_authentic && self.server.peer(*id) == Some(address(from)) {
                *heard = self.now;
            }
        }
        self.look();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let before = self.server.counters().0;
            self.server.handle_timeout(self.now);
            self.account(&before);
            self.look();
            self.settle();
        }
        self.now = until;
        self.half_open.retain(|(_, end)| *end > until);
    }

    /// Compares the present sessions with the earlier ones.
    fn account(&mut self, before: &Counters) {
        let after = self.server.counters().0;
        let ids: BTreeSet<_> = self.server.session_ids().into_iter().collect();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.heard).into_iter().partition(|(id, _)| ids.contains(id));
        let ended = |count: fn(&Counters) -> u64| (count(&after) - count(before)) as usize;
        let (evicted, idle) = (ended(|c| c.sessions_evicted), ended(|c| c.sessions_idle));
        let otherwise = ended(|c| c.sessions_closed_by_peer) + ended(|c| c.sessions_replaced);
        assert_eq!(gone.len(), evicted + idle + otherwise, "a session ends for a reason");
        if evicted > 0 {
            assert_eq!((evicted, idle + otherwise), (1, 0));
            for heard in gone.values() {
                assert!(*heard + MAKE_ROOM_AFTER <= self.now, "it may still be there");
                assert!(kept.values().all(|other| other >= heard), "another one has been silent for longer");
            }
            let now = (after.sessions, after.handshakes);
            assert_eq!(now, (before.sessions, before.handshakes + 1), "somebody has its place");
        }
        assert!(idle == 0 || gone.values().all(|heard| *heard + IDLE <= self.now), "it is not idle");
        self.heard = kept;
        for id in ids {
            self.heard.entry(id).or_insert(self.now);
        }
    }

    /// Takes the server's events.
    fn look(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                server::Event::SessionOpened { session, .. } => assert!(self.opened.insert(session)),
                server::Event::SessionClosed { session, .. } => {
                    assert!(self.opened.remove(&session), "it was told of");
                    assert!(self.waiting.values().all(|of| *of != session), "what hung on it is cancelled");
                }
                server::Event::Request { session, exchange, options, .. } => {
                    assert!(self.opened.contains(&session));
                    self.server.vouch(session);
                    if options.path == ["wait"] {
                        assert!(self.waiting.insert(exchange, session).is_none(), "told of once");
                    } else {
                        let head = ResponseOptions::default();
                        self.server.respond_head(self.now, exchange, Code::CONTENT, head);
                        self.server.respond_chunk(self.now, exchange, b"answer", true);
                    }
                }
                server::Event::Cancelled { exchange } => {
                    assert!(self.waiting.remove(&exchange).is_some(), "cancelled once");
                }
                other => panic!("there are no long answers: {other:?}"),
            }
        }
    }

    fn check(&self) {
        let counters = self.server.counters().0;
        assert_eq!(counters.half_open as usize, self.half_open.len());
        assert!(self.half_open.len() <= HALF_OPEN && self.heard.len() <= SESSIONS);
        for at in self.clients.keys() {
            let has_session = self.heard.keys().any(|id| self.server.peer(*id) == Some(address(*at)));
            assert!(has_session, "who is there and has a session keeps it, or is told");
        }
    }

    /// Checks that nothing is left after the server's close, or after silence.
    fn end(mut self, by_silence: bool) {
        self.clients.clear();
        if by_silence {
            self.pass(IDLE);
        } else {
            for id in self.server.session_ids() {
                self.server.close(self.now, id);
            }
            self.heard.clear();
            self.look();
            self.pass(HANDSHAKE);
        }
        while self.server.poll_transmit().is_some() {}
        let counters = self.server.counters().0;
        assert_eq!((counters.sessions, counters.half_open), (0, 0));
        assert!(self.opened.is_empty() && self.waiting.is_empty());
        assert_eq!((self.server.open_exchanges(), self.server.poll_timeout()), (0, None));
    }
}

/// Makes a client whose first flight waits to be sent, and whose first request waits for the session.
fn new_client(now: Instant) -> Asking {
    let dtls = dtls::Config { client: Some(Verification::None), ..dtls::Config::default() };
    let config = client::Config { dtls, times: Times::measured(), limits: coap::Limits::default() };
    let mut client = Client::new(config, [1; 32]).expect("a client needs nothing");
    let session = client.connect(now, SERVER, "server.test").expect("a first flight");
    client.request(now, session, request("x"));
    Asking { client, session, waiting: 0 }
}

fn request(path: &str) -> Request {
    let options = RequestOptions { path: vec![path.to_owned()], ..RequestOptions::default() };
    Request { method: Method::Post, options, body: Vec::new() }
}

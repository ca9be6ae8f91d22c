//! Greedy clients beside modest ones, which are always served: hellos without end, handshakes that are never
//! finished, sessions without number.

use crate::pair::{End, client_config, server_config};
use lowband_transport::SessionId;
use lowband_transport::dtls::{CloseReason, Config, Endpoint, Event, Limits};
use lowband_transport::shares::Limit;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(1);
const UNLIMITED: Limit = Limit { per_second: 1_000_000, burst: 1_000_000 };

/// A client that plays by the rules, over a link with a delay.
struct Modest {
    endpoint: Endpoint,
    address: SocketAddr,
    began: Instant,
    latency: Duration,
    /// When each datagram arrives, and whether at the server.
    link: VecDeque<(Instant, bool, Vec<u8>)>,
    connected: Option<Instant>,
    closed: Option<CloseReason>,
}

struct World {
    now: Instant,
    server: Endpoint,
    modest: Vec<Modest>,
    events: Vec<Event>,
}

impl World {
    fn new(limits: Limits) -> World {
        let server = Endpoint::new(Config { limits, ..server_config() }, [2; 32]).unwrap();
        World { now: Instant::now(), server, modest: Vec::new(), events: Vec::new() }
    }

    /// Lets a modest client begin.
    fn comes(&mut self, address: SocketAddr, latency: Duration) {
        let mut endpoint = Endpoint::new(client_config(), [7; 32]).unwrap();
        endpoint.connect(self.now, End::Server.address(), "server.test").unwrap();
        let began = self.now;
        let link = VecDeque::new();
        self.modest.push(Modest { endpoint, address, began, latency, link, connected: None, closed: None });
    }

    /// Makes the hellos of a client with the cookies that it has been given, to be sent at any time.
    fn proven_hellos(&mut self, address: SocketAddr, count: usize) -> Vec<Vec<u8>> {
        let mut client = Endpoint::new(client_config(), [9; 32]).unwrap();
        let proven = |_| {
            client.connect(self.now, End::Server.address(), "server.test").unwrap();
            let first = client.poll_transmit().unwrap().bytes;
            self.server.handle_datagram(self.now, address, None, &first);
            let verify = self.server.poll_transmit().unwrap().bytes;
            client.handle_datagram(self.now, End::Server.address(), None, &verify);
            let hello = client.poll_transmit().unwrap().bytes;
            while client.poll_event().is_some() {}
            hello
        };
        (0..count).map(proven).collect()
    }

    /// Lets a millisecond pass, in which the greedy clients send these.
    fn tick<'a>(&mut self, greedy: impl IntoIterator<Item = &'a (SocketAddr, Vec<u8>)>) {
        self.now += TICK;
        for (address, datagram) in greedy {
            self.server.handle_datagram(self.now, *address, None, datagram);
            self.settle();
        }
        if self.server.poll_timeout().is_some_and(|due| due <= self.now) {
            self.server.handle_timeout(self.now);
        }
        for at in 0..self.modest.len() {
            self.run(at);
        }
        self.settle();
    }

    fn run(&mut self, at: usize) {
        let Modest { endpoint, address, latency, link, connected, closed, .. } = &mut self.modest[at];
        while link.front().is_some_and(|(due, ..)| *due <= self.now) {
            let (_, to_server, bytes) = link.pop_front().unwrap();
            match to_server {
                true => self.server.handle_datagram(self.now, *address, None, &bytes),
                false => endpoint.handle_datagram(self.now, End::Server.address(), None, &bytes),
            }
        }
        if endpoint.poll_timeout().is_some_and(|due| due <= self.now) {
            endpoint.handle_timeout(self.now);
        }
        while let Some(event) = endpoint.poll_event() {
            match event {
                Event::Connected { session, .. } => {
                    *connected = Some(self.now);
                    endpoint.send(self.now, session, b"hello").unwrap();
                }
                Event::Closed { why, .. } => *closed = Some(why),
                _ => {}
            }
        }
        while let Some(sent) = endpoint.poll_transmit() {
            link.push_back((self.now + *latency, true, sent.bytes));
        }
    }

    /// Passes everything on. Datagrams of the server to clients that do not exist are lost.
    fn settle(&mut self) {
        while let Some(sent) = self.server.poll_transmit() {
            if let Some(modest) = self.modest.iter_mut().find(|modest| modest.address == sent.peer) {
                modest.link.push_back((self.now + modest.latency, false, sent.bytes));
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.events.push(event);
        }
    }

    /// Counts the handshakes that have cost a signature so far.
    fn begun(&self) -> u64 {
        let counters = self.server.counters();
        counters.half_open
            + counters.handshakes
            + counters.handshakes_superseded
            + counters.handshakes_evicted
            + counters.handshakes_timed_out
    }
}

fn v4(a: u8, b: u8, c: u8, d: u8, port: u16) -> SocketAddr {
    ([a, b, c, d], port).into()
}

/// Sends 8,000 hellos a second for some seconds, from each of the addresses two in turn, while each second
/// another client comes.
fn flood(greedy: &[SocketAddr], newcomer: impl Fn(u8) -> SocketAddr) {
    const SECONDS: u32 = 4;
    let limits = Limits::default();
    let (all, each) = (limits.handshakes, limits.handshakes_per_address);
    let mut world = World::new(limits);
    let mut hellos = Vec::new();
    let by_address: Vec<_> = greedy.iter().map(|at| (*at, world.proven_hellos(*at, 2))).collect();
    for turn in 0..2 {
        hellos.extend(by_address.iter().map(|(at, hellos)| (*at, hellos[turn].clone())));
    }
    let mut turns = hellos.iter().cycle();
    for millisecond in 0..SECONDS * 1000 {
        if millisecond % 1000 == 100 {
            world.comes(newcomer((millisecond / 1000) as u8), Duration::from_millis(50));
        }
        let now: Vec<_> = turns.by_ref().take(8).collect();
        world.tick(now);
    }
    assert_eq!(world.modest.len(), SECONDS as usize);
    for modest in &world.modest {
        let took = modest.connected.expect("a modest client is served") - modest.began;
        assert!(took < Duration::from_millis(400), "{took:?}: no hello of it was dropped");
    }
    let networks = greedy.len().min(8) as u32;
    let most =
        (all.burst + all.per_second * SECONDS).min((each.burst + each.per_second * SECONDS) * networks);
    assert!(world.begun() <= u64::from(most + SECONDS), "{} handshakes", world.begun());
    assert!(
        world.begun() > u64::from(most) / 2,
        "{} handshakes: what may be asked for is given",
        world.begun()
    );
}

#[test]
fn hellos_of_one_port_with_two_cookies_in_turn_cost_what_one_address_may_cost() {
    flood(&[v4(203, 0, 113, 1, 1000)], |n| v4(198, 18, n, 1, 5000));
}

#[test]
fn hellos_of_64_addresses_leave_room_for_others() {
    let greedy: Vec<_> = (0..64).map(|n| v4(203, n, 113, 1, 1000)).collect();
    flood(&greedy, |n| v4(198, 18, n, 1, 5000));
}

#[test]
fn hellos_of_many_networks_of_one_site_cost_what_one_site_may_cost() {
    let of = |site: u16, network: u16| -> SocketAddr {
        (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1)), 1000).into()
    };
    let greedy: Vec<_> = (0..256).map(|network| of(1, network)).collect();
    flood(&greedy, |n| of(2 + u16::from(n), 1));
}

/// The client has a round trip of four seconds, in which every place is given away many times over.
#[test]
fn a_slow_handshake_keeps_its_place_among_those_that_are_never_answered() {
    let limits = Limits {
        handshakes: UNLIMITED,
        handshakes_per_address: UNLIMITED,
        half_open: 100,
        ..Limits::default()
    };
    let mut world = World::new(limits);
    let mut greedy = Vec::new();
    for n in 0..60 {
        for port in 0..4 {
            let at = v4(203, n, 113, 1, 1000 + port);
            greedy.extend(world.proven_hellos(at, 2).into_iter().map(|hello| (at, hello)));
        }
    }
    let mut turns = greedy.iter().cycle();
    world.tick(turns.by_ref().take(200));
    world.comes(v4(198, 18, 0, 1, 5000), Duration::from_secs(2));
    for _ in 0..13_000 {
        let now: Vec<_> = turns.by_ref().take(1).collect();
        world.tick(now);
    }
    assert!(world.server.counters().handshakes_evicted > 1000, "{:?}", world.server.counters());
    assert_eq!(world.modest[0].closed, None);
    assert!(world.modest[0].connected.is_some());
}

/// Makes a whole handshake at once, and sends a first message.
fn open(world: &mut World, address: SocketAddr) -> SessionId {
    world.comes(address, Duration::ZERO);
    let newest = world.modest.len() - 1;
    for _ in 0..8 {
        world.run(newest);
        world.settle();
    }
    let session = world.events.iter().rev().find_map(|event| match event {
        Event::Connected { session, peer, .. } if *peer == address => Some(*session),
        _ => None,
    });
    world.modest.pop();
    session.expect("a session")
}

fn evicted(world: &mut World) -> Vec<SessionId> {
    let gone = |event: Event| match event {
        Event::Closed { session, why: CloseReason::Evicted } => Some(session),
        _ => None,
    };
    world.events.drain(..).filter_map(gone).collect()
}

#[test]
fn sessions_of_two_addresses_that_fill_the_table_give_way_to_modest_ones() {
    let limits = Limits {
        sessions: 100,
        sessions_per_address: 60,
        handshakes: UNLIMITED,
        handshakes_per_address: UNLIMITED,
        ..Limits::default()
    };
    let mut world = World::new(limits);
    let modest: Vec<_> = (0..10).map(|n| open(&mut world, v4(198, 18, n, 1, 5000))).collect();
    let greedy: Vec<_> =
        (0..90_u16).map(|n| open(&mut world, v4(203, (n % 2) as u8, 113, 1, 1000 + n))).collect();
    // Greedy clients may even be clients of the homeserver.
    greedy.iter().skip(45).for_each(|session| world.server.vouch(*session));
    assert_eq!(evicted(&mut world), []);
    // The sessions are heard all the time, and go on asking.
    for n in 0..30_u16 {
        open(&mut world, v4(203, (n % 2) as u8, 113, 1, 5000 + n));
        open(&mut world, v4(198, 19, n as u8, 1, 5000));
    }
    let gone = evicted(&mut world);
    assert_eq!(gone.len(), 60);
    assert!(gone.iter().all(|session| !modest.contains(session)), "{gone:?}");
    assert_eq!(world.server.counters().sessions, 100);
    for session in modest {
        assert!(world.server.peer(session).is_some());
    }
}

#[test]
fn one_more_of_a_crowd_without_accounts_takes_the_place_of_its_own() {
    let limits = Limits {
        sessions: 100,
        sessions_per_address: 70,
        handshakes: UNLIMITED,
        handshakes_per_address: UNLIMITED,
        ..Limits::default()
    };
    let mut world = World::new(limits);
    let honest: Vec<_> = (0..60).map(|n| open(&mut world, v4(198, 18, 0, 1, 1000 + n))).collect();
    honest.iter().for_each(|session| world.server.vouch(*session));
    let crowd = |n: u16| v4(203, 0, 113, 1, 1000 + n);
    for n in 0..70 {
        if n == 40 {
            assert_eq!(evicted(&mut world), []);
        }
        open(&mut world, crowd(n));
    }
    let gone = evicted(&mut world);
    assert_eq!(gone.len(), 30);
    assert!(gone.iter().all(|session| !honest.contains(session)), "{gone:?}");
}

#[test]
fn an_office_behind_one_address_comes_back_at_once() {
    for (clients, within, latency) in [(200, 300, 150), (40, 2000, 1000)] {
        let mut world = World::new(Limits::default());
        for n in 0..clients {
            world.comes(v4(203, 0, 113, 1, 1000 + n), Duration::from_millis(latency));
            for _ in 0..within / clients {
                world.tick([]);
            }
        }
        for _ in 0..20_000 {
            world.tick([]);
            if world.modest.iter().all(|client| client.connected.is_some()) {
                break;
            }
        }
        let connected = world.modest.iter().filter(|client| client.connected.is_some()).count();
        assert_eq!(connected, usize::from(clients), "{latency} ms away");
    }
}

#[test]
fn one_address_has_no_more_sessions_than_its_bound_and_the_unproven_go_first() {
    let limits = Limits { sessions_per_address: 20, handshakes_per_address: UNLIMITED, ..Limits::default() };
    let mut world = World::new(limits);
    let sessions: Vec<_> = (0..20).map(|n| open(&mut world, v4(203, 0, 113, 1, 1000 + n))).collect();
    sessions.iter().take(18).for_each(|session| world.server.vouch(*session));
    assert_eq!(evicted(&mut world), []);
    // The other clients pass, one after the other, through the two places that are left.
    for n in 0..10 {
        open(&mut world, v4(203, 0, 113, 1, 2000 + n));
    }
    let gone = evicted(&mut world);
    assert_eq!((gone.len(), &gone[..2]), (10, &sessions[18..]));
    assert!(gone.iter().all(|session| !sessions[..18].contains(session)));
    assert_eq!(world.server.counters().sessions, 20);
}

#[test]
fn in_a_full_table_the_unproven_go_before_all_others() {
    let limits = Limits { sessions: 10, ..Limits::default() };
    let mut world = World::new(limits);
    let sessions: Vec<_> = (0..10).map(|n| open(&mut world, v4(198, 18, n, 1, 5000))).collect();
    for session in [0, 1, 2, 4, 5, 6, 7, 8, 9] {
        world.server.vouch(sessions[session]);
    }
    open(&mut world, v4(198, 19, 0, 1, 5000));
    assert_eq!(evicted(&mut world), [sessions[3]]);
}

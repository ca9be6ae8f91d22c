//! A capture of sessions of our own whose datagrams come, or come changed, cut, joined, twice, from
//! elsewhere, among made-up ones.
//!
//! Each datagram counts once, for one session or as a foreign one. What is told of was sent, unchanged. No
//! more sessions are kept than the limit allows.

use crate::dtls::{CLIENT, SERVER, STRANGER, identity};
use crate::openssl_random;
use arbitrary::{Arbitrary, Unstructured};
use lowband_capture::{Capture, Datagram, Event, Exchange, Limits, Options, Session, Time};
use lowband_transport::dtls::{Config, Endpoint, Event as Happened, Verification};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Instant;

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    /// The recorded datagrams from the first to this one.
    PassUpTo(u8),
    Pass(u8),
    Change {
        which: u8,
        at: u16,
        by: u8,
    },
    Cut {
        which: u8,
        length: u16,
    },
    /// The capture has the first bytes only.
    Snap {
        which: u8,
        length: u16,
    },
    Join {
        first: u8,
        second: u8,
    },
    FromElsewhere {
        which: u8,
        port: u8,
    },
    MadeUp {
        from_client: bool,
        payload: &'a [u8],
    },
    Secrets,
    Wait(u8),
}

/// What passes a datagram at a time, and what was said in it.
struct Recorded {
    /// True for what the client has sent.
    datagrams: Vec<(bool, Vec<u8>)>,
    key_log: Vec<u8>,
    messages: BTreeSet<Vec<u8>>,
}

static RECORDED: LazyLock<Recorded> = LazyLock::new(record);

/// Records two sessions of the same client, one after the other.
fn record() -> Recorded {
    openssl_random::begin(1);
    let now = Instant::now();
    let config = Config { server: Some(identity()), key_log: true, ..Config::default() };
    let mut server = Endpoint::new(config, [2; 32]).expect("the certificate is in order");
    let mut recorded = Recorded { datagrams: Vec::new(), key_log: Vec::new(), messages: BTreeSet::new() };
    for session in 0..2 {
        let config = Config { client: Some(Verification::None), ..Config::default() };
        let mut client = Endpoint::new(config, [session; 32]).expect("a client needs nothing");
        client.connect(now, SERVER, "server.test").expect("a first flight");
        let (mut up, mut down, mut sent) = (None, None, 0u8);
        loop {
            let mut is_quiet = true;
            while let Some(transmit) = client.poll_transmit() {
                recorded.datagrams.push((true, transmit.bytes.clone()));
                server.handle_datagram(now, CLIENT, None, &transmit.bytes);
                is_quiet = false;
            }
            while let Some(transmit) = server.poll_transmit() {
                recorded.datagrams.push((false, transmit.bytes.clone()));
                client.handle_datagram(now, SERVER, None, &transmit.bytes);
                is_quiet = false;
            }
            while let Some(event) = client.poll_event() {
                if let Happened::Connected { session, .. } = event {
                    up = Some(session);
                }
            }
            while let Some(event) = server.poll_event() {
                if let Happened::Connected { session, .. } = event {
                    down = Some(session);
                }
            }
            if !is_quiet {
                continue;
            }
            let request = [0x51, 1, session, sent, sent, 0xb1, b'7'].to_vec();
            let response = [0x51, 0x45, session, sent, sent, 0xff, 0xa0].to_vec();
            match (up, down, sent) {
                (Some(up), _, 0..4) if sent % 2 == 0 => {
                    client.send(now, up, &request).expect("a session");
                    recorded.messages.insert(request);
                }
                (_, Some(down), 0..4) => {
                    server.send(now, down, &response).expect("a session");
                    recorded.messages.insert(response);
                }
                _ => break,
            }
            sent += 1;
        }
    }
    while let Some(line) = server.poll_key_log() {
        recorded.key_log.extend(line.bytes().chain([b'\n']));
    }
    assert_eq!(recorded.messages.len(), 8);
    recorded
}

/// Sessions that the capture keeps at most.
const MOST: usize = 3;

struct Course {
    capture: Capture,
    passed: Vec<Vec<u8>>,
    /// Bytes on the wire of all that has passed.
    bytes: u64,
    now: u64,
    foreign: u64,
    foreign_bytes: u64,
    exchanges: Vec<Exchange>,
    sessions: Vec<Session>,
    unread: usize,
}

impl Course {
    fn pass(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8], length: usize) {
        let frame = self.passed.len() as u64 + 1;
        self.passed.push(payload.to_vec());
        self.bytes += length as u64;
        self.now += 1_000_000;
        let offset = Some(frame << 16);
        let datagram = Datagram { frame, offset, time: Time(self.now), from, to, payload, length };
        let Course { capture, .. } = self;
        let mut events = Vec::new();
        capture.datagram(&datagram, &mut |event| events.push(event));
        assert!(capture.sessions().count() <= MOST);
        for event in events {
            if let Event::Foreign { .. } = event {
                self.foreign += 1;
                self.foreign_bytes += length as u64;
            }
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Exchange(exchange) => self.exchanges.push(exchange),
            Event::Session(session) => self.sessions.push(session),
            Event::Unread(unread) => {
                assert!(
                    unread.message.frame <= self.passed.len() as u64 && !unread.why.to_string().is_empty()
                );
                self.unread += 1;
            }
            Event::Foreign { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// Ends the capture, and checks that nothing has been lost or made up.
    fn end(mut self) {
        let mut events = Vec::new();
        self.capture.finish(&mut |event| events.push(event));
        events.into_iter().for_each(|event| self.take(event));
        let (mut datagrams, mut bytes) = (self.foreign, self.foreign_bytes);
        let mut duplicates = 0;
        for session in &self.sessions {
            datagrams += session.up.datagrams + session.down.datagrams + session.duplicates;
            bytes += session.up.bytes + session.down.bytes;
            duplicates += session.duplicates;
            assert!(session.handshake_up.bytes <= session.up.bytes);
            assert!(session.handshake_down.bytes <= session.down.bytes);
        }
        assert_eq!(datagrams, self.passed.len() as u64);
        assert!(bytes <= self.bytes && (duplicates > 0 || bytes == self.bytes));
        for exchange in &self.exchanges {
            let detail = self.capture.detail(exchange, &mut |offset, length| {
                let payload = self.passed.get((offset >> 16) as usize - 1)?;
                let from = (offset & 0xffff) as usize;
                payload.get(from..from + length).map(<[u8]>::to_vec)
            });
            for message in detail.messages {
                // A session that was given up has taken its keys along.
                let Ok(message) = message.message else { continue };
                let is_request = message.code.is_request();
                let [high, low] = message.id.to_be_bytes();
                let said = if is_request {
                    vec![0x51, 1, high, low, low, 0xb1, b'7']
                } else {
                    vec![0x51, 0x45, high, low, low, 0xff, 0xa0]
                };
                assert_eq!(message.token, [low]);
                assert!(RECORDED.messages.contains(&said), "{message:?}");
            }
        }
    }
}

pub fn run(data: &[u8]) {
    let recorded = &*RECORDED;
    let limits = Limits { sessions: MOST, open_exchanges: 4, pieces: 600, ..Limits::default() };
    let mut course = Course {
        capture: Capture::new(Options { limits, coap_ports: Vec::new(), ..Options::default() }),
        passed: Vec::new(),
        bytes: 0,
        now: 0,
        foreign: 0,
        foreign_bytes: 0,
        exchanges: Vec::new(),
        sessions: Vec::new(),
        unread: 0,
    };
    let ends = |from_client: bool| if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let get = |which: u8| {
        let (from_client, bytes) = &recorded.datagrams[usize::from(which) % recorded.datagrams.len()];
        (*from_client, bytes.clone())
    };
    let mut input = Unstructured::new(data);
    while !input.is_empty()
        && let Ok(step) = Step::arbitrary(&mut input)
    {
        let (from_client, payload, length) = match step {
            Step::PassUpTo(which) => {
                for which in 0..which % recorded.datagrams.len() as u8 {
                    let (from_client, payload) = get(which);
                    let (from, to) = ends(from_client);
                    course.pass(from, to, &payload, payload.len());
                }
                continue;
            }
            Step::Pass(which) => {
                let (from_client, payload) = get(which);
                (from_client, payload, None)
            }
            Step::Change { which, at, by } => {
                let (from_client, mut payload) = get(which);
                let at = usize::from(at) % payload.len();
                payload[at] ^= by;
                (from_client, payload, None)
            }
            Step::Cut { which, length } => {
                let (from_client, mut payload) = get(which);
                payload.truncate(usize::from(length));
                (from_client, payload, None)
            }
            Step::Snap { which, length } => {
                let (from_client, mut payload) = get(which);
                let whole = payload.len();
                payload.truncate(usize::from(length));
                (from_client, payload, Some(whole))
            }
            Step::Join { first, second } => {
                let ((from_client, first), (_, second)) = (get(first), get(second));
                (from_client, [first, second].concat(), None)
            }
            Step::FromElsewhere { which, port } => {
                let (from_client, payload) = get(which);
                let elsewhere = SocketAddr::new(STRANGER.ip(), 5000 + u16::from(port % 8));
                let (from, to) = if from_client { (elsewhere, SERVER) } else { (SERVER, elsewhere) };
                course.pass(from, to, &payload, payload.len());
                continue;
            }
            Step::MadeUp { from_client, payload } => (from_client, payload.to_vec(), None),
            Step::Secrets => {
                course.capture.add_secrets(&recorded.key_log, 1);
                continue;
            }
            Step::Wait(seconds) => {
                course.now += u64::from(seconds) * 1_000_000_000;
                continue;
            }
        };
        let (from, to) = ends(from_client);
        course.pass(from, to, &payload, length.unwrap_or(payload.len()));
    }
    if !course.passed.is_empty() {
        course.end();
    }
}

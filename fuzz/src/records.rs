//! The record layer of a live session under datagrams that are lost, doubled, reordered, changed, cut,
//! joined, and made up.
//!
//! Data that an end accepts was sent by the other one, unchanged, and is accepted once. Without a close both
//! ends stay connected and the next honest message passes.

use crate::dtls::{End, Pair};
use arbitrary::{Arbitrary, Unstructured};
use lowband_transport::SessionId;
use lowband_transport::dtls::{CloseReason, Event};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    /// An honest message, which is not delivered yet.
    Send {
        from: End,
        length: u8,
    },
    /// One of the datagrams that the other end has sent: the newest is number 0.
    Deliver {
        to: End,
        which: u8,
    },
    Change {
        to: End,
        which: u8,
        at: u16,
        by: u8,
    },
    Cut {
        to: End,
        which: u8,
        length: u16,
    },
    /// Two datagrams in one.
    Join {
        to: End,
        first: u8,
        second: u8,
    },
    /// A datagram under another record number.
    Renumber {
        to: End,
        which: u8,
        epoch: u8,
        sequence: u16,
    },
    FromStranger {
        to: End,
        which: u8,
    },
    MadeUp {
        to: End,
        datagram: &'a [u8],
    },
    Pass {
        seconds: u8,
    },
    Close {
        end: End,
    },
}

/// A larger number of steps would only repeat what fewer have shown.
const MOST_STEPS: usize = 100;

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut live = Live::new();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        live.step(&step);
    }
    live.end();
}

struct Live {
    pair: Pair,
    sessions: [SessionId; 2],
    /// Datagrams of each end, its handshake included.
    datagrams: [Vec<Vec<u8>>; 2],
    /// Messages of each end that have not been delivered.
    messages: [BTreeSet<Vec<u8>>; 2],
    next: u32,
    closed: bool,
}

impl Live {
    fn new() -> Live {
        let mut pair = Pair::new();
        let mut datagrams = [Vec::new(), Vec::new()];
        pair.connect();
        for _ in 0..8 {
            for from in [End::Client, End::Server] {
                for datagram in pair.sent(from) {
                    pair.deliver(from.other(), &datagram);
                    datagrams[from as usize].push(datagram);
                }
            }
        }
        let [Event::Connected { session, .. }] = pair.events(End::Client)[..] else {
            panic!("a clean handshake finishes")
        };
        let server = pair.endpoint(End::Server).session_ids()[0];
        let messages = [BTreeSet::new(), BTreeSet::new()];
        let mut live =
            Live { pair, sessions: [session, server], datagrams, messages, next: 0, closed: false };
        live.honest(End::Client);
        live.honest(End::Server);
        live
    }

    fn step(&mut self, step: &Step<'_>) {
        match *step {
            Step::Send { from, length } => self.send(from, length.into()),
            Step::Deliver { to, which } => self.deliver(to, which, |_| {}),
            Step::Change { to, which, at, by } => self.deliver(to, which, |datagram| {
                let at = usize::from(at) % datagram.len().max(1);
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= by;
                }
            }),
            Step::Cut { to, which, length } => {
                self.deliver(to, which, |datagram| datagram.truncate(length.into()));
            }
            Step::Join { to, first, second } => {
                let second = self.datagram(to, second);
                self.deliver(to, first, |datagram| datagram.extend(second));
            }
            Step::Renumber { to, which, epoch, sequence } => self.deliver(to, which, |datagram| {
                if let Some(number) = datagram.get_mut(3..11) {
                    let [high, low] = sequence.to_be_bytes();
                    number.copy_from_slice(&[0, epoch, 0, 0, 0, 0, high, low]);
                }
            }),
            Step::FromStranger { to, which } => {
                let datagram = self.datagram(to, which);
                self.pair.deliver_from_stranger(to, &datagram);
            }
            Step::MadeUp { to, datagram } => self.pair.deliver(to, datagram),
            Step::Pass { seconds } => self.pair.pass(Duration::from_secs(seconds.into())),
            Step::Close { end } => {
                self.closed = true;
                let (now, session) = (self.pair.now, self.sessions[end as usize]);
                self.pair.endpoint(end).close(now, session);
            }
        }
        self.look();
    }

    fn datagram(&self, to: End, which: u8) -> Vec<u8> {
        let all = &self.datagrams[to.other() as usize];
        all.iter().rev().nth(usize::from(which) % all.len().max(1)).cloned().unwrap_or_default()
    }

    fn deliver(&mut self, to: End, which: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let mut datagram = self.datagram(to, which);
        change(&mut datagram);
        self.pair.deliver(to, &datagram);
    }

    fn send(&mut self, from: End, length: usize) {
        let mut message = self.next.to_be_bytes().to_vec();
        message.resize(4 + length, self.next as u8);
        self.next += 1;
        let (now, session) = (self.pair.now, self.sessions[from as usize]);
        let sent = self.pair.endpoint(from).send(now, session, &message);
        assert!(sent.is_ok() || self.closed, "a live session takes a message");
        if sent.is_ok() {
            self.messages[from as usize].insert(message);
        }
    }

    /// Sends a message and delivers it.
    fn honest(&mut self, from: End) {
        self.send(from, 10);
        self.look();
        let before = self.messages[from as usize].len();
        self.deliver(from.other(), 0, |_| {});
        self.look();
        assert_eq!(self.messages[from as usize].len(), before - 1, "an honest message passes");
    }

    fn look(&mut self) {
        for end in [End::Client, End::Server] {
            for event in self.pair.events(end) {
                match event {
                    Event::Data { session, bytes } => {
                        assert_eq!(session, self.sessions[end as usize]);
                        assert!(
                            self.messages[end.other() as usize].remove(&bytes),
                            "what is taken for data was sent, and is taken once"
                        );
                    }
                    // At the server this comes with the first message.
                    Event::Connected { session, .. } => assert_eq!(session, self.sessions[1]),
                    Event::Closed { why: CloseReason::Local | CloseReason::CloseNotify, .. } => {
                        assert!(self.closed, "nobody ends a session from outside");
                    }
                    // A message that the input has written.
                    Event::Doubted { session } => assert_eq!(session, self.sessions[0]),
                    other => panic!("{other:?}"),
                }
            }
            let datagrams = self.pair.sent(end);
            self.datagrams[end as usize].extend(datagrams);
        }
    }

    fn end(mut self) {
        if !self.closed {
            self.honest(End::Client);
            self.honest(End::Server);
            for end in [End::Client, End::Server] {
                assert_eq!(self.pair.endpoint(end).counters().sessions, 1);
            }
        }
        self.pair.pass(Duration::from_secs(61));
        for end in [End::Client, End::Server] {
            assert_eq!(self.pair.endpoint(end).counters().half_open, 0, "no handshake is left");
        }
    }
}

//! A handshake whose flights are lost, doubled, delayed, changed, cut and taken apart.
//!
//! A handshake finishes or ends, within its limit, with a bounded number of datagrams. If the client
//! considers it finished, the server has finished too, and a message passes.

use crate::dtls::{End, Pair};
use arbitrary::{Arbitrary, Unstructured};
use lowband_transport::dtls::Event;
use std::collections::VecDeque;
use std::time::Duration;

/// The fate of one datagram.
#[derive(Debug, Arbitrary)]
enum Fate<'a> {
    Arrives,
    IsLost,
    ArrivesTwice,
    /// The datagram arrives after everything that is on its way.
    IsLate,
    Changes {
        at: u16,
        to: u8,
    },
    ChangesAndArrives {
        at: u16,
        to: u8,
    },
    IsCut {
        length: u16,
    },
    /// Its records arrive as datagrams of their own, the last one first.
    IsTakenApart,
    /// Another datagram arrives before it.
    IsPreceded {
        by: &'a [u8],
    },
}

/// The client's limit plus the server's, and the time by which either may have begun late.
const LONGEST: Duration = Duration::from_secs(200);
/// Flights of at most three datagrams, some ten times within a minute in each direction, and the repeats that
/// duplicates cause.
const MOST_DATAGRAMS: usize = 400;

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut pair = Pair::new();
    let end = pair.now + LONGEST;
    let mut queue: VecDeque<(End, Vec<u8>)> = VecDeque::new();
    let mut late: Vec<(End, Vec<u8>)> = Vec::new();
    let (mut connected, mut datagrams) = (None, 0);
    pair.connect();
    loop {
        for from in [End::Client, End::Server] {
            for datagram in pair.sent(from) {
                datagrams += 1;
                let fate = match input.is_empty() {
                    true => Fate::Arrives,
                    false => Fate::arbitrary(&mut input).unwrap_or(Fate::Arrives),
                };
                befall(&fate, from.other(), datagram, &mut queue, &mut late);
            }
        }
        assert!(datagrams <= MOST_DATAGRAMS, "a handshake does not send without end");
        for event in pair.events(End::Client) {
            match event {
                Event::Connected { session, .. } => connected = Some(session),
                Event::Closed { .. } => assert!(connected.is_none(), "nobody ends a session from outside"),
                // An alert that came too late for its handshake.
                Event::Doubted { .. } => {}
                other => panic!("nothing has been sent: {other:?}"),
            }
        }
        assert!(pair.events(End::Server).is_empty(), "the server speaks of sessions that have spoken");
        if let Some((to, datagram)) = queue.pop_front() {
            pair.now += Duration::from_millis(10);
            pair.deliver(to, &datagram);
        } else if !late.is_empty() {
            queue.extend(late.drain(..));
        } else {
            let timers = [End::Client, End::Server].map(|end| pair.endpoint(end).poll_timeout());
            let Some(due) = timers.into_iter().flatten().min().filter(|due| *due <= end) else { break };
            let now = pair.now.max(due);
            pair.pass(now - pair.now);
        }
    }
    for end in [End::Client, End::Server] {
        assert_eq!(pair.endpoint(end).counters().half_open, 0, "a handshake has its limit");
    }
    if let Some(session) = connected {
        let now = pair.now;
        pair.endpoint(End::Client).send(now, session, b"hello").expect("the session lives");
        for datagram in pair.sent(End::Client) {
            pair.deliver(End::Server, &datagram);
        }
        let events = pair.events(End::Server);
        let [Event::Connected { .. }, Event::Data { bytes, .. }] = &events[..] else {
            panic!("who is connected can speak: {events:?}")
        };
        assert_eq!(bytes, b"hello");
    }
}

fn befall(
    fate: &Fate<'_>,
    to: End,
    mut datagram: Vec<u8>,
    queue: &mut VecDeque<(End, Vec<u8>)>,
    late: &mut Vec<(End, Vec<u8>)>,
) {
    match *fate {
        Fate::Arrives => queue.push_back((to, datagram)),
        Fate::IsLost => {}
        Fate::ArrivesTwice => queue.extend([(to, datagram.clone()), (to, datagram)]),
        Fate::IsLate => late.push((to, datagram)),
        Fate::Changes { at, to: value } => {
            change(&mut datagram, at, value);
            queue.push_back((to, datagram));
        }
        Fate::ChangesAndArrives { at, to: value } => {
            let mut changed = datagram.clone();
            change(&mut changed, at, value);
            queue.extend([(to, changed), (to, datagram)]);
        }
        Fate::IsCut { length } => {
            datagram.truncate(length.into());
            queue.push_back((to, datagram));
        }
        Fate::IsTakenApart => queue.extend(records(&datagram).into_iter().rev().map(|record| (to, record))),
        Fate::IsPreceded { by } => queue.extend([(to, by.to_vec()), (to, datagram)]),
    }
}

fn change(datagram: &mut [u8], at: u16, value: u8) {
    let at = usize::from(at) % datagram.len().max(1);
    if let Some(byte) = datagram.get_mut(at) {
        *byte = value;
    }
}

fn records(mut datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some([high, low]) = datagram.get(11..13) {
        let length = 13 + usize::from(u16::from_be_bytes([*high, *low]));
        let (record, rest) = datagram.split_at(length.min(datagram.len()));
        records.push(record.to_vec());
        datagram = rest;
    }
    records
}

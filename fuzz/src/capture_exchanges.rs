//! Messages of CoAP in the clear, in any order and at any time.
//!
//! Each is told of once: in an exchange, or as one that cannot be read or assigned. Exchanges come once each,
//! and what they sum up is what passed. The limits hold.
//!
//! For each message a byte of its direction and of how long to wait, one of its length, and its bytes.

use lowband_capture::{Capture, Datagram, Event, Exchange, Kind, Limits, Options, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 5683);

/// How long to wait before a message, in seconds.
const WAITS: [u64; 8] = [0, 0, 0, 1, 20, 30, 240, 300];
/// Exchanges that may be open.
const MOST: usize = 6;

pub fn run(data: &[u8]) {
    if data.len() < 2 {
        return;
    }
    let limits = Limits {
        open_exchanges: MOST,
        settled_ids: 8,
        registrations: 2,
        body: 100,
        bodies: 150,
        ..Limits::default()
    };
    let mut capture = Capture::new(Options { limits, ..Options::default() });
    let (mut events, mut passed, mut now, mut rest) = (Vec::new(), Vec::new(), 0, data);
    while let [how, length, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + (how >> 4 & 1))), 5000);
        let (from, to) = if how & 1 == 0 { (client, SERVER) } else { (SERVER, client) };
        now += WAITS[usize::from(how >> 1 & 7)] * 1_000_000_000;
        passed.push((how & 1 == 0, payload));
        let frame = passed.len() as u64;
        let (offset, time, length) = (Some(frame << 16), Time(now), payload.len());
        let datagram = Datagram { frame, offset, time, from, to, payload, length };
        capture.datagram(&datagram, &mut |event| events.push(event));
    }
    capture.finish(&mut |event| events.push(event));
    check(&capture, events, &passed);
}

fn check(capture: &Capture, events: Vec<Event>, passed: &[(bool, &[u8])]) {
    let mut told = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let (mut bytes, mut unread_bytes) = (0, 0);
    for event in events {
        match event {
            Event::Exchange(exchange) => {
                assert!(numbers.insert(exchange.number), "{exchange:?} again");
                for message in &exchange.messages {
                    assert_eq!(told.insert(message.frame, exchange.number), None, "{exchange:?}");
                }
                bytes += exchange.up.bytes + exchange.down.bytes;
                check_one(capture, &exchange, passed);
            }
            Event::Unread(unread) => {
                assert_eq!(told.insert(unread.message.frame, 0), None, "{unread:?}");
                assert!(!unread.why.to_string().is_empty());
                unread_bytes += u64::from(unread.message.length);
            }
            Event::Session(session) => {
                let traffic = [session.up, session.down];
                assert!(traffic.iter().all(|way| way.datagrams > 0 || way.bytes == 0));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told.len(), passed.len());
    assert_eq!(numbers.len() as u64, numbers.last().copied().unwrap_or(0), "numbers without a gap");
    let all: usize = passed.iter().map(|(_, payload)| payload.len()).sum();
    assert_eq!(bytes + unread_bytes, all as u64);
}

fn check_one(capture: &Capture, exchange: &Exchange, passed: &[(bool, &[u8])]) {
    let Exchange { messages, up, down, duration, .. } = exchange;
    assert_eq!(up.datagrams + down.datagrams, messages.len() as u64);
    assert!(messages.is_sorted_by_key(|message| message.frame));
    assert!(duration.is_none_or(|duration| duration <= Duration::from_secs(300) * passed.len() as u32));
    if let Kind::Notification { registration, .. } = exchange.kind {
        assert!(registration < exchange.number);
    }
    let detail = capture.detail(exchange, &mut |offset, length| {
        let (_, payload) = passed[(offset >> 16) as usize - 1];
        Some(payload[..length].to_vec())
    });
    for (message, detail) in messages.iter().zip(&detail.messages) {
        let (from_client, payload) = passed[message.frame as usize - 1];
        assert_eq!(from_client, message.from_client);
        let decoded = detail.message.as_ref().expect("it was read before");
        assert!(payload.ends_with(&decoded.payload));
        assert_eq!(decoded.code.0, payload[1]);
    }
    // What was said of the bodies holds for their bytes, where they are whole.
    for (said, body) in
        [(&exchange.request_body, &detail.request_body), (&exchange.response_body, &detail.response_body)]
    {
        if let (Some(said), Some(body)) = (said, body)
            && said.json_bytes.is_some()
        {
            let json = body.json.as_ref().expect("JSON").as_ref().expect("readable");
            assert_eq!((said.bytes, said.json_bytes), (body.bytes.len() as u64, Some(json.len() as u64)));
        }
    }
}

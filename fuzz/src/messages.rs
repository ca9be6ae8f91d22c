//! Bytes of messages for a request at the server and for a response at the client.
//!
//! The input: a byte that chooses the role, then messages, each as a byte that decides its use, its length in
//! two bytes, and its bytes.

use crate::coap::{Outgoing, Sent, URI_PATH, assert_in_order, body, tight_limits};
use coap_lite::MessageType;
use lowband_transport::coap::{Client, ClientEvent, Request, Server, ServerEvent, Times};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SESSION: SessionId = SessionId(1);

/// Time after which everything remembered has been forgotten.
const LONG: Duration = Duration::from_secs(3600);

pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((role, messages)) if role & 1 == 0 => server(messages),
        Some((_, messages)) => client(messages),
        None => {}
    }
}

/// Splits the input into messages, each with its use; the last one may be cut.
fn split(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[how, high, low], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (message, after) = rest.split_at(length.min(rest.len()));
        data = after;
        Some((how, message))
    })
}

fn server(messages: &[u8]) {
    let limits = tight_limits();
    let mut now = Instant::now();
    let mut server = Server::new(Times::rfc7252(), limits.clone(), [7; 32]);
    server.session_opened(now, SESSION, None);
    let mut known = BTreeSet::new();
    for (how, message) in split(messages) {
        server.handle_message(now, SESSION, Network::alone(1), message);
        while let Some(event) = server.poll_event() {
            let ServerEvent::Request { exchange, options, body: uploaded, .. } = event else { continue };
            assert!(known.insert(exchange), "an exchange is told of once");
            assert_in_order(&options, &uploaded, &limits);
            answer(&mut server, now, exchange, how);
        }
        while let Some((session, bytes)) = server.poll_transmit() {
            assert_eq!(session, SESSION);
            Sent::parse(&bytes);
        }
        if how & 4 != 0 {
            now += Duration::from_secs(u64::from(how >> 3));
            pass(&mut server, now);
        }
    }
    // The upstream gives up, time passes, and everything is forgotten: new requests are served.
    for exchange in &known {
        server.fail(now, *exchange, Code::new(5, 2), "the upstream is away");
    }
    now += LONG;
    pass(&mut server, now);
    while server.poll_transmit().is_some() || server.poll_event().is_some() {}
    assert_eq!((server.blockwise_bytes(), server.open_exchanges(), server.poll_timeout()), (0, 0, None));
    let honest = Outgoing::new(MessageType::Confirmable, Code::GET.0, 1, b"honest").option(URI_PATH, b"x");
    server.handle_message(now, SESSION, Network::alone(1), &honest.bytes());
    let event = server.poll_event();
    assert!(matches!(event, Some(ServerEvent::Request { .. })), "the session goes on: {event:?}");
    // State of a session stays until its end, and no other state does.
    server.session_closed(now, SESSION);
    assert_eq!(server.sessions_in_memory(), 0);
}

/// Answers not at all, shortly, in blocks, or badly.
fn answer(server: &mut Server, now: Instant, exchange: ExchangeId, how: u8) {
    let content = |server: &mut Server, length| {
        server.respond_head(now, exchange, Code::CONTENT, ResponseOptions::default());
        server.respond_chunk(now, exchange, &body(exchange.0, 0, length), true);
    };
    match how & 3 {
        0 => {}
        1 => content(server, 20),
        2 => content(server, 5000),
        _ => server.fail(now, exchange, Code::new(5, 2), "the upstream is away"),
    }
}

fn pass(server: &mut Server, until: Instant) {
    while let Some(due) = server.poll_timeout().filter(|due| *due <= until) {
        server.handle_timeout(due);
        assert!(server.poll_timeout() != Some(due), "what was due has been done");
    }
}

fn client(messages: &[u8]) {
    let limits = tight_limits();
    let mut now = Instant::now();
    let mut client = Client::new(Times::rfc7252(), limits.clone(), [7; 32]);
    client.session_opened(now, SESSION, None);
    let mut open = BTreeSet::new();
    for (method, length) in [(Method::Get, 0), (Method::Put, 3000), (Method::Post, 100)] {
        let options = RequestOptions { path: vec!["x".into()], ..RequestOptions::default() };
        let exchange = client.request(now, SESSION, Request { method, options, body: body(0, 0, length) });
        assert!(open.insert(exchange), "exchanges have names of their own");
    }
    client.ping(now, SESSION);
    let mut sent = Vec::new();
    for (how, message) in split(messages) {
        while let Some((_, bytes)) = client.poll_transmit() {
            sent.push(Sent::parse(&bytes));
        }
        let to = sent.iter().rev().nth(usize::from(how >> 2 & 3));
        let message = to.map_or(message.to_vec(), |to| addressed(message, to, how));
        client.handle_message(now, SESSION, &message);
        if how & 0x80 != 0 {
            now += Duration::from_secs(u64::from(how >> 4 & 7));
            while let Some(due) = client.poll_timeout().filter(|due| *due <= now) {
                client.handle_timeout(due);
            }
        }
        ended(&mut client, &mut open, limits.download);
    }
    client.session_closed(now, SESSION);
    ended(&mut client, &mut open, limits.download);
    assert!(open.is_empty(), "each request ends");
    assert_eq!(client.poll_timeout(), None);
}

fn ended(client: &mut Client, open: &mut BTreeSet<ExchangeId>, download: usize) {
    while let Some(event) = client.poll_event() {
        match event {
            ClientEvent::Response { exchange, response } => {
                assert!(open.remove(&exchange), "a request ends once");
                assert!(response.body.len() <= download.max(1 << 14), "a body within the limit");
            }
            ClientEvent::Failed { exchange, .. } => assert!(open.remove(&exchange), "a request ends once"),
            ClientEvent::Pong { session } | ClientEvent::Dead { session } => assert_eq!(session, SESSION),
            other => panic!("{other:?}"),
        }
    }
}

/// Gives a message the message id (bit 0) and the token (bit 1) of a request, so that it refers to that
/// request.
fn addressed(message: &[u8], to: &Sent, how: u8) -> Vec<u8> {
    let mut message = message.to_vec();
    if let (1, Some(id)) = (how & 1, message.get_mut(2..4)) {
        id.copy_from_slice(&to.id().to_be_bytes());
    }
    if let (2, Some(first)) = (how & 2, message.first().copied()) {
        let old = usize::from(first & 0xf);
        if message.len() >= 4 + old {
            message.splice(4..4 + old, to.token().iter().copied());
            message[0] = first & 0xf0 | to.token().len() as u8;
        }
    }
    message
}

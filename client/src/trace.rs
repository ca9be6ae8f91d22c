//! Watching a connection: every datagram, what can be seen of it from outside the encryption, and the CoAP
//! messages inside.

use crate::error::Error;
use lowband_wire::coap::message::{Malformed, View};
use lowband_wire::dtls::handshake;
use lowband_wire::dtls::record::{ContentType, Header};
use std::fmt::{self, Write};
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happened on a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Trace<'a> {
    /// A datagram has been sent.
    Sent(&'a [u8]),
    /// A datagram has arrived.
    Received(&'a [u8]),
    /// The server's host has said that no program listens on its UDP port (ICMP).
    Refused,
    /// The handshake has finished; holds its round trip, where one could be measured.
    Connected(Option<Duration>),
    /// A CoAP message has been sent; copies count. Its datagram follows.
    MessageSent(Message<'a>),
    /// A CoAP message has arrived; copies count.
    MessageReceived(Message<'a>),
    /// What has arrived in a record is not a CoAP message.
    Unreadable(Malformed),
    /// A request is on its way, with these Uri-Path options.
    UriPath(&'a [String]),
    /// A keep-alive ping has been answered.
    Pong,
    /// A request got no response for this reason, and will be made again on a new session.
    Lost(&'a Error),
    /// A new session is begun after this time, from a new port.
    Dialling(Duration),
    /// A dial made no session, for this reason; another dial follows.
    Unreached(&'a Error),
    /// The server has answered 5.03; the request is made again after this time, its Max-Age.
    Unavailable(Duration),
}

/// A CoAP message in the clear, but for what is secret in its options: each byte of an access token and of a
/// parameter that names a token, password or secret is an asterisk. The payload is as it is, and may hold any
/// secret of a body.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes }
    }

    /// Returns the whole message.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the message, which is well-formed.
    pub fn view(self) -> Result<View<'a>, Malformed> {
        View::parse(self.bytes)
    }
}

/// Omits the bytes: the payload must not end up in a log.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes)", self.bytes.len())
    }
}

/// A function that sees what happens. Called from the connection's task, at times with its lock held: it must
/// be quick and must not use the connection.
#[derive(Clone)]
pub struct Tracer(Arc<dyn Fn(Trace<'_>) + Send + Sync>);

impl Tracer {
    /// Calls `see` each time something happens.
    pub fn new(see: impl Fn(Trace<'_>) + Send + Sync + 'static) -> Tracer {
        Tracer(Arc::new(see))
    }

    pub(crate) fn see(&self, what: Trace<'_>) {
        (self.0)(what);
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

/// Bytes and datagrams of a connection so far, as UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent, records of handshakes included.
    pub datagrams_out: u64,
    /// UDP payload of the datagrams sent.
    pub bytes_out: u64,
    /// Datagrams received, including those that were dropped.
    pub datagrams_in: u64,
    /// UDP payload of the datagrams received.
    pub bytes_in: u64,
}

impl Add for Traffic {
    type Output = Traffic;

    fn add(self, other: Traffic) -> Traffic {
        Traffic {
            datagrams_out: self.datagrams_out + other.datagrams_out,
            bytes_out: self.bytes_out + other.bytes_out,
            datagrams_in: self.datagrams_in + other.datagrams_in,
            bytes_in: self.bytes_in + other.bytes_in,
        }
    }
}

/// Counts what passes on one connection or on several, while it passes, that of handshakes which come to
/// nothing included ([`crate::Settings::meter`]). Outlives the connections that it counts.
#[derive(Debug, Default)]
pub struct Meter {
    datagrams_out: AtomicU64,
    bytes_out: AtomicU64,
    datagrams_in: AtomicU64,
    bytes_in: AtomicU64,
}

impl Meter {
    /// Returns what has passed so far. The four numbers are read one by one, so that a datagram may be in one
    /// and not yet in another.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            datagrams_out: self.datagrams_out.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            datagrams_in: self.datagrams_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        self.datagrams_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        self.datagrams_in.fetch_add(1, Ordering::Relaxed);
    }
}

/// Names the DTLS records of a datagram, e.g. `ClientKeyExchange, ChangeCipherSpec, handshake (encrypted)`.
/// Records are looked at one by one, whatever their type and version.
pub fn records(datagram: &[u8]) -> String {
    let mut names = String::new();
    let mut rest = datagram;
    while let Some((header, after)) = Header::parse(rest) {
        let Some((body, next)) = after.split_at_checked(header.length) else { break };
        let separator = if names.is_empty() { "" } else { ", " };
        let _infallible = write!(names, "{separator}{}", record(&header, body));
        rest = next;
    }
    if !rest.is_empty() {
        names.push_str(if names.is_empty() { "not DTLS" } else { ", and more that is not DTLS" });
    }
    names
}

fn record(header: &Header, body: &[u8]) -> String {
    let is_encrypted = header.number.epoch() > 0;
    match (ContentType::from_wire(header.content_type), is_encrypted, body) {
        (Some(ContentType::ChangeCipherSpec), _, _) => "ChangeCipherSpec".into(),
        (Some(ContentType::Alert), false, &[_level, description, ..]) => format!("alert {description}"),
        (Some(ContentType::Alert), _, _) => "alert (encrypted)".into(),
        (Some(ContentType::Handshake), false, &[message, ..]) => match handshake::name(message) {
            Some(name) => name.into(),
            None => format!("handshake message {message}"),
        },
        (Some(ContentType::Handshake), _, _) => "handshake (encrypted)".into(),
        (Some(ContentType::ApplicationData), _, _) => "application data".into(),
        (Some(ContentType::ConnectionId) | None, _, _) => format!("record of type {}", header.content_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(content_type: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0];
        bytes.push(u8::try_from(body.len()).unwrap());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn the_records_of_a_flight_are_named() {
        let flight = [make(22, 0, &[16, 0]), make(20, 0, &[1]), make(22, 1, &[0xaa; 24])].concat();
        assert_eq!(records(&flight), "ClientKeyExchange, ChangeCipherSpec, handshake (encrypted)");
        assert_eq!(records(&make(21, 0, &[2, 40])), "alert 40");
        assert_eq!(records(&make(21, 1, &[2, 40])), "alert (encrypted)");
        assert_eq!(records(&make(23, 1, &[2, 40])), "application data");
        assert_eq!(records(&make(22, 0, &[99])), "handshake message 99");
        assert_eq!(records(&make(25, 1, &[])), "record of type 25");
    }

    #[test]
    fn a_datagram_cut_anywhere_is_described_all_the_same() {
        let flight = [make(22, 0, &[1, 0, 0]), make(23, 1, &[0; 30])].concat();
        for length in 1..flight.len() {
            let told = records(&flight[..length]);
            let whole_records = usize::from(length >= 16);
            let expected = if whole_records == 0 { "not DTLS" } else { "ClientHello" };
            assert!(told.starts_with(expected), "{length}: {told}");
        }
        assert_eq!(records(&[]), "");
    }
}

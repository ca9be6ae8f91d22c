//! A hand-written peer: messages made and read with coap-lite, sent to a server of ours under a fake clock.

use super::sim::{assert_anybody_takes, zero};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lowband_transport::coap::{Code, Limits, ResponseOptions, Server, ServerEvent, Times};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use std::time::{Duration, Instant};

pub(crate) const CON: MessageType = MessageType::Confirmable;
pub(crate) const NON: MessageType = MessageType::NonConfirmable;
pub(crate) const ACK: MessageType = MessageType::Acknowledgement;
pub(crate) const RST: MessageType = MessageType::Reset;

pub(crate) const GET: Code = Code::GET;
pub(crate) const PUT: Code = Code::PUT;
pub(crate) const POST: Code = Code::POST;

pub(crate) use lowband_wire::coap::numbers::{
    AUTHORIZATION, BLOCK1, BLOCK2, CAPABILITIES, CBOR_VERSION, ETAG, MAX_AGE, Q_BLOCK2, REQUEST_TAG, SIZE1,
    SIZE2, URI_PATH,
};

/// A message to send; the message id doubles as a two-byte token unless a test sets one.
#[derive(Clone)]
pub(crate) struct Make(Packet);

pub(crate) fn make(kind: MessageType, code: Code, id: u16) -> Make {
    let mut packet = Packet::new();
    packet.header.set_version(1);
    packet.header.set_type(kind);
    packet.header.code = MessageClass::from(code.0);
    packet.header.message_id = id;
    if code != Code::EMPTY {
        packet.set_token(id.to_be_bytes().to_vec());
    }
    Make(packet)
}

/// Makes an acknowledgement or a Reset.
pub(crate) fn empty(kind: MessageType, id: u16) -> Make {
    make(kind, Code::EMPTY, id)
}

impl Make {
    /// Sets another type.
    pub(crate) fn kind(mut self, kind: MessageType) -> Make {
        self.0.header.set_type(kind);
        self
    }
    /// Sets another message id; the token stays.
    pub(crate) fn id(mut self, id: u16) -> Make {
        self.0.header.message_id = id;
        self
    }
    pub(crate) fn token(mut self, token: &[u8]) -> Make {
        self.0.set_token(token.to_vec());
        self
    }
    pub(crate) fn path(self, path: &str) -> Make {
        path.split('/').fold(self, |made, segment| made.option(URI_PATH, segment.as_bytes()))
    }
    pub(crate) fn option(mut self, number: u16, value: &[u8]) -> Make {
        self.0.add_option(CoapOption::from(number), value.to_vec());
        self
    }
    /// Adds a block option of NUM, M and the size in bytes.
    pub(crate) fn block(self, number: u16, num: u32, more: bool, size: usize) -> Make {
        let szx = size.trailing_zeros() - 4;
        let value = (num << 4 | u32::from(more) << 3 | szx).to_be_bytes();
        let skip = value.iter().take_while(|byte| **byte == 0).count();
        self.option(number, &value[skip..])
    }
    pub(crate) fn payload(mut self, payload: &[u8]) -> Make {
        self.0.payload = payload.to_vec();
        self
    }
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.to_bytes_unlimited().unwrap()
    }
}

/// A received message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Got(Packet);

impl Got {
    pub(crate) fn parse(bytes: &[u8]) -> Got {
        Got(Packet::from_bytes(bytes).unwrap())
    }
    /// Returns the bytes of the message.
    pub(crate) fn length(&self) -> usize {
        self.0.to_bytes_unlimited().unwrap().len()
    }
    pub(crate) fn kind(&self) -> MessageType {
        self.0.header.get_type()
    }
    pub(crate) fn code(&self) -> Code {
        Code(self.0.header.code.into())
    }
    pub(crate) fn id(&self) -> u16 {
        self.0.header.message_id
    }
    pub(crate) fn token(&self) -> &[u8] {
        self.0.get_token()
    }
    pub(crate) fn payload(&self) -> &[u8] {
        &self.0.payload
    }
    pub(crate) fn option(&self, number: u16) -> Option<&[u8]> {
        self.0.get_first_option(CoapOption::from(number)).map(Vec::as_slice)
    }
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u16> {
        self.0.options().map(|(number, _)| *number)
    }
    pub(crate) fn number(&self, number: u16) -> Option<u64> {
        Some(self.option(number)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }
    /// Returns all blocks that an option names.
    pub(crate) fn blocks(&self, number: u16) -> Vec<(u64, bool, usize)> {
        let values = self.0.get_option(CoapOption::from(number)).into_iter().flatten();
        let number = values.map(|value| value.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        number.map(|value| (value >> 4, value & 8 != 0, 16 << (value & 7))).collect()
    }
    /// Returns NUM, M and the size in bytes.
    pub(crate) fn block(&self, number: u16) -> Option<(u64, bool, usize)> {
        let value = self.number(number)?;
        Some((value >> 4, value & 8 != 0, 16 << (value & 7)))
    }
}

pub(crate) const SESSION: SessionId = SessionId(1);

pub(crate) struct Peer {
    pub(crate) now: Instant,
    pub(crate) server: Server,
}

impl Peer {
    pub(crate) fn new() -> Peer {
        Peer::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Peer {
        Peer::with_times(Times::rfc7252(), limits)
    }

    pub(crate) fn with_times(times: Times, limits: Limits) -> Peer {
        Peer { now: zero(), server: Server::new(times, limits, [7; 32]) }
    }

    /// Sends a message and returns what comes back at once.
    pub(crate) fn send(&mut self, message: &Make) -> Vec<Got> {
        self.send_bytes(SESSION, &message.bytes())
    }

    pub(crate) fn send_bytes(&mut self, session: SessionId, bytes: &[u8]) -> Vec<Got> {
        self.server.handle_message(self.now, session, Network::alone(session.0), bytes);
        self.received()
    }

    /// Sends from an address that others may share.
    pub(crate) fn send_from(&mut self, session: SessionId, network: Network, message: &Make) -> Vec<Got> {
        self.server.handle_message(self.now, session, network, &message.bytes());
        self.received()
    }

    /// Sends a message that is answered at once, by one message.
    pub(crate) fn ask(&mut self, message: &Make) -> Got {
        let mut answers = self.send(message);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    pub(crate) fn received(&mut self) -> Vec<Got> {
        let sent = std::iter::from_fn(|| self.server.poll_transmit());
        sent.inspect(|(_, bytes)| assert_anybody_takes(bytes)).map(|(_, bytes)| Got::parse(&bytes)).collect()
    }

    /// Lets time pass and returns what comes meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<Got> {
        let end = self.now + time;
        let mut got = Vec::new();
        while let Some(next) = self.server.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.server.handle_timeout(self.now);
            got.extend(self.received());
        }
        self.now = end;
        got
    }

    pub(crate) fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    /// Returns the one request that has reached the caller since the last look.
    pub(crate) fn request(&mut self) -> (ExchangeId, Vec<u8>) {
        let mut events = self.events();
        match (events.pop(), events.pop()) {
            (Some(ServerEvent::Request { exchange, body, .. }), None) => (exchange, body),
            other => panic!("one request was expected, not {other:?}"),
        }
    }

    pub(crate) fn head(&mut self, exchange: ExchangeId) {
        self.server.respond_head(self.now, exchange, Code::CONTENT, ResponseOptions::default());
    }

    pub(crate) fn chunk(&mut self, exchange: ExchangeId, bytes: &[u8], last: bool) -> Vec<Got> {
        self.server.respond_chunk(self.now, exchange, bytes, last);
        self.received()
    }

    /// Answers with a whole body.
    pub(crate) fn respond(&mut self, exchange: ExchangeId, body: &[u8]) -> Vec<Got> {
        self.head(exchange);
        self.chunk(exchange, body, true)
    }

    /// Sends a GET and its answer, and returns the first block.
    pub(crate) fn get(&mut self, id: u16, path: &str, body: &[u8]) -> Got {
        assert_eq!(self.send(&make(CON, GET, id).path(path)), []);
        let (exchange, _) = self.request();
        self.respond(exchange, body).remove(0)
    }

    /// Checks that the session goes on.
    pub(crate) fn is_served(&mut self, id: u16) {
        assert_eq!(self.get(id, "still/there", b"yes").payload(), b"yes");
    }
}

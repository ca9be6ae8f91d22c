//! A capture made by hand: what its tests feed it with.

use crate::{Capture, Datagram, Event, Exchange, Options, Session, Time, Unread};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::array::Array;
use aes_gcm::{Aes128Gcm, KeyInit};
use lowband_wire::dtls::aead::additional_data;
use lowband_wire::dtls::connection_id;
use lowband_wire::dtls::fragments::Fragment;
use lowband_wire::dtls::handshake::{CLIENT_HELLO, SERVER_HELLO};
use lowband_wire::dtls::keys::{Keys, Role, Secrets};
use lowband_wire::dtls::record::{ContentType, DTLS_1_2, RecordNumber, header};
use lowband_wire::dtls::suite::Suite;
use std::collections::HashMap;
use std::net::SocketAddr;

pub(crate) const CLIENT: &str = "10.0.0.1:50000";
pub(crate) const SERVER: &str = "198.51.100.1:8008";
pub(crate) const COAP: &str = "198.51.100.1:5683";
/// The suite of all sessions here, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
pub(crate) const SUITE: u16 = 0xc02b;

/// A capture, the file that it would have been read from, and what it has told.
pub(crate) struct Bench {
    pub(crate) capture: Capture,
    pub(crate) events: Vec<Event>,
    file: HashMap<u64, Vec<u8>>,
    frame: u64,
    /// Time of the next datagram, in milliseconds.
    pub(crate) now: u64,
}

impl Bench {
    pub(crate) fn new(options: Options) -> Bench {
        Bench {
            capture: Capture::new(options),
            events: Vec::new(),
            file: HashMap::new(),
            frame: 0,
            now: 1000,
        }
    }

    pub(crate) fn pass(&mut self, from: &str, to: &str, payload: &[u8]) {
        self.pass_cut(from, to, payload, payload.len());
    }

    /// Passes a datagram of which the wire had `length` bytes.
    pub(crate) fn pass_cut(&mut self, from: &str, to: &str, payload: &[u8], length: usize) {
        self.frame += 1;
        let offset = self.frame * 100_000;
        self.file.insert(offset, payload.to_vec());
        let datagram = Datagram {
            frame: self.frame,
            offset: Some(offset),
            time: Time(self.now * 1_000_000),
            from: address(from),
            to: address(to),
            payload,
            length,
        };
        self.now += 10;
        self.capture.datagram(&datagram, &mut |event| self.events.push(event));
    }

    pub(crate) fn finish(&mut self) {
        self.capture.finish(&mut |event| self.events.push(event));
    }

    pub(crate) fn exchanges(&self) -> Vec<&Exchange> {
        let mut all: Vec<_> = self.events.iter().filter_map(exchange).collect();
        all.sort_by_key(|exchange| exchange.number);
        all
    }

    pub(crate) fn sessions(&self) -> Vec<&Session> {
        fn session(event: &Event) -> Option<&Session> {
            match event {
                Event::Session(session) => Some(session),
                _ => None,
            }
        }
        self.events.iter().filter_map(session).collect()
    }

    pub(crate) fn unread(&self) -> Vec<Unread> {
        let unread = |event: &Event| match event {
            Event::Unread(unread) => Some(*unread),
            _ => None,
        };
        self.events.iter().filter_map(unread).collect()
    }

    pub(crate) fn whys(&self) -> Vec<(u64, &'static str)> {
        self.unread().iter().map(|unread| (unread.message.frame, unread.why.name())).collect()
    }

    pub(crate) fn detail(&self, exchange: &Exchange) -> crate::Detail {
        self.capture.detail(exchange, &mut |offset, length| {
            let (start, payload) = self
                .file
                .iter()
                .find(|(start, payload)| (**start..=**start + payload.len() as u64).contains(&offset))?;
            let from = (offset - start) as usize;
            payload.get(from..from + length).map(<[u8]>::to_vec)
        })
    }
}

pub(crate) fn exchange(event: &Event) -> Option<&Exchange> {
    match event {
        Event::Exchange(exchange) => Some(exchange),
        _ => None,
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Both ends of a session under one suite, made by hand.
pub(crate) struct Made {
    pub(crate) client_random: [u8; 32],
    pub(crate) server_random: [u8; 32],
    master: [u8; 48],
    pub(crate) suite: u16,
    pub(crate) session_ids: [Vec<u8>; 2],
    /// What the client and the server want to see in what they receive.
    pub(crate) connection_ids: Option<[Vec<u8>; 2]>,
    sequence: [u64; 2],
}

impl Made {
    pub(crate) fn new(which: u8) -> Made {
        Made {
            client_random: [which; 32],
            server_random: [which ^ 0x80; 32],
            master: [which.wrapping_add(1); 48],
            suite: SUITE,
            session_ids: [Vec::new(), Vec::new()],
            connection_ids: None,
            sequence: [0; 2],
        }
    }

    pub(crate) fn key_log(&self) -> Vec<u8> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("CLIENT_RANDOM {} {}\n", hex(&self.client_random), hex(&self.master)).into_bytes()
    }

    fn extensions(&self, whose: usize) -> Vec<u8> {
        let Some(ids) = &self.connection_ids else { return Vec::new() };
        let id = &ids[whose];
        let value = [&[id.len() as u8][..], id].concat();
        let extension = [&[0, 54, 0, value.len() as u8][..], &value].concat();
        [&[0, extension.len() as u8][..], &extension].concat()
    }

    pub(crate) fn client_hello_body(&self) -> Vec<u8> {
        let id = &self.session_ids[0];
        let mut body = [&[0xfe, 0xfd][..], &self.client_random, &[id.len() as u8], id, &[0]].concat();
        body.extend([0, 2]);
        body.extend(self.suite.to_be_bytes());
        body.extend([1, 0]);
        body.extend(self.extensions(0));
        body
    }

    pub(crate) fn client_hello(&self) -> Vec<u8> {
        handshake(CLIENT_HELLO, &self.client_hello_body(), 0, usize::MAX)
    }

    pub(crate) fn server_hello(&self) -> Vec<u8> {
        let id = &self.session_ids[1];
        let mut body = [&[0xfe, 0xfd][..], &self.server_random, &[id.len() as u8], id].concat();
        body.extend(self.suite.to_be_bytes());
        body.push(0);
        body.extend(self.extensions(1));
        handshake(SERVER_HELLO, &body, 0, usize::MAX)
    }

    /// Makes the next record of an end.
    pub(crate) fn record(&mut self, role: Role, content_type: ContentType, content: &[u8]) -> Vec<u8> {
        let whose = usize::from(role == Role::Server);
        let number = RecordNumber::new(1, self.sequence[whose]);
        self.sequence[whose] += 1;
        let suite = Suite::from_id(self.suite).unwrap();
        let secrets = Secrets::new(suite, &self.master, self.client_random, self.server_random);
        let Keys { aead, write, .. } = Keys::derive(&secrets, role);
        let cipher = Aes128Gcm::new_from_slice(write.key(aead)).unwrap();
        // The other end's id.
        let id = self.connection_ids.as_ref().map(|ids| &ids[1 - whose]).filter(|id| !id.is_empty());
        let mut buffer = match id {
            Some(_) => connection_id::wrap(content_type, content, 5),
            None => content.to_vec(),
        };
        let length = buffer.len();
        let data = match id {
            Some(id) => connection_id::additional_data(number, id, length),
            None => additional_data(content_type, number, length).to_vec(),
        };
        let nonce = Array(write.nonce(aead, number.to_wire()));
        let tag = cipher.encrypt_inout_detached(&nonce, &data, buffer.as_mut_slice().into()).unwrap();
        let fragment = [&number.to_wire()[..], &buffer, &tag].concat();
        let header = match id {
            Some(id) => connection_id::header(number, id, fragment.len() as u16),
            None => header(content_type, DTLS_1_2, number, fragment.len() as u16).to_vec(),
        };
        [header, fragment].concat()
    }

    pub(crate) fn message(&mut self, role: Role, message: &[u8]) -> Vec<u8> {
        self.record(role, ContentType::ApplicationData, message)
    }

    /// Passes hellos and Finished of both ends.
    pub(crate) fn shake_hands(&mut self, bench: &mut Bench) {
        bench.pass(CLIENT, SERVER, &self.client_hello());
        bench.pass(SERVER, CLIENT, &self.server_hello());
        let finished = self.record(Role::Client, ContentType::Handshake, b"client finished");
        bench.pass(CLIENT, SERVER, &finished);
        let finished = self.record(Role::Server, ContentType::Handshake, b"server finished");
        bench.pass(SERVER, CLIENT, &finished);
    }
}

/// Makes the record of a piece of a handshake message: its bytes from `offset` on, `most` at most.
pub(crate) fn handshake(kind: u8, body: &[u8], offset: usize, most: usize) -> Vec<u8> {
    let piece = &body[offset..body.len().min(offset.saturating_add(most))];
    let fragment = Fragment { kind, length: body.len(), message_seq: 0, offset };
    let content = [&fragment.header(piece.len())[..], piece].concat();
    let header = header(ContentType::Handshake, DTLS_1_2, RecordNumber::new(0, 0), content.len() as u16);
    [&header[..], &content].concat()
}

/// Makes a message of CoAP: type and code as on the wire, options in ascending order.
pub(crate) fn message(
    kind: u8,
    code: u8,
    id: u16,
    token: &[u8],
    options: &[(u16, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x40 | kind << 4 | token.len() as u8, code];
    bytes.extend(id.to_be_bytes());
    bytes.extend(token);
    let mut before = 0;
    for (number, value) in options {
        let nibble = |value: usize| match value {
            0..13 => (value as u8, vec![]),
            13..269 => (13, vec![(value - 13) as u8]),
            _ => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
        };
        let (delta, more) = nibble(usize::from(number - before));
        let (length, most) = nibble(value.len());
        bytes.push(delta << 4 | length);
        bytes.extend(more);
        bytes.extend(most);
        bytes.extend(*value);
        before = *number;
    }
    if !payload.is_empty() {
        bytes.push(0xff);
        bytes.extend(payload);
    }
    bytes
}

//! `openssl s_client -maxfraglen` as a CoAP client: what goes into it is one message, what comes out another.
//! OpenSSL ends the session by an alert as soon as one record is longer than was agreed.

use crate::certificates::{Authority, rsa};
use crate::foreign::{DEADLINE, Program};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lowband_transport::Server;
use lowband_transport::coap::{self, Code, ResponseOptions, Times};
use lowband_transport::dtls::Config;
use lowband_transport::server::{self, Event};
use std::io::Write;
use std::net::UdpSocket;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

/// Bytes of the record header and of the tag of ChaCha20-Poly1305, which our server prefers.
const AROUND: usize = 13 + 16;

struct ByHand {
    server: Server,
    udp: UdpSocket,
    program: Program,
    input: ChildStdin,
    body: Vec<u8>,
    id: u16,
}

impl ByHand {
    fn new(max_fragment_length: &str) -> ByHand {
        let dtls = Config { server: Some(Authority::new().identity(&rsa())), ..Config::default() };
        let config = server::Config { dtls, times: Times::rfc7252(), limits: coap::Limits::default() };
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap().to_string();
        let arguments =
            ["s_client", "-dtls1_2", "-quiet", "-maxfraglen", max_fragment_length, "-connect", &address];
        let mut program = Program::openssl(&arguments);
        let input = program.input();
        let server = Server::new(config, [1; 32]).unwrap();
        ByHand { server, udp, program, input, body: Vec::new(), id: 0 }
    }

    /// Sends a GET, and returns the message that answers it.
    fn get(&mut self, path: &str, block2: Option<(u32, usize)>) -> Packet {
        self.id += 1;
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(MessageType::Confirmable);
        packet.header.code = MessageClass::from(1);
        packet.header.message_id = self.id;
        packet.set_token(b"a token!".to_vec());
        packet.add_option(CoapOption::UriPath, path.as_bytes().to_vec());
        if let Some((num, size)) = block2 {
            let value = (num << 4 | (size.trailing_zeros() - 4)).to_be_bytes();
            packet.add_option(CoapOption::Block2, value[2..].to_vec());
        }
        self.input.write_all(&packet.to_bytes().unwrap()).unwrap();
        let length = self.serve();
        Packet::from_bytes(&self.program.read_bytes(length)).unwrap()
    }

    /// Serves until one message has been sent. Returns its length in bytes.
    fn serve(&mut self) -> usize {
        let end = Instant::now() + DEADLINE;
        let mut buffer = vec![0; 65_536];
        loop {
            while let Some(event) = self.server.poll_event() {
                match event {
                    Event::Request { exchange, .. } => {
                        let now = Instant::now();
                        self.server.respond_head(now, exchange, Code::CONTENT, ResponseOptions::default());
                        self.server.respond_chunk(now, exchange, &self.body, true);
                    }
                    Event::SessionOpened { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            let mut message = None;
            while let Some(transmit) = self.server.poll_transmit() {
                if transmit.bytes[0] == 23 {
                    message = Some(transmit.bytes.len() - AROUND);
                }
                self.udp.send_to(&transmit.bytes, transmit.peer).unwrap();
            }
            if let Some(length) = message {
                return length;
            }
            let now = Instant::now();
            assert!(now < end, "deadline");
            let wake = self.server.poll_timeout().map_or(end, |due| due.min(end));
            let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
            self.udp.set_read_timeout(Some(wait)).unwrap();
            if let Ok((length, peer)) = self.udp.recv_from(&mut buffer) {
                self.server.handle_datagram(Instant::now(), peer, None, &buffer[..length]);
            }
            self.server.handle_timeout(Instant::now());
        }
    }
}

#[test]
fn s_client_reads_bodies_of_every_size_within_the_length_that_it_has_asked_for() {
    for (asked, block) in [("512", 256), ("1024", 512), ("2048", 1024), ("4096", 1024)] {
        let limit: usize = asked.parse().unwrap();
        let mut by_hand = ByHand::new(asked);
        for length in [0, 58, 256, 262, 467, 512, 870, 1024, 1500, 20_000] {
            by_hand.body = (0..length).map(|at| (at * 7 % 251) as u8).collect();
            let path = format!("x{length}");
            let first = by_hand.get(&path, None);
            let mut body = first.payload.clone();
            assert_eq!(first.get_first_option(CoapOption::Block2).is_some(), length > block, "{length}");
            // Blocks that are larger than fit are asked for as well.
            while body.len() < length {
                let size = if body.len().is_multiple_of(1024) { 1024 } else { block };
                let next = by_hand.get(&path, Some(((body.len() / size) as u32, size)));
                assert!(next.to_bytes().unwrap().len() <= limit);
                body.extend(&next.payload);
            }
            assert!(body == by_hand.body, "{asked}: {length}");
        }
        assert_eq!(by_hand.server.session_ids().len(), 1, "the session lives");
        assert_eq!(by_hand.server.counters().1.unsendable, 0);
    }
}

//! A client that sends what a test wants: datagrams before and beside a session of its own, messages in it.

use crate::harness::PATIENCE;
use lowband_transport::SessionId;
use lowband_transport::dtls::{Config, Endpoint, Event, Verification};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;
use tokio::net::UdpSocket;

pub(crate) struct Raw {
    socket: UdpSocket,
    server: SocketAddr,
    endpoint: Endpoint,
    session: Option<SessionId>,
    next_id: u16,
}

impl Raw {
    /// Makes a client at an address of its own in 127.0.0.0/8. Nothing is sent yet.
    pub(crate) async fn at(address: Ipv4Addr, server: SocketAddr) -> Raw {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        let config = Config { client: Some(Verification::None), ..Config::default() };
        let mut seed = [0; 32];
        openssl::rand::rand_bytes(&mut seed).unwrap();
        let endpoint = Endpoint::new(config, seed).unwrap();
        Raw { socket, server, endpoint, session: None, next_id: 0 }
    }

    /// Makes a client with a session.
    pub(crate) async fn connect(server: SocketAddr) -> Raw {
        let mut raw = Raw::at(Ipv4Addr::LOCALHOST, server).await;
        let hello = raw.hello();
        raw.send(&hello).await;
        while raw.session.is_none() {
            let answer = raw.receive().await;
            raw.endpoint.handle_datagram(Instant::now(), server, None, &answer);
            while let Some(transmit) = raw.endpoint.poll_transmit() {
                raw.send(&transmit.bytes).await;
            }
            if let Some(Event::Connected { session, .. }) = raw.endpoint.poll_event() {
                raw.session = Some(session);
            }
        }
        raw
    }

    /// Returns the first hello of a handshake.
    pub(crate) fn hello(&mut self) -> Vec<u8> {
        self.endpoint.connect(Instant::now(), self.server, "localhost").unwrap();
        self.endpoint.poll_transmit().unwrap().bytes
    }

    /// Goes as far as the hello with its cookie. The server's flight, if one comes, is not answered.
    pub(crate) async fn half_open(&mut self) {
        let hello = self.hello();
        self.send(&hello).await;
        let asked = self.receive().await;
        self.endpoint.handle_datagram(Instant::now(), self.server, None, &asked);
        let hello = self.endpoint.poll_transmit().unwrap().bytes;
        self.send(&hello).await;
    }

    pub(crate) async fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).await.unwrap();
    }

    /// Returns the next datagram.
    pub(crate) async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let length = tokio::time::timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        buffer.truncate(length.expect("no answer").unwrap());
        buffer
    }

    /// Returns one message of the session, as the record that carries it.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        self.endpoint.send(Instant::now(), self.session.unwrap(), message).unwrap();
        self.endpoint.poll_transmit().unwrap().bytes
    }

    pub(crate) async fn say(&mut self, message: &[u8]) {
        let record = self.seal(message);
        self.send(&record).await;
    }

    /// Returns the next message of the session.
    pub(crate) async fn hear(&mut self) -> Vec<u8> {
        loop {
            let datagram = self.receive().await;
            self.endpoint.handle_datagram(Instant::now(), self.server, None, &datagram);
            match self.endpoint.poll_event() {
                Some(Event::Data { bytes, .. }) => return bytes,
                None => {}
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    /// Returns a message id that has not been used.
    pub(crate) fn id(&mut self) -> [u8; 2] {
        self.next_id += 1;
        self.next_id.to_be_bytes()
    }

    /// Checks that a request in the session is answered normally. Everything sent before has been received
    /// then.
    pub(crate) async fn is_served(&mut self) {
        let [i0, i1] = self.id();
        self.say(&[0x40, 0x01, i0, i1, 0xb1, b'0']).await;
        let answer = loop {
            let answer = self.hear().await;
            if answer.get(2..4) == Some(&[i0, i1]) {
                break answer;
            }
        };
        assert_eq!(answer[..2], [0x60, 0x45], "2.05: {answer:02x?}");
    }
}

//! A client that keeps many block requests on their way (RFC 7959 allows a client to ask for any block at
//! any time): [`Endpoint`] without I/O on one UDP socket, and CoAP messages made here, so that what is
//! measured is the server and not how a client finds its window. The socket takes in whole batches (GRO):
//! otherwise loopback would cut those of the server into datagrams, at the server's expense.
//!
//! ```text
//! block 0 -> answer -> `window` requests for the next blocks -> for each answer one more request ... -> the last block
//! ```

use lowband_e2e::{Error, Result};
use lowband_transport::SessionId;
use lowband_transport::dtls::{Config, Endpoint, Event, Verification};
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{Kind, Message, MessageId, Outgoing, Token};
use lowband_wire::coap::{Code, numbers};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{sleep_until, timeout};

/// Longest time in which nothing happens while anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time without an answer after which all blocks on their way are asked for again: loopback loses a datagram
/// only where a buffer is full.
const SILENCE: Duration = Duration::from_millis(500);
/// Bytes of a receive buffer: the largest batch.
const LARGEST: usize = 65_535;

/// One client with one session.
#[derive(Debug)]
pub struct Pipeline {
    endpoint: Endpoint,
    socket: UdpSocket,
    batches: UdpSocketState,
    buffer: Vec<u8>,
    server: SocketAddr,
    session: SessionId,
    id: MessageId,
    token: u64,
    again: usize,
}

impl Pipeline {
    /// Connects to a server; its certificate is not checked.
    pub async fn connect(server: SocketAddr) -> Result<Pipeline> {
        let open = async {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
            socket.connect(server).await?;
            let batches = UdpSocketState::new((&socket).into())?;
            Ok((socket, batches))
        };
        let (socket, batches) = open.await.map_err(Error::io("open one more UDP socket"))?;
        let mut seed = [0; 32];
        openssl::rand::rand_bytes(&mut seed).map_err(|why| Error::Setup(format!("no random seed: {why}")))?;
        let config = Config { client: Some(Verification::None), ..Config::default() };
        let begun = Endpoint::new(config, seed).and_then(|mut endpoint| {
            let session = endpoint.connect(Instant::now(), server, "localhost")?;
            Ok((endpoint, session))
        });
        let (endpoint, session) =
            begun.map_err(|why| Error::Setup(format!("a handshake cannot begin: {why}")))?;
        let mut client = Pipeline {
            endpoint,
            socket,
            batches,
            buffer: vec![0; LARGEST * BATCH_SIZE],
            server,
            session,
            id: MessageId(1),
            token: 0,
            again: 0,
        };
        let connecting = async {
            loop {
                client.take_in().await;
                if let Some(Event::Connected { .. }) = client.endpoint.poll_event() {
                    return;
                }
            }
        };
        timeout(PATIENCE, connecting).await.map_err(|_| late("a handshake"))?;
        Ok(client)
    }

    /// Returns how many blocks were asked for again since the last call, because nothing came for a while.
    pub fn take_again(&mut self) -> usize {
        std::mem::take(&mut self.again)
    }

    /// Fetches a body of `length` bytes by its path code (MSC3079), with `window` block requests on their
    /// way.
    pub async fn fetch(&mut self, path_code: &str, window: usize, length: usize) -> Result<()> {
        let fetching = self.fetch_blocks(path_code, window, length.div_ceil(BlockSize::MAX.bytes()));
        let received = timeout(PATIENCE, fetching).await.map_err(|_| late("a body"))??;
        if received == length {
            return Ok(());
        }
        Err(wrong("a body of another length", &received.to_string()))
    }

    /// Returns the number of bytes that came.
    async fn fetch_blocks(&mut self, path_code: &str, window: usize, blocks: usize) -> Result<usize> {
        let mut to_ask = VecDeque::from([0]);
        let mut on_their_way = BTreeMap::new();
        let (mut received, mut bytes) = (0, 0);
        loop {
            while on_their_way.len() < window
                && let Some(num) = to_ask.pop_front()
            {
                let token = self.ask(path_code, num);
                on_their_way.insert(token.as_bytes().to_vec(), num);
            }
            if !self.take_in().await {
                self.again += on_their_way.len();
                to_ask.extend(std::mem::take(&mut on_their_way).into_values());
            }
            while let Some(event) = self.endpoint.poll_event() {
                let Event::Data { bytes: message, .. } = event else {
                    return Err(wrong("the end of the session", &format!("{event:?}")));
                };
                let Ok(message) = Message::parse(&message) else { continue };
                let Some(num) = on_their_way.remove(message.token.as_bytes()) else { continue };
                if message.code != Code::CONTENT {
                    return Err(wrong("a refusal", &format!("{:?}", message.code)));
                }
                if num == 0 {
                    to_ask.extend(1..blocks);
                }
                received += 1;
                bytes += message.payload().len();
            }
            if received == blocks {
                return Ok(bytes);
            }
        }
    }

    /// Asks for one block, under a token and a message id of its own.
    fn ask(&mut self, path_code: &str, num: usize) -> Token {
        self.id = self.id.next();
        self.token = self.token.wrapping_add(1);
        let token = Token::from_number(self.token);
        let block = Block { num: u32::try_from(num).unwrap_or(u32::MAX), more: false, size: BlockSize::MAX };
        let mut options = vec![(numbers::URI_PATH, path_code.as_bytes().to_vec())];
        if num > 0 {
            options.push((numbers::BLOCK2, block.encode()));
        }
        let request = Outgoing { code: Code::GET, token, options, payload: Vec::new() };
        if let Some(bytes) = request.encode(Kind::Confirmable, self.id) {
            let _ = self.endpoint.send(Instant::now(), self.session, &bytes);
        }
        token
    }

    /// Sends what there is to send, waits, and takes in all datagrams that are there. Returns false after a
    /// silence.
    async fn take_in(&mut self) -> bool {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            // A datagram that cannot be sent is lost.
            let _ = self.socket.send(&transmit.bytes).await;
        }
        let until = Instant::now() + SILENCE;
        let due = self.endpoint.poll_timeout().map_or(until, |due| due.min(until));
        let has_come = tokio::select! {
            biased;
            readable = self.socket.readable() => readable.is_ok(),
            () = sleep_until(due.into()) => false,
        };
        let now = Instant::now();
        self.receive(now);
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        has_come
    }

    /// Takes in all datagrams that are there.
    fn receive(&mut self, now: Instant) {
        loop {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slices: Vec<_> = self.buffer.chunks_mut(LARGEST).map(IoSliceMut::new).collect();
            let received = self.socket.try_io(Interest::READABLE, || {
                self.batches.recv((&self.socket).into(), &mut slices, &mut metas)
            });
            let Ok(count) = received else { return };
            for (meta, slot) in metas.iter().zip(self.buffer.chunks(LARGEST)).take(count) {
                for datagram in slot.get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1)) {
                    self.endpoint.handle_datagram(now, self.server, None, datagram);
                }
            }
        }
    }
}

fn late(what: &str) -> Error {
    Error::Deadline { what: what.to_owned(), after: PATIENCE, last: "nothing of it".to_owned() }
}

fn wrong(what: &str, got: &str) -> Error {
    Error::Wrong { what: what.to_owned(), expected: "to be served".to_owned(), got: got.to_owned() }
}

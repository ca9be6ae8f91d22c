//! A UDP relay on loopback that is a [`Link`] in real time, and keeps a log of what has passed.
//!
//! Each client address has a socket of its own towards the server; all of them share the link. Timers are
//! those of tokio: a datagram is late by a millisecond or two, which does not add up, because the link's own
//! times are exact.

use crate::error::{Error, Result};
use crate::link::{Emulator, Fate, Link, Passage};
use crate::loss::From;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

/// Bytes of the largest UDP payload.
const LARGEST: usize = 65_535;

/// One datagram, as it was when it came to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// When it came, counted from the relay's start.
    pub at: Duration,
    /// Which side sent it.
    pub from: From,
    /// The client that sent it, or that it is for.
    pub client: SocketAddr,
    /// Bytes of UDP payload.
    pub bytes: usize,
    /// First byte: the type of a DTLS record is not encrypted.
    pub first: u8,
    /// What the link did to it.
    pub passage: Passage,
}

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub struct LinkRelay {
    address: SocketAddr,
    began: Instant,
    log: Arc<Mutex<Vec<Passed>>>,
    task: JoinHandle<()>,
}

impl LinkRelay {
    /// Listens on a free port of loopback and passes everything on to `server` and back, over the link.
    pub async fn start(server: SocketAddr, link: Link, seed: u64) -> Result<LinkRelay> {
        let doing = "start the relay that is a link";
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::io(doing))?;
        let address = front.local_addr().map_err(Error::io(doing))?;
        let (answers, answered) = mpsc::unbounded_channel();
        let log = Arc::default();
        let began = Instant::now();
        let loop_ = Loop {
            server,
            front,
            began,
            emulator: Emulator::new(link, seed),
            under_way: BinaryHeap::new(),
            number: 0,
            peers: HashMap::new(),
            receivers: JoinSet::new(),
            answers,
            log: Arc::clone(&log),
        };
        Ok(LinkRelay { address, began, log, task: tokio::spawn(loop_.run(answered)) })
    }

    /// Returns the address that clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the link began: the zero of all times in the log.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Returns what has come to the relay so far, in that order.
    pub fn log(&self) -> Vec<Passed> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LinkRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A datagram on the link. The heap orders by arrival, then by number.
type UnderWay = Reverse<(Duration, u64, From, SocketAddr, Vec<u8>)>;

struct Loop {
    server: SocketAddr,
    front: UdpSocket,
    began: Instant,
    emulator: Emulator,
    under_way: BinaryHeap<UnderWay>,
    /// Number of datagrams so far.
    number: u64,
    peers: HashMap<SocketAddr, Arc<UdpSocket>>,
    /// One task for each peer, which feeds the server's datagrams into `answers`.
    receivers: JoinSet<()>,
    answers: mpsc::UnboundedSender<(SocketAddr, Vec<u8>)>,
    log: Arc<Mutex<Vec<Passed>>>,
}

impl Loop {
    async fn run(mut self, mut answered: mpsc::UnboundedReceiver<(SocketAddr, Vec<u8>)>) {
        let mut buffer = vec![0; LARGEST];
        loop {
            let due = self.under_way.peek().map(|Reverse((at, ..))| self.began + *at);
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(self.began).into()), if due.is_some() => self.deliver().await,
                received = self.front.recv_from(&mut buffer) => match received {
                    Ok((length, client)) => {
                        self.take(From::Client, client, buffer.get(..length).unwrap_or_default().to_vec());
                    }
                    // The client at this port has gone, which is its own business.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => return,
                },
                Some((client, datagram)) = answered.recv() => self.take(From::Server, client, datagram),
            }
        }
    }

    fn take(&mut self, from: From, client: SocketAddr, datagram: Vec<u8>) {
        let at = self.began.elapsed();
        let passage = self.emulator.pass(from, at, datagram.len());
        let first = datagram.first().copied().unwrap_or_default();
        let passed = Passed { at, from, client, bytes: datagram.len(), first, passage };
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(passed);
        if let Fate::Arrives(at) = passage.fate {
            self.number += 1;
            self.under_way.push(Reverse((at, self.number, from, client, datagram)));
        }
    }

    /// Sends on what is due. What cannot be sent is lost.
    async fn deliver(&mut self) {
        let now = self.began.elapsed();
        while self.under_way.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, from, client, datagram))) = self.under_way.pop() else { return };
            match from {
                From::Server => drop(self.front.send_to(&datagram, client).await),
                From::Client => {
                    if let Ok(back) = self.back(client).await {
                        drop(back.send(&datagram).await);
                    }
                }
            }
        }
    }

    /// Returns the socket that stands for `client` towards the server.
    async fn back(&mut self, client: SocketAddr) -> std::io::Result<Arc<UdpSocket>> {
        if let Some(socket) = self.peers.get(&client) {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        socket.connect(self.server).await?;
        self.peers.insert(client, Arc::clone(&socket));
        let (answers, receiver) = (self.answers.clone(), Arc::clone(&socket));
        self.receivers.spawn(async move {
            let mut buffer = vec![0; LARGEST];
            loop {
                let datagram = match receiver.recv(&mut buffer).await {
                    Ok(length) => buffer.get(..length).unwrap_or_default().to_vec(),
                    // The server has gone, or is not there yet.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                    Err(_) => return,
                };
                if answers.send((client, datagram)).is_err() {
                    return;
                }
            }
        });
        Ok(socket)
    }
}

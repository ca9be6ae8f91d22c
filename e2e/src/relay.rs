//! A UDP relay on loopback that counts what passes: the wire on which the demo's CoAP is measured.
//!
//! Each client address gets a socket of its own towards the server, so that the server sees as many peers as
//! there are; a client may get another one, as at a NAT that has forgotten it. The relay delays and changes
//! nothing, and loses only the datagrams that it was asked to ([`crate::loss`]). Alerts of DTLS pass
//! uncounted: a session's end is not part of its purpose, and whether the server's last word still arrives is
//! a matter of chance. Passing datagrams can be written down as a capture.

use crate::error::{Error, Result};
use crate::loss::{BadPath, Flight, From, Loss};
use crate::pcap::Pcap;
use crate::tcp::Traffic;
use lowband_wire::dtls::record::ContentType;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Bytes of the headers of IPv4 and UDP.
const DATAGRAM_HEADERS: u64 = 20 + 8;
/// First byte of an alert of DTLS: the type of a record is not encrypted.
const ALERT: u8 = ContentType::Alert as u8;
/// Bytes of the largest UDP payload.
const LARGEST: usize = 65_535;

/// A running relay; it ends with its last handle.
#[derive(Clone, Debug)]
pub struct Relay {
    address: SocketAddr,
    questions: mpsc::Sender<Question>,
    lost: Arc<AtomicUsize>,
}

impl Relay {
    /// Listens on a free port of loopback and passes everything on to `server`.
    pub async fn start(server: SocketAddr) -> Result<Relay> {
        Relay::with(server, |_| None, None).await
    }

    /// Starts a relay that loses the flight when it first comes: for one client.
    pub async fn losing(server: SocketAddr, flight: Flight) -> Result<Relay> {
        let loses = |lost| {
            let mut loss = Loss::of(flight, lost);
            Some(Box::new(move |from, datagram: &[u8]| loss.takes(from, datagram)) as Loses)
        };
        Relay::with(server, loses, None).await
    }

    /// Starts a relay over a bad path.
    pub async fn over(server: SocketAddr, path: BadPath) -> Result<Relay> {
        Relay::with(server, |lost| Some(Box::new(path.takes(lost)) as Loses), None).await
    }

    /// Starts a relay that also writes all that passes to the capture file `path`, between port 8008 of one
    /// server and one address for each client. A datagram that an end has received through the relay is in
    /// the file.
    pub async fn capturing(server: SocketAddr, path: &Path) -> Result<Relay> {
        let capture = Pcap::create(path).map_err(Error::io(format!("write {}", path.display())))?;
        Relay::with(server, |_| None, Some(capture)).await
    }

    async fn with(
        server: SocketAddr,
        loses: impl FnOnce(Arc<AtomicUsize>) -> Option<Loses>,
        capture: Option<Pcap>,
    ) -> Result<Relay> {
        let lost = Arc::new(AtomicUsize::new(0));
        let loses = loses(Arc::clone(&lost));
        let doing = "start the counting relay";
        let front = Socket::bind().map_err(Error::io(doing))?;
        let address = front.asynchronous.local_addr().map_err(Error::io(doing))?;
        let (questions, asked) = mpsc::channel(1);
        let (answers, answered) = mpsc::channel(1_024);
        let loop_ = Loop {
            server,
            front,
            loses,
            capture,
            peers: HashMap::new(),
            forgotten: Vec::new(),
            receivers: JoinSet::new(),
            answers,
            count: Traffic::default(),
        };
        tokio::spawn(loop_.run(asked, answered));
        Ok(Relay { address, questions, lost })
    }

    /// Returns the address that clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many datagrams have been lost so far.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns what has passed so far, both ways, with everything that a client had sent before the call.
    pub async fn traffic(&self) -> Result<Traffic> {
        let gone = || Error::Setup("the counting relay has ended".to_owned());
        let (reply, traffic) = oneshot::channel();
        self.questions.send(Question::Traffic(reply)).await.map_err(|_| gone())?;
        traffic.await.map_err(|_| gone())
    }

    /// Forgets the ports of all clients, as a NAT does when it has heard nothing for too long: what the
    /// server sends to the old ports is lost, and the next datagram of each client comes to it from a new
    /// one.
    pub async fn forget_ports(&self) -> Result<()> {
        let gone = || Error::Setup("the counting relay has ended".to_owned());
        let (reply, forgotten) = oneshot::channel();
        self.questions.send(Question::Forget(reply)).await.map_err(|_| gone())?;
        forgotten.await.map_err(|_| gone())
    }
}

/// Decides whether a datagram is lost.
pub(crate) type Loses = Box<dyn FnMut(From, &[u8]) -> bool + Send>;

enum Question {
    Traffic(oneshot::Sender<Traffic>),
    Forget(oneshot::Sender<()>),
}

/// One socket, readable both by waiting and at once: tokio's own `try_recv` does not see what came since it
/// last looked.
#[derive(Debug)]
struct Socket {
    asynchronous: UdpSocket,
    immediate: StdSocket,
}

impl Socket {
    fn bind() -> std::io::Result<Socket> {
        let immediate = StdSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        immediate.set_nonblocking(true)?;
        let asynchronous = UdpSocket::from_std(immediate.try_clone()?)?;
        Ok(Socket { asynchronous, immediate })
    }
}

struct Loop {
    server: SocketAddr,
    front: Socket,
    loses: Option<Loses>,
    capture: Option<Pcap>,
    peers: HashMap<SocketAddr, Arc<UdpSocket>>,
    /// Sockets whose ports stay taken, so that none is given out again.
    forgotten: Vec<Arc<UdpSocket>>,
    /// One task for each peer, which feeds the server's datagrams into `answers`; the tasks end with the
    /// loop.
    receivers: JoinSet<()>,
    answers: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    count: Traffic,
}

impl Loop {
    async fn run(
        mut self,
        mut questions: mpsc::Receiver<Question>,
        mut answers: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    ) {
        let mut buffer = vec![0; LARGEST];
        loop {
            tokio::select! {
                received = self.front.asynchronous.recv_from(&mut buffer) => match received {
                    Ok((length, peer)) => self.forward(peer, buffer.get(..length).unwrap_or_default()).await,
                    // The client at this port has gone, which is its own business.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => return,
                },
                Some((peer, datagram)) = answers.recv() => self.give_back(peer, &datagram).await,
                question = questions.recv() => match question {
                    Some(Question::Traffic(reply)) => {
                        while let Ok((length, peer)) = self.front.immediate.recv_from(&mut buffer) {
                            self.forward(peer, buffer.get(..length).unwrap_or_default()).await;
                        }
                        // The caller may have stopped waiting, here and below.
                        let _ = reply.send(self.count);
                    }
                    Some(Question::Forget(reply)) => {
                        // The receivers hold the other handles of the sockets.
                        self.receivers.shutdown().await;
                        self.forgotten.extend(self.peers.drain().map(|(_, socket)| socket));
                        let _ = reply.send(());
                    }
                    None => return,
                },
            }
        }
    }

    async fn forward(&mut self, peer: SocketAddr, datagram: &[u8]) {
        if self.loses(From::Client, datagram) {
            return;
        }
        let Ok(back) = self.back(peer).await else { return };
        self.capture(From::Client, peer, datagram);
        if back.send(datagram).await.is_ok() {
            self.note(datagram);
        }
    }

    async fn give_back(&mut self, peer: SocketAddr, datagram: &[u8]) {
        if self.loses(From::Server, datagram) {
            return;
        }
        self.capture(From::Server, peer, datagram);
        if self.front.asynchronous.send_to(datagram, peer).await.is_ok() {
            self.note(datagram);
        }
    }

    fn loses(&mut self, from: From, datagram: &[u8]) -> bool {
        self.loses.as_mut().is_some_and(|loses| loses(from, datagram))
    }

    /// Writes the datagram down before it goes on. A capture that cannot be written ends here, and shows by
    /// what is missing.
    fn capture(&mut self, from: From, client: SocketAddr, datagram: &[u8]) {
        if let Some(capture) = &mut self.capture
            && capture.add(from, client, datagram).is_err()
        {
            self.capture = None;
        }
    }

    fn note(&mut self, datagram: &[u8]) {
        if datagram.first() == Some(&ALERT) {
            return;
        }
        let passed = Traffic { packets: 1, payload: datagram.len() as u64, headers: DATAGRAM_HEADERS };
        self.count = self.count + passed;
    }

    /// Returns the socket that stands for `peer` towards the server.
    async fn back(&mut self, peer: SocketAddr) -> std::io::Result<Arc<UdpSocket>> {
        if let Some(socket) = self.peers.get(&peer) {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        socket.connect(self.server).await?;
        self.peers.insert(peer, Arc::clone(&socket));
        let answers = self.answers.clone();
        let receiver = Arc::clone(&socket);
        self.receivers.spawn(async move {
            let mut buffer = vec![0; LARGEST];
            loop {
                let datagram = match receiver.recv(&mut buffer).await {
                    Ok(length) => buffer.get(..length).unwrap_or_default().to_vec(),
                    // The server restarts; the client will send its datagram again.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                    Err(_) => return,
                };
                if answers.send((peer, datagram)).await.is_err() {
                    return;
                }
            }
        });
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forgotten_client_comes_from_a_new_port_and_hears_nothing_of_the_old_one() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::start(server.local_addr().unwrap()).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 100];
        client.send_to(b"one", relay.address()).await.unwrap();
        let (_, old) = server.recv_from(&mut buffer).await.unwrap();
        relay.forget_ports().await.unwrap();
        server.send_to(b"to the old port", old).await.unwrap();
        client.send_to(b"two", relay.address()).await.unwrap();
        let (_, new) = server.recv_from(&mut buffer).await.unwrap();
        assert_ne!(old, new);
        server.send_to(b"to the new port", new).await.unwrap();
        let (length, _) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"to the new port");
    }

    #[tokio::test]
    async fn every_datagram_and_byte_is_counted_and_peers_are_kept_apart() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::start(server.local_addr().unwrap()).await.unwrap();
        let clients =
            [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
        let mut seen = Vec::new();
        let mut buffer = [0; 100];
        for (client, word) in clients.iter().zip(["one", "seven"]) {
            client.send_to(word.as_bytes(), relay.address()).await.unwrap();
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], word.as_bytes());
            seen.push(from);
        }
        assert_ne!(seen[0], seen[1]);
        // The answers go in the other order, so that a mix-up would show.
        for (client, from) in clients.iter().zip(&seen).rev() {
            server.send_to(from.to_string().as_bytes(), from).await.unwrap();
            let (length, _) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], from.to_string().as_bytes());
        }
        clients[1].send_to(&[ALERT, 0xfe, 0xfd], relay.address()).await.unwrap();
        let (length, _) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], [ALERT, 0xfe, 0xfd], "passes, but does not count");
        // The datagram is sent, but the relay's task may not have looked at it yet.
        clients[0].send_to(b"ack", relay.address()).await.unwrap();
        let traffic = relay.traffic().await.unwrap();
        let answers: usize = seen.iter().map(|from| from.to_string().len()).sum();
        assert_eq!(traffic, Traffic { packets: 5, payload: (3 + 5 + answers + 3) as u64, headers: 5 * 28 });
    }
}

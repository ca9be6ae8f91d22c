//! Paths between a client and the sidecar: DTLS for clients without it, and loss.

use lowband_e2e::wire::CONNECT_WITHIN;
use lowband_transport::dtls::{Config, Endpoint, Event, Verification};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running path; it ends when dropped.
pub(crate) struct Shim {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Shim {
    /// Starts a session with the sidecar: each datagram of the one client that uses it becomes one record,
    /// and the other way round.
    pub(crate) async fn dtls(server: SocketAddr) -> Shim {
        let (client, address) = bind().await;
        let (socket, _) = bind().await;
        socket.connect(server).await.unwrap();
        let config = Config { client: Some(Verification::None), ..Config::default() };
        let mut seed = [0; 32];
        openssl::rand::rand_bytes(&mut seed).unwrap();
        let mut endpoint = Endpoint::new(config, seed).unwrap();
        endpoint.connect(Instant::now(), server, "localhost").unwrap();
        Shim { address, task: tokio::spawn(Session { client, socket, server, endpoint }.run()) }
    }

    /// Starts a path on which each `nth` datagram of both directions together is lost, once the handshake is
    /// over.
    pub(crate) async fn losing(server: SocketAddr, nth: u32) -> Shim {
        let (client, address) = bind().await;
        let (socket, _) = bind().await;
        socket.connect(server).await.unwrap();
        Shim { address, task: tokio::spawn(lose(client, socket, nth)) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

struct Session {
    client: UdpSocket,
    socket: UdpSocket,
    server: SocketAddr,
    endpoint: Endpoint,
}

impl Session {
    async fn run(mut self) {
        let (mut inner, mut outer) = (vec![0; 65_535], vec![0; 65_535]);
        let mut session = None;
        let mut peer = None;
        loop {
            while let Some(transmit) = self.endpoint.poll_transmit() {
                self.socket.send(&transmit.bytes).await.unwrap();
            }
            let due = self.endpoint.poll_timeout().unwrap_or_else(|| Instant::now() + CONNECT_WITHIN);
            tokio::select! {
                // Datagrams of the client wait in its socket until there is a session.
                received = self.client.recv_from(&mut inner), if session.is_some() => {
                    // The port of a client that has gone is an error here.
                    let Ok((length, from)) = received else { continue };
                    peer = Some(from);
                    self.endpoint.send(Instant::now(), session.unwrap(), &inner[..length]).unwrap();
                }
                received = self.socket.recv(&mut outer) => {
                    let length = received.unwrap();
                    self.endpoint.handle_datagram(Instant::now(), self.server, None, &outer[..length]);
                }
                () = tokio::time::sleep_until(due.into()) => self.endpoint.handle_timeout(Instant::now()),
            }
            while let Some(event) = self.endpoint.poll_event() {
                match (event, peer) {
                    (Event::Connected { session: opened, .. }, _) => session = Some(opened),
                    (Event::Data { bytes, .. }, Some(peer)) => {
                        // The client may have gone.
                        let _ = self.client.send_to(&bytes, peer).await;
                    }
                    (Event::Data { .. }, None) => {}
                    (event, _) => panic!("{event:?}"),
                }
            }
        }
    }
}

/// The content type of a DTLS record that carries data (RFC 6347 section 4.1).
const APPLICATION_DATA: u8 = 23;

async fn lose(client: UdpSocket, server: UdpSocket, nth: u32) {
    let (mut up, mut down) = (vec![0; 65_535], vec![0; 65_535]);
    let mut peer = None;
    let mut count = 0;
    let mut loses = |datagram: &[u8]| {
        count += u32::from(datagram.first() == Some(&APPLICATION_DATA));
        datagram.first() == Some(&APPLICATION_DATA) && count.is_multiple_of(nth)
    };
    loop {
        tokio::select! {
            received = client.recv_from(&mut up) => {
                let Ok((length, from)) = received else { continue };
                peer = Some(from);
                if !loses(&up[..length]) {
                    server.send(&up[..length]).await.unwrap();
                }
            }
            received = server.recv(&mut down) => {
                let length = received.unwrap();
                if let Some(peer) = peer && !loses(&down[..length]) {
                    // The client may have gone.
                    let _ = client.send_to(&down[..length], peer).await;
                }
            }
        }
    }
}

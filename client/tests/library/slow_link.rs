//! A link between a client and a stub: each datagram is on its way for a while, in either direction.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// The link, in a thread of its own. It carries one client.
pub(crate) struct SlowLink {
    pub(crate) address: SocketAddr,
    most_on_their_way: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SlowLink {
    /// Makes a link to `server` on which a datagram takes `latency`.
    pub(crate) fn start(server: SocketAddr, latency: Duration) -> SlowLink {
        let [near, far] = [0; 2].map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        far.connect(server).unwrap();
        let address = near.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let most_on_their_way = Arc::new(AtomicUsize::new(0));
        let most = Arc::clone(&most_on_their_way);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(carry([near, far], latency, &most, stopped));
        });
        SlowLink { address, most_on_their_way, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns `https://localhost:PORT` with this target behind it.
    #[allow(dead_code, reason = "only the command line has URLs")]
    pub(crate) fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    /// Returns how many long datagrams, those of blocks, have been on their way to the client at once.
    pub(crate) fn most_on_their_way(&self) -> usize {
        self.most_on_their_way.load(Ordering::Relaxed)
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.expect("the link panicked");
        }
    }
}

/// Bytes of a datagram from which on it is that of a block.
const LONG: usize = 900;

type Flight = VecDeque<(Instant, Vec<u8>)>;

async fn carry(
    sockets: [std::net::UdpSocket; 2],
    latency: Duration,
    most: &AtomicUsize,
    mut stopped: oneshot::Receiver<()>,
) {
    let [near, far] = sockets.map(|socket| {
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket).unwrap()
    });
    let (mut up, mut down) = (Flight::new(), Flight::new());
    let (mut from_near, mut from_far) = (vec![0; 65536], vec![0; 65536]);
    let mut client = None;
    loop {
        tokio::select! {
            Ok((length, from)) = near.recv_from(&mut from_near) => {
                client = Some(from);
                up.push_back((Instant::now() + latency, from_near[..length].to_vec()));
            }
            Ok(length) = far.recv(&mut from_far) => {
                down.push_back((Instant::now() + latency, from_far[..length].to_vec()));
                let long = down.iter().filter(|(_, bytes)| bytes.len() > LONG).count();
                most.fetch_max(long, Ordering::Relaxed);
            }
            bytes = arrival(&mut up) => {
                // A stub that has gone makes an error here, which does not matter to the link.
                let _ = far.send(&bytes).await;
            }
            bytes = arrival(&mut down) => {
                let _ = near.send_to(&bytes, client.unwrap()).await;
            }
            _ = &mut stopped => return,
        }
    }
}

/// Waits for the first datagram of a direction to arrive.
async fn arrival(flight: &mut Flight) -> Vec<u8> {
    let Some((at, _)) = flight.front() else { return std::future::pending().await };
    sleep_until(*at).await;
    flight.pop_front().unwrap().1
}

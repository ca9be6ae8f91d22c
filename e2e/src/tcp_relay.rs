//! A TCP relay on loopback that counts what passes between it and the server: the wire on which HTTPS of a
//! client that is not ours is measured. It changes nothing.

use crate::error::{Error, Result};
use crate::tcp::{CountedTcp, Meter, Traffic};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running relay; it ends with this handle.
#[derive(Debug)]
pub struct TcpRelay {
    address: SocketAddr,
    meters: Arc<Mutex<Vec<Arc<Meter>>>>,
    _serving: JoinSet<()>,
}

impl TcpRelay {
    /// Listens on a free port of loopback and connects to `server` for each connection.
    pub async fn start(server: SocketAddr) -> Result<TcpRelay> {
        let failed = || Error::io("start the counting TCP relay");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let meters = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let kept = Arc::clone(&meters);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, server, Arc::clone(&kept)));
            }
        });
        Ok(TcpRelay { address, meters, _serving: serving })
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what all connections have cost so far, both ways.
    pub fn traffic(&self) -> Result<Traffic> {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.iter().try_fold(Traffic::default(), |sum, meter| Ok(sum + meter.traffic()?))
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, meters: Arc<Mutex<Vec<Arc<Meter>>>>) {
    // A server that cannot be reached shows as a connection that ends.
    let Ok(mut counted) = CountedTcp::connect(server).await else { return };
    meters.lock().unwrap_or_else(PoisonError::into_inner).push(counted.meter());
    let _ = client.set_nodelay(true);
    // Either end may go without a goodbye. The meter keeps the socket open, so the end is told to the server.
    let _ = copy_bidirectional(&mut client, &mut counted).await;
    let _ = counted.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn bytes_of_all_connections_are_counted_and_an_end_passes_both_ways() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = TcpRelay::start(listener.local_addr().unwrap()).await.unwrap();
        for _ in 0..2 {
            let mut client = TcpStream::connect(relay.address()).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            client.write_all(b"seven").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"seven");
            server.write_all(b"one").await.unwrap();
            drop(server);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"one");
        }
        let traffic = relay.traffic().unwrap();
        assert_eq!(traffic.payload, 2 * 8);
        // Each connection has a handshake, two segments of data, two ends, and acknowledgements.
        assert!(traffic.packets >= 2 * 7, "{traffic:?}");
    }
}

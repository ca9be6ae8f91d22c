//! The end of the Envoy beside this sidecar: it is asked to let its own clients, those on HTTPS, finish in
//! order.
//!
//! By itself Envoy cuts all connections at SIGTERM, a millisecond later. When asked before, it adds
//! `connection: close` or a GOAWAY to each answer and keeps serving for its `--drain-time-s`, which has to be
//! longer than our end. `inboundonly` spares the listener that we are the client of.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for the whole exchange, which stays on one machine.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"POST /drain_listeners?graceful&inboundonly HTTP/1.1\r\n\
    host: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Asks the administration at this port of 127.0.0.1. A failure is logged, and changes nothing else.
pub async fn ask(port: u16) {
    let asked =
        timeout(PATIENCE, post(port)).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
    match asked {
        Ok(()) => tracing::info!("draining: Envoy lets its clients go"),
        Err(error) => {
            tracing::warn!(port, %error, "Envoy cannot be asked to let its clients go: they will be cut")
        }
    }
}

async fn post(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.write_all(REQUEST).await?;
    let mut status = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await?;
    if status.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::other(format!("the answer begins with {}", status.escape_ascii())))
}

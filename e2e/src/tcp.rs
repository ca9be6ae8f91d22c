//! A TCP connection whose cost is counted where it arises: payload bytes by this wrapper, segments
//! by the kernel.
//!
//! Loopback carries segments of 64 kB; the maximum segment size is set to Ethernet's, so that the count is
//! that of a real link.

use crate::error::{Error, Result};
use crate::sys;
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Maximum segment size in bytes: an MTU of 1,500 less 20 bytes each of IPv4 and TCP header.
const SEGMENT: u32 = 1_460;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct CountedTcp {
    stream: TcpStream,
    meter: Arc<Meter>,
}

/// Reads what one connection has cost so far, also while another object owns the connection.
#[derive(Debug)]
pub struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
    socket: OwnedFd,
}

/// Packets and bytes that crossed the wire, seen from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of datagrams or segments, both ways.
    pub packets: u64,
    /// Bytes of UDP or TCP payload, both ways.
    pub payload: u64,
    /// Bytes of the IP, UDP and TCP headers of those packets, over IPv4.
    pub headers: u64,
}

impl std::ops::Sub for Traffic {
    type Output = Traffic;
    fn sub(self, before: Traffic) -> Traffic {
        Traffic {
            packets: self.packets - before.packets,
            payload: self.payload - before.payload,
            headers: self.headers - before.headers,
        }
    }
}

impl std::ops::Add for Traffic {
    type Output = Traffic;
    fn add(self, other: Traffic) -> Traffic {
        Traffic {
            packets: self.packets + other.packets,
            payload: self.payload + other.payload,
            headers: self.headers + other.headers,
        }
    }
}

impl CountedTcp {
    /// Connects to `server`.
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<CountedTcp> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_tcp_mss(SEGMENT)?;
        socket.set_nonblocking(true)?;
        let stream = tokio::net::TcpSocket::from_std_stream(socket.into()).connect(server).await?;
        stream.set_nodelay(true)?;
        let socket = stream.as_fd().try_clone_to_owned()?;
        let meter = Arc::new(Meter { sent: AtomicU64::new(0), received: AtomicU64::new(0), socket });
        Ok(CountedTcp { stream, meter })
    }

    /// Returns the meter of the connection.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Meter {
    /// Returns what the connection has cost since it began. An acknowledgement that the kernel holds back is
    /// sent first, as it would be in the pause before a user's next step, so that it counts for the step that
    /// caused it.
    pub fn traffic(&self) -> Result<Traffic> {
        /// Bytes of the headers of IPv4 and TCP, and of the timestamps that every segment of Linux carries.
        const SEGMENT_HEADERS: u64 = 20 + 20 + 12;
        /// Bytes that the first segment of each side carries besides: maximum segment size, SACK permitted,
        /// window scale.
        const SYN_OPTIONS: u64 = 8;
        let read = || -> io::Result<sys::Segments> {
            SockRef::from(&self.socket).set_tcp_quickack(true)?;
            sys::tcp_segments(self.socket.as_fd())
        };
        let segments = read().map_err(Error::io("read TCP_INFO"))?;
        let packets = segments.sent + segments.received;
        Ok(Traffic {
            packets,
            payload: self.sent.load(Ordering::Relaxed) + self.received.load(Ordering::Relaxed),
            headers: packets * SEGMENT_HEADERS + 2 * SYN_OPTIONS,
        })
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
}

impl AsyncRead for CountedTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        add(&self.meter.received, buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for CountedTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            add(&self.meter.sent, written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn payload_is_counted_to_the_byte_and_segments_have_the_size_of_a_real_link() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = CountedTcp::connect(listener.local_addr().unwrap()).await.unwrap();
        let meter = client.meter();
        let (mut server, _) = listener.accept().await.unwrap();
        let connected = meter.traffic().unwrap();
        // The three packets are SYN, SYN with ACK, ACK.
        assert_eq!(connected, Traffic { packets: 3, payload: 0, headers: 60 + 60 + 52 });

        let body = vec![b'x'; 20_000];
        server.write_all(&body).await.unwrap();
        let mut got = vec![0; body.len()];
        client.read_exact(&mut got).await.unwrap();
        let step = meter.traffic().unwrap() - connected;
        assert_eq!(step.payload, 20_000);
        // There are at least the segments of the data (1,460 less 12 bytes of timestamps each) and one
        // acknowledgement.
        assert!(step.packets > 20_000 / 1_448, "{step:?}");
        assert_eq!(step.headers, step.packets * 52);
    }
}

//! One HTTP/2 connection with prior knowledge (RFC 9113 section 3.3), over a unix socket or TCP.

use super::{Address, Settings};
use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// What requests are sent with.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// A stream that nobody reads holds as much of the connection's window: small, so that one connection survives
/// hundreds of clients that have stopped reading.
const STREAM_WINDOW: u32 = 64 << 10;
/// The most that one connection may hold for streams that nobody reads.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// A header list beyond it ends its request, not the connection.
const MAX_HEADER_LIST: u32 = 64 << 10;
/// Cancelled streams whose late frames are still recognised.
const RESET_STREAMS: usize = 1024;
/// A ping that is not answered in this time means a dead connection.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Counts one connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects; the connection lives in a task of its own until both sides are done with it, and is counted in `alive` until then.
pub(super) async fn connect(settings: &Settings, alive: &Arc<AtomicUsize>) -> Result<Sender, Failure> {
    match timeout(settings.connect_timeout, open(settings, alive)).await {
        Ok(Ok(sender)) => Ok(sender),
        Ok(Err(why)) => Err(Failure::Unreachable(why.to_string())),
        Err(_elapsed) => Err(Failure::Hung),
    }
}

async fn open(settings: &Settings, alive: &Arc<AtomicUsize>) -> io::Result<Sender> {
    match &settings.address {
        Address::Unix(path) => {
            handshake(settings, alive, TokioIo::new(UnixStream::connect(path).await?)).await
        }
        Address::Tcp(authority) => {
            let host = authority.host().trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, authority.port_u16().unwrap_or_default())).await?;
            stream.set_nodelay(true)?;
            handshake(settings, alive, TokioIo::new(stream)).await
        }
    }
}

async fn handshake(
    settings: &Settings,
    alive: &Arc<AtomicUsize>,
    io: impl Read + Write + Send + Unpin + 'static,
) -> io::Result<Sender> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_concurrent_reset_streams(RESET_STREAMS)
        // Frames for streams cancelled long ago would count as errors of ours and end the connection at 1,024; the
        // upstream is trusted not to send them for sport.
        .max_local_error_reset_streams(None)
        // Only with requests in flight: an idle sidecar is silent.
        .keep_alive_interval(settings.ping)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io)
        .await
        .map_err(io::Error::other)?;
    alive.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(Arc::clone(alive));
    tokio::spawn(async move {
        let _counted = counted;
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the upstream has ended");
        }
    });
    Ok(sender)
}

/// What an error of hyper means for the request that it ended.
pub(super) fn failure(error: &hyper::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Hung;
    }
    match error.source() {
        Some(cause) => Failure::Broken(format!("{error}: {cause}")),
        None => Failure::Broken(error.to_string()),
    }
}

/// True when the upstream says that it has not processed the request: it may be sent again, whatever its method
/// (RFC 9113 section 8.7: REFUSED_STREAM, or a GOAWAY that does not cover the stream).
pub(super) fn was_not_processed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|h2| {
        h2.is_remote() && (h2.is_go_away() || h2.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

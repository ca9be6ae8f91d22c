//! The bytes of one connection, in clear text or through TLS, watched for the limits of time.

use super::activity::Activity;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// The two kinds of connections.
pub(super) enum Kind {
    Clear(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

/// A connection whose reads and writes are noted.
pub(super) struct Watched {
    pub(super) kind: Kind,
    pub(super) activity: Arc<Mutex<Activity>>,
}

/// Calls one of the functions of a stream for either kind.
macro_rules! either {
    ($watched:ident, $call:ident ( $($argument:expr),* )) => {
        match &mut $watched.kind {
            Kind::Clear(stream) => Pin::new(stream).$call($($argument),*),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).$call($($argument),*),
        }
    };
}

impl Watched {
    fn note(&self, note: impl FnOnce(&mut Activity, Instant)) {
        note(&mut self.activity.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }

    fn noting<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.note(|activity, now| activity.write_waits(now, polled.is_pending()));
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = either!(self, poll_read(cx, buffer));
        if buffer.filled().len() > before {
            self.note(Activity::heard);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = either!(self, poll_write(cx, bytes));
        self.noting(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = either!(self, poll_write_vectored(cx, pieces));
        self.noting(polled)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.kind, Kind::Clear(_))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind keeps anything back that a flush would send, so it says nothing of the client.
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = either!(self, poll_shutdown(cx));
        self.noting(polled)
    }
}

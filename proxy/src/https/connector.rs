//! Connections for the HTTP client: names of our own resolving, bytes counted beneath TLS, a time limit.

use crate::body::BoxError;
use crate::names::Names;
use crate::stats::Tcp;
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

/// Time for a connection, TLS included: a slow link needs a while for the server's certificates.
const CONNECT: Duration = Duration::from_secs(30);
/// Time for TCP alone, shared by all addresses of a name.
const CONNECT_TCP: Duration = Duration::from_secs(20);
/// Time after which TCP gives up bytes that are not acknowledged (RFC 5482), where the system lets it.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes connections of TCP, to all addresses of a name by happy eyeballs (RFC 8305), which the library does.
#[derive(Clone)]
pub(super) struct Connector {
    names: Names,
    counts: Arc<Tcp>,
}

impl Connector {
    pub(super) fn new(names: Names, counts: Arc<Tcp>) -> Connector {
        Connector { names, counts }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Metered>;
    type Error = BoxError;
    type Future = Connecting<TokioIo<Metered>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let default = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default);
        // One for each connection: its resolver is not told the port, which fixed addresses hold for.
        let mut http = HttpConnector::new_with_resolver(Resolver { names: self.names.clone(), port });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TCP));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let counts = Arc::clone(&self.counts);
        let connecting = http.call(uri);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            counts.connected();
            Ok(TokioIo::new(Metered { stream, counts }))
        })
    }
}

/// The resolver for one port.
#[derive(Clone)]
struct Resolver {
    names: Names,
    port: u16,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Resolver { names, port } = self.clone();
        Box::pin(async move { names.addresses(name.as_str(), port).await.map(Vec::into_iter) })
    }
}

/// A connection of TCP whose bytes are counted.
pub(super) struct Metered {
    stream: TcpStream,
    counts: Arc<Tcp>,
}

impl Metered {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }

    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.counts.sent(bytes);
        }
        written
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = self.as_mut().stream().poll_read(context, buffer);
        self.counts.received(buffer.filled().len().saturating_sub(before));
        outcome
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().stream().poll_write(context, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().stream().poll_write_vectored(context, bytes);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

impl Connection for Metered {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

/// A connector whose connections must be there within [`CONNECT`].
#[derive(Clone)]
pub(super) struct Within<C> {
    connector: C,
}

impl<C> Within<C> {
    pub(super) fn new(connector: C) -> Within<C> {
        Within { connector }
    }
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error = BoxError, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Connecting<C::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT, self.connector.call(uri));
        Box::pin(async move {
            connecting.await.unwrap_or_else(|_elapsed| Err(format!("no TLS within {CONNECT:?}").into()))
        })
    }
}

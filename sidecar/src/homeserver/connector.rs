//! New connections to the homeserver: names, TCP, TLS.

use super::Settings;
use crate::health::Hint;
use crate::upstream::Counted;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod};
use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tower_service::Service;

/// The protocols that are offered (RFC 7301 section 6; RFC 9113 section 3.2).
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";
const HTTP_2: &[u8] = b"h2";

/// Opens connections, and counts those that are open.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    /// `None` for clear text.
    tls: Option<Tls>,
    patience: Duration,
    alive: Arc<AtomicUsize>,
    /// Whether the homeserver has chosen HTTP/2 last.
    met_http_2: Arc<AtomicBool>,
    /// True if only a connection in HTTP/2 is of use.
    expects_http_2: bool,
}

#[derive(Debug, Clone)]
struct Tls {
    connector: SslConnector,
    host: Arc<str>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unconnected {
    /// Connecting took too long.
    #[error("no connection in time")]
    Hung,
    /// The name has no address, or nothing accepts a connection there.
    #[error("{0}")]
    Tcp(String, Hint),
    /// The handshake of TLS has failed.
    #[error("{0}")]
    Tls(String, Hint),
}

impl Unconnected {
    /// Returns what to look at.
    pub(crate) fn hint(&self) -> Hint {
        match self {
            Unconnected::Hung => Hint::Silence,
            Unconnected::Tcp(_, hint) | Unconnected::Tls(_, hint) => *hint,
        }
    }
}

impl Connector {
    pub(super) fn new(settings: &Settings) -> Result<Connector, ErrorStack> {
        let tls = match settings.base.is_secure() {
            false => None,
            true => {
                let mut connector = SslConnector::builder(SslMethod::tls_client())?;
                connector.set_alpn_protos(PROTOCOLS)?;
                settings.roots.apply(&mut connector)?;
                Some(Tls { connector: connector.build(), host: settings.base.host().into() })
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(settings.ping));
        Ok(Connector {
            tcp,
            tls,
            patience: settings.connect_timeout,
            alive: Arc::default(),
            met_http_2: Arc::default(),
            expects_http_2: false,
        })
    }

    /// Returns a connector for a client that speaks HTTP/2 alone, or either.
    pub(super) fn expecting(&self, http_2: bool) -> Connector {
        Connector { expects_http_2: http_2, ..self.clone() }
    }

    /// Returns whether the homeserver has chosen HTTP/2 when it was connected to last.
    pub(super) fn has_met_http_2(&self) -> bool {
        self.met_http_2.load(Ordering::Relaxed)
    }

    /// Returns the number of open connections.
    pub(super) fn connections(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Unconnected>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        self.tcp.poll_ready(cx).map_err(|why| of_tcp(&why))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri);
        let (tls, alive, patience) = (self.tls.clone(), Arc::clone(&self.alive), self.patience);
        let (met_http_2, expects_http_2) = (Arc::clone(&self.met_http_2), self.expects_http_2);
        Box::pin(async move {
            let opening = async {
                let tcp = connecting.await.map_err(|why| of_tcp(&why))?.into_inner();
                let counted = Counted::new(&alive);
                match tls {
                    None => {
                        Ok(Stream { io: TokioIo::new(Box::new(tcp)), is_http_2: false, _counted: counted })
                    }
                    Some(tls) => {
                        let stream = tls.handshake(tcp).await?;
                        let is_http_2 = stream.ssl().selected_alpn_protocol() == Some(HTTP_2);
                        met_http_2.store(is_http_2, Ordering::Relaxed);
                        if expects_http_2 && !is_http_2 {
                            // The next request goes to the other client.
                            let why = "it speaks HTTP/2 no longer".to_owned();
                            return Err(Unconnected::Tls(why, Hint::None));
                        }
                        Ok(Stream { io: TokioIo::new(Box::new(stream)), is_http_2, _counted: counted })
                    }
                }
            };
            timeout(patience, opening).await.unwrap_or(Err(Unconnected::Hung))
        })
    }
}

impl Tls {
    async fn handshake(&self, tcp: TcpStream) -> Result<SslStream<TcpStream>, Unconnected> {
        let other = |why: ErrorStack| Unconnected::Tls(why.to_string(), Hint::None);
        let ssl = self.connector.configure().and_then(|tls| tls.into_ssl(&self.host)).map_err(other)?;
        let mut stream = SslStream::new(ssl, tcp).map_err(other)?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(why) => {
                let verified = stream.ssl().verify_result();
                Err(match verified == openssl::x509::X509VerifyResult::OK {
                    true => Unconnected::Tls(format!("TLS: {why}"), Hint::Protocol),
                    false => {
                        let why = format!("its certificate is refused: {}", verified.error_string());
                        Unconnected::Tls(why, Hint::Certificate)
                    }
                })
            }
        }
    }
}

fn of_tcp(error: &(dyn Error + 'static)) -> Unconnected {
    let why = super::reason(error);
    let io = super::causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let kinds: Vec<_> = io.map(io::Error::kind).collect();
    let hint = if why.contains("dns error") {
        Hint::Name
    } else if kinds.contains(&io::ErrorKind::ConnectionRefused) {
        Hint::Absent
    } else if kinds.contains(&io::ErrorKind::TimedOut) {
        Hint::Silence
    } else {
        Hint::None
    };
    Unconnected::Tcp(why, hint)
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An open connection.
pub(crate) struct Stream {
    io: TokioIo<Box<dyn Io>>,
    is_http_2: bool,
    _counted: Counted,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        if self.is_http_2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }
}

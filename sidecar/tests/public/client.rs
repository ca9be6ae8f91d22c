//! Clients of the public port: hyper over TCP or TLS, and raw bytes.

use crate::harness::PATIENCE;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// Connects from this address of loopback, each of which is a network of its own to the server.
pub(crate) async fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// A connection to the server that sends requests of one version of HTTP.
pub(crate) enum Http {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Http {
    /// Speaks HTTP/1.1, or HTTP/2 without asking first.
    pub(crate) async fn over<S>(stream: S, is_http2: bool) -> Http
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            return Http::Two(sender);
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Http::One(sender)
    }

    pub(crate) async fn clear(server: SocketAddr, is_http2: bool) -> Http {
        Http::over(TcpStream::connect(server).await.unwrap(), is_http2).await
    }

    /// Connects with TLS and speaks what ALPN has chosen of these.
    pub(crate) async fn tls(server: SocketAddr, offer: &[u8]) -> Http {
        let stream = tls(TcpStream::connect(server).await.unwrap(), offer).await;
        let is_http2 = stream.ssl().selected_alpn_protocol() == Some(b"h2");
        Http::over(stream, is_http2).await
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Http::Two(_))
    }

    /// Waits until the connection takes a further request; an error once it has ended.
    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        let ready = async {
            match self {
                Http::One(sender) => sender.ready().await,
                Http::Two(sender) => sender.ready().await,
            }
        };
        timeout(PATIENCE, ready).await.expect("not ready")
    }

    /// Sends a request, and returns the head of its answer.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.ready().await?;
        let sending = async {
            match self {
                Http::One(sender) => sender.send_request(request).await,
                Http::Two(sender) => sender.send_request(request).await,
            }
        };
        timeout(PATIENCE, sending).await.expect("no answer")
    }

    /// Sends a request, and returns its whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (parts, body) = self.ask(request).await.unwrap().into_parts();
        let body = timeout(PATIENCE, body.collect()).await.expect("no whole answer").unwrap();
        Response::from_parts(parts, body.to_bytes())
    }
}

/// Makes a TLS connection that offers these protocols, whatever the certificate is.
pub(crate) async fn tls(stream: TcpStream, offer: &[u8]) -> SslStream<TcpStream> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    if !offer.is_empty() {
        builder.set_alpn_protos(offer).unwrap();
    }
    let ssl = builder.build().configure().unwrap().into_ssl("localhost").unwrap();
    let mut stream = SslStream::new(ssl, stream).unwrap();
    timeout(PATIENCE, Pin::new(&mut stream).connect()).await.expect("no handshake").unwrap();
    stream
}

/// Returns the certificate that the server shows.
pub(crate) async fn shown(server: SocketAddr) -> X509 {
    tls(TcpStream::connect(server).await.unwrap(), b"").await.ssl().peer_certificate().unwrap()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    with(path, &[])
}

/// Makes a GET with header fields.
pub(crate) fn with(path: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::get(format!("http://public.test{path}")).header("host", "public.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

pub(crate) fn post(path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://public.test{path}")).header("host", "public.test");
    request.header("content-type", kind).body(Full::new(body.into())).unwrap()
}

/// Sends these bytes on a connection of their own, and returns all that comes back until the server ends it.
pub(crate) async fn raw(server: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    until_closed(&mut stream).await
}

/// Returns all that comes until the server ends the connection.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection has not ended");
    String::from_utf8_lossy(&answer).into_owned()
}

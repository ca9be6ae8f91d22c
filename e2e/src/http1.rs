//! A plain HTTP/1.1 client on one kept-alive connection, clear or TLS: it stands for an ordinary Matrix
//! client at Envoy's public port.

use crate::error::{Error, Result};
use crate::tcp::{CountedTcp, Meter};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

/// One connection. A request waits for the response to the previous one.
#[derive(Debug)]
pub struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    authority: HeaderValue,
    meter: Arc<Meter>,
}

impl Http1 {
    /// Connects in clear text.
    pub async fn plain(server: SocketAddr) -> Result<Http1> {
        let stream = connect(server).await?;
        let meter = stream.meter();
        Http1::over(stream, meter, server).await
    }

    /// Connects over TLS, and believes only the certificate in the PEM file `ca`.
    pub async fn tls(server: SocketAddr, ca: &Path) -> Result<Http1> {
        let failed = |why: &dyn std::fmt::Display| no_answer(&format!("TLS handshake with {server}"), why);
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|why| failed(&why))?;
        builder.set_ca_file(ca).map_err(|why| failed(&why))?;
        // An address is matched against the certificate's IP names.
        let configuration = builder.build().configure().map_err(|why| failed(&why))?;
        let ssl = configuration.into_ssl(&server.ip().to_string()).map_err(|why| failed(&why))?;
        let stream = connect(server).await?;
        let meter = stream.meter();
        let mut stream = SslStream::new(ssl, stream).map_err(|why| failed(&why))?;
        Pin::new(&mut stream).connect().await.map_err(|why| failed(&why))?;
        Http1::over(stream, meter, server).await
    }

    async fn over<S>(stream: S, meter: Arc<Meter>, server: SocketAddr) -> Result<Http1>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |why: &dyn std::fmt::Display| no_answer(&format!("HTTP connection to {server}"), why);
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|why| failed(&why))?;
        // The end of the connection shows at the next request.
        tokio::spawn(connection);
        let authority = HeaderValue::from_str(&server.to_string()).map_err(|why| failed(&why))?;
        Ok(Http1 { sender, authority, meter })
    }

    /// Sends a request, whose URI is a path, and waits for the whole response.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        let what = format!("{} {}", request.method(), request.uri());
        request.headers_mut().insert(header::HOST, self.authority.clone());
        self.sender.ready().await.map_err(|why| no_answer(&what, &why))?;
        let response = self.sender.send_request(request).await.map_err(|why| no_answer(&what, &why))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|why| no_answer(&what, &why))?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// Returns the meter of this connection.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

/// Makes one GET on a connection of its own, for questions such as "are you ready?".
pub async fn get(server: SocketAddr, path: &str) -> Result<Response<Bytes>> {
    let what = format!("GET http://{server}{path}");
    let request = Request::get(path).body(Full::default()).map_err(|why| no_answer(&what, &why))?;
    let exchange = async { Http1::plain(server).await?.send(request).await };
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| no_answer(&what, &format!("silent for {limit:?}")))?
}

async fn connect(server: SocketAddr) -> Result<CountedTcp> {
    CountedTcp::connect(server).await.map_err(Error::io(format!("connect to {server}")))
}

fn no_answer(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::NoAnswer { what: what.to_owned(), why: why.to_string() }
}

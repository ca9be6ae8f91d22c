//! A recorder between the library and its server: the library has no place where a program sees exchanges.
//!
//! ```text
//! matrix-rust-sdk -> recorder -> server
//!                        `-> a line on standard output for each exchange
//! ```
//!
//! It passes on what it gets, with one change: where an answer names the server, the library reads the
//! recorder's own address, as it would otherwise go on without a recorder. An answer that names another
//! server stays as it is, and the library, which believes it, goes there.

use crate::{Result, tell};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Debug)]
struct Recorder {
    /// The server's URL and the recorder's own, without a slash at their ends.
    server: String,
    own: String,
    /// Whose exchanges these are.
    user: &'static str,
    client: Client<HttpConnector, Incoming>,
}

/// Starts a recorder for one device of a user. Returns its URL, which stands for `server`.
pub async fn start(server: &str, user: &'static str) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let own = format!("http://{}", listener.local_addr()?);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let recorder = Arc::new(Recorder { server: server.to_owned(), own: own.clone(), user, client });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let recorder = recorder.clone();
            let pass = service_fn(move |request| {
                let recorder = recorder.clone();
                async move { recorder.pass(request).await.map_err(std::io::Error::other) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), pass);
            // A client may go at any time: what it has asked is told, or missing.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    Ok(own)
}

impl Recorder {
    /// Passes one exchange on, and tells it. Where there is no answer, the connection breaks for the library
    /// as well.
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let asked = format!("{} {}", request.method(), request.uri().path());
        let answer = self.answer(request).await;
        match &answer {
            Ok((status, kind, bytes, _)) => {
                let body = match serde_json::from_slice(bytes) {
                    Ok(body) if kind == "application/json" => body,
                    _ => json!({"length": bytes.len()}),
                };
                tell(
                    &json!({"asked": asked, "user": self.user, "status": status, "type": kind, "body": body}),
                );
            }
            Err(why) => tell(&json!({"asked": asked, "user": self.user, "failed": why.to_string()})),
        }
        answer.map(|(.., response)| response)
    }

    /// Returns status, media type and body as they came, and the answer for the library.
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<(u16, String, Bytes, Response<Full<Bytes>>)> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.server).parse()?;
        head.headers.remove(HOST);
        let (mut head, body) = self.client.request(Request::from_parts(head, body)).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().to_owned();
        let passed = match std::str::from_utf8(&bytes) {
            Ok(text) if kind == "application/json" => Bytes::from(text.replace(&self.server, &self.own)),
            _ => bytes.clone(),
        };
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(TRANSFER_ENCODING);
        Ok((head.status.as_u16(), kind, bytes, Response::from_parts(head, Full::new(passed))))
    }
}

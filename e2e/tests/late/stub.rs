//! What stands for Envoy, filter and homeserver: HTTP/2 with prior knowledge on a unix socket, and answers that come when they are
//! told to. Nothing else about them matters here.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lowband_e2e::wire::to_cbor;
use serde_json::json;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixListener;

/// Where an answer with a text of `length` bytes comes after `wait`.
pub(crate) fn path(wait: Duration, length: usize) -> String {
    format!("/_matrix/client/v3/late/{}/{length}", wait.as_millis())
}

/// A text of this many bytes in which no part stands twice.
pub(crate) fn text(length: usize) -> String {
    let mut text: String = (0..).map(|number: u32| format!("{number} ")).take(length / 2 + 1).collect();
    text.truncate(length);
    text
}

/// The answer with such a text, as JSON.
pub(crate) fn document(length: usize) -> String {
    json!({ "body": text(length) }).to_string()
}

/// Serves until the runtime ends.
pub(crate) fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut numbers = request.uri().path().rsplit('/').map_while(|segment| segment.parse().ok());
    let (length, wait) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let json = document(length as usize);
    let wants_json = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
    let (kind, body) = match wants_json {
        true => ("application/json", json.into_bytes()),
        false => ("application/cbor", to_cbor(&json).unwrap()),
    };
    Ok(Response::builder().header(header::CONTENT_TYPE, kind).body(Full::from(body)).unwrap())
}

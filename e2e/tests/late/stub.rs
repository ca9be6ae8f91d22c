//! A stub in place of Envoy, filter and homeserver: HTTP/2 with prior knowledge on a unix socket, and answers
//! that come at the time they are asked for. Nothing else about those parts matters here.

use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lowband_e2e::wire::to_cbor;
use serde_json::json;
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::time::Sleep;

/// Returns the path at which an answer with a text of `length` bytes comes after `wait`.
pub(crate) fn path(wait: Duration, length: usize) -> String {
    format!("/_matrix/client/v3/late/{}/{length}", wait.as_millis())
}

/// Returns the path at which half of the answer comes at once, and the rest after `wait`.
pub(crate) fn halting_path(wait: Duration, length: usize) -> String {
    path(wait, length).replace("/late/", "/halting/")
}

/// Makes a text of this many bytes in which no part occurs twice.
pub(crate) fn text(length: usize) -> String {
    let mut text: String = (0..).map(|number: u32| format!("{number} ")).take(length / 2 + 1).collect();
    text.truncate(length);
    text
}

/// Makes the answer with such a text, as JSON.
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

async fn answer(request: Request<Incoming>) -> Result<Response<Halves>, Infallible> {
    let mut numbers = request.uri().path().rsplit('/').map_while(|segment| segment.parse().ok());
    let (length, wait) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let json = document(length as usize);
    let wants_json = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
    let (kind, body) = match wants_json {
        true => ("application/json", json.into_bytes()),
        false => ("application/cbor", to_cbor(&json).unwrap()),
    };
    let wait = Duration::from_millis(wait);
    let (first, second) = match request.uri().path().contains("/halting/") {
        true => body.split_at(body.len() / 2),
        false => {
            tokio::time::sleep(wait).await;
            (&*body, &[][..])
        }
    };
    let halves = Halves {
        first: Some(Bytes::copy_from_slice(first)),
        pause: Box::pin(tokio::time::sleep(wait)),
        second: Some(Bytes::copy_from_slice(second)).filter(|second| !second.is_empty()),
    };
    Ok(Response::builder().header(header::CONTENT_TYPE, kind).body(halves).unwrap())
}

/// A body in two pieces with a pause between them.
struct Halves {
    first: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
    second: Option<Bytes>,
}

impl Body for Halves {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.second.is_some() {
            std::task::ready!(self.pause.as_mut().poll(cx));
        }
        Poll::Ready(self.second.take().map(|second| Ok(Frame::data(second))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.second.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = [&self.first, &self.second].into_iter().flatten().map(|half| half.len() as u64).sum();
        SizeHint::with_exact(left)
    }
}

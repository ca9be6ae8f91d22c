//! A stub of Envoy: HTTP/2 with prior knowledge on a unix socket, answering as each test wants.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A request that came over HTTP/2.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn target(&self) -> &str {
        self.uri.path_and_query().unwrap().as_str()
    }
}

pub(crate) type Reply = Response<BoxBody<Bytes, io::Error>>;
pub(crate) type Handler = Arc<dyn Fn(Seen) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// Makes a handler from an async closure.
pub(crate) fn handler<F>(answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Reply> + Send + 'static,
{
    Arc::new(move |seen| Box::pin(answer(seen)))
}

/// Answers everything with 200 and an empty CBOR map.
pub(crate) fn ok() -> Handler {
    handler(|_| async { cbor(200, b"\xa0") })
}

pub(crate) fn cbor(status: u16, body: &[u8]) -> Reply {
    reply(status, &[("content-type", "application/cbor")], body)
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let full = Full::new(Bytes::copy_from_slice(body)).map_err(|never: Infallible| match never {}).boxed();
    with_body(status, headers, full)
}

/// Makes a body that comes piece by piece from a channel; `Err` breaks the stream off.
pub(crate) fn streamed(status: u16, headers: &[(&str, &str)]) -> (mpsc::Sender<io::Result<Bytes>>, Reply) {
    let (pieces, source) = mpsc::channel(1);
    (pieces, with_body(status, headers, BodyExt::boxed(Pieces(source))))
}

fn with_body(status: u16, headers: &[(&str, &str)], body: BoxBody<Bytes, io::Error>) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

pub(crate) struct Stub {
    path: PathBuf,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: Mutex<Option<JoinSet<()>>>,
}

impl Stub {
    /// Makes a stub that does not listen yet.
    pub(crate) fn new(path: PathBuf, handler: Handler) -> Stub {
        Stub { path, handler, seen: Arc::default(), serving: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    pub(crate) fn listen(&self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        let (handler, seen) = (Arc::clone(&self.handler), Arc::clone(&self.seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = body.collect().await?.to_bytes();
                            let arrived =
                                Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
                            seen.lock().unwrap().push(arrived.clone());
                            Ok::<_, hyper::Error>(handler(arrived).await)
                        }
                    });
                    let mut builder = http2::Builder::new(TokioExecutor::new());
                    builder.max_header_list_size(1 << 20);
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// Ends all connections and the socket, like a process that dies.
    pub(crate) async fn die(&self) {
        let serving = self.serving.lock().unwrap().take();
        serving.unwrap().shutdown().await;
        std::fs::remove_file(&self.path).unwrap();
    }
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
    }
}

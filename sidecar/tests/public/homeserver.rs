//! A stub of a homeserver: HTTP/1.1 over TCP, answering as each test wants.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A request that came, with its whole body.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub(crate) type Reply = Response<BoxBody<Bytes, io::Error>>;
pub(crate) type Handler = Arc<dyn Fn(Seen) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

pub(crate) fn handler<F>(answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Reply> + Send + 'static,
{
    Arc::new(move |seen| Box::pin(answer(seen)))
}

/// Answers everything with 200 and an empty JSON object.
pub(crate) fn ok() -> Handler {
    handler(|_| async { json("{}") })
}

/// Answers nothing below `/_matrix/client/v3/sync`, as a long poll that finds no news.
pub(crate) fn waits_for_sync() -> Handler {
    handler(|seen| async move {
        if seen.uri.path().ends_with("/sync") {
            std::future::pending::<()>().await;
        }
        json("{}")
    })
}

pub(crate) fn json(text: &str) -> Reply {
    reply("application/json", text.as_bytes().to_vec())
}

pub(crate) fn reply(kind: &str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    Response::builder().header("content-type", kind).body(body).unwrap()
}

/// Makes a body that comes piece by piece from a channel.
pub(crate) fn streamed(kind: &str) -> (mpsc::Sender<Bytes>, Reply) {
    let (pieces, source) = mpsc::channel(1);
    let body = BodyExt::boxed(Pieces(source));
    (pieces, Response::builder().header("content-type", kind).body(body).unwrap())
}

struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A homeserver that ends with its value.
pub(crate) struct Homeserver {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl Homeserver {
    pub(crate) async fn start(handler: Handler) -> Homeserver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let mut serving = JoinSet::new();
        let noted = Arc::clone(&seen);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&noted));
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = body.collect().await?.to_bytes();
                            let came =
                                Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
                            seen.lock().unwrap().push(came.clone());
                            Ok::<_, hyper::Error>(handler(came).await)
                        }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Homeserver { address, seen, _serving: serving }
    }

    /// Returns all requests whose bodies have come whole.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

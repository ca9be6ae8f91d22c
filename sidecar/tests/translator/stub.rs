//! A homeserver in this process: HTTP/1.1 in clear text, or HTTP/2 over TLS; and one that says what a test
//! has written, byte by byte.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, select_next_proto};
use openssl::x509::X509;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

pub(crate) type Reply = Response<BoxBody<Bytes, io::Error>>;
type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A request that has come, with its body on the way.
#[derive(Debug)]
pub(crate) struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Incoming,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) async fn whole(self) -> Bytes {
        self.body.collect().await.unwrap().to_bytes()
    }
}

pub(crate) fn json(status: u16, text: &str) -> Reply {
    reply(status, &[("content-type", "application/json")], text)
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], text: &str) -> Reply {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never: Infallible| match never {});
    with_body(status, headers, body.boxed())
}

/// Makes an answer in JSON that comes piece by piece from a channel; `Err` breaks it off.
pub(crate) fn streamed() -> (mpsc::Sender<io::Result<Bytes>>, Reply) {
    let (pieces, source) = mpsc::channel(1);
    (pieces, with_body(200, &[("content-type", "application/json")], BodyExt::boxed(Pieces(source))))
}

fn with_body(status: u16, headers: &[(&str, &str)], body: BoxBody<Bytes, io::Error>) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
    }
}

/// An answer on its way.
struct Answered {
    body: BoxBody<Bytes, io::Error>,
    _counted: Working,
}

impl Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A homeserver that answers as a test wants.
pub(crate) struct Homeserver {
    pub address: SocketAddr,
    /// Connections that it has accepted.
    pub connections: Arc<AtomicUsize>,
    /// Requests that it works on.
    pub working: watch::Receiver<usize>,
    /// What it has seen, without the bodies.
    pub seen: Arc<Mutex<Vec<(Method, Uri, HeaderMap)>>>,
}

/// Counts a request for as long as the homeserver works on it.
struct Working(Arc<watch::Sender<usize>>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|working| *working -= 1);
    }
}

impl Homeserver {
    pub(crate) async fn start<F>(answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Homeserver
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Homeserver::serve(None, Arc::new(move |seen| -> Answer { Box::pin(answer(seen)) })).await
    }

    /// Starts one with this certificate and key (PEM), which takes HTTP/2 alone, so many requests at a time
    /// on a connection.
    pub(crate) async fn over_tls<F>(
        certificate: &[u8],
        key: &[u8],
        streams: u32,
        answer: impl Fn(Seen) -> F + Send + Sync + 'static,
    ) -> Homeserver
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        tls.set_certificate(&X509::from_pem(certificate).unwrap()).unwrap();
        tls.set_private_key(&PKey::private_key_from_pem(key).unwrap()).unwrap();
        tls.set_alpn_select_callback(|_, offered| {
            select_next_proto(b"\x02h2", offered).ok_or(AlpnError::ALERT_FATAL)
        });
        let tls = Some((tls.build(), streams));
        Homeserver::serve(tls, Arc::new(move |seen| -> Answer { Box::pin(answer(seen)) })).await
    }

    async fn serve(
        tls: Option<(SslAcceptor, u32)>,
        answer: Arc<dyn Fn(Seen) -> Answer + Send + Sync>,
    ) -> Homeserver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (working, watched) = watch::channel(0);
        let (connections, seen): (Arc<AtomicUsize>, Arc<Mutex<Vec<_>>>) = Default::default();
        let homeserver = Homeserver {
            address,
            connections: Arc::clone(&connections),
            working: watched,
            seen: Arc::clone(&seen),
        };
        let working = Arc::new(working);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, working, seen) = (Arc::clone(&answer), Arc::clone(&working), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    working.send_modify(|working| *working += 1);
                    let counted = Working(Arc::clone(&working));
                    let (parts, body) = request.into_parts();
                    seen.lock().unwrap().push((
                        parts.method.clone(),
                        parts.uri.clone(),
                        parts.headers.clone(),
                    ));
                    let seen = Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
                    let answer = answer(seen);
                    async move {
                        let answer = answer.await;
                        // Until all of the body has gone, or the connection.
                        Ok::<_, Infallible>(answer.map(|body| Answered { body, _counted: counted }))
                    }
                });
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => {
                            let _ =
                                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                        }
                        Some((tls, streams)) => {
                            let Some(stream) = accept(&tls, stream).await else { return };
                            let mut builder = http2::Builder::new(TokioExecutor::new());
                            builder.max_concurrent_streams(streams);
                            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                });
            }
        });
        homeserver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until this many requests are worked on.
    pub(crate) async fn works_on(&self, count: usize) {
        self.working.clone().wait_for(|working| *working == count).await.unwrap();
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn accept(tls: &SslAcceptor, stream: TcpStream) -> Option<tokio_openssl::SslStream<TcpStream>> {
    let mut stream = tokio_openssl::SslStream::new(Ssl::new(tls.context()).unwrap(), stream).unwrap();
    Pin::new(&mut stream).accept().await.ok()?;
    Some(stream)
}

/// Starts a homeserver that answers the first request of each connection with these bytes, one after the
/// other, and then hangs up. Returns its URL, and how many requests have come.
pub(crate) async fn saying(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut buffer).await {
                    Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let answer = answers.get(number).or(answers.last()).unwrap();
            let _ = stream.write_all(answer).await;
        }
    });
    (url, count)
}

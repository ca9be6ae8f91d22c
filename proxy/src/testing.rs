//! The other ends of the tests: a homeserver over HTTPS that does what a test says, and a relay of datagrams
//! that may swallow them.

use crate::account::{Account, Credentials};
use crate::body::{self, Body};
use crate::certificate::Certificate;
use crate::names::Fixed;
use crate::settings::Settings;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use lowband_client::Verification;
use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, select_next_proto};
use openssl::x509::X509;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_openssl::SslStream;

/// A request at the homeserver, without its body.
pub(crate) type Seen = Request<()>;

/// Streams of HTTP/2 at a time: the fewest that RFC 9113 section 6.5.2 recommends.
const STREAMS: u32 = 100;

/// A homeserver over HTTPS. Ends when it is dropped.
pub(crate) struct Homeserver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Homeserver {
    /// Starts one that speaks these protocols (ALPN) and answers by `reply`.
    pub(crate) async fn start(
        certificate: &Certificate,
        protocols: &'static [u8],
        reply: impl Fn(Request<Incoming>) -> Response<Body> + Send + Sync + 'static,
    ) -> Homeserver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = acceptor(certificate, protocols);
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (reply, to, count) = (Arc::new(reply), Arc::clone(&seen), Arc::clone(&connections));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut stream = SslStream::new(Ssl::new(acceptor.context()).unwrap(), tcp).unwrap();
                let (reply, seen) = (Arc::clone(&reply), Arc::clone(&to));
                served.spawn(async move {
                    if Pin::new(&mut stream).accept().await.is_err() {
                        return;
                    }
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (parts, incoming) = request.into_parts();
                        seen.lock().unwrap().push(Request::from_parts(parts.clone(), ()));
                        let answer = reply(Request::from_parts(parts, incoming));
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().max_concurrent_streams(STREAMS);
                    // A client that goes away is its own business.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Homeserver { address, seen, connections, _tasks: tasks }
    }

    /// Returns the requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns paths and queries of the requests so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.uri().path_and_query().unwrap().to_string()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns its address as `https://localhost:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

fn acceptor(certificate: &Certificate, protocols: &'static [u8]) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&X509::from_pem(&certificate.chain).unwrap()).unwrap();
    acceptor.set_private_key(&PKey::private_key_from_pem(&certificate.key).unwrap()).unwrap();
    acceptor.set_alpn_select_callback(move |_, offered| {
        select_next_proto(protocols, offered).ok_or(AlpnError::NOACK)
    });
    acceptor.build()
}

/// Makes an answer.
pub(crate) fn answer(status: u16, media_type: &str, text: impl Into<Vec<u8>>) -> Response<Body> {
    let answer = Response::builder().status(status).header("content-type", media_type);
    answer.body(body::whole(text.into())).unwrap()
}

/// Answers the two documents of discovery, in CBOR if that is asked for and `cbor` says so; the UDP port is
/// `udp_port` if that is not 0. Other requests are echoed.
pub(crate) fn documents(
    request: Request<Incoming>,
    well_known: Option<String>,
    udp_port: u16,
    cbor: bool,
) -> Response<Body> {
    let wants_cbor = request
        .headers()
        .get("accept")
        .is_some_and(|accept| accept.to_str().unwrap().split(',').next() == Some("application/cbor"));
    match (request.uri().path(), well_known) {
        ("/.well-known/matrix/client", Some(base_url)) => {
            answer(200, "text/plain", format!(r#"{{"m.homeserver":{{"base_url":"{base_url}"}}}}"#))
        }
        ("/.well-known/matrix/client", None) => answer(404, "text/html", "<html>"),
        ("/_matrix/client/versions", _) => {
            let port = match udp_port {
                0 => String::new(),
                port => format!(r#","org.matrix.msc3079.low_bandwidth":{{"dtls":{port}}}"#),
            };
            let json = format!(r#"{{"versions":["v1.1"]{port}}}"#);
            if cbor && wants_cbor {
                answer(200, "application/cbor", lowband_codec::json_to_cbor(json.as_bytes()).unwrap())
            } else {
                answer(200, "application/json", json)
            }
        }
        _ => Response::new(request.into_body().map_err(Into::into).boxed_unsync()),
    }
}

/// A relay of datagrams to a server. It can swallow all of them, and counts how often the side changes that
/// speaks. Ends when it is dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    swallows: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr) -> Relay {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = near.local_addr().unwrap();
        let (swallows, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (swallowing, counted) = (Arc::clone(&swallows), Arc::clone(&turns));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let near = Arc::new(near);
            let mut peers: Vec<(SocketAddr, Arc<UdpSocket>)> = Vec::new();
            let mut back = JoinSet::new();
            let client_speaks = Arc::new(AtomicBool::new(false));
            let mut buffer = vec![0; 65536];
            loop {
                let (length, client) = near.recv_from(&mut buffer).await.unwrap();
                if swallowing.load(Ordering::SeqCst) {
                    continue;
                }
                if !client_speaks.swap(true, Ordering::SeqCst) {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                let known = peers.iter().find(|(peer, _)| *peer == client).map(|(_, far)| Arc::clone(far));
                let far = match known {
                    Some(far) => far,
                    None => {
                        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        far.connect(server).await.unwrap();
                        peers.push((client, Arc::clone(&far)));
                        let (near, from, swallowing) =
                            (Arc::clone(&near), Arc::clone(&far), Arc::clone(&swallowing));
                        let client_speaks = Arc::clone(&client_speaks);
                        back.spawn(async move {
                            let mut buffer = vec![0; 65536];
                            while let Ok(length) = from.recv(&mut buffer).await {
                                client_speaks.store(false, Ordering::SeqCst);
                                if !swallowing.load(Ordering::SeqCst) {
                                    // A client that has gone is its own business.
                                    let _ = near.send_to(&buffer[..length], client).await;
                                }
                            }
                        });
                        far
                    }
                };
                let _ = far.send(&buffer[..length]).await;
            }
        });
        Relay { address, swallows, turns, _tasks: tasks }
    }

    /// Has the relay swallow all datagrams, or none.
    pub(crate) fn swallow(&self, all: bool) {
        self.swallows.store(all, Ordering::SeqCst);
    }

    /// Returns how often the client has begun to speak: the round trips so far.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::SeqCst)
    }
}

/// Returns the account of a token.
pub(crate) fn account(token: &str) -> Account {
    match Credentials::of(&HeaderMap::new(), &format!("/?access_token={token}")) {
        Credentials::Of(account, _) => account,
        Credentials::Odd(_) => panic!("{token}"),
    }
}

/// Makes settings for the server name `localhost`, whose HTTPS and UDP are at these addresses.
pub(crate) fn settings(certificate: &Certificate, https: SocketAddr, udp: SocketAddr) -> Settings {
    let fixed = |port, address| Fixed { host: "localhost".into(), port, addresses: vec![address] };
    let mut settings = Settings::new("localhost");
    settings.verification = Verification::Roots(certificate.ca.clone());
    settings.resolve = vec![fixed(443, https), fixed(8008, udp)];
    settings
}

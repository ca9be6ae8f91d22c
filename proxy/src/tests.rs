//! The whole proxy between a plain HTTP client, a CoAP server that does what a test says, and a homeserver
//! over HTTPS.

use crate::body::{self, Body};
use crate::certificate::Certificate;
use crate::settings::Settings;
use crate::stats::{Stats, Summary};
use crate::stub_server::{Reply, Seen, StubServer};
use crate::testing::{self, Homeserver, documents};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lowband_client::Code;
use lowband_wire::coap::options::ResponseOptions;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod clients;
mod kept;
mod limits;
mod sessions;
mod token_end;
mod ways;

/// A proxy under test, with both ends of the homeserver.
struct Chain {
    proxy: SocketAddr,
    stub: StubServer,
    homeserver: Homeserver,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Summary>,
}

impl Chain {
    async fn start(reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> Chain {
        Chain::start_with(reply, |_| {}).await
    }

    async fn start_with(
        reply: impl FnMut(&Seen) -> Reply + Send + 'static,
        choose: impl FnOnce(&mut Settings),
    ) -> Chain {
        let homeserver = |request, udp_port| documents(request, None, udp_port, false);
        Chain::start_before(homeserver, reply, choose).await
    }

    /// Starts a chain whose homeserver answers over HTTPS by `homeserver`, which learns the UDP port.
    async fn start_before(
        homeserver: impl Fn(Request<hyper::body::Incoming>, u16) -> Response<Body> + Send + Sync + 'static,
        reply: impl FnMut(&Seen) -> Reply + Send + 'static,
        choose: impl FnOnce(&mut Settings),
    ) -> Chain {
        let certificate = Certificate::for_loopback();
        let stub = StubServer::with_certificate(certificate.clone(), reply);
        let port = stub.address.port();
        let homeserver =
            Homeserver::start(&certificate, b"\x02h2", move |request| homeserver(request, port)).await;
        let mut settings = testing::settings(&certificate, homeserver.address, stub.address);
        settings.udp = Some(format!("localhost:{port}"));
        settings.resolve.push(crate::Fixed { host: "localhost".into(), port, addresses: vec![stub.address] });
        settings.listen = "127.0.0.1:0".parse().unwrap();
        choose(&mut settings);
        let listener = crate::bind(&settings).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            crate::run(settings, listener, Stats::default(), stopped).await.unwrap()
        });
        Chain { proxy, stub, homeserver, stop: Some(stop), running }
    }

    /// Sends a request over a connection of its own.
    async fn send(&self, request: Request<Body>) -> Response<hyper::body::Incoming> {
        self.connect().await.send_request(self.named(request)).await.unwrap()
    }

    async fn connect(&self) -> hyper::client::conn::http1::SendRequest<Body> {
        let stream = TcpStream::connect(self.proxy).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    fn named(&self, mut request: Request<Body>) -> Request<Body> {
        let host = self.proxy.to_string().parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        request
    }

    /// Asks and returns status and JSON.
    async fn ask(&self, method: Method, target: &str, token: Option<&str>, json: &Value) -> (u16, Value) {
        read(self.send(request(method, target, token, json)).await).await
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        self.ask(Method::GET, target, Some("t"), &Value::Null).await
    }
}

fn request(method: Method, target: &str, token: Option<&str>, json: &Value) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(target);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if json.is_null() { body::empty() } else { body::whole(json.to_string()) };
    request.body(body).unwrap()
}

/// Reads an answer, which must be JSON that any page may read.
async fn read(response: Response<hyper::body::Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json", "{status}");
    assert_eq!(response.headers()["access-control-allow-origin"], "*", "{status}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Makes a reply of CBOR.
fn content(json: Value) -> Reply {
    coded(Code::new(2, 5), json)
}

fn coded(code: Code, json: Value) -> Reply {
    let cbor = lowband_codec::json_to_cbor(json.to_string().as_bytes()).unwrap();
    let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
    Reply::Now(code, options, cbor)
}

/// Returns path, query and body of a request, as a homeserver would see them in JSON.
fn seen_json(seen: &Seen) -> Value {
    let body = lowband_codec::cbor_to_json(&seen.body).unwrap_or_else(|_| b"null".to_vec());
    json!({
        "path": seen.options.path,
        "query": seen.options.query,
        "token": seen.options.authorization,
        "body": serde_json::from_slice::<Value>(&body).unwrap(),
    })
}

#[tokio::test]
async fn json_goes_in_and_comes_out_and_cbor_is_between() {
    let chain = Chain::start(|seen| content(seen_json(seen))).await;
    let body = json!({ "msgtype": "m.text", "body": "Grüße \u{1f600}", "n": [1, -2, 0.5, true, null] });
    let target = "/_matrix/client/v3/rooms/!r%3Alb.test/send/m.room.message/1?a=b%26c&flag";
    let (status, answer) = chain.ask(Method::PUT, target, Some("secret"), &body).await;
    let path = ["_matrix", "client", "v3", "rooms", "!r:lb.test", "send", "m.room.message", "1"];
    let expected = json!({ "path": path, "query": ["a=b&c", "flag"], "token": "secret", "body": body });
    assert_eq!((status, answer), (200, expected));
    assert!(chain.homeserver.targets().iter().all(|target| !target.contains("send")));
}

#[tokio::test]
async fn each_spelling_of_a_path_reaches_its_segment() {
    let chain = Chain::start(|seen| content(json!(seen.options.path.last()))).await;
    for (spelling, segment) in [
        ("!r:lb.test", "!r:lb.test"),
        ("!r%3Alb.test", "!r:lb.test"),
        ("%21r:lb.test", "!r:lb.test"),
        ("%21r%3Alb.test", "!r:lb.test"),
        ("a%2Fb%2B+c%3D%3D", "a/b++c=="),
        ("100%25", "100%"),
        ("", ""),
    ] {
        let target = format!("/_matrix/client/v3/room_keys/keys/!r:b/{spelling}");
        assert_eq!(chain.get(&target).await, (200, json!(segment)), "{spelling}");
    }
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_spoken_on_the_same_port() {
    let chain = Chain::start(|_| content(json!({ "versions": ["v1.1"] }))).await;
    let stream = TcpStream::connect(chain.proxy).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/_matrix/client/versions", chain.proxy);
    let response = sender.send_request(Request::get(uri).body(body::empty()).unwrap()).await.unwrap();
    assert_eq!(read(response).await, (200, json!({ "versions": ["v1.1"] })));
}

#[tokio::test]
async fn other_machines_are_kept_out_unless_that_is_allowed() {
    let mut settings = Settings::new("localhost");
    settings.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(crate::bind(&settings).await, Err(crate::Error::Remote(_))));
    settings.allow_remote = true;
    assert!(crate::bind(&settings).await.is_ok());
}

#[tokio::test]
async fn a_strangers_host_and_preflights_cost_no_byte_of_the_link() {
    let chain = Chain::start(|_| content(json!({}))).await;
    let strange = Request::get("/_matrix/client/versions").header("host", "evil.example:8009");
    let (status, answer) = read(chain.send(strange.body(body::empty()).unwrap()).await).await;
    assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")));
    let preflight = Request::options("/_matrix/client/v3/sync").header("origin", "https://app.example");
    let response = chain.send(preflight.body(body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    for (field, part) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "Authorization"),
    ] {
        assert!(response.headers()[field].to_str().unwrap().contains(part), "{field}");
    }
    let (status, _) = chain.get("/index.html").await;
    assert_eq!(status, 404);
    assert!(chain.stub.seen().is_empty());
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_out_where_origins_are_named() {
    let origins = |settings: &mut Settings| settings.origins = vec!["https://app.example".to_owned()];
    let chain = Chain::start_with(|_| content(json!({ "versions": [] })), origins).await;
    for (origin, status) in [
        (Some("https://app.example"), StatusCode::OK),
        (Some("https://evil.example"), StatusCode::FORBIDDEN),
        (None, StatusCode::OK),
    ] {
        let mut asks = Request::get("/_matrix/client/versions");
        if let Some(origin) = origin {
            asks = asks.header("origin", origin);
        }
        let response = chain.send(asks.body(body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{origin:?}");
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.map(|value| value.to_str().unwrap()), origin.filter(|_| status.is_success()));
    }
    let preflight = Request::options("/_matrix/client/v3/sync").header("origin", "https://evil.example");
    let response = chain.send(preflight.body(body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn where_the_homeserver_is_is_here_in_well_known_and_in_a_login() {
    let chain = Chain::start(|_| {
        content(json!({ "user_id": "@a:b", "well_known": { "m.homeserver": { "base_url": "https://hs" } } }))
    });
    let chain = chain.await;
    let here = json!({ "m.homeserver": { "base_url": format!("http://{}", chain.proxy) } });
    assert_eq!(chain.get("/.well-known/matrix/client").await, (200, here.clone()));
    let login = chain.ask(Method::POST, "/_matrix/client/v3/login", None, &json!({ "type": "x" })).await;
    assert_eq!(login, (200, json!({ "user_id": "@a:b", "well_known": here })));
}

#[tokio::test]
async fn at_its_end_a_poll_is_answered_and_the_session_is_closed() {
    let mut chain = Chain::start(|_| Reply::Never).await;
    let poll = request(Method::GET, "/_matrix/client/v3/sync?timeout=30000", Some("t"), &Value::Null);
    let mut connection = chain.connect().await;
    let poll = tokio::spawn(connection.send_request(chain.named(poll)));
    assert!(matches!(chain.stub.told().await, crate::stub_server::Told::Request));
    chain.stop.take();
    let (status, answer) = read(poll.await.unwrap().unwrap()).await;
    assert_eq!((status, &answer["errcode"]), (503, &json!("M_UNKNOWN")));
    assert!(matches!(chain.stub.told().await, crate::stub_server::Told::SessionClosed(_)));
    let summary = chain.running.await.unwrap();
    assert!(summary.traffic.datagrams_out > 0);
}

/// A body that is too long for one datagram.
fn long() -> Value {
    json!({ "text": "x".repeat(100_000) })
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn with_a_certificate_the_listener_speaks_tls() {
    let certificate = Certificate::for_loopback();
    let folder = std::env::temp_dir().join(format!("lowband-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [chain_file, key_file] = ["chain.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&chain_file, &certificate.chain).unwrap();
    std::fs::write(&key_file, &certificate.key).unwrap();
    let identity = crate::Identity { certificate: chain_file, key: key_file };
    let chain =
        Chain::start_with(|_| content(json!({})), |settings| settings.identity = Some(identity)).await;
    let mut connector = openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls_client()).unwrap();
    connector.set_alpn_protos(b"\x08http/1.1").unwrap();
    let ca = openssl::x509::X509::from_pem(&certificate.ca).unwrap();
    connector.cert_store_mut().add_cert(ca).unwrap();
    let ssl = connector.build().configure().unwrap().into_ssl("localhost").unwrap();
    let tcp = TcpStream::connect(chain.proxy).await.unwrap();
    let mut stream = tokio_openssl::SslStream::new(ssl, tcp).unwrap();
    std::pin::Pin::new(&mut stream).connect().await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/.well-known/matrix/client").header("host", "localhost:8009");
    let response = sender.send_request(request.body(body::empty()).unwrap()).await.unwrap();
    let here = json!({ "m.homeserver": { "base_url": "https://localhost:8009" } });
    assert_eq!(read(response).await, (200, here));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_certificate_or_key_that_cannot_be_served_is_told_with_its_file() {
    let folder = std::env::temp_dir().join(format!("lowband-proxy-pair-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let told = |certificate: &std::path::Path, key: &std::path::Path| {
        let identity = crate::Identity { certificate: certificate.to_owned(), key: key.to_owned() };
        crate::listener::acceptor(Some(&identity)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let (own, other) = (Certificate::for_loopback(), Certificate::for_loopback());
    let rsa = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let chain = file("chain.pem", &own.chain);
    let key = file("key.pem", &own.key);
    assert_eq!(told(&chain, &key), "");
    for (name, content) in
        [("other.pem", other.key.clone()), ("rsa.pem", rsa.private_key_to_pem_pkcs8().unwrap())]
    {
        let foreign = file(name, &content);
        let words = told(&chain, &foreign);
        let begin = format!(
            "the private key {} and the certificate {} do not belong together: ",
            foreign.display(),
            chain.display()
        );
        assert!(words.starts_with(&begin) && words.len() > begin.len(), "{words}");
    }
    let no_key = file("no.pem", b"x");
    assert!(told(&chain, &no_key).starts_with(&no_key.display().to_string()));
    assert!(told(&no_key, &key).starts_with(&no_key.display().to_string()));
    std::fs::remove_dir_all(folder).unwrap();
}

/// What is logged, for a test.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn tokens_queries_and_bodies_reach_no_log() {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || to.clone()).finish();
    let chain = Chain::start(|seen| match seen.options.path.last().unwrap().as_str() {
        "broken" => {
            let options = ResponseOptions { content_format: Some(60), ..ResponseOptions::default() };
            Reply::Now(Code::new(2, 5), options, b"\x66secret\xff".to_vec())
        }
        _ => content(json!({ "body": "secret" })),
    });
    let chain = chain.await;
    // This runtime has one thread, so that all tasks log here.
    let _here = tracing::subscriber::set_default(subscriber);
    let body = json!({ "body": "secret" });
    for _ in 0..2 {
        for (method, target) in [
            (Method::PUT, "/_matrix/client/v3/rooms/!r:b/send/m/1?secret=secret"),
            (Method::GET, "/_matrix/client/v3/broken?since=secret"),
            (Method::POST, "/_matrix/media/v3/upload?access_token=secret"),
        ] {
            chain.send(request(method, target, Some("secret"), &body)).await;
        }
        // A place that was first passed by another test, on a thread that logs nothing, is silent until then.
        tracing::callsite::rebuild_interest_cache();
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = logged.lines().filter(|line| line.contains("lowband")).collect();
    assert!(ours.iter().any(|line| line.contains("/send/m/1")), "{logged}");
    assert!(ours.iter().all(|line| !line.contains("secret")), "{ours:#?}");
}

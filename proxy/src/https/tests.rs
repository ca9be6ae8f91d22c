//! The client against a homeserver of HTTP/1.1 and one of HTTP/2.

use super::*;
use crate::body::{empty, whole};
use crate::certificate::Certificate;
use crate::testing::{self, Homeserver, answer, documents};
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body::Frame;
use http_body_util::channel::Channel;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

const PROTOCOLS_OF: [&[u8]; 2] = [b"\x08http/1.1", b"\x02h2"];
/// Long enough for any machine; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn client(settings: &Settings, base: &str) -> Https {
    let https = Https::new(settings, &Stats::default()).unwrap();
    https.found(&Base::parse(base, false).unwrap());
    https
}

fn settings(certificate: &Certificate) -> Settings {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    testing::settings(certificate, nobody, nobody)
}

fn request(target: &str) -> Request<Body> {
    Request::get(target).header("host", "127.0.0.1:8009").body(empty()).unwrap()
}

#[tokio::test]
async fn the_host_is_the_homeservers_and_connections_are_kept() {
    for protocols in PROTOCOLS_OF {
        let certificate = Certificate::for_loopback();
        let homeserver =
            Homeserver::start(&certificate, protocols, |request| documents(request, None, 0, false)).await;
        let https = client(&settings(&certificate), &format!("{}/prefix", homeserver.url()));
        for target in ["/_matrix/a%2Fb?c=%20d", "/_matrix/e"] {
            let response = https.send(request(target)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            response.into_body().collect().await.unwrap();
        }
        let seen = homeserver.seen();
        let authority = format!("localhost:{}", homeserver.address.port());
        for (seen, target) in seen.iter().zip(["/prefix/_matrix/a%2Fb?c=%20d", "/prefix/_matrix/e"]) {
            assert_eq!(seen.uri().path_and_query().unwrap(), target);
            let host = seen.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned());
            let told = host.or(seen.uri().authority().map(ToString::to_string));
            assert_eq!(told.as_deref(), Some(authority.as_str()));
        }
        assert_eq!((seen.len(), homeserver.connections()), (2, 1));
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    for protocols in PROTOCOLS_OF {
        let certificate = Certificate::for_loopback();
        let homeserver =
            Homeserver::start(&certificate, protocols, |request| documents(request, None, 0, false)).await;
        let https = client(&settings(&certificate), &homeserver.url());
        let (mut send, body) = Channel::<Bytes, BoxError>::new(1);
        let request = Request::post("/echo").body(body.boxed_unsync()).unwrap();
        // The echo of the first piece comes back before the second is sent.
        let (response, ()) = tokio::join!(https.send(request), async {
            send.send(Frame::data(Bytes::from_static(b"one"))).await.unwrap();
        });
        let mut response = response.unwrap().into_body();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        send.send(Frame::data(Bytes::from_static(b"two"))).await.unwrap();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        drop(send);
        assert!(response.collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn who_does_not_read_an_answer_stalls_nobody_over_http_2() {
    let certificate = Certificate::for_loopback();
    let file = Bytes::from(vec![b'x'; 8 << 20]);
    let sent = file.clone();
    let reply = move |_| Response::new(whole(sent.clone()));
    let homeserver = Homeserver::start(&certificate, b"\x02h2", reply).await;
    let https = client(&settings(&certificate), &homeserver.url());
    let mut greedy = Vec::new();
    for _ in 0..4 {
        greedy.push(https.send(request("/file")).await.unwrap());
    }
    // Their streams want their part of the window all along.
    let read = async { https.send(request("/file")).await.unwrap().into_body().collect().await.unwrap() };
    let read = timeout(LONG, read).await.expect("an answer");
    assert!(read.to_bytes() == file);
    assert_eq!(homeserver.connections(), 1);
}

#[tokio::test]
async fn more_answers_than_a_server_sends_at_a_time_stall_nobody() {
    let certificate = Certificate::for_loopback();
    let file = Bytes::from(vec![b'x'; 1 << 20]);
    let sent = file.clone();
    let reply = move |_| Response::new(whole(sent.clone()));
    let homeserver = Homeserver::start(&certificate, b"\x02h2", reply).await;
    let https = client(&settings(&certificate), &homeserver.url());
    let mut greedy = Vec::new();
    for _ in 0..settings(&certificate).limits.requests_of_one {
        greedy.push(timeout(LONG, https.send(request("/file"))).await.expect("an answer").unwrap());
    }
    let read = async { https.send(request("/file")).await.unwrap().into_body().collect().await.unwrap() };
    assert!(timeout(LONG, read).await.expect("an answer").to_bytes() == file);
    // Its first lane is used again once there is room.
    drop(greedy);
    https.send(request("/file")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(homeserver.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let certificate = Certificate::for_loopback();
    let homeserver = Homeserver::start(&certificate, PROTOCOLS, |_| {
        let mut answer = answer(307, "text/html", "");
        answer.headers_mut().insert("location", "/elsewhere".parse().unwrap());
        answer
    })
    .await;
    let https = client(&settings(&certificate), &homeserver.url());
    let asked = Request::get("/a").header("authorization", "Bearer secret").body(whole("x")).unwrap();
    assert_eq!(https.send(asked).await.unwrap().status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(homeserver.targets(), ["/a"]);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_request() {
    let certificate = Certificate::for_loopback();
    let reply = |request| documents(request, None, 0, false);
    let another = Homeserver::start(&Certificate::for_loopback(), PROTOCOLS, reply).await;
    let wrong = Homeserver::start(&Certificate::for_another_name(), PROTOCOLS, reply).await;
    let https = client(&settings(&certificate), &another.url());
    let failed = https.send(request("/a")).await.unwrap_err();
    assert!(failed.unsent());
    let told = chain(&failed);
    assert!(told.contains("certificate verify failed") && told.contains("--cacert FILE"), "{told}");
    let mut unverified = settings(&certificate);
    unverified.verification = Verification::None;
    assert!(client(&unverified, &wrong.url()).send(request("/a")).await.is_ok());
    assert_eq!((another.seen().len(), wrong.seen().len()), (0, 1));
}

/// A connector to one address, whatever it is asked for.
#[derive(Clone)]
struct To(SocketAddr);

impl Service<Uri> for To {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let to = self.0;
        Box::pin(async move { TcpStream::connect(to).await.map(TokioIo::new) })
    }
}

#[tokio::test]
async fn the_certificate_of_an_ipv6_address_is_for_that_address() {
    let certificate = Certificate::for_loopback();
    let reply = |request| documents(request, None, 0, false);
    let homeserver = Homeserver::start(&certificate, PROTOCOLS, reply).await;
    let mut connector = secured(To(homeserver.address), &settings(&certificate)).unwrap();
    for (base, is_its_own) in
        [("https://[::1]", true), ("https://127.0.0.1", true), ("https://[2001:db8::1]", false)]
    {
        let connected = connector.call(base.parse().unwrap()).await;
        assert_eq!(connected.is_ok(), is_its_own, "{base}");
    }
}

#[tokio::test]
async fn what_nobody_takes_is_unsent_and_a_request_waits_for_its_homeserver() {
    let certificate = Certificate::for_loopback();
    let homeserver =
        Homeserver::start(&certificate, PROTOCOLS, |request| documents(request, None, 0, false)).await;
    let https = client(&settings(&certificate), "https://localhost");
    let failed = https.send(request("/a")).await.unwrap_err();
    assert!(failed.unsent(), "{}", chain(&failed));

    let https = Https::new(&settings(&certificate), &Stats::default()).unwrap();
    let found = async {
        https.wanted().await;
        https.found(&Base::parse(&homeserver.url(), false).unwrap());
    };
    let (response, ()) = tokio::join!(https.send(request("/a")), found);
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn bytes_are_counted_beneath_tls() {
    let certificate = Certificate::for_loopback();
    let homeserver =
        Homeserver::start(&certificate, PROTOCOLS, |_| answer(200, "text/plain", vec![b'x'; 100_000])).await;
    let stats = Stats::default();
    let https = Https::new(&settings(&certificate), &stats).unwrap();
    https.found(&Base::parse(&homeserver.url(), false).unwrap());
    let response = https.send(request("/a")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let wire = stats.summary().https_wire;
    assert!(wire > 100_000 && wire < 130_000, "{wire}");
}

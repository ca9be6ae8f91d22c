//! A day of two users of an unmodified library (matrix-nio, matrix-js-sdk, matrix-rust-sdk), twice at the
//! same time: through the local proxy and the chain behind it, and straight to a second homeserver. What they
//! saw is the same. And a file that is looked at twice, which goes over the wire once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use lowband_e2e::days::{self, Library, Server};
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::http1::Http1;
use lowband_e2e::local_proxy::LocalProxy;
use lowband_e2e::matrix::SignedIn;
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::tcp_relay::TcpRelay;
use serde_json::Value;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "days").unwrap_or_else(|why| panic!("{why}"))
}

/// Lets users of each library live their day in both ways. `name` is for folders.
fn is_the_day_without_the_proxy(name: &str, libraries: &[Library]) {
    let fixture = fixture();
    let parts = &fixture.parts;
    let [folder, plain] =
        ["through", "plain"].map(|way| parts.test_folder(&format!("{name}-{way}")).unwrap());
    let second = Synapse::start(parts, &plain, RateLimits::Lifted).unwrap();
    let (server, certificate) = (fixture.chain.address(), &fixture.chain.certificate.certificate);
    let proxy = LocalProxy::start(parts, &folder, server, certificate, &[]).unwrap();
    fixture.run(async { tokio::try_join!(second.ready(), proxy.ready()) }).unwrap();

    let homeserver = fixture.synapse().unwrap().url();
    let through = Server { url: proxy.url(), names: vec![homeserver], ..Server::default() };
    let straight = Server { url: second.url(), ..Server::default() };
    for &library in libraries {
        let live = async |server, folder| days::live(parts, library, server, folder, async |_| Ok(())).await;
        let (left, right) = fixture
            .run(async { tokio::join!(live(&through, folder.as_path()), live(&straight, plain.as_path())) });
        let (left, right) = (left.unwrap(), right.unwrap());
        assert!(left.len() > 150, "{library:?}: {}", left.len());
        let found = days::differences(library, [(&left, &through), (&right, &straight)]);
        assert!(found.is_empty(), "{library:?}: {} differ:\n{}", found.len(), found.join("\n"));
    }
    let said = std::fs::read_to_string(proxy.process.log()).unwrap();
    assert!(said.contains("requests go over UDP"), "{said}");
}

#[test]
fn a_day_through_the_local_proxy_is_the_day_without_it() {
    is_the_day_without_the_proxy("days", &[Library::Nio, Library::Js]);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn a_day_of_matrix_rust_sdk_through_the_local_proxy_is_the_day_without_it() {
    is_the_day_without_the_proxy("days-rust", &[Library::Rust]);
}

async fn ask(
    client: &mut Http1,
    user: &SignedIn,
    method: Method,
    target: &str,
    check: bool,
    body: &Bytes,
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(target);
    request = request.header(header::AUTHORIZATION, format!("Bearer {}", user.token));
    request = request.header(header::CONTENT_TYPE, "image/png");
    if check {
        request = request.header(header::CACHE_CONTROL, "no-cache");
    }
    let response = client.send(request.body(Full::new(body.clone())).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{response:?}");
    response
}

#[test]
fn a_file_costs_no_byte_the_second_time_and_a_few_where_it_is_to_be_checked() {
    let fixture = fixture();
    let (server, certificate) = (fixture.chain.address(), &fixture.chain.certificate.certificate);
    let folder = fixture.parts.test_folder("days-kept").unwrap();
    fixture.run(async {
        let relay = TcpRelay::start(server).await.unwrap();
        let udp = format!("localhost:{}", server.port());
        let flags = ["--udp", udp.as_str()];
        let proxy = LocalProxy::start(&fixture.parts, &folder, relay.address(), certificate, &flags).unwrap();
        proxy.ready().await.unwrap();
        let (_, one) = fixture.register("keeper").await.unwrap();
        let (_, other) = fixture.register("neighbour").await.unwrap();
        let mut client = Http1::plain(proxy.address()).await.unwrap();
        let moved = || relay.traffic().unwrap().payload;

        let file = Bytes::from_iter((0..50_000_u32).map(|at| at.to_le_bytes()[1]));
        let upload = "/_matrix/media/v3/upload?filename=a.png";
        let told = ask(&mut client, &one, Method::POST, upload, false, &file).await;
        let told: Value = serde_json::from_slice(told.body()).unwrap();
        let place = told["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap();
        let target = format!("/_matrix/client/v1/media/download/{place}");
        let mut get = async |user, check| {
            let before = moved();
            let response = ask(&mut client, user, Method::GET, &target, check, &Bytes::new()).await;
            assert!(*response.body() == file);
            (moved() - before, response.headers().contains_key(header::AGE))
        };
        let (first, is_kept) = get(&one, false).await;
        assert!(first > 50_000 && !is_kept, "{first}");
        assert_eq!(get(&one, false).await, (0, true));
        // The homeserver is asked whether the user may see it, and says so without the file.
        let (checked, is_kept) = get(&one, true).await;
        assert!((1..2_000).contains(&checked) && is_kept, "{checked}");
        assert_eq!(get(&one, false).await, (0, true));
        let (others, is_kept) = get(&other, false).await;
        assert!(others > 50_000 && !is_kept, "{others}");
    });
}

//! A day of users of two unmodified libraries, matrix-nio and matrix-js-sdk, twice at the same time: through
//! the local proxy and the chain behind it, and straight to a second homeserver. What they saw is the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::days::{self, Library, Server};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::local_proxy::LocalProxy;
use lowband_e2e::synapse::{RateLimits, Synapse};

#[test]
fn a_day_through_the_local_proxy_is_the_day_without_it() {
    let fixture = Fixture::start("days", RateLimits::Lifted, &[]).unwrap();
    let parts = &fixture.parts;
    let plain = parts.test_folder("days-plain").unwrap();
    let second = Synapse::start(parts, &plain, RateLimits::Lifted).unwrap();
    let (server, certificate) = (fixture.chain.address(), &fixture.chain.certificate.certificate);
    let proxy = LocalProxy::start(parts, fixture.chain.folder(), server, certificate, &[]).unwrap();
    fixture.run(async { tokio::try_join!(second.ready(), proxy.ready()) }).unwrap();

    let name = fixture.synapse().unwrap().url();
    let through = Server { url: proxy.url(), names: vec![name], ..Server::default() };
    let straight = Server { url: second.url(), ..Server::default() };
    for library in [Library::Nio, Library::Js] {
        let live = async |server, folder| days::live(parts, library, server, folder, async |_| Ok(())).await;
        let (left, right) = fixture.run(async {
            tokio::join!(live(&through, fixture.chain.folder()), live(&straight, plain.as_path()))
        });
        let (left, right) = (left.unwrap(), right.unwrap());
        assert!(left.len() > 150, "{library:?}: {}", left.len());
        let found = days::differences(library, [(&left, &through), (&right, &straight)]);
        assert!(found.is_empty(), "{library:?}: {} differ:\n{}", found.len(), found.join("\n"));
    }
}

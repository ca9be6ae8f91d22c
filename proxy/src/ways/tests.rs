//! The ways against scripted servers: UDP that gets through, is swallowed and comes back, and what discovery
//! may find.

use super::*;
use crate::account::Account;
use crate::certificate::Certificate;
use crate::discovery;
use crate::sessions::Sessions;
use crate::settings::Limits;
use crate::stub_server::{StubServer, content};
use crate::testing::{self, Homeserver, Relay, answer, documents};
use lowband_client::Request;
use std::net::SocketAddr;

/// Long enough for any machine; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);
/// A silence that tests wait for.
const SHORT: Duration = Duration::from_millis(100);
const HTTP1: &[u8] = b"\x08http/1.1";
const HTTP2: &[u8] = b"\x02h2\x08http/1.1";

struct Chain {
    certificate: Certificate,
    udp: StubServer,
    relay: Relay,
    https: Homeserver,
}

impl Chain {
    /// A server with both sides; `cbor`: whether HTTPS speaks it.
    async fn start(cbor: bool) -> Chain {
        Chain::with(move |request| documents(request, None, 0, cbor)).await
    }

    async fn with(
        reply: impl Fn(http::Request<hyper::body::Incoming>) -> http::Response<crate::body::Body>
        + Send
        + Sync
        + 'static,
    ) -> Chain {
        let udp = StubServer::start(|_| content("answer"));
        let certificate = udp.certificate.clone();
        let relay = Relay::start(udp.address).await;
        let https = Homeserver::start(&certificate, HTTP2, reply).await;
        Chain { certificate, udp, relay, https }
    }

    /// Returns settings with a short silence.
    fn settings(&self) -> Settings {
        let mut settings = testing::settings(&self.certificate, self.https.address, self.relay.address);
        settings.times.silence = SHORT;
        settings.times.slow_handshake = LONG;
        settings
    }

    fn ways(&self, settings: Settings) -> Ways {
        start(settings)
    }

    fn is_udp(&self, way: &Way) -> bool {
        let here = Udp { server: self.relay.address, server_name: "localhost".into() };
        *way == Way::Udp(here)
    }
}

fn start(settings: Settings) -> Ways {
    let stats = Stats::default();
    let https = Https::new(&settings, &stats).unwrap();
    Ways::start(&Arc::new(settings), &https, &stats).unwrap()
}

async fn best(ways: &Ways) -> Way {
    tokio::time::timeout(LONG, ways.best()).await.expect("a way")
}

/// Waits until the best way is this.
async fn until(ways: &Ways, is_it: impl Fn(&Way) -> bool) {
    let mut changed = ways.inner.changed.subscribe();
    while !is_it(&best(ways).await) {
        tokio::time::timeout(LONG, changed.changed()).await.expect("another way").unwrap();
    }
}

#[tokio::test]
async fn udp_at_the_name_itself_does_not_wait_for_discovery() {
    // A listener that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = StubServer::start(|_| content("answer"));
    let relay = Relay::start(udp.address).await;
    let settings = testing::settings(&udp.certificate, silent.local_addr().unwrap(), relay.address);
    let ways = start(settings);
    let Way::Udp(found) = best(&ways).await else { panic!("not UDP") };
    assert_eq!(found, Udp { server: relay.address, server_name: "localhost".into() });
    let session = ways.take_first().unwrap();
    let response = session.request(Request::get("/_matrix/client/versions")).await.unwrap();
    assert_eq!(response.body, b"answer");
    // Two of the cookie, one of the handshake, one of the request.
    assert_eq!(relay.turns(), 4);
    assert!(ways.take_first().is_none(), "a session is given away once");
}

#[tokio::test]
async fn swallowed_datagrams_lead_to_https_with_cbor_or_with_json() {
    for (cbor, way) in [(true, Way::HttpsCbor), (false, Way::HttpsJson)] {
        let chain = Chain::start(cbor).await;
        chain.relay.swallow(true);
        let ways = chain.ways(chain.settings());
        assert_eq!(best(&ways).await, way);
        assert_eq!(chain.https.targets(), ["/.well-known/matrix/client", "/_matrix/client/versions"]);
        assert_eq!(chain.https.connections(), 1);
    }
}

#[tokio::test]
async fn a_handshake_that_was_swallowed_goes_on_and_takes_over() {
    let chain = Chain::start(true).await;
    chain.relay.swallow(true);
    let ways = chain.ways(chain.settings());
    assert_eq!(best(&ways).await, Way::HttpsCbor);
    chain.relay.swallow(false);
    until(&ways, |way| chain.is_udp(way)).await;
    assert!(ways.take_first().is_some());
}

#[tokio::test]
async fn a_lost_session_leads_to_https_at_once_and_back_when_udp_gets_through() {
    let chain = Chain::start(true).await;
    let ways = chain.ways(chain.settings());
    until(&ways, |way| chain.is_udp(way)).await;
    ways.udp_answered();
    // Discovery has to be done for HTTPS to be a way.
    let mut changed = ways.inner.changed.subscribe();
    while !ways.inner.lock().race.knows_https() {
        changed.changed().await.unwrap();
    }
    chain.relay.swallow(true);
    ways.udp_failed(&lowband_client::Error::Timeout);
    assert_eq!(best(&ways).await, Way::HttpsCbor);
    chain.relay.swallow(false);
    until(&ways, |way| chain.is_udp(way)).await;
}

#[tokio::test]
async fn a_request_that_fails_by_itself_leaves_the_way_as_it_is() {
    let chain = Chain::start(true).await;
    let ways = chain.ways(chain.settings());
    until(&ways, |way| chain.is_udp(way)).await;
    // The other is a poll whose token has just been logged out.
    for error in [lowband_client::Error::AccessToken(0), lowband_client::Error::Closed(CloseReason::Local)] {
        ways.udp_failed(&error);
        assert!(matches!(ways.inner.best(), Ok(way) if chain.is_udp(&way)), "{error}");
    }
}

#[tokio::test]
async fn a_dial_of_its_own_gives_a_silent_server_up_where_https_works() {
    let chain = Chain::start(true).await;
    let ways = chain.ways(chain.settings());
    until(&ways, |way| chain.is_udp(way)).await;
    let Way::Udp(udp) = best(&ways).await else { panic!() };
    ways.dial(&udp).await.unwrap();
    let mut changed = ways.inner.changed.subscribe();
    while !ways.inner.lock().race.knows_https() {
        changed.changed().await.unwrap();
    }
    chain.relay.swallow(true);
    let error = ways.dial(&udp).await.unwrap_err();
    assert!(matches!(error, lowband_client::Error::ConnectTimeout(SHORT)), "{error}");
    assert_eq!(best(&ways).await, Way::HttpsCbor);
}

#[tokio::test]
async fn who_waited_for_a_session_dials_no_server_that_has_turned_out_silent() {
    let chain = Chain::start(true).await;
    let ways = chain.ways(chain.settings());
    until(&ways, |way| chain.is_udp(way)).await;
    let Way::Udp(udp) = best(&ways).await else { panic!() };
    let sessions = Sessions::new(ways.clone(), &Limits::default(), LONG);
    let lease = sessions.lease(&Account::nobody()).unwrap();
    chain.relay.swallow(true);
    ways.udp_failed(&lowband_client::Error::Timeout);
    assert!(lease.connection(&udp).await.unwrap().is_none());
    chain.relay.swallow(false);
    until(&ways, |way| chain.is_udp(way)).await;
    assert!(lease.connection(&udp).await.unwrap().is_some());
}

#[tokio::test]
async fn after_an_outage_a_session_that_has_ended_gives_way_to_that_of_the_dial() {
    let chain = Chain::start(true).await;
    let ways = chain.ways(chain.settings());
    until(&ways, |way| chain.is_udp(way)).await;
    let Way::Udp(udp) = best(&ways).await else { panic!() };
    let lease = Sessions::new(ways.clone(), &Limits::default(), LONG).lease(&Account::nobody()).unwrap();
    let before = lease.connection(&udp).await.unwrap().unwrap();
    chain.relay.swallow(true);
    ways.udp_failed(&lowband_client::Error::Timeout);
    best(&ways).await;
    before.clone().close().await;
    chain.relay.swallow(false);
    until(&ways, |way| chain.is_udp(way)).await;
    let after = lease.connection(&udp).await.unwrap().unwrap();
    assert!(after.is_connected() && !before.is_connected());
    assert!(ways.take_first().is_none(), "the session of the dial is used");
}

#[tokio::test]
async fn the_server_names_another_host_and_another_port() {
    let udp = StubServer::start(|_| content("there"));
    let port = udp.address.port();
    let other = Arc::new(Mutex::new(String::new()));
    let (cell, certificate) = (Arc::clone(&other), udp.certificate.clone());
    let there =
        Homeserver::start(&certificate, HTTP1, move |request| documents(request, None, port, true)).await;
    *other.lock().unwrap() = format!("https://127.0.0.1:{}/", there.address.port());
    let here = Homeserver::start(&certificate, HTTP1, move |request| {
        documents(request, Some(cell.lock().unwrap().clone()), 0, true)
    })
    .await;
    // Nobody listens at the name itself.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let ways = start(testing::settings(&certificate, here.address, nobody));
    until(&ways, |way| *way == Way::Udp(Udp { server: udp.address, server_name: "127.0.0.1".into() })).await;
    assert_eq!(here.targets(), ["/.well-known/matrix/client"]);
    assert_eq!(there.targets(), ["/_matrix/client/versions"]);
}

#[tokio::test]
async fn documents_that_are_of_no_use_leave_the_name_itself_and_those_that_lead_astray_nothing() {
    let to = |text: &'static str| {
        move |request: http::Request<hyper::body::Incoming>| match request.uri().path() {
            "/.well-known/matrix/client" => answer(200, "application/json", text),
            _ => documents(request, None, 0, false),
        }
    };
    for useless in ["<html>", "{}", r#"{"m.homeserver":{}}"#] {
        let chain = Chain::with(to(useless)).await;
        chain.relay.swallow(true);
        assert_eq!(best(&chain.ways(chain.settings())).await, Way::HttpsJson, "{useless}");
    }
    for astray in ["http://hs.example.org", "nonsense"] {
        let text: &'static str = format!(r#"{{"m.homeserver":{{"base_url":"{astray}"}}}}"#).leak();
        let chain = Chain::with(to(text)).await;
        chain.relay.swallow(true);
        let ways = chain.ways(chain.settings());
        let mut changed = ways.inner.changed.subscribe();
        while !ways.why().contains("base_url cannot be used") {
            changed.changed().await.unwrap();
        }
        assert!(!ways.inner.lock().race.knows_https(), "{astray}");
        // UDP at the name itself is still a way.
        chain.relay.swallow(false);
        until(&ways, |way| chain.is_udp(way)).await;
    }
}

#[tokio::test]
async fn a_redirect_of_the_document_is_followed_to_https_alone() {
    let chain = Chain::with(|request| match request.uri().path() {
        "/.well-known/matrix/client" => {
            let mut answer = answer(302, "text/html", "");
            answer.headers_mut().insert("location", "/moved".parse().unwrap());
            answer
        }
        "/moved" => answer(200, "application/json", r#"{"m.homeserver":{"base_url":"https://localhost"}}"#),
        _ => documents(request, None, 0, false),
    })
    .await;
    chain.relay.swallow(true);
    assert_eq!(best(&chain.ways(chain.settings())).await, Way::HttpsJson);
    assert_eq!(chain.https.targets(), ["/.well-known/matrix/client", "/moved", "/_matrix/client/versions"]);
    let clear = Chain::with(|request| match request.uri().path() {
        "/.well-known/matrix/client" => {
            let mut answer = answer(302, "text/html", "");
            answer.headers_mut().insert("location", "http://localhost/moved".parse().unwrap());
            answer
        }
        _ => documents(request, None, 0, false),
    })
    .await;
    clear.relay.swallow(true);
    assert_eq!(best(&clear.ways(clear.settings())).await, Way::HttpsJson);
    assert!(!clear.https.targets().contains(&"/moved".to_owned()));
}

#[tokio::test]
async fn what_worked_is_dialled_the_next_time_without_a_question() {
    let chain = Chain::start(true).await;
    let homeserver =
        Homeserver::start(&chain.certificate, HTTP1, |request| documents(request, None, 0, true)).await;
    let found = discovery::Homeserver {
        base: discovery::base::Base::parse(&homeserver.url(), false).unwrap(),
        udp_port: Some(chain.udp.address.port()),
        cbor: true,
    };
    for udp in [true, false] {
        let path = std::env::temp_dir().join(format!("lowband-ways-{}-{udp}", std::process::id()));
        let remembered = Remembered { homeserver: found.clone(), udp, found: remembered::now() };
        remembered.write(&path, "localhost").unwrap();
        let mut settings = chain.settings();
        settings.state = Some(path.clone());
        settings.times.silence = LONG;
        settings.resolve.clear();
        let ways = chain.ways(settings);
        let way = best(&ways).await;
        // Where datagrams did not get through, HTTPS is not put off for them.
        assert_eq!(matches!(way, Way::Udp(_)), udp, "{way:?}");
        until(&ways, |way| matches!(way, Way::Udp(udp) if udp.server == chain.udp.address)).await;
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(chain.https.connections() + homeserver.connections(), 0);
}

#[tokio::test]
async fn a_server_that_refuses_cbor_gets_json_from_then_on() {
    let chain = Chain::start(true).await;
    chain.relay.swallow(true);
    let ways = chain.ways(chain.settings());
    assert_eq!(best(&ways).await, Way::HttpsCbor);
    ways.cbor_refused();
    assert_eq!(best(&ways).await, Way::HttpsJson);
}

#[tokio::test]
async fn where_nothing_works_the_reasons_of_both_ways_are_told() {
    let certificate = Certificate::for_loopback();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let ways = start(testing::settings(&certificate, nobody, nobody));
    let mut changed = ways.inner.changed.subscribe();
    while !(ways.why().contains("connection refused") && ways.why().contains("Connection refused")) {
        changed.changed().await.unwrap();
    }
    let why = ways.why();
    assert!(
        why.starts_with("UDP localhost:8008: connection refused")
            && why.contains("; HTTPS: https://localhost/"),
        "{why}"
    );
}

#[test]
fn datagrams_go_where_the_user_or_the_server_says() {
    let place = |told: &str, udp: Option<&str>, port: Option<u16>| {
        let mut settings = Settings::new(told);
        settings.udp = udp.map(str::to_owned);
        let named = Named::parse(told, false).unwrap();
        let found = port.map(|port| discovery::Homeserver {
            base: named.base().clone(),
            udp_port: Some(port),
            cbor: true,
        });
        Place::of(&settings, &named, found.as_ref()).to_string()
    };
    for (told, udp, port, place_) in [
        ("hs.example", None, None, "hs.example:8008"),
        ("hs.example", None, Some(9), "hs.example:9"),
        ("https://hs.example:8448", None, None, "hs.example:8448"),
        ("hs.example", Some("udp.example"), None, "udp.example:8008"),
        ("hs.example", Some("udp.example:7"), Some(9), "udp.example:7"),
        ("hs.example", Some("[2001:db8::1]:7"), None, "[2001:db8::1]:7"),
        ("hs.example", Some("2001:db8::1"), None, "[2001:db8::1]:8008"),
        ("https://[2001:db8::1]", None, None, "[2001:db8::1]:8008"),
    ] {
        assert_eq!(place(told, udp, port), place_, "{told} {udp:?}");
    }
}

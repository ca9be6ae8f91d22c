//! Full tables: which client keeps a session, which one gets one, and that the pod stays ready for both.

use crate::client::{Wire, options};
use crate::harness::Chain;
use crate::raw::Raw;
use crate::stub::ok;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::net::Ipv4Addr;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const VERSIONS: &str = "/_matrix/client/versions";
const EVICTED: &str = r#"lowband_sessions_ended_total{reason="evicted"}"#;
const FINISHED: &str = r#"lowband_handshakes_total{result="finished"}"#;

async fn get_with_token(wire: &Wire, path: &str) {
    let options = RequestOptions { authorization: Some("alice".to_owned()), ..options(path) };
    assert_eq!(wire.request(Method::Get, options, b"").await.code, Code::CONTENT);
}

#[tokio::test]
async fn whoever_the_homeserver_knows_keeps_its_session_in_a_full_table() {
    let chain = Chain::start(ok(), &["--sessions", "2"]).await;
    let known = chain.connect().await;
    get_with_token(&known, WHOAMI).await;
    // A path that needs no token shows nothing, whatever token goes with it.
    let mut unknown = chain.connect().await;
    get_with_token(&unknown, VERSIONS).await;
    let newcomer = chain.connect().await;
    assert_eq!(newcomer.get("0").await.code, Code::CONTENT);
    unknown.closed().await;
    assert_eq!(known.get("0").await.code, Code::CONTENT);
    assert_eq!((chain.metric(EVICTED).await, chain.metric(FINISHED).await), (1.0, 3.0));
    // Readiness takes the place of the newcomer, which has shown nothing either, and not that of the client
    // that is known.
    assert_eq!(chain.page("/readyz").await.0, 200);
    assert_eq!(known.get("0").await.code, Code::CONTENT);
    assert_eq!(chain.metric(FINISHED).await, 4.0);
}

#[tokio::test]
async fn a_pod_whose_handshakes_are_used_up_stays_ready_and_serves_its_sessions() {
    let limits = ["--handshakes-per-second", "1", "--handshakes-per-address", "1", "--handshake-burst", "1"];
    let chain = Chain::start(ok(), &limits).await;
    let mut honest = Raw::connect(chain.server).await;
    let mut strangers = Vec::new();
    for site in 0..10 {
        let mut stranger = Raw::at(Ipv4Addr::new(127, 0, 10 + site, 1), chain.server).await;
        stranger.half_open().await;
        honest.is_served().await;
        strangers.push(stranger);
    }
    assert!(chain.metric(r#"lowband_dtls_hellos_refused_total{reason="rate"}"#).await >= 1.0);
    let (code, text) = chain.page("/readyz").await;
    assert_eq!(code, 200, "{text}");
    honest.is_served().await;
}

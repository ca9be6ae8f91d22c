//! The access token under which a request reaches the homeserver, and when a token ends.

use crate::client::{Wire, answer, options};
use crate::harness::Chain;
use crate::raw::Raw;
use crate::stub::{Handler, Reply, Seen, cbor, handler};
use lowband_codec::{KeyTable, json_to_cbor, peek};
use lowband_transport::coap::Response;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::sync::Arc;
use tokio::sync::Notify;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const VERSIONS: &str = "/_matrix/client/versions";
const PASSWORD: &str = "/_matrix/client/v3/account/password";
const PROFILE: &str = "/_matrix/client/v3/profile/@a:hs";
const UNAUTHORIZED: Code = Code::new(4, 1);

fn with_token(path: &str, token: &str) -> RequestOptions {
    RequestOptions { authorization: Some(token.to_owned()), ..options(path) }
}

fn json(status: u16, text: &str) -> Reply {
    cbor(status, &json_to_cbor(text.as_bytes()).unwrap())
}

/// Makes a homeserver that knows alice, bob and carol for ever: it forgets no user that logs out.
fn homeserver() -> Handler {
    handler(|seen: Seen| async move {
        let token =
            seen.header("authorization").map(|value| value.strip_prefix("Bearer ").unwrap().to_owned());
        let path = seen.uri.path();
        match token.as_deref() {
            Some("alice" | "bob" | "carol") => json(200, r#"{"user_id":"known"}"#),
            Some(_) => json(401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":"unknown","soft_logout":true}"#),
            None if path == VERSIONS => json(200, r#"{"versions":[]}"#),
            None if path == PASSWORD => json(401, r#"{"flows":[],"session":"x"}"#),
            // Synapse with `require_auth_for_profile_requests` answers like this.
            None => json(401, r#"{"errcode":"M_MISSING_TOKEN","error":"missing"}"#),
        }
    })
}

async fn start() -> (Chain, Wire) {
    let chain = Chain::start(homeserver(), &[]).await;
    let wire = chain.connect().await;
    (chain, wire)
}

/// Returns the tokens of all requests since the last look, in order; "-" for none.
fn tokens(chain: &Chain, from: &mut usize) -> Vec<String> {
    let seen = chain.stub.seen();
    let new = seen[*from..].iter().map(|seen| {
        seen.header("authorization").map_or("-", |value| value.strip_prefix("Bearer ").unwrap()).to_owned()
    });
    let new = new.collect();
    *from = seen.len();
    new
}

fn errcode(response: &Response) -> Option<String> {
    peek::text(&response.body, "errcode", Some(KeyTable::v1())).unwrap().map(|text| text.into_owned())
}

#[tokio::test]
async fn an_unreadable_token_is_refused_and_nobody_elses_goes_in_its_place() {
    let chain = Chain::start(homeserver(), &[]).await;
    let mut raw = Raw::connect(chain.server).await;
    // GET whoami with option 256, number 229 after Accept 17... written as 256 - 11 = 245 after Uri-Path.
    let ask = |id: [u8; 2], token: Option<&[u8]>| {
        let mut message = vec![0x40, 0x01, id[0], id[1]];
        for (at, segment) in WHOAMI.trim_start_matches('/').split('/').enumerate() {
            assert!(segment.len() < 13);
            message.push(if at == 0 { 0xb0 } else { 0 } | segment.len() as u8);
            message.extend(segment.as_bytes());
        }
        if let Some(token) = token {
            message.extend([0xde, 245 - 13]);
            message.extend((token.len() as u16 - 269).to_be_bytes());
            message.extend(token);
        }
        message
    };
    let mut seen = 0;
    for bad in
        [vec![b'x'; 4097], [&[b'x'; 300][..], b"\xff\xfe"].concat(), [&[b'x'; 300][..], b" y"].concat()]
    {
        let long_enough = [b"Bearer ".repeat(60).as_slice(), b"alice"].concat();
        let id = raw.id();
        raw.say(&ask(id, Some(&long_enough))).await;
        assert_eq!(raw.hear().await[1], 0x45, "alice is known");
        let id = raw.id();
        raw.say(&ask(id, Some(&bad))).await;
        let refused = raw.hear().await;
        assert_eq!(refused[1] >> 5, 4);
        assert!(String::from_utf8_lossy(&refused).contains("option 256"));
        let id = raw.id();
        raw.say(&ask(id, None)).await;
        assert_eq!(raw.hear().await[1], 0x81, "nothing sticks: 4.01");
        assert_eq!(tokens(&chain, &mut seen), ["alice", "-"]);
    }
    assert_eq!(chain.metric(r#"lowband_coap_requests_refused_total{reason="access_token"}"#).await, 3.0);
}

#[tokio::test]
async fn a_token_of_4096_bytes_reaches_the_homeserver() {
    let (chain, wire) = start().await;
    let long = "t".repeat(4096);
    let response = wire.request(Method::Get, with_token(WHOAMI, &long), b"").await;
    assert_eq!(response.code, UNAUTHORIZED);
    assert_eq!(tokens(&chain, &mut 0), [long]);
}

#[tokio::test]
async fn a_request_that_is_refused_says_its_token_all_the_same() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    let bad_accept = RequestOptions { accept: Some(0), ..with_token(WHOAMI, "bob") };
    let refused = [
        with_token("/_synapse/admin", "bob"),
        with_token("/_matrix/client/v1/media/config", "bob"),
        with_token("/_matrix/client/../x", "bob"),
        bad_accept,
    ];
    for options in refused {
        wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await;
        assert!(!wire.request(Method::Get, options, b"").await.code.is_success());
        wire.get(WHOAMI).await;
        assert_eq!(tokens(&chain, &mut seen), ["alice", "bob"]);
    }
}

#[tokio::test]
async fn an_upload_that_ends_late_runs_under_its_own_token_and_does_not_bring_it_back() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    let body = [&b"\x79\x27\x10"[..], &[b'z'; 10_000]].concat();
    let upload = wire.ask(Method::Post, with_token("/_matrix/client/v3/keys/upload", "alice"), &body);
    wire.request(Method::Get, with_token(WHOAMI, "bob"), b"").await;
    assert_eq!(answer(upload).await.unwrap().code, Code::CONTENT);
    wire.get(WHOAMI).await;
    assert_eq!(tokens(&chain, &mut seen), ["bob", "alice", "bob"]);
}

#[tokio::test]
async fn a_token_ends_with_a_successful_logout_and_only_if_it_still_sticks() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    for path in [
        "/_matrix/client/v3/logout",
        "/_matrix/client/r0/logout/all",
        "/_matrix/client/v3/account/deactivate",
    ] {
        wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await;
        assert_eq!(wire.request(Method::Post, options(path), b"").await.code, Code::CONTENT);
        assert_eq!(wire.get(VERSIONS).await.code, Code::CONTENT);
        assert_eq!(wire.get(WHOAMI).await.code, UNAUTHORIZED);
        assert_eq!(tokens(&chain, &mut seen), ["alice", "alice", "-", "-"], "{path}");
    }
    // Another user's logout, by option and by query.
    wire.request(Method::Post, with_token("/_matrix/client/v3/logout", "bob"), b"").await;
    wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await;
    wire.request(Method::Post, options("/_matrix/client/v3/logout?access_token=bob"), b"").await;
    wire.get(WHOAMI).await;
    assert_eq!(tokens(&chain, &mut seen), ["bob", "alice", "-", "alice"]);
    // A logout that fails, since its token is not known.
    wire.request(Method::Post, with_token("/_matrix/client/v3/logout", "nobody"), b"").await;
    wire.get(WHOAMI).await;
    assert_eq!(tokens(&chain, &mut seen), ["nobody", "nobody"]);
    assert_eq!(chain.metric(r#"lowband_access_tokens_ended_total{reason="logout"}"#).await, 4.0);
}

#[tokio::test]
async fn a_token_that_is_not_known_any_more_spoils_no_request_that_needs_none() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    // The first request that finds this out is sent once more without the token.
    wire.request(Method::Get, with_token("/_synapse/x", "expired"), b"").await;
    assert_eq!(wire.get(VERSIONS).await.code, Code::CONTENT);
    assert_eq!(tokens(&chain, &mut seen), ["expired", "-"]);
    // Once this is known, the request goes without the token at once.
    assert_eq!(wire.get(VERSIONS).await.code, Code::CONTENT);
    assert_eq!(tokens(&chain, &mut seen), ["-"]);
    let forgotten = wire.request(Method::Post, options(PASSWORD), b"\xa0").await;
    assert_eq!((forgotten.code, errcode(&forgotten)), (UNAUTHORIZED, None));
    assert!(
        peek::text(&forgotten.body, "session", Some(KeyTable::v1())).unwrap().is_some(),
        "the flows came"
    );
    assert_eq!(tokens(&chain, &mut seen), ["-"]);
    // A client that needs a token learns again that it is not known, and may refresh it.
    for path in [WHOAMI, WHOAMI] {
        let refused = wire.get(path).await;
        assert_eq!((refused.code, errcode(&refused).as_deref()), (UNAUTHORIZED, Some("M_UNKNOWN_TOKEN")));
        assert_eq!(tokens(&chain, &mut seen), ["expired"]);
    }
    // A path that turns out to need a token after all.
    let refused = wire.get(PROFILE).await;
    assert_eq!((refused.code, errcode(&refused).as_deref()), (UNAUTHORIZED, Some("M_UNKNOWN_TOKEN")));
    assert_eq!(tokens(&chain, &mut seen), ["-", "expired"]);
    // The token itself, said again, is tried again.
    assert_eq!(wire.request(Method::Get, with_token(VERSIONS, "expired"), b"").await.code, UNAUTHORIZED);
    wire.request(Method::Get, with_token(WHOAMI, "carol"), b"").await;
    assert_eq!(wire.get(PROFILE).await.code, Code::CONTENT);
    assert_eq!(tokens(&chain, &mut seen), ["expired", "carol", "carol"]);
}

#[tokio::test]
async fn the_forgotten_password_of_a_session_whose_token_has_expired_unnoticed() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    wire.request(Method::Get, with_token("/_synapse/x", "expired"), b"").await;
    let forgotten = wire.request(Method::Post, options(PASSWORD), b"\xa1\x61a\x61b").await;
    assert!(
        peek::text(&forgotten.body, "session", Some(KeyTable::v1())).unwrap().is_some(),
        "the flows came"
    );
    assert_eq!(tokens(&chain, &mut seen), ["expired", "-"]);
    assert_eq!(chain.stub.last().body, &b"\xa1\x61a\x61b"[..]);
    // Where the second answer says nothing new, the first one counts.
    let (chain, wire) = start().await;
    wire.request(Method::Get, with_token("/_synapse/x", "expired"), b"").await;
    let refused = wire.get(PROFILE).await;
    assert_eq!(errcode(&refused).as_deref(), Some("M_UNKNOWN_TOKEN"));
    assert_eq!(tokens(&chain, &mut 0), ["expired", "-"]);
}

#[tokio::test]
async fn a_late_401_of_an_older_token_ends_nothing() {
    let gate = Arc::new(Notify::new());
    let (open, inner) = (Arc::clone(&gate), homeserver());
    let slow = handler(move |seen: Seen| {
        let (gate, inner) = (Arc::clone(&gate), Arc::clone(&inner));
        async move {
            if seen.target().contains("slow") {
                gate.notified().await;
            }
            inner(seen).await
        }
    });
    let chain = Chain::start(slow, &[]).await;
    let wire = chain.connect().await;
    let late = wire.ask(Method::Get, with_token("/_matrix/client/v3/slow", "expired"), b"");
    wire.request(Method::Get, with_token(WHOAMI, "bob"), b"").await;
    open.notify_one();
    assert_eq!(answer(late).await.unwrap().code, UNAUTHORIZED);
    let mut seen = chain.stub.seen().len();
    wire.get(VERSIONS).await;
    wire.get(WHOAMI).await;
    assert_eq!(tokens(&chain, &mut seen), ["bob", "bob"]);
}

#[tokio::test]
async fn a_token_that_is_known_after_all_is_no_longer_taken_for_refused() {
    // A worker that lags behind does not know alice at her first request.
    let asked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let inner = homeserver();
    let lagging = handler(move |seen: Seen| {
        let (first, inner) = (!asked.swap(true, std::sync::atomic::Ordering::Relaxed), Arc::clone(&inner));
        async move {
            if first { json(401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":"x"}"#) } else { inner(seen).await }
        }
    });
    let chain = Chain::start(lagging, &[]).await;
    let wire = chain.connect().await;
    assert_eq!(wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await.code, UNAUTHORIZED);
    assert_eq!(wire.get(WHOAMI).await.code, Code::CONTENT);
    let mut seen = chain.stub.seen().len();
    wire.get(VERSIONS).await;
    assert_eq!(tokens(&chain, &mut seen), ["alice"]);
}

#[tokio::test]
async fn what_a_refresh_is_refused_for_is_not_the_access_token() {
    let refusing = handler(|seen: Seen| async move {
        match seen.uri.path() {
            "/_matrix/client/v3/refresh" => {
                json(401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":"refresh token"}"#)
            }
            _ => json(200, "{}"),
        }
    });
    let chain = Chain::start(refusing, &[]).await;
    let wire = chain.connect().await;
    wire.request(Method::Post, with_token("/_matrix/client/v3/refresh", "alice"), b"\xa0").await;
    let mut seen = chain.stub.seen().len();
    wire.get(VERSIONS).await;
    assert_eq!(tokens(&chain, &mut seen), ["alice"]);
}

#[tokio::test]
async fn an_application_service_keeps_its_token_when_one_of_its_users_leaves() {
    let (chain, wire) = start().await;
    wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await;
    for path in ["/_matrix/client/v3/logout", "/_matrix/client/v3/account/deactivate"] {
        wire.request(Method::Post, options(&format!("{path}?user_id=@ghost:hs")), b"\xa0").await;
        let mut seen = chain.stub.seen().len();
        wire.get(WHOAMI).await;
        assert_eq!(tokens(&chain, &mut seen), ["alice"], "{path}");
    }
}

#[tokio::test]
async fn credentials_in_another_place_go_alone() {
    let (chain, wire) = start().await;
    let mut seen = 0;
    wire.request(Method::Get, with_token(WHOAMI, "alice"), b"").await;
    wire.get(&format!("{WHOAMI}?access_token=bob")).await;
    wire.get(&format!("{WHOAMI}?access_token=")).await;
    wire.get(&format!("{WHOAMI}?user_id=@ghost:hs")).await;
    wire.request(Method::Post, options("/_matrix/client/v3/refresh"), b"\xa0").await;
    wire.request(Method::Post, options("/_matrix/client/v3/login"), b"\xa0").await;
    let ghost = json_to_cbor(br#"{"type":"m.login.application_service","username":"ghost"}"#).unwrap();
    wire.request(Method::Post, options("/_matrix/client/v3/register"), &ghost).await;
    assert_eq!(tokens(&chain, &mut seen), ["alice", "-", "-", "alice", "-", "-", "alice"]);
    wire.request(Method::Get, with_token(WHOAMI, ""), b"").await;
    wire.get(WHOAMI).await;
    assert_eq!(tokens(&chain, &mut seen), ["-", "-"]);
}

#[tokio::test]
async fn without_accept_json_is_answered_in_json() {
    let (chain, wire) = start().await;
    let options = RequestOptions { content_format: Some(50), ..options("1") };
    wire.request(Method::Post, options, b"{}").await;
    assert_eq!(chain.stub.last().header("accept"), Some("application/json"));
}

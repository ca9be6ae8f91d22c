//! Whose session a request goes on.

use super::*;
use crate::stub_server::Told;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const LOGIN: &str = "/_matrix/client/v3/login";

/// Leaves room for so many sessions, and of them for so many on probation.
fn few(settings: &mut Settings, all: usize, on_probation: usize) {
    (settings.limits.sessions, settings.limits.sessions_on_probation) = (all, on_probation);
}

/// Answers as [`port`] does, but to tokens that are made up.
fn port_or_401(seen: &Seen) -> Reply {
    match seen.options.authorization.as_deref() {
        Some(token)
            if token.starts_with("made-up") && !seen.options.path.iter().any(|part| part == "login") =>
        {
            coded(Code::new(4, 1), json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "no such token" }))
        }
        _ => port(seen),
    }
}

/// Answers with the port that a request came from, which is another for each session.
fn port(seen: &Seen) -> Reply {
    content(json!(seen.port))
}

async fn who(chain: &Chain, token: Option<&str>) -> Value {
    let (status, port) = chain.ask(Method::GET, WHOAMI, token, &Value::Null).await;
    assert_eq!(status, 200);
    port
}

#[tokio::test]
async fn each_token_has_a_session_and_a_new_one_takes_that_of_nobody() {
    let chain = Chain::start(port).await;
    let nobody = who(&chain, None).await;
    let one = who(&chain, Some("one")).await;
    assert_eq!(one, nobody, "a client that has logged in shakes no hands again");
    let other = who(&chain, Some("other")).await;
    assert_ne!(other, one);
    assert_ne!(who(&chain, None).await, one, "a session with a token is nobody else's");
    assert_eq!([who(&chain, Some("one")).await, who(&chain, Some("other")).await], [one, other]);
}

#[tokio::test]
async fn a_session_that_is_in_use_is_not_taken_by_another() {
    let mut chain = Chain::start(|seen| match seen.options.path.last().unwrap().as_str() {
        "slow" => Reply::Never,
        _ => port(seen),
    })
    .await;
    let nobody = who(&chain, None).await;
    let mut connection = chain.connect().await;
    let slow = chain.named(request(Method::GET, "/_matrix/client/v3/slow", None, &Value::Null));
    let slow = tokio::spawn(connection.send_request(slow));
    while chain.stub.seen().len() < 2 {
        chain.stub.told().await;
    }
    assert_ne!(who(&chain, Some("one")).await, nobody);
    slow.abort();
}

#[tokio::test]
async fn an_idle_session_is_closed_and_the_next_request_makes_another() {
    let mut chain = Chain::start_with(port, |settings| settings.times.idle = Duration::from_millis(50)).await;
    let first = who(&chain, Some("one")).await;
    assert!(matches!(chain.stub.told().await, Told::Request));
    assert!(matches!(chain.stub.told().await, Told::SessionClosed(_)));
    assert_ne!(who(&chain, Some("one")).await, first);
}

#[tokio::test]
async fn one_more_session_than_the_limit_closes_the_one_that_rested_for_the_longest() {
    let mut chain = Chain::start_with(port, |settings| few(settings, 3, 1)).await;
    let (one, two) = (who(&chain, Some("one")).await, who(&chain, Some("two")).await);
    assert_eq!(who(&chain, Some("one")).await, one, "now the other has rested for longer");
    who(&chain, Some("three")).await;
    while !matches!(chain.stub.told().await, Told::SessionClosed(_)) {}
    assert_eq!(who(&chain, Some("one")).await, one);
    assert_ne!(who(&chain, Some("two")).await, two);
}

#[tokio::test]
async fn a_logout_ends_the_session_of_its_token() {
    let chain = Chain::start(port).await;
    let first = who(&chain, Some("one")).await;
    assert_eq!(chain.ask(Method::POST, "/_matrix/client/v3/logout", Some("one"), &json!({})).await.0, 200);
    assert_ne!(who(&chain, Some("one")).await, first);
}

#[tokio::test]
async fn made_up_tokens_close_no_session_of_a_real_one() {
    let chain = Chain::start_with(port_or_401, |settings| few(settings, 4, 2)).await;
    let (one, two) = (who(&chain, Some("one")).await, who(&chain, Some("two")).await);
    for number in 0..10 {
        let token = format!("made-up-{number}");
        let (status, answer) = chain.ask(Method::GET, WHOAMI, Some(&token), &Value::Null).await;
        assert_eq!((status, &answer["errcode"]), (401, &json!("M_UNKNOWN_TOKEN")));
        // What asks for no token says nothing of it, whatever the homeserver answers.
        assert_eq!(chain.ask(Method::GET, LOGIN, Some(&token), &Value::Null).await.0, 200);
    }
    assert_eq!([who(&chain, Some("one")).await, who(&chain, Some("two")).await], [one, two]);
    // A real one that is new has a place all the same.
    let three = who(&chain, Some("three")).await;
    assert_eq!(who(&chain, Some("three")).await, three);
    assert!(chain.homeserver.targets().iter().all(|target| target != WHOAMI), "all went over UDP");
}

#[tokio::test]
async fn a_real_token_stays_known_when_its_session_is_closed() {
    let waits = |seen: &Seen| match seen.options.path.last().unwrap().as_str() {
        "waits" => Reply::Never,
        _ => port(seen),
    };
    let mut chain = Chain::start_with(waits, |settings| {
        few(settings, 2, 1);
        settings.times.idle = Duration::from_millis(50);
    })
    .await;
    who(&chain, Some("one")).await;
    while !matches!(chain.stub.told().await, Told::SessionClosed(_)) {}
    // The place for those on probation is taken for good.
    let mut connection = chain.connect().await;
    let waits = request(Method::GET, "/_matrix/client/v3/waits", Some("made-up"), &Value::Null);
    let waiting = tokio::spawn(connection.send_request(chain.named(waits)));
    while chain.stub.seen().len() < 2 {
        chain.stub.told().await;
    }
    who(&chain, Some("one")).await;
    assert!(chain.homeserver.targets().iter().all(|target| target != WHOAMI), "it went over UDP");
    waiting.abort();
}

const WAITS: &str = "/_matrix/client/v3/waits";

/// Has a request of this token wait at the server for good.
async fn wait(chain: &mut Chain, token: &str) -> JoinHandle<hyper::Result<Response<hyper::body::Incoming>>> {
    let waiting_by_now = |chain: &Chain| {
        chain
            .stub
            .seen()
            .iter()
            .filter(|seen| seen.options.path.last().is_some_and(|end| end == "waits"))
            .count()
    };
    let before = waiting_by_now(chain);
    let mut connection = chain.connect().await;
    let waits = chain.named(request(Method::GET, WAITS, Some(token), &Value::Null));
    let waiting = tokio::spawn(async move { connection.send_request(waits).await });
    while waiting_by_now(chain) == before {
        chain.stub.told().await;
    }
    waiting
}

fn waits_or_port(seen: &Seen) -> Reply {
    match seen.options.path.last().unwrap().as_str() {
        "waits" => Reply::Never,
        "unknown" => coded(Code::new(4, 1), json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "gone" })),
        _ => port(seen),
    }
}

/// Asks with a token for whose session there has to be no room: it goes over HTTPS.
async fn has_no_room(chain: &Chain, token: &str) {
    let target = "/_matrix/client/v3/x";
    assert_eq!(chain.send(request(Method::GET, target, Some(token), &Value::Null)).await.status(), 200);
    assert!(chain.homeserver.targets().iter().any(|seen| seen == target), "there is room over UDP");
}

#[tokio::test]
async fn a_real_token_that_takes_the_session_of_nobody_takes_its_place_as_well() {
    let mut chain = Chain::start_with(waits_or_port, |settings| few(settings, 2, 1)).await;
    // Both are known, and one of them has the place of those that are.
    for token in ["two", "one"] {
        who(&chain, Some(token)).await;
    }
    let one = wait(&mut chain, "one").await;
    let nobody = who(&chain, None).await;
    assert_eq!(who(&chain, Some("two")).await, nobody);
    let two = wait(&mut chain, "two").await;
    has_no_room(&chain, "made-up").await;
    [one, two].iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_token_that_the_homeserver_knows_no_longer_gives_its_place_back_and_keeps_its_session() {
    let mut chain = Chain::start_with(waits_or_port, |settings| few(settings, 2, 1)).await;
    let port = who(&chain, Some("one")).await;
    let one = wait(&mut chain, "one").await;
    let (status, _) = chain.ask(Method::GET, "/_matrix/client/v3/unknown", Some("one"), &Value::Null).await;
    assert_eq!(status, 401);
    has_no_room(&chain, "made-up").await;
    assert_eq!(who(&chain, Some("one")).await, port);
    one.abort();
}

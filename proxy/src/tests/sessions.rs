//! Whose session a request goes on.

use super::*;
use crate::stub_server::Told;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

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
    let mut chain = Chain::start_with(port, |settings| settings.limits.sessions = 2).await;
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

//! What is kept ends with its token, however that ends.

use super::*;
use crate::stub_server::Told;
use hyper::body::Incoming;

const FILE: &str = "/_matrix/client/v1/media/download/lb.test/id";
const LOGOUT: &str = "/_matrix/client/v3/logout";

/// A homeserver with a file that may be kept, and which answers logouts over HTTPS by this status.
async fn chain(status: u16, reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> Chain {
    let homeserver = move |request: Request<Incoming>, udp_port| match request.uri().path() {
        FILE => {
            let mut file = testing::answer(200, "image/png", "a picture");
            file.headers_mut().insert("cache-control", "public,max-age=86400".parse().unwrap());
            file
        }
        path if path.contains("/logout") => testing::answer(status, "application/json", "{}"),
        "/_matrix/client/v1/media/config" => {
            let mut answer = testing::answer(401, "application/json", b"\x1f\x8b\x08\0".to_vec());
            answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            answer
        }
        _ => documents(request, None, udp_port, false),
    };
    Chain::start_before(homeserver, reply, |_| {}).await
}

/// Has what is kept for these accounts, whose tokens the homeserver is seen to know.
async fn fetch(chain: &Chain, tokens: &[&str]) {
    for token in tokens {
        let whoami = "/_matrix/client/v3/account/whoami";
        assert_eq!(chain.ask(Method::GET, whoami, Some(token), &Value::Null).await.0, 200);
        let response = chain.send(request(Method::GET, FILE, Some(token), &Value::Null)).await;
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        assert!(is_kept(chain, token).await, "{token}");
    }
}

async fn is_kept(chain: &Chain, token: &str) -> bool {
    let mut asks = request(Method::GET, FILE, Some(token), &Value::Null);
    asks.headers_mut().insert("cache-control", "only-if-cached".parse().unwrap());
    let status = chain.send(asks).await.status();
    assert!(status == 200 || status == 504, "{status}");
    status == 200
}

/// Sends something with an empty object for its body; returns the status.
async fn send(chain: &Chain, method: Method, target: &str, token: Option<&str>) -> u16 {
    let response = chain.send(request(method, target, token, &json!({}))).await;
    response.status().as_u16()
}

fn done(_: &Seen) -> Reply {
    content(json!({}))
}

#[tokio::test]
async fn a_logout_ends_what_is_kept_for_its_token_alone() {
    let chain = chain(200, done).await;
    fetch(&chain, &["t", "other"]).await;
    assert_eq!(send(&chain, Method::POST, LOGOUT, Some("t")).await, 200);
    assert_eq!([is_kept(&chain, "t").await, is_kept(&chain, "other").await], [false, true]);
}

#[tokio::test]
async fn what_may_end_other_tokens_of_the_user_ends_all_that_is_kept() {
    let chain = chain(200, done).await;
    for (method, path) in [
        (Method::POST, "logout/all"),
        (Method::POST, "account/deactivate"),
        (Method::POST, "account/password"),
        (Method::POST, "delete_devices"),
        (Method::DELETE, "devices/OTHER"),
    ] {
        fetch(&chain, &["t", "other"]).await;
        assert_eq!(send(&chain, method, &format!("/_matrix/client/v3/{path}"), Some("t")).await, 200);
        assert_eq!([is_kept(&chain, "t").await, is_kept(&chain, "other").await], [false, false], "{path}");
    }
}

/// Answers as the query says.
fn refused(seen: &Seen) -> Reply {
    let code = match seen.options.query.first().map(String::as_str) {
        Some("forbidden") => Code::new(4, 3),
        Some("stages") => Code::new(4, 1),
        Some("lost") => Code::new(5, 4),
        _ => return done(seen),
    };
    coded(code, json!({ "flows": [], "session": "s" }))
}

#[tokio::test]
async fn a_logout_that_is_refused_ends_nothing_and_one_whose_answer_is_lost_ends_what_is_kept() {
    let chain = chain(200, refused).await;
    fetch(&chain, &["t", "other"]).await;
    for (why, status) in [("forbidden", 403), ("stages", 401)] {
        let target = format!("/_matrix/client/v3/account/deactivate?{why}");
        assert_eq!(send(&chain, Method::POST, &target, Some("t")).await, status);
        assert!(is_kept(&chain, "t").await && is_kept(&chain, "other").await, "{why}");
    }
    let lost = "/_matrix/client/v3/logout/all?lost";
    assert_eq!(send(&chain, Method::POST, lost, Some("made-up")).await, 504);
    assert!(is_kept(&chain, "t").await && is_kept(&chain, "other").await, "whoever it is can send that");
    assert_eq!(send(&chain, Method::POST, &format!("{LOGOUT}?lost"), Some("t")).await, 504);
    assert_eq!([is_kept(&chain, "t").await, is_kept(&chain, "other").await], [false, true]);
    fetch(&chain, &["t"]).await;
    assert_eq!(send(&chain, Method::POST, lost, Some("t")).await, 504);
    assert!(!is_kept(&chain, "t").await && !is_kept(&chain, "other").await);
}

#[tokio::test]
async fn a_logout_whose_client_goes_away_ends_what_is_kept() {
    let never = |seen: &Seen| match seen.options.path.last().unwrap().as_str() {
        "logout" => Reply::Never,
        _ => done(seen),
    };
    let mut chain = chain(200, never).await;
    fetch(&chain, &["t"]).await;
    assert!(matches!(chain.stub.told().await, Told::Request), "the first question of account t");
    let mut connection = chain.connect().await;
    let logout = chain.named(request(Method::POST, LOGOUT, Some("t"), &json!({})));
    let waiting = tokio::spawn(async move { connection.send_request(logout).await });
    assert!(matches!(chain.stub.told().await, Told::Request));
    waiting.abort();
    // What is kept goes before the session does.
    assert!(matches!(chain.stub.told().await, Told::SessionClosed(_)));
    assert!(!is_kept(&chain, "t").await);
}

#[tokio::test]
async fn a_401_that_cannot_be_read_ends_what_is_kept() {
    let chain = chain(200, done).await;
    fetch(&chain, &["t"]).await;
    assert_eq!(send(&chain, Method::GET, "/_matrix/client/v1/media/config", Some("t")).await, 401);
    assert!(!is_kept(&chain, "t").await);
}

#[tokio::test]
async fn an_odd_logout_ends_what_is_kept_for_each_token_that_it_names() {
    let chain = chain(200, done).await;
    for (target, token) in [
        (format!("{LOGOUT}?access_token=t"), Some("t")),
        (format!("{LOGOUT}?access_token=u"), Some("t")),
        (format!("{LOGOUT}?access%5Ftoken=t&access_token=u"), None),
        (format!("{LOGOUT}?x=1;access_token=t"), None),
    ] {
        fetch(&chain, &["t", "other"]).await;
        assert_eq!(send(&chain, Method::POST, &target, token).await, 200);
        assert_eq!([is_kept(&chain, "t").await, is_kept(&chain, "other").await], [false, true], "{target}");
    }
    fetch(&chain, &["t", "other"]).await;
    assert_eq!(send(&chain, Method::POST, &format!("{LOGOUT}/all?access_token=t"), Some("t")).await, 200);
    assert!(!is_kept(&chain, "other").await);
}

#[tokio::test]
async fn a_file_whose_token_has_an_escape_in_its_name_is_that_tokens() {
    let chain = chain(200, done).await;
    let file = request(Method::GET, &format!("{FILE}?access%5Ftoken=t"), None, &Value::Null);
    chain.send(file).await.into_body().collect().await.unwrap();
    assert!(is_kept(&chain, "t").await);
    assert_eq!(send(&chain, Method::POST, &LOGOUT.replace("out", "%6Fut"), Some("t")).await, 200);
    assert!(!is_kept(&chain, "t").await);
}

//! Many that wait, and one that asks for too much.

use crate::stub::{Homeserver, json, reply};
use crate::{PATIENCE, document, get, translator, whole};
use http::Request;
use http_body_util::{BodyExt, Full};
use lowband_sidecar::translator::{BodyError, Client};
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn a_greedy_stranger_ends_its_own_oldest_requests_and_nobody_elses() {
    const ALL: usize = lowband_sidecar::translator::MOST_STRANGERS;
    let homeserver = Homeserver::start(|seen| async move {
        if seen.uri.path().ends_with("waits") {
            std::future::pending::<()>().await;
        }
        json(200, "{}")
    })
    .await;
    let translator = translator(&homeserver.url());
    let from = |last: u8| Client::Stranger { address: [192, 0, 2, last].into(), is_secure: true, id: None };
    let mut asked = JoinSet::new();
    let ask = |asked: &mut JoinSet<_>, last| {
        let translator = translator.clone();
        asked.spawn(
            async move { (last, translator.carry(get("/_matrix/client/v3/waits"), from(last)).await) },
        );
    };
    ask(&mut asked, 1);
    timeout(PATIENCE, homeserver.works_on(1)).await.unwrap();
    // One more than a quarter. They need not all arrive: the connections of so many cost more than the test.
    for _ in 0..=ALL / 4 {
        ask(&mut asked, 2);
    }
    let (last, response) = timeout(PATIENCE, asked.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!((last, response.status().as_u16()), (2, 503));
    assert_eq!(crate::header(&response, "retry-after"), Some("5"));
    assert_eq!(document(response).await["error"], "the proxy has no room for this request at the moment");
    assert_eq!(translator.held_by_strangers().0, 1 + ALL / 4);
    let response = translator.carry(get("/_matrix/client/v3/x"), from(3)).await;
    assert_eq!(response.status(), 200, "a modest one is served");
}

#[tokio::test]
async fn answers_that_are_not_read_are_bounded_and_a_modest_stranger_keeps_its_own() {
    const LENGTH: usize = 200_000;
    // A quarter of what is there for all.
    const BOUND: usize = 16 << 20;
    let homeserver =
        Homeserver::start(|_| async { json(200, &format!("[\"{}\"]", "x".repeat(LENGTH))) }).await;
    let translator = translator(&homeserver.url());
    let from = |last: u8| Client::Stranger { address: [192, 0, 2, last].into(), is_secure: true, id: None };
    let ask = |last| translator.carry(get("/_matrix/client/v3/sync"), from(last));
    let modest = ask(1).await;
    let of_one = translator.held_by_strangers().1;
    assert!(of_one > LENGTH, "{of_one}");
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(ask(2).await);
        assert!(translator.held_by_strangers().1 <= of_one + BOUND);
    }
    // The oldest has given way, and its connection to the homeserver with it.
    let error = unread.swap_remove(0).into_body().collect().await.unwrap_err();
    assert!(matches!(error, BodyError::NoRoom), "{error}");
    assert!(translator.held_by_strangers().0 < 90);
    for kept in [modest, unread.swap_remove(0)] {
        assert!(whole(kept).await.len() > LENGTH);
    }
    drop(unread);
    assert_eq!(translator.held_by_strangers(), (0, 0));
}

#[tokio::test]
async fn files_that_nobody_reads_are_bounded_and_a_modest_stranger_keeps_its_own() {
    const LENGTH: usize = 1 << 20;
    // A quarter of what is there for all, and what one of them holds at most.
    const BOUND: usize = 16 << 20;
    const OF_ONE: usize = 160 << 10;
    let file = "x".repeat(LENGTH);
    let homeserver = Homeserver::start(move |_| {
        let file = file.clone();
        async move { reply(200, &[("content-type", "application/octet-stream")], &file) }
    })
    .await;
    let translator = translator(&homeserver.url());
    let from = |last: u8| Client::Stranger { address: [192, 0, 2, last].into(), is_secure: true, id: None };
    let ask = |last| {
        let request = Request::get("/_matrix/client/v1/media/download/a/b").body(Full::default()).unwrap();
        translator.carry(request, from(last))
    };
    let mut modest = ask(1).await;
    assert!(modest.body_mut().frame().await.unwrap().is_ok(), "it reads, and then no more");
    assert_eq!(translator.unread_by_strangers(), OF_ONE);
    let mut unread = Vec::new();
    for _ in 0..2 * BOUND / OF_ONE {
        unread.push(ask(2).await);
        assert!(translator.unread_by_strangers() <= OF_ONE + BOUND);
    }
    assert_eq!(translator.held_by_strangers().0, 1 + BOUND / OF_ONE, "the others have given way");
    let error = unread.swap_remove(0).into_body().collect().await.unwrap_err();
    assert!(matches!(error, BodyError::NoRoom), "{error}");
    let rest = whole(modest).await.len();
    assert!((LENGTH - OF_ONE..LENGTH).contains(&rest), "{rest}");
    assert_eq!(whole(unread.pop().unwrap()).await.len(), LENGTH);
    drop(unread);
    assert_eq!((translator.held_by_strangers(), translator.unread_by_strangers()), ((0, 0), 0));
}

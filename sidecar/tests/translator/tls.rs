//! A homeserver behind TLS, which takes HTTP/2.

use crate::identity::Pair;
use crate::stub::{Homeserver, json};
use crate::{COAP, PATIENCE, document, get, settings};
use lowband_sidecar::homeserver::Roots;
use lowband_sidecar::translator::{Settings, Translator};
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATH: &str = "/_matrix/client/versions";

fn believing(pair: Option<&Pair>, url: &str) -> Translator {
    let mut settings: Settings = settings(url);
    if let Some(pair) = pair {
        let name = format!("lowband-roots-{}-{}", std::process::id(), url.rsplit(':').next().unwrap());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, &pair.certificate).unwrap();
        settings.homeserver.roots = Roots::read(&file).unwrap();
        std::fs::remove_file(file).unwrap();
    }
    Translator::new(&settings).unwrap()
}

#[tokio::test]
async fn only_a_homeserver_that_somebody_vouches_for_is_asked() {
    let pair = Pair::new();
    let homeserver =
        Homeserver::over_tls(&pair.certificate, &pair.key, 100, |_| async { json(200, "{}") }).await;
    let port = homeserver.address.port();
    for (roots, host, status) in [
        (Some(&pair), "localhost", 200),
        // Nobody vouches for it; it is another's name.
        (None, "localhost", 503),
        (Some(&Pair::new()), "localhost", 503),
        (Some(&pair), "127.0.0.1", 503),
    ] {
        let translator = believing(roots, &format!("https://{host}:{port}"));
        let before = homeserver.requests();
        let response = translator.carry(get(PATH), COAP).await;
        assert_eq!(response.status(), status, "{host}");
        assert_eq!(homeserver.requests() - before, usize::from(status == 200));
        assert_eq!(translator.is_up(), Some(status == 200));
    }
}

#[tokio::test]
async fn over_http_2_requests_share_connections_and_never_wait_for_long_polls() {
    const STREAMS: u32 = 100;
    const POLLS: usize = 250;
    let pair = Pair::new();
    let homeserver = Homeserver::over_tls(&pair.certificate, &pair.key, STREAMS, |seen| async move {
        if seen.uri.path().ends_with("sync") {
            std::future::pending::<()>().await;
        }
        json(200, "{}")
    })
    .await;
    let translator = believing(Some(&pair), &format!("https://localhost:{}", homeserver.address.port()));
    // The first one learns that it is HTTP/2.
    assert_eq!(translator.carry(get(PATH), COAP).await.status(), 200);
    let mut polls = JoinSet::new();
    for _ in 0..POLLS {
        let translator = translator.clone();
        polls.spawn(async move { translator.carry(get("/_matrix/client/v3/sync"), COAP).await });
    }
    timeout(PATIENCE, homeserver.works_on(POLLS)).await.unwrap();
    let response = timeout(PATIENCE, translator.carry(get(PATH), COAP)).await.unwrap();
    assert_eq!(document(response).await, serde_json::json!({}));
    assert_eq!(homeserver.connections.load(Ordering::SeqCst), 1 + 3);
    assert_eq!(homeserver.seen.lock().unwrap()[0].2.get("host"), None, "HTTP/2 has an authority");
    polls.shutdown().await;
    timeout(PATIENCE, homeserver.works_on(0)).await.unwrap();
}

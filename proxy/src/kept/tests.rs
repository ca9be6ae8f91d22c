//! Two requests for the same thing at once, and changes while one is under way.

use super::*;
use http::header::{CACHE_CONTROL, ETAG};

const FILE: &str = "https://hs/file";

fn begin(kept: &Kept) -> Asking {
    let nobody = Account::nobody();
    kept.begin(&nobody, &nobody, FILE, &HeaderMap::new()).unwrap()
}

fn now() -> Moments {
    Moments { asked: SystemTime::now(), answered: SystemTime::now() }
}

fn fields(control: &'static str, tag: &'static str) -> HeaderMap {
    let fields = [(CACHE_CONTROL, control), (ETAG, tag)];
    fields.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// An answer whose body names its tag.
fn answer(control: &'static str, tag: &'static str) -> Response<Body> {
    answered(StatusCode::OK, fields(control, tag), Bytes::from_static(tag.as_bytes()))
}

async fn keep(asking: Asking, response: Response<Body>) {
    asking.copy(&HeaderMap::new(), response, now()).into_body().collect().await.unwrap();
}

/// Returns the body that is fresh.
async fn fresh(kept: &Kept) -> Option<Bytes> {
    match begin(kept).look(&HeaderMap::new(), SystemTime::now()) {
        Look::Answer(answer) => Some(answer.into_body().collect().await.unwrap().to_bytes()),
        _ => None,
    }
}

#[tokio::test]
async fn a_late_304_does_not_put_an_old_answer_over_a_newer_one() {
    let kept = Kept::new(1 << 20);
    for newer in ["\"old\"", "\"new\""] {
        keep(begin(&kept), answer("max-age=0", "\"old\"")).await;
        let slow = begin(&kept);
        let Look::Check(unconfirmed) = slow.look(&HeaderMap::new(), SystemTime::now()) else {
            panic!("it is stale");
        };
        keep(begin(&kept), answer("max-age=60", newer)).await;
        // Its client gets what it was confirmed.
        let confirmed =
            slow.confirm(&unconfirmed, &HeaderMap::new(), &fields("max-age=60", "\"old\""), now());
        assert_eq!(confirmed.unwrap().headers()[ETAG], "\"old\"");
        assert_eq!(fresh(&kept).await.unwrap(), newer);
    }
}

#[tokio::test]
async fn a_copy_under_way_does_not_outlive_a_change() {
    let kept = Kept::new(1 << 20);
    let under_way = begin(&kept).copy(&HeaderMap::new(), answer("max-age=60", "\"old\""), now());
    kept.changed(FILE);
    under_way.into_body().collect().await.unwrap();
    assert_eq!(fresh(&kept).await, None);
    keep(begin(&kept), answer("max-age=60", "\"new\"")).await;
    assert_eq!(fresh(&kept).await.unwrap(), "\"new\"");
}

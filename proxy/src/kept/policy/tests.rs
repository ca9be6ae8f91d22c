//! Tables from RFC 9111.

use super::*;

/// A day in 1994, and an hour later.
const SENT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const HOUR_LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";

type Fields<'a> = [(&'a str, &'a str)];

fn headers(fields: &Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    headers
}

fn sent() -> SystemTime {
    httpdate::parse_http_date(SENT).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns the policy of an answer that came at once.
fn policy(request: &Fields<'_>, answer: &Fields<'_>) -> Option<Policy> {
    Policy::of(&headers(request), &headers(answer), Moments { asked: sent(), answered: sent() })
}

#[test]
fn section_3_what_may_be_kept() {
    let etag = ("etag", "\"e\"");
    for (request, answer, may) in [
        // Explicitly fresh, for a private cache.
        (&[][..], &[("cache-control", "max-age=5")][..], true),
        (&[], &[("cache-control", "private, max-age=5")], true),
        (&[], &[("cache-control", "private=\"set-cookie\", max-age=5")], true),
        (&[], &[("cache-control", "public,max-age=86400,s-maxage=0,proxy-revalidate")], true),
        (&[("authorization", "Bearer t")], &[("cache-control", "max-age=5")], true),
        (&[], &[("date", SENT), ("expires", HOUR_LATER)], true),
        // Never fresh, and still of use with something to check it by.
        (&[], &[("cache-control", "no-cache"), etag], true),
        (&[], &[("cache-control", "max-age=0"), ("last-modified", SENT)], true),
        (&[], &[("cache-control", "public"), etag], true),
        (&[], &[("expires", "0"), etag], true),
        (&[], &[("cache-control", "no-cache, max-age=5")], false),
        (&[], &[("cache-control", "max-age=0")], false),
        (&[], &[("cache-control", "public")], false),
        (&[], &[("cache-control", "public"), ("expires", "0")], false),
        // What a private cache does not go by says nothing to it.
        (&[], &[("cache-control", "s-maxage=5")], false),
        (&[], &[("cache-control", "s-maxage=5"), etag], false),
        // Nothing is guessed.
        (&[], &[], false),
        (&[], &[("last-modified", SENT), ("date", HOUR_LATER)], false),
        (&[], &[etag], false),
        (&[], &[("cache-control", "must-revalidate"), etag], false),
        // Forbidden by either side.
        (&[], &[("cache-control", "no-store, max-age=5"), etag], false),
        (&[], &[("cache-control", "max-age=5"), ("cache-control", "No-Store")], false),
        (&[], &[("cache-control", "no-cache, no-store, must-revalidate"), etag], false),
        (&[("cache-control", "no-store")], &[("cache-control", "max-age=5")], false),
        // No other request is like the one that it answers.
        (&[], &[("cache-control", "max-age=5"), ("vary", "*")], false),
        (&[], &[("cache-control", "max-age=5"), ("vary", "accept, *")], false),
        (&[], &[("cache-control", "max-age=5"), ("vary", "not a name")], false),
    ] {
        assert_eq!(policy(request, answer).is_some(), may, "{request:?} {answer:?}");
    }
}

#[test]
fn section_4_2_1_how_long_an_answer_is_fresh() {
    for (answer, lifetime) in [
        (&[("cache-control", "max-age=5")][..], 5),
        (&[("cache-control", "max-age=5"), ("date", SENT), ("expires", HOUR_LATER)], 5),
        (&[("cache-control", "public, s-maxage=9"), ("date", SENT), ("expires", HOUR_LATER)], 3600),
        (&[("date", SENT), ("expires", HOUR_LATER)], 3600),
        // Without a date it was sent when it came.
        (&[("expires", HOUR_LATER)], 3600),
        (&[("date", SENT), ("expires", "Sunday, 06-Nov-94 09:49:37 GMT")], 3600),
        (&[("date", SENT), ("expires", "Sun Nov  6 09:49:37 1994")], 3600),
        (&[("date", HOUR_LATER), ("expires", SENT)], 0),
        (&[("expires", "0")], 0),
        (&[("cache-control", "max-age=x"), ("expires", HOUR_LATER)], 0),
        (&[("cache-control", "max-age=5, max-age=6")], 0),
        (&[("cache-control", "immutable, public")], 0),
    ] {
        let answer = [answer, &[("etag", "\"e\"")]].concat();
        assert_eq!(policy(&[], &answer).unwrap().lifetime, seconds(lifetime), "{answer:?}");
    }
}

#[test]
fn section_4_2_3_how_old_an_answer_is() {
    // Seconds from the date to the question, from there to the answer, and from there until now.
    for (age, asked, took, resident, expected) in [
        (None, 0, 0, 0, 0),
        (None, 0, 0, 30, 30),
        // The apparent age: what the date says.
        (None, 100, 3, 30, 133),
        (Some("20"), 100, 3, 30, 133),
        // The corrected age: what caches on the way say.
        (Some("200"), 100, 3, 30, 233),
        (Some("x"), 100, 3, 0, 103),
        (Some("-5"), 100, 3, 0, 103),
        (Some("99999999999"), 0, 3, 30, (1 << 31) + 33),
    ] {
        let asked = sent() + seconds(asked);
        let moments = Moments { asked, answered: asked + seconds(took) };
        let mut fields = vec![("date", SENT), ("cache-control", "max-age=5")];
        fields.extend(age.map(|age| ("age", age)));
        let policy = Policy::of(&HeaderMap::new(), &headers(&fields), moments).unwrap();
        assert_eq!(policy.age(moments.answered + seconds(resident)), seconds(expected), "{age:?} {asked:?}");
    }
}

#[test]
fn section_4_2_what_is_fresh_for_whom() {
    for (answer, request, after, is_fresh) in [
        ("max-age=100", "", 0, true),
        ("max-age=100", "", 99, true),
        ("max-age=100", "", 100, false),
        ("max-age=100, no-cache", "", 0, false),
        ("max-age=100, no-cache=\"set-cookie\"", "", 0, false),
        ("max-age=100, must-revalidate", "", 99, true),
        // Section 5.2.1: what a request wants.
        ("max-age=100", "no-cache", 0, false),
        ("max-age=100", "max-age=0", 0, false),
        ("max-age=100", "max-age=50", 49, true),
        ("max-age=100", "max-age=50", 50, false),
        ("max-age=100", "max-age=x", 10, false),
        ("max-age=100", "min-fresh=60", 40, true),
        ("max-age=100", "min-fresh=60", 41, false),
        ("max-age=100", "min-fresh=x", 0, false),
        // To use what is stale is allowed, and not done.
        ("max-age=100", "max-stale", 100, false),
        ("max-age=100, immutable", "", 100, false),
        ("max-age=100, stale-while-revalidate=600", "", 100, false),
    ] {
        let policy = policy(&[], &[("cache-control", answer), ("etag", "\"e\"")]).unwrap();
        let wanted = Directives::of(&headers(&[("cache-control", request)]));
        let now = sent() + seconds(after);
        assert_eq!(policy.is_fresh(&wanted, now), is_fresh, "{answer} | {request} | {after}");
    }
    let policy = policy(&[], &[("cache-control", "max-age=100")]).unwrap();
    let put_back = sent() - seconds(1);
    assert!(!policy.is_fresh(&Directives::default(), put_back), "nobody knows how old it is");
    assert!(!policy.is_fresh(&Directives::of(&headers(&[("pragma", "no-cache")])), sent()));
}

#[test]
fn section_4_1_an_answer_is_one_to_requests_that_are_alike_in_what_vary_names() {
    let gzip = ("accept-encoding", "gzip");
    for (vary, first, second, is_for) in [
        (&[][..], &[gzip][..], &[][..], true),
        (&[("vary", "Accept-Encoding")], &[gzip], &[gzip], true),
        (&[("vary", "Accept-Encoding")], &[gzip], &[], false),
        (&[("vary", "Accept-Encoding")], &[], &[gzip], false),
        (&[("vary", "accept-encoding, Origin")], &[gzip], &[gzip], true),
        (&[("vary", "accept-encoding, Origin")], &[gzip], &[gzip, ("origin", "https://a")], false),
        (&[("vary", "accept"), ("vary", "origin")], &[], &[("origin", "https://a")], false),
        (&[("vary", "accept")], &[("accept", "a"), ("accept", "b")], &[("accept", "a")], false),
        // A coding that nobody named.
        (&[("content-encoding", "gzip")], &[gzip], &[], false),
        (&[("content-encoding", "gzip")], &[gzip], &[gzip], true),
        // The place is the token's own, and cookies are not sent on.
        (&[("vary", "Authorization, Cookie")], &[("authorization", "Bearer t")], &[("cookie", "c")], true),
    ] {
        let answer = [&[("cache-control", "max-age=5")], vary].concat();
        let policy = policy(first, &answer).unwrap();
        assert_eq!(policy.is_for(&headers(second)), is_for, "{vary:?} {first:?} {second:?}");
        assert!(!format!("{policy:?}").contains("Bearer"), "no token is remembered");
    }
}

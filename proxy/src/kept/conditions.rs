//! Questions whether a copy is still right: of a client about its own, and of the proxy about the one that is
//! kept (RFC 9110 section 13, RFC 9111 section 4.3).

use super::fields::{copy, date, elements};
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
    RANGE,
};
use http::{HeaderMap, HeaderValue};
use std::time::SystemTime;

/// Fields of requests that only the homeserver can do justice to (RFC 9111 section 4.3.2); a part of what is
/// kept is never handed out.
const FOR_THE_SERVER: [HeaderName; 4] = [IF_MATCH, IF_UNMODIFIED_SINCE, RANGE, IF_RANGE];
/// Fields by which a client asks about its own copy.
const OF_THE_CLIENT: [HeaderName; 2] = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
/// Fields that are about a body, which a 304 has none of (RFC 9110 section 15.4.5), and which it does not
/// change where it confirms one that is kept (RFC 9111 section 3.2).
const OF_THE_BODY: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE];

/// Returns whether the request goes to the homeserver, whatever is kept.
pub(super) fn are_for_the_server(request: &HeaderMap) -> bool {
    FOR_THE_SERVER.iter().any(|field| request.contains_key(field))
}

/// Returns whether the client asks about a copy of its own.
pub(super) fn are_of_the_client(request: &HeaderMap) -> bool {
    OF_THE_CLIENT.iter().any(|field| request.contains_key(field))
}

/// Returns whether a client's own copy is the one that is kept, whose answer came at this time (RFC 9111
/// section 4.3.2).
pub(super) fn is_unchanged(request: &HeaderMap, kept: &HeaderMap, answered: SystemTime) -> bool {
    if !request.contains_key(IF_NONE_MATCH) {
        let Some(since) = date(request, IF_MODIFIED_SINCE) else { return false };
        let modified = date(kept, LAST_MODIFIED).or_else(|| date(kept, DATE)).unwrap_or(answered);
        return modified <= since;
    }
    let tag = kept.get(ETAG).and_then(text).map(opaque);
    let fields = request.get_all(IF_NONE_MATCH).iter().filter_map(|field| elements(text(field)?));
    fields.flatten().any(|element| element == "*" || Some(opaque(element)) == tag)
}

/// Returns whether an answer has something by which it can be asked for.
pub(super) fn can_ask(kept: &HeaderMap) -> bool {
    kept.contains_key(ETAG) || kept.contains_key(LAST_MODIFIED)
}

/// Adds the question whether what is kept is still right.
pub(super) fn ask(request: &mut HeaderMap, kept: &HeaderMap) {
    for (validator, field) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = kept.get(validator) {
            request.insert(field, value.clone());
        }
    }
}

/// Returns whether a 304 to that question is about what is kept (RFC 9111 section 4.3.4). One without any
/// mark is: nothing else was asked about.
pub(super) fn is_about(confirmed: &HeaderMap, kept: &HeaderMap) -> bool {
    let opaque = |tag: &HeaderValue| tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes()).to_vec();
    let is_strong = |tag: &HeaderValue| !tag.as_bytes().starts_with(b"W/");
    match (confirmed.get(ETAG), kept.get(ETAG)) {
        (Some(new), Some(old)) if is_strong(new) => new == old,
        (Some(new), Some(old)) => opaque(new) == opaque(old),
        (Some(_), None) => false,
        (None, _) => confirmed.get(LAST_MODIFIED).is_none_or(|new| kept.get(LAST_MODIFIED) == Some(new)),
    }
}

/// Takes the fields of a 304 over into what is kept. How old that is counts from now on: an age or a time of
/// before, where the 304 says none, would make it stale for good.
pub(super) fn take_over(kept: &mut HeaderMap, confirmed: &HeaderMap) {
    kept.remove(AGE);
    kept.remove(DATE);
    for name in confirmed.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        kept.remove(name);
        confirmed.get_all(name).iter().for_each(|value| {
            kept.append(name.clone(), copy(value));
        });
    }
}

/// Makes the fields of a 304 from those of what is kept.
pub(super) fn without_body(headers: &mut HeaderMap) {
    for field in &OF_THE_BODY {
        headers.remove(field);
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// Returns a tag for the weak comparison (RFC 9110 section 8.8.3.2). Synapse's have no quotes.
fn opaque(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        HeaderMap::from_iter(fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        }))
    }

    #[test]
    fn a_clients_copy_is_held_against_what_is_kept() {
        let answered = httpdate::parse_http_date(LATER).unwrap();
        for (asks, kept, is_unchanged) in [
            (&[("if-none-match", "\"e\"")][..], &[("etag", "\"e\"")][..], true),
            (&[("if-none-match", "\"a\", W/\"e\"")], &[("etag", "\"e\"")], true),
            (&[("if-none-match", "\"a,e\"")], &[("etag", "\"e\"")], false),
            (&[("if-none-match", "\"e\"")], &[("etag", "W/\"e\"")], true),
            (&[("if-none-match", "1")], &[("etag", "1")], true),
            (&[("if-none-match", "*")], &[], true),
            (&[("if-none-match", "\"e\"")], &[], false),
            (&[("if-none-match", "\"e")], &[("etag", "\"e")], false),
            // Where both are asked, the tag decides (RFC 9110 section 13.1.3).
            (
                &[("if-none-match", "\"a\""), ("if-modified-since", LATER)],
                &[("etag", "\"e\""), ("last-modified", THEN)],
                false,
            ),
            (&[("if-modified-since", THEN)], &[("last-modified", THEN)], true),
            (&[("if-modified-since", THEN)], &[("last-modified", LATER)], false),
            (&[("if-modified-since", THEN)], &[("date", THEN)], true),
            (&[("if-modified-since", THEN)], &[], false),
            (&[("if-modified-since", LATER)], &[], true),
            (&[("if-modified-since", "yesterday")], &[("last-modified", THEN)], false),
        ] {
            let found = super::is_unchanged(&headers(asks), &headers(kept), answered);
            assert_eq!(found, is_unchanged, "{asks:?} {kept:?}");
        }
    }

    #[test]
    fn a_304_counts_where_it_is_about_what_is_kept() {
        for (confirmed, kept, is_about) in [
            (&[][..], &[("etag", "\"e\"")][..], true),
            (&[("etag", "\"e\"")], &[("etag", "\"e\"")], true),
            (&[("etag", "\"e\"")], &[("etag", "W/\"e\"")], false),
            (&[("etag", "W/\"e\"")], &[("etag", "\"e\"")], true),
            (&[("etag", "W/\"e\"")], &[("etag", "W/\"e\"")], true),
            (&[("etag", "\"f\"")], &[("etag", "\"e\"")], false),
            (&[("etag", "W/\"\u{e9}\"")], &[("etag", "W/\"\u{e9}\"")], true),
            (&[("etag", "W/\"\u{e9}\"")], &[("etag", "W/\"\u{e8}\"")], false),
            (&[("etag", "\"e\"")], &[("last-modified", THEN)], false),
            (&[("last-modified", THEN)], &[("last-modified", THEN)], true),
            (&[("last-modified", LATER)], &[("last-modified", THEN)], false),
        ] {
            let found = super::is_about(&headers(confirmed), &headers(kept));
            assert_eq!(found, is_about, "{confirmed:?} {kept:?}");
        }
    }

    #[test]
    fn a_304_changes_what_is_said_of_the_answer_and_nothing_of_its_body() {
        let mut kept = headers(&[
            ("content-length", "5"),
            ("content-type", "a/b"),
            ("age", "9"),
            ("date", THEN),
            ("x", "1"),
        ]);
        let mut confirmed = headers(&[("content-length", "0"), ("content-type", "c/d"), ("date", LATER)]);
        confirmed.append("y", HeaderValue::from_static("1"));
        confirmed.append("y", HeaderValue::from_static("2"));
        take_over(&mut kept, &confirmed);
        let mut expected = headers(&[
            ("content-length", "5"),
            ("content-type", "a/b"),
            ("date", LATER),
            ("x", "1"),
            ("y", "1"),
        ]);
        expected.append("y", HeaderValue::from_static("2"));
        assert_eq!(kept, expected);
        expected.remove("date");
        take_over(&mut kept, &HeaderMap::new());
        assert_eq!(kept, expected);
    }
}

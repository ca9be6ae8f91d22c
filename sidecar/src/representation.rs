//! What becomes of a response by its status, the type and the coding of its body: one table. A response that
//! is not an answer of Matrix never goes through: it would reach the client under a wrong label, and as a
//! whole page over a bad link.
//!
//! ```text
//! Matrix (CBOR, JSON), or no body ---------------> goes through with the code of its status
//! what a browser or an HTTP client could use ----> 5.05: ask over HTTPS, where this works
//!         to a request that must not be done twice -> 5.02: it has been done
//! an error of something before the homeserver ---> its status, as a Matrix error of ours
//! anything else, and what Envoy says by itself --> 5.02, 5.03, 5.04
//! ```

use crate::refusal::Refusal;
use crate::status;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use lowband_wire::coap::Code;
use lowband_wire::coap::content_format::{APPLICATION_CBOR, APPLICATION_JSON, CBOR, JSON};
use std::ops::RangeInclusive;

/// What the head of a response says about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The response has no body.
    Absent,
    /// CBOR or JSON, by its Content-Format and not encoded further: the form of Matrix answers.
    Matrix(u16),
    /// Compressed, or encoded in another way that CoAP has no option for.
    Coded,
    /// A web page (HTML).
    Page,
    /// An endless stream of pieces that come as events happen.
    Stream,
    /// Any other type, or none.
    Other,
}

/// What is done with a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The response goes through.
    Through,
    /// The refusal takes the place of the response, whether there is a body or not.
    Refused(Refusal),
    /// The refusal takes the place of the response if a body follows the head, which does not say whether one
    /// does.
    RefusedWithBody(Refusal),
}

impl Body {
    /// Reads the kind of the body from the head. `empty`: it is known that no body follows.
    pub fn of(headers: &HeaderMap, empty: bool) -> Body {
        let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        if empty || value(CONTENT_LENGTH) == Some("0") {
            return Body::Absent;
        }
        // All fields count: one field may stand for several.
        let plain = |value: &http::HeaderValue| {
            let codings = value.to_str().unwrap_or("unreadable").split(',');
            codings.map(str::trim).all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
        };
        if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Body::Coded;
        }
        let essence =
            value(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let known = TYPES.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name));
        known.map_or(Body::Other, |(_, body)| *body)
    }

    /// Returns the Content-Format of a body that goes through.
    pub fn content_format(self) -> Option<u16> {
        match self {
            Body::Matrix(format) => Some(format),
            _ => None,
        }
    }
}

/// The media types that are distinguished.
const TYPES: &[(&str, Body)] = &[
    (APPLICATION_CBOR, Body::Matrix(CBOR)),
    (APPLICATION_JSON, Body::Matrix(JSON)),
    ("text/html", Body::Page),
    ("application/xhtml+xml", Body::Page),
    ("text/event-stream", Body::Stream),
    ("multipart/x-mixed-replace", Body::Stream),
];

/// The rule of one row of the table.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Through,
    /// Refuse with 5.05 and this text, whatever was asked: nothing has been done.
    Elsewhere(&'static str),
    /// Refuse with 5.05 and the first text; with 5.02 and the second what must not be done twice.
    Https(&'static str, &'static str),
    /// The same, if a body comes.
    HttpsWithBody(&'static str, &'static str),
    /// Refuse with 5.02 and this text.
    BadGateway(&'static str),
    /// Refuse as [`BEFORE_THE_HOMESERVER`] or [`ENVOYS_OWN`] says.
    Error,
}

/// Bodies of Matrix in either format.
const MATRIX: &[Body] = &[Body::Matrix(CBOR), Body::Matrix(JSON)];
const ALL: &[Body] = &[
    Body::Absent,
    Body::Matrix(CBOR),
    Body::Matrix(JSON),
    Body::Coded,
    Body::Page,
    Body::Stream,
    Body::Other,
];

const REDIRECTION: &str = "this is a redirection: follow it over HTTPS";
/// What a client that goes on to HTTPS would do a second time.
const DONE: &str = "the request has been carried out; CoAP cannot bring its answer";

/// The first row that fits counts, and one always does.
const TABLE: &[(RangeInclusive<u16>, &[Body], Rule)] = &[
    (304..=304, ALL, Rule::Through),
    (301..=301, ALL, Rule::Elsewhere(REDIRECTION)),
    (307..=308, ALL, Rule::Elsewhere(REDIRECTION)),
    // What web programs answer after they have acted, and what says nothing of that (RFC 9110 section 15.4).
    (
        300..=399,
        ALL,
        Rule::Https(REDIRECTION, "the request may have been carried out; its answer leads elsewhere"),
    ),
    // The sidecar never asks for a range.
    (206..=206, ALL, Rule::BadGateway("the answer is a part of something that was not asked for")),
    (200..=299, &[Body::Absent], Rule::Through),
    (200..=299, MATRIX, Rule::Through),
    (
        200..=299,
        &[Body::Coded],
        Rule::HttpsWithBody("the answer is compressed, which CoAP cannot say: ask over HTTPS", DONE),
    ),
    (200..=299, &[Body::Page], Rule::HttpsWithBody("the answer is a web page: open it over HTTPS", DONE)),
    (200..=299, &[Body::Stream], Rule::Https("the answer is a stream of events: ask over HTTPS", DONE)),
    (
        200..=299,
        &[Body::Other],
        Rule::HttpsWithBody("the answer is neither CBOR nor JSON: ask over HTTPS", DONE),
    ),
    (400..=599, MATRIX, Rule::Through),
    (400..=599, ALL, Rule::Error),
    (0..=u16::MAX, ALL, Rule::BadGateway("the answer has a status that HTTP does not know")),
];

/// An error in our words: status, code, `errcode`, text, and the seconds until it makes sense to come again,
/// where the response does not say.
type Told = (u16, Code, &'static str, &'static str, Option<u32>);

/// 4xx of something between Envoy and the homeserver (a reverse proxy, a firewall), or of the homeserver in
/// plain text. A 404 does not become M_NOT_FOUND: clients would take that for "you have no such data" and
/// write the data anew.
const BEFORE_THE_HOMESERVER: &[Told] = &[
    (401, Code::new(4, 1), "M_UNAUTHORIZED", "the homeserver's proxy wants to know who asks", None),
    (403, Code::FORBIDDEN, "M_FORBIDDEN", "the homeserver's proxy does not allow this", None),
    (404, Code::NOT_FOUND, "M_UNRECOGNIZED", "the homeserver has nothing at this path", None),
    (405, Code::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "the homeserver does not know this method here", None),
    // A 408 asks the client to try again, as Envoy's own answer does.
    (408, Code::GATEWAY_TIMEOUT, "M_UNKNOWN", "the homeserver's proxy has not got the request in time", None),
    (410, Code::BAD_REQUEST, "M_UNRECOGNIZED", "the homeserver has nothing at this path any more", None),
    (
        413,
        Code::REQUEST_ENTITY_TOO_LARGE,
        "M_TOO_LARGE",
        "the request is larger than the homeserver's proxy takes",
        None,
    ),
    (414, Code::BAD_REQUEST, "M_TOO_LARGE", "the path is longer than the homeserver's proxy takes", None),
    (
        431,
        Code::BAD_REQUEST,
        "M_TOO_LARGE",
        "the access token is longer than the homeserver's proxy takes",
        None,
    ),
    (429, Code::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "too many requests", Some(AGAIN_SECONDS)),
];

/// Errors that Envoy makes itself (no route, no upstream, too slow, over a limit of its own), and every 5xx
/// that is not a Matrix error.
const ENVOYS_OWN: &[Told] = &[
    (403, Code::FORBIDDEN, "M_FORBIDDEN", "the proxy does not allow this", None),
    (408, Code::GATEWAY_TIMEOUT, "M_UNKNOWN", "the homeserver does not answer", None),
    (413, Code::REQUEST_ENTITY_TOO_LARGE, "M_TOO_LARGE", "the request is larger than the proxy takes", None),
    (429, Code::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "too many requests", Some(AGAIN_SECONDS)),
    (503, Code::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the homeserver cannot be reached", Some(AGAIN_SECONDS)),
    (504, Code::GATEWAY_TIMEOUT, "M_UNKNOWN", "the homeserver does not answer", None),
];

/// Seconds after which to come again where the response names no time.
const AGAIN_SECONDS: u32 = 5;

/// Looks up the verdict in the table. `via_upstream`: the response came from Envoy's upstream. `again_in`:
/// the seconds that the response names itself. `is_repeatable`: the homeserver may be asked twice, as it is
/// by a client that goes on to HTTPS.
pub fn judge(
    status: u16,
    body: Body,
    via_upstream: bool,
    again_in: Option<u32>,
    is_repeatable: bool,
) -> Verdict {
    let https = |text, done| if is_repeatable { Refusal::use_https(text) } else { bad_gateway(done) };
    let row = TABLE.iter().find(|(statuses, bodies, _)| statuses.contains(&status) && bodies.contains(&body));
    match row.map(|(_, _, rule)| *rule) {
        Some(Rule::Through) => Verdict::Through,
        Some(Rule::Elsewhere(text)) => Verdict::Refused(Refusal::use_https(text)),
        Some(Rule::Https(text, done)) => Verdict::Refused(https(text, done)),
        Some(Rule::HttpsWithBody(text, done)) => Verdict::RefusedWithBody(https(text, done)),
        Some(Rule::BadGateway(text)) => Verdict::Refused(bad_gateway(text)),
        Some(Rule::Error) | None => Verdict::Refused(error(status, via_upstream, again_in)),
    }
}

fn error(status: u16, via_upstream: bool, again_in: Option<u32>) -> Refusal {
    let is_theirs = via_upstream && (400..=499).contains(&status);
    let told = if is_theirs { BEFORE_THE_HOMESERVER } else { ENVOYS_OWN };
    let Some((_, code, errcode, text, seconds)) = told.iter().find(|(known, ..)| *known == status) else {
        return if is_theirs {
            let text = "the homeserver's proxy has refused the request";
            Refusal::matrix(status::code_for(status), "M_UNKNOWN", text)
        } else {
            bad_gateway("the proxy has no answer of a homeserver")
        };
    };
    // A time is named only for errors that make sense to try again.
    let max_age = seconds.map(|seconds| again_in.unwrap_or(seconds));
    Refusal { max_age, ..Refusal::matrix(*code, errcode, text) }
}

const fn bad_gateway(text: &'static str) -> Refusal {
    Refusal::matrix(Code::BAD_GATEWAY, "M_UNKNOWN", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn body(pairs: &[(&'static str, &'static str)], empty: bool) -> Body {
        let headers =
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        Body::of(&headers, empty)
    }

    #[test]
    fn a_body_is_what_its_type_and_its_coding_say() {
        for (kind, expected) in [
            ("application/cbor", Body::Matrix(60)),
            ("Application/CBOR; x=y", Body::Matrix(60)),
            ("application/json", Body::Matrix(50)),
            ("application/json;charset=utf-8", Body::Matrix(50)),
            ("application/problem+json", Body::Other),
            ("text/html; charset=utf-8", Body::Page),
            ("TEXT/HTML", Body::Page),
            ("application/xhtml+xml", Body::Page),
            ("text/event-stream", Body::Stream),
            ("multipart/x-mixed-replace; boundary=x", Body::Stream),
            ("multipart/mixed; boundary=x", Body::Other),
            ("text/plain", Body::Other),
            ("image/png", Body::Other),
            ("application/octet-stream", Body::Other),
            ("\u{e4}", Body::Other),
            ("", Body::Other),
        ] {
            let Ok(value) = HeaderValue::from_str(kind) else { continue };
            let headers = [(CONTENT_TYPE, value.clone())].into_iter().collect();
            assert_eq!(Body::of(&headers, false), expected, "{kind}");
            assert_eq!(Body::of(&headers, true), Body::Absent, "{kind}");
            for coding in ["gzip", "br", "deflate, identity", "identity, zstd", "x-unheard-of"] {
                let coding = (CONTENT_ENCODING, HeaderValue::from_static(coding));
                let coded = [(CONTENT_TYPE, value.clone()), coding].into_iter().collect();
                assert_eq!(Body::of(&coded, false), Body::Coded, "{kind}");
            }
        }
        assert_eq!(body(&[], false), Body::Other);
        let json = ("content-type", "application/json");
        assert_eq!(body(&[json, ("content-encoding", "identity")], false), Body::Matrix(50));
        assert_eq!(body(&[json, ("content-encoding", "")], false), Body::Matrix(50));
        assert_eq!(body(&[json, ("content-length", "0")], false), Body::Absent);
        assert_eq!(body(&[json, ("content-length", "10")], false), Body::Matrix(50));
    }

    #[test]
    fn every_status_with_every_body_has_a_row_and_only_matrix_goes_through() {
        for status in 0..=u16::MAX {
            for body in ALL {
                for via_upstream in [false, true] {
                    let through = judge(status, *body, via_upstream, None, true) == Verdict::Through;
                    let may = body.content_format().is_some() || *body == Body::Absent && status < 400;
                    assert!(!through || may || status == 304, "{status} {body:?}");
                    if let (400..=599, true) = (status, body.content_format().is_some()) {
                        assert!(through, "{status} {body:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_has_not_been_done_is_asked_for_again_over_https() {
        for status in 0..=999 {
            for body in ALL {
                let code = |is_repeatable| match judge(status, *body, true, None, is_repeatable) {
                    Verdict::Through => None,
                    Verdict::Refused(refusal) | Verdict::RefusedWithBody(refusal) => Some(refusal.code),
                };
                let (safe, once) = (code(true), code(false));
                let is_done =
                    safe == Some(Code::PROXYING_NOT_SUPPORTED) && !matches!(status, 301 | 307 | 308);
                assert_eq!(once, if is_done { Some(Code::BAD_GATEWAY) } else { safe }, "{status} {body:?}");
            }
        }
    }

    #[test]
    fn every_refusal_is_a_matrix_error_of_few_bytes() {
        for status in 0..=999 {
            for body in ALL {
                for (via_upstream, is_repeatable) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let (Verdict::Refused(refusal) | Verdict::RefusedWithBody(refusal)) =
                        judge(status, *body, via_upstream, Some(7), is_repeatable)
                    else {
                        continue;
                    };
                    let (options, payload) = refusal.matrix_response().unwrap();
                    assert_eq!(options.content_format, Some(60));
                    assert!(payload.len() < 110, "{status} {body:?}: {} bytes", payload.len());
                    assert!(refusal.code.class() >= 4, "{status} {body:?}");
                }
            }
        }
    }
}

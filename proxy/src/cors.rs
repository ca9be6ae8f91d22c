//! What browsers want to see (Client-Server API, "Web Browser Clients").
//!
//! Browsers ask by OPTIONS before each message and each long poll. CoAP has no such method, and the answer is
//! always the same: it costs no byte of the link.

use crate::body::{self, Body};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Methods as the specification lists them, and those that its proposals use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
/// Fields of requests: those of the specification, and those of proposals and downloads.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match, Range",
);
/// Fields of answers that a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, ETag, Location");
const ANYBODY: HeaderValue = HeaderValue::from_static("*");
/// Two hours, the longest time for which Chromium remembers a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// A page on the public internet asks for leave to reach a local address (Private Network Access).
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Returns the answer to OPTIONS.
pub(crate) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if request.contains_key(REQUEST_PRIVATE) {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    response
}

/// The pages that may use the proxy ([`crate::Settings::origins`]).
pub(crate) struct Origins(Vec<String>);

/// Who asks, as far as the browser says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Whoever it is: all may ask.
    Anybody,
    /// A page that may ask.
    Page(HeaderValue),
    /// No page, where some may not ask.
    Program,
}

impl Origins {
    pub(crate) fn new(origins: &[String]) -> Origins {
        Origins(origins.to_vec())
    }

    /// Returns who asks; `None` for a page that may not.
    pub(crate) fn admit(&self, request: &HeaderMap) -> Option<Asker> {
        if self.0.is_empty() {
            return Some(Asker::Anybody);
        }
        let Some(origin) = request.get(ORIGIN) else { return Some(Asker::Program) };
        let is_known = self.0.iter().any(|known| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes()));
        is_known.then(|| Asker::Page(origin.clone()))
    }
}

impl Asker {
    /// Lets pages read an answer, where the homeserver has said nothing else, or this one alone.
    pub(crate) fn allow(self, headers: &mut HeaderMap) {
        headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
        match self {
            Asker::Anybody => {
                headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(ANYBODY);
            }
            Asker::Page(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.append(VARY, HeaderValue::from(ORIGIN));
            }
            Asker::Program => {
                headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_public_internet_may_reach_a_local_address_if_it_asks() {
        let mut request = HeaderMap::new();
        assert!(!preflight(&request).headers().contains_key(ALLOW_PRIVATE));
        request.insert(REQUEST_PRIVATE, HeaderValue::from_static("true"));
        assert_eq!(preflight(&request).headers()[ALLOW_PRIVATE], "true");
    }

    #[test]
    fn what_the_homeserver_allows_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://app.example"));
        Asker::Anybody.allow(&mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert!(headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
    }

    #[test]
    fn where_origins_are_named_no_answer_is_for_another_page() {
        let origins = Origins::new(&["https://app.example".to_owned(), "vector://vector".to_owned()]);
        let asks = |origin: Option<&'static str>| {
            let fields = origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin)));
            origins.admit(&fields.into_iter().collect())
        };
        for stranger in ["https://evil.example", "http://app.example", "https://app.example:444", "null"] {
            assert_eq!(asks(Some(stranger)), None, "{stranger}");
        }
        for (origin, allowed) in [
            (Some("https://app.example"), Some("https://app.example")),
            (Some("vector://vector"), Some("vector://vector")),
            (None, None),
        ] {
            let mut answer = HeaderMap::new();
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
            asks(origin).unwrap().allow(&mut answer);
            let told = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
            assert_eq!((told, answer.contains_key(VARY)), (allowed, allowed.is_some()), "{origin:?}");
        }
    }
}

//! Maps the head of an HTTP response to the head of the CoAP response, or to a refusal in its place.

use crate::document;
use crate::refusal::Refusal;
use crate::representation::{self, Body, Verdict};
use crate::status;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use lowband_wire::coap::Code;
use lowband_wire::coap::options::ResponseOptions;

/// The field that Envoy's router sets on responses of its upstream, and on nothing else; so does the
/// translator where there is no Envoy.
pub(crate) const VIA_UPSTREAM: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// A response, judged by its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An answer of Matrix: its body goes through.
    Matrix(Head),
    /// Not an answer of Matrix: the refusal takes its place.
    Refused(Refusal),
    /// Not an answer of Matrix if a body comes, which the head does not say; without a body it is one.
    RefusedWithBody(Refusal),
}

/// The head of a response that goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The response code.
    pub code: Code,
    /// The options of the response.
    pub options: ResponseOptions,
    /// True if the time to come again may be in the body (`retry_after_ms`).
    pub time_in_body: bool,
}

/// Reads a head. `empty`: no body follows. `is_repeatable`: the homeserver may be asked twice.
pub fn read(status: StatusCode, headers: &HeaderMap, empty: bool, is_repeatable: bool) -> Reading {
    let body = Body::of(headers, empty);
    let via_upstream = headers.contains_key(VIA_UPSTREAM);
    match representation::judge(status.as_u16(), body, via_upstream, retry_after(headers), is_repeatable) {
        Verdict::Through => Reading::Matrix(head(status, headers, body)),
        Verdict::Refused(refusal) => Reading::Refused(refusal),
        Verdict::RefusedWithBody(refusal) => Reading::RefusedWithBody(refusal),
    }
}

/// Returns whether the body of an error is one of Matrix: it has an `errcode`, except for a 401 that asks for
/// the stages of an authentication (Matrix 1.16, client-server API: "Standard error response",
/// "User-Interactive Authentication API").
pub fn is_matrix_error(status: StatusCode, content_format: Option<u16>, body: &[u8]) -> bool {
    status == StatusCode::UNAUTHORIZED || document::text(content_format, body, "errcode").is_some()
}

/// Returns the refusal in place of an error that is not one of Matrix, whatever its label says.
pub fn refused(status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
    let via_upstream = headers.contains_key(VIA_UPSTREAM);
    match representation::judge(status.as_u16(), Body::Other, via_upstream, retry_after(headers), true) {
        Verdict::Refused(refusal) | Verdict::RefusedWithBody(refusal) => Some(refusal),
        Verdict::Through => None,
    }
}

fn head(status: StatusCode, headers: &HeaderMap, body: Body) -> Head {
    let code = status::code_for(status.as_u16());
    let timed = code == Code::TOO_MANY_REQUESTS || code == Code::SERVICE_UNAVAILABLE;
    let max_age = if timed { retry_after(headers) } else { None };
    let content_format = body.content_format();
    let length = || header(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
    let options = ResponseOptions { content_format, max_age, size: content_format.and_then(|_| length()) };
    Head { code, options, time_in_body: timed && max_age.is_none() && content_format.is_some() }
}

/// Returns Max-Age from the `retry_after_ms` of a Matrix error, rounded up to seconds.
pub fn retry_after_in_body(content_format: Option<u16>, body: &[u8]) -> Option<u32> {
    let millis = document::unsigned(content_format, body, "retry_after_ms")?;
    Some(u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX))
}

/// Returns the seconds of Retry-After. The form with a date is deliberately ignored: homeservers do not send
/// it.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let seconds: u64 = header(headers, RETRY_AFTER.as_str())?.trim().parse().ok()?;
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use lowband_wire::coap::content_format::{CBOR, JSON};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn homeserver(status: u16, pairs: &[(&'static str, &'static str)]) -> Head {
        match read(StatusCode::from_u16(status).unwrap(), &headers(pairs), false, true) {
            Reading::Matrix(head) => head,
            other => panic!("{other:?}"),
        }
    }

    fn proxy(status: u16, pairs: &[(&'static str, &'static str)], empty: bool) -> Refusal {
        match read(StatusCode::from_u16(status).unwrap(), &headers(pairs), empty, true) {
            Reading::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn content_types_have_their_content_formats() {
        for (kind, format) in
            [("application/cbor", 60), ("Application/CBOR; x=y", 60), ("application/json;charset=utf-8", 50)]
        {
            let head = homeserver(200, &[("content-type", kind), ("content-length", "9")]);
            assert_eq!((head.options.content_format, head.options.size), (Some(format), Some(9)), "{kind}");
        }
    }

    #[test]
    fn a_response_without_a_body_has_no_content_format() {
        let headers = headers(&[("content-type", "application/json"), ("content-length", "0")]);
        let Reading::Matrix(head) = read(StatusCode::NO_CONTENT, &headers, true, true) else { panic!() };
        assert_eq!((head.code, head.options), (Code::new(2, 4), ResponseOptions::default()));
    }

    #[test]
    fn max_age_comes_from_retry_after_and_only_with_4_29_and_5_03() {
        let kind = ("content-type", "application/cbor");
        for (status, max_age) in [(429, Some(7)), (503, Some(7)), (500, None), (200, None)] {
            let head = homeserver(status, &[kind, ("retry-after", "7")]);
            assert_eq!(head.options.max_age, max_age, "{status}");
            assert!(!head.time_in_body);
        }
        assert_eq!(homeserver(429, &[kind, ("retry-after", "99999999999")]).options.max_age, Some(u32::MAX));
        for unread in [
            &[kind][..],
            &[kind, ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")],
            &[kind, ("retry-after", "-1")],
        ] {
            let head = homeserver(429, unread);
            assert_eq!((head.options.max_age, head.time_in_body), (None, true));
        }
        assert!(!homeserver(404, &[kind]).time_in_body);
    }

    #[test]
    fn retry_after_ms_is_rounded_up_to_seconds() {
        for (millis, seconds) in [("0", 0), ("1", 1), ("1000", 1), ("1001", 2), ("99999999999999", u32::MAX)]
        {
            let json = format!(r#"{{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":{millis}}}"#);
            assert_eq!(retry_after_in_body(Some(JSON), json.as_bytes()), Some(seconds));
            let cbor = lowband_codec::json_to_cbor(json.as_bytes()).unwrap();
            assert_eq!(retry_after_in_body(Some(CBOR), &cbor), Some(seconds));
        }
        for body in [&b"{}"[..], b"", b"not", br#"{"retry_after_ms":"soon"}"#] {
            assert_eq!(retry_after_in_body(Some(JSON), body), None);
            assert_eq!(retry_after_in_body(Some(CBOR), body), None);
            assert_eq!(retry_after_in_body(None, body), None);
        }
    }

    #[test]
    fn what_envoy_says_by_itself_becomes_a_matrix_error() {
        let text = ("content-type", "text/plain");
        for (status, code, errcode) in [
            (503, (5, 3), "M_UNKNOWN"),
            (504, (5, 4), "M_UNKNOWN"),
            (408, (5, 4), "M_UNKNOWN"),
            (502, (5, 2), "M_UNKNOWN"),
            (500, (5, 2), "M_UNKNOWN"),
            (404, (5, 2), "M_UNKNOWN"),
            (413, (4, 13), "M_TOO_LARGE"),
            (429, (4, 29), "M_LIMIT_EXCEEDED"),
            (403, (4, 3), "M_FORBIDDEN"),
        ] {
            for (pairs, empty) in
                [(&[text][..], false), (&[], true), (&[("content-type", "application/json")], true)]
            {
                let refusal = proxy(status, pairs, empty);
                assert_eq!((refusal.code.class(), refusal.code.detail()), code, "{status}");
                assert_eq!(refusal.errcode, Some(errcode), "{status}");
            }
        }
        assert_eq!(proxy(503, &[text], false).max_age, Some(5));
        assert_eq!(proxy(503, &[text, ("retry-after", "9")], false).max_age, Some(9));
    }

    #[test]
    fn what_stands_before_the_homeserver_keeps_its_status_and_gets_an_errcode() {
        let page = &[("content-type", "text/html"), ("x-envoy-upstream-service-time", "3")];
        for (status, code, errcode) in [
            (400, (4, 0), "M_UNKNOWN"),
            (401, (4, 1), "M_UNAUTHORIZED"),
            (403, (4, 3), "M_FORBIDDEN"),
            (404, (4, 4), "M_UNRECOGNIZED"),
            (405, (4, 5), "M_UNRECOGNIZED"),
            (408, (5, 4), "M_UNKNOWN"),
            (409, (4, 9), "M_UNKNOWN"),
            (410, (4, 0), "M_UNRECOGNIZED"),
            (413, (4, 13), "M_TOO_LARGE"),
            (414, (4, 0), "M_TOO_LARGE"),
            (418, (4, 0), "M_UNKNOWN"),
            (429, (4, 29), "M_LIMIT_EXCEEDED"),
            (431, (4, 0), "M_TOO_LARGE"),
            (500, (5, 2), "M_UNKNOWN"),
            (502, (5, 2), "M_UNKNOWN"),
            (503, (5, 3), "M_UNKNOWN"),
            (520, (5, 2), "M_UNKNOWN"),
        ] {
            let refusal = proxy(status, page, false);
            assert_eq!((refusal.code.class(), refusal.code.detail()), code, "{status}");
            assert_eq!(refusal.errcode, Some(errcode), "{status}");
        }
        assert_eq!(proxy(429, page, false).max_age, Some(5));
        let timed = &[page[0], page[1], ("retry-after", "9")];
        assert_eq!((proxy(429, timed, false).max_age, proxy(404, timed, false).max_age), (Some(9), None));
    }
}

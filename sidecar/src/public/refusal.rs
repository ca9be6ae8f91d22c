//! Answers of the public port's own: Matrix errors in the form that the client reads, which a browser shows
//! to its page.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use http::{Method, Response, StatusCode};
use lowband_codec::texts_to_cbor;
use lowband_translation::negotiate::{Form, answer, form_of};

/// Why a request is not passed on, or not further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client wants another protocol on its connection, or a tunnel.
    Upgrade,
    /// The target is neither a path nor a URL.
    Target,
    /// The client was too slow.
    SlowBody,
}

impl Refusal {
    /// Every word that [`Refusal::name`] returns.
    pub(crate) const NAMES: [&str; 3] = ["upgrade", "target", "slow_body"];

    /// Returns a short word for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Refusal::Upgrade => "upgrade",
            Refusal::Target => "target",
            Refusal::SlowBody => "slow_body",
        }
    }

    /// Returns the status, the Matrix code and a sentence for people.
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Refusal::Upgrade => {
                (StatusCode::NOT_IMPLEMENTED, "M_UNRECOGNIZED", "The proxy speaks HTTP and nothing else")
            }
            Refusal::Target => (StatusCode::BAD_REQUEST, "M_UNKNOWN", "The request names no path"),
            Refusal::SlowBody => {
                (StatusCode::REQUEST_TIMEOUT, "M_UNKNOWN", "The body of the request has not come in time")
            }
        }
    }

    /// Makes the answer to a request with this method and these header fields. The question of a browser
    /// whether a page may ask (preflight) is not refused, so that the page learns what is wrong with its own
    /// request.
    pub(super) fn answer(self, method: &Method, fields: &HeaderMap) -> Response<Bytes> {
        let (mut status, mut errcode, mut error) = self.words();
        let is_preflight = method == Method::OPTIONS && fields.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            (status, errcode) = (StatusCode::OK, "M_UNKNOWN");
            error = "The request itself will be told what is wrong";
        }
        let field = |name: HeaderName| fields.get(name).map(HeaderValue::as_bytes);
        let sent = field(CONTENT_TYPE).and_then(form_of).unwrap_or_default();
        let form = answer(field(ACCEPT), sent);
        let body = match form {
            Form::Cbor => texts_to_cbor(&[("errcode", errcode), ("error", error)]),
            Form::Json => format!(r#"{{"errcode":"{errcode}","error":"{error}"}}"#).into_bytes(),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let mut set = |name: HeaderName, value: &'static str| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, form.media_type());
        set(VARY, "Accept");
        set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        if is_preflight {
            set(ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS");
            set(ACCESS_CONTROL_ALLOW_HEADERS, "X-Requested-With, Content-Type, Authorization, Date");
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, fields: &[(&'static str, &'static str)]) -> Response<Bytes> {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Refusal::Upgrade.answer(method, &fields.collect())
    }

    #[test]
    fn the_answer_is_in_the_form_that_the_client_reads() {
        let json: &[u8] = br#"{"errcode":"M_UNRECOGNIZED","error":"The proxy speaks HTTP and nothing else"}"#;
        let cbor = &texts_to_cbor(&[
            ("errcode", "M_UNRECOGNIZED"),
            ("error", "The proxy speaks HTTP and nothing else"),
        ])[..];
        for (fields, kind, body) in [
            (&[][..], "application/json", json),
            (&[("accept", "*/*")], "application/json", json),
            (&[("accept", "application/cbor")], "application/cbor", cbor),
            (&[("content-type", "application/cbor")], "application/cbor", cbor),
            (
                &[("content-type", "application/cbor"), ("accept", "application/json")],
                "application/json",
                json,
            ),
        ] {
            let response = asked(&Method::POST, fields);
            assert_eq!(response.status(), 501);
            assert_eq!(response.headers()["content-type"], kind, "{fields:?}");
            assert_eq!(response.headers()["access-control-allow-origin"], "*");
            assert_eq!(response.body(), body, "{fields:?}");
        }
    }

    #[test]
    fn a_preflight_is_not_refused() {
        let preflight = asked(&Method::OPTIONS, &[("access-control-request-method", "GET")]);
        assert_eq!(preflight.status(), 200);
        assert!(
            preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("Authorization")
        );
        assert_eq!(asked(&Method::OPTIONS, &[]).status(), 501);
    }

    #[test]
    fn each_word_is_known_and_no_sentence_needs_an_escape() {
        for refusal in [Refusal::Upgrade, Refusal::Target, Refusal::SlowBody] {
            assert!(Refusal::NAMES.contains(&refusal.name()));
            let (_, errcode, error) = refusal.words();
            assert!(!format!("{errcode}{error}").contains(['"', '\\']));
        }
    }
}

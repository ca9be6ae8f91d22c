//! The answers that come from here because the homeserver has none: Matrix errors in the form that the client
//! reads, with the field by which browsers show them to a page.

use super::answer::TranslatedBody;
use crate::failure::Failure;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_LENGTH, RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, request};
use lowband_translation::metrics::Reason;
use lowband_translation::negotiate::Form;
use lowband_translation::reply::{MatrixError, Reply};

/// Why there is no answer of the homeserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// No path leads there.
    NoSuchPath,
    /// The request cannot be expressed, or breaks off.
    NotTaken,
    /// There is no connection, or it ended before the answer began.
    Unreachable,
    /// Nothing came for too long.
    Hung,
    /// The answer is not HTTP, or not whole.
    NotWhole,
}

const AGAIN_SECONDS: HeaderValue = HeaderValue::from_static("5");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
const FIELDS: HeaderValue = HeaderValue::from_static("X-Requested-With, Content-Type, Authorization, Date");

/// A browser first asks whether a page may ask ("preflight"). If that is refused, it shows the page no answer
/// at all. Here it is not refused, so that the page learns what is wrong with its own request.
const TO_A_PREFLIGHT: &str = "The request itself will be told what is wrong";

impl Own {
    fn error(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Own::NoSuchPath => (StatusCode::NOT_FOUND, "M_UNRECOGNIZED", "There is no such path here"),
            Own::NotTaken => (StatusCode::BAD_REQUEST, UNKNOWN, "The proxy does not take this request"),
            Own::Unreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, UNKNOWN, "The homeserver cannot be reached at the moment")
            }
            Own::Hung => (StatusCode::GATEWAY_TIMEOUT, UNKNOWN, "The homeserver has not answered in time"),
            Own::NotWhole => {
                (StatusCode::BAD_GATEWAY, UNKNOWN, "The proxy has no whole answer of the homeserver")
            }
        }
    }

    /// Returns the answer.
    pub(super) fn answer(self, reads: Form, is_preflight: bool) -> Response<TranslatedBody> {
        let (status, errcode, text) = self.error();
        let (status, errcode, text, reads) = match is_preflight {
            true => (StatusCode::OK, UNKNOWN, TO_A_PREFLIGHT, Form::Json),
            false => (status, errcode, text, reads),
        };
        let error =
            MatrixError { status: status.as_u16(), errcode, error: text.to_owned(), reason: Reason::Host };
        let mut response = of_reply(error.reply(reads, None));
        let headers = response.headers_mut();
        if is_preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, FIELDS);
        } else if self == Own::Unreachable {
            headers.insert(RETRY_AFTER, AGAIN_SECONDS);
        }
        response
    }
}

const UNKNOWN: &str = "M_UNKNOWN";

impl From<&Failure> for Own {
    fn from(failure: &Failure) -> Own {
        match failure {
            Failure::Unreachable(_) | Failure::Unprocessed(_) => Own::Unreachable,
            Failure::Hung => Own::Hung,
            Failure::Broken(_) | Failure::Lost => Own::NotWhole,
        }
    }
}

/// Returns an answer that the decisions have made.
pub(super) fn of_reply(reply: Reply) -> Response<TranslatedBody> {
    let length = reply.body.len();
    let mut response = Response::new(TranslatedBody::whole(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Returns whether a browser asks whether a page may ask.
pub(super) fn is_preflight(request: &request::Parts) -> bool {
    request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

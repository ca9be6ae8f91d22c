//! Answers that the proxy writes itself: JSON, and errors always as Matrix has them.

use crate::body::{self, Body};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use std::time::Duration;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// CoAP carries no word on what may be kept, so nothing may.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An error in the form of the specification (Client-Server API, "Standard error response").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MatrixError {
    pub(crate) status: StatusCode,
    pub(crate) errcode: &'static str,
    /// A sentence for people; holds no secrets.
    pub(crate) error: String,
    /// When to ask again. It stands in the body too: most clients read it there alone.
    pub(crate) retry_after: Option<Duration>,
}

impl MatrixError {
    pub(crate) fn new(status: StatusCode, errcode: &'static str, error: impl Into<String>) -> MatrixError {
        MatrixError { status, errcode, error: error.into(), retry_after: None }
    }

    /// Makes the refusal of what the proxy has no room for.
    pub(crate) fn no_room(what: &str) -> MatrixError {
        let error = format!("the proxy has no room for {what}");
        MatrixError {
            retry_after: Some(Duration::from_secs(2)),
            ..MatrixError::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", error)
        }
    }

    /// Makes the refusal of what nobody serves.
    pub(crate) fn unrecognized(status: StatusCode) -> MatrixError {
        MatrixError::new(status, "M_UNRECOGNIZED", "neither the proxy nor the homeserver serves this")
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut json = serde_json::json!({ "errcode": self.errcode, "error": self.error });
        if let (Some(after), Some(members)) = (self.retry_after, json.as_object_mut()) {
            let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            members.insert("retry_after_ms".to_owned(), milliseconds.into());
        }
        let mut response = self::json(self.status, json.to_string());
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(after).into());
        }
        response
    }
}

/// Returns an answer with a JSON text.
pub(crate) fn json(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::whole(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn when_to_ask_again_stands_in_the_body_and_rounded_up_in_the_field() {
        let error = MatrixError {
            retry_after: Some(Duration::from_millis(1500)),
            ..MatrixError::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "say \"later\"")
        };
        let response = error.response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "errcode": "M_LIMIT_EXCEEDED", "error": "say \"later\"", "retry_after_ms": 1500
        });
        assert_eq!(body, expected);
    }
}

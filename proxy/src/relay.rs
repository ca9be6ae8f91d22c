//! One request over HTTPS, and what of its fields goes on.

use crate::answer::MatrixError;
use crate::body::{Body, BoxError};
use crate::https::{Failed, Https};
use crate::status;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALT_SVC, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName,
    SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};
use http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;

const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");

/// Fields that are about one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
/// Fields of an answer that a browser keeps for the host that it asked: here that is this machine, with all
/// the other servers that it has.
const OF_THE_HOST: [HeaderName; 3] = [STRICT_TRANSPORT_SECURITY, ALT_SVC, SET_COOKIE];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The longest answer that the proxy reads as a whole, because it changes or remembers it.
pub(crate) const LONGEST_DOCUMENT: usize = 1 << 20;

/// The form in which a request goes over HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In all as the client wrote it.
    AsItCame,
    /// As the client wrote it, but for an answer that can be read here.
    Readable,
    /// As CBOR, and answered in CBOR.
    Cbor,
}

/// Sends a request and returns the answer as soon as its head is there.
pub(crate) async fn send(
    https: &Https,
    (method, target, mut headers): (&Method, &str, HeaderMap),
    form: Form,
    body: Body,
) -> Result<Response<Body>, Failed> {
    let named = named_by_connection(&headers);
    // A cookie knows no port: a browser sends those of every server of this machine.
    for field in
        HOP_BY_HOP.iter().chain([&KEEP_ALIVE, &HOST, &EXPECT, &CONTENT_LENGTH, &COOKIE]).chain(&named)
    {
        headers.remove(field);
    }
    if form != Form::AsItCame {
        headers.remove(ACCEPT_ENCODING);
    }
    if form == Form::Cbor {
        headers.insert(ACCEPT, CBOR);
        if headers.contains_key(CONTENT_TYPE) || !body.is_end_stream() {
            headers.insert(CONTENT_TYPE, CBOR);
        }
    }
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    // The target was a part of a request already.
    *request.uri_mut() = target.parse().unwrap_or_else(|_| Uri::from_static("/"));
    *request.headers_mut() = headers;
    let mut response = https.send(request).await?;
    let headers = response.headers_mut();
    let named = named_by_connection(headers);
    for field in HOP_BY_HOP.iter().chain(&OF_THE_HOST).chain([&KEEP_ALIVE]).chain(&named) {
        headers.remove(field);
    }
    Ok(response)
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Returns whether the answer is CBOR.
pub(crate) fn is_cbor(headers: &HeaderMap) -> bool {
    is_type(headers, |media_type| media_type == "application/cbor")
}

fn is_json(headers: &HeaderMap) -> bool {
    is_type(headers, |media_type| media_type == "application/json" || media_type.ends_with("+json"))
}

fn is_type(headers: &HeaderMap, is: impl Fn(&str) -> bool) -> bool {
    let field = headers.get(CONTENT_TYPE).and_then(|field| field.to_str().ok()).unwrap_or_default();
    is(&field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Puts a Matrix error in the place of what something before the homeserver has written: a page, a text. Some
/// clients raise when an error is not JSON.
pub(crate) fn as_matrix(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_json(response.headers()) {
        return response;
    }
    let error = format!("the homeserver's side has answered {status} without an error of Matrix");
    let mut error = MatrixError::new(status, status::errcode(status), error).response();
    if let Some(after) = response.headers().get(http::header::RETRY_AFTER) {
        error.headers_mut().insert(http::header::RETRY_AFTER, after.clone());
    }
    error
}

/// Reads an answer as a whole.
pub(crate) async fn read(mut body: Body) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if bytes.len() + piece.len() > LONGEST_DOCUMENT {
            return Err(format!("the answer has more than {LONGEST_DOCUMENT} bytes").into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;
    use http::StatusCode;

    fn answered(status: u16, media_type: &str) -> Response<Body> {
        let response = Response::builder().status(status).header(CONTENT_TYPE, media_type);
        as_matrix(response.body(body::whole("<html>")).unwrap())
    }

    #[tokio::test]
    async fn a_page_in_place_of_an_error_becomes_an_error_of_matrix_with_its_status() {
        for (status, media_type) in [(502, "text/html"), (404, "application/cbor"), (503, "")] {
            let answered = answered(status, media_type);
            assert_eq!(answered.status().as_u16(), status);
            assert!(is_json(answered.headers()), "{status} {media_type}");
            let body = read(answered.into_body()).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(body["errcode"].as_str().unwrap().starts_with("M_"));
        }
    }

    #[tokio::test]
    async fn an_error_of_matrix_and_any_success_stay_as_they_are() {
        for (status, media_type) in [(403, "application/json; charset=utf-8"), (200, "text/html")] {
            let answered = answered(status, media_type);
            assert_eq!(answered.status(), StatusCode::from_u16(status).unwrap());
            assert_eq!(read(answered.into_body()).await.unwrap(), b"<html>");
        }
    }
}

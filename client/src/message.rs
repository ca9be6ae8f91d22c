//! One request and one response, in HTTP words where CoAP has the same thing.

use lowband_transport::coap::{self};
use lowband_wire::coap::{Code, Method};
use std::fmt;

/// One request, in HTTP words.
#[derive(Clone)]
pub struct Request {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// Path and query as in an HTTP request line, e.g. `/_matrix/client/v3/sync?timeout=0`. Sent as a path
    /// code where the table has the path.
    pub target: String,
    /// Option 256, with or without `Bearer `. Sticky at the server, so it goes on the wire only where the
    /// server may not know it yet ([`crate::TokenUse`]). `None` makes the request without a token: an empty
    /// option says so where the server may hold one.
    pub access_token: Option<String>,
    /// Content-Format of the body. Absent means CBOR to a low-bandwidth server.
    pub content_format: Option<u16>,
    /// Accept. Absent means CBOR to a low-bandwidth server.
    pub accept: Option<u16>,
    /// The body, usually CBOR.
    pub body: Vec<u8>,
}

impl Request {
    /// Makes a request without token, body and formats.
    pub fn new(method: Method, target: impl Into<String>) -> Request {
        let target = target.into();
        Request { method, target, access_token: None, content_format: None, accept: None, body: Vec::new() }
    }

    /// Makes a GET without token and formats.
    pub fn get(target: impl Into<String>) -> Request {
        Request::new(Method::Get, target)
    }
}

/// Leaves out the access token and the body, so that neither ends up in a log.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("content_format", &self.content_format)
            .field("accept", &self.accept)
            .finish_non_exhaustive()
    }
}

/// One response, its body whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The response code (RFC 7252 section 5.9). After 5.05 the request may be sent over HTTPS, whatever its
    /// method (docs/protocol.md section 7).
    pub code: Code,
    /// Content-Format of the body.
    pub content_format: Option<u16>,
    /// Max-Age in seconds: when to ask again.
    pub max_age: Option<u32>,
    /// The whole body, or the diagnostic text of an error (RFC 7252 section 5.5.2).
    pub body: Vec<u8>,
}

impl Response {
    /// Returns true for the codes 2.xx.
    pub fn is_success(&self) -> bool {
        self.code.is_success()
    }
}

impl From<coap::Response> for Response {
    fn from(response: coap::Response) -> Response {
        let coap::Response { code, options, body } = response;
        Response { code, content_format: options.content_format, max_age: options.max_age, body }
    }
}

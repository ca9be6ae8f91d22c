//! What an exchange consists of at the client: a whole request and a whole response.

use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};

/// A request of the client side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do with the resource (RFC 7252 section 5.8).
    pub method: Method,
    /// Path, query and everything else that CoAP carries beside the body.
    pub options: RequestOptions,
    /// The whole body; sent blockwise where it needs more than one block.
    pub body: Vec<u8>,
}

/// A whole response at the client side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The response code, of class 2, 4 or 5 (RFC 7252 section 5.9).
    pub code: Code,
    /// What CoAP says of the body.
    pub options: ResponseOptions,
    /// The whole body, or the diagnostic text.
    pub body: Vec<u8>,
}

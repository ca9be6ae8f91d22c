//! What an exchange would have cost over HTTPS with JSON: an estimate, and all of its numbers.
//!
//! ```text
//! payload of TCP = request line + REQUEST_HEAD + token + JSON + RECORD for each 16 KiB
//!                + RESPONSE_HEAD + JSON + RECORD for each 16 KiB
//! on the wire    = payload + 52 for each segment: those of both bodies, the acknowledgement of the
//!                  response, and one of the request if the response takes longer than 40 ms
//! a connection   = CONNECTION + 9 segments, and 16 bytes of options in the first two
//! ```
//!
//! That is a lean client on one kept-alive connection of HTTP/1.1 over TLS 1.3 and IPv4, as `make demo` has
//! and measures it: browsers send more. The heads are those of Synapse 1.163 behind Envoy, counted with curl.
//! `tests/report.rs` compares the estimate with what the demo has measured for the same exchanges, step by
//! step.

use crate::exchange::{Body, Exchange, Kind};
use std::ops::AddAssign;
use std::time::Duration;

/// Bytes of a request's header fields besides its line, its token and what tells of its body: `user-agent`,
/// `accept`, `host` with a name of 18 bytes, and the empty line.
const REQUEST_HEAD: u64 = 85;
/// Bytes of ` HTTP/1.1` with the space before it and the end of the line, and of the space behind the method.
const REQUEST_LINE: u64 = 12;
/// Bytes of `authorization: Bearer ` and a token of 40 bytes, which is what Synapse gives.
const AUTHORIZATION: u64 = 64;
/// Bytes of `content-type: application/json` and `content-length`.
const CONTENT: u64 = 52;
/// Bytes of the status line, the fields that Synapse sends, and the frame of a chunked body.
const RESPONSE_HEAD: u64 = 471;
/// Bytes that TLS 1.3 with AES-GCM adds to a record: header, type and tag (RFC 8446 section 5.2).
const RECORD: u64 = 22;
/// Most bytes of a record (RFC 8446 section 5.1).
const RECORD_LENGTH: u64 = 16 * 1024;
/// Bytes of a handshake of TLS 1.3 with a certificate of 413 bytes and two session tickets.
const CONNECTION: u64 = 1_816;
/// Segments of a handshake of TCP and one of TLS, with their acknowledgements.
const CONNECTION_SEGMENTS: u64 = 9;
/// Bytes that the first segment of each side carries besides: maximum segment size, SACK permitted, window
/// scale.
const SYN_OPTIONS: u64 = 16;
/// Bytes of the headers of IPv4 and TCP, and of the timestamps that each segment of Linux carries.
const SEGMENT_HEADERS: u64 = 52;
/// Bytes of a full segment at an MTU of 1,500.
pub const SEGMENT: u64 = 1_448;
/// How long Linux waits with an acknowledgement for data to send it with.
pub const DELAYED_ACKNOWLEDGEMENT: Duration = Duration::from_millis(40);

/// Bytes that TCP would have carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Payload of TCP, both ways: TLS records with their handshake.
    pub payload: u64,
    /// Segments, both ways.
    pub segments: u64,
    /// Bytes of the headers of IPv4 and TCP.
    pub headers: u64,
}

impl Cost {
    /// Returns all bytes on the wire.
    pub fn wire(self) -> u64 {
        self.payload + self.headers
    }

    /// Returns what so many segments with this payload cost.
    pub fn of(payload: u64, segments: u64) -> Cost {
        Cost { payload, segments, headers: segments * SEGMENT_HEADERS }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.payload += other.payload;
        self.segments += other.segments;
        self.headers += other.headers;
    }
}

/// Returns what a connection would have cost before its first request.
pub fn connection() -> Cost {
    let Cost { payload, segments, headers } = Cost::of(CONNECTION, CONNECTION_SEGMENTS);
    Cost { payload, segments, headers: headers + SYN_OPTIONS }
}

/// Returns what an exchange would have cost on a connection that is there. `has_token` tells of a session in
/// which an access token was sent: over HTTPS each request carries it.
///
/// Of an exchange without a response only the request counts. A ping has no counterpart, and of a request
/// that is not in the capture nothing is known; a notification would have been the answer to a long poll.
pub fn exchange(exchange: &Exchange, has_token: bool) -> Cost {
    let method = match (exchange.kind, exchange.method) {
        (Kind::Notification { .. }, _) => "GET",
        (Kind::Request, Some(method)) => method.method_name().unwrap_or("GET"),
        _ => return Cost::default(),
    };
    let json = |body: &Option<Body>| body.as_ref().map(|body| body.json_bytes.unwrap_or(body.bytes));
    let query: usize = exchange.query.iter().map(|parameter| parameter.len() + 1).sum();
    lengths(&Lengths {
        method: method.len() as u64,
        target: (exchange.path.len() + query) as u64,
        has_token,
        request: json(&exchange.request_body),
        response: exchange.code.map(|_| json(&exchange.response_body).unwrap_or_default()),
        is_slow: exchange.duration.is_some_and(|time| time > DELAYED_ACKNOWLEDGEMENT),
    })
}

/// The lengths of an exchange that decide what it costs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// The name of the method.
    pub method: u64,
    /// Path and query.
    pub target: u64,
    /// Whether the request carries an access token.
    pub has_token: bool,
    /// The JSON of the request. `None`: it has no body.
    pub request: Option<u64>,
    /// The JSON of the response, 0 without a body. `None`: there is no response.
    pub response: Option<u64>,
    /// Whether the response takes longer than [`DELAYED_ACKNOWLEDGEMENT`].
    pub is_slow: bool,
}

/// Returns what an exchange of these lengths costs on a connection that is there.
pub fn lengths(lengths: &Lengths) -> Cost {
    let line = lengths.method + lengths.target + REQUEST_LINE;
    let token = if lengths.has_token { AUTHORIZATION } else { 0 };
    let body = lengths.request.map_or(0, |length| CONTENT + length);
    let up = sealed(line + REQUEST_HEAD + token + body);
    let down = lengths.response.map_or(0, |length| sealed(RESPONSE_HEAD + length));
    let acknowledgements = 1 + u64::from(lengths.is_slow);
    Cost::of(up + down, up.div_ceil(SEGMENT) + down.div_ceil(SEGMENT) + acknowledgements)
}

fn sealed(bytes: u64) -> u64 {
    bytes + bytes.div_ceil(RECORD_LENGTH) * RECORD
}

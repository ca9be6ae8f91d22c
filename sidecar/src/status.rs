//! HTTP status -> CoAP code: the table of docs/protocol.md section 7, as data.
//!
//! RFC 7252's own method-dependent successes (PUT -> 2.04, DELETE -> 2.02) are deliberately absent: clients
//! in the field know 2.05 and take 2.04 and 2.02 for failures.

use lowband_transport::coap::Code;

/// 2.05 Content (RFC 7252 section 5.9.1.5).
pub const CONTENT: Code = Code::new(2, 5);
/// 4.00 Bad Request.
pub const BAD_REQUEST: Code = Code::new(4, 0);
/// 4.03 Forbidden (RFC 7252 section 5.9.2.4).
pub const FORBIDDEN: Code = Code::new(4, 3);
/// 4.04 Not Found.
pub const NOT_FOUND: Code = Code::new(4, 4);
/// 4.05 Method Not Allowed.
pub const METHOD_NOT_ALLOWED: Code = Code::new(4, 5);
/// 4.06 Not Acceptable.
pub const NOT_ACCEPTABLE: Code = Code::new(4, 6);
/// 4.13 Request Entity Too Large.
pub const TOO_LARGE: Code = Code::new(4, 13);
/// 4.15 Unsupported Content-Format.
pub const UNSUPPORTED_CONTENT_FORMAT: Code = Code::new(4, 15);
/// 4.29 Too Many Requests (RFC 8516).
pub const TOO_MANY_REQUESTS: Code = Code::new(4, 29);
/// 5.00 Internal Server Error.
pub const INTERNAL: Code = Code::new(5, 0);
/// 5.02 Bad Gateway.
pub const BAD_GATEWAY: Code = Code::new(5, 2);
/// 5.03 Service Unavailable.
pub const UNAVAILABLE: Code = Code::new(5, 3);
/// 5.04 Gateway Timeout.
pub const GATEWAY_TIMEOUT: Code = Code::new(5, 4);
/// 5.05 Proxying Not Supported: the sign to fall back to HTTPS.
pub const PROXYING_NOT_SUPPORTED: Code = Code::new(5, 5);

/// The statuses that have a code of their own.
const TABLE: &[(u16, Code)] = &[
    (200, CONTENT),
    (201, Code::new(2, 1)),
    (204, Code::new(2, 4)),
    (304, Code::new(2, 3)),
    (400, BAD_REQUEST),
    (401, Code::new(4, 1)),
    (403, FORBIDDEN),
    (404, NOT_FOUND),
    (405, METHOD_NOT_ALLOWED),
    (406, NOT_ACCEPTABLE),
    (409, Code::new(4, 9)),
    (412, Code::new(4, 12)),
    (413, TOO_LARGE),
    (415, UNSUPPORTED_CONTENT_FORMAT),
    (422, Code::new(4, 22)),
    (429, TOO_MANY_REQUESTS),
    (500, INTERNAL),
    (501, Code::new(5, 1)),
    (502, BAD_GATEWAY),
    (503, UNAVAILABLE),
    (504, GATEWAY_TIMEOUT),
];

/// Every code that a client may be answered with.
pub fn codes() -> impl Iterator<Item = Code> {
    TABLE.iter().map(|(_, code)| *code).chain([PROXYING_NOT_SUPPORTED])
}

/// The code for a status; what is not in the table goes by its class.
pub fn code_for(status: u16) -> Code {
    if let Some((_, code)) = TABLE.iter().find(|(known, _)| *known == status) {
        return *code;
    }
    match status {
        200..=299 => CONTENT,
        400..=499 => BAD_REQUEST,
        500..=599 => INTERNAL,
        // A CoAP client cannot follow a redirection; over HTTPS it can.
        300..=399 => PROXYING_NOT_SUPPORTED,
        // No other class ends an exchange.
        _ => BAD_GATEWAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_code_of_the_protocol() {
        let twins = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 500, 501, 502, 503, 504];
        for status in 100u16..=999 {
            let expected = match status {
                201 => (2, 1),
                204 => (2, 4),
                304 => (2, 3),
                200..=299 => (2, 5),
                300..=399 => (5, 5),
                s if twins.contains(&s) => ((s / 100) as u8, (s % 100) as u8),
                400..=499 => (4, 0),
                500..=599 => (5, 0),
                _ => (5, 2),
            };
            assert_eq!(code_for(status), Code::new(expected.0, expected.1), "{status}");
        }
    }

    #[test]
    fn payment_required_and_request_timeout_never_become_coap_codes_that_mean_something_else() {
        assert_eq!(code_for(402), BAD_REQUEST);
        assert_eq!(code_for(408), BAD_REQUEST);
    }
}

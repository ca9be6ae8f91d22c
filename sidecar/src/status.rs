//! Maps HTTP statuses to CoAP codes: the table of docs/protocol.md section 7, as data.
//!
//! RFC 7252's own method-dependent successes (PUT -> 2.04, DELETE -> 2.02) are deliberately absent: clients
//! in the field know 2.05 and take 2.04 and 2.02 for failures.

use lowband_wire::coap::Code;

/// The statuses that have a code of their own.
const TABLE: &[(u16, Code)] = &[
    (200, Code::CONTENT),
    (201, Code::CREATED),
    (204, Code::CHANGED),
    (304, Code::VALID),
    (400, Code::BAD_REQUEST),
    (401, Code::UNAUTHORIZED),
    (403, Code::FORBIDDEN),
    (404, Code::NOT_FOUND),
    (405, Code::METHOD_NOT_ALLOWED),
    (406, Code::NOT_ACCEPTABLE),
    (409, Code::CONFLICT),
    (412, Code::PRECONDITION_FAILED),
    (413, Code::REQUEST_ENTITY_TOO_LARGE),
    (415, Code::UNSUPPORTED_CONTENT_FORMAT),
    (422, Code::UNPROCESSABLE_ENTITY),
    (429, Code::TOO_MANY_REQUESTS),
    (500, Code::INTERNAL_SERVER_ERROR),
    (501, Code::NOT_IMPLEMENTED),
    (502, Code::BAD_GATEWAY),
    (503, Code::SERVICE_UNAVAILABLE),
    (504, Code::GATEWAY_TIMEOUT),
];

/// Returns every code that a client may be answered with.
pub fn codes() -> impl Iterator<Item = Code> {
    TABLE.iter().map(|(_, code)| *code).chain([Code::PROXYING_NOT_SUPPORTED])
}

/// Returns the code for a status; a status that is not in the table goes by its class.
pub fn code_for(status: u16) -> Code {
    if let Some((_, code)) = TABLE.iter().find(|(known, _)| *known == status) {
        return *code;
    }
    match status {
        200..=299 => Code::CONTENT,
        400..=499 => Code::BAD_REQUEST,
        500..=599 => Code::INTERNAL_SERVER_ERROR,
        // A CoAP client cannot follow a redirection; over HTTPS it can.
        300..=399 => Code::PROXYING_NOT_SUPPORTED,
        // No other class ends an exchange.
        _ => Code::BAD_GATEWAY,
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
        assert_eq!(code_for(402), Code::BAD_REQUEST);
        assert_eq!(code_for(408), Code::BAD_REQUEST);
    }
}

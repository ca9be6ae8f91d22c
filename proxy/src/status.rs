//! From CoAP's codes back to HTTP's statuses (docs/protocol.md section 7).

use http::StatusCode;
use lowband_client::Code;

/// Returns the status of a code. Codes 4.00 to 4.29 have the numbers of their statuses.
pub(crate) fn of(code: Code) -> StatusCode {
    let number = match (code.class(), code.detail()) {
        (2, 1) => 201,
        (2, 3) => 304,
        (2, 4) => 204,
        (2, _) => 200,
        // CoAP's own troubles: an option that is not understood, a body that is not complete.
        (4, 2 | 8) => 400,
        (4, detail) => 400 + u16::from(detail),
        // What CoAP does not carry, where nothing else does.
        (5, 5) => 501,
        (5, detail @ 0..=4) => 500 + u16::from(detail),
        _ => 502,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Returns the Matrix code of an error that came with a text, and not with one of its own.
pub(crate) fn errcode(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "M_MISSING_TOKEN",
        StatusCode::FORBIDDEN => "M_FORBIDDEN",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            "M_UNRECOGNIZED"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "M_TOO_LARGE",
        StatusCode::TOO_MANY_REQUESTS => "M_LIMIT_EXCEEDED",
        _ => "M_UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_the_statuses_that_they_came_from() {
        for (code, status) in [
            ((2, 5), 200),
            ((2, 1), 201),
            ((2, 4), 204),
            ((2, 3), 304),
            ((4, 0), 400),
            ((4, 1), 401),
            ((4, 4), 404),
            ((4, 13), 413),
            ((4, 29), 429),
            ((5, 0), 500),
            ((5, 4), 504),
            ((4, 8), 400),
            ((5, 5), 501),
            ((7, 0), 502),
        ] {
            assert_eq!(of(Code::new(code.0, code.1)).as_u16(), status, "{code:?}");
        }
    }
}

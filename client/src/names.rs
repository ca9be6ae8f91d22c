//! The registries' numbers and what they are called: response codes, methods and Content-Formats.

pub use lowband_transport::coap::content_format::{CBOR, JSON, OCTET_STREAM, TEXT};
use lowband_transport::coap::{Code, Method};

/// Media types that have a Content-Format (RFC 7252 section 12.3).
const CONTENT_FORMATS: [(&str, u16); 4] = [
    ("application/cbor", CBOR),
    ("application/json", JSON),
    ("application/octet-stream", OCTET_STREAM),
    ("text/plain", TEXT),
];

/// The media type of a Content-Format, where it is one of ours.
pub fn media_type(content_format: u16) -> Option<&'static str> {
    CONTENT_FORMATS.iter().find(|(_, number)| *number == content_format).map(|(name, _)| *name)
}

/// The Content-Format of a media type; parameters such as `charset=utf-8` do not matter.
pub fn content_format(media_type: &str) -> Option<u16> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    CONTENT_FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)).map(|(_, number)| *number)
}

/// A code as `2.05 Content` (RFC 7252 section 12.1, RFC 7959, 8132, 8516, 8768).
pub fn code(code: Code) -> String {
    let number = format!("{}.{:02}", code.class(), code.detail());
    match reason(code) {
        Some(reason) => format!("{number} {reason}"),
        None => number,
    }
}

fn reason(code: Code) -> Option<&'static str> {
    Some(match (code.class(), code.detail()) {
        (2, 1) => "Created",
        (2, 2) => "Deleted",
        (2, 3) => "Valid",
        (2, 4) => "Changed",
        (2, 5) => "Content",
        (2, 31) => "Continue",
        (4, 0) => "Bad Request",
        (4, 1) => "Unauthorized",
        (4, 2) => "Bad Option",
        (4, 3) => "Forbidden",
        (4, 4) => "Not Found",
        (4, 5) => "Method Not Allowed",
        (4, 6) => "Not Acceptable",
        (4, 8) => "Request Entity Incomplete",
        (4, 9) => "Conflict",
        (4, 12) => "Precondition Failed",
        (4, 13) => "Request Entity Too Large",
        (4, 15) => "Unsupported Content-Format",
        (4, 22) => "Unprocessable Entity",
        (4, 29) => "Too Many Requests",
        (5, 0) => "Internal Server Error",
        (5, 1) => "Not Implemented",
        (5, 2) => "Bad Gateway",
        (5, 3) => "Service Unavailable",
        (5, 4) => "Gateway Timeout",
        (5, 5) => "Proxying Not Supported",
        (5, 8) => "Hop Limit Reached",
        _ => return None,
    })
}

/// The HTTP word for a method.
pub fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_with_two_digits_and_their_reason() {
        assert_eq!(code(Code::new(2, 5)), "2.05 Content");
        assert_eq!(code(Code::new(4, 29)), "4.29 Too Many Requests");
        assert_eq!(code(Code::new(4, 20)), "4.20");
    }

    #[test]
    fn media_types_are_found_whatever_their_case_and_parameters() {
        assert_eq!(content_format("Application/CBOR"), Some(CBOR));
        assert_eq!(content_format("application/json; charset=utf-8"), Some(JSON));
        assert_eq!(content_format("text/html"), None);
        for (name, number) in CONTENT_FORMATS {
            assert_eq!(content_format(name), Some(number));
            assert_eq!(media_type(number), Some(name));
        }
    }
}

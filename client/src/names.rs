//! The registries' numbers and what they are called: response codes and Content-Formats.

use lowband_transport::coap::Code;
pub use lowband_transport::coap::content_format::{CBOR, JSON, OCTET_STREAM, TEXT};

/// Media types that have a Content-Format (RFC 7252 section 12.3).
const CONTENT_FORMATS: [(&str, u16); 4] = [
    ("application/cbor", CBOR),
    ("application/json", JSON),
    ("application/octet-stream", OCTET_STREAM),
    ("text/plain", TEXT),
];

/// Returns the media type of a Content-Format, where it is one of ours.
pub fn media_type(content_format: u16) -> Option<&'static str> {
    CONTENT_FORMATS.iter().find(|(_, number)| *number == content_format).map(|(name, _)| *name)
}

/// Returns the Content-Format of a media type; parameters such as `charset=utf-8` do not matter.
pub fn content_format(media_type: &str) -> Option<u16> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    CONTENT_FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)).map(|(_, number)| *number)
}

/// Writes a code as `2.05 Content`, or as its number where it has no name.
pub fn code(code: Code) -> String {
    code.text().map_or_else(|| code.to_string(), str::to_owned)
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

//! Content-Formats that the protocol uses, and their media types (RFC 7252 section 12.3).

/// `text/plain; charset=utf-8`, also of diagnostic texts
pub const TEXT: u16 = 0;
/// `application/octet-stream`, RFC 7252 section 12.3
pub const OCTET_STREAM: u16 = 42;
/// `application/json`, RFC 7252 section 12.3
pub const JSON: u16 = 50;
/// `application/cbor`, RFC 8949 section 9.4
pub const CBOR: u16 = 60;
/// `application/cbor` in fewer bytes, as [`packed`](crate::packed) says; of the range for private experiments
pub const PACKED: u16 = 65060;

/// Media type of [`TEXT`].
pub const TEXT_PLAIN: &str = "text/plain";
/// Media type of [`OCTET_STREAM`].
pub const APPLICATION_OCTET_STREAM: &str = "application/octet-stream";
/// Media type of [`JSON`].
pub const APPLICATION_JSON: &str = "application/json";
/// Media type of [`CBOR`].
pub const APPLICATION_CBOR: &str = "application/cbor";

/// Media types that have a Content-Format (RFC 7252 section 12.3).
const CONTENT_FORMATS: [(&str, u16); 4] = [
    (APPLICATION_CBOR, CBOR),
    (APPLICATION_JSON, JSON),
    (APPLICATION_OCTET_STREAM, OCTET_STREAM),
    (TEXT_PLAIN, TEXT),
];

/// Returns the media type of a Content-Format, where it is one of ours.
pub fn media_type(content_format: u16) -> Option<&'static str> {
    CONTENT_FORMATS.iter().find(|(_, number)| *number == content_format).map(|(name, _)| *name)
}

/// Returns the Content-Format of a media type; parameters such as `charset=utf-8` do not matter.
pub fn of(media_type: &str) -> Option<u16> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    CONTENT_FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_found_whatever_their_case_and_parameters() {
        assert_eq!(of("Application/CBOR"), Some(CBOR));
        assert_eq!(of("application/json; charset=utf-8"), Some(JSON));
        assert_eq!(of("text/html"), None);
        for (name, number) in CONTENT_FORMATS {
            assert_eq!(of(name), Some(number));
            assert_eq!(media_type(number), Some(name));
        }
    }
}

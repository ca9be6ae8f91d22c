//! Reads one top-level value of a Matrix document, in either form, from a body that is passed on unchanged.

use lowband_codec::{KeyTable, peek};
use lowband_wire::coap::content_format::JSON;
use std::borrow::Cow;

/// Returns the text under a key; `None` where the key is absent, its value is not a text, or the body is not
/// such a document. A body that is not labelled JSON is read as CBOR.
pub fn text(content_format: Option<u16>, body: &[u8], key: &str) -> Option<String> {
    peek::text(&as_cbor(content_format, body)?, key, Some(KeyTable::v1())).ok()?.map(Cow::into_owned)
}

/// Returns the whole number under a key, as [`text`] does for texts.
pub fn unsigned(content_format: Option<u16>, body: &[u8], key: &str) -> Option<u64> {
    peek::unsigned(&as_cbor(content_format, body)?, key, Some(KeyTable::v1())).ok()?
}

fn as_cbor(content_format: Option<u16>, body: &[u8]) -> Option<Cow<'_, [u8]>> {
    match content_format {
        Some(JSON) => lowband_codec::json_to_cbor(body).ok().map(Cow::Owned),
        _ => Some(Cow::Borrowed(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_both_forms_and_nothing_in_what_is_no_document() {
        let json = br#"{"errcode":"M_X","retry_after_ms":7}"#;
        let cbor = lowband_codec::json_to_cbor(json).unwrap();
        for (format, body) in [(Some(JSON), &json[..]), (Some(60), &cbor), (None, &cbor)] {
            assert_eq!(text(format, body, "errcode").as_deref(), Some("M_X"));
            assert_eq!(unsigned(format, body, "retry_after_ms"), Some(7));
            assert_eq!(
                (text(format, body, "retry_after_ms"), unsigned(format, body, "errcode")),
                (None, None)
            );
        }
        for body in [&b""[..], b"{}", b"[]", b"<html>", b"\xa1", b"\xff"] {
            assert_eq!((text(Some(JSON), body, "errcode"), text(Some(60), body, "errcode")), (None, None));
        }
    }
}

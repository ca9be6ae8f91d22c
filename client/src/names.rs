//! The registries' numbers and what they are called: response codes and Content-Formats.

use lowband_wire::coap::Code;
pub use lowband_wire::coap::content_format::{
    CBOR, JSON, OCTET_STREAM, TEXT, media_type, of as content_format,
};

/// Writes a code as `2.05 Content`, or as its number where it has no name.
pub fn code(code: Code) -> String {
    code.with_reason()
}

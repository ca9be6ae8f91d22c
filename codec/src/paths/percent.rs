//! Percent-encoding of one path segment (RFC 3986 sections 2.1 and 3.3).

use super::PathError;

/// Appends `/` and the segment; escapes each byte that is not a `pchar`.
pub(super) fn push_segment(path: &mut String, segment: &str) {
    path.push('/');
    for byte in segment.bytes() {
        if is_pchar(byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            for nibble in [byte >> 4, byte & 15] {
                path.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
}

/// Returns true for a `pchar` other than an escape: unreserved, sub-delims, `:` and `@`.
fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// Returns the text of a segment. Bytes that need no escape may have one, and those that need one may lack
/// it.
pub(super) fn decode(segment: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let ([high, low], tail) = tail.split_first_chunk().ok_or(PathError::BadEscape)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(PathError::BadEscape);
        bytes.push((digit(high)? << 4 | digit(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| PathError::BadEscape)
}

//! Members of a body that are secret by their names, on whatever path: user-interactive authentication has a
//! password in `auth` anywhere, invitations have the token of another service.

use super::HIDDEN;
use crate::detail::Content;
use crate::exchange::{BodyError, BodyKind};
use lowband_codec::KeyTable;
use lowband_wire::packed::NotPacked;
use std::borrow::Cow;
use std::ops::Range;

/// Names of members whose values are hidden, whatever these are.
const SECRET_MEMBERS: [&str; 15] = [
    "password",
    "new_password",
    "old_password",
    "passphrase",
    "access_token",
    "refresh_token",
    "id_access_token",
    "login_token",
    "loginToken",
    "registration_token",
    "token",
    "client_secret",
    "secret",
    "recovery_key",
    "auth",
];

/// Returns JSON with the values of its secret members hidden. What is not JSON comes out as some text that
/// is not JSON either.
pub(super) fn hide(json: &str) -> Cow<'_, str> {
    let values = secret_values(json.as_bytes());
    if values.is_empty() {
        return Cow::Borrowed(json);
    }
    let (mut out, mut end) = (String::with_capacity(json.len()), 0);
    for value in values {
        out.push_str(json.get(end..value.start).unwrap_or_default());
        out.push('"');
        out.push_str(HIDDEN);
        out.push('"');
        end = value.end;
    }
    out.push_str(json.get(end..).unwrap_or_default());
    Cow::Owned(out)
}

/// Returns true if a body has a secret member. Of one that cannot be read, each name counts that stands
/// anywhere in it, and each integer that a name has in CBOR. One that no packer has made may have any name
/// behind the place where that shows: in packed CBOR a name is a number or other bytes.
pub(super) fn has_secrets(content: &Content) -> bool {
    let bytes = content.unpacked.as_ref().unwrap_or(&content.bytes);
    match &content.json {
        Some(Ok(json)) => !secret_values(json).is_empty(),
        Some(Err(BodyError::NotPacked(NotPacked::Item(_) | NotPacked::TooLong(_)))) => true,
        _ => SECRET_MEMBERS.iter().any(|name| {
            let is_there =
                |wanted: &[u8]| bytes.windows(wanted.len()).any(|bytes| bytes.eq_ignore_ascii_case(wanted));
            is_there(name.as_bytes())
                || content.kind == BodyKind::Cbor && key(name).is_some_and(|key| is_there(&key))
        }),
    }
}

/// Returns the integer of a name as CBOR writes it, of two bytes (RFC 8949 section 3.1).
fn key(name: &str) -> Option<[u8; 2]> {
    let integer = KeyTable::v1().integer(name)?;
    u8::try_from(integer).ok().filter(|integer| *integer >= 24).map(|integer| [0x18, integer])
}

/// Finds the values of secret members, in their order; none within another.
fn secret_values(json: &[u8]) -> Vec<Range<usize>> {
    let (mut values, mut at) = (Vec::new(), 0);
    while let Some(byte) = json.get(at) {
        if *byte != b'"' {
            at += 1;
            continue;
        }
        let end = end_of_string(json, at);
        let colon = skip_space(json, end);
        if json.get(colon) != Some(&b':') {
            at = end;
            continue;
        }
        let value = skip_space(json, colon + 1);
        if is_secret(json.get(at + 1..end.saturating_sub(1)).unwrap_or_default()) {
            at = end_of_value(json, value);
            values.push(value..at);
        } else {
            at = value;
        }
    }
    values
}

/// Returns whether the name of a member, as it stands between its quotes, is a secret one.
fn is_secret(name: &[u8]) -> bool {
    let name = unescape(name);
    SECRET_MEMBERS.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
}

/// Resolves the escapes that can stand for a character of a secret name; others become something that is in
/// none.
fn unescape(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
    let (mut plain, mut rest) = (Vec::new(), name);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            plain.push(*first);
        } else if let Some(digits) = behind.strip_prefix(b"u").and_then(|digits| digits.get(..4)) {
            let digits = std::str::from_utf8(digits).ok();
            let unit = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            plain.push(unit.unwrap_or(b'\\'));
            rest = behind.get(5..).unwrap_or_default();
        } else {
            plain.push(b'\\');
            rest = behind.get(1..).unwrap_or_default();
        }
    }
    Cow::Owned(plain)
}

fn skip_space(json: &[u8], from: usize) -> usize {
    let rest = json.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Returns where a string ends that begins with the quote at `start`: behind its other quote.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn end_of_value(json: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            // The end of what this is a member of.
            b'}' | b']' | b',' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(kind: BodyKind, bytes: &[u8], json: Option<&str>) -> Content {
        let json = json.map(|json| Ok(json.as_bytes().to_vec()));
        Content { kind, format: None, bytes: bytes.to_vec(), unpacked: None, json }
    }

    #[test]
    fn values_of_secret_members_are_hidden_at_any_depth_and_nothing_else() {
        for (json, expected) in [
            (r#"{"password":"x","a":1}"#, r#"{"password":"(hidden)","a":1}"#),
            (r#"[{"a":{"Token" : 17}}]"#, r#"[{"a":{"Token" : "(hidden)"}}]"#),
            (r#"{"token":17,"a":2}"#, r#"{"token":"(hidden)","a":2}"#),
            (r#"{"auth":{"a":["]",{}],"b":"}"},"c":[1]}"#, r#"{"auth":"(hidden)","c":[1]}"#),
            (r#"{"auth":[],"token":null}"#, r#"{"auth":"(hidden)","token":"(hidden)"}"#),
            (r#"{"p\u0061ssword":"x\"y","z":"w"}"#, r#"{"p\u0061ssword":"(hidden)","z":"w"}"#),
            (r#"{"a\"":"password","b":["token"]}"#, r#"{"a\"":"password","b":["token"]}"#),
            (r#"{"passwords":"x","a\\":{"b":1}}"#, r#"{"passwords":"x","a\\":{"b":1}}"#),
            (r#""password""#, r#""password""#),
        ] {
            assert_eq!(hide(json), expected);
            assert_eq!(has_secrets(&content(BodyKind::Json, b"", Some(json))), json != expected, "{json}");
        }
    }

    #[test]
    fn of_what_cannot_be_read_a_name_anywhere_counts() {
        for (kind, bytes, expected) in [
            (BodyKind::Other, &b"a=b&Refresh_Token=c"[..], true),
            (BodyKind::Cbor, b"\xa1\x68password", true),
            // 69 in the key table.
            (BodyKind::Cbor, b"\xa1\x18\x45\x61", true),
            (BodyKind::Other, b"\xa1\x18\x45\x61", false),
            (BodyKind::Cbor, b"\xa1\x18\x44\x61", false),
            (BodyKind::Text, b"no such room", false),
        ] {
            assert_eq!(has_secrets(&content(kind, bytes, None)), expected, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_no_secret_value_stays(text in r#"[{}\[\]",:a\\ é]{0,40}"#, value in "[b-z]{9}") {
            hide(&text);
            let json = format!("{{\"password\":[\"{value}\"]}}");
            prop_assert_eq!(hide(&json), r#"{"password":"(hidden)"}"#);
        }
    }
}

//! Option 256 of MSC3079: the Matrix access token that a message carries.
//!
//! By its number the option is elective: a server that does not know the option answers all the same. To
//! one that does, a credential that was given but cannot be read is refused by name, never skipped, because
//! the request would then run under the credential of an earlier one.

use super::code::Code;
use super::message::Message;
use super::numbers::{self, MAX_ACCESS_TOKEN};
use std::fmt;
use std::sync::Arc;

/// An access token without `Bearer `. From option 256 it has 1 to [`MAX_ACCESS_TOKEN`]
/// visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<str>);

impl AccessToken {
    /// Returns the text that the homeserver gave out.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AccessToken {
    fn from(text: &str) -> AccessToken {
        AccessToken(text.into())
    }
}

/// Omits the text, so that it does not end up in a log.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

/// Why the value of an option 256 is not an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Longer than [`MAX_ACCESS_TOKEN`] (RFC 7252 section 5.4.3).
    TooLong,
    /// The message has two of them (RFC 7252 section 5.4.5).
    Repeated,
    /// The value is not UTF-8.
    NotText,
    /// The value holds blanks, control characters, or anything outside ASCII.
    Characters,
}

impl Unreadable {
    /// Returns the code and the text of the refusal.
    pub fn refusal(self) -> (Code, &'static str) {
        match self {
            Unreadable::TooLong => {
                (Code::BAD_OPTION, "option 256 Authorization is longer than 4,096 bytes: use HTTPS")
            }
            Unreadable::Repeated => (Code::BAD_OPTION, "option 256 Authorization is repeated"),
            Unreadable::NotText => (Code::BAD_REQUEST, "option 256 Authorization is not UTF-8"),
            Unreadable::Characters => {
                (Code::BAD_REQUEST, "option 256 Authorization holds characters that no access token has")
            }
        }
    }
}

/// Access token that one message carries: `None` without an option 256, `Some(Ok(None))` with an empty one,
/// which means "without a token".
pub type Said = Option<Result<Option<AccessToken>, Unreadable>>;

/// Reads what the message says.
#[inline]
pub fn said(message: &Message) -> Said {
    let mut values = message.options().filter(|(number, _)| *number == numbers::AUTHORIZATION);
    let (_, value) = values.next()?;
    Some(if values.next().is_some() { Err(Unreadable::Repeated) } else { read(value) })
}

/// Reads the token without `Bearer `, which clients may write or leave out (and one of them writes twice).
fn read(value: &[u8]) -> Result<Option<AccessToken>, Unreadable> {
    const SCHEME: &str = "bearer ";
    if value.len() > MAX_ACCESS_TOKEN {
        return Err(Unreadable::TooLong);
    }
    let mut token = std::str::from_utf8(value).map_err(|_| Unreadable::NotText)?.trim_start();
    while let Some((scheme, rest)) = token.split_at_checked(SCHEME.len()) {
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            break;
        }
        token = rest.trim_start();
    }
    let token = token.trim_end();
    if token.eq_ignore_ascii_case(SCHEME.trim_end()) || token.is_empty() {
        return Ok(None);
    }
    // Any other character could end the header field, or would not be of the token that the
    // homeserver gave out.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Unreadable::Characters);
    }
    Ok(Some(token.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_taken_off_however_often_it_was_written() {
        for text in ["abc", "Bearer abc", "bearer abc", "BEARER  abc ", "Bearer Bearer abc", " Bearer abc"] {
            assert_eq!(read(text.as_bytes()), Ok(Some("abc".into())), "{text:?}");
        }
        for text in ["", " ", "Bearer", "Bearer ", "Bearer Bearer "] {
            assert_eq!(read(text.as_bytes()), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn what_no_token_holds_is_named() {
        for text in ["a\r\nx: y", "a\0", "a b", "Bearer a\u{7f}", "t\u{f6}ken", "a\tb"] {
            assert_eq!(read(text.as_bytes()), Err(Unreadable::Characters), "{text:?}");
        }
        for bytes in [&b"bob\xff\xfe"[..], b"\xff", b"Bearer \xc3"] {
            assert_eq!(read(bytes), Err(Unreadable::NotText), "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_token_is_read_and_one_byte_more_is_not() {
        let longest = vec![b't'; MAX_ACCESS_TOKEN];
        assert_eq!(read(&longest).unwrap().unwrap().as_str().len(), MAX_ACCESS_TOKEN);
        assert_eq!(read(&[&longest[..], b"t"].concat()), Err(Unreadable::TooLong));
    }
}

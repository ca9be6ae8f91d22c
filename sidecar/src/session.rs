//! What sticks to a session: the access token of option 256 and the CBOR version of option 257 (the protocol's section 4).
//!
//! It dies with the session. A session that never said anything of the kind costs nothing here.

use crate::refusal::Refusal;
use crate::status;
use lowband_codec::peek;
use lowband_transport::SessionId;
use lowband_transport::coap::RequestOptions;
use lowband_transport::coap::content_format::JSON;
use std::collections::HashMap;

/// The newest key table that we speak.
const NEWEST_VERSION: u8 = 1;

/// The sticky values of all sessions.
#[derive(Debug)]
pub struct Sessions {
    sticky: HashMap<SessionId, Sticky>,
    default_version: u8,
}

/// The sticky values of one session.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Sticky {
    /// The access token without `Bearer `.
    token: Option<Box<str>>,
    /// What option 257 said, at most [`NEWEST_VERSION`].
    version: Option<u8>,
    /// An integer key was seen in a body: the client knows version 1 (protocol, section 4).
    integer_keys: bool,
}

/// What holds for one request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The access token without `Bearer `.
    pub token: Option<Box<str>>,
    /// The token came with this very request.
    pub token_is_explicit: bool,
    /// 0 or 1.
    pub cbor_version: u8,
}

impl Sessions {
    /// `default_version` is for sessions that say nothing.
    pub fn new(default_version: u8) -> Sessions {
        Sessions { sticky: HashMap::new(), default_version }
    }

    /// Takes in what a request says, and tells what holds for it. A token replaces the one before it whatever becomes of
    /// the request, a malformed one included.
    pub fn note(
        &mut self,
        session: SessionId,
        options: &RequestOptions,
        body: &[u8],
    ) -> Result<Standing, Refusal> {
        let mut next = self.sticky.get(&session).cloned().unwrap_or_default();
        let token = options.authorization.as_deref().map(access_token);
        if let Some(token) = &token {
            next.token = token.clone().unwrap_or_default();
        }
        if let Some(version) = options.cbor_version {
            next.version = Some(u8::try_from(version).unwrap_or(NEWEST_VERSION).min(NEWEST_VERSION));
        }
        // Whoever knows the table by its own word or by default need not be watched.
        let unknown = next.version.is_none() && self.default_version < NEWEST_VERSION && !next.integer_keys;
        if unknown && body_is_cbor(options) {
            next.integer_keys = peek::uses_integer_keys(body).unwrap_or(false);
        }
        let standing = Standing {
            token: next.token.clone(),
            token_is_explicit: token.is_some(),
            cbor_version: next.version(self.default_version),
        };
        self.keep(session, next);
        match token {
            Some(Err(refusal)) => Err(refusal),
            _ => Ok(standing),
        }
    }

    /// The session is gone, and everything with it.
    pub fn forget(&mut self, session: SessionId) {
        self.sticky.remove(&session);
    }

    fn keep(&mut self, session: SessionId, next: Sticky) {
        if next == Sticky::default() {
            self.sticky.remove(&session);
        } else {
            self.sticky.insert(session, next);
        }
    }
}

impl Sticky {
    fn version(&self, default: u8) -> u8 {
        match self.version {
            Some(said) => said,
            None if self.integer_keys => NEWEST_VERSION,
            None => default,
        }
    }
}

fn body_is_cbor(options: &RequestOptions) -> bool {
    options.content_format != Some(JSON)
}

/// The access token in an option 256: without `Bearer `, which clients may write or leave out (and one of them writes
/// twice). An empty option takes the token away.
fn access_token(option: &str) -> Result<Option<Box<str>>, Refusal> {
    const SCHEME: &str = "bearer ";
    let mut token = option.trim_start();
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
    // Anything else could end the header field, or would not be the token that the homeserver gave out.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::diagnostic(
            status::BAD_REQUEST,
            "option 256 holds characters that no access token has",
        ));
    }
    Ok(Some(token.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId(1);
    const TWO: SessionId = SessionId(2);

    fn token(text: &str) -> RequestOptions {
        RequestOptions { authorization: Some(text.to_owned()), ..RequestOptions::default() }
    }

    fn version(number: u32) -> RequestOptions {
        RequestOptions { cbor_version: Some(number), ..RequestOptions::default() }
    }

    fn none() -> RequestOptions {
        RequestOptions::default()
    }

    #[test]
    fn bearer_is_taken_off_however_often_it_was_written() {
        for text in ["abc", "Bearer abc", "bearer abc", "BEARER  abc ", "Bearer Bearer abc", " Bearer abc"] {
            assert_eq!(access_token(text), Ok(Some("abc".into())), "{text:?}");
        }
        for text in ["", " ", "Bearer", "Bearer ", "Bearer Bearer "] {
            assert_eq!(access_token(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn a_token_that_could_break_a_header_is_refused() {
        for text in ["a\r\nx: y", "a\0", "a b", "Bearer a\u{7f}", "t\u{f6}ken", "a\tb"] {
            let refusal = access_token(text).unwrap_err();
            assert_eq!((refusal.code, refusal.errcode), (status::BAD_REQUEST, None), "{text:?}");
        }
    }

    #[test]
    fn a_token_sticks_to_its_session_until_another_replaces_it() {
        let mut sessions = Sessions::new(1);
        let first = sessions.note(ONE, &token("Bearer a"), b"").unwrap();
        assert_eq!((first.token.as_deref(), first.token_is_explicit), (Some("a"), true));
        let later = sessions.note(ONE, &none(), b"").unwrap();
        assert_eq!((later.token.as_deref(), later.token_is_explicit), (Some("a"), false));
        assert_eq!(sessions.note(TWO, &none(), b"").unwrap().token, None);
        sessions.note(ONE, &token("b"), b"").unwrap();
        assert_eq!(sessions.note(ONE, &none(), b"").unwrap().token.as_deref(), Some("b"));
    }

    #[test]
    fn a_malformed_or_empty_token_takes_the_sticky_one_away() {
        let mut sessions = Sessions::new(1);
        for bad in ["", "x\ny"] {
            sessions.note(ONE, &token("a"), b"").unwrap();
            let _ = sessions.note(ONE, &token(bad), b"");
            assert_eq!(sessions.note(ONE, &none(), b"").unwrap().token, None, "{bad:?}");
        }
    }

    #[test]
    fn a_session_that_ends_takes_its_token_along() {
        let mut sessions = Sessions::new(1);
        sessions.note(ONE, &token("a"), b"").unwrap();
        sessions.forget(ONE);
        assert_eq!(sessions.note(ONE, &none(), b"").unwrap().token, None);
        assert!(sessions.sticky.is_empty());
    }

    #[test]
    fn the_version_is_what_option_257_said_else_the_default() {
        for (default, said, expected) in [
            (1, None, 1),
            (0, None, 0),
            (1, Some(0), 0),
            (0, Some(1), 1),
            (0, Some(2), 1),
            (0, Some(70_000), 1),
        ] {
            let mut sessions = Sessions::new(default);
            if let Some(number) = said {
                sessions.note(ONE, &version(number), b"").unwrap();
            }
            assert_eq!(
                sessions.note(ONE, &none(), b"").unwrap().cbor_version,
                expected,
                "{default} {said:?}"
            );
        }
    }

    #[test]
    fn integer_keys_in_a_body_mean_version_1_from_that_request_on_unless_option_257_says_other() {
        let mut sessions = Sessions::new(0);
        let integer_key = b"\xa1\x02\x61x";
        assert_eq!(sessions.note(ONE, &none(), b"\xa1\x61a\x61x").unwrap().cbor_version, 0);
        assert_eq!(sessions.note(ONE, &none(), integer_key).unwrap().cbor_version, 1);
        assert_eq!(sessions.note(ONE, &none(), b"").unwrap().cbor_version, 1);
        assert_eq!(sessions.note(ONE, &version(0), integer_key).unwrap().cbor_version, 0);
        assert_eq!(sessions.note(TWO, &none(), b"\xff garbage").unwrap().cbor_version, 0);
    }
}

//! The key table that a session's client knows: the one that option 257 says
//! (`lowband_transport::coap::Standing`), else the one that its bodies show, else the default.
//!
//! What was seen is forgotten with the session. A session in which nothing was seen costs nothing here.

use lowband_codec::peek;
use lowband_transport::SessionId;
use lowband_transport::coap::Standing;
use lowband_wire::coap::content_format::JSON;
use lowband_wire::coap::options::RequestOptions;
use std::collections::HashSet;

/// The newest key table that this program speaks.
const NEWEST_VERSION: u8 = 1;

/// What is known of each session beyond the transport.
#[derive(Debug)]
pub struct Sessions {
    /// Sessions with integer keys in a body: the client knows version 1 (docs/protocol.md section 6).
    integer_keys: HashSet<SessionId>,
    default_version: u8,
}

impl Sessions {
    /// Makes an empty set; `default_version` is for sessions that say nothing.
    pub fn new(default_version: u8) -> Sessions {
        Sessions { integer_keys: HashSet::new(), default_version }
    }

    /// Returns the CBOR version for the answer to a request: 0 or 1.
    pub fn cbor_version(
        &mut self,
        session: SessionId,
        standing: &Standing,
        options: &RequestOptions,
        body: &[u8],
    ) -> u8 {
        if let Some(said) = standing.cbor_version {
            return u8::try_from(said).unwrap_or(NEWEST_VERSION).min(NEWEST_VERSION);
        }
        // A client that counts as knowing the table by default need not be watched.
        if self.default_version >= NEWEST_VERSION || self.integer_keys.contains(&session) {
            return NEWEST_VERSION;
        }
        let is_cbor = options.content_format != Some(JSON);
        if is_cbor && peek::uses_integer_keys(body).unwrap_or(false) {
            self.integer_keys.insert(session);
            return NEWEST_VERSION;
        }
        self.default_version
    }

    /// Forgets a session that has ended.
    pub fn forget(&mut self, session: SessionId) {
        self.integer_keys.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId(1);
    const TWO: SessionId = SessionId(2);

    fn said(version: Option<u32>) -> Standing {
        Standing { cbor_version: version, ..Standing::default() }
    }

    fn version(sessions: &mut Sessions, session: SessionId, said_version: Option<u32>, body: &[u8]) -> u8 {
        sessions.cbor_version(session, &said(said_version), &RequestOptions::default(), body)
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
            assert_eq!(version(&mut sessions, ONE, said, b""), expected, "{default} {said:?}");
        }
    }

    #[test]
    fn integer_keys_in_a_body_mean_version_1_from_that_request_on_unless_option_257_says_other() {
        let mut sessions = Sessions::new(0);
        let integer_key = b"\xa1\x02\x61x";
        assert_eq!(version(&mut sessions, ONE, None, b"\xa1\x61a\x61x"), 0);
        assert_eq!(version(&mut sessions, ONE, None, integer_key), 1);
        assert_eq!(version(&mut sessions, ONE, None, b""), 1);
        assert_eq!(version(&mut sessions, ONE, Some(0), integer_key), 0);
        assert_eq!(version(&mut sessions, TWO, None, b"\xff garbage"), 0);
        sessions.forget(ONE);
        assert_eq!(version(&mut sessions, ONE, None, b""), 0);
        assert!(sessions.integer_keys.is_empty());
    }
}

//! What a client hears if no way leads to the homeserver, in the words that real clients understand.
//!
//! | what was asked | answer | why |
//! |---|---|---|
//! | a sync | 504 | late: the client has waited for its poll anyway |
//! | something that changes nothing | 504 | the client knows whether it still wants it |
//! | a message, or anything that has not arrived for certain | 429 with `retry_after_ms` | the one answer after which matrix-js-sdk, matrix-sdk and matrix-nio all send it again |
//! | what may have arrived, and may not be done twice | 504 | nobody can say whether it was done |

use crate::answer::MatrixError;
use crate::asked::Kind;
use http::StatusCode;
use lowband_client::Error;
use std::time::Duration;

/// When a message is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// No way led to the homeserver in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down {
    /// Whether the request may have arrived all the same.
    pub(crate) may_have_arrived: bool,
}

impl Down {
    /// Returns what the client hears. `why`: see [`crate::ways::Ways::why`].
    pub(crate) fn error(self, kind: Kind, why: &str) -> MatrixError {
        let is_safe = match kind {
            Kind::Write => true,
            Kind::Once => !self.may_have_arrived,
            Kind::Sync(_) | Kind::Versions | Kind::Read => false,
        };
        if is_safe {
            return MatrixError {
                retry_after: Some(RETRY_AFTER),
                ..MatrixError::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", why)
            };
        }
        MatrixError::new(StatusCode::GATEWAY_TIMEOUT, "M_UNKNOWN", why)
    }
}

/// What a request over CoAP without an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// CoAP has no room for the request, or its answer: HTTPS may.
    Unfit,
    /// The link is down, and nothing of the request has arrived.
    Unsent,
    /// The link is down, and the request may have arrived.
    Lost,
}

/// Returns what an error of the connection means to its request.
pub(crate) fn meaning(error: &Error) -> Meaning {
    match error {
        Error::Target(_) | Error::AccessToken(_) | Error::Unsendable(_) => Meaning::Unfit,
        // The server has answered, and said nothing of use.
        Error::Protocol(_) | Error::NotPacked(_) | Error::Reset | Error::Other(_) => Meaning::Unfit,
        // What fails without having been sent is repeated by the connection itself, up to a point.
        Error::Closed(_) | Error::Timeout => Meaning::Lost,
        _ => Meaning::Unsent,
    }
}

/// Returns whether a request of which the server has seen something went wrong there, so that it must not be
/// carried out elsewhere.
pub(crate) fn has_arrived(error: &Error) -> bool {
    use Error::{Closed, NotPacked, Other, Protocol, Reset, Timeout};
    matches!(error, Protocol(_) | NotPacked(_) | Reset | Other(_) | Closed(_) | Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_client::CloseReason;

    #[test]
    fn what_can_be_sent_again_is_told_to_be_and_the_rest_is_not() {
        let sync = Kind::Sync(Duration::ZERO);
        for (kind, may_have_arrived, status) in [
            (sync, false, 504),
            (Kind::Versions, false, 504),
            (Kind::Read, true, 504),
            (Kind::Write, true, 429),
            (Kind::Once, false, 429),
            (Kind::Once, true, 504),
        ] {
            let error = Down { may_have_arrived }.error(kind, "down");
            assert_eq!(error.status, status, "{kind:?} {may_have_arrived}");
            assert_eq!(error.retry_after.is_some(), status == 429);
        }
    }

    #[test]
    fn a_lost_session_may_have_carried_the_request_and_a_failed_dial_has_not() {
        assert_eq!(meaning(&Error::Closed(CloseReason::Idle)), Meaning::Lost);
        assert_eq!(meaning(&Error::ConnectTimeout(Duration::ZERO)), Meaning::Unsent);
        assert_eq!(meaning(&Error::AccessToken(0)), Meaning::Unfit);
    }
}

//! Why the CoAP layer answers a request by itself, and with which code.

use super::super::failure::{OptionError, OptionFault};
use super::super::numbers::Code;

/// Why a request is answered at once; displayed, it is the diagnostic text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Refusal {
    #[error("{0}")]
    Option(OptionError),
    #[error("a path segment must not be . or ..")]
    DotSegment,
    #[error("path and query are longer than 4,096 bytes together")]
    PathTooLong,
    #[error("only GET, POST, PUT and DELETE are served")]
    Method,
    #[error("this server is not a forward proxy")]
    Proxying,
}

impl Refusal {
    pub(in super::super) fn code(self) -> Code {
        match self {
            // RFC 7959 section 2.2.
            Refusal::Option(OptionError { fault: OptionFault::ReservedSize, .. }) => Code::BAD_REQUEST,
            Refusal::Option(_) => Code::BAD_OPTION,
            Refusal::DotSegment | Refusal::PathTooLong => Code::BAD_REQUEST,
            Refusal::Method => Code::METHOD_NOT_ALLOWED,
            Refusal::Proxying => Code::PROXYING_NOT_SUPPORTED,
        }
    }

    /// Returns whether a non-confirmable request gets no answer for it (RFC 7252 section 5.4.1).
    pub(in super::super) fn is_bad_option(self) -> bool {
        self.code() == Code::BAD_OPTION
    }
}

impl From<OptionError> for Refusal {
    fn from(error: OptionError) -> Refusal {
        Refusal::Option(error)
    }
}

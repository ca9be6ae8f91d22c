//! Why a request cannot be served as it stands, and by which code that is answered.

use super::super::code::Code;
use super::super::fault::{OptionError, OptionFault};

/// Why a request is refused; displayed, it is the diagnostic text (RFC 7252 section 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A critical option is wrong or unknown (RFC 7252 section 5.4.1).
    #[error("{0}")]
    Option(OptionError),
    /// A Uri-Path is `.` or `..` (RFC 7252 section 5.10.1).
    #[error("a path segment must not be . or ..")]
    DotSegment,
    /// Path, query and what else names the body are longer than its limit.
    #[error("path and query are longer than 4,096 bytes together")]
    PathTooLong,
    /// The method is not one of [`super::super::Method`].
    #[error("only GET, POST, PUT and DELETE are served")]
    Method,
    /// Several Q-Block2 are not a list of blocks (RFC 9177 section 4.4).
    #[error("a list has at most 16 blocks of one size, in ascending order")]
    List,
    /// The request has both Q-Block2 and a block option of RFC 7959 (RFC 9177 section 4.1).
    #[error("Q-Block2 must not stand beside Block1 or Block2")]
    MixedBlocks,
    /// The request has a Proxy-Uri or Proxy-Scheme (RFC 7252 section 5.10.2).
    #[error("this server is not a forward proxy")]
    Proxying,
}

impl Refusal {
    /// Returns the code of the response.
    pub fn code(self) -> Code {
        match self {
            // RFC 7959 section 2.2.
            Refusal::Option(OptionError { fault: OptionFault::ReservedSize, .. }) => Code::BAD_REQUEST,
            Refusal::Option(_) | Refusal::MixedBlocks => Code::BAD_OPTION,
            Refusal::DotSegment | Refusal::PathTooLong | Refusal::List => Code::BAD_REQUEST,
            Refusal::Method => Code::METHOD_NOT_ALLOWED,
            Refusal::Proxying => Code::PROXYING_NOT_SUPPORTED,
        }
    }

    /// Returns whether a non-confirmable request gets no answer for it (RFC 7252 section 5.4.1).
    pub fn is_bad_option(self) -> bool {
        self.code() == Code::BAD_OPTION
    }
}

impl From<OptionError> for Refusal {
    fn from(error: OptionError) -> Refusal {
        Refusal::Option(error)
    }
}

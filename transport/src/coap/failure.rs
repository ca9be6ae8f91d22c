//! Why a request got no response, as values: whose fault it is, and where.

use super::numbers::{self, Code, MAX_ACCESS_TOKEN};
use std::fmt;

/// Why a request got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailReason {
    /// Network or peer: no acknowledgement after all retransmissions.
    #[error("no answer after all retransmissions")]
    Timeout,
    /// Peer: it answered with a Reset.
    #[error("the peer answered with a Reset")]
    Reset,
    /// Either end: the session ended.
    #[error("the session has ended")]
    SessionClosed,
    /// Caller: no CoAP message can carry the request.
    #[error("the request cannot be sent: {0}")]
    Unsendable(Unsendable),
    /// Peer: its response contradicts itself or the request, or is beyond a limit of ours.
    #[error("the response cannot be used: {0}")]
    Protocol(ProtocolError),
}

/// What no CoAP message can carry of a request (RFC 7252 section 5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// A value of [`super::RequestOptions::path`] is too long for Uri-Path.
    #[error("a path segment of more than 255 bytes does not fit into CoAP")]
    PathSegment {
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// A value of [`super::RequestOptions::query`] is too long for Uri-Query.
    #[error("a query parameter of more than 255 bytes does not fit into CoAP")]
    QueryParameter {
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// [`super::RequestOptions::authorization`] is longer than [`super::MAX_ACCESS_TOKEN`].
    #[error("an access token of more than {} bytes does not fit into option 256", MAX_ACCESS_TOKEN)]
    AccessToken {
        /// Length of the token in bytes.
        bytes: usize,
    },
    /// [`super::RequestOptions::host`] is empty or too long for Uri-Host.
    #[error("a Uri-Host has 1 to 255 bytes")]
    Host {
        /// Length of the host in bytes.
        bytes: usize,
    },
    /// The options together do not fit into one message, which they have to even if the body goes in blocks.
    #[error("too long: path, query and access token do not fit into one message of {most} bytes")]
    Message {
        /// Bytes of the longest message that the session carries.
        most: usize,
    },
}

/// How a response contradicts itself or its request, or which limit it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An acknowledgement of the request carries another token (RFC 7252 section 5.3.2).
    #[error("the acknowledgement carries a response to another request")]
    OtherRequest,
    /// An option refuses the response (RFC 7252 section 5.4.1).
    #[error("{0}")]
    Option(OptionError),
    /// 2.31 asks for a further block of the request, although the last one was sent (RFC 7959 section 2.9.1).
    #[error("2.31 came although nothing is missing")]
    UnexpectedContinue,
    /// The response to a block of the request is about another block (RFC 7959 section 2.3).
    #[error("another block was acknowledged than the one that was sent")]
    WrongAcknowledgement {
        /// NUM of the block that was sent.
        sent: u32,
        /// NUM of the block that was acknowledged.
        acknowledged: u32,
    },
    /// Request or response have more than 2^20 blocks of the size that was agreed (RFC 7959 section 2.2).
    #[error("the body has more blocks than {option} can number")]
    TooManyBlocks {
        /// Name of the option: Block1 for a request, Block2 for a response.
        option: &'static str,
    },
    /// The response is longer than [`super::Limits::download`].
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Two blocks of one response have different codes, both of them of success.
    #[error("the code changes from one block to the next")]
    CodeChanged {
        /// Code of the blocks before.
        from: Code,
        /// Code of this block.
        to: Code,
    },
    /// Two blocks of one response have different ETags (RFC 7959 section 2.4).
    #[error("the body has changed while it was read")]
    BodyChanged,
    /// A response without Block2 came to the request for a block that is not the first.
    #[error("a block was asked for and something else came")]
    NotABlock,
    /// A block of the response begins elsewhere than the one that was asked for.
    #[error("another block came than the one that was asked for")]
    WrongBlock {
        /// Where the block that was asked for begins in the body, in bytes.
        expected: usize,
        /// Where the block that came begins, in bytes.
        found: usize,
    },
    /// A block of the response is longer than its size, or shorter and not the last one.
    #[error("a block is not of the size that Block2 says")]
    BlockLength {
        /// Size of the block by its option, in bytes.
        size: usize,
        /// Length of the payload in bytes.
        payload: usize,
    },
}

/// An option because of which its message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Number of the option (RFC 7252 section 5.4.6: an odd one is critical).
    pub number: u16,
    /// What is wrong with the option.
    pub fault: OptionFault,
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionFault {
    /// The option is critical and means nothing to us (RFC 7252 section 5.4.1).
    Unknown,
    /// The value is longer or shorter than the option allows (RFC 7252 section 5.4.3).
    Length,
    /// The option stands twice and may stand once (RFC 7252 section 5.4.5).
    Repeated,
    /// The value should be text and is not UTF-8.
    NotUtf8,
    /// The option is a block option with SZX 7 (RFC 7959 section 2.2).
    ReservedSize,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionError { number, fault } = self;
        let why = match fault {
            OptionFault::Unknown => return write!(f, "option {number} is not known"),
            OptionFault::Length => "has an impossible length",
            OptionFault::Repeated => "is repeated",
            OptionFault::NotUtf8 => return write!(f, "option {number} is not UTF-8"),
            OptionFault::ReservedSize => return f.write_str("SZX 7 is reserved"),
        };
        match numbers::name(*number) {
            Some(name) => write!(f, "option {number} {name} {why}"),
            None => write!(f, "option {number} {why}"),
        }
    }
}

impl From<OptionError> for ProtocolError {
    fn from(error: OptionError) -> ProtocolError {
        ProtocolError::Option(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_named_where_its_name_helps() {
        for (number, fault, words) in [
            (9, OptionFault::Unknown, "option 9 is not known"),
            (17, OptionFault::Length, "option 17 Accept has an impossible length"),
            (27, OptionFault::Repeated, "option 27 Block1 is repeated"),
            (11, OptionFault::NotUtf8, "option 11 is not UTF-8"),
            (23, OptionFault::ReservedSize, "SZX 7 is reserved"),
        ] {
            assert_eq!(OptionError { number, fault }.to_string(), words);
        }
    }
}

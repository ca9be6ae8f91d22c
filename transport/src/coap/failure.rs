//! Why a request got no response, as values: whose fault it is, and where.

use lowband_wire::coap::Code;
use lowband_wire::coap::fault::{OptionError, Unsendable};

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

impl From<OptionError> for ProtocolError {
    fn from(error: OptionError) -> ProtocolError {
        ProtocolError::Option(error)
    }
}

//! The options of a response as they arrive (RFC 7252 section 5.10).

use super::super::block::Block;
use super::super::fault::{OptionError, OptionFault};
use super::super::message::Message;
use super::super::numbers;
use super::super::uint::from_uint;
use super::{block, recognised};

/// The options of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseOptions {
    /// Content-Format (option 12): the format of the body, see [`super::super::content_format`].
    pub content_format: Option<u16>,
    /// Max-Age (option 14): how long the response holds, in seconds; of a 5.03, when to ask again.
    pub max_age: Option<u32>,
    /// Length of the whole body in bytes, where known: becomes Size2 when the body needs blocks.
    pub size: Option<u64>,
}

/// A response, parsed into what a client acts upon.
#[derive(Debug, Default)]
pub struct ParsedResponse {
    /// The options that mean the same in each message of the response.
    pub options: ResponseOptions,
    /// Block1: which block of the request body is answered.
    pub block1: Option<Block>,
    /// Block2: which block of the response body the message carries.
    pub block2: Option<Block>,
    /// Q-Block2: the same, in an answer to a request that had this option.
    pub q_block2: Option<Block>,
    /// ETag: which state of the resource the body is.
    pub etag: Option<Vec<u8>>,
    /// What the server says it is capable of; 0 if it says nothing.
    pub capabilities: u32,
}

impl ParsedResponse {
    /// Returns the response, or the option for which it is to be rejected (RFC 7252 section 5.4.1); and what
    /// was wrong with options that were ignored.
    pub fn parse(message: &Message) -> (Result<ParsedResponse, OptionError>, Vec<OptionFault>) {
        let mut ignored = Vec::new();
        let result = ParsedResponse::of(message, &mut ignored);
        (result, ignored)
    }

    fn of(message: &Message, ignored: &mut Vec<OptionFault>) -> Result<ParsedResponse, OptionError> {
        let mut parsed = ParsedResponse::default();
        for (number, value) in recognised(message, &numbers::IN_RESPONSES, ignored)? {
            match number {
                numbers::CONTENT_FORMAT => {
                    parsed.options.content_format = from_uint(value).map(|value| value as u16);
                }
                numbers::MAX_AGE => parsed.options.max_age = from_uint(value),
                numbers::ETAG => parsed.etag = Some(value.to_vec()),
                numbers::SIZE2 => parsed.options.size = from_uint(value).map(u64::from),
                numbers::BLOCK1 => parsed.block1 = Some(block(number, value)?),
                numbers::BLOCK2 => parsed.block2 = Some(block(number, value)?),
                numbers::Q_BLOCK2 => parsed.q_block2 = Some(block(number, value)?),
                numbers::CAPABILITIES => parsed.capabilities = from_uint(value).unwrap_or(0),
                _ => {}
            }
        }
        Ok(parsed)
    }
}

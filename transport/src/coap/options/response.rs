//! The options of a response as they arrive (RFC 7252 section 5.10).

use super::super::block::{Block, from_uint};
use super::super::counters::Counters;
use super::super::message::Message;
use super::super::numbers;
use super::{block, recognised};

/// The options of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseOptions {
    /// Content-Format (12).
    pub content_format: Option<u16>,
    /// Max-Age (14), seconds.
    pub max_age: Option<u32>,
    /// Whole length of the body where known: becomes Size2 when the body needs blocks.
    pub size: Option<u64>,
}

/// A response, parsed into what the client acts upon.
#[derive(Debug)]
pub(in super::super) struct ParsedResponse {
    pub options: ResponseOptions,
    pub block1: Option<Block>,
    pub block2: Option<Block>,
    pub etag: Option<Vec<u8>>,
}

impl ParsedResponse {
    /// An error is the reason to reject the response (RFC 7252 section 5.4.1), in words.
    pub(in super::super) fn parse(
        message: &Message,
        counters: &mut Counters,
    ) -> Result<ParsedResponse, String> {
        let mut parsed =
            ParsedResponse { options: ResponseOptions::default(), block1: None, block2: None, etag: None };
        for (number, value) in
            recognised(message, &numbers::IN_RESPONSES, counters).map_err(|refusal| refusal.text)?
        {
            match number {
                numbers::CONTENT_FORMAT => {
                    parsed.options.content_format = from_uint(value).map(|value| value as u16);
                }
                numbers::MAX_AGE => parsed.options.max_age = from_uint(value),
                numbers::ETAG => parsed.etag = Some(value.to_vec()),
                numbers::SIZE2 => parsed.options.size = from_uint(value).map(u64::from),
                numbers::BLOCK1 => {
                    parsed.block1 = Some(block(value, counters).map_err(|refusal| refusal.text)?)
                }
                numbers::BLOCK2 => {
                    parsed.block2 = Some(block(value, counters).map_err(|refusal| refusal.text)?)
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

//! Response bodies that arrive in blocks: the receiving side of Block2 (RFC 7959 section 2.4).
//!
//! Whether the pieces belong together is checked at every block: the same ETag and code, the offset that was asked for, and
//! whole blocks but for the last. Size2 is an estimate (RFC 7959 section 4): it refuses early what is above the limit, and
//! decides nothing else. One block after the other for now; what asks for several at once goes here as well.

use super::block::Block;
use super::client::Response;
use super::counters::Counters;
use super::numbers::Code;
use super::options::{ParsedResponse, ResponseOptions};

#[derive(Debug)]
pub(super) struct Download {
    code: Code,
    options: ResponseOptions,
    etag: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// What comes after a block.
#[derive(Debug)]
pub(super) enum Progress {
    /// This block is to be asked for.
    Next(Download, Block),
    Whole(Response),
}

impl Download {
    /// The first response to a request. An error says how it contradicts itself or which limit it breaks.
    pub(super) fn start(
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
        limit: usize,
        counters: &mut Counters,
    ) -> Result<Progress, String> {
        let ParsedResponse { options, block2, etag, .. } = response;
        let Some(block) = block2 else {
            return Ok(Progress::Whole(Response { code, options, body: payload }));
        };
        if options.size.is_some_and(|size| size > limit as u64) {
            counters.downloads_too_large += 1;
            return Err(format!("the body is larger than {limit} bytes"));
        }
        let download = Download { code, options, etag, body: Vec::new() };
        download.append(block, &payload, limit, counters)
    }

    /// Whether a block is one of another body: the resource has changed (RFC 7959 section 2.4).
    pub(super) fn is_of_another(&self, code: Code, response: &ParsedResponse) -> bool {
        code == self.code && response.block2.is_some() && response.etag != self.etag
    }

    /// A further response. One without success takes the place of the body: the server could not go on.
    pub(super) fn add(
        self,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
        limit: usize,
        counters: &mut Counters,
    ) -> Result<Progress, String> {
        let ParsedResponse { options, block2, etag, .. } = response;
        if code != self.code && !code.is_success() {
            return Ok(Progress::Whole(Response { code, options, body: payload }));
        }
        let contradiction = if code != self.code {
            Some("the code changes from one block to the next")
        } else if etag != self.etag {
            Some("the body has changed while it was read")
        } else {
            None
        };
        let block = block2.filter(|_| contradiction.is_none()).ok_or_else(|| {
            counters.responses_contradictory += 1;
            contradiction.unwrap_or("a block was asked for and something else came").to_owned()
        })?;
        self.append(block, &payload, limit, counters)
    }

    fn append(
        mut self,
        block: Block,
        payload: &[u8],
        limit: usize,
        counters: &mut Counters,
    ) -> Result<Progress, String> {
        let length = self.body.len() + payload.len();
        let size = block.size.bytes();
        let contradiction = if block.offset() != self.body.len() {
            Some("another block came than the one that was asked for")
        } else if payload.len() > size || (block.more && payload.len() < size) {
            Some("a block is not of the size that Block2 says")
        } else {
            None
        };
        if let Some(contradiction) = contradiction {
            counters.responses_contradictory += 1;
            return Err(contradiction.into());
        }
        if length > limit {
            counters.downloads_too_large += 1;
            return Err(format!("the body is larger than {limit} bytes"));
        }
        self.body.extend_from_slice(payload);
        if !block.more {
            return Ok(Progress::Whole(Response { code: self.code, options: self.options, body: self.body }));
        }
        match Block::at(self.body.len(), block.size, false) {
            Some(next) => Ok(Progress::Next(self, next)),
            None => Err("the body has more blocks than Block2 can number".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::BlockSize;
    use super::*;

    fn block(num: u32, more: bool, szx: u8) -> Option<Block> {
        Some(Block { num, more, size: BlockSize::from_szx(szx).unwrap() })
    }

    fn response(block2: Option<Block>, etag: &[u8], size: Option<u64>) -> ParsedResponse {
        let options = ResponseOptions { size, ..Default::default() };
        ParsedResponse { options, block1: None, block2, etag: Some(etag.to_vec()) }
    }

    /// First block 0 of 16 bytes, then the given response.
    fn second(
        code: Code,
        then: ParsedResponse,
        payload: usize,
        promised: Option<u64>,
    ) -> Result<Progress, String> {
        let mut counters = Counters::default();
        let first = response(block(0, true, 0), b"e", promised);
        let Ok(Progress::Next(download, next)) =
            Download::start(Code::CONTENT, first, vec![1; 16], 40, &mut counters)
        else {
            panic!("the first block is in order")
        };
        assert_eq!((next.num, next.more), (1, false));
        let result = download.add(code, then, vec![2; payload], 40, &mut counters);
        assert_eq!(result.is_err(), counters.responses_contradictory + counters.downloads_too_large == 1);
        result
    }

    #[test]
    fn blocks_that_belong_together_make_a_body() {
        for promised in [None, Some(20), Some(19), Some(21), Some(0)] {
            let result = second(Code::CONTENT, response(block(1, false, 0), b"e", None), 4, promised);
            let Ok(Progress::Whole(whole)) = result else { panic!("{result:?}") };
            assert_eq!(whole.body, [vec![1; 16], vec![2; 4]].concat());
            assert_eq!(whole.options.size, promised);
        }
        // A smaller size from here on (RFC 7959 section 2.4) does not exist below 16, a larger one does.
        assert!(second(Code::CONTENT, response(block(1, true, 0), b"e", None), 16, None).is_ok());
    }

    #[test]
    fn blocks_that_contradict_each_other_make_none() {
        let cases = [
            (Code::CONTENT, block(1, false, 0), b"f", 4),
            (Code::CREATED, block(1, false, 0), b"e", 4),
            (Code::CONTENT, block(2, false, 0), b"e", 4),
            (Code::CONTENT, block(0, true, 0), b"e", 16),
            (Code::CONTENT, None, b"e", 4),
            (Code::CONTENT, block(1, true, 0), b"e", 15),
            (Code::CONTENT, block(1, false, 0), b"e", 17),
        ];
        for (code, block2, etag, payload) in cases {
            let result = second(code, response(block2, etag, None), payload, None);
            assert!(result.is_err(), "{block2:?}");
        }
    }

    #[test]
    fn an_error_in_place_of_a_block_is_the_answer() {
        let result = second(Code::REQUEST_ENTITY_INCOMPLETE, response(None, b"", None), 5, None);
        let Ok(Progress::Whole(whole)) = result else { panic!("{result:?}") };
        assert_eq!((whole.code, whole.body.len()), (Code::REQUEST_ENTITY_INCOMPLETE, 5));
    }

    #[test]
    fn a_body_above_the_limit_is_refused_as_soon_as_it_is_known() {
        let mut counters = Counters::default();
        let promised = response(block(0, true, 0), b"e", Some(41));
        assert!(Download::start(Code::CONTENT, promised, vec![1; 16], 40, &mut counters).is_err());
        let unpromised = response(block(0, true, 2), b"e", None);
        assert!(Download::start(Code::CONTENT, unpromised, vec![1; 64], 40, &mut counters).is_err());
        assert_eq!(counters.downloads_too_large, 2);
    }
}

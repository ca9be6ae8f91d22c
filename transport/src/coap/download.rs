//! Response bodies that arrive in blocks: the receiving side of Block2 (RFC 7959 section 2.4).
//!
//! Whether the pieces belong together is checked at every block: the same ETag and code, the offset that was
//! asked for, and whole blocks but for the last. Size2 is an estimate (RFC 7959 section 4): it refuses early
//! what is above the limit, and decides nothing else. Blocks are asked for one after the other for now; code
//! that asks for several at once would go here as well.

use super::exchanged::Response;
use super::failure::ProtocolError;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::options::{ParsedResponse, ResponseOptions};

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
    /// Block that is to be asked for.
    Next(Download, Block),
    Whole(Response),
}

impl Download {
    /// Begins with the first response to a request. An error says how it contradicts itself or which limit it
    /// breaks.
    pub(super) fn start(
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
        limit: usize,
    ) -> Result<Progress, ProtocolError> {
        let ParsedResponse { options, block2, etag, .. } = response;
        let Some(block) = block2 else {
            return Ok(Progress::Whole(Response { code, options, body: payload }));
        };
        if options.size.is_some_and(|size| size > limit as u64) {
            return Err(ProtocolError::TooLarge { limit });
        }
        let download = Download { code, options, etag, body: Vec::new() };
        download.append(block, &payload, limit)
    }

    /// Counts the bytes that have come.
    pub(super) fn received(&self) -> usize {
        self.body.len()
    }

    /// Returns how long the peer says the body is.
    pub(super) fn size(&self) -> Option<u64> {
        self.options.size
    }

    /// Returns whether a block belongs to another body: the resource has changed (RFC 7959 section 2.4).
    pub(super) fn is_of_another(&self, code: Code, response: &ParsedResponse) -> bool {
        code == self.code && response.block2.is_some() && response.etag != self.etag
    }

    /// Adds a further response. A response without success replaces the body: the server could not go on.
    pub(super) fn add(
        self,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
        limit: usize,
    ) -> Result<Progress, ProtocolError> {
        let ParsedResponse { options, block2, etag, .. } = response;
        if code != self.code && !code.is_success() {
            return Ok(Progress::Whole(Response { code, options, body: payload }));
        }
        if code != self.code {
            return Err(ProtocolError::CodeChanged { from: self.code, to: code });
        }
        if etag != self.etag {
            return Err(ProtocolError::BodyChanged);
        }
        let block = block2.ok_or(ProtocolError::NotABlock)?;
        self.append(block, &payload, limit)
    }

    fn append(mut self, block: Block, payload: &[u8], limit: usize) -> Result<Progress, ProtocolError> {
        let length = self.body.len() + payload.len();
        let size = block.size.bytes();
        if block.offset() != self.body.len() {
            return Err(ProtocolError::WrongBlock { expected: self.body.len(), found: block.offset() });
        }
        if payload.len() > size || (block.more && payload.len() < size) {
            return Err(ProtocolError::BlockLength { size, payload: payload.len() });
        }
        if length > limit {
            return Err(ProtocolError::TooLarge { limit });
        }
        self.body.extend_from_slice(payload);
        if !block.more {
            return Ok(Progress::Whole(Response { code: self.code, options: self.options, body: self.body }));
        }
        match Block::at(self.body.len(), block.size, false) {
            Some(next) => Ok(Progress::Next(self, next)),
            None => Err(ProtocolError::TooManyBlocks { option: "Block2" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::block::BlockSize;

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
    ) -> Result<Progress, ProtocolError> {
        let first = response(block(0, true, 0), b"e", promised);
        let Ok(Progress::Next(download, next)) = Download::start(Code::CONTENT, first, vec![1; 16], 40)
        else {
            panic!("the first block is in order")
        };
        assert_eq!((next.num, next.more), (1, false));
        download.add(code, then, vec![2; payload], 40)
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
        use ProtocolError as E;
        let changed = E::CodeChanged { from: Code::CONTENT, to: Code::CREATED };
        let cases = [
            (Code::CONTENT, block(1, false, 0), b"f", 4, E::BodyChanged),
            (Code::CREATED, block(1, false, 0), b"e", 4, changed),
            (Code::CONTENT, block(2, false, 0), b"e", 4, E::WrongBlock { expected: 16, found: 32 }),
            (Code::CONTENT, block(0, true, 0), b"e", 16, E::WrongBlock { expected: 16, found: 0 }),
            (Code::CONTENT, None, b"e", 4, E::NotABlock),
            (Code::CONTENT, block(1, true, 0), b"e", 15, E::BlockLength { size: 16, payload: 15 }),
            (Code::CONTENT, block(1, false, 0), b"e", 17, E::BlockLength { size: 16, payload: 17 }),
        ];
        for (code, block2, etag, payload, expected) in cases {
            let result = second(code, response(block2, etag, None), payload, None);
            assert_eq!(result.err(), Some(expected), "{block2:?}");
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
        let promised = response(block(0, true, 0), b"e", Some(41));
        let unpromised = response(block(0, true, 2), b"e", None);
        for (response, payload) in [(promised, 16), (unpromised, 64)] {
            let result = Download::start(Code::CONTENT, response, vec![1; payload], 40);
            assert_eq!(result.err(), Some(ProtocolError::TooLarge { limit: 40 }));
        }
    }
}

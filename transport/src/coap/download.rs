//! Response bodies that arrive in blocks, in any order: the receiving side of Block2 (RFC 7959 section 2.4).
//!
//! ```text
//!   0              body              ahead          next                     end, or what Size2 says
//!   |-- without gaps --|  gap  |##|  gap  |###|-------|   not asked for yet    |
//!                        wanted: lost           asked
//! ```
//!
//! Whether the pieces belong together is checked at every block: the same ETag and code, the offset that was
//! asked for, whole blocks but for the last, and, of servers that name no ETag, the same length. Places are
//! bytes, not numbers: the size of blocks may become smaller in the middle of a body.
//!
//! Size2 is an estimate (RFC 7959 section 4): it refuses early what is above the limit, nothing is asked for
//! beyond it as long as blocks before it are missing, and it makes us allocate nothing. Some servers forget a
//! body once its last block was asked for, so that one is asked for last of all.
//!
//! Without a length, blocks beyond the end may be asked for. What is answered to such a request refuses that
//! place alone, and counts only if the body turns out to have nothing before it.

use super::body::Body;
use super::client::Partial;
use super::exchanged::Response;
use super::failure::ProtocolError;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::options::{ParsedResponse, ResponseOptions};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes from the first gap of a body to the newest block asked for: a server of ours may drop what lies
/// 256 KiB behind it.
const AHEAD: usize = 192 << 10;

#[derive(Debug)]
pub(super) struct Download {
    code: Code,
    options: ResponseOptions,
    etag: Option<Vec<u8>>,
    /// Size of the blocks to be asked for.
    size: BlockSize,
    /// The beginning, as far as it has no gap.
    body: Vec<u8>,
    /// Blocks behind a gap, by offset.
    ahead: BTreeMap<usize, Vec<u8>>,
    /// Bytes of those blocks.
    ahead_bytes: usize,
    /// Length of the body, once its last block has come.
    end: Option<usize>,
    /// The lowest place at which something else came than a block, and what came.
    refused: Option<(usize, Option<Response>)>,
    /// Number of the newest request for each place that has been asked for and has not come.
    asked: BTreeMap<usize, u64>,
    /// Places to be asked for once more.
    wanted: BTreeSet<usize>,
    /// First place that has never been asked for.
    next: usize,
}

/// What comes after a block.
#[derive(Debug)]
pub(super) enum Progress {
    /// Further blocks are missing.
    More(Box<Download>),
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
        let mut download = Download {
            code,
            options,
            etag,
            size: block.size,
            body: Vec::new(),
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            end: None,
            refused: None,
            asked: BTreeMap::new(),
            wanted: BTreeSet::new(),
            next: 0,
        };
        download.take(block, &payload, Block { num: 0, ..block }, limit)?;
        Ok(match download.whole() {
            Some(response) => Progress::Whole(response),
            None => Progress::More(Box::new(download)),
        })
    }

    /// Returns whether a block is the last one, as far as the length is known, and alone is missing.
    pub(super) fn is_last(&self, block: Block) -> bool {
        let length = self.end.or(self.options.size.map(|size| size as usize));
        let ends = length.is_some_and(|length| block.offset() + block.size.bytes() >= length);
        ends && self.body.len() >= block.offset()
    }

    /// Returns the beginning of the response, without gaps.
    pub(super) fn partial(&self, restarts: u8) -> Partial<'_> {
        Partial { code: self.code, options: &self.options, body: &self.body, restarts }
    }

    /// Counts the bytes that have come.
    pub(super) fn received(&self) -> usize {
        self.body.len() + self.ahead_bytes
    }

    /// Returns how long the peer says the body is.
    pub(super) fn size(&self) -> Option<u64> {
        self.end.map(|end| end as u64).or(self.options.size)
    }

    /// Returns whether a block belongs to another body: the resource has changed (RFC 7959 section 2.4).
    pub(super) fn is_of_another(&self, code: Code, response: &ParsedResponse) -> bool {
        let is_other = match (&self.etag, &response.etag) {
            (None, None) => match (self.options.size, response.options.size) {
                (Some(ours), Some(theirs)) => ours != theirs,
                _ => false,
            },
            (ours, theirs) => ours != theirs,
        };
        code == self.code && response.block2.is_some() && is_other
    }

    /// Wants what has not come between two places.
    fn want(&mut self, from: usize, to: usize) {
        let to = self.end.map_or(to, |end| to.min(end));
        for offset in (from..to).step_by(self.size.bytes()) {
            if !self.has(offset) && !self.asked.contains_key(&offset) {
                self.wanted.insert(offset);
            }
        }
    }

    fn has(&self, offset: usize) -> bool {
        offset < self.body.len() || self.ahead.contains_key(&offset)
    }

    /// Makes the blocks to be asked for smaller. What is asked for already may come as it was asked for.
    pub(super) fn cut(&mut self, size: BlockSize) {
        if size >= self.size {
            return;
        }
        let before = self.size.bytes();
        self.size = size;
        for offset in std::mem::take(&mut self.wanted) {
            self.want(offset, offset + before);
        }
    }

    /// Adds a further response, to the request for `asked`; returns the whole response if nothing is missing
    /// any more. A response without success replaces the body: the server could not go on.
    pub(super) fn add(
        &mut self,
        asked: Block,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
        limit: usize,
    ) -> Result<Option<Response>, ProtocolError> {
        let is_of_another = self.is_of_another(code, &response);
        let ParsedResponse { options, block2, etag, .. } = response;
        let offset = asked.offset();
        if code != self.code && !code.is_success() {
            let response = Response { code, options, body: payload };
            let is_known = offset < self.body.len() || self.has_beyond(asked);
            if is_known || self.end.is_some_and(|end| offset < end) {
                return Ok(Some(response));
            }
            self.refuse(offset, Some(response));
            return Ok(self.whole());
        }
        if code != self.code {
            return Err(ProtocolError::CodeChanged { from: self.code, to: code });
        }
        if is_of_another || (block2.is_none() && etag != self.etag) {
            return Err(ProtocolError::BodyChanged);
        }
        let block = block2.ok_or(ProtocolError::NotABlock)?;
        self.take(block, &payload, asked, limit)?;
        // The rest of what was asked for, where a smaller block has come.
        if block.size < asked.size {
            self.want(offset + block.size.bytes(), offset + asked.size.bytes());
        }
        Ok(self.whole())
    }

    fn refuse(&mut self, offset: usize, why: Option<Response>) {
        self.asked.remove(&offset);
        if self.refused.as_ref().is_none_or(|(before, _)| offset < *before) {
            self.refused = Some((offset, why));
        }
        self.wanted.retain(|wanted| *wanted < offset);
    }

    fn take(
        &mut self,
        block: Block,
        payload: &[u8],
        asked: Block,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        let (offset, size, length) = (block.offset(), block.size.bytes(), payload.len());
        if offset != asked.offset() {
            return Err(ProtocolError::WrongBlock { expected: asked.offset(), found: offset });
        }
        if size > asked.size.bytes() {
            return Err(ProtocolError::BlockLength { size: asked.size.bytes(), payload: length });
        }
        if length > size || (block.more && length < size) {
            return Err(ProtocolError::BlockLength { size, payload: length });
        }
        if offset + length > limit {
            return Err(ProtocolError::TooLarge { limit });
        }
        if block.more && Block::at(offset + size, block.size, false).is_none() {
            return Err(ProtocolError::TooManyBlocks { option: "Block2" });
        }
        self.cut(block.size);
        if offset > 0 && payload.is_empty() {
            // Some servers answer so beyond the end. The body may end just there.
            if self.has_beyond(block) || self.options.size.is_some_and(|told| told > offset as u64) {
                return Err(ProtocolError::BodyChanged);
            }
            self.refuse(offset, None);
            return Ok(());
        }
        let end = offset + length;
        let is_beyond = self.end.is_some_and(|known| end > known || (!block.more && end != known));
        let has_more = !block.more && (self.body.len() > end || self.has_beyond(block));
        if is_beyond || has_more || (block.more && self.end == Some(end)) {
            return Err(ProtocolError::BodyChanged);
        }
        if !block.more {
            // What was refused inside the body is not asked for again: `whole` says what that means.
            if self.refused.as_ref().is_some_and(|(at, why)| *at < end && why.is_none()) {
                return Err(ProtocolError::BodyChanged);
            }
            self.end = Some(end);
            self.refused = self.refused.take().filter(|(at, _)| *at < end);
            self.wanted.retain(|wanted| *wanted < end);
        }
        self.next = self.next.max(end);
        // A block that was asked for before blocks became smaller may meet some of these.
        for (at, piece) in (offset..).step_by(self.size.bytes()).zip(payload.chunks(self.size.bytes())) {
            self.asked.remove(&at);
            self.wanted.remove(&at);
            if !self.has(at) {
                self.ahead_bytes += piece.len();
                self.ahead.insert(at, piece.to_vec());
            }
        }
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() == self.body.len()) {
            let next = entry.remove();
            self.ahead_bytes -= next.len();
            self.body.extend_from_slice(&next);
        }
        Ok(())
    }

    /// Wants all that has been asked for and has not come, what was refused included.
    pub(super) fn lose_all(&mut self) {
        if let Some((at, _)) = self.refused.take() {
            self.wanted.insert(at);
        }
        for offset in std::mem::take(&mut self.asked).into_keys() {
            self.want(offset, offset + self.size.bytes());
        }
    }

    /// Returns the code of all blocks.
    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// Returns the response if nothing is missing any more.
    fn whole(&mut self) -> Option<Response> {
        let come = self.body.len();
        let refusal = match &self.refused {
            Some((at, why)) if self.end.map_or(come >= *at, |end| *at < end) => Some(why.clone()),
            _ => None,
        };
        match refusal {
            Some(Some(response)) => return Some(response),
            None if self.end.is_none_or(|end| come < end) => return None,
            _ => {}
        }
        let body = std::mem::take(&mut self.body);
        Some(Response { code: self.code, options: std::mem::take(&mut self.options), body })
    }
}

impl Body for Download {
    fn missing(&self, last_at_last: bool) -> Option<Block> {
        let told = self.options.size.map(|size| size as usize);
        let end = self.end.or(self.refused.as_ref().map(|(at, _)| *at));
        let may_ask = |offset: usize| {
            let is_last = self.end.or(told).is_some_and(|length| offset + self.size.bytes() >= length);
            let is_inside = end.is_none_or(|end| offset < end)
                && (self.end.is_some() || told.is_none_or(|told| offset < told) || self.body.len() >= offset);
            is_inside && (!is_last || !last_at_last || self.body.len() >= offset)
        };
        let wanted = self.wanted.first().copied().filter(|offset| may_ask(*offset));
        let further = || {
            let is_near = self.next.saturating_sub(self.body.len()) < AHEAD;
            Some(self.next).filter(|offset| is_near && may_ask(*offset))
        };
        Block::at(wanted.or_else(further)?, self.size, false)
    }

    fn is_asked(&mut self, block: Block, number: u64) {
        let offset = block.offset();
        self.wanted.remove(&offset);
        self.next = self.next.max(offset + block.size.bytes());
        self.asked.insert(offset, number);
    }

    fn is_newest(&self, block: Block, number: u64) -> bool {
        self.asked.get(&block.offset()) == Some(&number)
    }

    fn is_lost(&mut self, block: Block, number: u64) {
        if self.is_newest(block, number) {
            self.asked.remove(&block.offset());
            self.want(block.offset(), block.offset() + block.size.bytes());
        }
    }

    fn has_beyond(&self, block: Block) -> bool {
        self.ahead.last_key_value().is_some_and(|(offset, _)| *offset > block.offset())
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
        ParsedResponse { options, block2, etag: Some(etag.to_vec()), ..Default::default() }
    }

    /// First block 0 of 16 bytes, then the given response.
    fn second(
        code: Code,
        then: ParsedResponse,
        payload: usize,
        promised: Option<u64>,
    ) -> Result<Option<Response>, ProtocolError> {
        let first = response(block(0, true, 0), b"e", promised);
        let Ok(Progress::More(mut download)) = Download::start(Code::CONTENT, first, vec![1; 16], 40) else {
            panic!("the first block is in order")
        };
        let next = download.missing(true).unwrap();
        assert_eq!((next.num, next.more), (1, false));
        download.add(next, code, then, vec![2; payload], 40)
    }

    #[test]
    fn blocks_that_belong_together_make_a_body() {
        for promised in [None, Some(20), Some(19), Some(21), Some(0)] {
            let result = second(Code::CONTENT, response(block(1, false, 0), b"e", None), 4, promised);
            let Ok(Some(whole)) = result else { panic!("{result:?}") };
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
        let Ok(Some(whole)) = result else { panic!("{result:?}") };
        assert_eq!((whole.code, whole.body.len()), (Code::REQUEST_ENTITY_INCOMPLETE, 5));
    }

    #[test]
    fn a_block_that_was_refused_before_the_end_was_known_refuses_the_body() {
        // Blocks 1 to 3 have been asked for; 2 has been refused, then 3 comes, and is the last.
        let last_after = |code, refusal| {
            let first = response(block(0, true, 0), b"e", None);
            let Ok(Progress::More(mut download)) = Download::start(Code::CONTENT, first, vec![1; 16], 99)
            else {
                panic!("the first block is in order")
            };
            let asked = [1, 2, 3].map(|number| {
                let block = download.missing(true).unwrap();
                download.is_asked(block, number);
                block
            });
            let refused = download.add(asked[1], code, refusal, vec![], 99);
            assert_eq!(refused, Ok(None), "it may lie beyond the end");
            let last = response(block(3, false, 0), b"e", None);
            let result = download.add(asked[2], Code::CONTENT, last, vec![3; 4], 99);
            // A peer that may take one request at a time only is asked for all of it again.
            download.lose_all();
            assert_eq!(download.missing(true).map(|block| block.num), Some(1));
            result
        };
        let refused = last_after(Code::SERVICE_UNAVAILABLE, response(None, b"", None));
        assert_eq!(refused.unwrap().map(|whole| whole.code), Some(Code::SERVICE_UNAVAILABLE));
        let empty = last_after(Code::CONTENT, response(block(2, false, 0), b"e", None));
        assert_eq!(empty, Err(ProtocolError::BodyChanged));
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

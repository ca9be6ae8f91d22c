//! The blocks of a request body that go in any order, to a peer that takes them so
//! ([`numbers::ANY_ORDER`](lowband_wire::coap::numbers::ANY_ORDER)).
//!
//! ```text
//!   0                                  next                   last                end
//!   |####|    |####|    |##############|                      |--- M = 0 ----------|
//!   acknowledged, on its way, wanted   not sent yet           a message of its own, once all others have gone
//! ```
//!
//! Blocks before the last go as the requests for blocks of a response do (`flight.rs`). The last one acts: it
//! goes as an ordinary message, whose copies have one id, so that the request is carried out once. Its answer
//! is that of the request, and comes when the peer has all blocks.
//!
//! Places are bytes, not numbers: blocks may become smaller in the middle of a body.

use super::super::body::Body;
use super::super::failure::ProtocolError;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::options::ParsedResponse;
use std::collections::{BTreeMap, BTreeSet};

/// A request body on its way.
#[derive(Debug)]
pub(super) struct Sending {
    length: usize,
    /// Size of the blocks to be sent.
    size: BlockSize,
    /// What the peer has acknowledged: where each piece without gaps begins and ends.
    done: BTreeMap<usize, usize>,
    /// Number of the newest message for each block that is on its way.
    sent: BTreeMap<usize, u64>,
    /// Blocks to be sent once more.
    wanted: BTreeSet<usize>,
    /// First place that has never been sent.
    next: usize,
    /// The last block, once it has been sent.
    last: Option<Block>,
}

/// What the answer to a block before the last means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The block has been taken; further ones may be this large.
    Taken(BlockSize),
    /// The upload is to begin anew, with blocks of this size.
    TooLarge(BlockSize),
    /// The peer does not have the other blocks (any more).
    Lost,
    /// The response answers the whole request, or refuses it.
    Answered,
    Contradiction(ProtocolError),
}

/// Returns what the answer to a block before the last means (RFC 7959 sections 2.3 and 2.9).
pub(super) fn judge(sent: Block, code: Code, response: &ParsedResponse) -> Answer {
    let echoed = response.block1;
    let size = echoed.map_or(sent.size, |block| block.size.min(sent.size));
    match code {
        Code::REQUEST_ENTITY_TOO_LARGE if size < sent.size => Answer::TooLarge(size),
        Code::REQUEST_ENTITY_INCOMPLETE => Answer::Lost,
        code if code == Code::CONTINUE || (code.is_success() && echoed.is_some()) => {
            match echoed.map_or(sent.num, |block| block.num) {
                acknowledged if acknowledged == sent.num => Answer::Taken(size),
                acknowledged => Answer::Contradiction(ProtocolError::WrongAcknowledgement {
                    sent: sent.num,
                    acknowledged,
                }),
            }
        }
        _ => Answer::Answered,
    }
}

impl Sending {
    /// Begins with a body of several blocks, of which nothing has been sent. None if it has more blocks than
    /// there are numbers.
    pub(super) fn new(length: usize, size: BlockSize) -> Option<Sending> {
        let sending = Sending {
            length,
            size,
            done: BTreeMap::new(),
            sent: BTreeMap::new(),
            wanted: BTreeSet::new(),
            next: 0,
            last: None,
        };
        Block::at(sending.last_place(), size, false).map(|_| sending)
    }

    /// Counts the bytes that the peer has acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.done.iter().map(|(from, to)| to - from).sum()
    }

    /// Returns where the last block begins, cut as blocks are now or as it has been sent.
    fn last_place(&self) -> usize {
        let cut = || self.length.saturating_sub(1) / self.size.bytes() * self.size.bytes();
        self.last.map_or_else(cut, Block::offset)
    }

    /// Returns the size of the blocks to be sent.
    pub(super) fn size(&self) -> BlockSize {
        self.size
    }

    /// Returns the last block, if it has been sent.
    pub(super) fn last(&self) -> Option<Block> {
        self.last
    }

    /// Notes that the last block goes out. From now on it stays as it is.
    pub(super) fn is_ending(&mut self, last: Block) {
        self.last = Some(last);
    }

    /// Takes the last block back, which is to be cut anew.
    pub(super) fn takes_back_last(&mut self) {
        self.last = None;
    }

    /// Notes that the peer has a block.
    pub(super) fn is_taken(&mut self, block: Block) {
        let (mut from, mut to) = (block.offset(), block.offset() + block.size.bytes());
        self.next = self.next.max(to);
        let inside = |offset: &usize| (from..to).contains(offset);
        self.sent.retain(|offset, _| !inside(offset));
        self.wanted.retain(|offset| !inside(offset));
        while let Some((begin, end)) = self.done.range(..=to).next_back().map(|(begin, end)| (*begin, *end))
            && end >= from
        {
            self.done.remove(&begin);
            (from, to) = (from.min(begin), to.max(end));
        }
        self.done.insert(from, to);
    }

    /// Makes the blocks to be sent smaller; does nothing where they are as small, or have numbers no more.
    pub(super) fn cut(&mut self, size: BlockSize) {
        let before = self.size;
        if size >= before || Block::at(self.length, size, false).is_none() {
            return;
        }
        self.size = size;
        for offset in std::mem::take(&mut self.wanted) {
            self.want(offset, offset + before.bytes());
        }
    }

    /// Wants what the peer does not have between two places.
    fn want(&mut self, from: usize, to: usize) {
        for offset in (from..to).step_by(self.size.bytes()) {
            let end = offset + self.size.bytes();
            let before = self.done.range(..=offset).next_back();
            if before.is_none_or(|(_, known)| *known < end) {
                self.wanted.insert(offset);
            }
        }
    }
}

impl Body for Sending {
    /// Returns the block that goes next: the last one (M = 0) when all others have been sent.
    fn missing(&self, _last_at_last: bool) -> Option<Block> {
        let (place, offset) = (self.last_place(), self.wanted.first().copied().unwrap_or(self.next));
        if offset < place {
            return Block::at(offset, self.size, true);
        }
        if self.last.is_some() { None } else { Block::at(place, self.size, false) }
    }

    fn is_asked(&mut self, block: Block, number: u64) {
        let offset = block.offset();
        self.wanted.remove(&offset);
        self.next = self.next.max(offset + block.size.bytes());
        self.sent.insert(offset, number);
    }

    fn is_newest(&self, block: Block, number: u64) -> bool {
        self.sent.get(&block.offset()) == Some(&number)
    }

    fn is_lost(&mut self, block: Block, number: u64) {
        if self.is_newest(block, number) {
            self.sent.remove(&block.offset());
            self.want(block.offset(), block.offset() + block.size.bytes());
        }
    }

    fn has_beyond(&self, block: Block) -> bool {
        self.done.last_key_value().is_some_and(|(_, end)| *end > block.offset() + block.size.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::options::ResponseOptions;
    use proptest::prelude::*;

    fn size(bytes: usize) -> BlockSize {
        BlockSize::from_szx(bytes.trailing_zeros() as u8 - 4).unwrap()
    }

    fn block(num: u32, more: bool, bytes: usize) -> Block {
        Block { num, more, size: size(bytes) }
    }

    #[test]
    fn the_last_block_goes_when_all_others_have_gone() {
        let mut sending = Sending::new(2500, size(1024)).unwrap();
        for num in 0..2 {
            assert_eq!(sending.missing(true), Some(block(num, true, 1024)));
            sending.is_asked(block(num, true, 1024), num.into());
        }
        let last = block(2, false, 1024);
        assert_eq!((sending.missing(true), sending.last()), (Some(last), None));
        sending.is_ending(last);
        assert_eq!((sending.missing(true), sending.last()), (None, Some(last)));
        // What is lost goes again, once for the newest message alone.
        sending.is_lost(block(0, true, 1024), 0);
        assert_eq!(sending.missing(true), Some(block(0, true, 1024)));
        sending.is_asked(block(0, true, 1024), 7);
        sending.is_lost(block(0, true, 1024), 0);
        assert_eq!(sending.missing(true), None);
        assert!(sending.is_newest(block(0, true, 1024), 7) && !sending.is_newest(block(0, true, 1024), 0));
        sending.is_taken(block(1, true, 1024));
        assert_eq!((sending.acknowledged(), sending.has_beyond(block(0, true, 1024))), (1024, true));
        sending.is_taken(block(0, true, 1024));
        sending.is_lost(block(0, true, 1024), 7);
        assert_eq!((sending.acknowledged(), sending.missing(true)), (2048, None));
    }

    #[test]
    fn blocks_that_are_cut_go_on_where_they_were() {
        let mut sending = Sending::new(4096, size(1024)).unwrap();
        (0..3).for_each(|num| sending.is_asked(block(num, true, 1024), num.into()));
        sending.is_ending(block(3, false, 1024));
        sending.is_taken(block(1, true, 1024));
        sending.is_lost(block(0, true, 1024), 0);
        sending.cut(size(512));
        sending.is_lost(block(2, true, 1024), 2);
        let mut sent = Vec::new();
        while let Some(next) = sending.missing(true) {
            sending.is_asked(next, 9);
            sent.push(next);
        }
        assert_eq!(sent, [0, 1, 4, 5].map(|num| block(num, true, 512)));
        // The last one stays as it is, until it is taken back.
        sending.takes_back_last();
        assert_eq!(sending.missing(true), Some(block(6, true, 512)));
        sending.is_asked(block(6, true, 512), 10);
        assert_eq!(sending.missing(true), Some(block(7, false, 512)));
        sending.is_ending(block(7, false, 512));
        // A larger block that comes after all takes its halves with it.
        sending.is_taken(block(0, true, 1024));
        sending.is_lost(block(1, true, 512), 9);
        assert_eq!(sending.missing(true), None);
    }

    #[test]
    fn a_body_has_as_many_blocks_as_there_are_numbers() {
        let numbers = 1 << 20;
        assert!(Sending::new(numbers * 16, size(16)).is_some());
        assert!(Sending::new(numbers * 16 + 1, size(16)).is_none());
        let mut sending = Sending::new(numbers * 32, size(32)).unwrap();
        sending.cut(size(16));
        assert_eq!(sending.missing(true), Some(block(0, true, 32)));
    }

    #[test]
    fn answers_to_blocks_before_the_last_are_judged() {
        let sent = block(3, true, 1024);
        let rows = [
            (Code::CONTINUE, Some(block(3, true, 1024)), Answer::Taken(size(1024))),
            (Code::CONTINUE, Some(block(3, true, 256)), Answer::Taken(size(256))),
            (Code::CONTINUE, None, Answer::Taken(size(1024))),
            (Code::CHANGED, Some(block(3, true, 1024)), Answer::Taken(size(1024))),
            (Code::CHANGED, None, Answer::Answered),
            (Code::REQUEST_ENTITY_TOO_LARGE, Some(block(3, true, 256)), Answer::TooLarge(size(256))),
            (Code::REQUEST_ENTITY_TOO_LARGE, None, Answer::Answered),
            (Code::REQUEST_ENTITY_INCOMPLETE, None, Answer::Lost),
            (Code::SERVICE_UNAVAILABLE, None, Answer::Answered),
            (
                Code::CONTINUE,
                Some(block(4, true, 1024)),
                Answer::Contradiction(ProtocolError::WrongAcknowledgement { sent: 3, acknowledged: 4 }),
            ),
        ];
        for (code, block1, expected) in rows {
            let options = ResponseOptions::default();
            let response = ParsedResponse { options, block1, ..ParsedResponse::default() };
            assert_eq!(judge(sent, code, &response), expected, "{code:?} {block1:?}");
        }
    }

    proptest! {
        /// Whatever is lost, taken and cut, each byte before the last block arrives.
        #[test]
        fn all_bytes_arrive_in_the_end(
            length in 65usize..9000,
            steps in proptest::collection::vec((any::<u16>(), 0u8..8), 0..200),
        ) {
            let mut sending = Sending::new(length, size(1024)).unwrap();
            let mut out: Vec<(Block, u64)> = Vec::new();
            let mut arrived = vec![false; length];
            let mut bytes = 1024;
            let mut number = 0;
            let ending = std::iter::repeat_n((0, 0), 600);
            for (which, step) in steps.into_iter().chain(ending) {
                if let Some(next) = sending.missing(true).filter(|next| next.more) {
                    prop_assert!(next.offset() + next.size.bytes() < length);
                    number += 1;
                    sending.is_asked(next, number);
                    out.push((next, number));
                }
                match step {
                    6 if bytes > 64 => {
                        bytes /= 2;
                        sending.cut(size(bytes));
                    }
                    _ if out.is_empty() => {}
                    0..=3 => {
                        let (block, _) = out.swap_remove(usize::from(which) % out.len());
                        sending.is_taken(block);
                        arrived[block.offset()..block.offset() + block.size.bytes()].fill(true);
                    }
                    _ => {
                        let (block, number) = out.swap_remove(usize::from(which) % out.len());
                        sending.is_lost(block, number);
                    }
                }
            }
            prop_assert_eq!(sending.acknowledged(), arrived.iter().filter(|arrived| **arrived).count());
            let last = sending.missing(true).unwrap();
            prop_assert!(!last.more);
            prop_assert_eq!(last.offset(), (length - 1) / bytes * bytes);
            prop_assert!(arrived[..last.offset()].iter().all(|arrived| *arrived));
        }
    }
}

//! Which blocks of a body have been sent, and where its client is.
//!
//! A client with many requests on their way asks for what is new, and again for what was lost on the way. So
//! the furthest block that it has asked for does not say what it has; a block is needed for some time after
//! it was asked for again.

use lowband_wire::coap::block::{Block, BlockSize};

/// Bytes that a client asks for in one stretch: four of the widest windows of 64 blocks. What was asked for
/// in this stretch or the one before may have been lost on the way.
const STRETCH: usize = 256 << 10;

const BITS: usize = u64::BITS as usize;

/// The blocks of one body that have been sent.
#[derive(Debug, Default)]
pub(in super::super) struct Asked {
    /// Size in which blocks are counted: that of the first one.
    unit: Option<BlockSize>,
    /// One bit for each block of that size; never more than the body has blocks.
    sent: Vec<u64>,
    /// Number of bits that are set.
    count: usize,
    /// The lowest offset asked for in this stretch, and in the one before.
    lowest: [Option<usize>; 2],
    /// Bytes asked for in this stretch.
    stretch: usize,
}

impl Asked {
    /// Notes that a block is asked for, whether it has come or not.
    pub(super) fn ask(&mut self, block: Block) {
        let [now, before] = &mut self.lowest;
        *now = Some(now.map_or(block.offset(), |lowest| lowest.min(block.offset())));
        self.stretch += block.size.bytes();
        if self.stretch >= STRETCH {
            *before = now.take();
            self.stretch = 0;
        }
    }

    /// Notes that a block is sent; returns whether it has been sent before.
    pub(super) fn send(&mut self, block: Block) -> bool {
        let unit = self.unit.get_or_insert(block.size).bytes();
        // A block that is smaller than a unit counts for it if it ends it.
        let (first, end) = (block.offset() / unit, (block.offset() + block.size.bytes()) / unit);
        if self.sent.len() * BITS < end {
            self.sent.resize(end.div_ceil(BITS), 0);
        }
        let mut is_new =
            first >= end && self.sent.get(first / BITS).is_none_or(|bits| bits >> (first % BITS) & 1 == 0);
        for place in first..end {
            if let Some(bits) = self.sent.get_mut(place / BITS) {
                let bit = 1 << (place % BITS);
                is_new |= *bits & bit == 0;
                self.count += usize::from(*bits & bit == 0);
                *bits |= bit;
            }
        }
        !is_new
    }

    /// Returns whether every block of a body of this length has been sent.
    pub(super) fn is_all_of(&self, length: usize) -> bool {
        self.unit.is_some_and(|unit| self.count * unit.bytes() >= length)
    }

    /// Returns the offset before which nothing has been asked for lately; None if that is not known yet.
    pub(super) fn lately(&self) -> Option<usize> {
        self.lowest.iter().flatten().min().copied()
    }

    /// Counts the bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.sent.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(num: u32, size: usize) -> Block {
        let size = BlockSize::from_szx(size.trailing_zeros() as u8 - 4).unwrap();
        Block { num, more: false, size }
    }

    #[test]
    fn a_block_is_new_once_and_the_body_is_sent_when_all_are() {
        let mut asked = Asked::default();
        let whole = 130 * 1024 + 5;
        for num in (0..131).rev() {
            assert!(!asked.is_all_of(whole));
            assert_eq!([asked.send(block(num, 1024)), asked.send(block(num, 1024))], [false, true]);
        }
        assert!(asked.is_all_of(whole));
        assert!((24..=32).contains(&asked.bytes()));
    }

    #[test]
    fn blocks_of_another_size_count_for_what_they_end() {
        let mut asked = Asked::default();
        assert!(!asked.send(block(0, 512)));
        assert!(!asked.send(block(1, 1024)), "two units at once");
        assert!(asked.send(block(3, 512)));
        assert!(!asked.send(block(2, 256)) && !asked.send(block(3, 256)));
        assert!(asked.send(block(3, 256)) && asked.send(block(2, 256)));
        assert!(asked.is_all_of(2048));
    }

    #[test]
    fn what_was_asked_for_again_is_needed_for_one_or_two_stretches() {
        let mut asked = Asked::default();
        let mut kept = Vec::new();
        for num in 0..1300 {
            asked.ask(block(num, 1024));
            if num == 300 {
                asked.ask(block(5, 1024));
            }
            kept.push(asked.lately().unwrap() / 1024);
        }
        assert_eq!((kept[255], kept[299], kept[300]), (0, 0, 0));
        assert_eq!((kept[511], kept[765], kept[766]), (5, 5, 511));
        assert_eq!(kept[1299], 1023);
    }
}

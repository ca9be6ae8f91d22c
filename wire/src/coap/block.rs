//! The value of the Block1 and Block2 options (RFC 7959 section 2.2): which piece of a body, and how large
//! pieces are.

use super::uint::uint;
use std::fmt;

/// SZX: blocks of 16, 32, ... 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 1024 bytes, SZX 6.
    pub const MAX: BlockSize = BlockSize(6);
    /// 16 bytes, SZX 0.
    pub const MIN: BlockSize = BlockSize(0);

    /// Returns the size of an exponent of 0 to 6; None for 7, which is reserved.
    pub const fn from_szx(szx: u8) -> Option<BlockSize> {
        if szx <= 6 { Some(BlockSize(szx)) } else { None }
    }
    /// Returns the exponent on the wire.
    pub const fn szx(self) -> u8 {
        self.0
    }
    /// Returns the length of a block in bytes.
    pub const fn bytes(self) -> usize {
        16 << self.0
    }
    /// Returns half the size; None below the smallest.
    pub const fn smaller(self) -> Option<BlockSize> {
        if self.0 == 0 { None } else { Some(BlockSize(self.0 - 1)) }
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

/// Why a block option has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// SZX 7: 4.00 (RFC 7959 section 2.2).
    #[error("SZX 7 is reserved")]
    ReservedSize,
    /// The value has more than three bytes, which the limit of the option forbids.
    #[error("a block option has three bytes at most")]
    Length,
}

/// NUM, M and SZX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Place of the block in the body, counted in blocks of its size; below 2^20.
    pub num: u32,
    /// Whether further blocks follow this one.
    pub more: bool,
    /// Size of the block, and the unit of its place.
    pub size: BlockSize,
}

impl Block {
    /// The highest NUM.
    pub const MAX_NUM: u32 = (1 << 20) - 1;

    /// Reads the value of the option; no bytes are block 0 of 16 bytes.
    pub fn decode(value: &[u8]) -> Result<Block, BlockError> {
        if value.len() > 3 {
            return Err(BlockError::Length);
        }
        let number = value.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let size = BlockSize::from_szx(number as u8 & 7).ok_or(BlockError::ReservedSize)?;
        Ok(Block { num: number >> 4, more: number & 8 != 0, size })
    }

    /// Writes the value of the option.
    pub fn encode(self) -> Vec<u8> {
        uint(self.num.min(Block::MAX_NUM) << 4 | u32::from(self.more) << 3 | u32::from(self.size.szx()))
    }

    /// Returns where in the body the block begins, in bytes; at most 2^30.
    pub fn offset(self) -> usize {
        (self.num as usize) << (self.size.szx() + 4)
    }

    /// Returns the block that begins at `offset`, a multiple of `size`; None beyond the highest NUM.
    pub fn at(offset: usize, size: BlockSize, more: bool) -> Option<Block> {
        let num = u32::try_from(offset >> (size.szx() + 4)).ok()?;
        (num <= Block::MAX_NUM).then_some(Block { num, more, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_options_are_read_and_written() {
        let table: &[(&[u8], u32, bool, u8)] = &[
            (b"", 0, false, 0),
            (b"\x06", 0, false, 6),
            (b"\x0e", 0, true, 6),
            (b"\x1e", 1, true, 6),
            (b"\xf2", 15, false, 2),
            (b"\x01\x06", 16, false, 6),
            (b"\xff\xfe", 4095, true, 6),
            (b"\xff\xff\xfe", Block::MAX_NUM, true, 6),
        ];
        for (wire, num, more, szx) in table {
            let block = Block { num: *num, more: *more, size: BlockSize::from_szx(*szx).unwrap() };
            assert_eq!(Block::decode(wire), Ok(block), "{wire:02x?}");
            assert_eq!(block.encode(), *wire);
        }
        assert_eq!(Block::decode(b"\x00\x00\x1e"), Block::decode(b"\x1e"));
    }

    #[test]
    fn reserved_and_overlong_block_options_are_refused() {
        for wire in [b"\x07".as_slice(), b"\x0f", b"\xff\xff\xff"] {
            assert_eq!(Block::decode(wire), Err(BlockError::ReservedSize));
        }
        assert_eq!(Block::decode(b"\x00\x00\x00\x06"), Err(BlockError::Length));
    }

    #[test]
    fn numbers_and_offsets_belong_together_at_any_size() {
        for szx in 0..=6 {
            let size = BlockSize::from_szx(szx).unwrap();
            let block = Block { num: 3, more: false, size };
            assert_eq!(block.offset(), 3 * size.bytes());
            assert_eq!(Block::at(block.offset(), size, false), Some(block));
        }
        assert_eq!(Block::at(1 << 30, BlockSize::MAX, false), None);
        assert_eq!(BlockSize::from_szx(7), None);
    }
}

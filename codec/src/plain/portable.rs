//! The portable search for a special byte. The loops have no branch, so compilers turn them into a few vector
//! instructions on machines that have them.

use super::{FLIP, FLIPPED_BELOW, STEP};

pub(super) use special as each_special;

/// Returns one bit for each special byte: the top one of its eight.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u128 {
    bits(step, |byte| (byte ^ FLIP < FLIPPED_BELOW) | (byte == b'\\'))
}

/// Returns the index of the first such bit. For 0 all 128 zeros are counted: sixteen bytes.
#[inline(always)]
pub(crate) fn first(special: u128) -> usize {
    special.trailing_zeros() as usize / 8
}

/// Returns the number of bytes before the first that is special or not ASCII; [`STEP`] if there is none.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    first(bits(step, |byte| (byte ^ FLIP < FLIPPED_BELOW) | (byte == b'\\') | !byte.is_ascii()))
}

#[inline(always)]
fn bits(step: &[u8; STEP], is: impl Fn(u8) -> bool) -> u128 {
    u128::from_le_bytes(step.map(|byte| if is(byte) { 0x80 } else { 0 }))
}

//! The search for a special byte in two 64-bit words, for WebAssembly without vectors, whose presence a page
//! cannot rely on: compilers would make sixteen comparisons of the portable form.
//!
//! Subtracting one from each byte of a word sets the top bit of each zero byte, and through the borrow
//! perhaps that of bytes above it. So the lowest set bit is right, and no other is used.

use super::{FLIP, FLIPPED_BELOW, STEP, halves};

const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES << 7;

/// Returns a value that is not 0 if one of these bytes is special.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u128 {
    let [low, high] = halves(step);
    join([special_of(low), special_of(high)])
}

/// Returns one bit for each special byte: exact, without a borrow, at one step more for each comparison.
#[inline(always)]
pub(crate) fn each_special(step: &[u8; STEP]) -> u128 {
    let below = |bytes: u64, limit: u8| !(((bytes & !TOPS) + ONES * u64::from(0x80 - limit)) | bytes);
    let is = |bytes: u64, wanted: u8| below(bytes ^ (ONES * u64::from(wanted)), 1);
    let special = |bytes| below(bytes ^ (ONES * u64::from(FLIP)), FLIPPED_BELOW) | is(bytes, b'\\');
    join(halves(step).map(|bytes| special(bytes) & TOPS))
}

/// Returns the index of the first such bit. For 0 all 128 zeros are counted: sixteen bytes.
#[inline(always)]
pub(crate) fn first(special: u128) -> usize {
    special.trailing_zeros() as usize / 8
}

/// Returns the number of bytes before the first that is special or not ASCII; [`STEP`] if there is none.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    let unusual_of = |bytes| special_of(bytes) | (bytes & TOPS);
    let [low, high] = halves(step);
    first(join([unusual_of(low), unusual_of(high)]))
}

#[inline(always)]
fn special_of(bytes: u64) -> u64 {
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes;
    let backslash = below(bytes ^ (ONES * u64::from(b'\\')), 1);
    (below(bytes ^ (ONES * u64::from(FLIP)), FLIPPED_BELOW) | backslash) & TOPS
}

#[inline(always)]
fn join([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | (u128::from(high) << 64)
}

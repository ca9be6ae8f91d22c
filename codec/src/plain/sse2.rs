//! The search for a special byte with SSE2, which every x86-64 has: half the instructions that compilers make
//! of the portable form, because they do not find the one that gathers the top bits of sixteen bytes.

#![allow(unsafe_code, reason = "vector instructions: one call, see there")]

use super::{FLIP, FLIPPED_BELOW, STEP, halves};
use std::arch::x86_64::{
    _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    _mm_xor_si128,
};

pub(crate) use special as each_special;

/// Vectors are compared as signed numbers. Flipping this bit makes the comparison order bytes as unsigned.
const SIGN: u8 = 0x80;

/// Returns one bit for each special byte, that of the first byte lowest.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u32 {
    // SAFETY: this module is compiled only where SSE2 may be used everywhere; the function asks nothing else
    // of its caller.
    unsafe { bits(step, FLIP ^ SIGN, FLIPPED_BELOW ^ SIGN) }
}

/// Returns the index of the first bit; 16 for 0.
#[inline(always)]
pub(crate) fn first(special: u32) -> usize {
    (special | 1 << STEP).trailing_zeros() as usize
}

/// Returns the number of bytes before the first that is special or not ASCII; [`STEP`] if there is none.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    // SAFETY: as above.
    first(unsafe { bits(step, FLIP, FLIPPED_BELOW) })
}

/// Returns one bit for each backslash and for each byte that, with these bits flipped and as a signed number,
/// is below the given one; the bit of the first byte is lowest.
#[inline]
#[target_feature(enable = "sse2")]
fn bits(step: &[u8; STEP], flip: u8, below: u8) -> u32 {
    let [low, high] = halves(step);
    // The compiler merges both halves into one load.
    let bytes = _mm_set_epi64x(high as i64, low as i64);
    let flipped = _mm_xor_si128(bytes, _mm_set1_epi8(flip as i8));
    let below = _mm_cmplt_epi8(flipped, _mm_set1_epi8(below as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    _mm_movemask_epi8(_mm_or_si128(below, backslash)) as u32
}

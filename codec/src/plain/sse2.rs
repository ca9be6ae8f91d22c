//! The search for a special byte with SSE2, which every x86-64 has: half the instructions that a compiler makes of the portable
//! form, because it does not find the one that gathers the top bits of sixteen bytes.

#![allow(unsafe_code, reason = "vector instructions: one call, see there")]

use super::{STEP, halves};
use std::arch::x86_64::{
    _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
    _mm_set1_epi8,
};

/// Not 0 if one of these bytes is special.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u32 {
    // SAFETY: this module is only compiled where SSE2 may be used everywhere; nothing else is asked of the caller.
    unsafe { bits(step) }
}

/// Of which the first; of 0 sixteen.
#[inline(always)]
pub(crate) fn first(special: u32) -> usize {
    (special | 1 << STEP).trailing_zeros() as usize
}

/// How many of these bytes stand before the first that is special or no ASCII; [`STEP`] if there is none.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    // SAFETY: as above.
    let unusual = unsafe { unusual(step) };
    (unusual | 1 << STEP).trailing_zeros() as usize
}

/// One bit for each special byte, that of the first byte lowest.
#[inline]
#[target_feature(enable = "sse2")]
fn bits(step: &[u8; STEP]) -> u32 {
    let [low, high] = halves(step);
    // The compiler makes one load of both.
    let bytes = _mm_set_epi64x(high as i64, low as i64);
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
}

/// Likewise, for each that is special or no ASCII: with a sign, those are below all others.
#[inline]
#[target_feature(enable = "sse2")]
fn unusual(step: &[u8; STEP]) -> u32 {
    let [low, high] = halves(step);
    let bytes = _mm_set_epi64x(high as i64, low as i64);
    let outside = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), outside)) as u32
}

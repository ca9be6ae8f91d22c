//! The search for a special byte with the vectors of WebAssembly (`simd128`), where a module is built for a
//! host that has them: for the two words a compiler makes twice the instructions, and of sixteen bits for
//! sixteen bytes half a register is carried about.

#![allow(
    unsafe_code,
    reason = "one load of a vector, see there: of two halves the compiler makes five instructions"
)]

use super::{FLIP, FLIPPED_BELOW, STEP};
use std::arch::wasm32::{i8x16_lt, u8x16_bitmask, u8x16_eq, u8x16_splat, v128_load, v128_or, v128_xor};

pub(crate) use special as each_special;

/// Vectors are compared with a sign, for which a host has an instruction: the flipped bit of it makes
/// them so without.
const SIGN: u8 = 0x80;

/// One bit for each special byte, that of the first byte lowest.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u32 {
    bits(step, FLIP ^ SIGN, FLIPPED_BELOW ^ SIGN)
}

/// Of which the first; of 0 sixteen.
#[inline(always)]
pub(crate) fn first(special: u32) -> usize {
    (special | 1 << STEP).trailing_zeros() as usize
}

/// How many of these bytes stand before the first that is special or no ASCII; [`STEP`] if there is none.
/// With a sign, those that are no ASCII are below all others.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    first(bits(step, FLIP, FLIPPED_BELOW))
}

/// One bit for each backslash and for each byte that, with these bits flipped and with a sign, is
/// below the number.
#[inline(always)]
fn bits(step: &[u8; STEP], flip: u8, below: u8) -> u32 {
    // SAFETY: the pointer is to sixteen bytes that may be read; a load of WebAssembly has no alignment.
    let bytes = unsafe { v128_load(step.as_ptr().cast()) };
    let below = i8x16_lt(v128_xor(bytes, u8x16_splat(flip)), u8x16_splat(below));
    let backslash = u8x16_eq(bytes, u8x16_splat(b'\\'));
    u32::from(u8x16_bitmask(v128_or(below, backslash)))
}

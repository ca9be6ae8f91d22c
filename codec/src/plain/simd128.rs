//! The search for a special byte with the vectors of WebAssembly (`simd128`), for modules built for a host
//! that has them: compilers make twice the instructions of the two-word search, and sixteen bits for sixteen
//! bytes need only half a register.

#![allow(
    unsafe_code,
    reason = "one load of a vector, see there: of two halves the compiler makes five instructions"
)]

use super::{FLIP, FLIPPED_BELOW, STEP};
use std::arch::wasm32::{i8x16_lt, u8x16_bitmask, u8x16_eq, u8x16_splat, v128_load, v128_or, v128_xor};

pub(crate) use special as each_special;

/// Hosts have an instruction for signed comparison. Flipping this bit makes signed comparison order bytes as
/// unsigned.
const SIGN: u8 = 0x80;

/// Returns one bit for each special byte, that of the first byte lowest.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u32 {
    bits(step, FLIP ^ SIGN, FLIPPED_BELOW ^ SIGN)
}

/// Returns the index of the first bit; 16 for 0.
#[inline(always)]
pub(crate) fn first(special: u32) -> usize {
    (special | 1 << STEP).trailing_zeros() as usize
}

/// Returns the number of bytes before the first that is special or not ASCII; [`STEP`] if there is none. As
/// signed numbers, bytes that are not ASCII are below all others.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    first(bits(step, FLIP, FLIPPED_BELOW))
}

/// Returns one bit for each backslash and for each byte that, with these bits flipped and as a signed number,
/// is below `below`.
#[inline(always)]
fn bits(step: &[u8; STEP], flip: u8, below: u8) -> u32 {
    // SAFETY: the pointer is to sixteen readable bytes; a WebAssembly load needs no alignment.
    let bytes = unsafe { v128_load(step.as_ptr().cast()) };
    let below = i8x16_lt(v128_xor(bytes, u8x16_splat(flip)), u8x16_splat(below));
    let backslash = u8x16_eq(bytes, u8x16_splat(b'\\'));
    u32::from(u8x16_bitmask(v128_or(below, backslash)))
}

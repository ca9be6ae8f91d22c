//! The search for a special byte with the vectors of WebAssembly (`simd128`), where a module is built for a host that has them: for the
//! two words a compiler makes twice the instructions, and of sixteen bits for sixteen bytes half a register is carried about.

use super::{STEP, halves};
use std::arch::wasm32::{
    i8x16_lt, i8x16_splat, u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128, v128_or,
};

/// One bit for each special byte, that of the first byte lowest.
#[inline(always)]
pub(crate) fn special(step: &[u8; STEP]) -> u32 {
    let bytes = load(step);
    let control = u8x16_lt(bytes, u8x16_splat(0x20));
    u32::from(u8x16_bitmask(v128_or(quote_or_backslash(bytes), control)))
}

/// Of which the first; of 0 sixteen.
#[inline(always)]
pub(crate) fn first(special: u32) -> usize {
    (special | 1 << STEP).trailing_zeros() as usize
}

/// How many of these bytes stand before the first that is special or no ASCII; [`STEP`] if there is none. With a sign, those that are
/// no ASCII are below all others.
#[inline(always)]
pub(crate) fn first_unusual(step: &[u8; STEP]) -> usize {
    let bytes = load(step);
    let outside = i8x16_lt(bytes, i8x16_splat(0x20));
    first(u32::from(u8x16_bitmask(v128_or(quote_or_backslash(bytes), outside))))
}

#[inline(always)]
fn quote_or_backslash(bytes: v128) -> v128 {
    v128_or(u8x16_eq(bytes, u8x16_splat(b'"')), u8x16_eq(bytes, u8x16_splat(b'\\')))
}

/// The compiler makes one load of both halves.
#[inline(always)]
fn load(step: &[u8; STEP]) -> v128 {
    let [low, high] = halves(step);
    u64x2(low, high)
}

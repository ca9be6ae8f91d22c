//! What the lenient policy has repaired, counted.

/// What a lenient call repaired; all zero after a strict one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Whole numbers beyond 64 bits, written as float64.
    pub big_integers: u64,
    /// Numbers beyond float64 (`1e400`), written as null.
    pub huge_numbers: u64,
    /// Repeated keys, of which one was kept: the last in one-shot mode, the first in push mode.
    pub repeated_keys: u64,
    /// Lone surrogate escapes, written as U+FFFD.
    pub lone_surrogates: u64,
    /// Arrays and objects nested too deep, written as null.
    pub too_deep: u64,
}

//! The keys of the open containers that have no bit in a set, and how a repeated one is found.
//!
//! Keys are not looked up while a map is read; they are compared once, when it closes: pair by pair while
//! they are few, sorted when they are many. Sorting falls back on the bytes, so keys made to share a
//! fingerprint cost no more than their own length a comparison.

use crate::plain::{STEP, halves};
use std::ops::Range;

/// The ends of a name, its quick identity: a name of up to 16 bytes as a whole, padded with zeros, and the
/// first and last eight bytes of a longer one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends([u64; 2]);

impl PartialEq for Ends {
    /// Compares half by half: comparing arrays would move both into memory.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let (Ends([first, last]), Ends([other_first, other_last])) = (self, other);
        (first ^ other_first) | (last ^ other_last) == 0
    }
}

impl Ends {
    /// Ends that no text has: UTF-8 does not contain such bytes.
    pub(crate) const NOT_UTF8: Ends = Ends([u64::MAX; 2]);

    pub(crate) fn of(name: &[u8]) -> Ends {
        match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) if name.len() > STEP => {
                Ends([u64::from_le_bytes(*first), u64::from_le_bytes(*last)])
            }
            _ => {
                let mut step = [0; STEP];
                step.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
                Ends(halves(&step))
            }
        }
    }

    /// Returns the ends of the name that is the first `len` bytes.
    #[inline(always)]
    pub(crate) fn of_start(step: &[u8; STEP], len: usize) -> Ends {
        let [first, last] = halves(step);
        let [of_first, of_last] = MASKS.get(len).copied().unwrap_or([u64::MAX; 2]);
        Ends([first & of_first, last & of_last])
    }

    /// Returns a hash that equal names share. It is cheap and not secret, and different names may share it.
    /// Its top bits depend on every byte.
    #[inline(always)]
    pub(crate) fn fingerprint(self) -> u64 {
        let Ends([first, last]) = self;
        (first ^ last.rotate_left(32)).wrapping_mul(MULTIPLIER)
    }
}

/// An odd multiplier, found by trial: the first one that spreads the names of table v1 over 512 places
/// without a collision.
const MULTIPLIER: u64 = 0x61d8_bf6f_49fc_4b8f;

/// Masks that keep the first 0 to 16 bytes of the two halves of a step.
const MASKS: [[u64; 2]; STEP + 1] = {
    let mut masks = [[0; 2]; STEP + 1];
    let mut kept = 0_u128;
    let mut masks_left: &mut [[u64; 2]] = &mut masks;
    while let Some((mask, rest)) = masks_left.split_first_mut() {
        *mask = [kept as u64, (kept >> 64) as u64];
        kept = kept << 8 | 0xff;
        masks_left = rest;
    }
    masks
};

/// One key of an open map, as it stands in the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    fingerprint: u64,
    start: usize,
    end: usize,
    /// Offset in the input, for the error.
    pub(crate) at: usize,
    /// True if the key was an integer; always false in an encoder.
    pub(crate) integer: bool,
}

impl Name {
    /// Makes the entry of a key written to this range of the output. Keys that are equal there must have
    /// equal ends.
    pub(crate) fn new(ends: Ends, written: Range<usize>, at: usize, integer: bool) -> Self {
        Name { fingerprint: ends.fingerprint(), start: written.start, end: written.end, at, integer }
    }

    /// Returns the key's range in the output.
    pub(crate) fn written(&self) -> Range<usize> {
        self.start..self.end
    }

    fn bytes<'o>(&self, output: &'o [u8]) -> &'o [u8] {
        output.get(self.written()).unwrap_or_default()
    }
}

/// Up to this many keys are compared pair by pair.
const FEW: usize = 16;

/// Calls `found` with pairs of equal keys, so that each key that repeats an earlier one is once the second of
/// a pair. If two of three equal keys are of one type (integer or text), one pair is of that type.
pub(crate) fn equal_pairs(names: &mut [Name], output: &[u8], mut found: impl FnMut(&Name, &Name)) {
    if names.len() <= FEW {
        let mut rest = &*names;
        while let Some((name, later)) = rest.split_first() {
            for other in later {
                if name.fingerprint == other.fingerprint && name.bytes(output) == other.bytes(output) {
                    found(name, other);
                }
            }
            rest = later;
        }
        return;
    }
    sort(names, output);
    for pair in names.windows(2) {
        if let [name, other] = pair
            && name.fingerprint == other.fingerprint
            && name.bytes(output) == other.bytes(output)
        {
            found(name, other);
        }
    }
}

/// Sorts the names so that equal ones are neighbours. One copy of the code serves both directions.
#[inline(never)]
fn sort(names: &mut [Name], output: &[u8]) {
    names.sort_unstable_by(|a, b| {
        (a.fingerprint.cmp(&b.fingerprint))
            .then_with(|| a.bytes(output).cmp(b.bytes(output)))
            .then_with(|| (a.integer, a.at).cmp(&(b.integer, b.at)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_ends_wherever_it_is_read() {
        let text = b"abcdefghijklmnopqrstuvwxyz";
        let mut all = Vec::new();
        for len in 0..=STEP {
            let ends = Ends::of(&text[..len]);
            assert_eq!(Ends::of_start(text.first_chunk().unwrap(), len), ends, "{len}");
            assert!(!all.contains(&ends));
            all.push(ends);
        }
        assert_eq!(Ends::of(b"abcdefgh...stuvwxyz"), Ends::of(b"abcdefgh,,,,stuvwxyz"));
    }
}

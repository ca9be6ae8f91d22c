//! The keys of the open containers that no bit set can hold, and how a repeated one is found.
//!
//! Keys are not looked up while a map is read; they are compared once, when it closes: pair by pair while they are few,
//! sorted when they are many. Sorting falls back on the bytes, so keys made to share a fingerprint cost no more than
//! their own length a comparison.

use std::ops::Range;

/// A number that equal byte strings share: cheap, not secret, and no reason to trust that different ones differ.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => {
            let mut short = [0; 8];
            short.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            (u64::from_le_bytes(short), 0)
        }
    };
    // Odd multipliers (the golden ratio's bits and the mixer of SplitMix64): the top bits depend on every byte read.
    let mixed = (first ^ last.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64;
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// One key of an open map, as it stands in the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    fingerprint: u64,
    start: usize,
    end: usize,
    /// Offset in the input, for the error.
    pub(crate) at: usize,
    /// The key was an integer; an encoder's never is.
    pub(crate) integer: bool,
}

impl Name {
    /// A key whose output is `written`, which is `output[start..]`.
    pub(crate) fn new(written: &[u8], start: usize, at: usize, integer: bool) -> Self {
        Name { fingerprint: fingerprint(written), start, end: start + written.len(), at, integer }
    }

    /// Where the key stands in the output.
    pub(crate) fn written(&self) -> Range<usize> {
        self.start..self.end
    }

    fn bytes<'o>(&self, output: &'o [u8]) -> &'o [u8] {
        output.get(self.written()).unwrap_or_default()
    }
}

/// Up to this many keys are compared pair by pair.
const FEW: usize = 8;

/// Calls `found` with pairs of equal keys, so that each key which has an equal one before it is once the second of a
/// pair. Of three equal keys of which two are of one type (integer or text), one pair is of that type.
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
    names.sort_unstable_by(|a, b| {
        (a.fingerprint.cmp(&b.fingerprint))
            .then_with(|| a.bytes(output).cmp(b.bytes(output)))
            .then_with(|| (a.integer, a.at).cmp(&(b.integer, b.at)))
    });
    for pair in names.windows(2) {
        if let [name, other] = pair
            && name.fingerprint == other.fingerprint
            && name.bytes(output) == other.bytes(output)
        {
            found(name, other);
        }
    }
}

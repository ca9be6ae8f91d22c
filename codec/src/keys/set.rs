//! Which keys of a table have occurred in an object: one bit for each of the table's first 128 keys.

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeySet([u64; 2]);

/// The bit of one key; of a later one none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBit {
    word: usize,
    mask: u64,
}

impl KeyBit {
    /// Of the key at this place of its table, counted from 0.
    pub(super) fn new(place: usize) -> Self {
        KeyBit { word: place / 64, mask: 1 << (place % 64) }
    }
}

impl KeySet {
    /// Adds a key; true if it is new. `None` if it has no bit.
    #[inline(always)]
    pub(crate) fn insert(&mut self, key: KeyBit) -> Option<bool> {
        let word = self.0.get_mut(key.word)?;
        let new = *word & key.mask == 0;
        *word |= key.mask;
        Some(new)
    }

    /// True if the key has been added; never if it has no bit.
    #[inline(always)]
    pub(crate) fn holds(self, key: KeyBit) -> bool {
        self.0.get(key.word).is_some_and(|word| word & key.mask != 0)
    }

    /// True if a key is in both.
    #[inline(always)]
    pub(crate) fn meets(self, other: KeySet) -> bool {
        let (KeySet([a, b]), KeySet([c, d])) = (self, other);
        (a & c) | (b & d) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_128_keys_is_new_once_and_later_ones_have_no_bit() {
        let mut set = KeySet::default();
        for place in (0..128).map(KeyBit::new) {
            let mut alone = KeySet::default();
            assert_eq!(alone.insert(place), Some(true));
            assert!(!set.meets(alone), "{place:?}");
            assert!(!set.holds(place));
            assert_eq!(set.insert(place), Some(true));
            assert_eq!(set.insert(place), Some(false));
            assert!(set.holds(place) && set.meets(alone));
        }
        assert_eq!(set.insert(KeyBit::new(128)), None);
        assert!(!set.holds(KeyBit::new(128)));
    }
}

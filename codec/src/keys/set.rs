//! Which keys of a table have occurred in an object: one bit for each of the table's first 128 keys.

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeySet([u64; 2]);

/// The bit of one key; zero for a key beyond the first 128.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBit {
    mask: u64,
    word: u8,
}

impl KeyBit {
    pub(super) const NONE: KeyBit = KeyBit { mask: 0, word: 0 };

    /// Returns the bit of the key at this place of its table, counted from 0.
    pub(super) fn new(place: usize) -> Self {
        match place {
            0..64 => KeyBit { mask: 1 << place, word: 0 },
            64..128 => KeyBit { mask: 1 << (place - 64), word: 1 },
            _ => KeyBit::NONE,
        }
    }

    pub(crate) fn is_none(self) -> bool {
        self.mask == 0
    }
}

impl KeySet {
    /// Adds a key; returns true if it is new, `None` if it has no bit.
    #[inline(always)]
    pub(crate) fn insert(&mut self, key: KeyBit) -> Option<bool> {
        if self.add(key) {
            return Some(true);
        }
        if key.is_none() { None } else { Some(false) }
    }

    /// Adds a key; returns true if that changed the set. A key without a bit changes nothing.
    #[inline(always)]
    pub(crate) fn add(&mut self, key: KeyBit) -> bool {
        self.0.get_mut(usize::from(key.word & 1)).is_some_and(|word| {
            let before = *word;
            *word |= key.mask;
            *word != before
        })
    }

    /// Returns true if the key has been added; false for a key without a bit.
    #[inline(always)]
    pub(crate) fn holds(self, key: KeyBit) -> bool {
        self.0.get(usize::from(key.word & 1)).is_some_and(|word| word & key.mask != 0)
    }

    /// Returns true if a key is in both sets.
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

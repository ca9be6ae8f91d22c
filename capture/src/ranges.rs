//! Which bytes of something that comes in pieces are there.

/// Most gaps that are remembered; a piece that would make more is not taken.
const MAX_GAPS: usize = 256;

/// Ranges of bytes, each from a start to an end, in order and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(usize, usize)>);

impl Ranges {
    /// Adds a range. Returns false, and changes nothing, if that would leave more than [`MAX_GAPS`] gaps.
    pub(crate) fn insert(&mut self, start: usize, end: usize) -> bool {
        if start >= end {
            return true;
        }
        // The common case: the next piece.
        if let Some(last) = self.0.last_mut()
            && last.1 == start
        {
            last.1 = end;
            return true;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let after = self.0.partition_point(|range| range.0 <= end);
        let touched = self.0.get(first..after).unwrap_or_default();
        let (mut from, mut to) = (start, end);
        if let (Some(lowest), Some(highest)) = (touched.first(), touched.last()) {
            (from, to) = (from.min(lowest.0), to.max(highest.1));
        } else if self.0.len() > MAX_GAPS {
            return false;
        }
        self.0.splice(first..after.max(first), [(from, to)]);
        true
    }

    /// Returns whether all bytes from `start` to `end` are there.
    pub(crate) fn has(&self, start: usize, end: usize) -> bool {
        start >= end || self.0.iter().any(|range| range.0 <= start && end <= range.1)
    }

    /// Returns where the first byte is missing.
    pub(crate) fn first_gap(&self) -> usize {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }

    /// Returns how many bytes are there.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|range| range.1 - range.0).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_gap_too_many_is_not_taken() {
        let mut ranges = Ranges::default();
        for gap in 0..=MAX_GAPS {
            assert!(ranges.insert(gap * 2, gap * 2 + 1));
        }
        assert!(!ranges.insert(MAX_GAPS * 2 + 2, MAX_GAPS * 2 + 3));
        assert_eq!(ranges.count(), MAX_GAPS + 1);
        assert!(ranges.insert(1, 2), "a piece that closes a gap is taken");
        assert!(ranges.has(0, 3));
    }

    proptest! {
        #[test]
        fn ranges_know_the_bytes_that_a_list_of_all_bytes_knows(
            pieces in proptest::collection::vec((0usize..60, 0usize..12), 0..20),
        ) {
            let (mut ranges, mut all) = (Ranges::default(), [false; 80]);
            for (start, length) in pieces {
                prop_assert!(ranges.insert(start, start + length));
                all[start..start + length].fill(true);
            }
            prop_assert_eq!(ranges.count(), all.iter().filter(|there| **there).count());
            for start in 0..80 {
                for end in start..80 {
                    prop_assert_eq!(ranges.has(start, end), all[start..end].iter().all(|there| *there));
                }
            }
            prop_assert_eq!(ranges.first_gap(), all.iter().position(|there| !there).unwrap());
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}

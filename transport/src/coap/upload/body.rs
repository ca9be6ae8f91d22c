//! The bytes of an upload, which may come in any order.
//!
//! ```text
//! |==== whole ====|      [part]        [part][part]
//! 0               the first gap
//! ```
//!
//! What has come before the first gap lies in one piece. A block beyond it is kept as it came, and joins the
//! piece when the gap before it is filled; so a byte is moved once at most, in whatever order the blocks
//! come. A block that lies far from all others takes the memory of one block.

use std::collections::BTreeMap;

/// Bytes that a part costs beside its payload: an allocation of its own, and its place in a tree whose nodes
/// may be half empty.
const PART: usize = 88;

/// Bytes of the smallest tree.
const TREE: usize = 320;

/// A body that is on its way.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// All bytes before the first gap.
    whole: Vec<u8>,
    /// What has come beyond the first gap, by its offset. No two parts overlap.
    parts: BTreeMap<usize, Box<[u8]>>,
    /// Bytes of all parts.
    beyond: usize,
}

impl Body {
    pub(super) fn starting(payload: &[u8]) -> Body {
        Body { whole: payload.to_vec(), ..Body::default() }
    }

    /// Returns where the first byte is missing.
    pub(super) fn first_gap(&self) -> usize {
        self.whole.len()
    }

    /// Counts the bytes of the body that have come.
    pub(super) fn received(&self) -> usize {
        self.whole.len() + self.beyond
    }

    /// Returns where the last byte ends that has come.
    pub(super) fn end(&self) -> usize {
        self.parts.last_key_value().map_or(self.whole.len(), |(offset, part)| offset + part.len())
    }

    /// Counts the bytes of memory, allocations as a whole.
    pub(super) fn bytes(&self) -> usize {
        let tree = if self.parts.is_empty() { 0 } else { TREE };
        self.whole.capacity() + self.beyond + self.parts.len() * PART + tree
    }

    /// Returns the body; what lies beyond a gap is lost.
    pub(super) fn into_whole(self) -> Vec<u8> {
        self.whole
    }

    /// Takes the next bytes, with little to spare: spare capacity counts against the share as well.
    pub(super) fn append(&mut self, payload: &[u8]) {
        if self.whole.capacity() - self.whole.len() < payload.len() {
            self.whole.reserve_exact(payload.len().max(self.whole.len() / 8));
        }
        self.whole.extend_from_slice(payload);
    }

    /// Takes bytes that may lie anywhere, and returns how many of them are new. None if they differ from what
    /// has come before: then they are of another body, and nothing is taken.
    pub(super) fn put(&mut self, offset: usize, payload: &[u8]) -> Option<usize> {
        let missing = self.missing(offset, payload)?;
        let new = missing.iter().map(|(_, piece)| piece.len()).sum();
        for (at, piece) in missing {
            if at == self.whole.len() {
                self.append(piece);
            } else {
                self.beyond += piece.len();
                self.parts.insert(at, piece.into());
            }
        }
        while let Some(first) = self.parts.first_entry().filter(|first| *first.key() == self.whole.len()) {
            let part = first.remove();
            self.beyond -= part.len();
            self.append(&part);
        }
        Some(new)
    }

    /// Returns the pieces of a payload that have not come yet, in their order; None if any other piece
    /// differs from what has come.
    fn missing<'a>(&self, offset: usize, payload: &'a [u8]) -> Option<Vec<(usize, &'a [u8])>> {
        let end = offset + payload.len();
        let piece = |from: usize, to: usize| payload.get(from - offset..to - offset).unwrap_or_default();
        let known = self.whole.get(offset..self.whole.len().min(end)).unwrap_or_default();
        let begin = offset + known.len();
        if piece(offset, begin) != known {
            return None;
        }
        let mut missing = Vec::new();
        // From the last part back, because a part that begins before the payload may reach into it.
        let mut to = end;
        for (start, part) in self.parts.range(..end).rev() {
            let part_end = start + part.len();
            if part_end <= begin {
                break;
            }
            if part_end < to {
                missing.push((part_end, piece(part_end, to)));
            }
            let (from, until) = (begin.max(*start), part_end.min(to));
            if part.get(from - start..until - start) != Some(piece(from, until)) {
                return None;
            }
            to = from;
        }
        if begin < to {
            missing.push((begin, piece(begin, to)));
        }
        missing.reverse();
        Some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Makes bytes each of which differs from its neighbours.
    fn of(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn what_lies_beyond_a_gap_joins_the_rest_when_the_gap_is_filled() {
        let all = of(100);
        let mut body = Body::default();
        for (from, to, new, whole, end) in [
            (90, 100, 10, 0, 100),
            (10, 20, 10, 0, 100),
            (0, 10, 10, 20, 100),
            // Copies, also such as reach from the piece or from a part into a gap, and over several parts.
            (0, 20, 0, 20, 100),
            (95, 100, 0, 20, 100),
            (15, 30, 10, 30, 100),
            (85, 95, 5, 30, 100),
            (50, 60, 10, 30, 100),
            (40, 95, 35, 30, 100),
            (30, 40, 10, 100, 100),
            (100, 100, 0, 100, 100),
        ] {
            assert_eq!(body.put(from, &all[from..to]), Some(new), "{from}..{to}");
            assert_eq!((body.first_gap(), body.end()), (whole, end), "{from}..{to}");
        }
        assert_eq!((body.received(), body.parts.len(), body.beyond), (100, 0, 0));
        assert_eq!(body.into_whole(), all);
    }

    #[test]
    fn bytes_of_another_body_are_never_joined_to_this_one() {
        let all = of(100);
        for at in 0..40 {
            let mut body = Body::starting(&all[..10]);
            body.put(20, &all[20..30]).unwrap();
            let mut other = all[..40].to_vec();
            other[at] ^= 1;
            let is_known = at < 10 || (20..30).contains(&at);
            let taken = body.put(0, &other);
            assert_eq!(taken, (!is_known).then_some(20), "{at}");
            assert_eq!(body.received(), if is_known { 20 } else { 40 }, "{at}");
        }
    }

    #[test]
    fn a_block_far_from_all_others_takes_the_memory_of_one_block() {
        let mut body = Body::default();
        body.put(8191 << 10, &[1; 1024]).unwrap();
        assert_eq!((body.end(), body.bytes()), (8 << 20, 1024 + PART + TREE));
        assert!(body.whole.is_empty() && body.whole.capacity() == 0);
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_make_the_same_body(
            length in 1usize..600,
            pieces in proptest::collection::vec((0usize..600, 0usize..64), 0..80),
        ) {
            let all = of(length);
            let mut body = Body::default();
            let mut known = vec![false; length];
            let rest = (0..length).step_by(16).map(|from| (from, 16)).rev();
            for (from, size) in pieces.into_iter().chain(rest) {
                let from = from.min(length);
                let to = (from + size).min(length);
                let new = known[from..to].iter().filter(|known| !**known).count();
                prop_assert_eq!(body.put(from, &all[from..to]), Some(new));
                known[from..to].fill(true);
                prop_assert_eq!(body.received(), known.iter().filter(|known| **known).count());
                let gap = known.iter().position(|known| !known).unwrap_or(length);
                prop_assert_eq!(body.first_gap(), gap);
                let kept: usize = body.parts.values().map(|part| part.len()).sum();
                prop_assert_eq!(body.beyond, kept);
            }
            prop_assert!(body.parts.is_empty() && body.into_whole() == all);
        }
    }
}

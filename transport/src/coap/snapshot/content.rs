//! The bytes of a snapshot: they grow at one end and are dropped at the other.

use std::collections::VecDeque;

/// Bytes of a page: a multiple of every block size, so that no block lies on two pages.
const PAGE: usize = 16 << 10;

/// Bytes that grow at one end and are dropped at the other.
#[derive(Debug, Default)]
pub(super) struct Content {
    pages: VecDeque<Vec<u8>>,
    /// Pages dropped from the beginning.
    gone: usize,
    pub(super) end: usize,
    /// Bytes of all pages, spare capacity included.
    allocated: usize,
}

impl Content {
    pub(super) fn start(&self) -> usize {
        self.gone * PAGE
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len();
        while !bytes.is_empty() {
            let room = self.pages.back().map_or(0, |page| PAGE - page.len());
            if room == 0 {
                self.pages.push_back(Vec::new());
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(page) = self.pages.back_mut() {
                let before = page.capacity();
                if before - page.len() < now.len() {
                    // Grow to a page at most, in few steps.
                    page.reserve_exact(now.len().max(page.len()).min(room));
                }
                page.extend_from_slice(now);
                self.allocated += page.capacity() - before;
            }
            bytes = later;
        }
    }

    /// Returns at most `length` bytes, all on one page; fewer at the end, none before the start.
    pub(super) fn slice(&self, offset: usize, length: usize) -> &[u8] {
        let page = (offset / PAGE).checked_sub(self.gone).and_then(|page| self.pages.get(page));
        let rest = page.and_then(|page| page.get(offset % PAGE..)).unwrap_or(&[]);
        rest.get(..length).unwrap_or(rest)
    }

    /// Drops whole pages before `offset`.
    pub(super) fn trim(&mut self, offset: usize) {
        while self.start() + PAGE <= offset.min(self.end)
            && let Some(page) = self.pages.pop_front()
        {
            self.allocated -= page.capacity();
            self.gone += 1;
        }
    }

    /// Counts the bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.allocated + self.pages.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::block::BlockSize;
    use proptest::prelude::*;

    #[test]
    fn pages_are_let_go_only_as_a_whole_and_never_beyond_the_end() {
        let mut content = Content::default();
        content.append(&vec![1; PAGE + 10]);
        content.trim(PAGE - 1);
        assert_eq!((content.start(), content.allocated), (0, PAGE + 10));
        content.trim(PAGE);
        assert_eq!((content.start(), content.allocated), (PAGE, 10));
        content.trim(10 * PAGE);
        assert_eq!((content.start(), content.allocated), (PAGE, 10));
        assert_eq!(content.slice(0, 16), b"");
        assert_eq!(content.slice(PAGE, 16), [1; 10]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_bytes_at_every_offset(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..12),
            szx in 0u8..=6,
            trimmed in 0usize..40_000,
        ) {
            let size = BlockSize::from_szx(szx).unwrap().bytes();
            let whole = chunks.concat();
            let mut content = Content::default();
            for chunk in &chunks {
                content.append(chunk);
            }
            content.trim(trimmed);
            prop_assert_eq!(content.end, whole.len());
            prop_assert_eq!(content.allocated, content.pages.iter().map(Vec::capacity).sum::<usize>());
            prop_assert!(content.pages.iter().all(|page| page.capacity() <= PAGE));
            prop_assert!(content.start() <= trimmed);
            for (num, block) in whole.chunks(size).enumerate() {
                let expected = if num * size < content.start() { &[] } else { block };
                prop_assert_eq!(content.slice(num * size, size), expected);
            }
        }
    }
}

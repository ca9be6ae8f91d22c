//! The replay window (RFC 6347 section 4.1.2.6): the last 64 record numbers of the peer.

/// The window is asked before a record is opened, and updated after the record has proved authentic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReplayWindow {
    /// One above the highest authentic sequence number.
    next: u64,
    /// Bit i: `next - 1 - i` has been seen.
    seen: u64,
}

impl ReplayWindow {
    /// RFC 6347 wants at least 32, better 64.
    const SIZE: u64 = 64;

    pub(super) fn is_fresh(&self, sequence: u64) -> bool {
        match self.next.checked_sub(sequence) {
            None | Some(0) => true,
            Some(back) if back > Self::SIZE => false,
            Some(back) => self.seen & (1 << (back - 1)) == 0,
        }
    }

    pub(super) fn mark(&mut self, sequence: u64) {
        match self.next.checked_sub(sequence) {
            None | Some(0) => {
                let forward = sequence - self.next + 1;
                self.seen = if forward >= Self::SIZE { 0 } else { self.seen << forward };
                self.seen |= 1;
                self.next = sequence + 1;
            }
            Some(back) if back <= Self::SIZE => self.seen |= 1 << (back - 1),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_number_is_fresh_once_and_only_within_64() {
        let mut window = ReplayWindow::default();
        assert!(window.is_fresh(0));
        window.mark(0);
        assert!(!window.is_fresh(0));
        window.mark(64);
        assert!(!window.is_fresh(0), "65th from the top");
        assert!(window.is_fresh(1), "64th from the top");
        window.mark(1);
        assert!(!window.is_fresh(1));
        window.mark(1_000_000);
        assert!(window.is_fresh(1_000_000 - 63));
        assert!(!window.is_fresh(1_000_000 - 64));
        window.mark(3);
        assert!(!window.is_fresh(3));
    }

    #[test]
    fn the_last_number_of_an_epoch_does_not_overflow() {
        let mut window = ReplayWindow::default();
        let last = lowband_wire::dtls::record::RecordNumber::LAST;
        window.mark(last);
        assert!(!window.is_fresh(last));
        assert!(window.is_fresh(last - 1));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_all_numbers(numbers in proptest::collection::vec(0u64..300, 0..200)) {
            let (mut window, mut seen, mut top) = (ReplayWindow::default(), HashSet::new(), 0);
            for n in numbers {
                let expected = !seen.contains(&n) && n + ReplayWindow::SIZE > top;
                prop_assert_eq!(window.is_fresh(n), expected, "{} below {}", n, top);
                if window.is_fresh(n) {
                    window.mark(n);
                    seen.insert(n);
                    top = top.max(n);
                }
            }
        }
    }
}

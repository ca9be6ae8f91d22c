//! Which records of a direction have been seen, so that one which is captured twice is told.

/// Records that are remembered behind the latest: a record that comes later than so many others is not told
/// to be a copy, and the message in it will be.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The latest records of one direction and epoch.
#[derive(Default)]
pub(super) struct Seen {
    latest: Option<u64>,
    /// A bit for each of the last [`WINDOW`] sequence numbers, by their remainder.
    bits: [u64; WORDS],
}

impl Seen {
    /// Notes a sequence number; returns true if it had been noted.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        let latest = self.latest.unwrap_or(0);
        if self.latest.is_none() || sequence > latest {
            if self.latest.is_none() || sequence - latest >= WINDOW {
                self.bits = [0; WORDS];
            } else {
                (latest + 1..sequence).for_each(|skipped| self.set(skipped, false));
            }
            self.latest = Some(sequence);
            self.set(sequence, true);
            return false;
        }
        if latest - sequence >= WINDOW {
            return false;
        }
        let was = self.word(sequence).is_some_and(|word| *word & bit(sequence) != 0);
        self.set(sequence, true);
        was
    }

    fn word(&mut self, sequence: u64) -> Option<&mut u64> {
        self.bits.get_mut((sequence % WINDOW / 64) as usize)
    }

    fn set(&mut self, sequence: u64, on: bool) {
        if let Some(word) = self.word(sequence) {
            if on { *word |= bit(sequence) } else { *word &= !bit(sequence) }
        }
    }
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_number_is_known_until_the_window_has_passed_it() {
        let mut seen = Seen::default();
        assert!(!seen.note(7));
        assert!(seen.note(7));
        assert!(!seen.note(7 + WINDOW - 1));
        assert!(seen.note(7));
        assert!(!seen.note(7 + WINDOW));
        assert!(!seen.note(7), "too old to be known");
        assert!(!seen.note((1 << 48) - 1));
        assert!(seen.note((1 << 48) - 1));
        assert!(!seen.note((1 << 48) - 2));
    }

    proptest! {
        #[test]
        fn within_the_window_it_agrees_with_a_set(numbers in proptest::collection::vec(0..WINDOW, 0..200)) {
            let (mut seen, mut set) = (Seen::default(), HashSet::new());
            for number in numbers {
                prop_assert_eq!(seen.note(number), !set.insert(number));
            }
        }

        #[test]
        fn what_was_not_seen_is_never_said_to_be(
            steps in proptest::collection::vec(-2000i64..2000, 0..200),
        ) {
            let (mut seen, mut set, mut at) = (Seen::default(), HashSet::new(), 0i64);
            for step in steps {
                at = (at + step).max(0);
                let was = seen.note(at as u64);
                prop_assert!(!(set.insert(at) && was));
            }
        }
    }
}

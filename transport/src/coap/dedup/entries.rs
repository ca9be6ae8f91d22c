//! A queue whose first entry is stored in its owner. Most sessions send one message and rest: an allocation
//! for each of them would leave a hole in the heap.

use super::Entry;
use std::collections::VecDeque;

/// The remembered messages of one session, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The oldest entry; None if there are none.
    first: Option<Entry>,
    rest: VecDeque<Entry>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Returns the number of entries that fit without another allocation, present entries included.
    pub(super) fn places(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.capacity()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Entry> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.rest.get(at),
        }
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Entry> {
        match at.checked_sub(1) {
            None => self.first.as_mut(),
            Some(at) => self.rest.get_mut(at),
        }
    }

    pub(super) fn newest(&self) -> Option<&Entry> {
        self.rest.back().or(self.first.as_ref())
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.first.is_none() {
            self.first = Some(entry);
            return;
        }
        if self.rest.len() == self.rest.capacity() {
            // Doubling would leave half of the places of a large queue unused.
            self.rest.reserve_exact(self.len() / 2 + 1);
        }
        self.rest.push_back(entry);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Entry> {
        let removed = match at.checked_sub(1) {
            None => std::mem::replace(&mut self.first, self.rest.pop_front()),
            Some(at) => self.rest.remove(at),
        };
        let (places, used) = (self.rest.capacity(), self.rest.len());
        if used == 0 {
            self.rest = VecDeque::new();
        } else if places > 2 * used + 4 {
            self.rest.shrink_to(used + used / 4);
        }
        removed
    }

    pub(super) fn oldest_that(&self, fits: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.first.iter().chain(&self.rest).position(fits)
    }

    pub(super) fn newest_that(&self, fits: impl Fn(&Entry) -> bool) -> Option<usize> {
        let of_the_rest = self.rest.iter().rposition(&fits).map(|at| at + 1);
        of_the_rest.or_else(|| self.first.as_ref().filter(|first| fits(first)).map(|_| 0))
    }
}

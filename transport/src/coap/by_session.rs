//! A table of values by session, in one allocation: thousands of small ones would leave holes in the heap.

use crate::SessionId;
use crate::by_number::ByNumber;
use std::collections::HashMap;

/// A table with fewer places than this is not made smaller.
const FEW: usize = 256;

/// A table eight times as large as what is in it is made smaller.
const MOSTLY_EMPTY: usize = 8;

/// Values by session. Nothing depends on their order.
#[derive(Debug)]
pub(super) struct BySession<V>(HashMap<SessionId, V, ByNumber>);

impl<V> BySession<V> {
    pub(super) fn new() -> BySession<V> {
        BySession(HashMap::with_hasher(ByNumber::new()))
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&V> {
        self.0.get(&session)
    }

    pub(super) fn get_mut(&mut self, session: SessionId) -> Option<&mut V> {
        self.0.get_mut(&session)
    }

    pub(super) fn get_or_insert_with(&mut self, session: SessionId, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(session).or_insert_with(make)
    }

    pub(super) fn remove(&mut self, session: SessionId) -> Option<V> {
        let removed = self.0.remove(&session)?;
        if self.0.capacity() > FEW && self.0.capacity() > MOSTLY_EMPTY * self.0.len() {
            self.0.shrink_to(2 * self.0.len());
        }
        Some(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, session: SessionId) -> bool {
        self.0.contains_key(&session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &V)> {
        self.0.iter().map(|(session, value)| (*session, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shrinks_with_what_is_in_it() {
        let mut table = BySession::new();
        for number in 0..100_000 {
            *table.get_or_insert_with(SessionId(number), || 0) = number;
        }
        for number in 0..99_990 {
            assert_eq!(table.remove(SessionId(number)), Some(number));
            assert!(table.0.capacity() <= FEW.max(2 * MOSTLY_EMPTY * table.len()), "{number}");
        }
        assert_eq!((table.len(), table.get(SessionId(99_990))), (10, Some(&99_990)));
    }
}

//! What is remembered of accounts, within a bound.
//!
//! Whoever reaches the listener can make tokens up (see [`crate::known`]). What is remembered of those gives
//! way first, and of equals what was noted first. An account is found by the hash of its token, so that a
//! token which has ended is in no memory.

use crate::account::Account;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// One thing for each of so many accounts.
pub(crate) struct ByAccount<T> {
    most: usize,
    notes: HashMap<[u8; 32], Note<T>>,
}

struct Note<T> {
    is_known: bool,
    since: Instant,
    thing: T,
}

impl<T> ByAccount<T> {
    pub(crate) fn new(most: usize) -> ByAccount<T> {
        ByAccount { most, notes: HashMap::new() }
    }

    /// Returns what is remembered of an account.
    pub(crate) fn get(&self, account: &Account) -> Option<&T> {
        self.notes.get(&account.hash()).map(|note| &note.thing)
    }

    /// Remembers this of an account. `is_known`: see [`crate::sessions::Sessions::knows`].
    pub(crate) fn note(&mut self, account: &Account, is_known: bool, thing: T) {
        let hash = account.hash();
        if !self.notes.contains_key(&hash) && self.notes.len() >= self.most {
            let first = self.notes.iter().min_by_key(|(_, note)| (note.is_known, note.since));
            if let Some(first) = first.map(|(hash, _)| *hash) {
                self.notes.remove(&first);
            }
        }
        self.notes.insert(hash, Note { is_known, since: Instant::now(), thing });
    }

    /// Remembers nothing of an account any longer.
    pub(crate) fn forget(&mut self, account: &Account) {
        self.notes.remove(&account.hash());
    }

    /// Remembers nothing any longer that was noted so long ago.
    pub(crate) fn forget_older(&mut self, than: Duration) {
        self.notes.retain(|_, note| note.since.elapsed() < than);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::account;

    const SECOND: Duration = Duration::from_secs(1);

    async fn note(notes: &mut ByAccount<u8>, token: &str, is_known: bool) {
        tokio::time::advance(SECOND).await;
        notes.note(&account(token), is_known, 0);
    }

    fn of(notes: &ByAccount<u8>, tokens: [&str; 4]) -> [bool; 4] {
        tokens.map(|token| notes.get(&account(token)).is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_made_up_gives_way_first_and_then_what_was_noted_first() {
        let mut notes = ByAccount::new(3);
        for (token, is_known) in [("real", true), ("a", false), ("b", false), ("a", false), ("c", false)] {
            note(&mut notes, token, is_known).await;
        }
        assert_eq!(of(&notes, ["real", "a", "b", "c"]), [true, true, false, true]);
        for token in ["two", "three", "four"] {
            note(&mut notes, token, true).await;
        }
        assert_eq!(of(&notes, ["real", "two", "three", "four"]), [false, true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_or_over_is_forgotten() {
        let mut notes = ByAccount::new(4);
        for token in ["a", "b", "c", "d"] {
            note(&mut notes, token, true).await;
        }
        notes.forget_older(SECOND * 2);
        notes.forget(&account("d"));
        assert_eq!(of(&notes, ["a", "b", "c", "d"]), [false, false, true, false]);
    }
}

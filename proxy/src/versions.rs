//! The last answers to `/versions`: clients ask it to find out whether the homeserver is there, and wait for
//! seconds only.
//!
//! A homeserver may tell one account of features that another does not have. So each hears again what it was
//! told itself, or else what was told to a request without a token.

use crate::account::Account;
use crate::by_account::ByAccount;
use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Accounts whose last answer is remembered.
const MOST_ACCOUNTS: usize = 64;
/// Most bytes of an answer that is remembered; Synapse's has 3,000.
const LONGEST: usize = 32 << 10;

/// The last answers, by account.
pub(crate) struct Versions(Mutex<ByAccount<Bytes>>);

impl Versions {
    pub(crate) fn new() -> Versions {
        Versions(Mutex::new(ByAccount::new(MOST_ACCOUNTS)))
    }

    /// Remembers what an account was told. `is_known`: see [`crate::sessions::Sessions::knows`].
    pub(crate) fn keep(&self, account: &Account, is_known: bool, json: &[u8]) {
        let mut by_account = self.by_account();
        match json.len() <= LONGEST {
            true => by_account.note(account, is_known, Bytes::copy_from_slice(json)),
            // An older one would be told in its place.
            false => by_account.forget(account),
        }
    }

    /// Returns what an account can be told.
    pub(crate) fn of(&self, account: &Account) -> Option<Bytes> {
        let by_account = self.by_account();
        by_account.get(account).or_else(|| by_account.get(&Account::nobody())).cloned()
    }

    /// Forgets what an account was told: its token has ended.
    pub(crate) fn forget(&self, account: &Account) {
        self.by_account().forget(account);
    }

    fn by_account(&self) -> MutexGuard<'_, ByAccount<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::account;

    #[test]
    fn each_hears_what_it_was_told_or_what_everybody_is() {
        let versions = Versions::new();
        let (one, other, nobody) = (account("one"), account("other"), Account::nobody());
        versions.keep(&one, true, b"one");
        assert_eq!(
            [&one, &other, &nobody].map(|account| versions.of(account)),
            [Some("one".into()), None, None]
        );
        versions.keep(&nobody, true, b"all");
        assert_eq!([&one, &other].map(|account| versions.of(account).unwrap()), ["one", "all"]);
        versions.forget(&one);
        assert_eq!(versions.of(&one).unwrap(), "all");
    }

    #[test]
    fn what_is_too_long_is_not_remembered_nor_what_was_told_before_it() {
        let (versions, one) = (Versions::new(), account("one"));
        versions.keep(&one, true, &[b' '; LONGEST]);
        assert!(versions.of(&one).is_some());
        versions.keep(&one, true, &[b' '; LONGEST + 1]);
        assert_eq!(versions.of(&one), None);
    }
}

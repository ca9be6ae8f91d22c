//! The access tokens that the homeserver has been seen to know.
//!
//! Whoever reaches the listener can make tokens up, a page in a browser too. What such a token is given must
//! not be taken from one that is real.

use crate::account::Account;
use std::collections::HashMap;
use tokio::time::Instant;

/// Accounts whose token is real. No `Debug`: tokens must not end up in a log.
pub(crate) struct Known {
    most: usize,
    /// When each was last seen to be real.
    accounts: HashMap<Account, Instant>,
}

impl Known {
    /// Makes an empty list of so many accounts; one more takes the place of the one that was silent for the
    /// longest.
    pub(crate) fn new(most: usize) -> Known {
        Known { most, accounts: HashMap::new() }
    }

    /// Returns whether the token of an account is real, or it has none.
    pub(crate) fn has(&self, account: &Account) -> bool {
        account.is_nobody() || self.accounts.contains_key(account)
    }

    /// Notes that the homeserver has let an account do what only a real token may.
    pub(crate) fn note(&mut self, account: &Account) {
        self.accounts.insert(account.clone(), Instant::now());
        if self.accounts.len() > self.most {
            let oldest = self.accounts.iter().min_by_key(|(_, since)| **since);
            if let Some(oldest) = oldest.map(|(account, _)| account.clone()) {
                self.accounts.remove(&oldest);
            }
        }
    }

    /// Notes that the token of an account has ended.
    pub(crate) fn forget(&mut self, account: &Account) {
        self.accounts.remove(account);
    }
}

/// Returns whether only a real token can have had a success with this path. Much of the API may be asked
/// without one, and some homeservers then look at no token (Client-Server API, "Requires authentication").
pub(crate) fn shows_a_token(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    if (segments.next(), segments.next()) != (Some("_matrix"), Some("client")) {
        return false;
    }
    match (segments.nth(1), segments.next()) {
        (Some("sync" | "devices" | "keys" | "room_keys" | "joined_rooms"), _)
        | (Some("rooms" | "sendToDevice" | "user"), Some(_))
        | (Some("account"), Some("whoami")) => true,
        // Sliding sync.
        (Some(_), Some("sync")) => path.starts_with("/_matrix/client/unstable/"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::account;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_silent_for_the_longest_makes_room() {
        let mut known = Known::new(2);
        for token in ["a", "b", "a", "c"] {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            known.note(&account(token));
        }
        assert_eq!(["a", "b", "c"].map(|token| known.has(&account(token))), [true, false, true]);
        known.forget(&account("a"));
        assert!(!known.has(&account("a")) && known.has(&Account::nobody()));
    }

    #[test]
    fn only_what_needs_a_token_shows_one() {
        for (path, shows) in [
            ("/_matrix/client/v3/sync", true),
            ("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", true),
            ("/_matrix/client/v3/account/whoami", true),
            ("/_matrix/client/v3/rooms/!r:b/send/m.room.message/1", true),
            ("/_matrix/client/v3/keys/upload", true),
            ("/_matrix/client/versions", false),
            ("/_matrix/client/v3/login", false),
            ("/_matrix/client/v3/account/password", false),
            ("/_matrix/client/v3/profile/@a:b", false),
            ("/_matrix/client/v3/directory/room/sync", false),
            ("/_matrix/client/v3/profile/sync", false),
            ("/_matrix/client/v3/publicRooms", false),
            ("/_matrix/media/v3/sync", false),
            ("/_matrix/client/unstable/im.nheko.summary/rooms/!r:b/summary", false),
            ("/sync", false),
        ] {
            assert_eq!(shows_a_token(path), shows, "{path}");
        }
    }
}

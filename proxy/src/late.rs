//! Failures of `/sync` are told late.
//!
//! matrix-nio repeats a failed sync at once, a thousand times a second. The first refusal of a sync is told
//! at once, since it may be one that the client has to act upon: a token or a position that has ended.
//! Failures of the way or of the homeserver are late from the first on, and each that follows is twice as
//! late.

use crate::account::Account;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest delay of a failure.
const LATEST: Duration = Duration::from_secs(30);
/// Accounts whose failures are remembered; those of more are late as a first failure is.
const MOST_ACCOUNTS: usize = 256;
/// The longest time for which a homeserver can want to be left alone, in seconds.
const LONGEST_RETRY: u64 = 24 * 3600;

/// Failures of syncs in a row, by account.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Account, u32>>);

impl Failures {
    /// Notes the answer to a sync and returns how late it is to be told. `first`: see [`crate::Times::late`].
    pub(crate) fn delay(&self, account: &Account, status: StatusCode, first: Duration) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !status.is_client_error() && !status.is_server_error() {
            failures.remove(account);
            return Duration::ZERO;
        }
        let has_room = failures.len() < MOST_ACCOUNTS || failures.contains_key(account);
        let before = if has_room {
            let before = failures.entry(account.clone()).or_default();
            *before = before.saturating_add(1);
            *before - 1
        } else {
            0
        };
        let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        match before {
            0 if is_refusal && has_room => Duration::ZERO,
            _ => first.saturating_mul(2_u32.saturating_pow(before)).min(LATEST),
        }
    }
}

/// Returns when the homeserver wants to be asked again: in a day at the latest, as nobody waits for longer.
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).map(HeaderValue::to_str).and_then(Result::ok);
    let seconds: u64 = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
    Duration::from_secs(seconds.min(LONGEST_RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const FIRST: Duration = Duration::from_secs(2);

    fn account(token: &str) -> Account {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        match crate::account::Credentials::of(&headers, "/") {
            crate::account::Credentials::Of(account, _) => account,
            crate::account::Credentials::Odd => panic!("{token}"),
        }
    }

    #[test]
    fn failures_in_a_row_are_told_later_and_later_and_a_success_ends_the_row() {
        let failures = Failures::default();
        let (one, other) = (account("one"), account("other"));
        let told = |account, status| failures.delay(account, status, FIRST).as_secs();
        let bad_gateway = StatusCode::BAD_GATEWAY;
        assert_eq!([told(&one, bad_gateway), told(&one, bad_gateway), told(&one, bad_gateway)], [2, 4, 8]);
        assert_eq!(told(&other, bad_gateway), 2, "accounts are apart");
        assert_eq!([told(&one, bad_gateway), told(&one, bad_gateway)], [16, 30]);
        assert_eq!([told(&one, StatusCode::OK), told(&one, bad_gateway)], [0, 2]);
    }

    #[test]
    fn the_first_refusal_is_told_at_once_and_the_next_is_not() {
        let failures = Failures::default();
        let one = account("one");
        let told = |status| failures.delay(&one, status, FIRST).as_secs();
        assert_eq!([told(StatusCode::UNAUTHORIZED), told(StatusCode::UNAUTHORIZED)], [0, 4]);
    }

    #[test]
    fn made_up_tokens_cost_no_more_than_a_bounded_memory_and_are_late_all_the_same() {
        let failures = Failures::default();
        for number in 0..MOST_ACCOUNTS {
            failures.delay(&account(&format!("t{number}")), StatusCode::UNAUTHORIZED, FIRST);
        }
        let late = failures.delay(&account("more"), StatusCode::UNAUTHORIZED, FIRST);
        assert_eq!(late, FIRST);
        assert_eq!(failures.0.lock().unwrap().len(), MOST_ACCOUNTS);
    }

    #[test]
    fn a_homeserver_that_wants_to_be_left_alone_for_ever_is_waited_for_no_longer_than_clocks_go() {
        for (told, seconds) in [("", 0), ("7", 7), ("18446744073709551615", LONGEST_RETRY), ("-1", 0)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(told))]);
            let after = retry_after(&headers);
            assert_eq!(after.as_secs(), seconds, "{told}");
            assert!(Instant::now().checked_add(after).is_some(), "{told}");
        }
    }
}

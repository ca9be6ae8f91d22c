//! Failures of `/sync` are told late.
//!
//! matrix-nio repeats a failed sync at once, a thousand times a second. The first refusal of a sync is told
//! at once, since it may be one that the client has to act upon: a token or a position that has ended.
//! Failures of the way or of the homeserver are late from the first on, and each that follows is twice as
//! late.

use crate::account::Account;
use crate::by_account::ByAccount;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest delay of a failure.
const LATEST: Duration = Duration::from_secs(30);
/// Accounts whose failures are remembered.
const MOST_ACCOUNTS: usize = 256;
/// How long after its last failure a row is over: no client that still runs leaves so long a pause.
const OVER: Duration = Duration::from_secs(3600);
/// The longest time for which a homeserver can want to be left alone, in seconds.
const LONGEST_RETRY: u64 = 24 * 3600;

/// Failures of syncs in a row, by account.
pub(crate) struct Failures(Mutex<ByAccount<u32>>);

impl Failures {
    pub(crate) fn new() -> Failures {
        Failures(Mutex::new(ByAccount::new(MOST_ACCOUNTS)))
    }

    /// Notes the answer to a sync and returns how late it is to be told. `is_known`: see
    /// [`crate::sessions::Sessions::knows`]. `first`: see [`crate::Times::late`].
    pub(crate) fn delay(
        &self,
        account: &Account,
        is_known: bool,
        status: StatusCode,
        first: Duration,
    ) -> Duration {
        let mut failures = self.by_account();
        if !status.is_client_error() && !status.is_server_error() {
            failures.forget(account);
            return Duration::ZERO;
        }
        failures.forget_older(OVER);
        let before = failures.get(account).copied().unwrap_or_default();
        failures.note(account, is_known, before.saturating_add(1));
        let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        match before {
            0 if is_refusal => Duration::ZERO,
            _ => first.saturating_mul(2_u32.saturating_pow(before)).min(LATEST),
        }
    }

    /// Forgets the failures of an account: its token has ended.
    pub(crate) fn forget(&self, account: &Account) {
        self.by_account().forget(account);
    }

    fn by_account(&self) -> MutexGuard<'_, ByAccount<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::testing::account;
    use std::time::Instant;

    const FIRST: Duration = Duration::from_secs(2);

    #[test]
    fn failures_in_a_row_are_told_later_and_later_and_a_success_ends_the_row() {
        let failures = Failures::new();
        let (one, other) = (account("one"), account("other"));
        let told = |account, status| failures.delay(account, true, status, FIRST).as_secs();
        let bad_gateway = StatusCode::BAD_GATEWAY;
        assert_eq!([told(&one, bad_gateway), told(&one, bad_gateway), told(&one, bad_gateway)], [2, 4, 8]);
        assert_eq!(told(&other, bad_gateway), 2, "accounts are apart");
        assert_eq!([told(&one, bad_gateway), told(&one, bad_gateway)], [16, 30]);
        assert_eq!([told(&one, StatusCode::OK), told(&one, bad_gateway)], [0, 2]);
    }

    #[test]
    fn the_first_refusal_is_told_at_once_and_the_next_is_not() {
        let failures = Failures::new();
        let one = account("one");
        let told = |status| failures.delay(&one, true, status, FIRST).as_secs();
        assert_eq!([told(StatusCode::UNAUTHORIZED), told(StatusCode::UNAUTHORIZED)], [0, 4]);
    }

    #[test]
    fn made_up_tokens_change_nothing_for_a_real_one() {
        let failures = Failures::new();
        let told = |token: &str, is_known, status| {
            failures.delay(&account(token), is_known, status, FIRST).as_secs()
        };
        assert_eq!(told("known", true, StatusCode::BAD_GATEWAY), 2);
        for number in 0..2 * MOST_ACCOUNTS {
            told(&format!("t{number}"), false, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(told("known", true, StatusCode::BAD_GATEWAY), 4);
        assert_eq!(told("expired", false, StatusCode::UNAUTHORIZED), 0);
        assert_eq!([2, 4, 8].map(|_| told("new", false, StatusCode::BAD_GATEWAY)), [2, 4, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_is_over_with_its_token_or_in_time() {
        let failures = Failures::new();
        let (one, other) = (account("one"), account("other"));
        let told = |account| failures.delay(account, true, StatusCode::UNAUTHORIZED, FIRST).as_secs();
        assert_eq!([told(&one), told(&one), told(&other)], [0, 4, 0]);
        failures.forget(&one);
        assert_eq!([told(&one), told(&other)], [0, 4]);
        tokio::time::advance(OVER).await;
        assert_eq!(told(&one), 0);
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

//! `--retry`: which failures may pass, and how long to wait for it.

use super::answer::Answer;
use crate::exit::{Exit, Failure};
use std::time::{Duration, Instant};

/// Wait before the first try again, doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait, also where the server asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Statuses of HTTP that may pass, as curl has them.
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// Returns how long to wait before another try; `None` where the outcome is final. `retries`: those so far.
pub(super) fn wait(outcome: &Result<Answer, Failure>, retries: u32) -> Option<Duration> {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(retries));
    let wait = match outcome {
        Ok(answer) if PASSING.contains(&answer.http_code) => answer.ask_again.unwrap_or(doubled),
        Err(failure) if matches!(failure.exit, Exit::Connect | Exit::Timeout) => doubled,
        _ => return None,
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Returns whether a wait ends in time.
pub(super) fn is_in_time(wait: Duration, deadline: Option<Instant>) -> bool {
    deadline.is_none_or(|deadline| Instant::now() + wait < deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coap::answer::tests::answer_of;

    #[test]
    fn what_may_pass_is_waited_for_and_all_else_is_final() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (http_code, ask_again, retries, expected) in [
            (503, seconds(7), 3, seconds(7)),
            (503, seconds(0), 0, seconds(0)),
            (503, seconds(100_000), 0, seconds(600)),
            (429, None, 0, seconds(1)),
            (500, None, 3, seconds(8)),
            (504, None, 99, seconds(600)),
            (404, None, 0, None),
            (505, seconds(1), 0, None),
            (200, None, 0, None),
        ] {
            let found = wait(&Ok(answer_of(http_code, ask_again)), retries);
            assert_eq!(found, expected, "{http_code} {ask_again:?} after {retries}");
        }
        for (exit, expected) in
            [(Exit::Timeout, seconds(2)), (Exit::Connect, seconds(2)), (Exit::Transfer, None)]
        {
            assert_eq!(wait(&Err(Failure::silent(exit)), 1), expected, "{exit:?}");
        }
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let minute = Duration::from_secs(60);
        assert!(is_in_time(minute, None));
        assert!(is_in_time(minute, Some(Instant::now() + 2 * minute)));
        assert!(!is_in_time(minute, Some(Instant::now() + minute / 2)));
    }
}

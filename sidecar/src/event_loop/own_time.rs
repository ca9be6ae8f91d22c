//! Our own share of a request's time: from the datagram that completes it until the first piece of its answer
//! is sent, less the wait for the upstream.
//!
//! ```text
//! read ---- ours ----> asked ---- the upstream's ----> its first piece ---- ours ----> sent
//! ```
//!
//! One clock reading serves all that was sent since the loop woke.

use std::time::{Duration, Instant};

/// Answers that the transport has begun and the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct OwnTime {
    /// When each request was read, moved on by the time that the upstream has taken.
    begun: Vec<Instant>,
}

impl OwnTime {
    /// Notes an answer whose first piece took the upstream this long, and now goes to the transport.
    pub(super) fn begin(&mut self, read: Instant, at_upstream: Duration) {
        self.begun.push(read + at_upstream);
    }

    /// Returns what each answer has taken, now that the socket has taken all of them.
    pub(super) fn sent(&mut self, now: Instant) -> impl Iterator<Item = Duration> {
        self.begun.drain(..).map(move |begun| now.saturating_duration_since(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_the_upstream_is_left_out_and_each_answer_is_told_once() {
        let read = Instant::now();
        let millis = Duration::from_millis;
        let mut own = OwnTime::default();
        own.begin(read, millis(5_000));
        own.begin(read + millis(4_000), millis(1_010));
        let sent = read + millis(5_020);
        assert_eq!(own.sent(sent).collect::<Vec<_>>(), [millis(20), millis(10)]);
        assert_eq!(own.sent(sent).count(), 0);
    }
}

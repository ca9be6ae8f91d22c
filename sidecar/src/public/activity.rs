//! What one connection does, as far as its limits of time depend on it.
//!
//! | at work | ends when |
//! |---|---|
//! | the TLS handshake | it takes longer than [`Times::handshake`] |
//! | a head of HTTP/1 that has begun | it takes longer than [`Times::head`] |
//! | nothing: no request is open | that lasts longer than [`Times::idle`] |
//! | an answer, of which the client takes nothing | that lasts longer than [`Times::stall`] |
//!
//! A request that waits for the homeserver has no limit here. No clock and no I/O: `now` comes in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The limits of time of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Longest TLS handshake. Enough for a chain of 4 kB at 300 bytes a second.
    pub handshake: Duration,
    /// Longest head of an HTTP/1 request, from its first byte. A client that never finishes one holds its
    /// place for so long.
    pub head: Duration,
    /// Longest time without a request. A new connection costs a client some kilobytes.
    pub idle: Duration,
    /// Longest time in which a client takes nothing of an answer that is there for it.
    pub stall: Duration,
    /// Longest silence within the body of a request. On the whole, a body comes at 64 bytes a second at
    /// least.
    pub silence: Duration,
}

impl Default for Times {
    fn default() -> Times {
        let seconds = Duration::from_secs;
        Times {
            handshake: seconds(20),
            head: seconds(20),
            idle: seconds(600),
            stall: seconds(120),
            silence: seconds(60),
        }
    }
}

/// Why a connection ends before its client ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The handshake has failed, or has taken too long.
    Handshake,
    /// The head of a request has taken too long.
    Head,
    /// There was no request for too long.
    Idle,
    /// The client has taken nothing of an answer for too long.
    Stall,
    /// The client's network has gone away from too many requests.
    Cancels,
    /// Its place was needed.
    GaveWay,
}

impl Over {
    /// Every word that [`Over::name`] returns.
    pub(crate) const NAMES: [&str; 6] = ["handshake", "head", "idle", "stall", "cancels", "gave_way"];

    /// Returns a short word for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Over::Handshake => "handshake",
            Over::Head => "head",
            Over::Idle => "idle",
            Over::Stall => "stall",
            Over::Cancels => "cancels",
            Over::GaveWay => "gave_way",
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    times: Times,
    stage: Stage,
    /// True for HTTP/2, of which not every byte belongs to a request.
    is_http2: bool,
    /// Number of requests so far.
    asked: u64,
    /// Number of requests that have not come to their end.
    open: usize,
    /// Since when a write waits for the client.
    blocked: Option<Instant>,
    /// Pieces of answers that wait to be taken by the client, each since when, by the number of its request.
    untaken: BTreeMap<u64, Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Handshake(Instant),
    /// There is no request since then, and of the next one nothing has come.
    Idle(Instant),
    /// The head of the next request has begun.
    Head(Instant),
    Busy,
}

impl Activity {
    /// Begins with the handshake.
    pub(super) fn new(now: Instant, times: Times) -> Activity {
        Activity {
            times,
            stage: Stage::Handshake(now),
            is_http2: false,
            asked: 0,
            open: 0,
            blocked: None,
            untaken: BTreeMap::new(),
        }
    }

    /// Notes that the handshake is over, or that there is none.
    pub(super) fn shaken(&mut self, now: Instant) {
        self.stage = Stage::Idle(now);
    }

    /// Notes that bytes have come.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Stage::Idle(_) = self.stage
            && !self.is_http2
        {
            self.stage = Stage::Head(now);
        }
    }

    /// Notes that a write waits for the client, or goes on.
    pub(super) fn write_waits(&mut self, now: Instant, waits: bool) {
        self.blocked = if waits { self.blocked.or(Some(now)) } else { None };
    }

    /// Notes a new request, and returns its number, from 1.
    pub(super) fn begin(&mut self, is_http2: bool) -> u64 {
        self.is_http2 |= is_http2;
        self.asked += 1;
        self.open += 1;
        self.stage = Stage::Busy;
        self.asked
    }

    /// Notes that a piece of an answer is there for the client, or that it was taken.
    pub(super) fn piece_waits(&mut self, now: Instant, request: u64, waits: bool) {
        if waits {
            self.untaken.insert(request, now);
        } else {
            self.untaken.remove(&request);
        }
    }

    /// Notes the end of a request. Returns true if it was the last one open.
    pub(super) fn end(&mut self, now: Instant, request: u64) -> bool {
        self.untaken.remove(&request);
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.stage = Stage::Idle(now);
        }
        self.open == 0
    }

    /// Returns when the connection ends if nothing changes, and why; `None` while it may take any time.
    pub(super) fn ends(&self) -> Option<(Instant, Over)> {
        let Times { handshake, head, idle, stall, .. } = self.times;
        let stage = match self.stage {
            Stage::Handshake(since) => Some((since + handshake, Over::Handshake)),
            Stage::Idle(since) => Some((since + idle, Over::Idle)),
            Stage::Head(since) => Some((since + head, Over::Head)),
            Stage::Busy => None,
        };
        let untaken = self.untaken.values().min().copied();
        let stalled = [self.blocked, untaken].into_iter().flatten().map(|since| (since + stall, Over::Stall));
        stage.into_iter().chain(stalled).min_by_key(|(at, _)| *at)
    }

    /// Returns how soon the state has to be looked at again: what begins meanwhile ends no sooner.
    pub(super) fn look_again(&self, now: Instant) -> Instant {
        let Times { head, stall, .. } = self.times;
        let soonest = now + head.min(stall) / 4;
        self.ends().map_or(soonest, |(at, _)| at.min(soonest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        handshake: Duration::from_secs(1),
        head: Duration::from_secs(2),
        idle: Duration::from_secs(10),
        stall: Duration::from_secs(5),
        silence: Duration::from_secs(5),
    };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Returns a connection after its handshake at second 0.
    fn connected(start: Instant) -> Activity {
        let mut activity = Activity::new(start, TIMES);
        activity.shaken(start);
        activity
    }

    #[test]
    fn a_handshake_has_its_time_however_many_bytes_come() {
        let start = Instant::now();
        let mut activity = Activity::new(start, TIMES);
        activity.heard(at(start, 1));
        assert_eq!(activity.ends(), Some((at(start, 1), Over::Handshake)));
    }

    #[test]
    fn a_head_has_its_time_from_its_first_byte() {
        let start = Instant::now();
        let mut activity = connected(start);
        assert_eq!(activity.ends(), Some((at(start, 10), Over::Idle)));
        for second in 3..5 {
            activity.heard(at(start, second));
            assert_eq!(activity.ends(), Some((at(start, 5), Over::Head)));
        }
        let request = activity.begin(false);
        assert_eq!(activity.ends(), None);
        assert!(activity.end(at(start, 20), request));
        assert_eq!(activity.ends(), Some((at(start, 30), Over::Idle)));
    }

    #[test]
    fn what_http2_says_between_requests_begins_no_head() {
        let start = Instant::now();
        let mut activity = connected(start);
        let request = activity.begin(true);
        activity.end(at(start, 1), request);
        activity.heard(at(start, 2));
        assert_eq!(activity.ends(), Some((at(start, 11), Over::Idle)));
    }

    #[test]
    fn a_request_may_wait_as_long_as_it_likes_and_an_answer_may_not() {
        let start = Instant::now();
        let mut activity = connected(start);
        let (first, second) = (activity.begin(true), activity.begin(true));
        assert_eq!(activity.ends(), None);
        activity.piece_waits(at(start, 1), first, true);
        activity.piece_waits(at(start, 2), second, true);
        assert_eq!(activity.ends(), Some((at(start, 6), Over::Stall)));
        activity.piece_waits(at(start, 3), first, false);
        assert_eq!(activity.ends(), Some((at(start, 7), Over::Stall)));
        assert!(!activity.end(at(start, 4), second));
        assert_eq!(activity.ends(), None);
        for second in 5..7 {
            activity.write_waits(at(start, second), true);
        }
        assert_eq!(activity.ends(), Some((at(start, 10), Over::Stall)));
        activity.write_waits(at(start, 8), false);
        assert_eq!(activity.ends(), None);
    }

    #[test]
    fn nothing_that_begins_later_is_missed_by_more_than_a_quarter() {
        let start = Instant::now();
        let mut activity = connected(start);
        let look = activity.look_again(start);
        assert_eq!(look, start + TIMES.head / 4);
        activity.heard(start);
        assert_eq!(activity.look_again(at(start, 2)), at(start, 2));
    }
}

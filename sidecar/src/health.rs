//! Whether the other side can be reached, Envoy or the homeserver: a metric, and one line in the log for each
//! change.
//!
//! ```text
//! a connection fails -----------------------> down: WARN, with the reason and what to look at
//! what listens speaks no HTTP/2 ------------> down, until an answer comes: that it can be connected to is no news
//! a connection is opened, an answer comes --> up: INFO, if it was down
//! ```

use crate::logging::Seldom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the other side, by the attempts to use it.
#[derive(Debug)]
pub(crate) struct Health {
    watched: Watched,
    /// True while an answer is no news, so that most answers cost one load.
    is_settled: AtomicBool,
    state: Mutex<State>,
}

/// The other side, with its address.
#[derive(Debug)]
pub(crate) enum Watched {
    /// Envoy, at this address.
    Upstream(String),
    /// The homeserver itself, at this URL.
    Homeserver(String),
}

/// Why the other side cannot be used, and what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The system does not let this user connect.
    User,
    /// There is no socket, or nothing listens.
    Absent,
    /// The name has no address.
    Name,
    /// The other side speaks something else than is expected there.
    Protocol,
    /// Nobody trusted vouches for the certificate of the other side, or it is for another name.
    Certificate,
    /// The other side accepts and says nothing, or datagrams vanish.
    Silence,
    /// The reason says it all.
    None,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the upstream can be used; `None` before the first attempt.
    up: Option<bool>,
    /// True if only an answer shows that the upstream can be used again.
    needs_an_answer: bool,
    /// True if an answer has come since it was last down.
    has_answered: bool,
    /// The beginning of the time without the upstream.
    down_since: Option<Instant>,
    /// What the log has said last; an upstream that was never down is not spoken of.
    told: Option<bool>,
    told_down: Seldom,
    told_up: Seldom,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Down,
    UpAgain(Duration),
}

impl Watched {
    fn hint(&self, hint: Hint) -> &'static str {
        match self {
            Watched::Upstream(_) => hint.at_envoy(),
            Watched::Homeserver(_) => hint.at_the_homeserver(),
        }
    }
}

impl Hint {
    fn at_envoy(self) -> &'static str {
        match self {
            Hint::User => {
                "; the sidecar and Envoy must run as the same user, because the socket has mode 0600"
            }
            Hint::Absent => "; Envoy has not started, or listens elsewhere than --upstream says",
            Hint::Name => "; the name in --upstream does not resolve here",
            Hint::Protocol => {
                "; what listens there speaks no HTTP/2 with prior knowledge, but HTTP/1 perhaps: --upstream has to \
                 name Envoy's listener for the sidecar"
            }
            Hint::Silence => SILENCE,
            Hint::Certificate | Hint::None => "",
        }
    }

    fn at_the_homeserver(self) -> &'static str {
        match self {
            Hint::Absent => "; the homeserver has not started, or listens elsewhere than --homeserver says",
            Hint::Name => "; the name in --homeserver does not resolve here",
            Hint::Protocol => {
                "; what listens there speaks something else: --homeserver begins with https:// where the homeserver \
                 speaks TLS, and with http:// where it does not"
            }
            Hint::Certificate => {
                "; --homeserver has to name the homeserver as its certificate does, and --homeserver-ca the \
                 authorities where they are your own"
            }
            Hint::Silence => SILENCE,
            Hint::User | Hint::None => "",
        }
    }
}

const SILENCE: &str = "; a firewall drops what is sent, or the other side is stuck";

impl Health {
    pub(crate) fn new(watched: Watched) -> Health {
        Health { watched, is_settled: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Returns whether the other side could be used at the last attempt; `None` before the first one.
    pub(crate) fn is_up(&self) -> Option<bool> {
        self.lock().up
    }

    /// Notes that a connection has been opened.
    pub(crate) fn connected(&self) {
        let line = self.lock().connected(Instant::now());
        self.tell(line, "", Hint::None);
    }

    /// Notes that an answer has begun.
    pub(crate) fn answered(&self) {
        if self.is_settled.load(Ordering::Relaxed) {
            return;
        }
        let line = {
            let mut state = self.lock();
            let line = state.answered(Instant::now());
            self.is_settled.store(state.is_settled(), Ordering::Relaxed);
            line
        };
        self.tell(line, "", Hint::None);
    }

    /// Notes that a connection ended under a request, which is no news where answers have come.
    pub(crate) fn cut(&self, why: &str) {
        if !self.lock().has_answered {
            self.failed(why, Hint::Protocol);
        }
    }

    /// Returns what to look at when a connection ends before its first bytes have gone out: where no answer
    /// has ever come, the other side may speak something else.
    pub(crate) fn hint_at_an_early_end(&self) -> Hint {
        if self.lock().has_answered { Hint::None } else { Hint::Protocol }
    }

    /// Notes that the other side cannot be used, and why.
    pub(crate) fn failed(&self, why: &str, hint: Hint) {
        let line = {
            let mut state = self.lock();
            self.is_settled.store(false, Ordering::Relaxed);
            state.failed(Instant::now(), hint == Hint::Protocol)
        };
        self.tell(line, why, hint);
    }

    fn tell(&self, line: Option<Line>, why: &str, hint: Hint) {
        let hint = self.watched.hint(hint);
        match (&self.watched, line) {
            (_, None) => {}
            (Watched::Upstream(upstream), Some(Line::Down)) => {
                tracing::warn!(%upstream, "the upstream cannot be used: {why}{hint}");
            }
            (Watched::Homeserver(homeserver), Some(Line::Down)) => {
                tracing::warn!(%homeserver, "the homeserver cannot be used: {why}{hint}");
            }
            (Watched::Upstream(upstream), Some(Line::UpAgain(after))) => {
                tracing::info!(%upstream, after_seconds = after.as_secs(), "the upstream can be used again");
            }
            (Watched::Homeserver(homeserver), Some(Line::UpAgain(after))) => {
                tracing::info!(%homeserver, after_seconds = after.as_secs(), "the homeserver can be used again");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn connected(&mut self, now: Instant) -> Option<Line> {
        if self.needs_an_answer { None } else { self.is_up_now(now) }
    }

    fn answered(&mut self, now: Instant) -> Option<Line> {
        (self.needs_an_answer, self.has_answered) = (false, true);
        self.is_up_now(now)
    }

    /// A line that comes too soon after the last of its kind is made up for at the next event.
    fn is_up_now(&mut self, now: Instant) -> Option<Line> {
        self.up = Some(true);
        if self.told != Some(false) {
            self.down_since = None;
            return None;
        }
        self.told_up.take(now)?;
        self.told = Some(true);
        let since = self.down_since.take().unwrap_or(now);
        Some(Line::UpAgain(now.saturating_duration_since(since)))
    }

    fn failed(&mut self, now: Instant, needs_an_answer: bool) -> Option<Line> {
        (self.up, self.has_answered) = (Some(false), false);
        self.needs_an_answer |= needs_an_answer;
        self.down_since.get_or_insert(now);
        if self.told == Some(false) {
            return None;
        }
        self.told_down.take(now)?;
        self.told = Some(false);
        Some(Line::Down)
    }

    fn is_settled(&self) -> bool {
        self.up == Some(true) && self.told != Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn each_change_is_told_once() {
        let (start, mut state) = (Instant::now(), State::default());
        assert_eq!(state.connected(start), None, "that it works is no news");
        assert_eq!(state.failed(at(start, 100), false), Some(Line::Down));
        for millis in [200, 5_000, 90_000] {
            assert_eq!(state.failed(at(start, millis), false), None, "{millis}");
        }
        assert_eq!(state.up, Some(false));
        let again = Line::UpAgain(Duration::from_millis(95_000 - 100));
        assert_eq!(state.connected(at(start, 95_000)), Some(again));
        assert_eq!(state.answered(at(start, 95_001)), None);
        assert!(state.is_settled());
    }

    #[test]
    fn an_upstream_that_was_never_there_is_told_of_at_the_first_request() {
        let mut state = State::default();
        assert_eq!(state.up, None);
        assert_eq!(state.failed(Instant::now(), false), Some(Line::Down));
    }

    #[test]
    fn one_that_comes_and_goes_is_told_of_once_a_second_and_its_last_state_in_any_case() {
        let (start, mut state) = (Instant::now(), State::default());
        let mut lines = 0;
        for millis in (0..2_000).step_by(10) {
            lines += usize::from(state.failed(at(start, millis), false).is_some());
            lines += usize::from(state.answered(at(start, millis + 5)).is_some());
        }
        assert_eq!(lines, 4, "two a second");
        assert_eq!(state.failed(at(start, 2_000), false), Some(Line::Down));
        assert_eq!(state.answered(at(start, 2_001)), None, "too soon");
        assert!(!state.is_settled());
        assert!(matches!(state.answered(at(start, 4_000)), Some(Line::UpAgain(_))));
    }

    #[test]
    fn a_connection_to_what_speaks_no_http_2_is_no_recovery() {
        let (start, mut state) = (Instant::now(), State::default());
        state.connected(start);
        assert_eq!(state.failed(at(start, 1), true), Some(Line::Down));
        for millis in (1_000..9_000).step_by(1_000) {
            assert_eq!(state.connected(at(start, millis)), None);
            assert_eq!(state.failed(at(start, millis + 1), true), None);
        }
        assert_eq!(state.up, Some(false));
        assert!(matches!(state.answered(at(start, 10_000)), Some(Line::UpAgain(_))));
        assert_eq!(state.up, Some(true));
    }
}

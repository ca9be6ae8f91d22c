//! The end of the process, arranged so that clients hardly notice: what happens between SIGTERM and the exit.
//!
//! ```text
//!          begin                      all of them are closed              all of these too                `linger` is over
//! Serving -------> Telling ------------------------------> Sweeping ----------------------> Lingering ----------------> Over
//!                  the sessions that are there, one        those that have come             /readyz fails
//!                  after another; new ones are served      meanwhile; no new ones
//!
//! a session: waits for its turn -> (turn) long polls are answered 5.03 -> (all is answered, or `grace_period` after the turn) closed
//! ```
//!
//! From the beginning of the end a balancer sends new flows elsewhere, but an old flow comes to this process
//! for as long as it is ready: so the process stays ready until all clients have been notified. A client that
//! was notified dials again from a new port, and reaches another process. Turns are [`MOST_APART`] apart or
//! less, so that clients do not all dial at once; with more sessions than fit they come faster, and all have
//! come after `close_within`. Whatever clients do, `close_within` and `grace_period` together bound the time
//! until readiness fails.
//!
//! No clock and no I/O: the time and what is known of sessions come in, [`Step`]s come out. Deliberately
//! absent: Observe, which the transport does not know yet. An answer of 5.03 would end an observation as well
//! (RFC 7641 section 4.2), at the turn of its session.

use lowband_transport::SessionId;
use lowband_transport::coap::Activity;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Longest time between the turns of two sessions.
pub const MOST_APART: Duration = Duration::from_millis(20);
/// Time between two checks of the sessions that have had their turn.
const LOOK: Duration = Duration::from_millis(20);
/// Longest time without progress for which a body in blocks keeps its session open; afterwards it is cut,
/// since its client has usually gone. Longer than a client waits before it repeats a block that was lost
/// (ACK_TIMEOUT of RFC 7252: 2 to 3 s).
pub const BODY_SILENCE: Duration = Duration::from_secs(5);
/// Clients whose long poll has been answered come again after 1 to this many seconds (Max-Age).
pub const POLL_SPREAD: u32 = 4;

const FIRST: SessionId = SessionId(0);

/// How long the end may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Time that each session has from its turn until what it has open is cut.
    pub grace_period: Duration,
    /// Time within which all sessions have their turn.
    pub close_within: Duration,
    /// Time from the failing of readiness to the end.
    pub linger: Duration,
}

impl Settings {
    /// Returns the longest time from the signal to the end of the process.
    pub fn longest(&self) -> Duration {
        self.close_within + self.grace_period + self.linger
    }
}

/// The phases of the end; see the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the drawing says it")]
pub enum Phase {
    Serving,
    Telling,
    Sweeping,
    Lingering,
    Over,
}

/// A step of the end that the event loop carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin the session's turn: its long polls, those that wait and those to come, are answered with 5.03
    /// and this Max-Age.
    Dismiss {
        /// The session whose turn it is.
        session: SessionId,
        /// The Max-Age of its answers in seconds.
        max_age: u32,
    },
    /// Close the session by close_notify.
    Close {
        /// The session to close.
        session: SessionId,
        /// True if the time of the session was over before all was answered.
        cut: bool,
    },
    /// Begin a phase.
    Enter(Phase),
}

/// The state of a session: whether it is still open, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The session has ended.
    Gone,
    /// The session is open.
    Open(Activity),
}

/// What the end has to know of the sessions.
pub trait Sessions {
    /// Returns all sessions.
    fn all(&self) -> Vec<SessionId>;
    /// Returns the condition of one session.
    fn condition(&self, session: SessionId) -> Condition;
}

/// The course of one end, from the signal to the last session.
#[derive(Debug)]
pub struct Drain {
    settings: Settings,
    phase: Phase,
    /// Sessions that wait for their turn, oldest first.
    queue: BTreeSet<SessionId>,
    apart: Duration,
    turn: Instant,
    /// Sessions that have had their turn, and when each is cut.
    leaving: BTreeMap<SessionId, Instant>,
    /// The session that has just had its turn: most are at rest, and need not wait until all are checked.
    fresh: Option<SessionId>,
    /// When all sessions are checked, and where the check continues.
    look: (Instant, SessionId),
    /// The time at which everything still open in any session is cut.
    deadline: Instant,
    over: Instant,
}

impl Drain {
    /// Begins the end, once SIGTERM has come.
    pub fn begin(now: Instant, settings: Settings, sessions: &impl Sessions) -> Drain {
        let deadline = now + settings.close_within + settings.grace_period;
        let mut drain = Drain {
            settings,
            phase: Phase::Telling,
            queue: BTreeSet::new(),
            apart: Duration::ZERO,
            turn: now,
            leaving: BTreeMap::new(),
            fresh: None,
            look: (now, FIRST),
            deadline,
            over: deadline,
        };
        drain.take_all(now, sessions);
        drain
    }

    /// Returns how far the end has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns what is to be done now; callers ask again until it is `None`.
    pub fn step(&mut self, now: Instant, sessions: &impl Sessions) -> Option<Step> {
        match self.phase {
            Phase::Serving | Phase::Over => None,
            Phase::Telling | Phase::Sweeping => {
                let fresh = self.fresh.take();
                fresh
                    .and_then(|session| self.end_of(now, session, sessions))
                    .or_else(|| self.next_turn(now, sessions))
                    .or_else(|| self.next_end(now, sessions))
                    .or_else(|| self.next_phase(now, sessions))
            }
            Phase::Lingering if self.over <= now => {
                self.phase = Phase::Over;
                Some(Step::Enter(Phase::Over))
            }
            Phase::Lingering => self.next_late(now, sessions),
        }
    }

    /// Returns when [`Drain::step`] has something to do, if no session changes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Serving | Phase::Over => None,
            Phase::Telling | Phase::Sweeping => {
                let turn = (!self.queue.is_empty()).then_some(self.turn);
                let look = (!self.leaving.is_empty()).then_some(self.look.0);
                [turn, look].into_iter().flatten().min().map(|due| due.min(self.deadline))
            }
            Phase::Lingering => Some(self.over.min(self.look.0)),
        }
    }

    fn take_all(&mut self, now: Instant, sessions: &impl Sessions) {
        self.queue.extend(sessions.all());
        let count = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let fitting = self.settings.close_within.checked_div(count).unwrap_or_default();
        self.apart = MOST_APART.min(fitting);
        self.turn = now;
    }

    fn next_turn(&mut self, now: Instant, sessions: &impl Sessions) -> Option<Step> {
        while self.turn <= now || self.deadline <= now {
            let session = self.queue.pop_first()?;
            if sessions.condition(session) == Condition::Gone {
                continue;
            }
            self.turn += self.apart;
            self.leaving.insert(session, self.deadline.min(now + self.settings.grace_period));
            self.fresh = Some(session);
            return Some(Step::Dismiss { session, max_age: max_age(session) });
        }
        None
    }

    /// Closes the next session that has had its turn and is due.
    fn next_end(&mut self, now: Instant, sessions: &impl Sessions) -> Option<Step> {
        if self.look.0 > now {
            return None;
        }
        while let Some((&session, _)) = self.leaving.range(self.look.1..).next() {
            self.look.1 = SessionId(session.0.saturating_add(1));
            if let Some(step) = self.end_of(now, session, sessions) {
                return Some(step);
            }
        }
        self.look = (now + LOOK, FIRST);
        None
    }

    /// Closes a session that has had its turn, if it is due.
    fn end_of(&mut self, now: Instant, session: SessionId, sessions: &impl Sessions) -> Option<Step> {
        let cut_at = *self.leaving.get(&session)?;
        let condition = sessions.condition(session);
        if condition == Condition::Open(Activity::Busy) && now < cut_at {
            return None;
        }
        self.leaving.remove(&session);
        match condition {
            Condition::Gone => None,
            Condition::Open(activity) => Some(Step::Close { session, cut: activity != Activity::AtRest }),
        }
    }

    fn next_phase(&mut self, now: Instant, sessions: &impl Sessions) -> Option<Step> {
        if !self.queue.is_empty() || !self.leaving.is_empty() {
            return None;
        }
        if self.phase == Phase::Telling {
            self.phase = Phase::Sweeping;
            self.take_all(now, sessions);
        } else {
            self.phase = Phase::Lingering;
            self.over = now + self.settings.linger;
            self.look.0 = now;
        }
        Some(Step::Enter(self.phase))
    }

    /// Closes sessions from handshakes that were under way when new clients were no longer accepted.
    fn next_late(&mut self, now: Instant, sessions: &impl Sessions) -> Option<Step> {
        if self.look.0 > now {
            return None;
        }
        match sessions.all().first() {
            Some(&session) => Some(Step::Close { session, cut: false }),
            None => {
                self.look.0 = now + LOOK;
                None
            }
        }
    }
}

/// Returns the Max-Age in seconds. Sessions have their turns in the order of their numbers, so the clients of
/// sessions closed one after another come again in different seconds.
fn max_age(session: SessionId) -> u32 {
    let apart = session.0 % u64::from(POLL_SPREAD);
    1 + u32::try_from(apart).unwrap_or_default()
}

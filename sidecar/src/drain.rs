//! The end, so that clients hardly notice: what happens between SIGTERM and the end of the process.
//!
//! ```text
//!          begin                      all of them are closed              all of these too                `linger` is over
//! Serving -------> Telling ------------------------------> Sweeping ----------------------> Lingering ----------------> Over
//!                  the sessions that are there, one        those that have come             /readyz fails
//!                  after another; who comes is served      meanwhile; nobody new
//!
//! a session: waits for its turn -> (turn) long polls are answered 5.03 -> (all is answered, or `grace_period` after the turn) closed
//! ```
//!
//! A balancer sends new flows elsewhere from the beginning, but an old one to this process for as long as it is ready: so it
//! stays so until everybody has been told. Who is told dials again from a new port, and gets elsewhere. Turns are [`MOST_APART`] apart
//! or less, so that not all dial at once; with more sessions than fit they come faster, and all have come after `close_within`.
//! Whatever clients do, `close_within` and `grace_period` together bound the time until readiness fails.
//!
//! No clock and no I/O: time and what is known of sessions come in, [`Step`]s come out. Deliberately absent: Observe, which the
//! transport does not know yet. An answer of 5.03 would end an observation, too (RFC 7641 section 4.2), at the turn of its session.

use lowband_transport::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between the turns of two sessions, at most.
pub const MOST_APART: Duration = Duration::from_millis(20);
/// How often sessions that have had their turn are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A body in blocks that has made no step for this long keeps its session no longer: its client is gone, as a rule. Longer than
/// a client waits until it repeats a block that was lost (ACK_TIMEOUT of RFC 7252: 2 to 3 s).
pub const BODY_SILENCE: Duration = Duration::from_secs(5);
/// Clients whose long poll has been answered come again after 1 to this many seconds (Max-Age).
pub const POLL_SPREAD: u32 = 4;

const FIRST: SessionId = SessionId(0);

/// How long the end may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For each session, from its turn on, until what it has open is cut.
    pub grace_period: Duration,
    /// In which all sessions have their turn.
    pub close_within: Duration,
    /// From the failing of readiness to the end.
    pub linger: Duration,
}

impl Settings {
    /// From the signal to the end of the process, at most.
    pub fn longest(&self) -> Duration {
        self.close_within + self.grace_period + self.linger
    }
}

/// See the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the drawing says it")]
pub enum Phase {
    Serving,
    Telling,
    Sweeping,
    Lingering,
    Over,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The session's turn has come: its long polls are answered with 5.03 and this Max-Age, those that wait and those to come.
    Dismiss {
        /// Which.
        session: SessionId,
        /// Seconds.
        max_age: u32,
    },
    /// close_notify.
    Close {
        /// Which.
        session: SessionId,
        /// Its time was over before all was answered.
        cut: bool,
    },
    /// A phase begins.
    Enter(Phase),
}

/// How it is with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is not there any more.
    Gone,
    /// All its requests are answered, and the answers have arrived.
    AtRest,
    /// Not yet.
    Busy,
}

/// What is known of the sessions.
pub trait Sessions {
    /// All of them.
    fn all(&self) -> Vec<SessionId>;
    /// One of them.
    fn condition(&self, session: SessionId) -> Condition;
}

/// One end.
#[derive(Debug)]
pub struct Drain {
    settings: Settings,
    seed: u64,
    phase: Phase,
    /// They wait for their turn, oldest first.
    queue: BTreeSet<SessionId>,
    apart: Duration,
    turn: Instant,
    /// They have had it; when they are cut.
    leaving: BTreeMap<SessionId, Instant>,
    /// It has had it just now: most are at rest, and need not wait until all are looked at.
    fresh: Option<SessionId>,
    /// When all are looked at, and where that goes on.
    look: (Instant, SessionId),
    /// Nothing of a session goes on after it.
    deadline: Instant,
    over: Instant,
}

impl Drain {
    /// SIGTERM has come. `seed` decides which session is told which Max-Age.
    pub fn begin(now: Instant, settings: Settings, seed: u64, sessions: &impl Sessions) -> Drain {
        let deadline = now + settings.close_within + settings.grace_period;
        let mut drain = Drain {
            settings,
            seed,
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

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is to be done now; to be asked until it is nothing.
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

    /// When [`Drain::step`] has something to do, if no session changes before.
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
            return Some(Step::Dismiss { session, max_age: max_age(self.seed, session) });
        }
        None
    }

    /// Of those that have had their turn.
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

    /// Whether it is time for a session that has had its turn.
    fn end_of(&mut self, now: Instant, session: SessionId, sessions: &impl Sessions) -> Option<Step> {
        let cut_at = *self.leaving.get(&session)?;
        let condition = sessions.condition(session);
        if condition == Condition::Busy && now < cut_at {
            return None;
        }
        self.leaving.remove(&session);
        let cut = condition == Condition::Busy;
        (condition != Condition::Gone).then_some(Step::Close { session, cut })
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

    /// Of handshakes that were under way when nobody new was taken any more.
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

/// SplitMix64: two sessions have nothing in common but the range.
fn max_age(seed: u64, session: SessionId) -> u32 {
    let mut mixed = seed.wrapping_add(session.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    1 + u32::try_from(mixed % u64::from(POLL_SPREAD)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const SETTINGS: Settings = Settings {
        grace_period: Duration::from_secs(10),
        close_within: Duration::from_secs(10),
        linger: SECOND,
    };

    /// Sessions, whether they are busy, and what has happened to them.
    #[derive(Default)]
    struct World {
        sessions: BTreeMap<SessionId, bool>,
        start: Option<Instant>,
        log: Vec<(u128, Step)>,
    }

    impl Sessions for World {
        fn all(&self) -> Vec<SessionId> {
            self.sessions.keys().copied().collect()
        }

        fn condition(&self, session: SessionId) -> Condition {
            match self.sessions.get(&session) {
                None => Condition::Gone,
                Some(true) => Condition::Busy,
                Some(false) => Condition::AtRest,
            }
        }
    }

    impl World {
        fn of(busy: &[bool]) -> World {
            let sessions = busy.iter().zip(1..).map(|(busy, id)| (SessionId(id), *busy)).collect();
            World { sessions, ..World::default() }
        }

        /// Does all that is due, as the event loop would, until `until`.
        fn run(&mut self, drain: &mut Drain, mut now: Instant, until: Instant) {
            let start = *self.start.get_or_insert(now);
            loop {
                while let Some(step) = drain.step(now, self) {
                    if let Step::Close { session, .. } = step {
                        assert!(self.sessions.remove(&session).is_some(), "{session:?} is closed once");
                    }
                    self.log.push(((now - start).as_millis(), step));
                }
                match drain.poll_timeout().filter(|due| *due <= until) {
                    Some(due) => {
                        assert!(due > now, "what is due has been done");
                        now = due;
                    }
                    None => return,
                }
            }
        }

        fn entered(&self, phase: Phase) -> u128 {
            let found = self.log.iter().find(|(_, step)| *step == Step::Enter(phase));
            found.unwrap_or_else(|| panic!("{phase:?} has not begun: {:?}", self.log)).0
        }

        /// When, which, and whether it was cut.
        fn closed(&self) -> Vec<(u128, u64, bool)> {
            let close = |(at, step): &(u128, Step)| match step {
                Step::Close { session, cut } => Some((*at, session.0, *cut)),
                _ => None,
            };
            self.log.iter().filter_map(close).collect()
        }
    }

    /// The whole end of sessions that do not change.
    fn ended(settings: Settings, busy: &[bool]) -> World {
        let (mut world, now) = (World::of(busy), Instant::now());
        let mut drain = Drain::begin(now, settings, 7, &world);
        world.run(&mut drain, now, now + 100 * SECOND);
        assert_eq!(drain.phase(), Phase::Over);
        world
    }

    #[test]
    fn without_sessions_readiness_fails_at_once() {
        let world = ended(SETTINGS, &[]);
        let phases = [(0, Phase::Sweeping), (0, Phase::Lingering), (1000, Phase::Over)];
        assert_eq!(world.log, phases.map(|(at, phase)| (at, Step::Enter(phase))));
        assert_eq!(ended(Settings { linger: Duration::ZERO, ..SETTINGS }, &[]).entered(Phase::Over), 0);
    }

    #[test]
    fn sessions_at_rest_are_closed_one_after_another_oldest_first() {
        let world = ended(SETTINGS, &[false; 3]);
        assert_eq!(world.closed(), [(0, 1, false), (20, 2, false), (40, 3, false)]);
        assert_eq!((world.entered(Phase::Lingering), world.entered(Phase::Over)), (40, 1040));
    }

    #[test]
    fn however_many_sessions_there_are_all_have_their_turn_in_time() {
        let world = ended(SETTINGS, &[false; 2000]);
        let closed = world.closed();
        assert_eq!(closed.len(), 2000);
        for (number, (at, session, _)) in closed.iter().enumerate() {
            assert_eq!((*at, *session), (5 * number as u128, number as u64 + 1));
        }
        let at_once = ended(Settings { close_within: Duration::ZERO, ..SETTINGS }, &[false; 100]);
        assert_eq!(at_once.entered(Phase::Lingering), 0);
    }

    #[test]
    fn a_busy_session_is_closed_when_it_has_come_to_rest_and_keeps_no_other_one() {
        let (mut world, now) = (World::of(&[true, false]), Instant::now());
        let mut drain = Drain::begin(now, SETTINGS, 7, &world);
        world.run(&mut drain, now, now + 3 * SECOND);
        assert_eq!((world.closed(), drain.phase()), (vec![(20, 2, false)], Phase::Telling));
        world.sessions.insert(SessionId(1), false);
        world.run(&mut drain, now + 3 * SECOND, now + 4 * SECOND);
        assert_eq!(world.closed()[1..], [(3020, 1, false)]);
        assert_eq!(world.entered(Phase::Lingering), 3020);
    }

    #[test]
    fn what_never_comes_to_rest_is_cut_a_grace_period_after_its_turn() {
        let world = ended(SETTINGS, &[true, true, false]);
        assert_eq!(world.closed(), [(40, 3, false), (10_000, 1, true), (10_020, 2, true)]);
        assert_eq!((world.entered(Phase::Lingering), world.entered(Phase::Over)), (10_020, 11_020));
        assert_eq!(
            ended(Settings { grace_period: Duration::ZERO, ..SETTINGS }, &[true]).closed(),
            [(0, 1, true)]
        );
    }

    #[test]
    fn nothing_prolongs_the_end_beyond_its_bound() {
        // Each one stays busy for ever, and whoever is closed comes again at once.
        let (mut world, now) = (World::of(&[true; 2000]), Instant::now());
        let mut drain = Drain::begin(now, SETTINGS, 7, &world);
        let mut at = now;
        let mut next = 2000;
        while drain.phase() < Phase::Sweeping {
            let before = world.sessions.len();
            world.run(&mut drain, at, at + MS);
            for _ in world.sessions.len()..before {
                next += 1;
                world.sessions.insert(SessionId(next), true);
            }
            at += MS;
        }
        world.run(&mut drain, at, now + 100 * SECOND);
        assert_eq!(world.entered(Phase::Over), SETTINGS.longest().as_millis());
        assert_eq!(world.sessions.len(), 0);
    }

    #[test]
    fn who_comes_meanwhile_is_served_until_all_who_were_there_are_closed() {
        let (mut world, now) = (World::of(&[true]), Instant::now());
        let mut drain = Drain::begin(now, SETTINGS, 7, &world);
        world.run(&mut drain, now, now + SECOND);
        world.sessions.extend([(SessionId(8), false), (SessionId(9), false)]);
        world.run(&mut drain, now + SECOND, now + 2 * SECOND);
        assert_eq!(world.closed(), []);
        world.sessions.insert(SessionId(1), false);
        world.run(&mut drain, now + 2 * SECOND, now + 9 * SECOND);
        assert_eq!(world.entered(Phase::Sweeping), 2020);
        assert_eq!(world.closed(), [(2020, 1, false), (2020, 8, false), (2040, 9, false)]);
        assert_eq!(world.entered(Phase::Lingering), 2040);
    }

    #[test]
    fn a_session_of_a_handshake_under_way_is_closed_when_it_appears() {
        let (mut world, now) = (World::of(&[]), Instant::now());
        let mut drain = Drain::begin(now, SETTINGS, 7, &world);
        world.run(&mut drain, now, now + 500 * MS);
        world.sessions.insert(SessionId(9), false);
        world.run(&mut drain, now + 500 * MS, now + 2 * SECOND);
        assert_eq!(world.closed(), [(520, 9, false)]);
    }

    #[test]
    fn sessions_that_have_gone_by_themselves_take_no_time() {
        let (mut world, now) = (World::of(&[false; 1000]), Instant::now());
        let mut drain = Drain::begin(now, SETTINGS, 7, &world);
        world.sessions.retain(|session, _| session.0 == 1000);
        world.run(&mut drain, now, now + 2 * SECOND);
        assert_eq!((world.closed(), world.entered(Phase::Lingering)), (vec![(0, 1000, false)], 0));
    }

    #[test]
    fn clients_come_again_after_different_times_which_the_seed_decides() {
        let ages = |seed| (1..=1000).map(|id| max_age(seed, SessionId(id))).collect::<Vec<_>>();
        let of_one = ages(1);
        for age in 1..=POLL_SPREAD {
            let count = of_one.iter().filter(|found| **found == age).count();
            assert!((150..350).contains(&count), "{count} times {age}");
        }
        assert!(of_one.iter().all(|age| (1..=POLL_SPREAD).contains(age)));
        assert_eq!(of_one, ages(1));
        assert_ne!(of_one, ages(2));
    }

    #[test]
    fn a_turn_comes_before_the_close() {
        let world = ended(SETTINGS, &[false]);
        let session = SessionId(1);
        let turn = Step::Dismiss { session, max_age: max_age(7, session) };
        assert_eq!(world.log[..2], [(0, turn), (0, Step::Close { session, cut: false })]);
    }
}

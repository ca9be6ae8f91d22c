//! The end: what is done when, with sessions of all kinds, by a clock of the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_sidecar::drain::{Condition, Drain, POLL_SPREAD, Phase, Sessions, Settings, Step};
use lowband_transport::SessionId;
use lowband_transport::coap::Activity::{self, AtRest, Busy, Silent};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: Settings =
    Settings { grace_period: Duration::from_secs(10), close_within: Duration::from_secs(10), linger: SECOND };

/// Sessions, what is under way on them, and what has happened to them.
#[derive(Default)]
struct World {
    sessions: BTreeMap<SessionId, Activity>,
    start: Option<Instant>,
    log: Vec<(u128, Step)>,
}

impl Sessions for World {
    fn all(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    fn condition(&self, session: SessionId) -> Condition {
        self.sessions.get(&session).map_or(Condition::Gone, |activity| Condition::Open(*activity))
    }
}

impl World {
    fn of(activities: &[Activity]) -> World {
        let sessions = activities.iter().zip(1..).map(|(activity, id)| (SessionId(id), *activity)).collect();
        World { sessions, ..World::default() }
    }

    /// Does all that is due until `until`, as the event loop would.
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

    /// Returns when each session was closed, which one it was, and whether it was cut.
    fn closed(&self) -> Vec<(u128, u64, bool)> {
        let close = |(at, step): &(u128, Step)| match step {
            Step::Close { session, cut } => Some((*at, session.0, *cut)),
            _ => None,
        };
        self.log.iter().filter_map(close).collect()
    }
}

/// Returns the whole end of sessions that do not change.
fn ended(settings: Settings, activities: &[Activity]) -> World {
    let (mut world, now) = (World::of(activities), Instant::now());
    let mut drain = Drain::begin(now, settings, &world);
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
    let world = ended(SETTINGS, &[AtRest; 3]);
    assert_eq!(world.closed(), [(0, 1, false), (20, 2, false), (40, 3, false)]);
    assert_eq!((world.entered(Phase::Lingering), world.entered(Phase::Over)), (40, 1040));
}

#[test]
fn however_many_sessions_there_are_all_have_their_turn_in_time() {
    let world = ended(SETTINGS, &[AtRest; 2000]);
    let closed = world.closed();
    assert_eq!(closed.len(), 2000);
    for (number, (at, session, _)) in closed.iter().enumerate() {
        assert_eq!((*at, *session), (5 * number as u128, number as u64 + 1));
    }
    let at_once = ended(Settings { close_within: Duration::ZERO, ..SETTINGS }, &[AtRest; 100]);
    assert_eq!(at_once.entered(Phase::Lingering), 0);
}

#[test]
fn a_busy_session_is_closed_when_it_has_come_to_rest_and_keeps_no_other_one() {
    let (mut world, now) = (World::of(&[Busy, AtRest]), Instant::now());
    let mut drain = Drain::begin(now, SETTINGS, &world);
    world.run(&mut drain, now, now + 3 * SECOND);
    assert_eq!((world.closed(), drain.phase()), (vec![(20, 2, false)], Phase::Telling));
    world.sessions.insert(SessionId(1), AtRest);
    world.run(&mut drain, now + 3 * SECOND, now + 4 * SECOND);
    assert_eq!(world.closed()[1..], [(3020, 1, false)]);
    assert_eq!(world.entered(Phase::Lingering), 3020);
}

#[test]
fn what_never_comes_to_rest_is_cut_a_grace_period_after_its_turn() {
    let world = ended(SETTINGS, &[Busy, Busy, AtRest]);
    assert_eq!(world.closed(), [(40, 3, false), (10_000, 1, true), (10_020, 2, true)]);
    assert_eq!((world.entered(Phase::Lingering), world.entered(Phase::Over)), (10_020, 11_020));
    assert_eq!(
        ended(Settings { grace_period: Duration::ZERO, ..SETTINGS }, &[Busy]).closed(),
        [(0, 1, true)]
    );
}

#[test]
fn nothing_prolongs_the_end_beyond_its_bound() {
    // Each session stays busy for ever, and each client whose session is closed comes again at once.
    let (mut world, now) = (World::of(&[Busy; 2000]), Instant::now());
    let mut drain = Drain::begin(now, SETTINGS, &world);
    let mut at = now;
    let mut next = 2000;
    while drain.phase() < Phase::Sweeping {
        let before = world.sessions.len();
        world.run(&mut drain, at, at + MS);
        for _ in world.sessions.len()..before {
            next += 1;
            world.sessions.insert(SessionId(next), Busy);
        }
        at += MS;
    }
    world.run(&mut drain, at, now + 100 * SECOND);
    assert_eq!(world.entered(Phase::Over), SETTINGS.longest().as_millis());
    assert_eq!(world.sessions.len(), 0);
}

#[test]
fn who_comes_meanwhile_is_served_until_all_who_were_there_are_closed() {
    let (mut world, now) = (World::of(&[Busy]), Instant::now());
    let mut drain = Drain::begin(now, SETTINGS, &world);
    world.run(&mut drain, now, now + SECOND);
    world.sessions.extend([(SessionId(8), AtRest), (SessionId(9), AtRest)]);
    world.run(&mut drain, now + SECOND, now + 2 * SECOND);
    assert_eq!(world.closed(), []);
    world.sessions.insert(SessionId(1), AtRest);
    world.run(&mut drain, now + 2 * SECOND, now + 9 * SECOND);
    assert_eq!(world.entered(Phase::Sweeping), 2020);
    assert_eq!(world.closed(), [(2020, 1, false), (2020, 8, false), (2040, 9, false)]);
    assert_eq!(world.entered(Phase::Lingering), 2040);
}

#[test]
fn a_session_of_a_handshake_under_way_is_closed_when_it_appears() {
    let (mut world, now) = (World::of(&[]), Instant::now());
    let mut drain = Drain::begin(now, SETTINGS, &world);
    world.run(&mut drain, now, now + 500 * MS);
    world.sessions.insert(SessionId(9), AtRest);
    world.run(&mut drain, now + 500 * MS, now + 2 * SECOND);
    assert_eq!(world.closed(), [(520, 9, false)]);
}

#[test]
fn sessions_that_have_gone_by_themselves_take_no_time() {
    let (mut world, now) = (World::of(&[AtRest; 1000]), Instant::now());
    let mut drain = Drain::begin(now, SETTINGS, &world);
    world.sessions.retain(|session, _| session.0 == 1000);
    world.run(&mut drain, now, now + 2 * SECOND);
    assert_eq!((world.closed(), world.entered(Phase::Lingering)), (vec![(0, 1000, false)], 0));
}

#[test]
fn a_body_whose_client_is_silent_keeps_nobody_and_is_cut() {
    let world = ended(SETTINGS, &[Silent, AtRest]);
    assert_eq!(world.closed(), [(0, 1, true), (20, 2, false)]);
}

#[test]
fn those_that_are_closed_one_after_another_come_again_in_different_seconds() {
    let world = ended(SETTINGS, &[AtRest; 6]);
    let age = |(_, step): &(u128, Step)| match step {
        Step::Dismiss { max_age, .. } => Some(*max_age),
        _ => None,
    };
    let ages: Vec<_> = world.log.iter().filter_map(age).collect();
    assert_eq!((POLL_SPREAD, ages), (4, vec![2, 3, 4, 1, 2, 3]));
}

#[test]
fn a_turn_comes_before_the_close() {
    let world = ended(SETTINGS, &[AtRest]);
    let session = SessionId(1);
    let turn = Step::Dismiss { session, max_age: 2 };
    assert_eq!(world.log[..2], [(0, turn), (0, Step::Close { session, cut: false })]);
}

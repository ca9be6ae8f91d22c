//! Decides by which way the next request goes. No socket, no clock: times come in.
//!
//! ```text
//!              first datagram within 3 s ------------------> wait for the handshake, up to 10 s
//! dialling --<                                                                               > through: UDP
//!              none, and HTTPS is known --> HTTPS, the dial goes on ------------------------/
//! through, a request fails by the link --> down: HTTPS, dialled again at once, then after 15 s, 30 s, ... 10 min
//! ```
//!
//! While nothing is known of HTTPS, requests wait for the one that comes first.

use crate::settings::Times;
use std::time::{Duration, Instant};

/// The longest time between two dials.
const LONGEST_GAP: Duration = Duration::from_secs(600);
/// The same while nothing is known of HTTPS: requests have no other way.
const LONGEST_GAP_ALONE: Duration = Duration::from_secs(60);

/// What HTTPS speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Cbor,
    Json,
}

/// Where the next request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Best {
    Udp,
    Https(Form),
    /// Nothing works yet: look again when something has changed, or then.
    Wait(Option<Instant>),
}

/// What is known of both ways.
#[derive(Clone, Debug)]
pub(crate) struct Race {
    times: Times,
    udp: Datagrams,
    https: Option<Form>,
    /// Dials and sessions in a row that gave no answer.
    in_vain: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Datagrams {
    /// A dial is under way. `patient`: requests wait for it a while though HTTPS is known.
    Dialling { since: Instant, patient: bool },
    /// A session has been made.
    Through,
    /// They do not get through. The next dial is due then.
    Down { until: Instant },
}

impl Race {
    /// Begins with a dial that is about to be made. `https`: what HTTPS is remembered to speak. `patient`:
    /// whether requests wait for the dial a while, which they do not where UDP is remembered not to get
    /// through.
    pub(crate) fn begin(times: &Times, now: Instant, https: Option<Form>, patient: bool) -> Race {
        Race { times: times.clone(), udp: Datagrams::Dialling { since: now, patient }, https, in_vain: 0 }
    }

    /// Returns where the next request goes. `heard`: whether the dial under way has had a datagram back.
    pub(crate) fn best(&self, now: Instant, heard: bool) -> Best {
        match (self.udp, self.https) {
            (Datagrams::Through, _) => Best::Udp,
            (Datagrams::Dialling { since, patient }, Some(form)) => {
                let Times { silence, slow_handshake, .. } = self.times;
                let until = since + if heard { slow_handshake } else { silence };
                if patient && now < until { Best::Wait(Some(until)) } else { Best::Https(form) }
            }
            (Datagrams::Down { .. }, Some(form)) => Best::Https(form),
            (Datagrams::Down { until }, None) => Best::Wait(Some(until)),
            (Datagrams::Dialling { .. }, None) => Best::Wait(None),
        }
    }

    /// Returns when the next dial is due. `None` while one is under way, or none is needed.
    pub(crate) fn dial_at(&self) -> Option<Instant> {
        match self.udp {
            Datagrams::Down { until } => Some(until),
            Datagrams::Dialling { .. } | Datagrams::Through => None,
        }
    }

    /// Notes that a dial has begun. `patient`: as with [`Race::begin`].
    pub(crate) fn dialling(&mut self, now: Instant, patient: bool) {
        self.udp = Datagrams::Dialling { since: now, patient };
    }

    /// Notes that datagrams are to go to another place: a dial is due at once.
    pub(crate) fn moved(&mut self, now: Instant) {
        self.udp = Datagrams::Down { until: now };
        self.in_vain = 0;
    }

    /// Notes that a dial has made a session.
    pub(crate) fn through(&mut self) {
        self.udp = Datagrams::Through;
    }

    /// Notes that a dial came to nothing, or that a session got no answer any more. Returns whether that is
    /// news: a dial under way decides by itself.
    pub(crate) fn failed(&mut self, now: Instant, by_dial: bool) -> bool {
        match (self.udp, by_dial) {
            (Datagrams::Dialling { .. }, true) | (Datagrams::Through, _) => {}
            (Datagrams::Dialling { .. }, false) | (Datagrams::Down { .. }, _) => return false,
        }
        let longest = if self.knows_https() { LONGEST_GAP } else { LONGEST_GAP_ALONE };
        let gap = match self.in_vain {
            // A session that is lost may have been lost by its server alone: the next one may get through.
            0 if !by_dial => Duration::ZERO,
            0 => self.times.again,
            more => self.times.again.saturating_mul(2_u32.saturating_pow((more - 1).min(16))).min(longest),
        };
        self.in_vain = self.in_vain.saturating_add(1);
        self.udp = Datagrams::Down { until: now + gap };
        true
    }

    /// Notes that an answer came over UDP.
    pub(crate) fn answered(&mut self) {
        self.in_vain = 0;
    }

    /// Notes what HTTPS speaks.
    pub(crate) fn https(&mut self, form: Form) {
        self.https = Some(form);
    }

    pub(crate) fn is_through(&self) -> bool {
        self.udp == Datagrams::Through
    }

    /// Returns whether datagrams do not get through, and none is under way.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.udp, Datagrams::Down { .. })
    }

    pub(crate) fn knows_https(&self) -> bool {
        self.https.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SILENCE: Duration = Duration::from_secs(3);

    fn begin(https: Option<Form>) -> (Race, Instant) {
        let now = Instant::now();
        (Race::begin(&Times::default(), now, https, true), now)
    }

    #[test]
    fn a_silent_server_has_three_seconds_and_then_https_goes_beside() {
        let (race, began) = begin(Some(Form::Cbor));
        assert_eq!(race.best(began, false), Best::Wait(Some(began + SILENCE)));
        assert!(matches!(race.best(began + SILENCE - SECOND / 10, false), Best::Wait(_)));
        assert_eq!(race.best(began + SILENCE, false), Best::Https(Form::Cbor));
        let (race, began) = begin(None);
        assert_eq!(race.best(began + 60 * SECOND, false), Best::Wait(None));
    }

    #[test]
    fn a_server_that_was_heard_has_ten_seconds_for_its_handshake() {
        let (race, began) = begin(Some(Form::Json));
        assert_eq!(race.best(began + SILENCE, true), Best::Wait(Some(began + 10 * SECOND)));
        assert_eq!(race.best(began + 10 * SECOND, true), Best::Https(Form::Json));
    }

    #[test]
    fn the_handshake_takes_over_when_it_finishes() {
        let (mut race, began) = begin(Some(Form::Cbor));
        assert_eq!(race.best(began + 4 * SECOND, false), Best::Https(Form::Cbor));
        race.through();
        assert_eq!(race.best(began + 5 * SECOND, true), Best::Udp);
        assert_eq!(race.dial_at(), None);
    }

    #[test]
    fn what_was_remembered_not_to_get_through_is_not_waited_for() {
        let now = Instant::now();
        let race = Race::begin(&Times::default(), now, Some(Form::Cbor), false);
        assert_eq!(race.best(now, false), Best::Https(Form::Cbor));
    }

    #[test]
    fn a_lost_session_is_dialled_anew_at_once_and_then_less_and_less_often() {
        let (mut race, now) = begin(Some(Form::Cbor));
        race.through();
        race.answered();
        assert!(race.failed(now, false));
        assert_eq!(race.best(now, false), Best::Https(Form::Cbor));
        assert_eq!(race.dial_at(), Some(now));
        let mut gaps = Vec::new();
        for _ in 0..9 {
            race.dialling(now, false);
            assert_eq!(race.best(now, false), Best::Https(Form::Cbor), "no request waits for such a dial");
            assert!(race.failed(now, true));
            gaps.push((race.dial_at().unwrap() - now).as_secs());
        }
        assert_eq!(gaps, [15, 30, 60, 120, 240, 480, 600, 600, 600]);
        race.through();
        race.answered();
        race.failed(now, false);
        assert_eq!(race.dial_at(), Some(now));
    }

    #[test]
    fn a_first_dial_that_fails_is_not_repeated_at_once() {
        let (mut race, now) = begin(None);
        assert!(race.failed(now, true));
        assert_eq!(race.best(now, false), Best::Wait(Some(now + 15 * SECOND)));
        race.https(Form::Json);
        assert_eq!(race.best(now, false), Best::Https(Form::Json));
    }

    #[test]
    fn where_nothing_works_the_next_dial_is_never_far() {
        let (mut race, now) = begin(None);
        let mut gaps = Vec::new();
        for _ in 0..5 {
            assert!(race.failed(now, true));
            gaps.push((race.dial_at().unwrap() - now).as_secs());
            race.dialling(now, false);
        }
        assert_eq!(gaps, [15, 15, 30, 60, 60]);
    }

    #[test]
    fn another_place_is_dialled_at_once() {
        let (mut race, now) = begin(Some(Form::Cbor));
        race.through();
        race.moved(now);
        assert_eq!((race.best(now, true), race.dial_at()), (Best::Https(Form::Cbor), Some(now)));
    }

    #[test]
    fn a_session_that_fails_late_changes_nothing_for_a_dial_under_way() {
        let (mut race, now) = begin(Some(Form::Cbor));
        assert!(!race.failed(now, false));
        assert!(race.failed(now, true) && !race.failed(now, false));
    }
}

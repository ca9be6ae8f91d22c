//! One direction of a link: what it loses, repeats and delays, and how much of it waits at its narrow place.

use super::dice::Dice;
use std::time::{Duration, Instant};

/// Bytes of IPv4 and UDP, and those that DTLS adds to a message.
pub(crate) const AROUND: usize = 28 + 37;

/// Properties of one direction of a link.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    pub(crate) delay: Duration,
    /// Greatest additional delay, drawn for each message anew: a message that overtakes is reordered.
    pub(crate) jitter: Duration,
    /// A radio that sleeps after 10 s without a message in either direction delays the next one by
    /// up to this.
    pub(crate) wakes_within: Duration,
    /// A narrow place before all that.
    pub(crate) narrow: Option<Narrow>,
    /// Times in which much is lost.
    pub(crate) bursts: Option<Bursts>,
    /// Times in which nothing passes.
    pub(crate) gaps: Option<Gaps>,
}

pub(crate) const CLEAN: Way = Way {
    loss: 0.0,
    duplication: 0.0,
    delay: Duration::from_millis(20),
    jitter: Duration::ZERO,
    wakes_within: Duration::ZERO,
    narrow: None,
    bursts: None,
    gaps: None,
};

/// Time after which a radio goes to sleep.
const SLEEPS_AFTER: Duration = Duration::from_secs(10);

/// Bits a second that pass; what comes meanwhile waits, as far as there is room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Narrow {
    pub(crate) bits_per_second: u32,
    /// Bytes that may wait, headers included; more are dropped.
    pub(crate) queue: usize,
}

/// Good and bad times in turn, each exponentially distributed.
#[derive(Clone, Copy)]
pub(crate) struct Bursts {
    /// Mean length of a good time, in which nothing is lost.
    pub(crate) good: Duration,
    /// Mean length of a bad one.
    pub(crate) bad: Duration,
    /// What a bad time loses.
    pub(crate) loss: f64,
}

/// Nothing passes in the last part of each period.
#[derive(Clone, Copy)]
pub(crate) struct Gaps {
    pub(crate) every: Duration,
    pub(crate) lasting: Duration,
}

/// What one direction of a link remembers.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// When its narrow place has nothing left to send.
    free: Instant,
    is_bad: bool,
    /// When good and bad change.
    until: Instant,
    start: Instant,
}

impl Weather {
    pub(crate) fn new(start: Instant) -> Weather {
        Weather { free: start, is_bad: true, until: start, start }
    }

    fn loses(&mut self, now: Instant, way: &Way, dice: &mut Dice) -> bool {
        let is_gap = way.gaps.is_some_and(|gaps| {
            let into = (now - self.start).as_nanos() % gaps.every.as_nanos();
            into >= (gaps.every - gaps.lasting).as_nanos()
        });
        let Some(bursts) = way.bursts else { return is_gap };
        while self.until <= now {
            self.is_bad = !self.is_bad;
            let mean = if self.is_bad { bursts.bad } else { bursts.good };
            let share = (dice.below(1_000_000) as f64 + 0.5) / 1e6;
            self.until += mean.mul_f64(-share.ln());
        }
        is_gap || (self.is_bad && dice.chance(bursts.loss))
    }
}

impl Way {
    /// Draws how long the radio takes to wake up, if the last message passed at this time.
    pub(crate) fn wakes(&self, now: Instant, last: Option<Instant>, dice: &mut Dice) -> Duration {
        let sleeps = last.is_none_or(|last| now - last >= SLEEPS_AFTER);
        if sleeps { share(self.wakes_within, dice) } else { Duration::ZERO }
    }

    /// Returns the delay of each copy of a message that arrives.
    pub(crate) fn carry(
        &self,
        now: Instant,
        length: usize,
        weather: &mut Weather,
        dice: &mut Dice,
        mut lost: impl FnMut() -> bool,
    ) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        let copies = 1 + usize::from(dice.chance(self.duplication));
        for _ in 0..copies {
            if dice.chance(self.loss) || weather.loses(now, self, dice) || lost() {
                continue;
            }
            let Some(waits) = self.queue(now, length + AROUND, &mut weather.free) else { continue };
            arrivals.push(waits + self.delay + share(self.jitter, dice));
        }
        arrivals
    }

    /// Returns how long what has been sent so far still waits at the narrow place.
    pub(crate) fn backlog(&self, now: Instant, weather: &Weather) -> Duration {
        self.narrow.map_or(Duration::ZERO, |_| weather.free.saturating_duration_since(now))
    }

    /// Returns how long the message takes to pass the narrow place; None if it does not fit.
    fn queue(&self, now: Instant, length: usize, free: &mut Instant) -> Option<Duration> {
        let Some(narrow) = self.narrow else { return Some(Duration::ZERO) };
        let seconds =
            |bytes: usize| Duration::from_secs_f64(bytes as f64 * 8.0 / f64::from(narrow.bits_per_second));
        let begins = now.max(*free);
        if begins - now + seconds(length) > seconds(narrow.queue) {
            return None;
        }
        let ends = begins + seconds(length);
        *free = ends;
        Some(ends - now)
    }
}

fn share(of: Duration, dice: &mut Dice) -> Duration {
    of.mul_f64(dice.below(1000) as f64 / 1000.0)
}

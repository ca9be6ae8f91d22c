//! One direction of a link: what it loses, repeats and delays, and how much of it waits at its narrow place.

use super::dice::Dice;
use std::time::{Duration, Instant};

/// Bytes of IPv4 and UDP, and those that DTLS adds to a message.
const AROUND: usize = 28 + 37;

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
}

pub(crate) const CLEAN: Way = Way {
    loss: 0.0,
    duplication: 0.0,
    delay: Duration::from_millis(20),
    jitter: Duration::ZERO,
    wakes_within: Duration::ZERO,
    narrow: None,
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

impl Way {
    /// Draws how long the radio takes to wake up, if the last message passed at this time.
    pub(crate) fn wakes(&self, now: Instant, last: Option<Instant>, dice: &mut Dice) -> Duration {
        let sleeps = last.is_none_or(|last| now - last >= SLEEPS_AFTER);
        if sleeps { share(self.wakes_within, dice) } else { Duration::ZERO }
    }

    /// Returns the delay of each copy of a message that arrives. `free` is when the narrow place has nothing
    /// left to send.
    pub(crate) fn carry(
        &self,
        now: Instant,
        length: usize,
        free: &mut Option<Instant>,
        dice: &mut Dice,
        mut lost: impl FnMut() -> bool,
    ) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        let copies = 1 + usize::from(dice.chance(self.duplication));
        for _ in 0..copies {
            if dice.chance(self.loss) || lost() {
                continue;
            }
            let Some(waits) = self.queue(now, length + AROUND, free) else { continue };
            arrivals.push(waits + self.delay + share(self.jitter, dice));
        }
        arrivals
    }

    /// Returns how long the message takes to pass the narrow place; None if it does not fit.
    fn queue(&self, now: Instant, length: usize, free: &mut Option<Instant>) -> Option<Duration> {
        let Some(narrow) = self.narrow else { return Some(Duration::ZERO) };
        let seconds =
            |bytes: usize| Duration::from_secs_f64(bytes as f64 * 8.0 / f64::from(narrow.bits_per_second));
        let begins = free.map_or(now, |free| free.max(now));
        if begins - now + seconds(length) > seconds(narrow.queue) {
            return None;
        }
        let ends = begins + seconds(length);
        *free = Some(ends);
        Some(ends - now)
    }
}

fn share(of: Duration, dice: &mut Dice) -> Duration {
    of.mul_f64(dice.below(1000) as f64 / 1000.0)
}

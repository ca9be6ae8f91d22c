//! Which requests are lost, and when a silent path is probed.

use super::{
    DelayWindow, LEAST_LATENESS, LEAST_VARIATION, LEAST_WINDOW, LONGEST_GAP, TRAIN, UNKNOWN_TIMEOUT,
};
use std::time::{Duration, Instant};

impl DelayWindow {
    /// Returns after which time a request is lost that was overtaken by the answer to a later one.
    fn late(&self) -> Duration {
        let smoothed = self.smoothed.unwrap_or(UNKNOWN_TIMEOUT);
        let reorders = smoothed / 8 * self.wrongly_lost.saturating_add(1).min(8);
        smoothed.max(self.latest) + reorders.max(self.jitter * 2).max(LEAST_LATENESS)
    }

    /// Takes out the requests that are lost because later ones have been answered, oldest first.
    pub(in super::super) fn take_lost(&mut self, now: Instant) -> Vec<u64> {
        let mut lost = Vec::new();
        let Some(newest) = self.newest_answered else { return lost };
        let late = self.late();
        while let Some(sent) = self.out.front().copied() {
            let is_overtaken =
                sent.number < newest && (newest - sent.number >= self.overtaken_by || now >= sent.at + late);
            if !is_overtaken {
                break;
            }
            self.out.pop_front();
            self.lost += 1;
            lost.push(sent.number);
        }
        lost
    }

    /// Returns how long silence may last after something was sent or answered.
    fn patience(&self) -> Duration {
        let timeout = self
            .smoothed
            .map_or(UNKNOWN_TIMEOUT, |smoothed| smoothed + (self.variation * 4).max(LEAST_VARIATION));
        let longest = (timeout * 2).max(LONGEST_GAP);
        timeout.mul_f64(1.5f64.powi(self.backoff.min(16) as i32)).min(longest)
    }

    fn probe_at(&self) -> Option<Instant> {
        let moved = self.moved.filter(|_| !self.out.is_empty())?;
        Some(moved + self.patience())
    }

    /// Returns when [`DelayWindow::take_lost`] or [`DelayWindow::take_probes`] has something; None while
    /// nothing is on its way.
    pub(in super::super) fn timeout(&self) -> Option<Instant> {
        let overtaken =
            self.out.front().filter(|sent| self.newest_answered.is_some_and(|newest| sent.number < newest));
        let late = overtaken.map(|sent| sent.at + self.late());
        [late, self.probe_at()].into_iter().flatten().min()
    }

    /// Takes out the requests to be sent once more because nothing has come in time: the two oldest.
    pub(in super::super) fn take_probes(&mut self, now: Instant) -> Vec<u64> {
        if self.probe_at().is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.backoff = self.backoff.saturating_add(1);
        self.moved = Some(now);
        if self.backoff == 3 {
            self.threshold = (self.window / 2.0).max(LEAST_WINDOW);
            self.window = LEAST_WINDOW;
        }
        let count = self.out.len().min(2);
        self.lost += count as u32;
        self.out.drain(..count).map(|sent| sent.number).collect()
    }

    /// Notes that the peer lives, although it has not answered what was probed for: the path was silent for
    /// a while, and the next probe need not wait its turn.
    /// Returns whether that makes anything due sooner.
    pub(in super::super) fn heard(&mut self, now: Instant) -> bool {
        if self.backoff < 2 || self.out.is_empty() {
            return false;
        }
        self.backoff = 1;
        let soonest = self.moved.map_or(now, |moved| moved + self.smoothed.unwrap_or_default());
        // The next probe is due after `patience` from here.
        self.moved = soonest.max(now).checked_sub(self.patience()).or(self.moved);
        true
    }

    /// Notes that there is nothing more to ask for: the rate until now is that of the path.
    pub(in super::super) fn tail(&mut self, now: Instant) {
        let Some(smoothed) = self.smoothed else { return };
        let since = now.checked_sub(smoothed * 4);
        while self.answers.front().is_some_and(|at| since.is_some_and(|since| *at < since)) {
            self.answers.pop_front();
        }
        if let (Some(first), Some(last)) = (self.answers.front(), self.answers.back())
            && self.answers.len() >= TRAIN as usize
            && last > first
        {
            let rate = (self.answers.len() - 1) as f64 / (*last - *first).as_secs_f64();
            // A short body has not filled the path.
            self.rate = Some(rate.max(self.fastest.map_or(0.0, |fastest| 0.8 * fastest)));
        }
    }
}

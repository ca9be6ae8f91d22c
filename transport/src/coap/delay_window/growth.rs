//! How the window grows and shrinks: slow start, rounds, and looks for the least round trip.

use super::{
    ABOVE_HANDSHAKE, BLOCKS_ABOVE_HANDSHAKE, DelayWindow, LEAST_AGES, LEAST_WINDOW, LOOK_AGAIN, Look, PERIOD,
    QUEUE_LEAST, QUEUE_MOST, QUEUE_OF_FITS, QUEUE_SECONDS, QUEUE_WIDE, SHARES, TRAIN, UNUSUAL_LOSS,
    VAIN_LOOKS,
};
use std::time::{Duration, Instant};

impl DelayWindow {
    /// Grows the window in slow start.
    pub(super) fn grow(&mut self, now: Instant, on_their_way: usize) {
        let (began, count) = self.train.map_or((now, 1), |(began, count)| (began, count + 1));
        self.train = Some((began, count));
        let (Some((least, _)), Some(round)) = (self.least, self.round_least) else { return };
        if self.window >= self.threshold || self.look.is_some() {
            return;
        }
        if count >= TRAIN {
            let rate = f64::from(count - 1) / now.saturating_duration_since(began).as_secs_f64().max(1e-6);
            self.fastest = Some(self.fastest.map_or(rate, |fastest| fastest.max(rate)));
        }
        let fits = self.fits();
        let most = fits.map_or(f64::INFINITY, |fits| fits + (0.5 * fits + 2.0).min(self.longest_queue()));
        let is_short = round <= least.mul_f64(1.25).max(least + self.tolerance(least));
        if is_short && self.is_used(on_their_way) {
            let step = if fits.is_some_and(|fits| self.window < fits / 2.0) { 2.0 } else { 1.0 };
            self.window += step;
        }
        if self.window >= most {
            // By rounds from here on.
            self.window = most;
            self.threshold = most;
        }
        self.window = self.window.min(self.most);
    }

    /// Returns how many blocks fit into the path, as far as answers that follow each other tell.
    pub(super) fn fits(&self) -> Option<f64> {
        Some(self.fastest? * self.least?.0.as_secs_f64())
    }

    /// Returns how many blocks pass the narrow place in [`QUEUE_SECONDS`], as far as that is known; more than
    /// one.
    pub(super) fn longest_queue(&self) -> f64 {
        self.fastest.or(self.rate).map_or(f64::INFINITY, |rate| (rate * QUEUE_SECONDS).max(1.5))
    }

    /// Returns whether the window decides how many requests are on their way: a short body does not.
    fn is_used(&self, on_their_way: usize) -> bool {
        2.0 * on_their_way as f64 >= self.window
    }

    pub(super) fn end_round(&mut self, on_their_way: usize) {
        self.round_end = Some(self.next);
        self.train = None;
        if let (Some((least, _)), Some(round)) = (self.least, self.round_least.take()) {
            let queued = if round <= least + self.tolerance(least) {
                0.0
            } else {
                self.window * (1.0 - least.as_secs_f64() / round.as_secs_f64())
            };
            // Where jitter is large, so is the error of what fits.
            let fits = self.fits().filter(|_| self.jitter.mul_f64(QUEUE_OF_FITS) < least);
            let wide = fits.map_or(0.0, |fits| (fits / QUEUE_OF_FITS).min(QUEUE_WIDE));
            let most = self.longest_queue().min(QUEUE_MOST.max(wide));
            if self.look.is_some() {
                // What a narrowed window shows says nothing about the window.
            } else if self.window < self.threshold {
                if queued > most {
                    self.window = (self.window - queued + 1.0).max(LEAST_WINDOW);
                    self.threshold = self.window;
                }
            } else if queued > most {
                self.window = (self.window - 1.0 - (queued - most) / 2.0).max(LEAST_WINDOW);
            } else if queued < QUEUE_LEAST.max(wide) && self.is_used(on_their_way) {
                self.window = (self.window + 1.0).min(self.most);
            }
        }
        let all = self.lost + self.answered;
        if all >= PERIOD {
            let share = f64::from(self.lost) / f64::from(all);
            let usual = self.shares.iter().copied().reduce(f64::min).unwrap_or(0.0);
            if share > usual + UNUSUAL_LOSS {
                self.window = (0.75 * self.window).max(LEAST_WINDOW);
                self.threshold = self.window;
            }
            self.shares.push_back(share);
            if self.shares.len() > SHARES {
                self.shares.pop_front();
            }
            (self.lost, self.answered) = (0, 0);
        }
    }

    /// Makes the window small for a while: halves it when the least round trip has not been seen for long, as
    /// a queue of ours may stand in the path all the time, and leaves two when that of the handshake was
    /// shorter by far, as all samples may have waited in the queue of others.
    pub(super) fn look_for_least(&mut self, now: Instant) {
        let (Some((least, seen)), Some(smoothed)) = (self.least, self.smoothed) else { return };
        let (from, until) = (self.next, now + smoothed * 2);
        match self.look {
            None if self.is_doubtful(least) && self.next_look.is_none_or(|at| now >= at) => {
                self.look = Some(Look { from, until, least: None, window: LEAST_WINDOW });
                self.next_look = Some(now + smoothed * (LOOK_AGAIN << self.vain_looks));
            }
            None if now.saturating_duration_since(seen) > LEAST_AGES.max(least * 20) => {
                self.look = Some(Look { from, until, least: None, window: self.window / 2.0 });
            }
            Some(Look { until, least: Some(found), .. }) if now >= until => {
                if self.is_doubtful(least) && found > least.mul_f64(0.95) {
                    self.vain_looks += 1;
                    self.handshake = self.handshake.filter(|_| self.vain_looks < VAIN_LOOKS);
                }
                let is_same = found >= least && found <= least + self.tolerance(least);
                self.least = Some((if is_same { least } else { found.min(least.mul_f64(1.25)) }, now));
                self.look = None;
                (self.round_end, self.round_least) = (Some(self.next), None);
            }
            _ => {}
        }
    }

    /// Returns whether the least round trip seems to be one through the queue of others.
    fn is_doubtful(&self, least: Duration) -> bool {
        let (Some(handshake), Some(fastest)) = (self.handshake, self.fastest) else { return false };
        let usual = (handshake.as_secs_f64() + BLOCKS_ABOVE_HANDSHAKE / fastest)
            .max(handshake.as_secs_f64() * ABOVE_HANDSHAKE);
        least.saturating_sub(self.tolerance(least)).as_secs_f64() > usual
    }
}

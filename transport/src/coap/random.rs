//! Randomness from the caller's seed: message ids, ETags, and the random part of back-off.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

#[derive(Debug)]
pub(crate) struct Random(ChaCha12Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Random {
        Random(ChaCha12Rng::from_seed(seed))
    }

    /// Draws a seed for another generator, so that two users of one seed never share a stream.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    pub(super) fn u16(&mut self) -> u16 {
        self.0.next_u32() as u16
    }

    /// Draws a number evenly between 1 and `factor`.
    pub(super) fn between_one_and(&mut self, factor: f64) -> f64 {
        1.0 + (factor - 1.0).max(0.0) * f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }
}

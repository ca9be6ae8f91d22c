//! Tables by the numbers that this program gives out.

use std::hash::{BuildHasherDefault, Hasher};

/// A hash by multiplication (Knuth, The Art of Computer Programming, section 6.4). It is enough because
/// sessions are numbered here, one after the other: no peer can aim at a place.
pub(crate) type ByNumber = BuildHasherDefault<Product>;

#[derive(Default)]
pub(crate) struct Product(u64);

impl Hasher for Product {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

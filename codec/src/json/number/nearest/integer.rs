//! Whole numbers of any length: as much of them as the comparison of a decimal number with a binary one takes.

use std::cmp::Ordering;

/// Parts of 32 bits, the lowest first; the last one is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Integer(Vec<u32>);

impl From<u64> for Integer {
    fn from(value: u64) -> Integer {
        Integer(vec![value as u32, (value >> 32) as u32]).trimmed()
    }
}

impl Integer {
    pub(super) fn power_of_five(power: u32) -> Integer {
        // As many fives as fit into 32 bits.
        const STEP: u32 = 13;
        let steps = (0..power / STEP).fold(Integer::from(1), |all, _| all.times_plus(5_u32.pow(STEP), 0));
        steps.times_plus(5_u32.pow(power % STEP), 0)
    }

    pub(super) fn times_plus(mut self, factor: u32, summand: u32) -> Integer {
        let mut carry = u64::from(summand);
        for part in &mut self.0 {
            carry += u64::from(*part) * u64::from(factor);
            *part = carry as u32;
            carry >>= 32;
        }
        self.0.push(carry as u32);
        self.trimmed()
    }

    pub(super) fn times(&self, factor: u64) -> Integer {
        self.clone().times_integer(&Integer::from(factor))
    }

    pub(super) fn times_integer(self, factor: &Integer) -> Integer {
        let mut product = vec![0; self.0.len() + factor.0.len()];
        for (place, own) in self.0.iter().enumerate() {
            let mut carry = 0_u64;
            let parts = product.iter_mut().skip(place);
            for (part, other) in parts.zip(factor.0.iter().copied().chain([0])) {
                carry += u64::from(*part) + u64::from(*own) * u64::from(other);
                *part = carry as u32;
                carry >>= 32;
            }
        }
        Integer(product).trimmed()
    }

    /// Times 2^bits.
    pub(super) fn shifted(self, bits: u32) -> Integer {
        let zeros = std::iter::repeat_n(0, bits as usize / 32);
        Integer(zeros.chain(self.times_plus(1 << (bits % 32), 0).0).collect())
    }

    /// The 64 bits from the first that is set on, and how many bits there are in all. Not of 0.
    pub(super) fn leading_bits(&self) -> (u64, u32) {
        let top = self.0.iter().rev().copied().chain([0; 3]).take(3);
        let top = top.fold(0_u128, |top, part| (top << 32) | u128::from(part)) << 32;
        let zeros = top.leading_zeros();
        ((top << zeros >> 64) as u64, 32 * self.0.len() as u32 - zeros)
    }

    fn trimmed(mut self) -> Integer {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Integer) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Integer) -> Ordering {
        let lengths = self.0.len().cmp(&other.0.len());
        lengths.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

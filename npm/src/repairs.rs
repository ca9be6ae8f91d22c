//! What was repaired, count by count.

use lowband_codec::Repairs;

/// Returns one count by its index among the fields of [`Repairs`]; JavaScript's list of names has the same
/// order.
pub fn repaired(repairs: &Repairs, place: usize) -> f64 {
    let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = *repairs;
    let counts = [big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep];
    // JavaScript's numbers are exact to 2^53, and no document has as many bytes.
    counts.get(place).map_or(0.0, |count| *count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_in_the_order_of_the_fields() {
        let repairs =
            Repairs { big_integers: 1, huge_numbers: 2, repeated_keys: 3, lone_surrogates: 4, too_deep: 5 };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|place| repaired(&repairs, place)), [1.0, 2.0, 3.0, 4.0, 5.0, 0.0]);
    }
}

//! Whole numbers with a unit, as operators write them.

/// Units of sizes, in bytes: `65536`, `64KiB`, `8MiB`, `1GiB`.
pub const SIZES: &[(&str, u64)] = &[("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads digits and one of these units, with or without a space between them; `None` if that is not all, or
/// the product is beyond 64 bits.
pub fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_a_unit_that_is_known_are_a_number() {
        for (text, number) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64KiB", Some(64 << 10)),
            ("8 MiB", Some(8 << 20)),
            ("1GiB", Some(1 << 30)),
            ("", None),
            ("KiB", None),
            ("8MB", None),
            ("8mib", None),
            ("+8", None),
            ("-8", None),
            ("1.5KiB", None),
            ("8MiB ", None),
            (" 8", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18014398509481984KiB", None),
        ] {
            assert_eq!(scaled(text, SIZES), number, "{text:?}");
        }
        assert_eq!(scaled("3KiB", &[("", 1)]), None);
    }
}

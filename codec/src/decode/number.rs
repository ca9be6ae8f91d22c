//! Numbers as Matrix homeservers take them: whole ones never with a point or an exponent.

/// Appends an integer of major type 0.
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer of major type 1, whose value is -1 minus `argument`: down to -2^64.
pub(crate) fn write_negative(out: &mut Vec<u8>, argument: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(-1 - i128::from(argument)).as_bytes());
}

/// Whole floats below this are exact integers, and so are their neighbours.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// Whole and below 2^53.
pub(crate) fn is_exact_integer(value: f64) -> bool {
    value.abs() < MAX_EXACT && value.trunc() == value
}

/// Appends a finite float: as an integer if it is whole and below 2^53 (the reference sends every number as a float, and
/// homeservers refuse `1.0`), else in the shortest form that reads back the same.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    if is_exact_integer(value) {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_floats_below_2_to_the_53_are_integers() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (30_000.0, "30000"),
            (-1.0, "-1"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (-9_007_199_254_740_991.0, "-9007199254740991"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn other_floats_are_json_numbers_that_read_back_the_same() {
        let mut values =
            vec![9_007_199_254_740_992.0, 1e16, 1e21, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1];
        values.extend([1.5, 1e-7, 123_456.789, f64::from(0.1_f32), -1e-300]);
        for value in values {
            let text = float(value);
            assert_eq!(text.parse::<f64>().unwrap(), value);
            assert!(serde_json::from_str::<f64>(&text).is_ok(), "{text} is JSON");
        }
    }

    #[test]
    fn integers_reach_both_ends_of_cbors_range() {
        let mut out = Vec::new();
        write_unsigned(&mut out, u64::MAX);
        out.push(b' ');
        write_negative(&mut out, 0);
        out.push(b' ');
        write_negative(&mut out, u64::MAX);
        assert_eq!(out, b"18446744073709551615 -1 -18446744073709551616");
    }
}

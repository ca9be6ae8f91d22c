//! Numbers as Matrix homeservers accept them: integers without a point or an exponent.

use crate::plain;

/// Appends an integer of major type 0.
#[cfg_attr(not(feature = "small"), inline(always))]
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
    } else if value < EIGHT {
        write_up_to_eight(out, value);
    } else if value < EIGHT * EIGHT {
        write_up_to_eight(out, value / EIGHT);
        out.extend_from_slice(&eight_digits(value % EIGHT).to_le_bytes());
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// The smallest number of nine digits.
const EIGHT: u64 = 100_000_000;

#[inline(always)]
fn write_up_to_eight(out: &mut Vec<u8>, value: u64) {
    let digits = eight_digits(value);
    let zeros = (digits ^ u64::from_le_bytes([b'0'; 8])).trailing_zeros() / 8;
    plain::append(out, &(digits >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
}

/// Returns the eight digits of a number below [`EIGHT`], the first in the lowest byte. The number is halved
/// three times, all parts at once.
#[inline(always)]
fn eight_digits(value: u64) -> u64 {
    // The divisions by powers of ten are done as a multiplication and a shift, which are exact in this range.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 5243) >> 19) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    ones | u64::from_le_bytes([b'0'; 8])
}

/// Appends an integer of major type 1, whose value is -1 minus `argument`; the smallest is -2^64.
pub(crate) fn write_negative(out: &mut Vec<u8>, argument: u64) {
    match argument.checked_add(1) {
        Some(magnitude) => {
            out.push(b'-');
            write_unsigned(out, magnitude);
        }
        None => out.extend_from_slice(b"-18446744073709551616"),
    }
}

/// Integral floats below this are exact integers, and so are their neighbours.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// Returns true for an integral float below 2^53.
pub(crate) fn is_exact_integer(value: f64) -> bool {
    value.abs() < MAX_EXACT && value.trunc() == value
}

/// Appends a finite float. An integral one below 2^53 is written as an integer (the reference implementation
/// sends every number as a float, and homeservers refuse `1.0`), any other in the shortest form that reads
/// back the same.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    if is_exact_integer(value) {
        if value < 0.0 {
            out.push(b'-');
        }
        write_unsigned(out, value.abs() as u64);
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
    fn integers_of_every_length_are_written_as_the_standard_library_writes_them() {
        let mut out = Vec::new();
        let mut check = |value: u64| {
            out.clear();
            write_unsigned(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), value.to_string());
        };
        (0..100_000).for_each(&mut check);
        (0..10_000).map(|high| high * 10_000).for_each(&mut check);
        let mut power = 1_u64;
        while let Some(next) = power.checked_mul(10) {
            [power - 1, power, power + 1, power * 5, next - power].into_iter().for_each(&mut check);
            power = next;
        }
        [power, u64::MAX].into_iter().for_each(&mut check);
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

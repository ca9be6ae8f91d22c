//! Floats in the shortest width that holds them exactly (RFC 8949 section 4.1).

use super::simple;

/// Appends a finite float.
pub(crate) fn write(out: &mut Vec<u8>, value: f64) {
    let single = value as f32;
    if f64::from(single) != value {
        out.push(simple::FLOAT64);
        out.extend(value.to_be_bytes());
    } else if let Some(half) = to_half(single) {
        out.push(simple::FLOAT16);
        out.extend(half.to_be_bytes());
    } else {
        out.push(simple::FLOAT32);
        out.extend(single.to_be_bytes());
    }
}

const HALF_FRACTION: u32 = 10;
const SINGLE_FRACTION: u32 = 23;

/// Returns the half-precision float of the same value; `None` if there is none.
fn to_half(value: f32) -> Option<u16> {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let fraction = bits & ((1 << SINGLE_FRACTION) - 1);
    if value == 0.0 {
        return Some(sign);
    }
    let exponent = (bits >> SINGLE_FRACTION & 0xff) as i32 - 127;
    let (lead, dropped) = match exponent {
        -14..=15 => ((exponent + 15) as u32, SINGLE_FRACTION - HALF_FRACTION),
        // Subnormal in half precision: the implicit one becomes part of the fraction.
        -24..=-15 => (0, SINGLE_FRACTION - HALF_FRACTION + (-14 - exponent) as u32),
        _ => return None,
    };
    let significand = if lead == 0 { fraction | 1 << SINGLE_FRACTION } else { fraction };
    let exact = significand.trailing_zeros() >= dropped;
    exact.then_some(sign | (lead << HALF_FRACTION | significand >> dropped) as u16)
}

/// Converts a half-precision float (RFC 8949 appendix D).
pub(crate) fn from_half(half: u16) -> f64 {
    let fraction = f64::from(half & 0x3ff);
    let magnitude = match half >> HALF_FRACTION & 0x1f {
        0 => fraction * (-24_f64).exp2(),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * (f64::from(exponent) - 25.0).exp2(),
    };
    if half & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_survives_the_round_trip_and_nothing_else_becomes_one() {
        let mut finite = 0;
        for half in 0..=u16::MAX {
            let value = from_half(half);
            if value.is_finite() {
                finite += 1;
                assert_eq!(to_half(value as f32), Some(half), "{half:#06x} is {value}");
                let next = f32::from_bits((value as f32).to_bits() + 1);
                assert_eq!(to_half(next), None, "{next}");
            }
        }
        assert_eq!(finite, 65_536 - 2 * 1024);
    }
}

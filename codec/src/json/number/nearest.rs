//! The float nearest to a decimal number, for modules that every page fetches anew (feature `small`): the standard library's way
//! needs a table of ten kilobytes that no compression makes smaller.
//!
//! ```text
//! digits and power -> both small -> one multiplication or division of floats, which rounds once
//!                  -> 64 bits of the quotient, power of five made anew -> far from the middle of two floats -> rounded
//!                                                                      -> else compared with the middle, exactly
//! ```
//!
//! Clinger, "How to read floating point numbers accurately" (1990), with integers of any length for the last step.

use integer::Integer;
use std::cmp::Ordering;

mod integer;

/// Digits that fit into 64 bits whatever they are.
const FEW: usize = 19;

/// No middle of two floats has more than 767 digits: of what comes after so many only matters whether it is zero.
const MANY: usize = 800;

/// The nearest float to a number of RFC 8259 section 6, the even one of two; infinite beyond all of them.
pub(super) fn nearest(number: &[u8]) -> f64 {
    let (sign, number) = match number {
        [b'-', magnitude @ ..] => (-1.0, magnitude),
        _ => (1.0, number),
    };
    let mantissa_len = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at(mantissa_len);
    sign * magnitude(mantissa, exponent_of(exponent))
}

/// A power of ten beside which nothing else counts: no text has as many digits.
const HUGE: i64 = 1 << 50;

fn exponent_of(text: &[u8]) -> i64 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(HUGE));
    if text.contains(&b'-') { -value } else { value }
}

fn magnitude(mantissa: &[u8], exponent: i64) -> f64 {
    let decimal = Decimal::read(mantissa, exponent, FEW, |head, digit| head * 10 + u64::from(digit));
    let head = decimal.digits;
    if head == 0 {
        return 0.0;
    }
    // The number is at least 10^(end-1) and below 10^end; floats go from 4.9e-324 to 1.8e308.
    let end = decimal.power + decimal.len as i64;
    if end > 310 {
        return f64::INFINITY;
    }
    if end < -325 {
        return 0.0;
    }
    let power = decimal.power as i32;
    if !decimal.more && head < 1 << 53 && power.unsigned_abs() <= 22 {
        // Both are floats as they are, so that one operation rounds once.
        let ten = (0..power.unsigned_abs()).fold(1.0, |ten, _| ten * 10.0);
        return if power < 0 { head as f64 / ten } else { head as f64 * ten };
    }
    let (bits, scale) = leading_bits(head, power);
    // Of 64 bits the last two or so are wrong by what was cut off; by digits left out, a part in 10^18, a few more.
    let doubt = if decimal.more { 64 } else { 4 };
    rounded(bits, scale, doubt, |middle, scale| {
        let decimal = Decimal::read(mantissa, exponent, MANY, |all: Integer, digit| {
            all.times_plus(10, u32::from(digit))
        });
        compare(decimal, middle, scale)
    })
}

/// The first digits of a number and what they stand for.
struct Decimal<D> {
    /// The digits from the first that is not 0.
    digits: D,
    /// How many they are.
    len: usize,
    /// The power of ten of the last of them.
    power: i64,
    /// Digits other than 0 were left out.
    more: bool,
}

impl<D: Default> Decimal<D> {
    fn read(mantissa: &[u8], exponent: i64, max: usize, append: impl Fn(D, u8) -> D) -> Decimal<D> {
        let mut decimal = Decimal { digits: D::default(), len: 0, power: exponent, more: false };
        let mut point = false;
        for byte in mantissa {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                _ => {
                    point = true;
                    continue;
                }
            };
            if decimal.len == max {
                decimal.more |= digit != 0;
                decimal.power += i64::from(!point);
                continue;
            }
            decimal.power -= i64::from(point);
            if decimal.len > 0 || digit != 0 {
                decimal.digits = append(decimal.digits, digit);
                decimal.len += 1;
            }
        }
        decimal
    }
}

/// About `head * 10^power` as a number with its top bit set, and the power of two that belongs to it.
fn leading_bits(head: u64, power: i32) -> (u64, i32) {
    let (five, five_len) = Integer::power_of_five(power.unsigned_abs()).leading_bits();
    let zeros = head.leading_zeros();
    let head = head << zeros;
    if power < 0 {
        let quotient = (u128::from(head) << 64) / u128::from(five);
        let above = (quotient >> 64) as u32;
        return ((quotient >> above) as u64, power - zeros as i32 - five_len as i32 + above as i32);
    }
    let product = u128::from(head) * u128::from(five);
    let above = 64 - product.leading_zeros();
    ((product >> above) as u64, power - zeros as i32 + five_len as i32 - 64 + above as i32)
}

/// `bits * 2^scale` as a float. Where `bits` is as close to a middle of two floats as `doubt`, the exact number is compared with it
/// by `compare`, which gets the middle in the same form.
fn rounded(bits: u64, scale: i32, doubt: u128, compare: impl FnOnce(u64, i32) -> Ordering) -> f64 {
    // The power of two of the top bit.
    let top = scale + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    // A float has 53 bits, and fewer below 2^-1022.
    let dropped = 11 + (-1022 - top).max(0);
    if dropped > 64 {
        return 0.0;
    }
    let kept = (u128::from(bits) >> dropped) as u64;
    let half = 1_u128 << (dropped - 1);
    let rest = u128::from(bits) & (2 * half - 1);
    let ordering = match rest.abs_diff(half) <= doubt {
        true => compare(2 * kept + 1, scale + dropped - 1),
        false => rest.cmp(&half),
    };
    let up = ordering == Ordering::Greater || (ordering == Ordering::Equal && kept % 2 == 1);
    // The 53rd bit adds one to the exponent, and so does what a rounding up carries.
    let exponent = u64::try_from(top + 1022).unwrap_or_default();
    f64::from_bits((exponent << 52) + kept + u64::from(up))
}

/// The number against `middle * 2^scale`.
fn compare(decimal: Decimal<Integer>, middle: u64, scale: i32) -> Ordering {
    // More than `end` allows is not here.
    let power = decimal.power as i32;
    let five = Integer::power_of_five(power.unsigned_abs());
    let (number, middle) = match power < 0 {
        true => (decimal.digits, five.times(middle)),
        false => (decimal.digits.times_integer(&five), Integer::from(middle)),
    };
    let shift = power - scale;
    let ordering = match shift < 0 {
        true => number.cmp(&middle.shifted(shift.unsigned_abs())),
        false => number.shifted(shift.unsigned_abs()).cmp(&middle),
    };
    ordering.then(decimal.more.cmp(&false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_nearest(number: &str) {
        let expected: f64 = number.parse().unwrap();
        assert_eq!(nearest(number.as_bytes()).to_bits(), expected.to_bits(), "{number}");
    }

    /// Bits that look drawn, the same in each run (a splitmix64).
    fn drawn(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|place| {
            let mixed = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        })
    }

    #[test]
    fn floats_as_they_are_printed_in_many_lengths_come_back() {
        for float in drawn(40_000).map(f64::from_bits).filter(|float| float.is_finite()) {
            for text in [
                format!("{float:e}"),
                format!("{float:.3e}"),
                format!("{float:.16e}"),
                format!("{float:.40e}"),
            ] {
                assert_nearest(&text);
            }
        }
    }

    #[test]
    fn digits_and_powers_of_every_size_give_what_the_standard_library_gives() {
        for bits in drawn(200_000) {
            let digits = bits >> (bits % 64);
            let power = (bits >> 8) as i64 % 360;
            assert_nearest(&format!("{digits}e{power}"));
            assert_nearest(&format!("-0.{digits:025}E+{}", power.abs()));
            assert_nearest(&format!("{digits}{bits:020}.{digits}e{power}"));
        }
    }

    #[test]
    fn the_middle_of_two_floats_goes_to_the_even_one_and_next_to_it_to_the_nearer_one() {
        for bits in drawn(20_000) {
            // 54 bits, the last one set, times 2^-halvings: halvings of a whole number are divisions by ten of its fivefolds.
            let middle = u128::from((1 << 53) | (bits >> 11) | 1);
            let halvings = (bits % 31) as u32;
            let digits = middle * 5_u128.pow(halvings);
            for text in [
                format!("{digits}"),
                format!("{}9", digits - 1),
                format!("{digits}.0"),
                format!("{digits}.{:0>700}", 1),
            ] {
                assert_nearest(&format!("{text}e-{halvings}"));
            }
            assert_nearest(&format!("{}", middle << (bits % 70)));
        }
    }

    #[test]
    fn the_ends_of_the_range_and_of_the_subnormals() {
        for text in [
            "0",
            "-0",
            "0.0",
            "0e999999999999999999999",
            "1e-999999999999999999999",
            "1e999999999999999999999",
            "1e400",
            "-1e400",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1.7976931348623159e308",
            "1.797693134862315807e308",
            "2e308",
            "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
            "2.2250738585072011e-308",
            "2.2250738585072012e-308",
            "2.2250738585072014e-308",
            "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945516529523908135087914149158913039621106870086438694594645527657207407820621743379988141063267329253552286881372149012981122451451889849057222307285255133155755015914397476397983411801999323962548289017107081850690630666655994938275772572015763062690663332647565300009245888316433037779791869612049497390377829704905051080609940730262937128958950003583799967207254304360284078895771796150945516748243471030702609144621572289880258182545180325707018860872113128079512233426288368622321503775666622503982534335974568884423900265498198385487948292206894721689831099698365846814022854243330660339850886445804001034933970427567186443383770486037861622771738545623065874679014086723327636718751234567890123456789012345678901e-308",
            "4.9406564584124654e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "2.47e-324",
            "1e-325",
            "7e-324",
            "8e-324",
            "123456789012345678901234567890",
            "0.000000000000000000000000000000000000000000000000000000000000000001",
        ] {
            assert_nearest(text);
        }
        let long = "9".repeat(5000);
        for text in [
            format!("0.{long}"),
            format!("{long}e-5000"),
            format!("1{}e-5000", "0".repeat(5000)),
            format!("0.{}1", "0".repeat(320)),
        ] {
            assert_nearest(&text);
        }
    }
}

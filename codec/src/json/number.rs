//! Numbers (RFC 8259 section 6).

use super::Cursor;
use crate::{Error, ErrorKind};

#[cfg(all(feature = "small", target_arch = "wasm32"))]
mod engine;

/// A number by its notation: a point or an exponent makes it a float, whatever its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// An integer from 0 to 2^64-1; also `-0`.
    Unsigned(u64),
    /// A negative integer: its value is -1 minus this.
    Negative(u64),
    /// An integer outside both ranges: the nearest float, which may be infinite.
    Big(f64),
    /// The nearest float, which may be infinite.
    Float(f64),
}

/// The longest number in characters. A Matrix event, which holds its numbers, is not longer (Client-Server
/// API, "Size limits"); push mode must hold a number back until its end.
pub(crate) const MAX_NUMBER: usize = 64 << 10;

/// Reads a number; the cursor stands on its sign or its first digit.
#[cfg_attr(not(feature = "small"), inline(always))]
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Number, Error> {
    let start = cursor.at;
    let negative = cursor.peek() == Some(b'-');
    cursor.at += usize::from(negative);
    let leading_zero = cursor.peek() == Some(b'0');
    let (magnitude, digits) = whole(cursor);
    if digits == 0 {
        return Err(cursor.wanted(ErrorKind::InvalidNumber));
    }
    if leading_zero && digits > 1 {
        return Err(Error::new(ErrorKind::InvalidNumber, start));
    }
    match cursor.peek() {
        Some(b'.' | b'e' | b'E') => {
            let number = cursor.aside(|cursor| float(cursor, start));
            not_too_long(cursor, start).and(number)
        }
        _ if digits > MAX_DIGITS => {
            not_too_long(cursor, start)?;
            cursor.aside(|cursor| big(cursor.since(start), start))
        }
        // The sign of a zero is dropped.
        _ => Ok(match magnitude.checked_sub(1) {
            Some(argument) if negative => Number::Negative(argument),
            _ => Number::Unsigned(magnitude),
        }),
    }
}

/// Checks the length of the number from `start` to here; other mistakes of a number that is too long do not
/// matter.
#[inline(always)]
fn not_too_long(cursor: &Cursor<'_>, start: usize) -> Result<(), Error> {
    if cursor.at - start > MAX_NUMBER { Err(Error::new(ErrorKind::NumberTooLong, start)) } else { Ok(()) }
}

/// Reads the rest of a float that begins at `start`; the cursor stands after its integral part.
fn float(cursor: &mut Cursor<'_>, start: usize) -> Result<Number, Error> {
    if cursor.peek() == Some(b'.') {
        cursor.at += 1;
        some_digits(cursor)?;
    }
    if let Some(b'e' | b'E') = cursor.peek() {
        cursor.at += 1;
        cursor.at += usize::from(matches!(cursor.peek(), Some(b'+' | b'-')));
        some_digits(cursor)?;
    }
    nearest(cursor.since(start), start).map(Number::Float)
}

/// Reads an integer with more digits than fit every 64-bit number; 2^64 has one digit more.
#[cold]
fn big(number: &str, start: usize) -> Result<Number, Error> {
    // The value of a negative integer is -1 minus its argument.
    match (number.strip_prefix('-').map(str::parse::<u64>), number.parse()) {
        (None, Ok(magnitude)) => Ok(Number::Unsigned(magnitude)),
        (Some(Ok(magnitude)), _) => Ok(Number::Negative(magnitude - 1)),
        _ if number == "-18446744073709551616" => Ok(Number::Negative(u64::MAX)),
        _ => nearest(number, start).map(Number::Big),
    }
}

/// Parses a float. The grammar of `f64::from_str` includes JSON's; it rounds correctly and never fails on a
/// number, however long.
#[cfg(not(all(feature = "small", target_arch = "wasm32")))]
fn nearest(number: &str, start: usize) -> Result<f64, Error> {
    number.parse().map_err(|_| Error::new(ErrorKind::InvalidNumber, start))
}

/// Parses a float without the standard library's table.
#[cfg(all(feature = "small", target_arch = "wasm32"))]
fn nearest(number: &str, _: usize) -> Result<f64, Error> {
    Ok(engine::nearest(number))
}

/// Reads digits and returns their value and their number. The value is wrong if there are more than
/// [`MAX_DIGITS`].
#[inline(always)]
fn whole(cursor: &mut Cursor<'_>) -> (u64, usize) {
    let start = cursor.at;
    let mut magnitude = 0_u64;
    loop {
        let (digits, len) =
            leading_digits(cursor.ahead().copied().unwrap_or_else(|| last_word(cursor.rest())));
        cursor.at += len;
        let power = POWERS_OF_TEN.get(len).copied().unwrap_or_default();
        magnitude = magnitude.wrapping_mul(power).wrapping_add(digits);
        if len < WORD {
            return (magnitude, cursor.at - start);
        }
    }
}

/// The most digits that always fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// Digits that are read in one step.
const WORD: usize = 8;
const POWERS_OF_TEN: [u64; WORD + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Returns the number that the word begins with and its length: eight digits take no more steps than one.
#[inline(always)]
fn leading_digits(word: [u8; WORD]) -> (u64, usize) {
    let ones = u64::from_le_bytes([1; WORD]);
    // Each byte becomes its digit's value; bytes from the first non-digit on are not used.
    let values = u64::from_le_bytes(word) ^ (ones * u64::from(b'0'));
    let others = (values | values.wrapping_add(ones * (0x7f - 9))) & (ones << 7);
    let len = others.trailing_zeros() / 8;
    // The digits move up so that zeros precede them; then neighbours are combined three times.
    let values = values.checked_shl(64 - 8 * len).unwrap_or(0);
    let pairs = (values.wrapping_mul(10) + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    (eight, len as usize)
}

/// Returns the rest of the text, padded with zeros.
#[cold]
fn last_word(rest: &[u8]) -> [u8; WORD] {
    let mut word = [0; WORD];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    word
}

fn some_digits(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    match whole(cursor).1 {
        0 => Err(cursor.wanted(ErrorKind::InvalidNumber)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<(Number, usize), (ErrorKind, usize)> {
        let mut cursor = Cursor::of(text.as_bytes());
        read(&mut cursor).map(|number| (number, cursor.at)).map_err(|e| (e.kind, e.offset))
    }

    #[test]
    fn whole_numbers_are_exact_over_the_whole_range_of_cbor_integers() {
        for (text, expected) in [
            ("0", Number::Unsigned(0)),
            ("-0", Number::Unsigned(0)),
            ("-1", Number::Negative(0)),
            ("9999999999999999999", Number::Unsigned(9_999_999_999_999_999_999)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            ("18446744073709551616", Number::Big(18446744073709551616.0)),
            ("-18446744073709551616", Number::Negative(u64::MAX)),
            ("-18446744073709551617", Number::Big(-18446744073709551616.0)),
            ("99999999999999999999", Number::Big(1e20)),
            ("100000000000000000000", Number::Big(1e20)),
        ] {
            assert_eq!(number(text), Ok((expected, text.len())), "{text}");
        }
    }

    #[test]
    fn a_point_or_an_exponent_makes_a_float() {
        for (text, expected) in [
            ("1.0", 1.0),
            ("-0.0", -0.0),
            ("1e2", 100.0),
            ("1E+2", 100.0),
            ("0e-0", 0.0),
            ("2.5e-1", 0.25),
            ("5e-324", 5e-324),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e99999999999999999999", f64::INFINITY),
            ("1e-99999999999999999999", 0.0),
        ] {
            assert_eq!(number(text), Ok((Number::Float(expected), text.len())), "{text}");
        }
        let Ok((Number::Float(zero), _)) = number("-0.0") else { panic!() };
        assert!(zero.is_sign_negative());
    }

    #[test]
    fn a_number_ends_where_the_grammar_ends_it() {
        assert_eq!(number("12,"), Ok((Number::Unsigned(12), 2)));
        assert_eq!(number("1.5]"), Ok((Number::Float(1.5), 3)));
        assert_eq!(number("1-2"), Ok((Number::Unsigned(1), 1)));
    }

    #[test]
    fn what_rfc_8259_does_not_know_is_refused() {
        use ErrorKind::{InvalidNumber, UnexpectedEnd};
        for (text, kind, offset) in [
            ("01", InvalidNumber, 0),
            ("-01", InvalidNumber, 0),
            ("00", InvalidNumber, 0),
            ("-", UnexpectedEnd, 1),
            ("-a", InvalidNumber, 1),
            ("-.5", InvalidNumber, 1),
            ("1.", UnexpectedEnd, 2),
            ("1.e1", InvalidNumber, 2),
            ("1e", UnexpectedEnd, 2),
            ("1e+", UnexpectedEnd, 3),
            ("1e+x", InvalidNumber, 3),
        ] {
            assert_eq!(number(text), Err((kind, offset)), "{text}");
        }
    }
}

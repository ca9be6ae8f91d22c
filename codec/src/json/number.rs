//! Numbers (RFC 8259 section 6).

use super::Cursor;
use crate::{Error, ErrorKind};

/// A number by how it is written: a point or an exponent makes it a float, whatever its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// 0 to 2^64-1; `-0` too.
    Unsigned(u64),
    /// The value is -1 minus this.
    Negative(u64),
    /// Whole, but beyond both; the nearest float, which may be infinite.
    Big(f64),
    /// The nearest float, which may be infinite.
    Float(f64),
}

/// Reads a number; the cursor stands on its sign or its first digit.
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
    let mut float = false;
    if cursor.peek() == Some(b'.') {
        float = true;
        cursor.at += 1;
        some_digits(cursor)?;
    }
    if let Some(b'e' | b'E') = cursor.peek() {
        float = true;
        cursor.at += 1;
        cursor.at += usize::from(matches!(cursor.peek(), Some(b'+' | b'-')));
        some_digits(cursor)?;
    }
    if !float && let Some(number) = magnitude.and_then(|magnitude| integer(magnitude, negative)) {
        return Ok(number);
    }
    // The grammar of `f64::from_str` holds JSON's; it rounds correctly and never fails on a number, however long.
    let value = cursor.since(start).parse().map_err(|_| Error::new(ErrorKind::InvalidNumber, start))?;
    Ok(if float { Number::Float(value) } else { Number::Big(value) })
}

fn integer(magnitude: u128, negative: bool) -> Option<Number> {
    if !negative || magnitude == 0 {
        return u64::try_from(magnitude).ok().map(Number::Unsigned);
    }
    u64::try_from(magnitude - 1).ok().map(Number::Negative)
}

/// Twenty digits hold 2^64.
const MAX_DIGITS: usize = 20;

/// The digits here as a number, `None` beyond 20 of them, and how many they are.
fn whole(cursor: &mut Cursor<'_>) -> (Option<u128>, usize) {
    let digits = digits(cursor.rest());
    cursor.at += digits.len();
    // Nineteen digits fit into 64 bits.
    let (low, high) = digits.split_at(digits.len().min(MAX_DIGITS - 1));
    let low = low.iter().fold(0, |n: u64, digit| n * 10 + u64::from(digit - b'0'));
    let magnitude = match high {
        [] => Some(u128::from(low)),
        [last] => Some(u128::from(low) * 10 + u128::from(last - b'0')),
        _ => None,
    };
    (magnitude, digits.len())
}

fn some_digits(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    match digits(cursor.rest()).len() {
        0 => Err(cursor.wanted(ErrorKind::InvalidNumber)),
        n => {
            cursor.at += n;
            Ok(())
        }
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let len = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<(Number, usize), (ErrorKind, usize)> {
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
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

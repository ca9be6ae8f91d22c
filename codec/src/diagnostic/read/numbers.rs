//! Integers of any size and base, floats, and the numbers of tags.

use super::heads::Indicator;
use super::{Mistake, Reading, TextError};
use crate::ErrorKind;
use crate::cbor::major;

/// The longest integer in digits: a bignum is made in steps for each of them.
pub const MAX_INTEGER_DIGITS: usize = 1000;

/// The longest number in characters, as in JSON.
const MAX_NUMBER: usize = 65_536;

/// Tags of bignums (RFC 8949 section 3.4.3).
const UNSIGNED_BIGNUM: u64 = 2;
const NEGATIVE_BIGNUM: u64 = 3;

impl Reading<'_> {
    /// Reads a number. Returns one that is the number of a tag, whose opening parenthesis has been read;
    /// any other has been written.
    pub(super) fn number(&mut self) -> Result<Option<(u64, Indicator)>, TextError> {
        let start = self.cursor.at;
        let negative = self.cursor.peek() == Some(b'-');
        let signed = negative || self.cursor.peek() == Some(b'+');
        self.cursor.at += usize::from(signed);
        if self.word_ahead() == b"Infinity" {
            self.cursor.at += b"Infinity".len();
            self.float(if negative { f64::NEG_INFINITY } else { f64::INFINITY })?;
            return Ok(None);
        }
        let radix = match self.cursor.rest() {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'o' | b'O', ..] => 8,
            [b'0', b'b' | b'B', ..] => 2,
            _ => 10,
        };
        if radix != 10 {
            self.cursor.at += 2;
        }
        let from = self.cursor.at;
        let is_float = self.digits(start, radix)?;
        if is_float {
            if self.cursor.peek() == Some(b'(') {
                return Err(TextError::new(Mistake::TagNumber, start));
            }
            let text = self.cursor.since(from);
            let value: f64 = text.parse().map_err(|_| TextError::new(Mistake::InvalidNumber, start))?;
            if value.is_infinite() {
                return Err(TextError::new(Mistake::HugeNumber, start));
            }
            self.float(if negative { -value } else { value })?;
            return Ok(None);
        }
        let digits = self.cursor.since(from);
        if digits.len() > MAX_INTEGER_DIGITS {
            return Err(TextError::new(Mistake::IntegerTooLong, start));
        }
        let indicator = self.indicator()?;
        let small = u64::from_str_radix(digits, radix).ok();
        if self.cursor.peek() == Some(b'(') {
            let tag = small.filter(|_| !signed).ok_or(TextError::new(Mistake::TagNumber, start))?;
            self.cursor.at += 1;
            return Ok(Some((tag, indicator)));
        }
        match (small, negative) {
            (Some(value), false) => self.out.head(major::UNSIGNED, value, indicator)?,
            (Some(0), true) => self.out.head(major::UNSIGNED, 0, indicator)?,
            (Some(value), true) => self.out.head(major::NEGATIVE, value.saturating_sub(1), indicator)?,
            (None, _) => self.beyond_64_bits(digits, radix, negative, indicator)?,
        }
        Ok(None)
    }

    /// Passes over the digits of a number. Returns true if it is a float.
    fn digits(&mut self, start: usize, radix: u32) -> Result<bool, TextError> {
        let invalid = |reading: &Self| match reading.cursor.peek() {
            None => reading.wrong(Mistake::Common(ErrorKind::UnexpectedEnd)),
            Some(_) => TextError::new(Mistake::InvalidNumber, start),
        };
        let whole = self.run(radix);
        let mut is_float = false;
        if radix == 10 {
            let leading_zero =
                whole > 1 && self.cursor.since(start).trim_start_matches(['-', '+']).starts_with('0');
            if leading_zero {
                return Err(TextError::new(Mistake::InvalidNumber, start));
            }
            if whole > 0 && self.take(b".") {
                is_float = true;
                if self.run(radix) == 0 {
                    return Err(invalid(self));
                }
            }
            if whole > 0 && (self.take(b"e") || self.take(b"E")) {
                is_float = true;
                let _sign = self.take(b"-") || self.take(b"+");
                if self.run(radix) == 0 {
                    return Err(invalid(self));
                }
            }
        }
        if whole == 0 {
            return Err(invalid(self));
        }
        if self.cursor.at - start > MAX_NUMBER {
            return Err(TextError::new(Mistake::Common(ErrorKind::NumberTooLong), start));
        }
        // `1.2.3`, `0x1g`, `12a`.
        if self.cursor.peek().is_some_and(|byte| byte == b'.' || byte.is_ascii_alphanumeric()) {
            return Err(invalid(self));
        }
        Ok(is_float)
    }

    /// Passes over digits and returns their number.
    fn run(&mut self, radix: u32) -> usize {
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let len = self.cursor.rest().iter().take_while(is_digit).count();
        self.cursor.at += len;
        len
    }

    /// Writes an integer whose digits are no number of 64 bits: -2^64, or a bignum.
    fn beyond_64_bits(
        &mut self,
        digits: &str,
        radix: u32,
        negative: bool,
        indicator: Indicator,
    ) -> Result<(), TextError> {
        let mut limbs = magnitude(digits, radix);
        if negative {
            // A negative bignum holds -1 minus its value, as a negative integer does.
            subtract_one(&mut limbs);
        }
        let bytes: Vec<u8> = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..).unwrap_or_default();
        if bytes.len() <= 8 {
            let argument = bytes.iter().fold(0, |high, byte| high << 8 | u64::from(*byte));
            return self.out.head(
                if negative { major::NEGATIVE } else { major::UNSIGNED },
                argument,
                indicator,
            );
        }
        if !indicator.is_none() {
            return Err(indicator.error(Mistake::IndicatorTooSmall));
        }
        let tag = if negative { NEGATIVE_BIGNUM } else { UNSIGNED_BIGNUM };
        self.out.head(major::TAG, tag, Indicator::NONE)?;
        self.out.head(major::BYTES, bytes.len() as u64, Indicator::NONE)?;
        self.out.extend(bytes);
        Ok(())
    }
}

/// Returns the value of digits in limbs of 32 bits, the lowest first.
fn magnitude(digits: &str, radix: u32) -> Vec<u32> {
    // As many digits at once as surely fit into 32 bits.
    let at_once = match radix {
        2 => 31,
        8 => 10,
        16 => 7,
        _ => 9,
    };
    let mut limbs: Vec<u32> = Vec::new();
    for chunk in digits.as_bytes().chunks(at_once) {
        let value = str::from_utf8(chunk).ok().and_then(|chunk| u32::from_str_radix(chunk, radix).ok());
        let mut carry = u64::from(value.unwrap_or_default());
        let factor = u64::from(radix.saturating_pow(chunk.len() as u32));
        for limb in &mut limbs {
            carry += u64::from(*limb) * factor;
            (*limb, carry) = (carry as u32, carry >> 32);
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    limbs
}

/// Subtracts one from a number above zero.
fn subtract_one(limbs: &mut [u32]) {
    for limb in limbs {
        let borrow;
        (*limb, borrow) = limb.overflowing_sub(1);
        if !borrow {
            return;
        }
    }
}

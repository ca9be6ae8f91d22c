//! The CBOR that is written, with heads whose argument is known only later: a text does not say beforehand
//! how many elements an array has.

use super::{Mistake, TextError};
use crate::cbor::{self, IMMEDIATE, INDEFINITE, MAX_HEAD};

/// An encoding indicator (RFC 8949 section 8.1), or none, and its offset in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indicator {
    pub(super) form: Form,
    pub(super) at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// None: the shortest.
    Shortest,
    /// `_`: an indefinite length.
    Indefinite,
    /// `_i`: in the first byte.
    Immediate,
    /// `_0` to `_3`: 1, 2, 4 or 8 bytes, here the exponent of two.
    Bytes(u8),
}

impl Indicator {
    pub(super) const NONE: Indicator = Indicator { form: Form::Shortest, at: 0 };

    pub(super) fn is_indefinite(self) -> bool {
        self.form == Form::Indefinite
    }

    pub(super) fn is_none(self) -> bool {
        self.form == Form::Shortest
    }

    pub(super) fn error(self, mistake: Mistake) -> TextError {
        TextError::new(mistake, self.at)
    }

    /// Returns a head and its length.
    fn head(self, major: u8, argument: u64) -> Result<([u8; MAX_HEAD], usize), TextError> {
        let too_small = Err(self.error(Mistake::IndicatorTooSmall));
        match self.form {
            Form::Shortest => Ok(cbor::head(major, argument)),
            Form::Indefinite => Err(self.error(Mistake::InvalidIndicator)),
            Form::Immediate if argument < IMMEDIATE => Ok(cbor::head(major, argument)),
            Form::Immediate => too_small,
            Form::Bytes(exponent) => {
                let width = 1_u32 << exponent;
                if width < 8 && argument >> (8 * width) != 0 {
                    return too_small;
                }
                let [a, b, c, d, e, f, g, h] = (argument << (64 - 8 * width)).to_be_bytes();
                Ok(([major | (24 + exponent), a, b, c, d, e, f, g, h], 1 + width as usize))
            }
        }
    }
}

/// CBOR, part of whose heads is kept beside it until all is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads {
    cbor: Vec<u8>,
    /// The heads of more than one byte that replace the byte at their place.
    late: Vec<Late>,
    /// Bytes by which these make the CBOR longer.
    later: usize,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    at: usize,
    head: [u8; MAX_HEAD],
    len: usize,
}

impl Heads {
    /// Returns the length of all that has been written.
    pub(super) fn len(&self) -> usize {
        self.cbor.len() + self.later
    }

    /// Returns the bytes that are kept beside the CBOR so far.
    pub(super) fn later(&self) -> usize {
        self.later
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.cbor.push(byte);
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.cbor.extend_from_slice(bytes);
    }

    /// Writes a head.
    pub(super) fn head(&mut self, major: u8, argument: u64, indicator: Indicator) -> Result<(), TextError> {
        let (head, len) = indicator.head(major, argument)?;
        self.extend(head.get(..len).unwrap_or_default());
        Ok(())
    }

    /// Begins an item whose argument is not known, or that has none. Returns the place of its head.
    pub(super) fn begin(&mut self, major: u8, indicator: Indicator) -> usize {
        let at = self.cbor.len();
        self.push(if indicator.is_indefinite() { major | INDEFINITE } else { major });
        at
    }

    /// Says of a string of indefinite length, begun at this place, what it holds.
    pub(super) fn set_major(&mut self, at: usize, major: u8) {
        self.cbor.get_mut(at).into_iter().for_each(|first| *first = major | INDEFINITE);
    }

    /// Gives an item begun at this place its argument.
    pub(super) fn end(&mut self, at: usize, argument: u64, indicator: Indicator) -> Result<(), TextError> {
        let Some(first) = self.cbor.get_mut(at) else { return Ok(()) };
        let (head, len) = indicator.head(*first, argument)?;
        if let ([byte, ..], 1) = (head, len) {
            *first = byte;
        } else {
            self.late.push(Late { at, head, len });
            self.later += len - 1;
        }
        Ok(())
    }

    /// Gives a byte string begun at this place the length of what was written since. `later`: what
    /// [`Heads::later`] was at its begin.
    pub(super) fn end_bytes(&mut self, at: usize, later: usize) -> Result<(), TextError> {
        let len = self.cbor.len().saturating_sub(at + 1) + self.later.saturating_sub(later);
        self.end(at, len as u64, Indicator::NONE)
    }

    /// Returns the whole CBOR.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.late.is_empty() {
            return self.cbor;
        }
        self.late.sort_unstable_by_key(|late| late.at);
        let (mut whole, mut from) = (Vec::with_capacity(self.len()), 0);
        for late in &self.late {
            whole.extend_from_slice(self.cbor.get(from..late.at).unwrap_or_default());
            whole.extend_from_slice(late.head.get(..late.len).unwrap_or_default());
            from = late.at + 1;
        }
        whole.extend_from_slice(self.cbor.get(from..).unwrap_or_default());
        whole
    }
}

impl super::Reading<'_> {
    /// Reads an encoding indicator, if there is one.
    pub(super) fn indicator(&mut self) -> Result<Indicator, TextError> {
        let at = self.cursor.at;
        if !self.take(b"_") {
            return Ok(Indicator { form: Form::Shortest, at });
        }
        let word = self.word_ahead();
        let form = match word {
            b"" => Form::Indefinite,
            b"i" => Form::Immediate,
            [digit @ b'0'..=b'3'] => Form::Bytes(digit - b'0'),
            _ => return Err(TextError::new(Mistake::InvalidIndicator, at)),
        };
        self.cursor.at += word.len();
        if self.cursor.peek() == Some(b'_') {
            return Err(TextError::new(Mistake::InvalidIndicator, at));
        }
        Ok(Indicator { form, at })
    }

    /// Writes a float with the indicator that is next; without one as short as holds it exactly.
    pub(super) fn float(&mut self, value: f64) -> Result<(), TextError> {
        let indicator = self.indicator()?;
        let bytes = float_bytes(value, indicator)?;
        self.out.extend(&bytes);
        Ok(())
    }
}

fn float_bytes(value: f64, indicator: Indicator) -> Result<Vec<u8>, TextError> {
    let mut shortest = Vec::with_capacity(MAX_HEAD);
    if value.is_finite() {
        cbor::float::write(&mut shortest, value);
    } else {
        // One half stands for all NaNs (RFC 8949 section 4.2.2).
        let half: u16 = match (value.is_nan(), value < 0.0) {
            (true, _) => 0x7e00,
            (_, true) => 0xfc00,
            _ => 0x7c00,
        };
        shortest.push(cbor::simple::FLOAT16);
        shortest.extend(half.to_be_bytes());
    }
    // A NaN made here has neither sign nor payload.
    let value = if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value };
    let single = if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value as f32 };
    match (indicator.form, shortest.len()) {
        (Form::Shortest, _) | (Form::Bytes(1), 3) | (Form::Bytes(2), 5) | (Form::Bytes(3), 9) => Ok(shortest),
        (Form::Bytes(2), 3) => {
            let mut bytes = vec![cbor::simple::FLOAT32];
            bytes.extend(single.to_be_bytes());
            Ok(bytes)
        }
        (Form::Bytes(3), _) => {
            let mut bytes = vec![cbor::simple::FLOAT64];
            bytes.extend(value.to_be_bytes());
            Ok(bytes)
        }
        (Form::Bytes(1 | 2), _) => Err(indicator.error(Mistake::IndicatorTooSmall)),
        _ => Err(indicator.error(Mistake::InvalidIndicator)),
    }
}

//! Texts and byte strings, and the chunks of those of indefinite length.

use super::heads::{Form, Indicator};
use super::{BREAK, Mistake, Reading, TextError, What, major};
use crate::ErrorKind;
use crate::json::string::{LoneSurrogates, escape, unescape};

impl Reading<'_> {
    /// Reads a string with its indicator.
    pub(super) fn string(&mut self) -> Result<(), TextError> {
        let start = self.cursor.at;
        let mut content = Vec::new();
        let major = match self.cursor.peek() {
            Some(b'"') => {
                self.cursor.at += 1;
                let mut lone = LoneSurrogates::default();
                unescape(&mut self.cursor, &mut content, &mut lone)?;
                lone_is_wrong(lone)?;
                major::TEXT
            }
            _ => {
                let word = self.word_ahead().len();
                self.cursor.at += word;
                if !self.take(b"'") {
                    return Err(TextError::new(Mistake::UnknownWord, start));
                }
                match word {
                    0 => self.quoted(&mut content)?,
                    1 => self.hex(start, &mut content)?,
                    _ => self.base64(start, &mut content)?,
                }
                major::BYTES
            }
        };
        let indicator = self.indicator()?;
        self.write_string(major, &content, indicator, start)
    }

    fn write_string(
        &mut self,
        major: u8,
        content: &[u8],
        indicator: Indicator,
        start: usize,
    ) -> Result<(), TextError> {
        if let Some(around) = self.open.last_mut()
            && let What::Chunks(of) = &mut around.what
        {
            if *of.get_or_insert(major) != major {
                return Err(TextError::new(Mistake::Chunk, start));
            }
            let head = around.head;
            self.out.set_major(head, major);
        }
        if indicator.form == Form::Indefinite {
            // `""_` and `''_`: no chunk at all, which cannot be a chunk itself.
            let in_chunks = self.open.last().is_some_and(|around| matches!(around.what, What::Chunks(_)));
            if !content.is_empty() || in_chunks {
                return Err(indicator.error(Mistake::InvalidIndicator));
            }
            self.out.begin(major, indicator);
            self.out.push(BREAK);
            return Ok(());
        }
        self.out.head(major, content.len() as u64, indicator)?;
        self.out.extend(content);
        Ok(())
    }

    /// Reads a text in single quotes, which stands for its bytes (RFC 8610 appendix G.2).
    fn quoted(&mut self, content: &mut Vec<u8>) -> Result<(), TextError> {
        let mut lone = LoneSurrogates::default();
        loop {
            match self.cursor.rest() {
                [b'\'', ..] => {
                    self.cursor.at += 1;
                    return lone_is_wrong(lone);
                }
                [b'\\', b'\'', ..] => {
                    self.cursor.at += 2;
                    content.push(b'\'');
                }
                [b'\\', ..] => escape(&mut self.cursor, content, &mut lone)?,
                [0..0x20, ..] => return Err(self.wrong(Mistake::Common(ErrorKind::ControlCharacter))),
                [byte, ..] => {
                    self.cursor.at += 1;
                    content.push(*byte);
                }
                [] => return Err(self.wrong(Mistake::Common(ErrorKind::UnexpectedEnd))),
            }
        }
    }

    /// Reads hexadecimal digits up to the quote; white space and comments may stand between them.
    fn hex(&mut self, start: usize, content: &mut Vec<u8>) -> Result<(), TextError> {
        let mut high = None;
        loop {
            self.space()?;
            let byte = self.cursor.peek().ok_or_else(|| self.missing(Mistake::InvalidHex))?;
            let digit = char::from(byte).to_digit(16).map(|digit| digit as u8);
            match (byte, digit, high) {
                (b'\'', _, None) => {
                    self.cursor.at += 1;
                    return Ok(());
                }
                (b'\'', _, Some(_)) => return Err(TextError::new(Mistake::InvalidHex, start)),
                (_, None, _) => return Err(self.wrong(Mistake::InvalidHex)),
                (_, Some(digit), None) => high = Some(digit),
                (_, Some(digit), Some(first)) => {
                    content.push(first << 4 | digit);
                    high = None;
                }
            }
            self.cursor.at += 1;
        }
    }

    /// Reads base64 up to the quote, in either alphabet (RFC 4648 sections 4 and 5), padded or not.
    fn base64(&mut self, start: usize, content: &mut Vec<u8>) -> Result<(), TextError> {
        let (mut bits, mut characters, mut padding) = (0_u32, 0_usize, 0_usize);
        loop {
            self.cursor.skip_space();
            let byte = self.cursor.peek().ok_or_else(|| self.missing(Mistake::InvalidBase64))?;
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => {
                    padding += 1;
                    self.cursor.at += 1;
                    continue;
                }
                b'\'' => break,
                _ => return Err(self.wrong(Mistake::InvalidBase64)),
            };
            if padding > 0 {
                return Err(self.wrong(Mistake::InvalidBase64));
            }
            self.cursor.at += 1;
            characters += 1;
            bits = bits << 6 | u32::from(value);
            // The first character of four completes no byte, each other one does.
            let left = match characters % 4 {
                1 => continue,
                2 => 4,
                3 => 2,
                _ => 0,
            };
            content.push((bits >> left) as u8);
            bits &= (1 << left) - 1;
        }
        let padded = match characters % 4 {
            0 => padding == 0,
            1 => false,
            rest => padding == 0 || padding == 4 - rest,
        };
        // Bits that belong to no byte are zero (RFC 4648 section 3.5).
        if !padded || bits != 0 {
            return Err(TextError::new(Mistake::InvalidBase64, start));
        }
        self.cursor.at += 1;
        Ok(())
    }
}

fn lone_is_wrong(lone: LoneSurrogates) -> Result<(), TextError> {
    match lone.number {
        0 => Ok(()),
        _ => Err(TextError::new(Mistake::Common(ErrorKind::LoneSurrogate), lone.first)),
    }
}

//! Text -> CBOR: items one after the other, and what is open.

use super::{Mistake, TextError};
use crate::cbor::{BREAK, major, simple};
use crate::json::Cursor;
use crate::{ErrorKind, Limits, Policy};
use heads::{Heads, Indicator};

mod heads;
mod numbers;
mod strings;

pub use numbers::MAX_INTEGER_DIGITS;

/// Reads diagnostic notation (RFC 8949 section 8) and returns the CBOR: the one item of the text, or a
/// sequence (RFC 8742) of those that it has, divided by commas or by white space; nothing if it has none.
///
/// Without an encoding indicator each head has its shortest form, and each float the shortest that holds it.
/// An integer beyond 64 bits becomes a bignum (section 3.4.3). Besides what [`from_cbor`](super::from_cbor)
/// writes, the text may hold comments (`/ .. /`, and `#` up to the end of the line), integers in base 16, 8
/// and 2 (`0x1f`), byte strings as `b64'..'` (either alphabet, with padding or without) and `'..'`, and
/// sequences in byte strings (`<< 1, 2 >>`).
///
/// # Errors
///
/// The first mistake, with its offset in the text, or a limit.
pub fn to_cbor(text: &[u8], limits: &Limits) -> Result<Vec<u8>, TextError> {
    if text.len() > limits.max_input {
        return Err(TextError::new(Mistake::Common(ErrorKind::InputTooLarge), limits.max_input));
    }
    let cursor = Cursor::new(text, Policy::Lenient)?;
    let mut reading = Reading { cursor, limits, out: Heads::default(), open: Vec::new() };
    reading.input()?;
    Ok(reading.out.finish())
}

/// What has been opened and not closed yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    what: What,
    /// Where its head stands, and how it is written.
    head: usize,
    indicator: Indicator,
    /// What the heads written later had taken when it was opened.
    later: usize,
    /// Items in it so far; a pair counts when its value is there.
    entries: u64,
    /// True between a key and its value.
    value_next: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Array,
    Map,
    Tag,
    /// A string of indefinite length; its major type is that of its first chunk.
    Chunks(Option<u8>),
    /// A sequence in a byte string.
    Embedded,
}

struct Reading<'t> {
    cursor: Cursor<'t>,
    limits: &'t Limits,
    out: Heads,
    open: Vec<Open>,
}

impl<'t> Reading<'t> {
    fn input(&mut self) -> Result<(), TextError> {
        self.space()?;
        while self.cursor.peek().is_some() || !self.open.is_empty() {
            let opened = self.item()?;
            self.space()?;
            let empty = opened && self.at_end_of_open();
            if !opened || empty {
                if empty {
                    self.close()?;
                }
                self.rest_after_item()?;
            }
        }
        Ok(())
    }

    /// Takes what stands between an item and the next one: closing brackets, then a comma or a colon.
    fn rest_after_item(&mut self) -> Result<(), TextError> {
        loop {
            if self.out.len() > self.limits.max_output {
                return Err(self.wrong(Mistake::Common(ErrorKind::OutputTooLarge)));
            }
            self.space()?;
            let Some(around) = self.open.last().copied() else {
                // Between the items of a sequence the comma may be missing, but not the item after one.
                if self.take(b",") {
                    self.space()?;
                    if self.cursor.peek().is_none() {
                        return Err(self.missing(Mistake::ExpectedItem));
                    }
                }
                return Ok(());
            };
            if around.value_next {
                if !self.take(b":") {
                    return Err(self.missing(Mistake::ExpectedColon));
                }
                return self.space();
            }
            if around.what != What::Tag && self.take(b",") {
                return self.space();
            }
            if !self.at_end_of_open() {
                return Err(self.missing(match around.what {
                    What::Tag => Mistake::Tag,
                    _ if matches!(self.cursor.peek(), Some(b']' | b'}' | b')')) => Mistake::WrongBracket,
                    _ => Mistake::ExpectedCommaOrEnd,
                }));
            }
            self.close()?;
        }
    }

    /// Reads an item, or the opening of one in which others stand; true for the latter.
    fn item(&mut self) -> Result<bool, TextError> {
        let around = self.open.last().map(|open| open.what);
        let byte = self.cursor.peek().ok_or_else(|| self.missing(Mistake::ExpectedItem))?;
        let starts_string = match byte {
            b'"' | b'\'' => true,
            b'h' | b'b' => matches!(self.word_ahead(), b"h" | b"b64"),
            _ => false,
        };
        if matches!(around, Some(What::Chunks(_))) && !starts_string {
            return Err(self.wrong(Mistake::Chunk));
        }
        match byte {
            _ if starts_string => self.string()?,
            b'[' => return self.container(What::Array, major::ARRAY),
            b'{' => return self.container(What::Map, major::MAP),
            b'(' => return self.chunks(),
            b'<' if self.take(b"<<") => {
                self.open(What::Embedded, Indicator::NONE, major::BYTES)?;
                return Ok(true);
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                if let Some((tag, indicator)) = self.number()? {
                    self.out.head(major::TAG, tag, indicator)?;
                    self.open(What::Tag, Indicator::NONE, major::TAG)?;
                    return Ok(true);
                }
            }
            b'a'..=b'z' | b'A'..=b'Z' => self.word()?,
            b']' | b'}' | b')' | b'>' if self.open.is_empty() => {
                return Err(self.wrong(Mistake::WrongBracket));
            }
            _ => return Err(self.wrong(Mistake::ExpectedItem)),
        }
        self.complete();
        Ok(false)
    }

    /// Reads the bracket that opens an array or a map, with its encoding indicator.
    fn container(&mut self, what: What, major: u8) -> Result<bool, TextError> {
        self.cursor.at += 1;
        let indicator = self.indicator()?;
        self.open(what, indicator, major)?;
        Ok(true)
    }

    /// Reads the opening of a string of indefinite length.
    fn chunks(&mut self) -> Result<bool, TextError> {
        let at = self.cursor.at;
        self.cursor.at += 1;
        let indicator = self.indicator()?;
        if !indicator.is_indefinite() {
            return Err(TextError::new(Mistake::ExpectedItem, at));
        }
        self.open(What::Chunks(None), indicator, major::BYTES)?;
        Ok(true)
    }

    fn open(&mut self, what: What, indicator: Indicator, major: u8) -> Result<(), TextError> {
        if self.open.len() >= self.limits.max_depth {
            return Err(self.wrong(Mistake::Common(ErrorKind::TooDeep)));
        }
        let head = match what {
            // Its head has been written.
            What::Tag => 0,
            _ => self.out.begin(major, indicator),
        };
        let later = self.out.later();
        self.open.push(Open { what, head, indicator, later, entries: 0, value_next: false });
        Ok(())
    }

    /// Returns true if what closes the innermost item is next.
    fn at_end_of_open(&self) -> bool {
        let closing = match self.open.last().map(|open| open.what) {
            Some(What::Array) => b"]".as_slice(),
            Some(What::Map) => b"}",
            Some(What::Tag | What::Chunks(_)) => b")",
            Some(What::Embedded) => b">>",
            None => return false,
        };
        self.cursor.rest().starts_with(closing)
    }

    /// Closes the innermost item, whose closing bracket is next.
    fn close(&mut self) -> Result<(), TextError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        match open.what {
            What::Tag | What::Chunks(_) if open.entries == 0 => {
                let mistake = if open.what == What::Tag { Mistake::Tag } else { Mistake::Chunk };
                return Err(self.wrong(mistake));
            }
            What::Tag => {}
            _ if open.indicator.is_indefinite() => self.out.push(BREAK),
            What::Embedded => self.out.end_bytes(open.head, open.later)?,
            _ => self.out.end(open.head, open.entries, open.indicator)?,
        }
        self.cursor.at += if open.what == What::Embedded { 2 } else { 1 };
        self.complete();
        Ok(())
    }

    /// Counts a complete item into the one around it.
    fn complete(&mut self) {
        let Some(around) = self.open.last_mut() else { return };
        around.value_next = around.what == What::Map && !around.value_next;
        around.entries += u64::from(!around.value_next);
    }

    /// Reads an item that is a word.
    fn word(&mut self) -> Result<(), TextError> {
        let start = self.cursor.at;
        let word = self.word_ahead();
        self.cursor.at += word.len();
        match word {
            b"false" => self.out.push(simple::FALSE),
            b"true" => self.out.push(simple::TRUE),
            b"null" => self.out.push(simple::NULL),
            b"undefined" => self.out.push(major::OTHER | 23),
            b"NaN" => self.float(f64::NAN)?,
            b"Infinity" => self.float(f64::INFINITY)?,
            b"simple" if self.take(b"(") => self.simple()?,
            _ => return Err(TextError::new(Mistake::UnknownWord, start)),
        }
        Ok(())
    }

    /// Reads the number of `simple(..)` and the closing parenthesis (RFC 8949 section 3.3).
    fn simple(&mut self) -> Result<(), TextError> {
        self.space()?;
        let start = self.cursor.at;
        let digits = self.cursor.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.cursor.at += digits;
        let value = self.cursor.since(start).parse::<u8>();
        self.space()?;
        match value {
            Ok(value @ 0..24) => self.out.push(major::OTHER | value),
            Ok(value @ 32..) => self.out.extend(&[major::OTHER | 24, value]),
            _ if digits == 0 => return Err(self.missing(Mistake::SimpleValue)),
            _ => return Err(TextError::new(Mistake::SimpleValue, start)),
        }
        if self.take(b")") { Ok(()) } else { Err(self.missing(Mistake::ExpectedCommaOrEnd)) }
    }

    /// Returns the letters and digits that are next.
    fn word_ahead(&self) -> &'t [u8] {
        let rest = self.cursor.rest();
        let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        rest.get(..len).unwrap_or_default()
    }

    /// Passes over white space and comments.
    fn space(&mut self) -> Result<(), TextError> {
        loop {
            self.cursor.skip_space();
            let start = self.cursor.at;
            let end = match self.cursor.peek() {
                Some(b'/') => b'/',
                Some(b'#') => b'\n',
                _ => return Ok(()),
            };
            let comment = self.cursor.rest().iter().skip(1).position(|byte| *byte == end);
            match comment {
                Some(len) => self.cursor.at += len + 2,
                None if end == b'\n' => self.cursor.at += self.cursor.rest().len(),
                None => return Err(TextError::new(Mistake::OpenComment, start)),
            }
        }
    }

    fn take(&mut self, token: &[u8]) -> bool {
        let taken = self.cursor.rest().starts_with(token);
        self.cursor.at += if taken { token.len() } else { 0 };
        taken
    }

    fn wrong(&self, mistake: Mistake) -> TextError {
        TextError::new(mistake, self.cursor.at)
    }

    /// Returns the mistake; at the end of the text, that it ends too early.
    fn missing(&self, mistake: Mistake) -> TextError {
        let mistake = match self.cursor.peek() {
            None => Mistake::Common(ErrorKind::UnexpectedEnd),
            Some(_) => mistake,
        };
        self.wrong(mistake)
    }
}

//! JSON's grammar (RFC 8259): a cursor over the text and its tokens. What a token becomes
//! is decided elsewhere.

use crate::utf8::{self, Fault};
use crate::{Error, ErrorKind, Policy};

pub(crate) mod number;
pub(crate) mod skip;
pub(crate) mod string;
pub(crate) mod walk;

/// The byte order mark in UTF-8 (RFC 8259 section 8.1).
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A position in a JSON text, whose UTF-8 is checked once, at the start.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'j> {
    text: &'j [u8],
    pub(crate) at: usize,
}

impl<'j> Cursor<'j> {
    /// Makes a cursor at the start of a text; with the lenient policy after its byte order mark.
    pub(crate) fn new(json: &'j [u8], policy: Policy) -> Result<Self, Error> {
        match utf8::check(json) {
            Ok(()) if json.starts_with(BYTE_ORDER_MARK) => match policy {
                Policy::Strict => Err(Error::new(ErrorKind::ByteOrderMark, 0)),
                Policy::Lenient => Ok(Cursor { text: json, at: BYTE_ORDER_MARK.len() }),
            },
            Ok(()) => Ok(Cursor::of(json)),
            // A truncated last character is reported like any other truncation.
            Err(Fault::Cut(_)) => Err(Error::new(ErrorKind::UnexpectedEnd, json.len())),
            Err(Fault::Invalid(at)) => Err(Error::new(ErrorKind::InvalidUtf8, at)),
        }
    }

    /// Makes a cursor at the start of a text, or a piece of one, whose UTF-8 has been checked.
    pub(crate) fn of(text: &'j [u8]) -> Self {
        Cursor { text, at: 0 }
    }

    /// Lets a function that is not inlined move the cursor. The function gets a copy, so that the walk's own
    /// cursor has no address and can stay in registers: each token depends on it.
    #[inline(always)]
    pub(crate) fn aside<T>(&mut self, call: impl FnOnce(&mut Cursor<'j>) -> T) -> T {
        let mut copy = self.clone();
        let result = call(&mut copy);
        self.at = copy.at;
        result
    }

    pub(crate) fn rest(&self) -> &'j [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the next bytes without consuming them; `None` if fewer are left.
    #[inline(always)]
    pub(crate) fn ahead<const N: usize>(&self) -> Option<&'j [u8; N]> {
        self.text.get(self.at..)?.first_chunk()
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Returns the text read since `start`. Tokens begin and end at character boundaries.
    pub(crate) fn since(&self, start: usize) -> &'j str {
        self.text.get(start..self.at).and_then(|token| str::from_utf8(token).ok()).unwrap_or_default()
    }

    /// Skips space, tab, line feed and carriage return (RFC 8259 section 2).
    #[cold]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Returns the next byte after white space, if there is one; the cursor is left standing on it.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<u8> {
        match self.peek() {
            Some(b' ' | b'\t' | b'\n' | b'\r') => {
                self.aside(Cursor::skip_space);
                self.peek()
            }
            other => other,
        }
    }

    /// Consumes this byte and the white space before it. Returns false, with the cursor unmoved, if another
    /// byte stands there.
    #[inline(always)]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        // Machines write no white space, so it is looked for last.
        let taken = self.peek() == Some(byte) || self.aside(|cursor| cursor.is_behind_space(byte));
        self.at += usize::from(taken);
        taken
    }

    #[cold]
    fn is_behind_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.peek() == Some(byte)
    }

    /// Returns the error for a byte other than the one wanted here; at the end of the text,
    /// [`ErrorKind::UnexpectedEnd`].
    #[inline(always)]
    pub(crate) fn wanted(&self, kind: ErrorKind) -> Error {
        wanted(kind, self.at, self.text.len())
    }

    /// Reads one of the three words; the cursor stands on its first letter.
    pub(crate) fn word(&mut self, word: &str) -> Result<(), Error> {
        let start = self.at;
        for letter in word.bytes() {
            match self.peek() {
                Some(byte) if byte == letter => self.at += 1,
                Some(_) => return Err(Error::new(ErrorKind::InvalidLiteral, start)),
                None => return Err(self.wanted(ErrorKind::InvalidLiteral)),
            }
        }
        Ok(())
    }
}

#[cold]
fn wanted(kind: ErrorKind, at: usize, end: usize) -> Error {
    Error::new(if at >= end { ErrorKind::UnexpectedEnd } else { kind }, at)
}

//! JSON's grammar (RFC 8259): a cursor over the text and its tokens. What a token becomes
//! is decided elsewhere.

use crate::utf8::{self, Fault};
use crate::{Error, ErrorKind, Policy};

pub(crate) mod number;
pub(crate) mod skip;
pub(crate) mod string;
pub(crate) mod walk;

/// RFC 8259 section 8.1.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A place in a JSON text, whose UTF-8 is checked once, at the start.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'j> {
    text: &'j [u8],
    pub(crate) at: usize,
}

impl<'j> Cursor<'j> {
    /// At the start of a text, by the lenient policy behind its byte order mark.
    pub(crate) fn new(json: &'j [u8], policy: Policy) -> Result<Self, Error> {
        match utf8::check(json) {
            Ok(()) if json.starts_with(BYTE_ORDER_MARK) => match policy {
                Policy::Strict => Err(Error::new(ErrorKind::ByteOrderMark, 0)),
                Policy::Lenient => Ok(Cursor { text: json, at: BYTE_ORDER_MARK.len() }),
            },
            Ok(()) => Ok(Cursor::of(json)),
            // A last character that is cut off is no worse than any other cut.
            Err(Fault::Cut(_)) => Err(Error::new(ErrorKind::UnexpectedEnd, json.len())),
            Err(Fault::Invalid(at)) => Err(Error::new(ErrorKind::InvalidUtf8, at)),
        }
    }

    /// At the start of a text whose UTF-8 has been checked, or of a piece of one.
    pub(crate) fn of(text: &'j [u8]) -> Self {
        Cursor { text, at: 0 }
    }

    /// Lets a function that is not inlined move the cursor. It gets a copy, so that the walk's own has no
    /// address and can stay in registers: each token has to wait for it.
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

    /// The next bytes, if there are as many.
    #[inline(always)]
    pub(crate) fn ahead<const N: usize>(&self) -> Option<&'j [u8; N]> {
        self.text.get(self.at..)?.first_chunk()
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// What has been read since `start`. Tokens begin and end at characters.
    pub(crate) fn since(&self, start: usize) -> &'j str {
        self.text.get(start..self.at).and_then(|token| str::from_utf8(token).ok()).unwrap_or_default()
    }

    /// RFC 8259 section 2: space, tab, line feed, carriage return.
    #[cold]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// The byte behind the white space here, if there is any; the cursor is left standing on it.
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

    /// Consumes this byte and the white space before it; false if something else stands there, and then the
    /// cursor does too.
    #[inline(always)]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        // Machines write no white space: it is looked for last.
        let taken = self.peek() == Some(byte) || self.aside(|cursor| cursor.is_behind_space(byte));
        self.at += usize::from(taken);
        taken
    }

    #[cold]
    fn is_behind_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.peek() == Some(byte)
    }

    /// The error of something else than what is wanted here; where the text ends here, that is the error.
    #[inline(always)]
    pub(crate) fn wanted(&self, kind: ErrorKind) -> Error {
        wanted(kind, self.at, self.text.len())
    }

    /// One of the three words; the cursor stands on its first letter.
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

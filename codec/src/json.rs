//! JSON's grammar (RFC 8259): a cursor over the text and its tokens. What a token becomes is decided elsewhere.

use crate::{Error, ErrorKind, plain};

pub(crate) mod number;
pub(crate) mod skip;
pub(crate) mod string;
pub(crate) mod walk;

/// A place in a JSON text, whose UTF-8 is checked once, at the start.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'j> {
    text: &'j [u8],
    pub(crate) at: usize,
}

impl<'j> Cursor<'j> {
    /// At the start of a text.
    pub(crate) fn new(json: &'j [u8]) -> Result<Self, Error> {
        // Most texts are nothing but ASCII: homeservers escape the rest.
        let ascii = plain::ascii(json);
        match str::from_utf8(json.get(ascii..).unwrap_or_default()) {
            Ok(_) if json.starts_with("\u{feff}".as_bytes()) => Err(Error::new(ErrorKind::ByteOrderMark, 0)),
            Ok(_) => Ok(Cursor { text: json, at: 0 }),
            // A last character that is cut off is no worse than any other cut.
            Err(error) if error.error_len().is_none() => {
                Err(Error::new(ErrorKind::UnexpectedEnd, json.len()))
            }
            Err(error) => Err(Error::new(ErrorKind::InvalidUtf8, ascii + error.valid_up_to())),
        }
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
                self.skip_space();
                self.peek()
            }
            other => other,
        }
    }

    /// The error of something else than what is wanted here; where the text ends here, that is the error.
    #[cold]
    pub(crate) fn wanted(&self, kind: ErrorKind) -> Error {
        Error::new(if self.peek().is_none() { ErrorKind::UnexpectedEnd } else { kind }, self.at)
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

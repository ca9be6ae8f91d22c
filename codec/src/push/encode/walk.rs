//! The grammar of values (RFC 8259 sections 2 to 5), walked in pieces: after each token it is known what may follow, and the walk
//! can end.
//!
//! ```text
//! Value -> scalar -------------------------> complete
//!       -> [ FirstElement -> ] ------------> complete
//!       -> { FirstKey -> } ----------------> complete
//!                     -> key Colon : Value ...
//! complete -> CommaOrEnd -> , Element or Key ...
//!                        -> ] or } --------> complete
//!          -> Nothing                        the document is complete
//! ```

use super::PushEncoder;
use super::text::{Role, Whole};
use crate::cbor::{BREAK, INDEFINITE, major, simple, write_head};
use crate::encode::{container_major, patch_text_head, write_number, write_text};
use crate::json::skip::Bits;
use crate::json::walk::Kind;
use crate::json::{Cursor, number};
use crate::{Error, ErrorKind, Policy, Repairs};

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    /// Behind `[`: a value or `]`.
    FirstElement,
    /// Behind a comma in an array.
    Element,
    /// Behind `{`: a key or `}`.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    Colon,
    CommaOrEnd,
    /// The value is complete.
    Nothing,
}

/// An open array or object.
#[derive(Debug)]
pub(super) struct Open {
    /// One bit for each of the table's first 128 keys that has occurred.
    known: u128,
    kind: Kind,
}

/// A container that lies too deep for the lenient policy: it is walked over, and what that writes is taken back.
#[derive(Debug)]
pub(super) struct Skipped {
    /// Where the output ends that stays.
    from: usize,
    open: Bits,
    repairs: Repairs,
}

/// Open containers in one that lies too deep; one more is an error, so that memory stays bounded: 128 kB.
const MAX_SKIPPED_DEPTH: usize = 1 << 20;

impl PushEncoder<'_> {
    /// Walks to the end of what is there; a token that it cuts is held back. `last`: nothing follows.
    pub(super) fn walk(
        &mut self,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        if self.text.is_open() {
            self.string_goes_on(cursor, output)?;
        }
        loop {
            cursor.skip_space();
            let Some(byte) = cursor.peek() else { return Ok(()) };
            match self.expect {
                Expect::Value => self.value(byte, cursor, output, last)?,
                Expect::FirstElement if byte == b']' => self.empty(Kind::Array, cursor, output)?,
                Expect::FirstElement => {
                    self.open(Kind::Array, output);
                    self.expect = Expect::Value;
                    self.value(byte, cursor, output, last)?;
                }
                Expect::Element if byte == b']' => return Err(self.error(ErrorKind::TrailingComma, cursor)),
                Expect::Element => self.value(byte, cursor, output, last)?,
                Expect::FirstKey if byte == b'}' => self.empty(Kind::Object, cursor, output)?,
                Expect::FirstKey if byte == b'"' => {
                    self.open(Kind::Object, output);
                    self.string_key(cursor, output)?;
                }
                Expect::Key if byte == b'"' => self.string_key(cursor, output)?,
                Expect::Key if byte == b'}' => return Err(self.error(ErrorKind::TrailingComma, cursor)),
                Expect::FirstKey | Expect::Key => return Err(self.error(ErrorKind::ExpectedKey, cursor)),
                Expect::Colon if byte == b':' => {
                    cursor.at += 1;
                    self.expect = Expect::Value;
                }
                Expect::Colon => return Err(self.error(ErrorKind::ExpectedColon, cursor)),
                Expect::CommaOrEnd => self.comma_or_end(byte, cursor, output)?,
                Expect::Nothing => return Err(self.error(ErrorKind::TrailingData, cursor)),
            }
        }
    }

    fn error(&self, kind: ErrorKind, cursor: &Cursor<'_>) -> Error {
        self.absolute(Error::new(kind, cursor.at))
    }

    fn value(
        &mut self,
        byte: u8,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        self.value_at = self.base + cursor.at;
        match byte {
            b'"' => self.string_value(cursor, output),
            b'{' => self.bracket(Expect::FirstKey, cursor, output),
            b'[' => self.bracket(Expect::FirstElement, cursor, output),
            b'-' | b'0'..=b'9' => self.number(cursor, output, last),
            b't' => self.word("true", simple::TRUE, cursor, output, last),
            b'f' => self.word("false", simple::FALSE, cursor, output, last),
            b'n' => self.word("null", simple::NULL, cursor, output, last),
            _ => Err(self.error(ErrorKind::ExpectedValue, cursor)),
        }
    }

    fn string_value(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        cursor.at += 1;
        match self.whole_string(cursor)? {
            Whole::Simple(text) => {
                write_text(output, text);
                return self.complete(output);
            }
            Whole::Escaped => {
                let before = output.len();
                output.push(0);
                if self.unescape(cursor, output)? {
                    patch_text_head(output, before);
                    return self.complete(output);
                }
                output.truncate(before);
            }
            Whole::No => {}
        }
        self.begin_string(Role::Value, self.value_at);
        self.string_goes_on(cursor, output)
    }

    fn string_key(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.base + cursor.at;
        cursor.at += 1;
        match self.whole_string(cursor)? {
            Whole::Simple(name) => {
                self.expect = Expect::Colon;
                return self.key(name, at, output);
            }
            Whole::Escaped => {
                let mut name = self.take_name();
                let whole = self.unescape(cursor, &mut name)?;
                let written = if whole { self.key(&name, at, output) } else { Ok(()) };
                self.name = name;
                if whole {
                    self.expect = Expect::Colon;
                    return written;
                }
            }
            Whole::No => {}
        }
        self.begin_string(Role::Key, at);
        self.string_goes_on(cursor, output)
    }

    /// A key that began at this offset, as its integer if the table has it and it is the first of its name here: a later one
    /// is text, which holds over the integer (MSC3079).
    pub(super) fn key(&mut self, name: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        let Some(key) = self.options.keys.and_then(|table| table.by_name(name)) else {
            write_text(output, name);
            return Ok(());
        };
        let repeated = match self.open.last_mut().filter(|_| self.skipped.is_none()) {
            Some(open) => {
                let repeated = open.known & key.bit != 0;
                open.known |= key.bit;
                repeated
            }
            None => false,
        };
        if !repeated {
            write_head(output, major::UNSIGNED, key.integer);
        } else if self.lenient() {
            self.repairs.repeated_keys += 1;
            write_text(output, name);
        } else {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        Ok(())
    }

    fn number(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>, last: bool) -> Result<(), Error> {
        let start = cursor.clone();
        let number = match number::read(cursor) {
            Err(error) if error.kind != ErrorKind::UnexpectedEnd => return Err(self.absolute(error)),
            _ if cursor.peek().is_none() && !last => {
                self.hold(start, cursor);
                return Ok(());
            }
            number => number.map_err(|error| self.absolute(error))?,
        };
        let lenient = self.lenient();
        write_number(output, number, self.value_at, lenient, &mut self.repairs)?;
        self.complete(output)
    }

    fn word(
        &mut self,
        text: &str,
        head: u8,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        let start = cursor.clone();
        match cursor.word(text) {
            Ok(()) => {
                output.push(head);
                self.complete(output)
            }
            Err(error) if error.kind == ErrorKind::UnexpectedEnd && !last => {
                self.hold(start, cursor);
                Ok(())
            }
            Err(error) => Err(self.absolute(error)),
        }
    }

    /// Keeps what stands from `start` to the end.
    fn hold(&mut self, start: Cursor<'_>, cursor: &mut Cursor<'_>) {
        let token = start.rest();
        cursor.at = start.at + token.len();
        self.token.extend_from_slice(token);
    }

    fn bracket(&mut self, inside: Expect, cursor: &mut Cursor<'_>, output: &[u8]) -> Result<(), Error> {
        let limits = self.options.limits;
        let max_depth = if self.lenient() { limits.max_depth_lenient } else { limits.max_depth };
        match &self.skipped {
            Some(skipped) if skipped.open.len() >= MAX_SKIPPED_DEPTH => {
                return Err(self.error(ErrorKind::TooDeep, cursor));
            }
            None if self.open.len() >= max_depth => {
                if !self.lenient() {
                    return Err(self.error(ErrorKind::TooDeep, cursor));
                }
                self.skipped =
                    Some(Skipped { from: output.len(), open: Bits::default(), repairs: self.repairs });
            }
            _ => {}
        }
        cursor.at += 1;
        self.expect = inside;
        Ok(())
    }

    fn empty(&mut self, kind: Kind, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        cursor.at += 1;
        output.push(container_major(kind));
        self.complete(output)
    }

    fn open(&mut self, kind: Kind, output: &mut Vec<u8>) {
        output.push(container_major(kind) | INDEFINITE);
        match &mut self.skipped {
            Some(skipped) => skipped.open.push(kind == Kind::Object),
            None => self.open.push(Open { known: 0, kind }),
        }
    }

    fn innermost(&self) -> Option<Kind> {
        match self.skipped.as_ref().and_then(|skipped| skipped.open.last()) {
            Some(object) => Some(if object { Kind::Object } else { Kind::Array }),
            None => self.open.last().map(|open| open.kind),
        }
    }

    fn comma_or_end(&mut self, byte: u8, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        let kind = self.innermost();
        self.expect = match (byte, kind) {
            (b',', Some(Kind::Object)) => Expect::Key,
            (b',', Some(Kind::Array)) => Expect::Element,
            (b'}', Some(Kind::Object)) | (b']', Some(Kind::Array)) => {
                cursor.at += 1;
                return self.close(output);
            }
            _ => return Err(self.error(ErrorKind::ExpectedCommaOrEnd, cursor)),
        };
        cursor.at += 1;
        Ok(())
    }

    fn close(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        output.push(BREAK);
        match &mut self.skipped {
            Some(skipped) => skipped.open.pop(),
            None => {
                self.open.pop();
            }
        }
        self.complete(output)
    }

    /// A value is complete.
    pub(super) fn complete(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(skipped) = self.skipped.take_if(|skipped| skipped.open.len() == 0) {
            output.truncate(skipped.from);
            output.push(simple::NULL);
            self.repairs = skipped.repairs;
            self.repairs.too_deep += 1;
        }
        self.check_length(output, self.value_at)?;
        self.expect = if self.innermost().is_none() { Expect::Nothing } else { Expect::CommaOrEnd };
        Ok(())
    }

    pub(super) fn check_length(&self, output: &[u8], at: usize) -> Result<(), Error> {
        if output.len() > self.max_len && self.skipped.is_none() {
            return Err(Error::new(ErrorKind::OutputTooLarge, at));
        }
        Ok(())
    }

    pub(super) fn lenient(&self) -> bool {
        self.options.policy == Policy::Lenient
    }

    /// What a call writes of a skipped container does not leave with it.
    pub(super) fn pause_skipping(&mut self, output: &mut Vec<u8>) {
        if let Some(skipped) = &self.skipped {
            output.truncate(skipped.from);
        }
    }

    pub(super) fn go_on_skipping(&mut self, from: usize) {
        if let Some(skipped) = &mut self.skipped {
            skipped.from = from;
        }
    }
}

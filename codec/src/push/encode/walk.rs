//! The grammar of values (RFC 8259 sections 2 to 5), walked in pieces: after each token it is known what may
//! follow, and the walk can stop.
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
use super::expect::Expect;
use super::text::{Role, Whole};
use crate::cbor::{major, simple};
use crate::encode::{container_major, patch_text_head, write_number, write_text};
use crate::json::walk::Kind;
use crate::json::{Cursor, number, string};
use crate::keys::by_name::Entry;
use crate::names::Ends;
use crate::push::names::Forms;
use crate::{Error, ErrorKind, Policy, plain};

impl PushEncoder<'_> {
    /// Walks to the end of the available input and holds back a token cut by it. `last`: nothing follows.
    pub(super) fn walk(
        &mut self,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        if self.text.is_open() {
            self.string_goes_on(cursor, output)?;
        }
        while let Some(byte) = cursor.next() {
            match self.expect {
                Expect::FirstElement if byte == b']' => self.empty(Kind::Array, cursor, output)?,
                Expect::FirstElement => {
                    self.open(Kind::Array, output);
                    self.expect = Expect::Value;
                }
                Expect::FirstKey if byte == b'}' => self.empty(Kind::Object, cursor, output)?,
                Expect::FirstKey => {
                    self.open(Kind::Object, output);
                    self.expect = Expect::Key;
                }
                Expect::Colon => {
                    colon(byte, cursor).map_err(|error| self.absolute(error))?;
                    self.expect = Expect::Value;
                }
                Expect::CommaOrEnd => self.comma_or_end(byte, cursor, output)?,
                Expect::Nothing => return Err(self.error(ErrorKind::TrailingData, cursor)),
                // The variant that skips also works without skipping: where size counts, one variant is
                // enough.
                Expect::Value | Expect::Element | Expect::Key
                    if self.skipped.is_some() || cfg!(feature = "small") =>
                {
                    self.whole_tokens::<true>(cursor, output, last)?;
                }
                Expect::Value | Expect::Element | Expect::Key => {
                    self.whole_tokens::<false>(cursor, output, last)?;
                }
            }
        }
        Ok(())
    }

    /// Walks from a value or a key on as long as tokens are complete: most of the time is spent here.
    fn whole_tokens<const SKIPPING: bool>(
        &mut self,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        let mut expect = self.expect;
        loop {
            if expect == Expect::Key {
                match cursor.next() {
                    Some(b'"') => {}
                    None => return self.pause(expect),
                    // An empty object was handled before: a comma precedes this bracket.
                    Some(b'}') => return Err(self.error(ErrorKind::TrailingComma, cursor)),
                    Some(_) => return Err(self.error(ErrorKind::ExpectedKey, cursor)),
                }
                if !self.string_key::<SKIPPING>(cursor, output)? {
                    return Ok(());
                }
                if !SKIPPING && self.skipped.is_some() {
                    return self.pause(Expect::Colon);
                }
                match cursor.next() {
                    Some(byte) => colon(byte, cursor).map_err(|error| self.absolute(error))?,
                    None => return self.pause(Expect::Colon),
                }
                expect = Expect::Value;
            }
            let first = cursor.next();
            self.value_at = self.base + cursor.at;
            match first {
                Some(b'"') => {
                    if !self.string_value(cursor, output)? {
                        return Ok(());
                    }
                }
                Some(bracket @ (b'{' | b'[')) => {
                    let (kind, inside) = match bracket {
                        b'{' => (Kind::Object, Expect::FirstKey),
                        _ => (Kind::Array, Expect::FirstElement),
                    };
                    let before = SKIPPING && self.skipped.is_some();
                    let skipping = self.check_depth::<SKIPPING>(cursor, output)?;
                    cursor.at += 1;
                    match cursor.next() {
                        Some(byte) if skipping == before => {
                            // Tested first: most containers of a document made of `{}` then cost no frame.
                            if byte != kind.closing() {
                                self.open_one::<SKIPPING>(kind, output);
                                expect = if kind == Kind::Object { Expect::Key } else { Expect::Value };
                                continue;
                            }
                            cursor.at += 1;
                            output.push(container_major(kind));
                        }
                        _ => return self.pause(inside),
                    }
                }
                Some(b'-' | b'0'..=b'9') => {
                    let start = cursor.at;
                    match number::read(cursor) {
                        Err(error) if error.kind != ErrorKind::UnexpectedEnd => {
                            return Err(self.absolute(error));
                        }
                        _ if cursor.peek().is_none() && !last => return self.hold(start, cursor, expect),
                        number => {
                            let number = number.map_err(|error| self.absolute(error))?;
                            let (at, policy) = (self.value_at, self.options.policy);
                            write_number(output, number, at, policy, &mut self.repairs)?;
                        }
                    }
                }
                Some(letter @ (b't' | b'f' | b'n')) => {
                    let (word, head) = match letter {
                        b't' => ("true", simple::TRUE),
                        b'f' => ("false", simple::FALSE),
                        _ => ("null", simple::NULL),
                    };
                    let start = cursor.at;
                    match cursor.word(word) {
                        Ok(()) => output.push(head),
                        Err(error) if error.kind == ErrorKind::UnexpectedEnd && !last => {
                            return self.hold(start, cursor, expect);
                        }
                        Err(error) => return Err(self.absolute(error)),
                    }
                }
                Some(b']') if expect == Expect::Element => {
                    return Err(self.error(ErrorKind::TrailingComma, cursor));
                }
                Some(_) => return Err(self.error(ErrorKind::ExpectedValue, cursor)),
                None => return self.pause(expect),
            }
            loop {
                if SKIPPING && self.skipping_ends() {
                    return self.complete(output);
                }
                self.check_length(output, self.value_at)?;
                let Some(kind) = self.innermost_of::<SKIPPING>() else { return self.pause(Expect::Nothing) };
                match cursor.next() {
                    Some(b',') => {
                        cursor.at += 1;
                        expect = if kind == Kind::Object { Expect::Key } else { Expect::Element };
                        break;
                    }
                    Some(byte) if byte == kind.closing() => {
                        cursor.at += 1;
                        self.close_one::<SKIPPING>(output);
                    }
                    Some(_) => return Err(self.error(ErrorKind::ExpectedCommaOrEnd, cursor)),
                    None => return self.pause(Expect::CommaOrEnd),
                }
            }
        }
    }

    /// Stops at the end of the available input, between two tokens.
    pub(super) fn pause(&mut self, expect: Expect) -> Result<(), Error> {
        self.expect = expect;
        Ok(())
    }

    /// Stops at the end of the available input, in a number or a word that began at `start`.
    #[cold]
    fn hold(&mut self, start: usize, cursor: &mut Cursor<'_>, expect: Expect) -> Result<(), Error> {
        cursor.at = start;
        let token = cursor.rest();
        cursor.at += token.len();
        self.token.extend_from_slice(token);
        self.pause(expect)
    }

    #[cold]
    pub(super) fn error(&self, kind: ErrorKind, cursor: &Cursor<'_>) -> Error {
        self.absolute(Error::new(kind, cursor.at))
    }

    /// Reads a string value; the cursor stands on its opening quote. Returns false if it is not completely
    /// there, as the function below does.
    #[inline(always)]
    fn string_value(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        cursor.at += 1;
        if let Some((step, len)) = string::short(cursor) {
            output.push(major::TEXT | len as u8);
            plain::append(output, step, len);
            return Ok(true);
        }
        self.longer_value(cursor, output)
    }

    fn longer_value(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        match self.whole_string(cursor)? {
            Whole::Simple(text) => {
                write_text(output, text);
                return Ok(true);
            }
            Whole::Escaped => {
                let before = output.len();
                output.push(0);
                if self.unescape(cursor, output)? {
                    patch_text_head(output, before);
                    return Ok(true);
                }
                output.truncate(before);
            }
            Whole::No => {}
        }
        self.begin_string(Role::Value, self.value_at);
        self.string_goes_on(cursor, output)?;
        Ok(false)
    }

    /// Reads a key; the cursor stands on its opening quote.
    #[cfg_attr(not(feature = "small"), inline(always))]
    fn string_key<const SKIPPING: bool>(
        &mut self,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let at = self.base + cursor.at;
        cursor.at += 1;
        if (!SKIPPING || self.skipped.is_none())
            && let Some((step, len)) = string::short(cursor)
        {
            let name = step.get(..len).unwrap_or_default();
            self.write_key(Ends::of_start(step, len), name, at, output)?;
            return Ok(true);
        }
        self.longer_key(at, cursor, output)
    }

    fn longer_key(
        &mut self,
        at: usize,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        match self.whole_string(cursor)? {
            Whole::Simple(name) => {
                self.key(name, at, output)?;
                return Ok(true);
            }
            Whole::Escaped => {
                let mut name = self.take_name();
                let whole = self.unescape(cursor, &mut name)?;
                let written = if whole { self.key(&name, at, output) } else { Ok(()) };
                self.name = name;
                if whole {
                    return written.map(|()| true);
                }
            }
            Whole::No => {}
        }
        self.begin_string(Role::Key, at);
        self.string_goes_on(cursor, output)?;
        Ok(false)
    }

    /// Takes a key that began at this offset.
    pub(super) fn key(&mut self, name: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        if self.skipped.is_some() {
            return Ok(());
        }
        self.write_key(Ends::of(name), name, at, output)
    }

    /// Writes a key as its integer if the table was agreed on and has it; writes nothing if it has come
    /// before in this object.
    #[cfg_attr(not(feature = "small"), inline(always))]
    fn write_key(&mut self, ends: Ends, name: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        let entry = self.table.entry(ends, name);
        if !entry.is_some_and(|key| self.innermost.known.add(key.bit)) && !self.is_new(entry, name, at)? {
            return self.repeated_key(at, output);
        }
        match entry {
            Some(key) if self.options.keys.is_some() => {
                plain::append(output, &key.cbor, key.cbor_len());
            }
            _ => write_text(output, name),
        }
        Ok(())
    }

    /// Handles a key for which its bit does not decide: it has none, or the bit is set.
    #[inline(never)]
    fn is_new(&mut self, entry: Option<&Entry>, name: &[u8], at: usize) -> Result<bool, Error> {
        if entry.is_some_and(|key| !key.bit.is_none()) {
            return Ok(false);
        }
        let room = (self.options.limits.max_keys, at);
        let before = self.names.note(&mut self.innermost.names, name, Forms::TEXT, room)?;
        Ok(before == Forms::default())
    }

    fn comma_or_end(&mut self, byte: u8, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        let kind = self.innermost_of::<true>();
        match (byte, kind) {
            (b',', Some(Kind::Object)) => self.expect = Expect::Key,
            (b',', Some(Kind::Array)) => self.expect = Expect::Element,
            (b'}', Some(Kind::Object)) | (b']', Some(Kind::Array)) => {
                match self.skipped {
                    Some(_) => self.close_one::<true>(output),
                    None => self.close_one::<false>(output),
                }
                self.complete(output)?;
            }
            _ => return Err(self.error(ErrorKind::ExpectedCommaOrEnd, cursor)),
        }
        cursor.at += 1;
        Ok(())
    }

    pub(super) fn lenient(&self) -> bool {
        self.options.policy == Policy::Lenient
    }
}

/// Reads the colon after a key.
#[inline(always)]
fn colon(byte: u8, cursor: &mut Cursor<'_>) -> Result<(), Error> {
    if byte != b':' {
        return Err(Error::new(ErrorKind::ExpectedColon, cursor.at));
    }
    cursor.at += 1;
    Ok(())
}

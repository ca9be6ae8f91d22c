//! A string that a piece has cut, or that is longer than [`MAX_TEXT`]: unescaped as it comes.

use super::expect::Expect;
use super::{MAX_TEXT, PushEncoder};
use crate::cbor::{BREAK, INDEFINITE, major};
use crate::encode::write_text;
use crate::json::Cursor;
use crate::json::string::{self, LoneSurrogates};
use crate::push::character::floor;
use crate::push::names::Names;
use crate::{Error, ErrorKind, plain, scratch};

#[derive(Debug, Default)]
pub(super) struct CutText {
    /// Whether the string is a key or a value.
    role: Option<Role>,
    /// Offset of the opening quote.
    at: usize,
    /// Content that has come and not left, up to [`MAX_TEXT`].
    content: Vec<u8>,
    /// True if a chunk has left: the text has an indefinite length.
    long: bool,
    /// Number of lone surrogates in the string.
    lone: u64,
    /// The bytes of an escape that was cut: at most two surrogates without the last digit, and one character.
    escape: [u8; 16],
    escape_len: usize,
    /// Scratch for the character of an escape.
    character: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Key,
    Value,
}

impl CutText {
    pub(super) fn clear(&mut self) {
        self.role = None;
        self.escape_len = 0;
    }

    pub(super) fn is_open(&self) -> bool {
        self.role.is_some()
    }

    pub(super) fn in_escape(&self) -> bool {
        self.is_open() && self.escape_len > 0
    }

    fn hold_escape(&mut self, bytes: &[u8]) {
        self.escape_len = bytes.len().min(self.escape.len());
        self.escape.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    /// Appends complete characters; if they do not fit, writes the content so far as a chunk.
    fn append(&mut self, mut piece: &[u8], output: &mut Vec<u8>) {
        loop {
            let room = MAX_TEXT - self.content.len();
            if piece.len() <= room {
                self.content.extend_from_slice(piece);
                return;
            }
            let (fitting, rest) = piece.split_at(floor(piece, room));
            self.content.extend_from_slice(fitting);
            if !self.long {
                self.long = true;
                output.push(major::TEXT | INDEFINITE);
            }
            write_text(output, &self.content);
            self.content.clear();
            piece = rest;
        }
    }
}

impl PushEncoder<'_> {
    /// Begins a string that is not completely there; the cursor stands after its opening quote.
    pub(super) fn begin_string(&mut self, role: Role, at: usize) {
        let text = &mut self.text;
        text.role = Some(role);
        text.at = at;
        text.long = false;
        text.lone = 0;
        text.escape_len = 0;
        // The buffer has its full size from the first cut on, so it never grows later.
        text.content.clear();
        text.content.reserve_exact(MAX_TEXT);
    }

    /// Continues the string until it or the available input ends.
    pub(super) fn string_goes_on(
        &mut self,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        loop {
            let rest = cursor.rest();
            let (piece, after) = rest.split_at(plain::len(rest).min(rest.len()));
            self.text.append(piece, output);
            // A shorter text is checked when its value is complete, wherever it was cut.
            if self.text.long {
                self.check_length(output, self.text.at)?;
            }
            cursor.at += piece.len();
            match after {
                [] => return Ok(()),
                [b'"', ..] => {
                    cursor.at += 1;
                    return self.end_string(output);
                }
                [b'\\', ..] => {
                    if !self.escape(cursor, output)? {
                        self.text.hold_escape(cursor.rest());
                        cursor.at += cursor.rest().len();
                        return Ok(());
                    }
                }
                [_, ..] => {
                    return Err(self.absolute(Error::new(ErrorKind::ControlCharacter, cursor.at)));
                }
            }
        }
    }

    /// Reads one escape. Returns false, with the cursor unmoved, if it may continue after the available
    /// input.
    fn escape(&mut self, cursor: &mut Cursor<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        let (mut ahead, mut lone) = (cursor.clone(), LoneSurrogates::default());
        // The second half of a surrogate pair may still come, like the rest of any escape.
        let mut character = std::mem::take(&mut self.text.character);
        character.clear();
        let read = string::escape(&mut ahead, &mut character, &mut lone);
        let decided = match read {
            Err(error) if error.kind == ErrorKind::UnexpectedEnd => false,
            Err(error) => return Err(self.absolute(error)),
            Ok(()) => true,
        };
        if decided {
            self.text.append(&character, output);
            cursor.at = ahead.at;
        }
        self.text.character = character;
        self.refuse_surrogates(lone)?;
        self.text.lone += lone.number;
        Ok(decided)
    }

    /// Takes a character after an escape that was cut.
    pub(super) fn take_into_escape(&mut self, character: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let mut held = self.text.escape;
        let held_len = self.text.escape_len;
        held.iter_mut().skip(held_len).zip(character).for_each(|(to, from)| *to = *from);
        let len = held_len + character.len();
        self.text.escape_len = 0;
        self.base -= held_len;
        let text = held.get(..len).unwrap_or_default();
        self.string_goes_on(&mut Cursor::of(text), output)?;
        self.base += len;
        Ok(())
    }

    fn end_string(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        let (role, at, lone) = (self.text.role.take(), self.text.at, self.text.lone);
        self.repairs.lone_surrogates += lone;
        if self.text.long {
            if role == Some(Role::Key) && self.skipped.is_none() {
                Names::note_long(&mut self.innermost.names, at)?;
            }
            write_text(output, &self.text.content);
            output.push(BREAK);
        } else if role == Some(Role::Value) {
            write_text(output, &self.text.content);
        } else {
            let name = std::mem::take(&mut self.text.content);
            let written = self.key(&name, at, output);
            self.text.content = name;
            written?;
        }
        match role {
            Some(Role::Value) => self.complete(output),
            _ => {
                self.expect = Expect::Colon;
                Ok(())
            }
        }
    }

    /// Fails with the strict policy if there are any lone surrogates.
    fn refuse_surrogates(&self, lone: LoneSurrogates) -> Result<(), Error> {
        if lone.number > 0 && !self.lenient() {
            return Err(self.absolute(Error::new(ErrorKind::LoneSurrogate, lone.first)));
        }
        Ok(())
    }

    /// Reads a string after its opening quote, if it is completely there and fits one buffer.
    pub(super) fn whole_string<'j>(&mut self, cursor: &mut Cursor<'j>) -> Result<Whole<'j>, Error> {
        let start = cursor.at;
        match string::simple(cursor) {
            Ok(Some(text)) if text.len() <= MAX_TEXT => return Ok(Whole::Simple(text)),
            Ok(None) => return Ok(Whole::Escaped),
            Err(error) if error.kind != ErrorKind::UnexpectedEnd => return Err(self.absolute(error)),
            _ => cursor.at = start,
        }
        Ok(Whole::No)
    }

    /// Reads a string with escapes into `out`. Returns false, with both unchanged, if it is cut or too long.
    pub(super) fn unescape(&mut self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let (start, before) = (cursor.at, out.len());
        let mut lone = LoneSurrogates::default();
        let read = string::unescape(cursor, out, &mut lone);
        // A lone surrogate comes before whatever stopped the reading.
        self.refuse_surrogates(lone)?;
        match read {
            Ok(()) if out.len() - before <= MAX_TEXT => {
                self.repairs.lone_surrogates += lone.number;
                return Ok(true);
            }
            Err(error) if error.kind != ErrorKind::UnexpectedEnd => return Err(self.absolute(error)),
            _ => {}
        }
        cursor.at = start;
        out.truncate(before);
        Ok(false)
    }

    /// Returns the scratch buffer for keys, emptied.
    pub(super) fn take_name(&mut self) -> Vec<u8> {
        scratch::clear_bytes(&mut self.name);
        std::mem::take(&mut self.name)
    }
}

/// How much of a string is there.
pub(super) enum Whole<'j> {
    /// The complete string, without escapes.
    Simple(&'j [u8]),
    /// A string with escapes, whose end is not known.
    Escaped,
    /// A string that is cut or longer than [`MAX_TEXT`].
    No,
}

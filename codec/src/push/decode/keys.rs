//! The keys of maps (MSC3079): integers of the table, other integers, texts.

use super::PushDecoder;
use super::containers::Open;
use super::text::Role;
use crate::cbor::{Head, Reader, text as cbor_text};
use crate::decode::number;
use crate::keys::Key;
use crate::names::Ends;
use crate::plain::{self, STEP};
use crate::push::MAX_TEXT;
use crate::push::names::Forms;
use crate::{Error, ErrorKind};

impl PushDecoder<'_> {
    /// Reads a key. Returns true if its entry is dropped.
    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn integer_key(
        &mut self,
        integer: u64,
        at: usize,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        self.decoded.integer_keys = true;
        let Some(key) = self.options.keys.and_then(|table| table.by_integer(integer)) else {
            return self.unknown_integer_key(integer, at, output);
        };
        let Open { known_integers, known_texts, .. } = &mut self.innermost;
        let before = match known_integers.insert(key.bit) {
            Some(new) => Forms { text: known_texts.holds(key.bit), integer: !new },
            None => self.note(key.name.as_bytes(), Forms::INTEGER, at)?,
        };
        if before.integer {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        let dropped = before.text;
        if dropped {
            self.drop_entry(output);
        }
        key.write_json(output);
        Ok(dropped)
    }

    /// Reads a key that is a text. Returns false if only a part of it is there.
    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn text_key(
        &mut self,
        length: Option<u64>,
        at: usize,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        if let Some(len @ 0..=STEP) = length.and_then(|length| usize::try_from(length).ok())
            && let Some(step) = reader.ahead()
            && plain::first_unusual(step) >= len
        {
            let name = step.get(..len).unwrap_or_default();
            match self.options.keys.and_then(|table| table.by_ends(Ends::of_start(step, len), name)) {
                Some(key) => self.known_name(key, at, output)?,
                None => {
                    self.note_text(name, at)?;
                    output.push(b'"');
                    plain::append(output, step, len);
                    output.extend_from_slice(b"\":");
                }
            }
            reader.at += len;
            return Ok(true);
        }
        self.longer_key(length, at, reader, output)
    }

    fn longer_key(
        &mut self,
        length: Option<u64>,
        at: usize,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        // A key too long to be kept leaves as it comes.
        let whole = length.filter(|length| *length <= reader.rest().len().min(MAX_TEXT) as u64);
        let Some(length) = whole else {
            self.begin_text(Role::Key, length, at);
            return Ok(false);
        };
        let name = cbor_text::definite(reader, length)
            .map_err(|error| Error::new(error.kind, self.absolute(error.offset)))?;
        self.name(name.as_bytes(), at, output)?;
        Ok(true)
    }

    /// Takes a text key by its complete name.
    pub(super) fn name(&mut self, name: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(key) = self.options.keys.and_then(|table| table.by_name(name)) {
            return self.known_name(key, at, output);
        }
        self.note_text(name, at)?;
        output.push(b'"');
        self.write_escaped(name, at, output)?;
        output.extend_from_slice(b"\":");
        Ok(())
    }

    fn known_name(&mut self, key: &Key, at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        let open = &mut self.innermost;
        match open.known_texts.insert(key.bit) {
            Some(true) if !open.known_integers.holds(key.bit) => {}
            Some(_) => return Err(Error::new(ErrorKind::RepeatedKey, at)),
            None => self.note_text(key.name.as_bytes(), at)?,
        }
        key.write_json(output);
        Ok(())
    }

    /// Takes an integer key that the table does not have: its decimal text is the same key.
    fn unknown_integer_key(&mut self, integer: u64, at: usize, output: &mut Vec<u8>) -> Result<bool, Error> {
        if i64::try_from(integer).is_err() {
            return Err(Error::new(ErrorKind::KeyRange, at));
        }
        let mut name = std::mem::take(&mut self.text.name);
        name.clear();
        number::write_unsigned(&mut name, integer);
        let before = self.note(&name, Forms::INTEGER, at);
        if before.is_ok_and(|before| before.text) {
            self.drop_entry(output);
        }
        output.push(b'"');
        output.extend_from_slice(&name);
        output.extend_from_slice(b"\":");
        self.text.name = name;
        match before? {
            Forms { integer: true, .. } => Err(Error::new(ErrorKind::RepeatedKey, at)),
            Forms { text, .. } => Ok(text),
        }
    }

    /// Notes a text key that has no bit. Fails if the key has come before.
    fn note_text(&mut self, name: &[u8], at: usize) -> Result<(), Error> {
        match self.note(name, Forms::TEXT, at)? {
            Forms { text: false, integer: false } => Ok(()),
            _ => Err(Error::new(ErrorKind::RepeatedKey, at)),
        }
    }

    fn note(&mut self, name: &[u8], form: Forms, at: usize) -> Result<Forms, Error> {
        let room = (self.options.limits.max_keys, at);
        self.names.note(&mut self.innermost.names, name, form, room)
    }
}

#[cold]
pub(super) fn not_a_key(head: Head, at: usize) -> Error {
    let kind = match head {
        Head::Negative(_) => ErrorKind::KeyRange,
        Head::Break => ErrorKind::UnexpectedBreak,
        _ => ErrorKind::KeyType,
    };
    Error::new(kind, at)
}

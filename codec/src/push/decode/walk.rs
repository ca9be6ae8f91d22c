//! The items of CBOR, walked in pieces: after each it is known what may follow, and the walk can end.
//!
//! ```text
//! Start, Value -> scalar --------------------------> complete
//!              -> text -> Text, Chunk -------------> complete
//!              -> empty ---------------------------> complete
//!              -> array [FirstElement] -> Value ...
//!              -> map [FirstKey] -> Key -> Value ...
//! complete -> More -> Value or Key ...
//!                  -> close -----------------------> complete
//!                  -> Nothing                        the item is complete
//! ```

use super::PushDecoder;
use super::text::Role;
use crate::cbor::{BREAK, Head, Reader, SELF_DESCRIBED, text as cbor_text};
use crate::decode::{Kind, number};
use crate::{Error, ErrorKind};

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The item, or a self-described tag before it.
    Start,
    Value,
    /// An array of indefinite length has opened: an element or a break.
    FirstElement,
    /// A map of indefinite length has opened: a key or a break.
    FirstKey,
    Key,
    /// A value is complete: what follows depends on the innermost container.
    More,
    /// Inside a text or a chunk of one.
    Text,
    /// A chunk of an indefinite-length text or a break.
    Chunk,
    /// The item is complete.
    Nothing,
}

/// An open array or map.
#[derive(Debug)]
pub(super) struct Open {
    /// One bit for each of the table's first 128 keys that has occurred, as integer and as text.
    known_integers: u128,
    known_texts: u128,
    /// Elements or pairs that are not complete yet; `None` until a break.
    remaining: Option<u64>,
    kind: Kind,
    /// Something stands in the map already.
    comma: bool,
}

/// An entry that is walked over, but does not leave: its key has a text twin before it.
#[derive(Debug)]
pub(super) struct Dropped {
    /// Where the output ends that stays.
    from: usize,
    /// Open containers around it.
    depth: usize,
}

impl PushDecoder<'_> {
    /// Walks to the end of what is there.
    pub(super) fn walk(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        loop {
            let more = match self.expect {
                Expect::Start | Expect::Value => self.value(reader, output)?,
                Expect::FirstElement | Expect::FirstKey => self.first(reader, output),
                Expect::Key => self.key(reader, output)?,
                Expect::More => self.more(reader, output)?,
                Expect::Text => self.text_goes_on(reader, output)?,
                Expect::Chunk => self.chunk(reader, output)?,
                Expect::Nothing if reader.rest().is_empty() => false,
                Expect::Nothing => {
                    return Err(Error::new(ErrorKind::TrailingData, self.absolute(reader.at)));
                }
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// The next head; `None` if it is cut, and what is there of it is held back.
    pub(super) fn head(&mut self, reader: &mut Reader<'_>) -> Result<Option<Head>, Error> {
        let start = reader.clone();
        match reader.head() {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind == ErrorKind::UnexpectedEnd => {
                let cut = start.rest();
                self.head.iter_mut().zip(cut).for_each(|(to, from)| *to = *from);
                self.head_len = cut.len();
                reader.at = start.at + cut.len();
                Ok(None)
            }
            Err(error) => Err(Error::new(error.kind, self.absolute(error.offset))),
        }
    }

    /// False, here and below, if more input is needed.
    fn value(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        let at = self.absolute(reader.at);
        let Some(head) = self.head(reader)? else { return Ok(false) };
        match head {
            Head::Unsigned(n) => number::write_unsigned(output, n),
            Head::Negative(n) => number::write_negative(output, n),
            Head::Text(length) => match self.whole_text(reader, length)? {
                Some(text) => {
                    output.push(b'"');
                    self.write_escaped(text.as_bytes(), at, output)?;
                    output.push(b'"');
                }
                None => {
                    self.begin_text(Role::Value, length, at, output)?;
                    return Ok(true);
                }
            },
            Head::Map(length) => return self.enter(Kind::Map, length, at, output),
            Head::Array(length) => return self.enter(Kind::Array, length, at, output),
            Head::False => output.extend_from_slice(b"false"),
            Head::True => output.extend_from_slice(b"true"),
            Head::Null => output.extend_from_slice(b"null"),
            Head::Float(value) if value.is_finite() => number::write_float(output, value),
            Head::Tag(SELF_DESCRIBED) if self.expect == Expect::Start => {
                self.expect = Expect::Value;
                return Ok(true);
            }
            Head::Float(_) => return Err(Error::new(ErrorKind::NotFinite, at)),
            Head::Bytes(_) => return Err(Error::new(ErrorKind::ByteString, at)),
            Head::Tag(_) => return Err(Error::new(ErrorKind::Tag, at)),
            Head::Simple => return Err(Error::new(ErrorKind::SimpleValue, at)),
            Head::Break => return Err(Error::new(ErrorKind::UnexpectedBreak, at)),
        }
        self.complete(at, output)?;
        Ok(true)
    }

    /// The content of a text of definite length that is there as a whole.
    fn whole_text<'c>(&self, reader: &mut Reader<'c>, length: Option<u64>) -> Result<Option<&'c str>, Error> {
        match length {
            Some(length) if length <= reader.rest().len() as u64 => match cbor_text::definite(reader, length)
            {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(Error::new(error.kind, self.absolute(error.offset))),
            },
            _ => Ok(None),
        }
    }

    fn enter(
        &mut self,
        kind: Kind,
        length: Option<u64>,
        at: usize,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        if self.open.len() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        output.push(kind.opening());
        self.item_at = at;
        if length == Some(0) {
            output.push(kind.closing());
            self.complete(at, output)?;
            return Ok(true);
        }
        self.expect = match (kind, length) {
            (Kind::Array, None) => Expect::FirstElement,
            (Kind::Map, None) => Expect::FirstKey,
            (Kind::Array, Some(_)) => Expect::Value,
            (Kind::Map, Some(_)) => Expect::Key,
        };
        self.open.push(Open { known_integers: 0, known_texts: 0, remaining: length, kind, comma: false });
        Ok(true)
    }

    fn first(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> bool {
        match reader.rest().first() {
            None => return false,
            Some(&BREAK) => {
                reader.at += 1;
                self.close(output);
            }
            Some(_) if self.expect == Expect::FirstKey => self.expect = Expect::Key,
            Some(_) => self.expect = Expect::Value,
        }
        true
    }

    /// A scalar, a text or an empty container that began at this offset is complete.
    pub(super) fn complete(&mut self, at: usize, output: &[u8]) -> Result<(), Error> {
        self.item_at = at;
        self.expect = Expect::More;
        self.check_length(output)
    }

    fn check_length(&self, output: &[u8]) -> Result<(), Error> {
        if output.len() > self.max_len {
            return Err(Error::new(ErrorKind::OutputTooLarge, self.item_at));
        }
        Ok(())
    }

    fn more(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        let depth = self.open.len();
        if let Some(dropped) = self.dropped.take_if(|dropped| dropped.depth == depth) {
            output.truncate(dropped.from);
        }
        let Some(open) = self.open.last_mut() else {
            self.expect = Expect::Nothing;
            self.check_length(output)?;
            return Ok(true);
        };
        let end = match &mut open.remaining {
            Some(remaining) => {
                *remaining = remaining.saturating_sub(1);
                *remaining == 0
            }
            None => match reader.rest().first() {
                None => return Ok(false),
                Some(&BREAK) => {
                    reader.at += 1;
                    true
                }
                Some(_) => false,
            },
        };
        if end {
            self.close(output);
        } else if open.kind == Kind::Map {
            self.expect = Expect::Key;
        } else {
            output.push(b',');
            self.expect = Expect::Value;
        }
        Ok(true)
    }

    fn close(&mut self, output: &mut Vec<u8>) {
        if let Some(open) = self.open.pop() {
            output.push(open.kind.closing());
        }
        self.expect = Expect::More;
    }

    fn key(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        let at = self.absolute(reader.at);
        let Some(head) = self.head(reader)? else { return Ok(false) };
        match head {
            Head::Unsigned(n) if i64::try_from(n).is_ok() => self.integer_key(n, at, output)?,
            Head::Unsigned(_) | Head::Negative(_) => return Err(Error::new(ErrorKind::KeyRange, at)),
            Head::Text(length) => match self.whole_text(reader, length)? {
                Some(name) => self.text_key(name.as_bytes(), at, output)?,
                None => self.begin_text(Role::Key, length, at, output)?,
            },
            Head::Break => return Err(Error::new(ErrorKind::UnexpectedBreak, at)),
            _ => return Err(Error::new(ErrorKind::KeyType, at)),
        }
        Ok(true)
    }

    fn integer_key(&mut self, integer: u64, at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        self.decoded.integer_keys = true;
        self.expect = Expect::Value;
        let Some(key) = self.options.keys.and_then(|table| table.by_integer(integer)) else {
            self.comma(output);
            output.push(b'"');
            number::write_unsigned(output, integer);
            output.extend_from_slice(b"\":");
            return Ok(());
        };
        let depth = self.open.len();
        if let Some(open) = self.open.last_mut() {
            if open.known_integers & key.bit != 0 {
                return Err(Error::new(ErrorKind::RepeatedKey, at));
            }
            open.known_integers |= key.bit;
            if open.known_texts & key.bit != 0 && self.dropped.is_none() {
                self.dropped = Some(Dropped { from: output.len(), depth });
            }
        }
        self.comma(output);
        key.write_json(output);
        Ok(())
    }

    /// A key that was a text.
    pub(super) fn text_key(&mut self, name: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        self.expect = Expect::Value;
        let Some(key) = self.options.keys.and_then(|table| table.by_name(name)) else {
            self.comma(output);
            output.push(b'"');
            self.write_escaped(name, at, output)?;
            output.extend_from_slice(b"\":");
            return Ok(());
        };
        if let Some(open) = self.open.last_mut() {
            if (open.known_integers | open.known_texts) & key.bit != 0 {
                return Err(Error::new(ErrorKind::RepeatedKey, at));
            }
            open.known_texts |= key.bit;
        }
        self.comma(output);
        key.write_json(output);
        Ok(())
    }

    /// What stands before a key: nothing before the first one.
    pub(super) fn comma(&mut self, output: &mut Vec<u8>) {
        if let Some(open) = self.open.last_mut() {
            if open.comma {
                output.push(b',');
            }
            open.comma = true;
        }
    }

    /// What a call writes of a dropped entry does not leave with it.
    pub(super) fn pause_dropping(&mut self, output: &mut Vec<u8>) {
        if let Some(dropped) = &self.dropped {
            output.truncate(dropped.from);
        }
    }

    pub(super) fn go_on_dropping(&mut self, from: usize) {
        if let Some(dropped) = &mut self.dropped {
            dropped.from = from;
        }
    }
}

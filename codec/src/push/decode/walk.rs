//! The items of CBOR, walked in pieces: after each item it is known what may follow, and the walk can stop.
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
use super::expect::Expect;
use super::keys::not_a_key;
use super::text::Role;
use crate::cbor::{BREAK, Head, Reader, SELF_DESCRIBED, text as cbor_text};
use crate::decode::{Kind, number, refused};
use crate::plain::{self, STEP};
use crate::{Error, ErrorKind};

impl PushDecoder<'_> {
    /// Walks to the end of the available input.
    pub(super) fn walk(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        loop {
            let more = match self.expect {
                Expect::Start => self.start(reader)?,
                Expect::Value | Expect::Key => {
                    // The variant that drops also works without dropping: where size counts, one variant is
                    // enough.
                    if self.dropped.is_some() || cfg!(feature = "small") {
                        self.whole_items::<true>(reader, output)?
                    } else {
                        self.whole_items::<false>(reader, output)?
                    }
                }
                Expect::FirstElement | Expect::FirstKey => self.first(reader, output),
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

    /// Reads the next head. Returns `None` if it is cut; its first bytes are then held back.
    #[inline(always)]
    pub(super) fn head(&mut self, reader: &mut Reader<'_>) -> Result<Option<Head>, Error> {
        let start = reader.at;
        match reader.head() {
            Ok(head) => Ok(Some(head)),
            Err(error) => self.cut_head(start, error, reader),
        }
    }

    #[cold]
    fn cut_head(
        &mut self,
        start: usize,
        error: Error,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Head>, Error> {
        if error.kind != ErrorKind::UnexpectedEnd {
            return Err(Error::new(error.kind, self.absolute(error.offset)));
        }
        reader.at = start;
        let cut = reader.rest();
        self.head.iter_mut().zip(cut).for_each(|(to, from)| *to = *from);
        self.head_len = cut.len();
        reader.at += cut.len();
        Ok(None)
    }

    /// Skips a self-described tag at the start. Returns false if more input is needed, as the functions below
    /// do.
    fn start(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        let start = reader.at;
        let Some(head) = self.head(reader)? else { return Ok(false) };
        if head != Head::Tag(SELF_DESCRIBED) {
            reader.at = start;
        }
        self.expect = Expect::Value;
        Ok(true)
    }

    /// Walks from a value or a key on as long as items are complete: most of the time is spent here.
    fn whole_items<const DROPPING: bool>(
        &mut self,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let mut key_next = self.expect == Expect::Key;
        let mut comma = key_next && self.comma;
        if comma {
            output.push(b',');
        }
        loop {
            if key_next {
                let at = self.absolute(reader.at);
                let integer = match reader.small_unsigned() {
                    Some(n) => Some(n),
                    None => match self.head(reader)? {
                        Some(Head::Unsigned(n)) => Some(n),
                        Some(Head::Text(length)) => {
                            if !self.text_key(length, at, reader, output)? {
                                return Ok(true);
                            }
                            None
                        }
                        Some(head) => return Err(not_a_key(head, at)),
                        None => {
                            // The comma must not leave yet: an entry that is dropped takes it along.
                            output.truncate(output.len() - usize::from(comma));
                            self.expect = Expect::Key;
                            self.comma = comma;
                            return Ok(false);
                        }
                    },
                };
                if let Some(n) = integer {
                    let dropped = self.integer_key(n, at, output)?;
                    if dropped && !DROPPING {
                        self.expect = Expect::Value;
                        return Ok(true);
                    }
                }
            }
            let at = self.absolute(reader.at);
            let Some(head) = self.head(reader)? else {
                self.expect = Expect::Value;
                return Ok(false);
            };
            match head {
                Head::Unsigned(n) => number::write_unsigned(output, n),
                Head::Negative(n) => number::write_negative(output, n),
                Head::Text(length) => {
                    output.push(b'"');
                    if !self.whole_text(length, at, reader, output)? {
                        self.begin_text(Role::Value, length, at);
                        return Ok(true);
                    }
                    output.push(b'"');
                }
                Head::Map(length) => match self.enter(Kind::Map, length, at, reader, output)? {
                    Some(true) => {
                        (key_next, comma) = (true, false);
                        continue;
                    }
                    Some(false) => {}
                    None => return Ok(false),
                },
                Head::Array(length) => match self.enter(Kind::Array, length, at, reader, output)? {
                    Some(true) => {
                        key_next = false;
                        continue;
                    }
                    Some(false) => {}
                    None => return Ok(false),
                },
                Head::False => output.extend_from_slice(b"false"),
                Head::True => output.extend_from_slice(b"true"),
                Head::Null => output.extend_from_slice(b"null"),
                Head::Float(value) if value.is_finite() => number::write_float(output, value),
                other => return Err(refused(other, at)),
            }
            self.item_at = at;
            self.check_length(output)?;
            loop {
                if DROPPING {
                    self.stop_dropping(output);
                }
                let Some(kind) = self.innermost.kind else {
                    self.expect = Expect::More;
                    return Ok(true);
                };
                match self.another(reader) {
                    Some(true) => {
                        output.push(b',');
                        key_next = kind == Kind::Map;
                        comma = true;
                        break;
                    }
                    Some(false) => self.close(output),
                    None => {
                        self.expect = Expect::More;
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Reads after the head of a container of indefinite length: a break or something else.
    fn first(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> bool {
        match reader.rest().first() {
            None => return false,
            Some(&BREAK) => {
                reader.at += 1;
                self.close(output);
                self.expect = Expect::More;
            }
            Some(_) if self.expect == Expect::FirstKey => {
                self.expect = Expect::Key;
                self.comma = false;
            }
            Some(_) => self.expect = Expect::Value,
        }
        true
    }

    /// Notes that a scalar, a text or an empty container that began at this offset is complete.
    pub(super) fn complete(&mut self, at: usize, output: &[u8]) -> Result<(), Error> {
        self.item_at = at;
        self.expect = Expect::More;
        self.check_length(output)
    }

    /// Checks the length of the output. A dropped entry writes nothing and does not count.
    #[inline(always)]
    fn check_length(&self, output: &[u8]) -> Result<(), Error> {
        if output.len() > self.max_len && self.dropped.is_none() {
            return Err(Error::new(ErrorKind::OutputTooLarge, self.item_at));
        }
        Ok(())
    }

    /// Reads after a value when no further item is complete.
    fn more(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        self.stop_dropping(output);
        let Some(kind) = self.innermost.kind else {
            self.expect = Expect::Nothing;
            self.check_length(output)?;
            return Ok(true);
        };
        match self.another(reader) {
            Some(true) if kind == Kind::Map => {
                self.expect = Expect::Key;
                self.comma = true;
            }
            Some(true) => {
                self.expect = Expect::Value;
                output.push(b',');
            }
            Some(false) => self.close(output),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Appends the content of a definite-length text that is completely there. Returns false, with nothing
    /// done, for any other text.
    #[inline(always)]
    fn whole_text(
        &mut self,
        length: Option<u64>,
        at: usize,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Some(length) = length.filter(|length| *length <= reader.rest().len() as u64) else {
            return Ok(false);
        };
        let left = length - append_ascii(length, reader, output);
        if left > 0 {
            self.rest_of_text(left, at, reader, output)?;
        }
        Ok(true)
    }

    fn rest_of_text(
        &mut self,
        length: u64,
        at: usize,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let text = cbor_text::definite(reader, length)
            .map_err(|error| Error::new(error.kind, self.absolute(error.offset)))?;
        self.write_escaped(text.as_bytes(), at, output)
    }
}

/// Appends the plain ASCII at the start of a text, step by step as far as the input lasts. Returns its
/// length.
#[inline(always)]
fn append_ascii(length: u64, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> u64 {
    let mut left = length;
    while left > 0
        && let Some(step) = reader.ahead()
    {
        let len = plain::first_unusual(step).min(usize::try_from(left).unwrap_or(STEP));
        plain::append(output, step, len);
        reader.at += len;
        left -= len as u64;
        if len < STEP {
            break;
        }
    }
    length - left
}

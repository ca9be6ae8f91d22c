//! JSON text to CBOR.
//!
//! ```text
//! text -> UTF-8 checked -> walked once -> items in `cbor`, container heads one byte each -> long heads inserted
//!                                      -> a draft with its containers noted -> the draft put together (tape)
//! ```
//!
//! The second way is taken for a canonical order. It is also taken, from the start again, when a lenient
//! encoder meets a repeated key: only this way can move or omit what was written.

use crate::cbor::{IMMEDIATE, major, simple, write_head};
use crate::json::number::Number;
use crate::json::string::LoneSurrogates;
use crate::json::walk::{self, Kind, Walker, Word};
use crate::json::{Cursor, skip, string};
use crate::keys::by_name::Entry;
use crate::names::{Ends, Name};
use crate::plain::STEP;
use crate::utf8::{self, Fault};
use crate::{EncodeOptions, Error, ErrorKind, KeyTable, Order, Policy, Repairs, plain, scratch};
use containers::{Containers, long_head_adds};
use std::mem;
use tape::Tape;

mod containers;
mod items;
mod tape;

pub(crate) use items::{container_major, patch_text_head, write_number, write_short_text, write_text};

/// JSON text to CBOR. Keep one and call it often: its scratch space is reused.
#[derive(Debug)]
pub struct Encoder<'t> {
    options: EncodeOptions<'t>,
    containers: Containers,
    tape: Tape,
    draft: Vec<u8>,
    name: Vec<u8>,
}

impl<'t> Encoder<'t> {
    /// Makes an encoder with these options.
    pub fn new(options: EncodeOptions<'t>) -> Self {
        Encoder {
            options,
            containers: Containers::default(),
            tape: Tape::default(),
            draft: Vec::new(),
            name: Vec::new(),
        }
    }

    /// Appends the CBOR form of one JSON text to `cbor`; on an error `cbor` keeps its previous content.
    ///
    /// # Errors
    ///
    /// The text is not JSON (RFC 8259), exceeds a limit, or, by the strict policy, is not clean.
    pub fn encode(&mut self, json: &[u8], cbor: &mut Vec<u8>) -> Result<Repairs, Error> {
        if json.len() > self.options.limits.max_input {
            return Err(Error::new(ErrorKind::InputTooLarge, self.options.limits.max_input));
        }
        let before = cbor.len();
        let cursor = match Cursor::new(json, self.options.policy) {
            Ok(cursor) => cursor,
            Err(error) => {
                let error = self.first_error(json, error, cbor);
                cbor.truncate(before);
                return Err(error);
            }
        };
        let mut result = match self.options.order {
            Order::AsWritten => self.in_place(cursor.clone(), cbor),
            _ => Ok(None),
        };
        if let Ok(None) = result {
            cbor.truncate(before);
            result = self.by_tape(cursor.clone(), cbor).map(Some);
        }
        if let Err(error) = &mut result {
            cbor.truncate(before);
            if self.options.policy == Policy::Strict && self.options.order != Order::AsWritten {
                // The walk in place finds the earliest mistake.
                let walked = self.in_place(cursor, cbor);
                cbor.truncate(before);
                walked
                    .err()
                    .filter(|earlier| earlier.offset < error.offset)
                    .into_iter()
                    .for_each(|e| *error = e);
            }
        }
        result.map(Option::unwrap_or_default)
    }

    /// Finds the earliest error, as push mode does: the text before an invalid byte is checked as well.
    #[cold]
    fn first_error(&mut self, json: &[u8], error: Error, scratch: &mut Vec<u8>) -> Error {
        let Err(Fault::Invalid(valid) | Fault::Cut(valid)) = utf8::check(json) else { return error };
        let (valid, _) = json.split_at(valid);
        let cursor = match Cursor::new(valid, self.options.policy) {
            Ok(cursor) => cursor,
            Err(earlier) => return earlier,
        };
        let walked = match self.in_place(cursor.clone(), scratch) {
            Ok(None) => self.by_tape(cursor, scratch).map(Some),
            walked => walked,
        };
        match walked {
            Err(earlier) if earlier.kind != ErrorKind::UnexpectedEnd => earlier,
            _ => error,
        }
    }

    /// Encodes in one walk. Returns `None` if a key is repeated and the policy is to keep the last.
    fn in_place(&mut self, cursor: Cursor<'_>, cbor: &mut Vec<u8>) -> Result<Option<Repairs>, Error> {
        self.containers.clear();
        let start = cbor.len();
        let mut run = Run::new(self.options, &mut self.containers, cbor, None, &mut self.name);
        let walked = run.document(&cursor);
        let repairs = run.end(&mut self.containers, cbor);
        match walked {
            Err(error) if error.kind == ErrorKind::RepeatedKey && self.options.policy == Policy::Lenient => {
                Ok(None)
            }
            Err(error) if self.options.policy == Policy::Strict => {
                // Keys are compared when their object closes, and the failed walk may not have reached that
                // point.
                let repeated = self.containers.first_repeated(cbor).filter(|at| *at < error.offset);
                Err(repeated.map_or(error, |at| Error::new(ErrorKind::RepeatedKey, at)))
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.containers.insert_long_heads(start, cbor);
                Ok(Some(repairs))
            }
        }
    }

    fn by_tape(&mut self, cursor: Cursor<'_>, cbor: &mut Vec<u8>) -> Result<Repairs, Error> {
        self.containers.clear();
        self.tape.clear();
        scratch::clear_bytes(&mut self.draft);
        let tape = Some(&mut self.tape);
        let mut run = Run::new(self.options, &mut self.containers, &mut self.draft, tape, &mut self.name);
        let walked = run.document(&cursor);
        let mut repairs = run.end(&mut self.containers, &mut self.draft);
        walked?;
        repairs.repeated_keys = self.tape.left_out;
        self.tape.put_together(&self.draft, cbor);
        Ok(repairs)
    }
}

/// One walk over one text.
struct Run<'r, 't> {
    options: EncodeOptions<'t>,
    /// The table of keys. If none was agreed on, the built-in one serves to notice repeated keys.
    table: &'t KeyTable,
    /// The output. It and the containers are moved in from their owners and moved back at the end, so that
    /// the walk does not reach them through a pointer each time.
    out: Vec<u8>,
    containers: Containers,
    /// Length of `out` at which the run ends with an error: the limit, less what the long heads so far will
    /// add.
    max_len: usize,
    tape: Option<&'r mut Tape>,
    /// Scratch for keys with escapes.
    name: &'r mut Vec<u8>,
    repairs: Repairs,
}

impl<'r, 't> Run<'r, 't> {
    fn new(
        options: EncodeOptions<'t>,
        containers: &mut Containers,
        out: &mut Vec<u8>,
        tape: Option<&'r mut Tape>,
        name: &'r mut Vec<u8>,
    ) -> Self {
        let limits = options.limits;
        Run {
            options,
            table: options.keys.unwrap_or_else(|| KeyTable::v1()),
            max_len: out.len().saturating_add(limits.max_output),
            out: mem::take(out),
            containers: mem::take(containers),
            tape,
            name,
            repairs: Repairs::default(),
        }
    }

    fn end(self, containers: &mut Containers, out: &mut Vec<u8>) -> Repairs {
        *containers = self.containers;
        *out = self.out;
        self.repairs
    }

    fn document(&mut self, cursor: &Cursor<'_>) -> Result<(), Error> {
        let mut cursor = cursor.clone();
        walk::value(&mut cursor, self)?;
        cursor.aside(Cursor::skip_space);
        match cursor.peek() {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::TrailingData, cursor.at)),
        }
    }

    fn lenient(&self) -> bool {
        self.options.policy == Policy::Lenient
    }

    fn count_surrogates(&mut self, lone: LoneSurrogates) -> Result<(), Error> {
        if lone.number > 0 && !self.lenient() {
            return Err(Error::new(ErrorKind::LoneSurrogate, lone.first));
        }
        self.repairs.lone_surrogates += lone.number;
        Ok(())
    }

    /// Writes a key that began at this offset: as its integer if the table was agreed on and has it, else by
    /// `text`.
    #[inline(always)]
    fn write_key(
        &mut self,
        ends: Ends,
        name: &[u8],
        at: usize,
        text: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        let start = self.out.len();
        let Some(key) = self.table.entry(ends, name) else {
            text(&mut self.out);
            self.note_name(ends, start, at);
            return Ok(());
        };
        match self.options.keys {
            Some(_) => plain::append(&mut self.out, &key.cbor, key.cbor_len()),
            None => text(&mut self.out),
        }
        if self.tape.is_none() && self.containers.known_key(key.bit) {
            return Ok(());
        }
        self.other_known_key(key, ends, start, at)
    }

    /// Notes a key that was written and has no bit, has occurred before, or goes to the tape.
    #[cold]
    fn other_known_key(&mut self, key: &Entry, ends: Ends, start: usize, at: usize) -> Result<(), Error> {
        if self.tape.is_none() && !key.bit.is_none() {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        self.note_name(ends, start, at);
        Ok(())
    }

    /// Notes a key whose output began at `start`.
    #[inline(always)]
    fn note_name(&mut self, ends: Ends, start: usize, at: usize) {
        let written = start..self.out.len();
        match &mut self.tape {
            Some(tape) => tape.key(written.start, written.end, at),
            None => self.containers.key(Name::new(ends, written, at, false)),
        }
    }

    #[inline(never)]
    fn write_long_key(&mut self, name: &[u8], at: usize) -> Result<(), Error> {
        self.write_key(Ends::of(name), name, at, |out| write_text(out, name))
    }

    #[cold]
    fn key_with_escapes(&mut self, cursor: &mut Cursor<'_>, at: usize) -> Result<(), Error> {
        let mut name = mem::take(self.name);
        scratch::clear_bytes(&mut name);
        let mut lone = LoneSurrogates::default();
        let read = string::unescape(cursor, &mut name, &mut lone);
        let written = self.count_surrogates(lone).and(read).and_then(|()| self.write_long_key(&name, at));
        *self.name = name;
        written
    }

    fn string_with_escapes(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        // The length is known only at the end. Most texts need a head of one byte, so one byte is reserved.
        let head_at = self.out.len();
        self.out.push(0);
        let mut lone = LoneSurrogates::default();
        let read = string::unescape(cursor, &mut self.out, &mut lone);
        patch_text_head(&mut self.out, head_at);
        // A lone surrogate comes before whatever stopped the reading.
        self.count_surrogates(lone).and(read)
    }

    #[cold]
    fn close_on_tape(&mut self, count: u64) -> Result<(), Error> {
        match &mut self.tape {
            Some(tape) => tape.close(&self.out, count, self.options.order, self.options.policy),
            None => Ok(()),
        }
    }
}

impl Walker for Run<'_, '_> {
    #[inline(always)]
    fn short_string(&mut self, quoted: &[u8; 1 + STEP], len: usize) {
        write_short_text(&mut self.out, quoted, len);
    }

    #[inline(always)]
    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        if let Some((piece, len)) = string::medium(cursor) {
            write_head(&mut self.out, major::TEXT, len as u64);
            plain::append(&mut self.out, piece, len);
            return Ok(());
        }
        match cursor.aside(string::simple)? {
            Some(text) => write_text(&mut self.out, text),
            None => cursor.aside(|cursor| self.string_with_escapes(cursor))?,
        }
        Ok(())
    }

    #[inline(always)]
    fn short_key(&mut self, quoted: &[u8; 1 + STEP], len: usize, at: usize) -> Result<(), Error> {
        let [_, step @ ..] = quoted;
        let name = step.get(..len).unwrap_or_default();
        self.write_key(Ends::of_start(step, len), name, at, |out| write_short_text(out, quoted, len))
    }

    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let at = cursor.at - 1;
        match string::simple(cursor)? {
            Some(name) => self.write_long_key(name, at),
            None => self.key_with_escapes(cursor, at),
        }
    }

    #[inline(always)]
    fn number(&mut self, number: Number, at: usize) -> Result<(), Error> {
        write_number(&mut self.out, number, at, self.options.policy, &mut self.repairs)
    }

    fn word(&mut self, word: Word) -> Result<(), Error> {
        self.out.push(match word {
            Word::False => simple::FALSE,
            Word::True => simple::TRUE,
            Word::Null => simple::NULL,
        });
        Ok(())
    }

    #[inline(always)]
    fn too_deep(&self) -> bool {
        self.containers.depth() >= self.options.limits.max_depth
    }

    #[cold]
    fn pass_over(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        if !self.lenient() {
            return Err(Error::new(ErrorKind::TooDeep, cursor.at));
        }
        skip::container(cursor, self.name)?;
        self.repairs.too_deep += 1;
        self.out.push(simple::NULL);
        Ok(())
    }

    #[inline(always)]
    fn empty(&mut self, kind: Kind) -> Result<(), Error> {
        self.out.push(container_major(kind));
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, kind: Kind) {
        if let Some(tape) = &mut self.tape {
            tape.open(kind, self.out.len());
        }
        self.containers.open(kind, self.out.len());
        self.out.push(container_major(kind));
    }

    #[inline(always)]
    fn value_complete(&mut self, at: usize) -> Result<Option<Kind>, Error> {
        if self.out.len() > self.max_len {
            return Err(Error::new(ErrorKind::OutputTooLarge, at));
        }
        Ok(self.containers.count_value())
    }

    #[inline(always)]
    fn close(&mut self) -> Result<(), Error> {
        let count = self.containers.close(&mut self.out)?;
        if count >= IMMEDIATE {
            self.max_len = self.max_len.saturating_sub(long_head_adds(count));
        }
        if self.tape.is_some() { self.close_on_tape(count) } else { Ok(()) }
    }
}

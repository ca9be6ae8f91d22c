//! CBOR to JSON text.
//!
//! ```text
//! item -> walked once -> text in `json`
//!                     -> a map holds a key as integer and as text -> walked again, every key noted
//!                                                                 -> the integer's entry is cut out
//! ```
//!
//! No claimed length or count is trusted: a text's length is compared with the remaining input, a count is
//! only counted down.

use crate::cbor::{Head, Reader, text};
use crate::json::string;
use crate::names::{Ends, Name};
use crate::plain::{self, STEP};
use crate::{DecodeOptions, Error, ErrorKind, utf8};
use containers::{Containers, Twins};
use std::mem;

mod containers;
pub(crate) mod number;

/// What a decoded item was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// True if at least one map key was an integer: the sender knows a key table.
    pub integer_keys: bool,
}

/// CBOR to JSON text. Keep one and call it often: its scratch space is reused.
#[derive(Debug)]
pub struct Decoder<'t> {
    options: DecodeOptions<'t>,
    containers: Containers,
    text: String,
}

impl<'t> Decoder<'t> {
    /// Makes a decoder with these options.
    pub fn new(options: DecodeOptions<'t>) -> Self {
        Decoder { options, containers: Containers::default(), text: String::new() }
    }

    /// Appends the JSON form of one CBOR item to `json`; on an error `json` keeps its previous content.
    ///
    /// # Errors
    ///
    /// The item is not well-formed (RFC 8949), has no form in JSON, holds a key twice, or exceeds a limit.
    pub fn decode(&mut self, cbor: &[u8], json: &mut Vec<u8>) -> Result<Decoded, Error> {
        let max_input = self.options.limits.max_input;
        if cbor.len() > max_input {
            return Err(Error::new(ErrorKind::InputTooLarge, max_input));
        }
        let before = json.len();
        let mut result = self.walk(cbor, json, Twins::Detect, Utf8::Later);
        if result.is_err() || utf8::check(json.get(before..).unwrap_or_default()).is_err() {
            // Invalid UTF-8 may come before the error that stopped the first walk.
            json.truncate(before);
            result = self.walk(cbor, json, Twins::Detect, Utf8::AtOnce);
        }
        if result.is_ok() && self.containers.twins_found() {
            json.truncate(before);
            result = self.walk(cbor, json, Twins::Cut, Utf8::Later);
            self.containers.cut(json);
        }
        if result.is_err() {
            json.truncate(before);
        }
        result
    }

    fn walk(&mut self, cbor: &[u8], json: &mut Vec<u8>, twins: Twins, utf8: Utf8) -> Result<Decoded, Error> {
        self.containers.start(twins);
        let max_len = json.len().saturating_add(self.options.limits.max_output);
        let mut run = Run {
            options: self.options,
            reader: Reader::new(cbor),
            out: mem::take(json),
            max_len,
            utf8,
            separator: 0,
            containers: mem::take(&mut self.containers),
            text: &mut self.text,
            decoded: Decoded::default(),
        };
        let walked = run.document();
        *json = run.out;
        self.containers = run.containers;
        walked
    }
}

/// When texts of definite length are checked for UTF-8; each chunk of an indefinite-length text is checked by
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Utf8 {
    /// All texts together in the output, between their quotes: one check is cheaper than many.
    Later,
    /// Each text by itself, so that the first invalid one is the error.
    AtOnce,
}

/// One walk over one item.
struct Run<'r, 'c, 't> {
    options: DecodeOptions<'t>,
    reader: Reader<'c>,
    /// The output. It and the containers are moved in from their owners and moved back at the end, so that
    /// the walk does not reach them through a pointer each time.
    out: Vec<u8>,
    /// Length of `out` at which the run ends with an error.
    max_len: usize,
    utf8: Utf8,
    /// What is written before the next element or key: the opening bracket of a container or a comma.
    separator: u8,
    containers: Containers,
    /// Scratch for texts of indefinite length.
    text: &'r mut String,
    decoded: Decoded,
}

impl<'c> Run<'_, 'c, '_> {
    fn document(&mut self) -> Result<Decoded, Error> {
        self.value()?;
        match self.reader.rest() {
            [] => Ok(self.decoded),
            _ => Err(Error::new(ErrorKind::TrailingData, self.reader.at)),
        }
    }

    fn value(&mut self) -> Result<(), Error> {
        let mut inside = None;
        'value: loop {
            match inside {
                Some(Kind::Map) => self.key()?,
                Some(Kind::Array) => self.out.push(self.separator),
                None => {}
            }
            let at = self.reader.at;
            match self.reader.head()? {
                Head::Unsigned(n) => number::write_unsigned(&mut self.out, n),
                Head::Negative(n) => number::write_negative(&mut self.out, n),
                Head::Text(length) => self.text(length, at)?,
                Head::Map(length) => {
                    if self.enter(Kind::Map, length, at)? {
                        inside = Some(Kind::Map);
                        continue;
                    }
                }
                Head::Array(length) => {
                    if self.enter(Kind::Array, length, at)? {
                        inside = Some(Kind::Array);
                        continue;
                    }
                }
                Head::False => self.out.extend_from_slice(b"false"),
                Head::True => self.out.extend_from_slice(b"true"),
                Head::Null => self.out.extend_from_slice(b"null"),
                Head::Float(value) if value.is_finite() => number::write_float(&mut self.out, value),
                other => return Err(refused(other, at)),
            }
            self.check_length(at)?;
            loop {
                inside = self.containers.innermost();
                let Some(kind) = inside else { return self.check_length(at) };
                self.separator = b',';
                if self.containers.another(&mut self.reader)? {
                    continue 'value;
                }
                self.containers.close(&self.out)?;
                self.out.push(kind.closing());
            }
        }
    }

    #[inline(always)]
    fn check_length(&self, at: usize) -> Result<(), Error> {
        if self.out.len() > self.max_len { Err(Error::new(ErrorKind::OutputTooLarge, at)) } else { Ok(()) }
    }

    /// Returns true if a container was opened and a value or key must follow.
    #[inline(always)]
    fn enter(&mut self, kind: Kind, length: Option<u64>, at: usize) -> Result<bool, Error> {
        if self.containers.depth() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        let empty = match length {
            Some(count) => count == 0,
            None => self.reader.at_break()?,
        };
        if empty {
            self.out.extend_from_slice(&[kind.opening(), kind.closing()]);
        } else {
            self.separator = kind.opening();
            self.containers.open(kind, length);
        }
        Ok(!empty)
    }

    /// Writes a map's key with its separator and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<(), Error> {
        let at = self.reader.at;
        if let Some(n) = self.reader.small_unsigned() {
            return self.integer_key(n, at);
        }
        match self.reader.head()? {
            Head::Unsigned(n) => self.integer_key(n, at),
            Head::Text(length) => self.text_key(length, at),
            Head::Negative(_) => Err(Error::new(ErrorKind::KeyRange, at)),
            Head::Break => Err(Error::new(ErrorKind::UnexpectedBreak, at)),
            _ => Err(Error::new(ErrorKind::KeyType, at)),
        }
    }

    #[inline(always)]
    fn integer_key(&mut self, n: u64, at: usize) -> Result<(), Error> {
        self.decoded.integer_keys = true;
        let Some(key) = self.options.keys.and_then(|table| table.by_integer(n)) else {
            return self.unknown_integer_key(n, at);
        };
        let start = self.out.len() + 1;
        key.write_json_behind(self.separator, &mut self.out);
        self.containers.known_key(key, true, start..self.out.len(), at)
    }

    fn unknown_integer_key(&mut self, n: u64, at: usize) -> Result<(), Error> {
        if i64::try_from(n).is_err() {
            return Err(Error::new(ErrorKind::KeyRange, at));
        }
        self.out.push(self.separator);
        let start = self.out.len();
        self.out.push(b'"');
        number::write_unsigned(&mut self.out, n);
        let ends = Ends::of(self.out.get(start + 1..).unwrap_or_default());
        self.out.extend_from_slice(b"\":");
        self.containers.key(Name::new(ends, start..self.out.len(), at, true));
        Ok(())
    }

    #[inline(always)]
    fn text_key(&mut self, length: Option<u64>, at: usize) -> Result<(), Error> {
        if let Some((step, len)) = self.short_text(length) {
            let ends = Ends::of_start(step, len);
            let name = step.get(..len).unwrap_or_default();
            let key = self.options.keys.and_then(|table| table.by_ends(ends, name));
            if key.is_none() && self.out.len() + 2 + len <= self.max_len {
                let start = self.out.len() + 1;
                self.out.extend_from_slice(&[self.separator, b'"']);
                plain::append(&mut self.out, step, len);
                self.out.extend_from_slice(b"\":");
                self.containers.key(Name::new(ends, start..self.out.len(), at, false));
                self.reader.at += len;
                return Ok(());
            }
        }
        self.other_text_key(length, at)
    }

    fn other_text_key(&mut self, length: Option<u64>, at: usize) -> Result<(), Error> {
        let mut scratch = mem::take(self.text);
        let name = match length {
            Some(length) if self.utf8 == Utf8::Later => self.reader.take(length)?,
            _ => text::read(&mut self.reader, length, &mut scratch)?.as_bytes(),
        };
        let ends = Ends::of(name);
        let start = self.out.len() + 1;
        if let Some(key) = self.options.keys.and_then(|table| table.by_ends(ends, name)) {
            key.write_json_behind(self.separator, &mut self.out);
            self.containers.known_key(key, false, start..self.out.len(), at)?;
        } else {
            self.out.push(self.separator);
            self.write_string(name, at)?;
            self.out.push(b':');
            self.containers.key(Name::new(ends, start..self.out.len(), at, false));
        }
        *self.text = scratch;
        Ok(())
    }

    #[inline(always)]
    fn text(&mut self, length: Option<u64>, at: usize) -> Result<(), Error> {
        if let Some((step, len)) = self.short_text(length) {
            self.out.push(b'"');
            plain::append(&mut self.out, step, len);
            self.out.push(b'"');
            self.reader.at += len;
            return Ok(());
        }
        match length {
            Some(length) if self.utf8 == Utf8::Later => {
                let text = self.reader.take(length)?;
                self.write_string(text, at)
            }
            _ => self.other_text(length, at),
        }
    }

    /// Reads a text of up to 16 bytes, all of them plain, whose head the reader still stands before. Returns
    /// `None` for any other text, near the end of the input, and if each text must be checked for UTF-8.
    #[inline(always)]
    fn short_text(&self, length: Option<u64>) -> Option<(&'c [u8; STEP], usize)> {
        let len = length.filter(|len| *len <= STEP as u64)? as usize;
        let step = self.reader.ahead()?;
        (plain::first_special(step) >= len && self.utf8 == Utf8::Later).then_some((step, len))
    }

    fn other_text(&mut self, length: Option<u64>, at: usize) -> Result<(), Error> {
        let mut scratch = mem::take(self.text);
        let text = text::read(&mut self.reader, length, &mut scratch)?;
        let written = self.write_string(text.as_bytes(), at);
        *self.text = scratch;
        written
    }

    #[inline(always)]
    fn write_string(&mut self, text: &[u8], at: usize) -> Result<(), Error> {
        self.out.push(b'"');
        if plain::len(text) == text.len() && self.out.len() + text.len() <= self.max_len {
            self.out.extend_from_slice(text);
        } else if !string::write_escaped(text, &mut self.out, self.max_len) {
            return Err(Error::new(ErrorKind::OutputTooLarge, at));
        }
        self.out.push(b'"');
        Ok(())
    }
}

/// Returns the error for a head that does not begin a JSON value.
#[cold]
pub(crate) fn refused(head: Head, at: usize) -> Error {
    let kind = match head {
        Head::Float(_) => ErrorKind::NotFinite,
        Head::Bytes(_) => ErrorKind::ByteString,
        Head::Tag(_) => ErrorKind::Tag,
        Head::Break => ErrorKind::UnexpectedBreak,
        _ => ErrorKind::SimpleValue,
    };
    Error::new(kind, at)
}

/// The two containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Array,
    Map,
}

impl Kind {
    pub(crate) fn opening(self) -> u8 {
        match self {
            Kind::Array => b'[',
            Kind::Map => b'{',
        }
    }

    pub(crate) fn closing(self) -> u8 {
        match self {
            Kind::Array => b']',
            Kind::Map => b'}',
        }
    }
}

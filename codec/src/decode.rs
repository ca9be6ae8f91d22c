//! CBOR to JSON text.
//!
//! ```text
//! item -> walked once -> text in `json`
//!                     -> a map holds a key as integer and as text -> walked again, every key noted
//!                                                                 -> the integer's entry is cut out
//! ```
//!
//! Nothing here trusts a claimed length or count: a text is compared with what is there, a count is only counted down.

use crate::cbor::{Head, Reader, text};
use crate::json::string;
use crate::{DecodeOptions, Error, ErrorKind};
use containers::{Containers, Twins};

mod containers;
pub(crate) mod number;

/// What a decoded item was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// At least one map key was an integer: the sender knows a key table.
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
    /// A decoder with these options.
    pub fn new(options: DecodeOptions<'t>) -> Self {
        Decoder { options, containers: Containers::default(), text: String::new() }
    }

    /// Appends the JSON form of one CBOR item to `json`; on an error `json` is as it was before.
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
        let mut result = self.walk(cbor, json, Twins::Detect);
        if result.is_ok() && self.containers.twins_found() {
            json.truncate(before);
            result = self.walk(cbor, json, Twins::Cut);
            self.containers.cut(json);
        }
        if result.is_err() {
            json.truncate(before);
        }
        result
    }

    fn walk(&mut self, cbor: &[u8], json: &mut Vec<u8>, twins: Twins) -> Result<Decoded, Error> {
        self.containers.start(twins);
        let max_len = json.len().saturating_add(self.options.limits.max_output);
        Run {
            options: self.options,
            reader: Reader::new(cbor),
            out: json,
            max_len,
            containers: &mut self.containers,
            text: &mut self.text,
            decoded: Decoded::default(),
        }
        .document()
    }
}

/// One walk over one item.
struct Run<'r, 'c, 't> {
    options: DecodeOptions<'t>,
    reader: Reader<'c>,
    out: &'r mut Vec<u8>,
    /// Length of `out` that ends the run.
    max_len: usize,
    containers: &'r mut Containers,
    /// Scratch for texts of indefinite length.
    text: &'r mut String,
    decoded: Decoded,
}

impl Run<'_, '_, '_> {
    fn document(mut self) -> Result<Decoded, Error> {
        self.value()?;
        match self.reader.rest() {
            [] => Ok(self.decoded),
            _ => Err(Error::new(ErrorKind::TrailingData, self.reader.at)),
        }
    }

    fn value(&mut self) -> Result<(), Error> {
        'value: loop {
            let at = self.reader.at;
            match self.reader.head()? {
                Head::Unsigned(n) => number::write_unsigned(self.out, n),
                Head::Negative(n) => number::write_negative(self.out, n),
                Head::Text(length) => self.text(length, at)?,
                Head::Map(length) => {
                    if self.enter(Kind::Map, length, at)? {
                        self.key()?;
                        continue;
                    }
                }
                Head::Array(length) => {
                    if self.enter(Kind::Array, length, at)? {
                        continue;
                    }
                }
                Head::False => self.out.extend_from_slice(b"false"),
                Head::True => self.out.extend_from_slice(b"true"),
                Head::Null => self.out.extend_from_slice(b"null"),
                Head::Float(value) if value.is_finite() => number::write_float(self.out, value),
                Head::Float(_) => return Err(Error::new(ErrorKind::NotFinite, at)),
                Head::Bytes(_) => return Err(Error::new(ErrorKind::ByteString, at)),
                Head::Tag(_) => return Err(Error::new(ErrorKind::Tag, at)),
                Head::Simple => return Err(Error::new(ErrorKind::SimpleValue, at)),
                Head::Break => return Err(Error::new(ErrorKind::UnexpectedBreak, at)),
            }
            self.check_length(at)?;
            while let Some(kind) = self.containers.innermost() {
                if self.containers.another(&mut self.reader)? {
                    self.out.push(b',');
                    if kind == Kind::Map {
                        self.key()?;
                    }
                    continue 'value;
                }
                self.containers.close(self.out)?;
                self.out.push(kind.closing());
            }
            return self.check_length(at);
        }
    }

    fn check_length(&self, at: usize) -> Result<(), Error> {
        if self.out.len() > self.max_len { Err(Error::new(ErrorKind::OutputTooLarge, at)) } else { Ok(()) }
    }

    /// True if a container is open now and a value or key must follow.
    fn enter(&mut self, kind: Kind, length: Option<u64>, at: usize) -> Result<bool, Error> {
        if self.containers.depth() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        self.out.push(kind.opening());
        let empty = match length {
            Some(count) => count == 0,
            None => self.reader.at_break()?,
        };
        if empty {
            self.out.push(kind.closing());
        } else {
            self.containers.open(kind, length);
        }
        Ok(!empty)
    }

    /// A map's key and its colon.
    fn key(&mut self) -> Result<(), Error> {
        let at = self.reader.at;
        let start = self.out.len();
        let (known, integer) = match self.reader.head()? {
            Head::Unsigned(n) if i64::try_from(n).is_ok() => {
                self.decoded.integer_keys = true;
                let known = self.options.keys.and_then(|table| table.by_integer(n));
                if known.is_none() {
                    self.out.push(b'"');
                    number::write_unsigned(self.out, n);
                    self.out.extend_from_slice(b"\":");
                }
                (known, true)
            }
            Head::Unsigned(_) | Head::Negative(_) => return Err(Error::new(ErrorKind::KeyRange, at)),
            Head::Text(length) => {
                let mut scratch = std::mem::take(self.text);
                let name = text::read(&mut self.reader, length, &mut scratch)?;
                let known = self.options.keys.and_then(|table| table.by_name(name.as_bytes()));
                if known.is_none() {
                    self.write_string(name, at)?;
                    self.out.push(b':');
                }
                *self.text = scratch;
                (known, false)
            }
            Head::Break => return Err(Error::new(ErrorKind::UnexpectedBreak, at)),
            _ => return Err(Error::new(ErrorKind::KeyType, at)),
        };
        if let Some(key) = known {
            self.out.extend_from_slice(&key.json);
        }
        self.containers.key(known.map_or(0, |key| key.bit), integer, self.out, start, at)
    }

    fn text(&mut self, length: Option<u64>, at: usize) -> Result<(), Error> {
        let mut scratch = std::mem::take(self.text);
        let text = text::read(&mut self.reader, length, &mut scratch)?;
        let written = self.write_string(text, at);
        *self.text = scratch;
        written
    }

    fn write_string(&mut self, text: &str, at: usize) -> Result<(), Error> {
        self.out.push(b'"');
        if !string::write_escaped(text.as_bytes(), self.out, self.max_len) {
            return Err(Error::new(ErrorKind::OutputTooLarge, at));
        }
        self.out.push(b'"');
        Ok(())
    }
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

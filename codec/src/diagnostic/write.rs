//! CBOR -> text: heads one after the other, and what is open.

use super::Options;
use crate::annotate::Kind;
use crate::annotate::read::{Head, float, head};
use crate::cbor::BREAK;
use crate::decode::number;
use crate::json::string;
use crate::{Error, ErrorKind, utf8};

/// Writes CBOR in diagnostic notation, appended to `out`, in UTF-8. Everything well-formed can be written
/// (RFC 8949 section 3). The options say whether it is one item or a sequence.
///
/// # Errors
///
/// CBOR that is not well-formed, or a limit, with the offset in it. `out` then holds what came before.
pub fn from_cbor(cbor: &[u8], options: Options<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    if cbor.len() > options.limits.max_input {
        return Err(Error::new(ErrorKind::InputTooLarge, options.limits.max_input));
    }
    let max_len = out.len().saturating_add(options.limits.max_output);
    let mut writer = Writer { cbor, options, max_len, at: 0, out, open: Vec::new(), indent: 0 };
    let mut first = true;
    while !options.sequence || writer.at < cbor.len() {
        if !first {
            writer.out.extend_from_slice(if options.pretty { b",\n" } else { b", " });
        }
        first = false;
        writer.whole_item()?;
        if !options.sequence {
            let more = writer.at < cbor.len();
            return if more { Err(Error::new(ErrorKind::TrailingData, writer.at)) } else { Ok(()) };
        }
    }
    Ok(())
}

/// What is written and not closed yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    /// Elements, pairs or contents still to come; `None` for an indefinite length.
    remaining: Option<u64>,
    /// True if something stands in it.
    filled: bool,
    /// True between a key and its value.
    value_next: bool,
}

struct Writer<'c, 'o> {
    cbor: &'c [u8],
    options: Options<'c>,
    max_len: usize,
    at: usize,
    out: &'o mut Vec<u8>,
    open: Vec<Open>,
    /// Arrays and maps among `open`.
    indent: usize,
}

impl Writer<'_, '_> {
    fn whole_item(&mut self) -> Result<(), Error> {
        loop {
            self.item()?;
            while let Some(around) = self.open.last().copied() {
                let at_break = !around.value_next && self.cbor.get(self.at) == Some(&BREAK);
                match around.remaining {
                    Some(0) => {}
                    None if at_break => self.at += 1,
                    _ => break,
                }
                self.close(around);
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes an item, or the opening of one in which others stand.
    fn item(&mut self) -> Result<(), Error> {
        let at = self.at;
        let head = head(self.cbor, at)?;
        let around = self.open.last().copied();
        if let Some(Open { kind: kind @ (Kind::Bytes | Kind::Text), .. }) = around
            && (head.kind != kind || head.argument.is_none())
        {
            return Err(Error::new(ErrorKind::InvalidChunk, at));
        }
        if head.kind == Kind::Break {
            return Err(Error::new(ErrorKind::UnexpectedBreak, at));
        }
        // The longest that is written without looking at the limit: a name, its head, the indent.
        if self.out.len().saturating_add(2 * self.indent + 64) > self.max_len {
            return Err(self.too_large(at));
        }
        let is_key = self.begin(around);
        self.at += usize::from(head.len);
        let argument = head.argument.unwrap_or_default();
        match (head.kind, head.argument) {
            (Kind::Unsigned, _) => {
                if is_key {
                    self.name(argument, at)?;
                }
                number::write_unsigned(self.out, argument);
                self.indicator(head);
            }
            (Kind::Negative, _) => {
                number::write_negative(self.out, argument);
                self.indicator(head);
            }
            (Kind::Simple, _) => self.simple(argument),
            (Kind::Float16 | Kind::Float32 | Kind::Float64, _) => self.float(head, argument),
            (Kind::Bytes | Kind::Text, Some(len)) => self.string(head, len, at)?,
            (Kind::Bytes | Kind::Text, None) if self.cbor.get(self.at) == Some(&BREAK) => {
                self.at += 1;
                self.out.extend_from_slice(if head.kind == Kind::Bytes { b"''_" } else { b"\"\"_" });
            }
            _ => return self.open(head, at),
        }
        self.complete();
        Ok(())
    }

    /// Writes what stands before an item. Returns true for a key.
    fn begin(&mut self, around: Option<Open>) -> bool {
        let Some(around) = around.filter(|around| around.kind != Kind::Tag && !around.value_next) else {
            return false;
        };
        let spread = self.options.pretty && matches!(around.kind, Kind::Array | Kind::Map);
        match (around.filled, spread) {
            (true, false) => self.out.extend_from_slice(b", "),
            (true, true) => self.out.push(b','),
            _ => {}
        }
        if spread {
            self.new_line(self.indent);
        }
        around.kind == Kind::Map
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + 2 * indent, b' ');
    }

    /// Writes the name of an integer key as a comment, if it has one that can stand in a comment.
    fn name(&mut self, key: u64, at: usize) -> Result<(), Error> {
        let name = self.options.keys.and_then(|keys| keys.name(key));
        if let Some(name) =
            name.filter(|name| !name.bytes().any(|byte| byte == b'/' || byte.is_ascii_control()))
        {
            if self.out.len().saturating_add(name.len() + 64) > self.max_len {
                return Err(self.too_large(at));
            }
            self.comment(name.as_bytes());
            self.out.push(b' ');
        }
        Ok(())
    }

    fn comment(&mut self, text: &[u8]) {
        self.out.extend_from_slice(b"/ ");
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b" /");
    }

    /// Writes the encoding indicator of a head that is longer than necessary (RFC 8949 section 8.1).
    fn indicator(&mut self, head: Head) {
        if head.is_long() {
            self.width(head);
        }
    }

    fn width(&mut self, head: Head) {
        let width = head.len.saturating_sub(1).trailing_zeros() as u8;
        self.out.extend_from_slice(&[b'_', b'0'.saturating_add(width)]);
    }

    fn simple(&mut self, value: u64) {
        let word: &[u8] = match value {
            20 => b"false",
            21 => b"true",
            22 => b"null",
            23 => b"undefined",
            _ => b"simple(",
        };
        self.out.extend_from_slice(word);
        if !(20..24).contains(&value) {
            number::write_unsigned(self.out, value);
            self.out.push(b')');
        }
    }

    fn float(&mut self, head: Head, bits: u64) {
        let value = float(head.kind, bits);
        if value.is_finite() {
            // With a point or an exponent, so that it is not an integer.
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            return self.indicator(head);
        }
        self.out.extend_from_slice(match (value.is_nan(), value < 0.0) {
            (true, _) => b"NaN",
            (_, true) => b"-Infinity",
            _ => b"Infinity",
        });
        let payload = value.is_nan() && Some(bits) != quiet_nan(head.kind);
        if head.kind != Kind::Float16 || payload {
            self.width(head);
        }
        if payload {
            let bytes = bits.to_be_bytes();
            let len = usize::from(head.len.saturating_sub(1));
            self.out.extend_from_slice(b" / 0x");
            self.hex(bytes.get(bytes.len().saturating_sub(len)..).unwrap_or_default());
            self.out.extend_from_slice(b" /");
        }
    }

    fn hex(&mut self, bytes: &[u8]) {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        self.out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    }

    /// Writes a string of definite length, whose content begins here.
    fn string(&mut self, head: Head, len: u64, at: usize) -> Result<(), Error> {
        let rest = self.cbor.get(self.at..).unwrap_or_default();
        let content = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let content = content.ok_or(Error::new(ErrorKind::UnexpectedEnd, self.cbor.len()))?;
        self.at += content.len();
        // Behind the content stand a quote, an indicator and a comment.
        let max_len = self.max_len.saturating_sub(64);
        let is_text = head.kind == Kind::Text && utf8::check(content).is_ok();
        if is_text {
            self.out.push(b'"');
            if !string::write_escaped(content, self.out, max_len) {
                return Err(self.too_large(at));
            }
            self.out.push(b'"');
        } else {
            if self.out.len().saturating_add(content.len().saturating_mul(2)) > max_len {
                return Err(self.too_large(at));
            }
            self.out.extend_from_slice(b"h'");
            self.hex(content);
            self.out.push(b'\'');
        }
        self.indicator(head);
        if head.kind == Kind::Text && !is_text {
            self.out.push(b' ');
            self.comment(b"a text, not UTF-8");
        }
        Ok(())
    }

    /// Writes the opening of an item in which others stand.
    fn open(&mut self, head: Head, at: usize) -> Result<(), Error> {
        if self.open.len() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        let is_container = matches!(head.kind, Kind::Array | Kind::Map);
        if head.kind == Kind::Tag {
            number::write_unsigned(self.out, head.argument.unwrap_or_default());
            self.indicator(head);
        }
        self.out.push(match head.kind {
            Kind::Array => b'[',
            Kind::Map => b'{',
            _ => b'(',
        });
        let marked = head.kind != Kind::Tag && (head.argument.is_none() || head.is_long());
        if head.argument.is_none() {
            self.out.push(b'_');
        } else if marked {
            self.width(head);
        }
        let empty = match head.argument {
            Some(entries) => entries == 0,
            None => self.cbor.get(self.at) == Some(&BREAK),
        };
        if marked && (empty || !is_container || !self.options.pretty) {
            self.out.push(b' ');
        }
        self.indent += usize::from(is_container);
        let remaining = if head.kind == Kind::Tag { Some(1) } else { head.argument };
        self.open.push(Open { kind: head.kind, remaining, filled: false, value_next: false });
        Ok(())
    }

    fn close(&mut self, open: Open) {
        self.open.pop();
        if matches!(open.kind, Kind::Array | Kind::Map) {
            self.indent = self.indent.saturating_sub(1);
            if self.options.pretty && open.filled {
                self.new_line(self.indent);
            }
        }
        self.out.push(match open.kind {
            Kind::Array => b']',
            Kind::Map => b'}',
            _ => b')',
        });
        self.complete();
    }

    /// Counts a complete item into the one around it, and writes the colon behind a key.
    fn complete(&mut self) {
        let Some(around) = self.open.last_mut() else { return };
        around.filled = true;
        around.value_next = around.kind == Kind::Map && !around.value_next;
        if around.value_next {
            self.out.extend_from_slice(b": ");
        } else {
            around.remaining = around.remaining.map(|remaining| remaining.saturating_sub(1));
        }
    }

    #[cold]
    fn too_large(&self, at: usize) -> Error {
        Error::new(ErrorKind::OutputTooLarge, at)
    }
}

/// Returns the bits of the NaN that the notation means (RFC 8949 section 4.2.2): quiet, no sign, no payload.
fn quiet_nan(kind: Kind) -> Option<u64> {
    match kind {
        Kind::Float16 => Some(0x7e00),
        Kind::Float32 => Some(0x7fc0_0000),
        Kind::Float64 => Some(0x7ff8_0000_0000_0000),
        _ => None,
    }
}

//! Integers, simple values, floats and strings, as JSON or in diagnostic notation.

use super::super::read::{float, is_long};
use super::super::{Item, Kind, Role};
use super::{Style, Writer};
use crate::decode::number;
use crate::json::string;

/// The half that stands for all NaNs (RFC 8949 section 4.2.2).
const QUIET_NAN: u64 = 0x7e00;

impl Writer<'_> {
    /// Writes the encoding indicator of a head that is longer than necessary (RFC 8949 section 8.1).
    pub(super) fn indicator(&mut self, item: &Item) {
        if self.style == Style::Diagnostic && is_long(item) {
            self.width(item);
        }
    }

    fn width(&mut self, item: &Item) {
        let width = (item.head - 1).trailing_zeros() as u8;
        self.out.extend_from_slice(&[b'_', b'0' + width]);
    }

    pub(super) fn unsigned(&mut self, index: usize, item: &Item, inline: bool) {
        let value = item.argument.unwrap_or_default();
        if item.role != Role::Key || inline {
            number::write_unsigned(&mut self.out, value);
            self.mark_if(inline, index);
            self.indicator(item);
            return;
        }
        self.out.push(b'"');
        match self.source.keys.and_then(|table| table.name(value)) {
            Some(name) => {
                string::write_escaped(name.as_bytes(), &mut self.out, usize::MAX);
            }
            None => number::write_unsigned(&mut self.out, value),
        }
        self.out.push(b'"');
    }

    pub(super) fn simple(&mut self, index: usize, item: &Item, inline: bool) {
        let value = item.argument.unwrap_or_default();
        let word: &[u8] = match value {
            20 => b"false",
            21 => b"true",
            22 => b"null",
            23 => b"undefined",
            _ => b"simple(",
        };
        self.out.extend_from_slice(word);
        if !(20..24).contains(&value) {
            number::write_unsigned(&mut self.out, value);
            self.out.push(b')');
        }
        self.mark_if(inline || !(20..23).contains(&value), index);
    }

    pub(super) fn float(&mut self, index: usize, item: &Item, inline: bool) {
        let value = float(item.kind, item.argument.unwrap_or_default());
        if !value.is_finite() {
            let sign: &[u8] = if value < 0.0 { b"-" } else { b"" };
            self.out.extend_from_slice(sign);
            self.out.extend_from_slice(if value.is_nan() { b"NaN" } else { b"Infinity" });
        } else if !inline {
            number::write_float(&mut self.out, value);
        } else {
            // Without a point or an exponent it would be an integer.
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        }
        self.mark_if(inline || !value.is_finite(), index);
        let half = item.kind == Kind::Float16 && (!value.is_nan() || item.argument == Some(QUIET_NAN));
        if self.style == Style::Diagnostic && !value.is_finite() && !half {
            self.width(item);
        }
        self.indicator(item);
    }

    pub(super) fn string(&mut self, index: usize, item: &Item, content: &[u8], inline: bool) {
        if item.kind == Kind::Text && !item.not_utf8 {
            // A chunk is a part of the text around it, whose quotes are there.
            let quote: &[u8] = if item.role == Role::Chunk && !inline { b"" } else { b"\"" };
            self.out.extend_from_slice(quote);
            string::write_escaped(content, &mut self.out, usize::MAX);
            self.out.extend_from_slice(quote);
            self.mark_if(inline, index);
        } else {
            self.out.extend_from_slice(b"h'");
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            self.out.extend(content.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            self.out.push(b'\'');
            self.mark(index);
        }
        self.indicator(item);
    }
}

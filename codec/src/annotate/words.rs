//! What an item means, in words.

use super::read::{content, float};
use super::{Annotated, Item, Kind, Role};
use crate::decode::number;
use crate::json::string::quote;

/// Characters of a text, or bytes of a byte string, that a preview shows at most.
pub const MAX_PREVIEW: usize = 60;

/// What is known of tags (RFC 8949 section 3.4 and the registry of tags that it begins).
const TAGS: [(u64, &str); 16] = [
    (0, "date and time as text"),
    (1, "seconds since 1970"),
    (2, "unsigned bignum"),
    (3, "negative bignum"),
    (4, "decimal fraction"),
    (5, "bigfloat"),
    (21, "to be written as base64url"),
    (22, "to be written as base64"),
    (23, "to be written as base16"),
    (24, "CBOR inside of bytes"),
    (32, "URI"),
    (33, "base64url"),
    (34, "base64"),
    (36, "MIME message"),
    (37, "UUID"),
    (55799, "self-described CBOR"),
];

impl Annotated<'_> {
    /// Returns what an item means, for people: `map of 3 pairs`, `key 2: type`, `text of 6 bytes`. Empty for
    /// an item that does not exist.
    pub fn words(&self, item: usize) -> String {
        let Some(item) = self.items().get(item) else { return String::new() };
        let mut words = match item.role {
            Role::Key => self.key_words(item),
            Role::Chunk => format!("chunk: {}", value_words(item)),
            _ => value_words(item),
        };
        if item.kind == Kind::Break
            && let Some(around) = item.parent.and_then(|parent| self.items().get(parent))
        {
            words = format!("break: end of the {}", noun(around.kind));
        }
        if item.cut {
            words.push_str(", cut");
        }
        words
    }

    fn key_words(&self, item: &Item) -> String {
        match (item.kind, item.argument) {
            (Kind::Unsigned, Some(n)) => match self.keys {
                None => format!("key {n}"),
                Some(table) => match table.name(n) {
                    Some(name) => format!("key {n}: {name}"),
                    None => format!("key {n}, not in table {}", table.title()),
                },
            },
            (Kind::Text, Some(_)) => {
                let name = str::from_utf8(content(self.cbor(), item)).ok();
                let known = name.and_then(|name| self.keys?.integer(name).map(|n| (n, self.keys)));
                match known {
                    Some((n, Some(table))) => {
                        format!("key: {}; {n} in table {}", value_words(item), table.title())
                    }
                    _ => format!("key: {}", value_words(item)),
                }
            }
            _ => format!("key: {}", value_words(item)),
        }
    }

    /// Returns the beginning of a string, on one line: a text in quotes with JSON's escapes, bytes as
    /// `h'...'`; up to [`MAX_PREVIEW`] characters or bytes, then `...`. `None` for other items and for
    /// strings of indefinite length, whose chunks have their own.
    pub fn preview(&self, item: usize) -> Option<String> {
        let item = self.items().get(item)?;
        if !matches!(item.kind, Kind::Text | Kind::Bytes) || item.argument.is_none() {
            return None;
        }
        let content = content(self.cbor(), item);
        if item.kind == Kind::Text {
            // Of a text that ends in the middle of a character, all before it.
            let text = str::from_utf8(content).or_else(|error| match error.error_len() {
                None => str::from_utf8(content.get(..error.valid_up_to()).unwrap_or_default()),
                Some(_) => Err(error),
            });
            if let Ok(text) = text {
                let end = text.char_indices().nth(MAX_PREVIEW).map(|(end, _)| end);
                let shown = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
                let mut preview = String::from_utf8(quote(shown)).unwrap_or_default();
                preview.push_str(if end.is_some() || item.cut { "..." } else { "" });
                return Some(preview);
            }
        }
        let shown = content.get(..MAX_PREVIEW).unwrap_or(content);
        let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = shown.len() < content.len() || item.cut;
        Some(format!("h'{hex}{}", if more { "..." } else { "'" }))
    }
}

fn value_words(item: &Item) -> String {
    let argument = item.argument.unwrap_or_default();
    match item.kind {
        Kind::Unsigned | Kind::Negative => {
            let mut digits = Vec::new();
            match item.kind {
                Kind::Unsigned => number::write_unsigned(&mut digits, argument),
                _ => number::write_negative(&mut digits, argument),
            }
            format!("integer {}", String::from_utf8_lossy(&digits))
        }
        Kind::Bytes | Kind::Text => match item.argument {
            Some(bytes) => format!("{} of {}", noun(item.kind), count(bytes, "byte")),
            None => {
                let chunks = count(item.children as u64, "chunk");
                format!("{} of indefinite length in {chunks}", noun(item.kind))
            }
        },
        Kind::Array | Kind::Map => {
            let (inside, what) = match item.kind {
                Kind::Array => (item.children, "element"),
                _ => (item.children / 2, "pair"),
            };
            match item.argument {
                Some(expected) => format!("{} of {}", noun(item.kind), count(expected, what)),
                None => {
                    let inside = count(inside as u64, what);
                    format!("{} of indefinite length, {inside}", noun(item.kind))
                }
            }
        }
        Kind::Tag => match TAGS.iter().find(|(tag, _)| *tag == argument) {
            Some((tag, meaning)) => format!("tag {tag}: {meaning}"),
            None => format!("tag {argument}"),
        },
        Kind::Simple => match argument {
            20 => "false".to_owned(),
            21 => "true".to_owned(),
            22 => "null".to_owned(),
            23 => "undefined".to_owned(),
            _ => format!("simple value {argument}"),
        },
        Kind::Float16 | Kind::Float32 | Kind::Float64 => {
            let value = float(item.kind, argument);
            let mut digits = Vec::new();
            if value.is_finite() {
                number::write_float(&mut digits, value);
            } else {
                digits.extend_from_slice(match (value.is_nan(), value < 0.0) {
                    (true, _) => b"not a number",
                    (_, true) => b"minus infinity",
                    _ => b"infinity",
                });
            }
            let bits = 8 * (u32::from(item.head) - 1);
            format!("float of {bits} bits: {}", String::from_utf8_lossy(&digits))
        }
        Kind::Break => "break".to_owned(),
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Bytes => "byte string",
        Kind::Text => "text",
        Kind::Array => "array",
        _ => "map",
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

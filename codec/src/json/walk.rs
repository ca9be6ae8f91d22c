//! The grammar of values (RFC 8259 sections 2 to 5), walked once from front to back and without recursion.
//!
//! ```text
//! value -> scalar ------------------------> complete
//!       -> [ or { -> ] or } --------------> complete
//!                 -> (key :) value ...
//! complete -> , (key :) value             ... in an open container
//!          -> ] or } ---------------------> complete
//!          -> end of the text             ... in none
//! ```

use super::Cursor;
use super::number::{self, Number};
use super::string;
use crate::plain::STEP;
use crate::{Error, ErrorKind};

/// The kind of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Array,
    Object,
}

impl Kind {
    pub(crate) fn closing(self) -> u8 {
        match self {
            Kind::Array => b']',
            Kind::Object => b'}',
        }
    }
}

/// A literal name (RFC 8259 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    False,
    True,
    Null,
}

/// Receives the tokens in the order of the text, and keeps the stack of open containers.
pub(crate) trait Walker {
    /// Takes a string value without an escape that has been read already: `quoted` begins with its opening
    /// quote, and `len` bytes of content follow.
    fn short_string(&mut self, quoted: &[u8; 1 + STEP], len: usize);
    /// Reads any other string value: the cursor stands after the opening quote, and is left after the closing
    /// one.
    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// Takes a key without an escape that has been read already, as [`Walker::short_string`] does; it began
    /// at the offset `at`.
    fn short_key(&mut self, quoted: &[u8; 1 + STEP], len: usize, at: usize) -> Result<(), Error>;
    /// Reads any other key, as [`Walker::string`] does.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// Takes a number that began at the offset `at`.
    fn number(&mut self, number: Number, at: usize) -> Result<(), Error>;
    /// Takes `false`, `true` or `null`.
    fn word(&mut self, word: Word) -> Result<(), Error>;
    /// Returns whether one more container would be nested too deeply.
    fn too_deep(&self) -> bool;
    /// Passes over a container that is nested too deeply: the cursor stands on its opening bracket, and is
    /// left after the closing one.
    fn pass_over(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// Takes a container without content.
    fn empty(&mut self, kind: Kind) -> Result<(), Error>;
    /// Begins a container; what comes next belongs to it.
    fn open(&mut self, kind: Kind);
    /// Notes that the innermost open container has got another value, which began at or after the offset
    /// `at`; returns the kind of that container, `None` outside of all.
    fn value_complete(&mut self, at: usize) -> Result<Option<Kind>, Error>;
    /// Ends the innermost open container.
    fn close(&mut self) -> Result<(), Error>;
}

/// Walks over one value; input after it is not read.
#[inline(always)]
pub(crate) fn value(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    let mut inside = None;
    // True if the innermost container is an object. Read before each value, and cheaper than `inside`.
    let mut keyed = false;
    'value: loop {
        if keyed {
            key(cursor, walker)?;
        }
        let first = cursor.next();
        let at = cursor.at;
        if first == Some(b'"') {
            string(cursor, walker)?;
        } else if let Some(opened) = other_value(first, cursor, walker, inside)? {
            inside = Some(opened);
            keyed = opened == Kind::Object;
            continue;
        }
        loop {
            inside = walker.value_complete(at)?;
            let Some(kind) = inside else { return Ok(()) };
            keyed = kind == Kind::Object;
            if cursor.peek() == Some(b',') {
                cursor.at += 1;
                continue 'value;
            }
            if cursor.take(kind.closing()) {
                walker.close()?;
            } else if cursor.take(b',') {
                continue 'value;
            } else {
                return Err(cursor.wanted(ErrorKind::ExpectedCommaOrEnd));
            }
        }
    }
}

/// Reads a key and the colon after it.
#[inline(always)]
fn key(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    let at = cursor.at;
    if let Some((quoted, len)) = string::short_key(cursor) {
        return walker.short_key(quoted, len, at);
    }
    if !cursor.take(b'"') {
        // An empty object was handled before: a comma precedes this bracket.
        let end = cursor.peek() == Some(b'}');
        return Err(cursor.wanted(if end { ErrorKind::TrailingComma } else { ErrorKind::ExpectedKey }));
    }
    cursor.aside(|cursor| walker.key(cursor))?;
    if cursor.take(b':') { Ok(()) } else { Err(cursor.wanted(ErrorKind::ExpectedColon)) }
}

/// Reads a string value; the cursor stands on the opening quote.
#[inline(always)]
fn string(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    if let Some((quoted, len)) = string::short_quoted(cursor) {
        walker.short_string(quoted, len);
        return Ok(());
    }
    cursor.at += 1;
    walker.string(cursor)
}

/// Reads a value that is not a string and begins with this byte. Returns the kind of a container that is now
/// open.
#[inline(always)]
fn other_value(
    first: Option<u8>,
    cursor: &mut Cursor<'_>,
    walker: &mut impl Walker,
    inside: Option<Kind>,
) -> Result<Option<Kind>, Error> {
    let at = cursor.at;
    match first {
        Some(bracket @ (b'{' | b'[')) => {
            let kind = if bracket == b'{' { Kind::Object } else { Kind::Array };
            if walker.too_deep() {
                cursor.aside(|cursor| walker.pass_over(cursor))?;
            } else {
                cursor.at += 1;
                // Tested first: most containers of a document made of `{}` then cost no frame.
                if cursor.next() != Some(kind.closing()) {
                    walker.open(kind);
                    return Ok(Some(kind));
                }
                cursor.at += 1;
                walker.empty(kind)?;
            }
        }
        Some(b'-' | b'0'..=b'9') => {
            let number = number::read(cursor)?;
            walker.number(number, at)?;
        }
        Some(b't') => word(cursor, walker, "true", Word::True)?,
        Some(b'f') => word(cursor, walker, "false", Word::False)?,
        Some(b'n') => word(cursor, walker, "null", Word::Null)?,
        // An empty array was handled before: a comma precedes this bracket.
        Some(b']') if inside == Some(Kind::Array) => return Err(cursor.wanted(ErrorKind::TrailingComma)),
        _ => return Err(cursor.wanted(ErrorKind::ExpectedValue)),
    }
    Ok(None)
}

#[inline(always)]
fn word(cursor: &mut Cursor<'_>, walker: &mut impl Walker, text: &str, word: Word) -> Result<(), Error> {
    cursor.aside(|cursor| cursor.word(text))?;
    walker.word(word)
}

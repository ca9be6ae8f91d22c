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
use crate::{Error, ErrorKind};

/// The two containers.
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

/// The three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    False,
    True,
    Null,
}

/// Who makes something of the tokens, and keeps the stack of open containers.
pub(crate) trait Walker {
    /// A string value; the cursor stands behind its opening quote and is left behind its closing one.
    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// A key, likewise.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// A number, which began at this offset.
    fn number(&mut self, number: Number, at: usize) -> Result<(), Error>;
    fn word(&mut self, word: Word) -> Result<(), Error>;
    /// True if one more container would lie too deep.
    fn too_deep(&self) -> bool;
    /// The cursor stands on the bracket of such a container and is left behind it.
    fn pass_over(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error>;
    /// A container without content.
    fn empty(&mut self, kind: Kind) -> Result<(), Error>;
    fn open(&mut self, kind: Kind);
    /// The innermost open container; it has just got another value, which began at or after this offset.
    fn value_complete(&mut self, at: usize) -> Result<Option<Kind>, Error>;
    fn close(&mut self) -> Result<(), Error>;
}

/// Walks one value; what follows it is not looked at.
#[inline(always)]
pub(crate) fn value(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    let mut inside = None;
    'value: loop {
        if inside == Some(Kind::Object) {
            key(cursor, walker)?;
        }
        let first = cursor.next();
        let at = cursor.at;
        match first {
            Some(b'"') => {
                cursor.at += 1;
                walker.string(cursor)?;
            }
            Some(bracket @ (b'{' | b'[')) => {
                let kind = if bracket == b'{' { Kind::Object } else { Kind::Array };
                if walker.too_deep() {
                    walker.pass_over(cursor)?;
                } else {
                    cursor.at += 1;
                    // Looked for first: most containers of a document made of `{}` cost no frame.
                    if cursor.next() != Some(kind.closing()) {
                        walker.open(kind);
                        inside = Some(kind);
                        continue;
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
            // An empty array has been looked for: there is a comma before this bracket.
            Some(b']') if inside == Some(Kind::Array) => return Err(cursor.wanted(ErrorKind::TrailingComma)),
            _ => return Err(cursor.wanted(ErrorKind::ExpectedValue)),
        }
        loop {
            inside = walker.value_complete(at)?;
            let Some(kind) = inside else { return Ok(()) };
            match cursor.next() {
                Some(b',') => {
                    cursor.at += 1;
                    continue 'value;
                }
                Some(byte) if byte == kind.closing() => {
                    cursor.at += 1;
                    walker.close()?;
                }
                _ => return Err(cursor.wanted(ErrorKind::ExpectedCommaOrEnd)),
            }
        }
    }
}

#[inline(always)]
fn key(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    match cursor.next() {
        Some(b'"') => cursor.at += 1,
        // An empty object has been looked for: there is a comma before this bracket.
        Some(b'}') => return Err(cursor.wanted(ErrorKind::TrailingComma)),
        _ => return Err(cursor.wanted(ErrorKind::ExpectedKey)),
    }
    walker.key(cursor)?;
    match cursor.next() {
        Some(b':') => cursor.at += 1,
        _ => return Err(cursor.wanted(ErrorKind::ExpectedColon)),
    }
    Ok(())
}

fn word(cursor: &mut Cursor<'_>, walker: &mut impl Walker, text: &str, word: Word) -> Result<(), Error> {
    cursor.word(text)?;
    walker.word(word)
}

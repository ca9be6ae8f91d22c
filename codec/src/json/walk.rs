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
    fn closing(self) -> u8 {
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
    /// The cursor stands on the bracket of a container that lies too deep: true if the walker has passed over it.
    fn passed_over(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Error>;
    /// A container without content.
    fn empty(&mut self, kind: Kind) -> Result<(), Error>;
    fn open(&mut self, kind: Kind);
    /// The innermost open container; it has just got another value, which began at or after this offset.
    fn value_complete(&mut self, at: usize) -> Result<Option<Kind>, Error>;
    fn close(&mut self) -> Result<(), Error>;
}

/// Walks one value; what follows it is not looked at.
pub(crate) fn value(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    'value: loop {
        cursor.skip_space();
        let at = cursor.at;
        match cursor.peek() {
            Some(b'"') => {
                cursor.at += 1;
                walker.string(cursor)?;
            }
            Some(b'{') => {
                if enter(Kind::Object, cursor, walker)? {
                    key(cursor, walker)?;
                    continue;
                }
            }
            Some(b'[') => {
                if enter(Kind::Array, cursor, walker)? {
                    continue;
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = number::read(cursor)?;
                walker.number(number, at)?;
            }
            Some(b't') => word(cursor, walker, "true", Word::True)?,
            Some(b'f') => word(cursor, walker, "false", Word::False)?,
            Some(b'n') => word(cursor, walker, "null", Word::Null)?,
            _ => return Err(cursor.wanted(ErrorKind::ExpectedValue)),
        }
        while let Some(kind) = walker.value_complete(at)? {
            if cursor.eat(b',') {
                cursor.skip_space();
                if cursor.peek() == Some(kind.closing()) {
                    return Err(Error::new(ErrorKind::TrailingComma, cursor.at));
                }
                if kind == Kind::Object {
                    key(cursor, walker)?;
                }
                continue 'value;
            }
            if !cursor.eat(kind.closing()) {
                return Err(cursor.wanted(ErrorKind::ExpectedCommaOrEnd));
            }
            walker.close()?;
        }
        return Ok(());
    }
}

/// True if a container is open now and a value or key must follow.
fn enter(kind: Kind, cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<bool, Error> {
    if walker.passed_over(cursor)? {
        return Ok(false);
    }
    cursor.at += 1;
    // Looked for first: most containers of a document made of `{}` cost no frame.
    if cursor.eat(kind.closing()) {
        walker.empty(kind)?;
        return Ok(false);
    }
    walker.open(kind);
    Ok(true)
}

fn key(cursor: &mut Cursor<'_>, walker: &mut impl Walker) -> Result<(), Error> {
    if !cursor.eat(b'"') {
        return Err(cursor.wanted(ErrorKind::ExpectedKey));
    }
    walker.key(cursor)?;
    if !cursor.eat(b':') {
        return Err(cursor.wanted(ErrorKind::ExpectedColon));
    }
    Ok(())
}

fn word(cursor: &mut Cursor<'_>, walker: &mut impl Walker, text: &str, word: Word) -> Result<(), Error> {
    cursor.word(text)?;
    walker.word(word)
}

//! Skips a container that is nested too deep to be translated, however deep it goes.

use super::number::Number;
use super::string::LoneSurrogates;
use super::walk::{self, Kind, Walker, Word};
use super::{Cursor, string};
use crate::plain::STEP;
use crate::{Error, scratch};

/// Skips one array or object, checking only its grammar; the cursor stands on its opening bracket.
pub(crate) fn container(cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Result<(), Error> {
    walk::value(cursor, &mut Skipper { open: Bits::default(), scratch })
}

struct Skipper<'s> {
    open: Bits,
    scratch: &'s mut Vec<u8>,
}

/// A stack of bits, each set for an object: 64 MiB of brackets need 8 MiB.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub(crate) fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            let mask = 1 << (self.len % 64);
            *word = if bit { *word | mask } else { *word & !mask };
        }
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) {
        self.len -= 1;
        if self.len.is_multiple_of(64) {
            self.words.pop();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn last(&self) -> Option<bool> {
        let top = self.len.checked_sub(1)?;
        Some(self.words.last()? >> (top % 64) & 1 == 1)
    }
}

impl Walker for Skipper<'_> {
    fn short_string(&mut self, _quoted: &[u8; 1 + STEP], _len: usize) {}

    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        scratch::clear_bytes(self.scratch);
        string::unescape(cursor, self.scratch, &mut LoneSurrogates::default())
    }

    fn short_key(&mut self, _quoted: &[u8; 1 + STEP], _len: usize, _at: usize) -> Result<(), Error> {
        Ok(())
    }

    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        self.string(cursor)
    }

    fn number(&mut self, _number: Number, _at: usize) -> Result<(), Error> {
        Ok(())
    }

    fn word(&mut self, _word: Word) -> Result<(), Error> {
        Ok(())
    }

    fn too_deep(&self) -> bool {
        false
    }

    fn pass_over(&mut self, _cursor: &mut Cursor<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn empty(&mut self, _kind: Kind) -> Result<(), Error> {
        Ok(())
    }

    fn open(&mut self, kind: Kind) {
        self.open.push(kind == Kind::Object);
    }

    fn value_complete(&mut self, _at: usize) -> Result<Option<Kind>, Error> {
        Ok(self.open.last().map(|object| if object { Kind::Object } else { Kind::Array }))
    }

    fn close(&mut self) -> Result<(), Error> {
        self.open.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn skip(json: &str) -> Result<usize, ErrorKind> {
        let mut cursor = Cursor::of(json.as_bytes());
        container(&mut cursor, &mut Vec::new()).map(|()| cursor.at).map_err(|error| error.kind)
    }

    #[test]
    fn a_container_is_passed_over_to_its_own_bracket() {
        for json in ["[]", "{}", r#"[1,{"a":[true,"]\"\ud800"]},null]"#, r#"{"a":{"b":[]}}"#] {
            assert_eq!(skip(&format!("{json}]]}}")), Ok(json.len()), "{json}");
        }
        let deep =
            format!("{}{}", r#"[{"a":"#.repeat(100_000), "[]}]".repeat(100_000).replacen("[]}", "}", 0));
        assert!(skip(&deep).is_err());
        let deep = format!("{}1{}", r#"[{"a":"#.repeat(100_000), "}]".repeat(100_000));
        assert_eq!(skip(&deep), Ok(deep.len()));
    }

    #[test]
    fn its_grammar_is_checked() {
        assert_eq!(skip("[1,]"), Err(ErrorKind::TrailingComma));
        assert_eq!(skip("[[}]"), Err(ErrorKind::ExpectedValue));
        assert_eq!(skip(r#"{"a":[1}"#), Err(ErrorKind::ExpectedCommaOrEnd));
        assert_eq!(skip("[[["), Err(ErrorKind::UnexpectedEnd));
    }
}

//! A text that a piece has cut, or that has an indefinite length. The text of a value leaves as it comes;
//! that of a key waits for its end if it is no longer than [`MAX_TEXT`].

use super::PushDecoder;
use super::expect::Expect;
use crate::cbor::{BREAK, Head, Reader};
use crate::json::string;
use crate::push::MAX_TEXT;
use crate::push::character::CutCharacter;
use crate::push::names::Names;
use crate::{Error, ErrorKind};

#[derive(Debug, Default)]
pub(super) struct CutText {
    role: Role,
    /// Offset of the text's head.
    at: usize,
    indefinite: bool,
    /// Bytes of the text, or of the chunk, that are still to come.
    left: u64,
    /// True if the opening quote has left.
    leaving: bool,
    /// The part of a key that has come and not left.
    pub(super) name: Vec<u8>,
    cut_character: CutCharacter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    Key,
    #[default]
    Value,
}

impl PushDecoder<'_> {
    /// Begins a text whose content is not yet complete; `length` is that of its head. The comma before it has
    /// been written, and for a value also the opening quote.
    pub(super) fn begin_text(&mut self, role: Role, length: Option<u64>, at: usize) {
        let text = &mut self.text;
        text.role = role;
        text.at = at;
        text.indefinite = length.is_none();
        text.left = length.unwrap_or(0);
        text.leaving = role == Role::Value;
        text.name.clear();
        text.cut_character.clear();
        self.expect = if length.is_some() { Expect::Text } else { Expect::Chunk };
    }

    /// Reads between two chunks of an indefinite-length text (RFC 8949 section 3.2.3). Returns false if more
    /// input is needed.
    pub(super) fn chunk(&mut self, reader: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<bool, Error> {
        match reader.rest().first() {
            None => return Ok(false),
            Some(&BREAK) => {
                reader.at += 1;
                self.end_text(output)?;
                return Ok(true);
            }
            Some(_) => {}
        }
        let at = self.absolute(reader.at);
        match self.head(reader)? {
            None => Ok(false),
            Some(Head::Text(Some(length))) => {
                self.text.left = length;
                self.expect = Expect::Text;
                Ok(true)
            }
            Some(_) => Err(Error::new(ErrorKind::InvalidChunk, at)),
        }
    }

    /// Continues a text or a chunk. Returns false if more input is needed.
    pub(super) fn text_goes_on(
        &mut self,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        while self.text.cut_character.len() > 0 {
            let cut_at = self.absolute(reader.at) - self.text.cut_character.len();
            let invalid = Error::new(ErrorKind::InvalidUtf8, cut_at);
            if self.text.left == 0 {
                return Err(invalid);
            }
            let Some(byte) = reader.rest().first() else { return Ok(false) };
            reader.at += 1;
            self.text.left -= 1;
            if let Some(character) = self.text.cut_character.push(*byte).map_err(|_| invalid)? {
                self.text_content(character.encode_utf8(&mut [0; 4]), output)?;
            }
        }
        let rest = reader.rest();
        let len = usize::try_from(self.text.left).unwrap_or(usize::MAX).min(rest.len());
        let bytes = rest.get(..len).unwrap_or_default();
        self.text.left -= len as u64;
        match str::from_utf8(bytes) {
            Ok(text) => self.text_content(text, output)?,
            Err(error) => {
                let (valid, after) = bytes.split_at(error.valid_up_to());
                self.text_content(str::from_utf8(valid).unwrap_or_default(), output)?;
                if error.error_len().is_some() || self.text.left == 0 {
                    let at = self.absolute(reader.at) + valid.len();
                    return Err(Error::new(ErrorKind::InvalidUtf8, at));
                }
                self.text.cut_character.keep(after);
            }
        }
        reader.at += len;
        if self.text.left > 0 {
            return Ok(false);
        }
        if self.text.indefinite {
            self.expect = Expect::Chunk;
        } else {
            self.end_text(output)?;
        }
        Ok(true)
    }

    /// Takes content, or begins to write the text as it comes.
    fn text_content(&mut self, content: &str, output: &mut Vec<u8>) -> Result<(), Error> {
        let text = &self.text;
        if !text.leaving {
            let known_len = text.left.saturating_add((text.name.len() + content.len()) as u64);
            if known_len <= MAX_TEXT as u64 {
                self.text.name.extend_from_slice(content.as_bytes());
                return Ok(());
            }
            Names::note_long(&mut self.innermost.names, self.text.at)?;
            self.text.leaving = true;
            output.push(b'"');
            let name = std::mem::take(&mut self.text.name);
            let written = self.write_escaped(&name, self.text.at, output);
            self.text.name = name;
            written?;
        }
        self.write_escaped(content.as_bytes(), self.text.at, output)
    }

    fn end_text(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.text.at;
        match self.text.role {
            Role::Value => {
                output.push(b'"');
                self.complete(at, output)
            }
            Role::Key if self.text.leaving => {
                output.extend_from_slice(b"\":");
                self.expect = Expect::Value;
                Ok(())
            }
            Role::Key => {
                let name = std::mem::take(&mut self.text.name);
                let written = self.name(&name, at, output);
                self.text.name = name;
                self.expect = Expect::Value;
                written
            }
        }
    }

    /// Appends text as the inside of a JSON string.
    pub(super) fn write_escaped(&self, text: &[u8], at: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        let max_len = if self.dropped.is_some() { usize::MAX } else { self.max_len };
        match string::write_escaped(text, output, max_len) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::OutputTooLarge, at)),
        }
    }
}

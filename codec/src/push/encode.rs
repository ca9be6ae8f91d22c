//! JSON text to CBOR, in pieces.
//!
//! ```text
//! piece -> UTF-8 checked, but for a character cut at its end
//!       -> a number, a word or an escape that was cut is completed and walked over
//!       -> the rest is walked over until its end cuts a token
//! ```
//!
//! A string that is cut is unescaped as far as it has come; numbers and words are held back as written. Only
//! the few bytes of a cut token are read twice, so one-byte pieces cost no more than linear time.

use super::character::{self, CutCharacter};
use super::names::Names;
use super::{MAX_TEXT, PushOptions};
use crate::json::number::MAX_NUMBER;
use crate::json::{BYTE_ORDER_MARK, Cursor};
use crate::utf8::{self, Fault};
use crate::{Error, ErrorKind, KeyTable, Policy, Repairs, scratch};
use containers::{Open, Skipped};
use expect::Expect;
use text::CutText;

mod containers;
mod expect;
mod text;
mod walk;

/// JSON text to CBOR, in pieces of any size. Keep one for many documents: [`PushEncoder::reset`]
/// keeps its buffers.
///
/// The content, the verdict and its offset are those of [`crate::Encoder`], wherever the pieces are cut.
/// Containers are written with an indefinite length unless they are empty, and texts of more than
/// [`MAX_TEXT`] as chunks. Of repeated keys the lenient policy keeps the first, because it has left, and
/// drops the later ones with their values.
///
/// ```
/// use lowband_codec::{KeyTable, PushEncoder, PushOptions};
///
/// let mut encoder = PushEncoder::new(PushOptions { keys: Some(KeyTable::v1()), ..PushOptions::default() });
/// let mut cbor = Vec::new();
/// for piece in [r#"{"type":"m.te"#, r#"xt","bo"#, r#"dy":[]}"#] {
///     encoder.push(piece.as_bytes(), &mut cbor)?;
/// }
/// // All output has left with the last bracket.
/// assert!(encoder.is_complete());
/// assert_eq!(cbor, b"\xbf\x02\x66m.text\x18\x1b\x80\xff");
/// encoder.finish(&mut cbor)?;
/// # Ok::<(), lowband_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct PushEncoder<'t> {
    options: PushOptions<'t>,
    /// The table of keys. If none was agreed on, the built-in one serves to notice repeated keys.
    table: &'t KeyTable,
    /// Offset in the whole input of the bytes being walked over.
    base: usize,
    /// Bytes of output from earlier calls.
    written: usize,
    /// Length of the output at which this call ends with an error.
    max_len: usize,
    failed: Option<Error>,
    expect: Expect,
    /// Offset at which the last value began.
    value_at: usize,
    /// The innermost open container, and those around it.
    innermost: Open,
    outer: Vec<Open>,
    /// The keys of the open objects that have no bit in the set.
    names: Names,
    /// The value being skipped, because it is nested too deep or its key has come before.
    skipped: Option<Skipped>,
    cut_character: CutCharacter,
    /// A number or a word that the last piece cut, and a second buffer to walk over it.
    token: Vec<u8>,
    walked: Vec<u8>,
    text: CutText,
    /// Scratch for keys with escapes.
    name: Vec<u8>,
    repairs: Repairs,
}

impl<'t> PushEncoder<'t> {
    /// Makes an encoder at the start of a document.
    pub fn new(options: PushOptions<'t>) -> Self {
        PushEncoder {
            options,
            table: options.keys.unwrap_or_else(|| KeyTable::v1()),
            base: 0,
            written: 0,
            max_len: 0,
            failed: None,
            expect: Expect::Value,
            value_at: 0,
            innermost: Open::default(),
            outer: Vec::new(),
            names: Names::default(),
            skipped: None,
            cut_character: CutCharacter::default(),
            token: Vec::new(),
            walked: Vec::new(),
            text: CutText::default(),
            name: Vec::new(),
            repairs: Repairs::default(),
        }
    }

    /// Takes the next piece and appends the output that is known by then. After an error, the output so far
    /// is the beginning of an item that will never be complete.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::Encoder::encode`], and [`ErrorKind::TooManyKeys`]. Offsets count from the start
    /// of the first piece. Each further call returns the same error.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        self.call(output, |encoder, output| encoder.take(input, output))
    }

    /// Ends the input and appends what that makes known: a number at its end.
    ///
    /// # Errors
    ///
    /// The errors of [`PushEncoder::push`]; [`ErrorKind::UnexpectedEnd`] if the value is not complete.
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Result<Repairs, Error> {
        self.call(output, |encoder, output| {
            let end = Error::new(ErrorKind::UnexpectedEnd, encoder.base + encoder.cut_character.len());
            encoder.end_token(end, output)?;
            let whole = encoder.is_complete() && encoder.cut_character.len() == 0;
            if whole { Ok(()) } else { Err(end) }
        })?;
        Ok(self.repairs)
    }

    /// Returns true if the value is complete and all of its output has left: only white space may follow.
    pub fn is_complete(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Returns the repairs so far.
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Forgets the document: the next piece begins a new one.
    pub fn reset(&mut self) {
        self.base = 0;
        self.written = 0;
        self.failed = None;
        self.expect = Expect::Value;
        self.innermost = Open::default();
        scratch::clear(&mut self.outer);
        self.names.clear();
        self.skipped = None;
        self.cut_character.clear();
        self.token.clear();
        self.text.clear();
        self.repairs = Repairs::default();
    }

    /// Runs one public call: counts the output and keeps the first error.
    fn call(
        &mut self,
        output: &mut Vec<u8>,
        run: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let before = output.len();
        self.max_len = before.saturating_add(self.options.limits.max_output.saturating_sub(self.written));
        self.go_on_skipping(before);
        let result = run(self, output);
        self.pause_skipping(output);
        self.written = self.written.saturating_add(output.len() - before);
        self.failed = result.err();
        result
    }

    fn take(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let left = self.options.limits.max_input - self.base - self.cut_character.len();
        let (mut rest, too_long) = input.split_at(left.min(input.len()));
        while self.cut_character.len() > 0
            && let Some((byte, tail)) = rest.split_first()
        {
            rest = tail;
            match self.cut_character.push(*byte) {
                Ok(None) => {}
                Ok(Some(character)) => {
                    self.take_text(character.encode_utf8(&mut [0; 4]).as_bytes(), output)?
                }
                Err(error) => return self.end_with(self.absolute(error), output),
            }
        }
        match utf8::check(rest) {
            Ok(()) => self.take_text(rest, output)?,
            Err(fault) => {
                let (Fault::Invalid(at) | Fault::Cut(at)) = fault;
                let (valid, after) = rest.split_at(at);
                self.take_text(valid, output)?;
                if fault == Fault::Invalid(at) {
                    return self.end_with(Error::new(ErrorKind::InvalidUtf8, self.base), output);
                }
                self.cut_character.keep(after);
            }
        }
        match too_long {
            [] => Ok(()),
            _ => self.end_with(Error::new(ErrorKind::InputTooLarge, self.options.limits.max_input), output),
        }
    }

    /// Ends with this error, unless a token that was held back has an earlier one.
    fn end_with(&mut self, error: Error, output: &mut Vec<u8>) -> Result<(), Error> {
        self.end_token(error, output)?;
        Err(error)
    }

    /// Ends the token that was held back, after which nothing follows; `end` is the error if it is
    /// incomplete.
    fn end_token(&mut self, end: Error, output: &mut Vec<u8>) -> Result<(), Error> {
        match self.walk_token(output, true) {
            Err(error) if error.kind == ErrorKind::UnexpectedEnd => Err(end),
            walked => walked,
        }
    }

    /// Takes complete characters.
    fn take_text(&mut self, text: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = text;
        if self.base == 0
            && let Some(behind) = text.strip_prefix(BYTE_ORDER_MARK)
        {
            if self.options.policy == Policy::Strict {
                return Err(Error::new(ErrorKind::ByteOrderMark, 0));
            }
            self.base += BYTE_ORDER_MARK.len();
            rest = behind;
        }
        while self.text.in_escape() && !rest.is_empty() {
            let (character, after) = rest.split_at(character::first_len(rest));
            self.take_into_escape(character, output)?;
            rest = after;
        }
        if !self.token.is_empty() {
            let (taken, after) = self.rest_of_token(rest);
            rest = after;
            self.token.extend_from_slice(taken);
            self.base += taken.len();
            // A word is checked at each byte, because it may end a document; a number only at its end.
            let word = self.token.first().is_some_and(u8::is_ascii_lowercase);
            let long = self.token.len() > MAX_NUMBER;
            if word || long || !self.token.last().is_some_and(is_of_token) {
                self.walk_token(output, long)?;
            }
        }
        let mut cursor = Cursor::of(rest);
        self.walk(&mut cursor, output, false)?;
        self.base += rest.len();
        Ok(())
    }

    /// Splits off the part of a text that belongs to the token cut before it, together with the character
    /// that ends the token. That part is never empty unless the text is.
    fn rest_of_token<'s>(&self, text: &'s [u8]) -> (&'s [u8], &'s [u8]) {
        let room = (MAX_NUMBER + 1).saturating_sub(self.token.len());
        let len = text.iter().take(room).take_while(|byte| is_of_token(byte)).count();
        let (_, after) = text.split_at(len);
        text.split_at(if len < room { len + character::first_len(after) } else { len })
    }

    /// Walks over the token that is held back; it may be held back again. `last`: nothing follows.
    fn walk_token(&mut self, output: &mut Vec<u8>, last: bool) -> Result<(), Error> {
        if self.token.is_empty() {
            return Ok(());
        }
        std::mem::swap(&mut self.token, &mut self.walked);
        let walked = std::mem::take(&mut self.walked);
        self.base -= walked.len();
        self.walk(&mut Cursor::of(&walked), output, last)?;
        self.base += walked.len();
        self.walked = walked;
        self.walked.clear();
        Ok(())
    }

    /// Converts an error whose offset counts from the bytes being walked over.
    fn absolute(&self, error: Error) -> Error {
        Error::new(error.kind, self.base + error.offset)
    }
}

/// Returns true for a character that may occur in numbers and words.
fn is_of_token(character: &u8) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, b'+' | b'-' | b'.')
}

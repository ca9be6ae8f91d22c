//! CBOR to JSON text, in pieces.
//!
//! ```text
//! piece -> a head that was cut is completed
//!       -> the rest is walked over; texts leave as they come -> a head cut at its end is held back
//! ```
//!
//! An integer key whose text twin has left is dropped with its value; the other order is an error, because
//! the integer's value has left already.

use super::names::Names;
use crate::cbor::{self, Reader};
use crate::{DecodeOptions, Decoded, Error, ErrorKind, scratch};
use containers::{Dropped, Open};
use expect::Expect;
use text::CutText;

mod containers;
mod expect;
mod keys;
mod text;
mod walk;

/// CBOR to JSON text, in pieces of any size. Keep one for many items: [`PushDecoder::reset`]
/// keeps its buffers.
///
/// The text, the verdict and its offset are those of [`crate::Decoder`], wherever the pieces are cut, except
/// for a key that comes in both forms: an integer key whose text has left is dropped with its value; a text
/// that comes after its integer is an error, because the integer's value has left.
#[derive(Debug)]
pub struct PushDecoder<'t> {
    options: DecodeOptions<'t>,
    /// Offset in the whole input of the bytes being walked over.
    base: usize,
    /// Bytes of output from earlier calls.
    written: usize,
    /// Length of the output at which this call ends with an error.
    max_len: usize,
    failed: Option<Error>,
    expect: Expect,
    /// Offset at which the last item that is not a key began.
    item_at: usize,
    /// The innermost open container, and those around it.
    innermost: Open,
    outer: Vec<Open>,
    /// The keys of the open maps that have no bit in a set.
    names: Names,
    /// True if the next key is not the first of its map.
    comma: bool,
    dropped: Option<Dropped>,
    /// The first bytes of a head that the last piece cut.
    head: [u8; cbor::MAX_HEAD],
    head_len: usize,
    text: CutText,
    decoded: Decoded,
}

impl<'t> PushDecoder<'t> {
    /// Makes a decoder at the start of an item.
    pub fn new(options: DecodeOptions<'t>) -> Self {
        PushDecoder {
            options,
            base: 0,
            written: 0,
            max_len: 0,
            failed: None,
            expect: Expect::Start,
            item_at: 0,
            innermost: Open::default(),
            outer: Vec::new(),
            names: Names::default(),
            comma: false,
            dropped: None,
            head: [0; cbor::MAX_HEAD],
            head_len: 0,
            text: CutText::default(),
            decoded: Decoded::default(),
        }
    }

    /// Takes the next piece and appends the output that is known by then. After an error, the output so far
    /// is the beginning of a text that will never be complete.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::Decoder::decode`], and [`ErrorKind::TooManyKeys`]; an integer key before its
    /// text counts as repeated. Offsets count from the start of the first piece. Each further call returns
    /// the same error.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        self.call(output, |decoder, output| decoder.take(input, output))
    }

    /// Ends the input. Appends nothing: every CBOR item shows by itself where it ends.
    ///
    /// # Errors
    ///
    /// The errors of [`PushDecoder::push`]; [`ErrorKind::UnexpectedEnd`] if the item is not complete.
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Result<Decoded, Error> {
        self.call(output, |decoder, _| {
            let end = decoder.base + decoder.head_len;
            if decoder.is_complete() { Ok(()) } else { Err(Error::new(ErrorKind::UnexpectedEnd, end)) }
        })?;
        Ok(self.decoded)
    }

    /// Returns true if the item is complete and all of its output has left: nothing may follow.
    pub fn is_complete(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Returns what the item was made of, as far as it has come.
    pub fn decoded(&self) -> Decoded {
        self.decoded
    }

    /// Forgets the item: the next piece begins a new one.
    pub fn reset(&mut self) {
        self.base = 0;
        self.written = 0;
        self.failed = None;
        self.expect = Expect::Start;
        self.innermost = Open::default();
        scratch::clear(&mut self.outer);
        self.names.clear();
        self.dropped = None;
        self.head_len = 0;
        self.decoded = Decoded::default();
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
        self.go_on_dropping(before);
        let result = run(self, output);
        self.pause_dropping(output);
        self.written = self.written.saturating_add(output.len() - before);
        self.failed = result.err();
        result
    }

    fn take(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let left = self.options.limits.max_input - self.base - self.head_len;
        let (mut rest, too_long) = input.split_at(left.min(input.len()));
        while self.head_len > 0
            && let Some((byte, tail)) = rest.split_first()
        {
            rest = tail;
            self.take_into_head(*byte, output)?;
        }
        if !rest.is_empty() {
            self.walk(&mut Reader::of(rest), output)?;
            self.base += rest.len() - self.head_len;
        }
        match too_long {
            [] => Ok(()),
            _ => Err(Error::new(ErrorKind::InputTooLarge, self.options.limits.max_input)),
        }
    }

    /// Takes a byte after a head that was cut.
    fn take_into_head(&mut self, byte: u8, output: &mut Vec<u8>) -> Result<(), Error> {
        self.head.iter_mut().skip(self.head_len).take(1).for_each(|free| *free = byte);
        let len = self.head_len + 1;
        let head = self.head;
        let head = head.get(..len).unwrap_or_default();
        self.head_len = 0;
        self.walk(&mut Reader::of(head), output)?;
        // The whole head is held back again if it is still incomplete.
        self.base += len - self.head_len;
        Ok(())
    }

    /// Converts an offset within the bytes being walked over into one in the whole input.
    fn absolute(&self, offset: usize) -> usize {
        self.base + offset
    }
}

//! The documents of an input, one after the other: JSON texts (NDJSON or not) and CBOR items (RFC 8742), read
//! in pieces and handed on in parts, so that an input of any length needs the memory of one document.

use super::super::exit::{Exit, Failure};
use super::super::input::Input;
use super::super::output::{Sink, Writer};
use super::form::{self, Unwrap};
use crate::progress::Progress;
use lowband_codec::sequence::{CborItems, JsonTexts, Step};
use lowband_codec::{Error, diagnostic};

/// Bytes that are read at once: enough that system calls cost little.
const PIECE: usize = 64 << 10;

/// A part of a document, and where that stands in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'p> {
    pub(super) bytes: &'p [u8],
    /// True if the document ends with it, or the input does, or nothing after it can be read.
    pub(super) ends: bool,
    /// The place of the document.
    pub(super) place: Place,
}

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the document, from 1.
    pub(super) document: usize,
    /// Bytes before it.
    pub(super) offset: usize,
    /// Line and column at which it begins, both from 1; columns count characters.
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const START: Place = Place { document: 0, offset: 0, line: 1, column: 1 };

    /// Returns the place so many bytes further on.
    pub(super) fn behind(self, text: &[u8]) -> Place {
        let newlines = text.iter().filter(|&&byte| byte == b'\n').count();
        let last_line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let characters = last_line.iter().filter(|byte| !(0x80..0xc0).contains(*byte)).count();
        let column = if newlines > 0 { 1 } else { self.column };
        Place {
            offset: self.offset + text.len(),
            line: self.line + newlines,
            column: column + characters,
            ..self
        }
    }

    /// Returns the error with its offset in the input, and before it the document, if that is not the first.
    pub(super) fn error(self, error: Error) -> String {
        let error = Error { offset: self.offset.saturating_add(error.offset), ..error };
        match self.document {
            0 | 1 => error.to_string(),
            document => format!("document {document}, {error}"),
        }
    }
}

/// What takes the documents and says what is to be written.
pub(super) trait Convert {
    /// Takes a part of a document and appends to `out` what can be written by then.
    fn take(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Failure>;
}

/// Finds the ends of documents.
#[derive(Debug)]
pub(super) enum Ends {
    Json(JsonTexts),
    Cbor(CborItems),
}

impl Ends {
    pub(super) fn of_json() -> Ends {
        Ends::Json(JsonTexts::new())
    }

    pub(super) fn of_cbor() -> Ends {
        Ends::Cbor(CborItems::new(diagnostic::LIMITS.max_depth))
    }

    fn push(&mut self, piece: &[u8]) -> Result<Step, Error> {
        match self {
            Ends::Json(texts) => Ok(texts.push(piece)),
            Ends::Cbor(items) => items.push(piece),
        }
    }

    fn is_inside(&self) -> bool {
        match self {
            Ends::Json(texts) => texts.is_inside(),
            Ends::Cbor(items) => items.is_inside(),
        }
    }
}

/// What an input held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) documents: usize,
    /// Bytes, white space between documents included; of hexadecimal text and base64 what they stand for.
    pub(super) bytes: usize,
}

/// Converts all documents of an input. What has been converted is written whenever the input makes us wait,
/// and before a failure. `check` may refuse what was found in the end.
pub(super) fn convert(
    input: Input<'_>,
    unwrap: &mut Unwrap,
    ends: Ends,
    sink: &Sink,
    convert: &mut dyn Convert,
    check: impl FnOnce(Found) -> Result<(), Failure>,
) -> Result<(), Failure> {
    sink.write_in_pieces(|out| {
        let mut documents =
            Documents { ends, place: Place::START, looks_like_hex: false, convert, out: Vec::new() };
        let read = documents.pieces(input, unwrap, sink, out);
        out.write(&documents.out)?;
        read.and_then(|()| {
            check(Found { documents: documents.place.document, bytes: documents.place.offset })
        })
    })
}

struct Documents<'c> {
    ends: Ends,
    place: Place,
    /// True if the first piece, CBOR as bytes, is hexadecimal text as well.
    looks_like_hex: bool,
    convert: &'c mut dyn Convert,
    out: Vec<u8>,
}

impl Documents<'_> {
    fn pieces(
        &mut self,
        mut input: Input<'_>,
        unwrap: &mut Unwrap,
        sink: &Sink,
        out: &mut Writer<'_>,
    ) -> Result<(), Failure> {
        let mut progress = Progress::new(input.len(), sink == &Sink::Stdout);
        let (mut buffer, mut unwrapped) = (vec![0; PIECE], Vec::new());
        let (mut began, mut first) = (None, None);
        loop {
            let piece = input.read(&mut buffer)?;
            let read = piece.len();
            first = if first.is_none() { Some(read) } else { first.filter(|_| read == 0) };
            let taken = if read == 0 {
                unwrap.finish()?;
                self.end(began)
            } else {
                let may_be_text = self.place.offset == 0
                    && matches!((&*unwrap, &self.ends), (Unwrap::Bytes, Ends::Cbor(_)));
                self.looks_like_hex = may_be_text && form::looks_like_hex(piece);
                self.piece(unwrap.piece(piece, &mut unwrapped)?, &mut began)
            };
            if let Err(failure) = taken {
                let is_bytes = matches!((&*unwrap, &self.ends), (Unwrap::Bytes, Ends::Cbor(_)));
                // What the input looks like is known from all that has been read of it.
                let input = first.filter(|_| is_bytes).and_then(|len| buffer.get(..len)).unwrap_or_default();
                return Err(failure.with_hint(form::forgotten_flag(input)));
            }
            out.write(&self.out)?;
            self.out.clear();
            progress.advance(read);
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Ends the input. A number or a word ends with it; anything else is cut, which its converter says.
    fn end(&mut self, began: Option<Place>) -> Result<(), Failure> {
        match began {
            Some(place) if self.ends.is_inside() => {
                self.convert.take(Part { bytes: b"", ends: true, place }, &mut self.out)
            }
            _ => Ok(()),
        }
    }

    /// Hands on the parts of documents in a piece. `began`: where the open document began, if there is one.
    fn piece(&mut self, piece: &[u8], began: &mut Option<Place>) -> Result<(), Failure> {
        let mut rest = piece;
        while !rest.is_empty() {
            let (step, error) = match self.ends.push(rest) {
                Ok(step) => (step, None),
                // Its converter finds the mistake too, or one before it.
                Err(error) => (Step { skipped: 0, taken: rest.len(), ended: true }, Some(error)),
            };
            let (space, after) = rest.split_at_checked(step.skipped).unwrap_or((rest, b""));
            let (bytes, after) = after.split_at_checked(step.taken).unwrap_or((after, b""));
            rest = after;
            self.place = self.place.behind(space);
            if bytes.is_empty() && !step.ended {
                continue;
            }
            if began.is_none() {
                self.place.document += 1;
                if self.looks_like_hex && self.place.document == 2 {
                    // Digits are small integers and short texts, one behind the other.
                    self.out.clear();
                    return Err(Failure::new(Exit::BadInput, "not CBOR"));
                }
            }
            let place = *began.get_or_insert(self.place);
            self.place = self.place.behind(bytes);
            self.convert.take(Part { bytes, ends: step.ended, place }, &mut self.out)?;
            if let Some(error) = error {
                return Err(super::not_cbor(Place { offset: 0, ..place }, error));
            }
            if step.ended {
                *began = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_codec::ErrorKind;

    #[test]
    fn lines_and_columns_start_at_one_and_count_characters() {
        let text = "a\n\u{e9}b\nc".as_bytes();
        for (offset, line, column) in
            [(0, 1, 1), (1, 1, 2), (2, 2, 1), (4, 2, 2), (5, 2, 3), (6, 3, 1), (7, 3, 2)]
        {
            let place = Place::START.behind(&text[..offset]);
            assert_eq!(place, Place { document: 0, offset, line, column });
            for cut in 0..offset {
                assert_eq!(Place::START.behind(&text[..cut]).behind(&text[cut..offset]), place);
            }
        }
    }

    #[test]
    fn an_error_names_the_document_from_the_second_on() {
        let error = Error { kind: ErrorKind::Tag, offset: 2 };
        let place = Place { document: 1, offset: 10, ..Place::START };
        assert_eq!(place.error(error), "byte 12: a CBOR tag has no form in JSON");
        let place = Place { document: 3, ..place };
        assert_eq!(place.error(error), "document 3, byte 12: a CBOR tag has no form in JSON");
    }
}

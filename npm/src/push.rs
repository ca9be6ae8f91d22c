//! Documents in pieces: one direction of the codec's push mode, for a stream of JavaScript.
//!
//! All pieces come and leave through the same buffers: an open stream holds no more than its own document
//! needs.

use crate::buffers::Buffers;
use crate::settings::Settings;
use crate::tables::Tables;
use lowband_codec::{Error, ErrorKind, PushDecoder, PushEncoder, Repairs};

/// Bytes of one piece. JavaScript cuts larger ones.
pub const MAX_PIECE: usize = 64 << 10;

/// A document on its way through.
#[derive(Debug)]
pub enum Push {
    /// From JSON to CBOR.
    Encode(PushEncoder<'static>),
    /// From CBOR to JSON.
    Decode(PushDecoder<'static>),
}

impl Push {
    /// Makes an encoder at the start of a JSON text; the order in the settings is not used.
    pub fn encoder(settings: Settings, tables: &Tables) -> Push {
        Push::Encode(PushEncoder::new(settings.push_options(tables)))
    }

    /// Makes a decoder at the start of a CBOR item.
    pub fn decoder(settings: Settings, tables: &Tables) -> Push {
        Push::Decode(PushDecoder::new(settings.decode_options(tables)))
    }

    /// Takes the first `len` bytes of the input as a piece; the output is what can leave by then.
    ///
    /// # Errors
    ///
    /// The errors of [`PushEncoder::push`] and [`PushDecoder::push`]; also if the input has no room for so
    /// many bytes.
    pub fn push(&mut self, len: usize, buffers: &mut Buffers) -> Result<(), Error> {
        let (piece, output) = buffers.take(len);
        let piece = piece.ok_or(Error { kind: ErrorKind::InputTooLarge, offset: MAX_PIECE })?;
        match self {
            Push::Encode(encoder) => encoder.push(piece, output),
            Push::Decode(decoder) => decoder.push(piece, output),
        }
    }

    /// Ends the document; the output is its rest.
    ///
    /// # Errors
    ///
    /// The errors of [`PushEncoder::finish`] and [`PushDecoder::finish`].
    pub fn finish(&mut self, buffers: &mut Buffers) -> Result<(), Error> {
        let (_, output) = buffers.take(0);
        match self {
            Push::Encode(encoder) => encoder.finish(output).map(|_| ()),
            Push::Decode(decoder) => decoder.finish(output).map(|_| ()),
        }
    }

    /// Returns the repairs so far.
    pub fn repairs(&self) -> Repairs {
        match self {
            Push::Encode(encoder) => encoder.repairs(),
            Push::Decode(_) => Repairs::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_in_pieces_leaves_by_the_output_and_an_error_stays() {
        let (tables, mut buffers) = (Tables::default(), Buffers::default());
        let mut decoder = Push::decoder(Settings::default(), &tables);
        assert!(buffers.room(1, MAX_PIECE).is_some());
        assert_eq!(
            decoder.push(1, &mut buffers),
            Ok(()),
            "the room begins as zeros, and 00 is the integer 0"
        );
        assert_eq!(buffers.output(), b"0");
        assert_eq!(decoder.finish(&mut buffers), Ok(()));
        assert_eq!((buffers.output(), decoder.repairs()), (b"".as_slice(), Repairs::default()));

        let mut encoder = Push::encoder(Settings::default(), &tables);
        let error = encoder.push(1, &mut buffers).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::ExpectedValue, 0));
        assert_eq!(encoder.finish(&mut buffers), Err(error));
        assert_eq!(encoder.push(2, &mut buffers).unwrap_err().kind, ErrorKind::InputTooLarge, "no room");
    }
}

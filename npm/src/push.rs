//! Documents in pieces: one direction of the codec's push mode, for a stream of JavaScript.
//!
//! All pieces come and leave by the same buffers: an open stream holds no more than its own document needs.

use crate::buffers::Buffers;
use crate::settings::Settings;
use crate::tables::Tables;
use lowband_codec::{Error, ErrorKind, PushDecoder, PushEncoder, Repairs};

/// Bytes of one piece. JavaScript cuts what is larger.
pub const MAX_PIECE: usize = 64 << 10;

/// One document on its way through.
#[derive(Debug)]
pub enum Push {
    /// JSON to CBOR.
    Encode(PushEncoder<'static>),
    /// CBOR to JSON.
    Decode(PushDecoder<'static>),
}

impl Push {
    /// At the start of a JSON text; the order of the settings is left alone.
    pub fn encoder(settings: Settings, tables: &Tables) -> Push {
        Push::Encode(PushEncoder::new(settings.push_options(tables)))
    }

    /// At the start of a CBOR item.
    pub fn decoder(settings: Settings, tables: &Tables) -> Push {
        Push::Decode(PushDecoder::new(settings.decode_options(tables)))
    }

    /// The first `len` bytes of the input as one more piece; what can leave is the output.
    ///
    /// # Errors
    ///
    /// As [`PushEncoder::push`] and [`PushDecoder::push`]; also when the input has no room for so many.
    pub fn push(&mut self, len: usize, buffers: &mut Buffers) -> Result<(), Error> {
        let (piece, output) = buffers.take(len);
        let piece = piece.ok_or(Error { kind: ErrorKind::InputTooLarge, offset: MAX_PIECE })?;
        match self {
            Push::Encode(encoder) => encoder.push(piece, output),
            Push::Decode(decoder) => decoder.push(piece, output),
        }
    }

    /// There are no more pieces; what is left is the output.
    ///
    /// # Errors
    ///
    /// As [`PushEncoder::finish`] and [`PushDecoder::finish`].
    pub fn finish(&mut self, buffers: &mut Buffers) -> Result<(), Error> {
        let (_, output) = buffers.take(0);
        match self {
            Push::Encode(encoder) => encoder.finish(output).map(|_| ()),
            Push::Decode(decoder) => decoder.finish(output).map(|_| ()),
        }
    }

    /// What has been repaired so far.
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

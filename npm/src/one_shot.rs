//! One document at a time, from the input to the output.
//!
//! An encoder and a decoder are kept for the settings used last: callers seldom change them.

use crate::buffers::Buffers;
use crate::settings::Settings;
use crate::tables::Tables;
use lowband_codec::{Decoded, Decoder, Encoder, Error, ErrorKind, Repairs};

/// Both directions, with the buffers that they share.
#[derive(Debug)]
pub struct OneShot {
    /// The memory that JavaScript writes to and reads from.
    pub buffers: Buffers,
    encoder: Encoder<'static>,
    encoding: Settings,
    decoder: Decoder<'static>,
    decoding: Settings,
}

impl OneShot {
    /// Makes both directions: strict, key table v1, default limits.
    pub fn new(tables: &Tables) -> OneShot {
        let settings = Settings { keys: Tables::V1, ..Settings::default() };
        OneShot {
            buffers: Buffers::default(),
            encoder: Encoder::new(settings.encode_options(tables)),
            encoding: settings,
            decoder: Decoder::new(settings.decode_options(tables)),
            decoding: settings,
        }
    }

    /// Sets how [`OneShot::encode`] works from now on.
    pub fn set_encoding(&mut self, settings: Settings, tables: &Tables) {
        if settings != self.encoding {
            self.encoder = Encoder::new(settings.encode_options(tables));
            self.encoding = settings;
        }
    }

    /// Sets how [`OneShot::decode`] works from now on.
    pub fn set_decoding(&mut self, settings: Settings, tables: &Tables) {
        if settings != self.decoding {
            self.decoder = Decoder::new(settings.decode_options(tables));
            self.decoding = settings;
        }
    }

    /// Returns [`Buffers::room`] for at most as many bytes as one of the directions takes.
    pub fn input(&mut self, len: usize) -> Option<*mut u8> {
        self.buffers.room(len, self.encoding.limits.max_input.max(self.decoding.limits.max_input))
    }

    /// Encodes the first `len` bytes of the input, JSON, to CBOR.
    ///
    /// # Errors
    ///
    /// The errors of [`Encoder::encode`].
    pub fn encode(&mut self, len: usize) -> Result<Repairs, Error> {
        let (json, cbor) = self.buffers.take(len);
        self.encoder.encode(json.ok_or(too_large(self.encoding))?, cbor)
    }

    /// Decodes the first `len` bytes of the input, CBOR, to JSON.
    ///
    /// # Errors
    ///
    /// The errors of [`Decoder::decode`].
    pub fn decode(&mut self, len: usize) -> Result<Decoded, Error> {
        let (cbor, json) = self.buffers.take(len);
        self.decoder.decode(cbor.ok_or(too_large(self.decoding))?, json)
    }
}

fn too_large(settings: Settings) -> Error {
    Error { kind: ErrorKind::InputTooLarge, offset: settings.limits.max_input }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::KEPT_BYTES;
    use crate::settings::Bounds;
    use lowband_codec::Limits;

    #[test]
    fn an_input_above_the_limit_gets_no_room_and_the_codec_s_own_error() {
        let tables = Tables::default();
        let mut one_shot = OneShot::new(&tables);
        let limit = 2 * KEPT_BYTES;
        let bounds = Bounds { max_input: Some(limit as u32), ..Bounds::default() };
        let small = Settings::new(Tables::V1, 0, 0, bounds, Limits::ENCODE, &tables).unwrap();
        one_shot.set_encoding(small, &tables);
        assert!(one_shot.input(limit + 1).is_some(), "decoding may still take it");
        let refused = Error { kind: ErrorKind::InputTooLarge, offset: limit };
        assert_eq!(one_shot.encode(limit + 1), Err(refused), "the room is there, the codec refuses");
        one_shot.set_decoding(small, &tables);
        assert_eq!(one_shot.input(limit + 2), None);
        assert_eq!(one_shot.encode(limit + 2), Err(refused), "the room is not there");
        assert_eq!(one_shot.decode(limit + 2), Err(refused));
    }

    #[test]
    fn nothing_stands_in_the_output_after_an_error() {
        let tables = Tables::default();
        let mut one_shot = OneShot::new(&tables);
        assert!(one_shot.input(2).is_some());
        assert_eq!(
            one_shot.decode(1),
            Ok(Decoded::default()),
            "the room begins as zeros, and 00 is the integer 0"
        );
        assert_eq!(one_shot.buffers.output(), b"0");
        assert!(one_shot.encode(1).is_err());
        assert_eq!(one_shot.buffers.output(), b"");
    }
}

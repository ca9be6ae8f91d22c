//! One document at a time, from the input to the output.
//!
//! An encoder and a decoder are kept for the settings used last: callers seldom change them.

use crate::buffers::Buffers;
use crate::settings::Settings;
use crate::tables::Tables;
use lowband_codec::{
    DecodeOptions, Decoded, Decoder, Encoder, Error, ErrorKind, Limits, Repairs, diagnostic, sequence,
};

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

    /// Decodes the first `len` bytes of the input, a CBOR sequence (RFC 8742), to JSON texts with a line end
    /// between them, which stands in none of them.
    ///
    /// # Errors
    ///
    /// The errors of [`Decoder::decode`], with the offset in the sequence. The limit of the output is for all
    /// texts together.
    pub fn decode_sequence(&mut self, len: usize) -> Result<(), Error> {
        let (cbor, json) = self.buffers.take(len);
        let limits = self.decoding.limits;
        let decoded = decode_items(&mut self.decoder, limits, cbor.ok_or(too_large(self.decoding))?, json);
        if decoded.is_err() {
            json.clear();
        }
        decoded
    }

    /// Writes the first `len` bytes of the input, CBOR, in diagnostic notation, with the settings for
    /// decoding; the items of a sequence (RFC 8742) are divided by commas.
    ///
    /// # Errors
    ///
    /// The errors of [`diagnostic::from_cbor`].
    pub fn diagnose(&mut self, len: usize, pretty: bool, tables: &Tables) -> Result<(), Error> {
        let (cbor, text) = self.buffers.take(len);
        let DecodeOptions { keys, limits } = self.decoding.decode_options(tables);
        let options = diagnostic::Options { keys, pretty, sequence: true, limits };
        let written = diagnostic::from_cbor(cbor.ok_or(too_large(self.decoding))?, options, text);
        if written.is_err() {
            text.clear();
        }
        written
    }
}

fn decode_items(
    decoder: &mut Decoder<'_>,
    limits: Limits,
    cbor: &[u8],
    json: &mut Vec<u8>,
) -> Result<(), Error> {
    if cbor.len() > limits.max_input {
        return Err(Error { kind: ErrorKind::InputTooLarge, offset: limits.max_input });
    }
    let mut start = 0;
    // A string of indefinite length counts here, and not for the decoder.
    for item in sequence::items(cbor, limits.max_depth.saturating_add(1)) {
        if start > 0 {
            json.push(b'\n');
        }
        // What is not well-formed goes to the decoder too, which may refuse something before.
        let end = item.as_ref().map_or(cbor.len(), |item| item.end);
        let decoded = decoder.decode(cbor.get(start..end).unwrap_or_default(), json);
        decoded.map_err(|error| Error { offset: start + error.offset, ..error })?;
        item?;
        if json.len() > limits.max_output {
            return Err(Error { kind: ErrorKind::OutputTooLarge, offset: start });
        }
        start = end;
    }
    Ok(())
}

fn too_large(settings: Settings) -> Error {
    Error { kind: ErrorKind::InputTooLarge, offset: settings.limits.max_input }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::KEPT_BYTES;
    use crate::settings::Bounds;

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

    /// Runs a call on these bytes; returns its output.
    fn called(
        one_shot: &mut OneShot,
        cbor: &[u8],
        call: impl FnOnce(&mut OneShot, usize) -> Result<(), Error>,
    ) -> Result<String, Error> {
        one_shot.buffers.write(cbor);
        let called = call(one_shot, cbor.len());
        let output = String::from_utf8(one_shot.buffers.output().to_vec()).unwrap();
        assert!(called.is_ok() || output.is_empty(), "nothing stands in the output after an error");
        called.map(|()| output)
    }

    #[test]
    fn a_sequence_is_a_line_for_each_item_or_an_error_in_the_whole() {
        let mut one_shot = OneShot::new(&Tables::default());
        let mut decode = |cbor: &[u8]| called(&mut one_shot, cbor, OneShot::decode_sequence);
        assert_eq!(decode(b"").as_deref(), Ok(""));
        assert_eq!(decode(b"\xa1\x02\x01\x62\n1\x80").as_deref(), Ok("{\"type\":1}\n\"\\n1\"\n[]"));
        for (cbor, kind, offset) in [
            (b"\x01\x41\x00".as_slice(), ErrorKind::ByteString, 1),
            (b"\x01\x82\x41\x00\x1c", ErrorKind::ByteString, 2),
            (b"\x01\x1c", ErrorKind::InvalidHead, 1),
            (b"\x01\x82\x01", ErrorKind::UnexpectedEnd, 3),
        ] {
            assert_eq!(decode(cbor), Err(Error { kind, offset }), "{cbor:02x?}");
        }
        let deep = [vec![0; 1], vec![0x81; 129], vec![0]].concat();
        assert_eq!(decode(&deep), Err(Error { kind: ErrorKind::TooDeep, offset: 129 }));
        let in_the_deep = [vec![0x81; 128], b"\x7f\x61a\xff".to_vec()].concat();
        assert!(decode(&in_the_deep).is_ok(), "a text of indefinite length is not a container");
    }

    #[test]
    fn the_limits_are_for_the_whole_sequence() {
        let tables = Tables::default();
        let mut one_shot = OneShot::new(&tables);
        let bounds = Bounds { max_input: Some(4), max_output: Some(5), max_depth: None };
        let small = Settings::new(Tables::V1, 0, 0, bounds, Limits::DECODE, &tables).unwrap();
        one_shot.set_decoding(small, &tables);
        let mut decode = |cbor: &[u8]| called(&mut one_shot, cbor, OneShot::decode_sequence);
        assert_eq!(decode(b"\x01\x02\x03").as_deref(), Ok("1\n2\n3"));
        assert_eq!(decode(b"\x01\x02\x03\x04"), Err(Error { kind: ErrorKind::OutputTooLarge, offset: 3 }));
        assert_eq!(decode(b"\x01\x02\x03\x04\x05"), Err(Error { kind: ErrorKind::InputTooLarge, offset: 4 }));
    }

    #[test]
    fn what_json_cannot_say_is_diagnosed() {
        let tables = Tables::default();
        let mut one_shot = OneShot::new(&tables);
        let mut diagnose = |cbor: &[u8], pretty| {
            called(&mut one_shot, cbor, |one_shot, len| one_shot.diagnose(len, pretty, &tables))
        };
        assert_eq!(diagnose(b"\xa1\x02\x41\xff\x01", false).as_deref(), Ok("{/ type / 2: h'ff'}, 1"));
        assert_eq!(diagnose(b"\x81\x01", true).as_deref(), Ok("[\n  1\n]"));
        assert_eq!(diagnose(b"\x82\x01", false), Err(Error { kind: ErrorKind::UnexpectedEnd, offset: 2 }));
    }
}

//! CBOR -> JSON, a line for each item: an item at a time, or in pieces those that are long.

use super::super::exit::Failure;
use super::documents::{Convert, Part};
use super::pretty::Indenter;
use super::{MAX_WHOLE, limits, not_cbor};
use lowband_codec::{DecodeOptions, Decoder, KeyTable, PushDecoder};

/// Converts the items of an input.
pub(super) struct ToJson<'t> {
    keys: Option<&'t KeyTable>,
    decoder: Decoder<'t>,
    /// True if every item is converted in pieces.
    stream: bool,
    pretty: bool,
    /// The item so far.
    whole: Vec<u8>,
    /// The item so far, if it is converted in pieces.
    pieces: Option<PushDecoder<'t>>,
    indenter: Indenter,
    json: Vec<u8>,
}

impl<'t> ToJson<'t> {
    pub(super) fn new(keys: Option<&'t KeyTable>, stream: bool, pretty: bool) -> ToJson<'t> {
        ToJson {
            keys,
            decoder: Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }),
            stream,
            pretty,
            whole: Vec::new(),
            pieces: None,
            indenter: Indenter::default(),
            json: Vec::new(),
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        if self.pretty {
            self.indenter.push(&self.json, out);
        } else {
            out.extend_from_slice(&self.json);
        }
        self.json.clear();
    }
}

impl Convert for ToJson<'_> {
    fn take(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let refused = |error| not_cbor(part.place, error);
        let long = self.whole.len() + part.bytes.len() > MAX_WHOLE;
        if self.pieces.is_none() && (self.stream || long) {
            let mut pieces = PushDecoder::new(DecodeOptions { keys: self.keys, limits: limits() });
            let begun = pieces.push(&std::mem::take(&mut self.whole), &mut self.json);
            self.pieces = Some(pieces);
            begun.map_err(refused)?;
        }
        if let Some(pieces) = &mut self.pieces {
            let mut taken = pieces.push(part.bytes, &mut self.json);
            if part.ends {
                taken = taken.and_then(|()| pieces.finish(&mut self.json).map(|_| ()));
                self.pieces = None;
            }
            self.write(out);
            taken.map_err(refused)?;
        } else {
            // Most items are a part as a whole, which is not copied.
            let copied = !self.whole.is_empty() || !part.ends;
            if copied {
                self.whole.extend_from_slice(part.bytes);
            }
            if !part.ends {
                return Ok(());
            }
            let item = if copied { &self.whole } else { part.bytes };
            self.decoder.decode(item, &mut self.json).map_err(refused)?;
            self.whole.clear();
            self.write(out);
        }
        if part.ends {
            self.indenter = Indenter::default();
            out.push(b'\n');
        }
        Ok(())
    }
}

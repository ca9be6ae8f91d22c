//! JSON -> CBOR: a text at a time in canonical order, or in pieces.

use super::super::exit::{Exit, Failure};
use super::documents::{Convert, Part};
use super::form::Form;
use super::{MAX_WHOLE, limits, not_json};
use lowband_codec::{EncodeOptions, Encoder, KeyTable, Order, Policy, PushEncoder, PushOptions, Repairs};

/// Converts the texts of an input.
pub(super) struct ToCbor<'t> {
    encoder: Encoder<'t>,
    /// Set if every text is converted in pieces.
    pieces: Option<PushEncoder<'t>>,
    form: Form,
    /// What the input is called.
    name: String,
    /// The text so far.
    whole: Vec<u8>,
    cbor: Vec<u8>,
    repairs: Repairs,
}

impl<'t> ToCbor<'t> {
    pub(super) fn new(
        keys: Option<&'t KeyTable>,
        policy: Policy,
        stream: bool,
        form: Form,
        name: String,
    ) -> ToCbor<'t> {
        let options = EncodeOptions { keys, policy, order: Order::LengthFirst, ..EncodeOptions::default() };
        let in_pieces = PushOptions { keys, policy, limits: limits() };
        ToCbor {
            encoder: Encoder::new(options),
            pieces: stream.then(|| PushEncoder::new(in_pieces)),
            form,
            name,
            whole: Vec::new(),
            cbor: Vec::new(),
            repairs: Repairs::default(),
        }
    }

    /// Returns what was repaired in all texts.
    pub(super) fn repairs(&self) -> Repairs {
        self.repairs
    }

    fn write(&mut self, ends: bool, out: &mut Vec<u8>) {
        self.form.append(&self.cbor, ends, out);
        self.cbor.clear();
    }

    fn count(&mut self, repairs: Repairs) {
        let all = &mut self.repairs;
        all.big_integers += repairs.big_integers;
        all.huge_numbers += repairs.huge_numbers;
        all.repeated_keys += repairs.repeated_keys;
        all.lone_surrogates += repairs.lone_surrogates;
        all.too_deep += repairs.too_deep;
    }
}

impl Convert for ToCbor<'_> {
    fn take(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        if let Some(pieces) = &mut self.pieces {
            let refused = |error| not_json(part.place, error, None);
            pieces.push(part.bytes, &mut self.cbor).map_err(refused)?;
            if part.ends {
                let repairs = pieces.finish(&mut self.cbor).map_err(refused)?;
                pieces.reset();
                self.count(repairs);
            }
            self.write(part.ends, out);
            return Ok(());
        }
        if self.whole.len() + part.bytes.len() > MAX_WHOLE {
            let document = match part.place.document {
                1 => self.name.clone(),
                document => format!("document {document} of {}", self.name),
            };
            let message = format!(
                "{document} is longer than {MAX_WHOLE} bytes: canonical order needs it as a whole, \
                 --stream does not"
            );
            return Err(Failure::new(Exit::Read, message));
        }
        // Most texts are a part as a whole, which is not copied.
        let copied = !self.whole.is_empty() || !part.ends;
        if copied {
            self.whole.extend_from_slice(part.bytes);
        }
        if part.ends {
            let text = if copied { &self.whole } else { part.bytes };
            let encoded = self.encoder.encode(text, &mut self.cbor);
            let repairs = encoded.map_err(|error| not_json(part.place, error, Some(text)))?;
            self.whole.clear();
            self.count(repairs);
            self.write(true, out);
        }
        Ok(())
    }
}

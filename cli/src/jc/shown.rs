//! CBOR for people: diagnostic notation (RFC 8949 section 8), or each byte with its meaning.

use super::super::exit::{Exit, Failure};
use super::documents::{Convert, Part, Place};
use super::{MAX_WHOLE, annotated, not_cbor};
use lowband_codec::annotate::{Annotated, Limits, Options};
use lowband_codec::{KeyTable, diagnostic};

/// How CBOR is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Diagnostic { pretty: bool },
    Annotated,
}

/// Shows the items of an input.
pub(super) struct Shown<'t> {
    keys: Option<&'t KeyTable>,
    view: View,
    /// What the input is called.
    name: String,
    /// The item so far.
    item: Vec<u8>,
}

impl<'t> Shown<'t> {
    pub(super) fn new(keys: Option<&'t KeyTable>, view: View, name: String) -> Shown<'t> {
        Shown { keys, view, name, item: Vec::new() }
    }

    fn show(&self, place: Place, item: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match self.view {
            View::Diagnostic { pretty } => {
                let options = diagnostic::Options { keys: self.keys, pretty, ..Default::default() };
                let written = diagnostic::from_cbor(item, options, out);
                out.push(b'\n');
                written.map_err(|error| not_cbor(place, error))
            }
            View::Annotated => {
                // The JSON text beside the items is not shown.
                let limits = Limits { max_json: 0, ..Limits::default() };
                let annotated =
                    Annotated::new(item, Options { keys: self.keys, limits, ..Options::default() });
                if place.document > 1 {
                    out.extend_from_slice(
                        format!("# item {}, at byte {}\n", place.document, place.offset).as_bytes(),
                    );
                }
                annotated::append(&annotated, out);
                annotated.error().map_or(Ok(()), |error| Err(not_cbor(place, error)))
            }
        }
    }
}

impl Convert for Shown<'_> {
    fn take(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.item.len() + part.bytes.len() > MAX_WHOLE {
            let name = &self.name;
            let message = format!(
                "item {} of {name} is longer than {MAX_WHOLE} bytes: -c2j converts it, but it \
                 cannot be shown",
                part.place.document
            );
            return Err(Failure::new(Exit::Read, message));
        }
        // Most items are a part as a whole, which is not copied.
        if self.item.is_empty() && part.ends {
            return self.show(part.place, part.bytes, out);
        }
        self.item.extend_from_slice(part.bytes);
        if part.ends {
            let item = std::mem::take(&mut self.item);
            self.show(part.place, &item, out)?;
        }
        Ok(())
    }
}

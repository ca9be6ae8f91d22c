//! The properties of the client that the header fields of a request show: its answer depends on nothing else.

use crate::config::Config;
use crate::discovery::Document;
use crate::headers::{Field, Headers};
use crate::negotiate::{Form, answer, form_of};
use crate::path::{Segments, has_dot_segment};
use lowband_codec::KeyTable;
use lowband_codec::paths::is_media;

/// The properties of the client on which the answer depends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// The form that the client reads.
    pub(crate) reads: Form,
    /// The key table that the client knows; `None` for none.
    pub(crate) keys: Option<&'static KeyTable>,
    /// True if the sidecar has stated the key table, so that nothing has to be inferred from the body.
    pub(crate) keys_are_told: bool,
    /// True if the client asked for the header fields alone (HEAD).
    pub(crate) head: bool,
    /// True if the request uploads or downloads files.
    pub(crate) media: bool,
    /// The discovery document that the client asked for, if any of its values are to be exchanged; else
    /// `None`.
    pub(crate) document: Option<Document>,
    /// True if the path may lead elsewhere than it seems to.
    pub(crate) strays: bool,
}

impl Client {
    /// Returns the client of a stream whose request has not been seen: it gets what every client can read.
    pub(crate) fn unknown(config: &Config) -> Client {
        let keys = config.default_key_table;
        Client {
            reads: Form::Json,
            keys,
            keys_are_told: false,
            head: false,
            media: false,
            document: None,
            strays: false,
        }
    }

    /// Reads the client's properties from the header fields of its request.
    pub(crate) fn of(config: &Config, headers: &Headers<'_>) -> Client {
        // The key table of the session: 0 is none, 1 and above version 1 (MSC3079: CoAP option 257). Only the
        // sidecar is believed.
        let keys = headers.get(Field::CborVersion).filter(|_| config.trusted).and_then(|version| {
            let version: u32 = std::str::from_utf8(&version).ok()?.parse().ok()?;
            Some((version > 0).then(KeyTable::v1))
        });
        let method = headers.get(Field::Method).unwrap_or_default();
        let path = headers.get(Field::Path).unwrap_or_default();
        let strays = has_dot_segment(&path);
        let path = Segments::of(&path);
        // The path is judged as written: a name in escapes concerns the homeserver alone.
        let media = path.below_root().is_some_and(is_media);
        let accept = headers.get(Field::Accept);
        Client {
            media,
            strays,
            reads: if media { Form::Json } else { answer(accept.as_deref(), form_of_body(headers)) },
            keys: keys.unwrap_or(config.default_key_table),
            keys_are_told: keys.is_some(),
            head: *method == *b"HEAD",
            document: Document::of(&method, path.as_slice())
                .filter(|document| document.concerns(&config.advertise)),
        }
    }
}

/// Returns the form of the request's body.
pub(crate) fn form_of_body(headers: &Headers<'_>) -> Form {
    headers.get(Field::ContentType).and_then(|value| form_of(&value)).unwrap_or_default()
}

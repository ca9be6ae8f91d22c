//! What the header fields of a request say of the client: all that its answer depends on.

use crate::config::Config;
use crate::discovery::Document;
use crate::headers::{Field, Headers};
use crate::negotiate::{Form, answer, form_of};
use crate::path::{Segments, has_dot_segment};
use lowband_codec::KeyTable;
use lowband_codec::paths::is_media;

/// What is known of the client that the answer depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// The form it reads.
    pub(crate) reads: Form,
    /// The integer keys that it knows.
    pub(crate) keys: Option<&'static KeyTable>,
    /// Whether the sidecar has said so, so that nothing has to be concluded from the body.
    pub(crate) keys_are_told: bool,
    /// It asked for the header fields alone.
    pub(crate) head: bool,
    /// It uploads or downloads files.
    pub(crate) media: bool,
    /// It asked for a document in which something is to be exchanged.
    pub(crate) document: Option<Document>,
    /// Its path may lead elsewhere than it seems to.
    pub(crate) strays: bool,
}

impl Client {
    /// Before its request has been seen: it gets what everybody can read.
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

    /// From the header fields of its request.
    pub(crate) fn of(config: &Config, headers: &Headers<'_>) -> Client {
        // The key table of the session: 0 none, 1 and above version 1 (MSC3079: CoAP option 257). The
        // sidecar's word alone.
        let keys = headers.get(Field::CborVersion).filter(|_| config.trusted).and_then(|version| {
            let version: u32 = std::str::from_utf8(&version).ok()?.parse().ok()?;
            Some((version > 0).then(KeyTable::v1))
        });
        let method = headers.get(Field::Method).unwrap_or_default();
        let path = headers.get(Field::Path).unwrap_or_default();
        let strays = has_dot_segment(&path);
        let path = Segments::of(&path);
        // As it is written: a name in escapes is a matter of the homeserver's alone.
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

/// The form of the request's body.
pub(crate) fn form_of_body(headers: &Headers<'_>) -> Form {
    headers.get(Field::ContentType).and_then(|value| form_of(&value)).unwrap_or_default()
}

//! What the header fields of a request say of the client: all that its answer depends on.

use crate::config::Config;
use crate::discovery::Document;
use crate::headers::Headers;
use crate::negotiate::{Form, answer, form_of};
use lowband_codec::KeyTable;

/// The key table of the session: 0 none, 1 and above version 1 (MSC3079: CoAP option 257). The sidecar's word alone.
const CBOR_VERSION: &str = "lowband-cbor-version";

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
}

impl Client {
    /// Before its request has been seen: it gets what everybody can read.
    pub(crate) fn unknown(config: &Config) -> Client {
        let keys = config.default_key_table;
        Client { reads: Form::Json, keys, keys_are_told: false, head: false, media: false, document: None }
    }

    /// From the header fields of its request.
    pub(crate) fn of(config: &Config, headers: &Headers<'_>) -> Client {
        let keys = headers.get(CBOR_VERSION).filter(|_| config.trusted).and_then(|version| {
            let version: u32 = std::str::from_utf8(&version).ok()?.parse().ok()?;
            Some((version > 0).then(KeyTable::v1))
        });
        let (method, path) =
            (headers.get(":method").unwrap_or_default(), headers.get(":path").unwrap_or_default());
        let media = is_media(&path);
        let accept = headers.get("accept");
        Client {
            media,
            reads: if media { Form::Json } else { answer(accept.as_deref(), form_of_body(headers)) },
            keys: keys.unwrap_or(config.default_key_table),
            keys_are_told: keys.is_some(),
            head: *method == *b"HEAD",
            document: Document::of(&method, &path).filter(|document| document.concerns(&config.advertise)),
        }
    }
}

/// The form of the request's body.
pub(crate) fn form_of_body(headers: &Headers<'_>) -> Form {
    headers.get("content-type").and_then(|value| form_of(&value)).unwrap_or_default()
}

/// The content repository (Client-Server API, "Content repository"), under each of its prefixes. There `content-type` names
/// a file, and a file stays as it is.
fn is_media(path: &[u8]) -> bool {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').take(6).collect();
    let below_client = match segments.as_slice() {
        [b"", b"_matrix", b"media", ..] => return true,
        [b"", b"_matrix", b"client", b"unstable", _feature, below @ ..] => below,
        [b"", b"_matrix", b"client", _version, below @ ..] => below,
        _ => return false,
    };
    below_client.first() == Some(&&b"media"[..])
}

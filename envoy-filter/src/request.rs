//! The request's half of a stream: CBOR becomes JSON before the homeserver sees anything.

use crate::config::Config;
use crate::exchange::Client;
use crate::headers::{Edit, Headers, describe_body, forget_the_bytes, is_encoded};
use crate::hold::Released;
use crate::negotiate::{Form, answer, form_of};
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use lowband_codec::{DecodeOptions, Decoder, ErrorKind, KeyTable, Limits};

/// What the sidecar tells the filter; none of it is for the homeserver, and none of it is believed from anybody else.
const FROM_THE_SIDECAR: &str = "lowband-";
/// The key table of the session: 0 none, 1 and above version 1 (MSC3079: CoAP option 257).
const CBOR_VERSION: &str = "lowband-cbor-version";

/// What the header fields say of the client.
pub(crate) fn client(config: &Config, headers: &Headers<'_>) -> Client {
    let keys = headers.get(CBOR_VERSION).filter(|_| config.trusted).and_then(|version| {
        let version: u32 = std::str::from_utf8(&version).ok()?.parse().ok()?;
        Some((version > 0).then(KeyTable::v1))
    });
    let media = headers.get(":path").is_some_and(|path| is_media(&path));
    Client {
        media,
        reads: if media { Form::Json } else { answer(headers.get("accept").as_deref(), form(headers)) },
        keys: keys.unwrap_or(config.default_key_table),
        keys_are_told: keys.is_some(),
        head: headers.get(":method").as_deref() == Some(b"HEAD"),
    }
}

/// [`Then::Hold`] when the body has to be translated.
pub(crate) fn headers(
    config: &Config,
    client: &Client,
    headers: &Headers<'_>,
    end: bool,
) -> Result<Step, MatrixError> {
    let mut edits: Vec<Edit> =
        headers.names_under(FROM_THE_SIDECAR).map(|name| Edit::remove(name.to_vec())).collect();
    if client.reads == Form::Cbor {
        // The homeserver knows JSON only, and a compressed answer could not be translated.
        edits.push(Edit::set("accept", Form::Json.media_type()));
        edits.push(Edit::remove(&b"accept-encoding"[..]));
    }
    if client.media || form(headers) == Form::Json {
        return Ok(Step { edits, then: Then::Forward });
    }
    if is_encoded(headers) {
        return Err(MatrixError::compressed());
    }
    if headers.content_length().is_some_and(|length| length > config.max_request_bytes as u64) {
        return Err(MatrixError::too_large(config.max_request_bytes));
    }
    edits.extend(describe_body(Form::Json, None));
    if end {
        // The host gives no body to a message that ends with its headers: an empty one stays empty.
        return Ok(Step { edits, then: Then::Forward });
    }
    edits.extend(forget_the_bytes(headers));
    Ok(Step { edits, then: Then::Hold })
}

/// The whole CBOR body becomes JSON, or the client hears why not.
pub(crate) fn whole(
    config: &Config,
    client: &mut Client,
    released: &Released,
    cbor: &[u8],
) -> Result<Step, MatrixError> {
    if cbor.is_empty() {
        return Ok(Then::Forward.into());
    }
    let max = config.max_request_bytes;
    let limits = Limits { max_input: max, max_output: max, max_depth: config.max_depth, ..Limits::default() };
    // Receivers take names and integers alike (MSC3079), whatever the client has said of itself.
    let mut decoder = Decoder::new(DecodeOptions { keys: Some(KeyTable::v1()), limits });
    let mut json = Vec::with_capacity(cbor.len().saturating_mul(3) / 2);
    let decoded = decoder.decode(cbor, &mut json).map_err(|error| match error.kind {
        ErrorKind::InputTooLarge | ErrorKind::OutputTooLarge => MatrixError::too_large(max),
        _ => MatrixError::not_json(format!("the body is no CBOR that stands for JSON: {error}")),
    })?;
    if decoded.integer_keys && !client.keys_are_told {
        client.keys = Some(KeyTable::v1());
    }
    let edits = describe_body(Form::Json, released.content_length(json.len()));
    Ok(Step { edits, then: Then::Replace(json) })
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

fn form(headers: &Headers<'_>) -> Form {
    headers.get("content-type").and_then(|value| form_of(&value)).unwrap_or_default()
}

//! The answer's half of a stream: JSON becomes CBOR for a client that reads it.

use crate::client::Client;
use crate::config::Config;
use crate::headers::{Edit, Headers, describe_body, forget_the_bytes, is_encoded};
use crate::hold::Released;
use crate::negotiate::{Form, form_of};
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use lowband_codec::{EncodeOptions, Encoder, ErrorKind, Limits, Policy};

/// [`Then::Hold`] when the body has to be translated.
pub(crate) fn headers(
    config: &Config,
    client: &Client,
    headers: &Headers<'_>,
    end: bool,
) -> Result<Step, MatrixError> {
    let status = headers.get(":status").unwrap_or_default();
    let json = headers.get("content-type").and_then(|value| form_of(&value)) == Some(Form::Json);
    // A part of a JSON text (206) is no JSON text.
    if !json || *status == *b"206" {
        return Ok(Then::Forward.into());
    }
    let mut edits: Vec<Edit> = vary_by_accept(headers).into_iter().collect();
    // Two messages without a body speak of the one that GET would get with 200 (RFC 9110 9.3.2, 15.4.5). In the others (204, a
    // length of 0) there is nothing to translate.
    let described = client.head || *status == *b"304";
    let bodiless = end && !described;
    if client.reads == Form::Json || is_encoded(headers) || bodiless {
        return Ok(Step { edits, then: Then::Forward });
    }
    edits.extend(forget_the_bytes(headers));
    if described {
        // The length of the CBOR is not known here, and that of the JSON would be wrong.
        edits.extend(describe_body(Form::Cbor, None));
        return Ok(Step { edits, then: Then::Forward });
    }
    if headers.content_length().is_some_and(|length| length > config.max_response_bytes as u64) {
        return Err(MatrixError::answer_too_large(config.max_response_bytes));
    }
    Ok(Step { edits, then: Then::Hold })
}

/// The whole JSON body becomes CBOR, or the client hears that the homeserver's answer is of no use.
pub(crate) fn whole(
    config: &Config,
    client: &Client,
    released: &Released,
    json: &[u8],
) -> Result<Step, MatrixError> {
    if json.is_empty() {
        return Ok(Then::Forward.into());
    }
    let max = config.max_response_bytes;
    let limits = Limits { max_input: max, max_output: max, ..Limits::default() };
    // Lenient: one odd event in a sync must not lock its reader out for ever.
    let options =
        EncodeOptions { keys: client.keys, policy: Policy::Lenient, limits, ..EncodeOptions::default() };
    let mut cbor = Vec::with_capacity(json.len());
    Encoder::new(options).encode(json, &mut cbor).map_err(|error| match error.kind {
        ErrorKind::InputTooLarge | ErrorKind::OutputTooLarge => MatrixError::answer_too_large(max),
        _ => MatrixError::bad_answer(format!("the homeserver's answer is no JSON: {error}")),
    })?;
    let edits = describe_body(Form::Cbor, released.content_length(cbor.len()));
    Ok(Step { edits, then: Then::Replace(cbor) })
}

/// The form of each JSON answer depends on `Accept`, also of one that stays JSON: caches have to know (RFC 9110 12.5.5).
fn vary_by_accept(headers: &Headers<'_>) -> Option<Edit> {
    let Some(vary) = headers.get("vary") else { return Some(Edit::set("vary", "Accept")) };
    let mut names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let named = names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept"));
    (!named).then(|| Edit::set("vary", [&vary, &b", Accept"[..]].concat()))
}

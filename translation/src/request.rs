//! The request's half of a stream: CBOR becomes JSON, as a whole. With `hold_headers` the homeserver sees
//! nothing of a request until then; without it, the header fields have left, and a request that turns out to
//! be broken breaks off there.

use crate::client::{Client, form_of_body};
use crate::config::Config;
use crate::headers::{
    Edit, Field, Headers, content_length, describe_body, forget_the_bytes, is_encoded, removals,
};
use crate::hold::{Hold, Released};
use crate::metrics::{Direction, Outcome, Tally};
use crate::negotiate::Form;
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use lowband_codec::{DecodeOptions, Decoder, ErrorKind, KeyTable, Limits};

/// Fields by which the sidecar informs the filter; none is for the homeserver, and none is believed from any
/// other client.
const FROM_THE_SIDECAR: &str = "lowband-";

/// Fields by which a client asks for less than the whole document, or for none if it has a copy, which may be
/// older than the advertised values.
const FOR_LESS: [&str; 4] = ["range", "if-range", "if-none-match", "if-modified-since"];

/// Decides by the header fields: returns a step, and whether the body is held to be translated.
pub(crate) fn headers(
    config: &Config,
    client: &Client,
    headers: &Headers<'_>,
    end: bool,
) -> Result<(Step, Hold), MatrixError> {
    if client.strays {
        return Err(MatrixError::dot_segment());
    }
    let mut edits: Vec<Edit> =
        headers.names_under(FROM_THE_SIDECAR).map(|name| Edit::remove(name.to_vec())).collect();
    // The homeserver knows only JSON. Nor may Envoy's own answers be CBOR for a client that prefers JSON.
    let names_cbor = || headers.get(Field::Accept).is_some_and(|accept| names_cbor(&accept));
    if client.reads == Form::Cbor || (!client.media && names_cbor()) {
        edits.push(Edit::set("accept", Form::Json.media_type().as_bytes()));
    }
    let looked_into = client.reads == Form::Cbor || client.document.is_some();
    let coding = headers.get(Field::AcceptEncoding);
    if looked_into && coding.is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
        // A compressed answer could not be inspected.
        edits.push(Edit::remove(&b"accept-encoding"[..]));
    }
    if client.document.is_some() {
        edits.extend(removals(headers, &FOR_LESS));
    }
    if client.media || form_of_body(headers) == Form::Json {
        return Ok((Step { edits, then: Then::Forward }, Hold::Free));
    }
    let too_long = headers.content_length().is_some_and(|length| length > config.max_request_bytes as u64);
    if is_encoded(headers) {
        // Header fields that may not wait cannot wait for this either.
        return match config.hold_headers && !end && !too_long {
            true => Ok((Then::Hold.into(), Hold::Compressed)),
            false => Err(MatrixError::compressed()),
        };
    }
    if too_long {
        return Err(MatrixError::too_large(config.max_request_bytes));
    }
    edits.extend(describe_body(Form::Json, None));
    if end {
        // The host gives no body to a message that ends with its headers, so an empty one stays empty.
        return Ok((Step { edits, then: Then::Forward }, Hold::Free));
    }
    edits.extend(forget_the_bytes(headers));
    let then = if config.hold_headers { Then::Hold } else { Then::Forward };
    Ok((Step { edits, then }, Hold::Held))
}

fn names_cbor(accept: &[u8]) -> bool {
    accept.windows(4).any(|word| word.eq_ignore_ascii_case(b"cbor"))
}

/// Translates the whole CBOR body to JSON, or returns the error for the client.
pub(crate) fn whole(
    config: &Config,
    client: &mut Client,
    tally: &mut Tally,
    released: &Released,
    cbor: &[u8],
) -> Result<Step, MatrixError> {
    if cbor.is_empty() {
        tally.message(Direction::Request, Outcome::Passed);
        return Ok(Then::Forward.into());
    }
    let max = config.max_request_bytes;
    let limits = Limits { max_input: max, max_output: max, max_depth: config.max_depth, ..Limits::default() };
    // Receivers accept names and integers alike (MSC3079), whatever the client has stated.
    let mut decoder = Decoder::new(DecodeOptions { keys: Some(KeyTable::v1()), limits });
    let mut json = Vec::with_capacity(cbor.len().saturating_mul(3) / 2);
    let decoded = decoder.decode(cbor, &mut json).map_err(|error| match error.kind {
        ErrorKind::InputTooLarge | ErrorKind::OutputTooLarge => MatrixError::too_large(max),
        _ => MatrixError::not_json(format!("the body is not CBOR that maps to JSON: {error}")),
    })?;
    if decoded.integer_keys && !client.keys_are_told {
        client.keys = Some(KeyTable::v1());
    }
    tally.translated(Direction::Request, cbor.len() as u64, json.len() as u64);
    let length = released.content_length(json.len()).filter(|_| config.hold_headers);
    Ok(Step { edits: length.map(content_length).into_iter().collect(), then: Then::Replace(json) })
}

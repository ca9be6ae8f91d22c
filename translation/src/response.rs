//! The answer's half of a stream: JSON becomes CBOR for a client that reads it, and discovery documents get
//! the advertised values.
//!
//! ```text
//! headers ─▶ Free: goes on as it is
//!        └─▶ Held ──its end has come──▶ translated whole ──▶ Free
//!               └──longer than `hold_response_bytes`──▶ Flowing: each chunk becomes CBOR as it comes ──▶ Free
//! ```
//!
//! An error is a Matrix error for the client as long as the header fields wait, and cuts the stream after
//! that (`exchange`). Without `hold_headers` they never wait, and leave in a form that is valid for any body.

use crate::client::Client;
use crate::common::{Common, Translated};
use crate::config::Config;
use crate::discovery::{Document, Miss, without_mark};
use crate::headers::{Edit, Field, Headers, content_length, describe_body, forget_the_bytes, is_encoded};
use crate::metrics::{Direction, Outcome, Tally};
use crate::negotiate::{Form, form_of};
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use lowband_codec::{EncodeOptions, Encoder, Limits, Policy, PushEncoder, PushOptions, Repairs};

/// The state of the answer.
#[derive(Debug, Default)]
pub(crate) enum Answer {
    /// Nothing has come, nothing is to be changed, or everything has gone on.
    #[default]
    Free,
    /// The body waits in the host's hands, and the header fields with it if they may.
    Held(Held),
    /// The header fields have left and the body follows chunk by chunk. Boxed, because few answers are so
    /// long.
    Flowing(Box<Flow>),
    /// The answer was cut. Anything more that comes is dropped.
    Gone,
}

/// An answer that is held.
#[derive(Debug)]
pub(crate) struct Held {
    /// The form in which the answer goes on.
    to: Form,
    document: Option<Document>,
    /// True for a document that is not labelled as JSON: its content decides what it is.
    by_content: bool,
    /// True if the status is 4xx or 5xx.
    is_error: bool,
    /// The longest body in bytes that waits; an answer announced as longer does not wait.
    limit: usize,
    /// Edits of the header fields if the answer goes on changed; `None` once the fields have left.
    edits: Option<Vec<Edit>>,
    rest: Rest,
}

/// An answer whose beginning has left.
#[derive(Debug)]
pub(crate) struct Flow {
    encoder: PushEncoder<'static>,
    rest: Rest,
    bytes_in: u64,
    bytes_out: u64,
}

/// The part of a message that has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// More of the body, or its end.
    Body,
    /// The body is complete, and trailers wait after it.
    Trailers,
    /// Nothing is left to come.
    Nothing,
}

/// Decides by the answer's header fields: returns a step, and sets how the body is handled.
pub(crate) fn headers(
    config: &Config,
    client: &Client,
    tally: &mut Tally,
    headers: &Headers<'_>,
    end: bool,
) -> (Step, Answer) {
    let forward = |edits| (Step { edits, then: Then::Forward }, Answer::Free);
    let status = headers.get(Field::Status).unwrap_or_default();
    let label = headers.get(Field::ContentType);
    let labelled = label.as_deref().and_then(form_of) == Some(Form::Json);
    let mut missed =
        |miss| client.document.into_iter().for_each(|document| tally.unadvertised(document, miss));
    // A part of a JSON text is not a JSON text.
    if *status == *b"206" {
        missed(Miss::Partial);
        return forward(Vec::new());
    }
    // Two messages without a body describe the one that GET would get with 200 (RFC 9110 sections 9.3.2,
    // 15.4.5). In the others (204, a length of 0) there is nothing to translate.
    let not_modified = *status == *b"304";
    let described = client.head || not_modified;
    let document = client.document.filter(|_| *status == *b"200" || not_modified);
    let by_content = !labelled && document.is_some() && (label.is_some() || !not_modified);
    // If the body cannot be waited for, the label of a document must be believed when it names a type that
    // documents do not have.
    let unseen = described || !config.hold_headers;
    let readable = labelled || (by_content && (!unseen || may_be_json(label.as_deref())));
    let (encoded, empty) = (is_encoded(headers), end && !described);
    if document.is_some() && !described {
        match () {
            () if encoded => missed(Miss::Encoded),
            () if empty || !readable => missed(Miss::NotJson),
            () => {}
        }
    }
    if !readable {
        return forward(Vec::new());
    }
    let vary: Vec<Edit> = vary_by_accept(headers).into_iter().collect();
    let unchanged = || if labelled { forward(vary.clone()) } else { forward(Vec::new()) };
    let nothing_to_do = client.reads == Form::Json && document.is_none();
    if nothing_to_do || encoded || empty {
        return unchanged();
    }
    let mut edits = forget_the_bytes(headers);
    if client.reads == Form::Cbor || by_content {
        edits.extend(describe_body(client.reads, None));
    }
    if described {
        // The length of the body is not known here, and a stated one would be wrong.
        return forward([vary, edits].concat());
    }
    let (announced, limit) = (headers.content_length(), config.hold_response_bytes);
    let too_long = announced.is_some_and(|announced| announced > limit as u64);
    if too_long && document.is_some() {
        missed(Miss::TooLong);
        if client.reads == Form::Json || by_content {
            return unchanged();
        }
    }
    // The bytes that wait and the next piece must stay below the host's own limit. Above it the host answers
    // in place of the filter, or cuts if the header fields have left: in that mode only answers known to be
    // short, and documents, wait.
    let waits = !too_long && (config.hold_headers || announced.is_some() || document.is_some());
    let limit = if waits { limit } else { 0 };
    let document = document.filter(|_| !too_long);
    let is_error = matches!(status.first(), Some(b'4' | b'5'));
    let held = |edits| {
        Answer::Held(Held {
            to: client.reads,
            document,
            by_content,
            is_error,
            limit,
            edits,
            rest: Rest::Body,
        })
    };
    match (config.hold_headers, by_content) {
        (true, false) => (Step { edits: vary, then: Then::Hold }, held(Some(edits))),
        (true, true) => (Then::Hold.into(), held(Some([vary, edits].concat()))),
        (false, _) => (Step { edits: [vary, edits].concat(), then: Then::Forward }, held(None)),
    }
}

/// Returns true if a document may have this type: web servers give no better type to a file whose name has no
/// extension.
fn may_be_json(label: Option<&[u8]>) -> bool {
    const OF_FILES: [&str; 4] =
        ["application/octet-stream", "binary/octet-stream", "text/plain", "text/json"];
    label.is_none_or(|label| {
        let essence = label.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        essence.is_empty() || OF_FILES.iter().any(|known| essence.eq_ignore_ascii_case(known.as_bytes()))
    })
}

impl Answer {
    /// Takes a chunk; the host holds `bytes` now. `end`: the body is complete.
    pub(crate) fn chunk(&mut self, bytes: usize, end: bool) -> Then {
        match self {
            Answer::Free => Then::Forward,
            Answer::Gone => Then::Hold,
            Answer::Held(held) if end => held.take(Rest::Nothing),
            Answer::Held(held) if bytes > held.limit => held.take(Rest::Body),
            Answer::Held(_) => Then::Hold,
            Answer::Flowing(flow) => {
                flow.rest = if end { Rest::Nothing } else { Rest::Body };
                Then::Take
            }
        }
    }

    /// Takes note of trailers, which complete the body (its last chunk was not marked as the end).
    pub(crate) fn trailers(&mut self, tally: &mut Tally) -> Result<Then, MatrixError> {
        match self {
            Answer::Free => Ok(Then::Forward),
            Answer::Gone => Ok(Then::Hold),
            Answer::Held(held) => Ok(held.take(Rest::Trailers)),
            // The host accepts no more of the body here; but its last bytes have left with its last bracket.
            Answer::Flowing(flow) if flow.encoder.is_complete() => {
                flow.has_left(tally);
                *self = Answer::Free;
                Ok(Then::Forward)
            }
            Answer::Flowing(_) => Err(MatrixError::incomplete_answer()),
        }
    }

    /// Takes the part of the body that the host held, after [`Then::Take`].
    pub(crate) fn taken(
        &mut self,
        common: &Common,
        client: &Client,
        tally: &mut Tally,
        bytes: &[u8],
    ) -> Result<Step, MatrixError> {
        match std::mem::take(self) {
            Answer::Free => Ok(Then::Forward.into()),
            Answer::Gone => {
                *self = Answer::Gone;
                Ok(Then::Hold.into())
            }
            Answer::Held(held) if held.rest != Rest::Body => held.whole(common, client, tally, bytes),
            Answer::Held(held) => {
                if let Some(document) = held.document {
                    tally.unadvertised(document, Miss::TooLong);
                }
                if held.may_pass() {
                    tally.message(Direction::Response, Outcome::Passed);
                    return Ok(Then::Forward.into());
                }
                let edits = held.edits;
                let mut flow = Box::new(Flow::new(&common.config, client));
                // As long as the header fields wait, a mistake at the beginning can still be reported.
                let cbor = flow.push(bytes)?;
                *self = Answer::Flowing(flow);
                Ok(Step { edits: edits.unwrap_or_default(), then: Then::Replace(cbor) })
            }
            Answer::Flowing(mut flow) => {
                let cbor = flow.push(bytes)?;
                match flow.rest {
                    Rest::Nothing => flow.has_left(tally),
                    _ => *self = Answer::Flowing(flow),
                }
                Ok(Then::Replace(cbor).into())
            }
        }
    }
}

impl Held {
    fn take(&mut self, rest: Rest) -> Then {
        self.rest = rest;
        Then::Take
    }

    /// Returns true if the answer may go on unchanged: no statement about it has left, or only a true one.
    fn may_pass(&self) -> bool {
        self.to == Form::Json || (self.by_content && self.edits.is_some())
    }

    /// Translates the whole JSON body to the client's form, or returns the error for a homeserver's answer
    /// that is of no use.
    fn whole(
        self,
        common: &Common,
        client: &Client,
        tally: &mut Tally,
        json: &[u8],
    ) -> Result<Step, MatrixError> {
        let recent = (self.document == Some(Document::Versions)).then_some(&common.versions);
        if let Some(known) = recent.and_then(|recent| recent.get(json, self.to, client.keys)) {
            return Ok(self.replace(tally, json, known));
        }
        let mut exchanged = None;
        let (mut whole, mut is_document) = (json, false);
        if let Some(document) = self.document {
            whole = without_mark(json);
            let rewritten = document.rewrite(&common.config.advertise, whole);
            is_document = rewritten != Err(Miss::NotJson);
            exchanged = rewritten.unwrap_or_else(|miss| {
                tally.unadvertised(document, miss);
                None
            });
        }
        if json.is_empty() || (self.by_content && !is_document && self.may_pass()) {
            tally.message(Direction::Response, Outcome::Passed);
            return Ok(Then::Forward.into());
        }
        let is_exchanged = exchanged.is_some();
        let made = match (self.to, exchanged) {
            (Form::Json, None) => {
                tally.message(Direction::Response, Outcome::Passed);
                // The body is unchanged and gets its right type.
                let mut edits = self.edits.filter(|_| self.by_content).unwrap_or_default();
                edits.retain(|edit| edit.value.is_some());
                return Ok(Step { edits, then: Then::Forward });
            }
            (Form::Json, Some(body)) => Translated { body, repairs: Repairs::default() },
            (Form::Cbor, exchanged) => {
                match encode(&common.config, client, exchanged.as_deref().unwrap_or(whole)) {
                    Ok(made) => made,
                    // The page of a program in front of the homeserver, with a wrong type. Its status and its
                    // Retry-After are more useful than an error of ours.
                    Err(_) if self.is_error && self.edits.is_some() => {
                        tally.message(Direction::Response, Outcome::Passed);
                        let edits = vec![Edit::set("content-type", &b"text/plain"[..])];
                        return Ok(Step { edits, then: Then::Forward });
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        if let Some(recent) = recent.filter(|_| is_exchanged) {
            recent.put(json, self.to, client.keys, &made);
        }
        Ok(self.replace(tally, json, made))
    }

    /// Puts the translation in place of the body, and counts it.
    fn replace(self, tally: &mut Tally, json: &[u8], made: Translated) -> Step {
        let Translated { body, repairs } = made;
        match self.to {
            Form::Json => tally.message(Direction::Response, Outcome::Exchanged),
            Form::Cbor => tally.translated(Direction::Response, json.len() as u64, body.len() as u64),
        }
        tally.repairs(repairs);
        let edits = self.edits.map(|mut edits| {
            // No length is stated before trailers, because HTTP/1 sends none after a body of known length.
            if self.rest == Rest::Nothing {
                edits.retain(|edit| *edit.name != *b"content-length");
                edits.push(content_length(body.len()));
            }
            edits
        });
        Step { edits: edits.unwrap_or_default(), then: Then::Replace(body) }
    }
}

impl Flow {
    fn new(config: &Config, client: &Client) -> Flow {
        let options = PushOptions { keys: client.keys, policy: Policy::Lenient, limits: limits(config) };
        Flow { encoder: PushEncoder::new(options), rest: Rest::Body, bytes_in: 0, bytes_out: 0 }
    }

    /// Translates the next chunk to CBOR, with the rest of the text if it was the last.
    fn push(&mut self, json: &[u8]) -> Result<Vec<u8>, MatrixError> {
        self.bytes_in += json.len() as u64;
        let mut cbor = Vec::with_capacity(json.len());
        let pushed = self.encoder.push(json, &mut cbor).and_then(|()| match self.rest {
            Rest::Nothing => self.encoder.finish(&mut cbor).map(drop),
            _ => Ok(()),
        });
        pushed.map_err(|error| MatrixError::bad_answer(&error, self.bytes_in))?;
        self.bytes_out += cbor.len() as u64;
        Ok(cbor)
    }

    /// Counts an answer that has gone on to its end.
    fn has_left(&self, tally: &mut Tally) {
        tally.translated(Direction::Response, self.bytes_in, self.bytes_out);
        tally.repairs(self.encoder.repairs());
    }
}

/// Returns the limits of an answer, held or flowing. A held one is bounded by its length. Of a flowing one
/// only the part that grows with its depth and its keys is kept, and one text; a sync may have any length.
fn limits(config: &Config) -> Limits {
    let max_depth = config.max_depth_answers;
    Limits { max_input: usize::MAX, max_output: usize::MAX, max_depth, ..Limits::ENCODE }
}

fn encode(config: &Config, client: &Client, json: &[u8]) -> Result<Translated, MatrixError> {
    // The policy is lenient: one odd event in a sync must not lock its reader out for ever.
    let (keys, policy, limits) = (client.keys, Policy::Lenient, limits(config));
    let options = EncodeOptions { keys, policy, limits, ..EncodeOptions::default() };
    let mut body = Vec::with_capacity(json.len());
    let encoded = Encoder::new(options).encode(json, &mut body);
    let repairs = encoded.map_err(|error| MatrixError::bad_answer(&error, json.len() as u64))?;
    Ok(Translated { body, repairs })
}

/// Adds `Accept` to `Vary`. The form of each JSON answer depends on it, even if the answer stays JSON: caches
/// must know (RFC 9110 section 12.5.5).
fn vary_by_accept(headers: &Headers<'_>) -> Option<Edit> {
    let Some(vary) = headers.get(Field::Vary) else { return Some(Edit::set("vary", &b"Accept"[..])) };
    let mut names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let named = names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept"));
    (!named).then(|| Edit::set("vary", [&vary, &b", Accept"[..]].concat()))
}

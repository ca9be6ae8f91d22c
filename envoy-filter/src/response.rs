//! The answer's half of a stream: JSON becomes CBOR for a client that reads it, and discovery documents get what is advertised.
//!
//! ```text
//! headers ─▶ Free: goes on as it is
//!        └─▶ Held ──its end has come──▶ translated whole, or a Matrix error ──▶ Free
//!               └──longer than `hold_response_bytes`──▶ Flowing: each chunk becomes CBOR as it comes ──▶ Free
//!                                                          └──broken JSON, broken off──▶ Gone: the stream is cut
//! ```

use crate::client::Client;
use crate::config::Config;
use crate::discovery::Document;
use crate::headers::{Edit, Headers, content_length, describe_body, forget_the_bytes, is_encoded};
use crate::metrics::{Direction, Outcome, Reason, Tally};
use crate::negotiate::{Form, form_of};
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use lowband_codec::{EncodeOptions, Encoder, Limits, Policy, PushEncoder, PushOptions};

/// Where the answer is on its way.
#[derive(Debug, Default)]
pub(crate) enum Answer {
    /// Nothing has come, nothing is to be changed, or all of it has gone on.
    #[default]
    Free,
    /// Header fields and body wait in the host's hands.
    Held(Held),
    /// The header fields have left, the body follows chunk by chunk. Boxed, because few answers are so long.
    Flowing(Box<Flow>),
    /// It was cut. What still comes goes nowhere.
    Gone,
}

/// An answer that waits.
#[derive(Debug)]
pub(crate) struct Held {
    /// The form in which it goes on.
    to: Form,
    document: Option<Document>,
    /// The longest body that waits; nothing waits where a longer one is announced.
    limit: usize,
    /// Edits of the header fields when it goes on changed.
    edits: Vec<Edit>,
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

/// What of a message has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// More of the body, or its end.
    Body,
    /// The body is complete, trailers wait behind it.
    Trailers,
    /// All of it is there.
    Nothing,
}

/// What the answer's header fields decide: a step, and what is to be done with the body.
pub(crate) fn headers(config: &Config, client: &Client, headers: &Headers<'_>, end: bool) -> (Step, Answer) {
    let forward = |edits| (Step { edits, then: Then::Forward }, Answer::Free);
    let status = headers.get(":status").unwrap_or_default();
    let json = headers.get("content-type").and_then(|value| form_of(&value)) == Some(Form::Json);
    // A part of a JSON text (206) is no JSON text.
    if !json || *status == *b"206" {
        return forward(Vec::new());
    }
    let vary: Vec<Edit> = vary_by_accept(headers).into_iter().collect();
    let document = client.document.filter(|_| *status == *b"200");
    // Two messages without a body speak of the one that GET would get with 200 (RFC 9110 9.3.2, 15.4.5). In the others (204, a
    // length of 0) there is nothing to translate.
    let described = client.head || *status == *b"304";
    let nothing_to_do = client.reads == Form::Json && document.is_none();
    if nothing_to_do || is_encoded(headers) || (end && !described) {
        return forward(vary);
    }
    let mut edits = forget_the_bytes(headers);
    if client.reads == Form::Cbor {
        edits.extend(describe_body(Form::Cbor, None));
    }
    if described {
        // The length of the body is not known here, and the one that is told would be wrong.
        return forward([vary, edits].concat());
    }
    let announced = headers.content_length().unwrap_or_default();
    let limit = config.hold_response_bytes;
    let limit = if announced > limit as u64 { 0 } else { limit };
    let held = Held { to: client.reads, document, limit, edits, rest: Rest::Body };
    (Step { edits: vary, then: Then::Hold }, Answer::Held(held))
}

impl Answer {
    /// A chunk has come, and the host holds so many bytes now; `end`: that is all.
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

    /// Trailers have come: with them the body is complete (its last chunk was not called the end).
    pub(crate) fn trailers(&mut self, tally: &mut Tally) -> Then {
        match self {
            Answer::Free => Then::Forward,
            Answer::Gone => Then::Hold,
            Answer::Held(held) => held.take(Rest::Trailers),
            // The host takes no more of the body here; but its last bytes have left with its last bracket.
            Answer::Flowing(flow) if flow.encoder.is_complete() => {
                tally.translated(Direction::Response, flow.bytes_in, flow.bytes_out);
                tally.repairs(flow.encoder.repairs());
                *self = Answer::Free;
                Then::Forward
            }
            Answer::Flowing(_) => {
                *self = Answer::Gone;
                tally.failure(Direction::Response, Outcome::Cut, Reason::Incomplete);
                Then::Cut
            }
        }
    }

    /// What the host held of the body, after [`Then::Take`].
    pub(crate) fn taken(
        &mut self,
        config: &Config,
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
            Answer::Held(held) if held.rest != Rest::Body => held.whole(config, client, tally, bytes),
            // Too long for what was to be exchanged in it.
            Answer::Held(Held { to: Form::Json, .. }) => {
                tally.message(Direction::Response, Outcome::Passed);
                Ok(Then::Forward.into())
            }
            Answer::Held(Held { edits, .. }) => {
                let mut flow = Box::new(Flow::new(client));
                // Nothing has left yet: what is wrong with the beginning can still be told.
                let cbor = flow.push(bytes).map_err(|error| broken(&error))?;
                *self = Answer::Flowing(flow);
                Ok(Step { edits, then: Then::Replace(cbor) })
            }
            Answer::Flowing(mut flow) => {
                let cbor = flow.push(bytes);
                let ends = flow.rest == Rest::Nothing;
                match cbor {
                    Ok(cbor) => {
                        if ends {
                            tally.translated(Direction::Response, flow.bytes_in, flow.bytes_out);
                            tally.repairs(flow.encoder.repairs());
                        } else {
                            *self = Answer::Flowing(flow);
                        }
                        Ok(Then::Replace(cbor).into())
                    }
                    Err(error) => {
                        *self = Answer::Gone;
                        let incomplete = error.offset as u64 >= flow.bytes_in;
                        let reason = if incomplete { Reason::Incomplete } else { Reason::Malformed };
                        tally.failure(Direction::Response, Outcome::Cut, reason);
                        Ok(Then::Cut.into())
                    }
                }
            }
        }
    }
}

impl Held {
    fn take(&mut self, rest: Rest) -> Then {
        self.rest = rest;
        Then::Take
    }

    /// The whole JSON body becomes what the client reads, or the client hears that the homeserver's answer is of no use.
    fn whole(
        mut self,
        config: &Config,
        client: &Client,
        tally: &mut Tally,
        json: &[u8],
    ) -> Result<Step, MatrixError> {
        if json.is_empty() {
            tally.message(Direction::Response, Outcome::Passed);
            return Ok(Then::Forward.into());
        }
        let exchanged = self.document.and_then(|document| document.rewrite(&config.advertise, json));
        let body = match (self.to, exchanged) {
            (Form::Json, None) => {
                tally.message(Direction::Response, Outcome::Passed);
                return Ok(Then::Forward.into());
            }
            (Form::Json, Some(exchanged)) => {
                tally.message(Direction::Response, Outcome::Exchanged);
                exchanged
            }
            (Form::Cbor, exchanged) => encode(client, tally, exchanged.as_deref().unwrap_or(json))?,
        };
        // Nothing before trailers, because HTTP/1 sends none after a body of known length.
        if self.rest == Rest::Nothing {
            self.edits.retain(|edit| *edit.name != *b"content-length");
            self.edits.push(content_length(body.len()));
        }
        Ok(Step { edits: self.edits, then: Then::Replace(body) })
    }
}

impl Flow {
    fn new(client: &Client) -> Flow {
        // All that grows in it is bounded by the depth and by one text; a sync may be as long as it likes.
        let limits = Limits { max_input: usize::MAX, max_output: usize::MAX, ..Limits::default() };
        let options = PushOptions { keys: client.keys, policy: Policy::Lenient, limits };
        Flow { encoder: PushEncoder::new(options), rest: Rest::Body, bytes_in: 0, bytes_out: 0 }
    }

    /// The next chunk as CBOR, and what is left of it when this was the last one.
    fn push(&mut self, json: &[u8]) -> Result<Vec<u8>, lowband_codec::Error> {
        self.bytes_in += json.len() as u64;
        let mut cbor = Vec::with_capacity(json.len());
        self.encoder.push(json, &mut cbor)?;
        if self.rest == Rest::Nothing {
            self.encoder.finish(&mut cbor)?;
        }
        self.bytes_out += cbor.len() as u64;
        Ok(cbor)
    }
}

fn encode(client: &Client, tally: &mut Tally, json: &[u8]) -> Result<Vec<u8>, MatrixError> {
    // Lenient: one odd event in a sync must not lock its reader out for ever.
    let options = EncodeOptions { keys: client.keys, policy: Policy::Lenient, ..EncodeOptions::default() };
    let mut cbor = Vec::with_capacity(json.len());
    let repairs = Encoder::new(options).encode(json, &mut cbor).map_err(|error| broken(&error))?;
    tally.translated(Direction::Response, json.len() as u64, cbor.len() as u64);
    tally.repairs(repairs);
    Ok(cbor)
}

fn broken(error: &lowband_codec::Error) -> MatrixError {
    MatrixError::bad_answer(format!("the homeserver's answer is no JSON: {error}"))
}

/// The form of each JSON answer depends on `Accept`, also of one that stays JSON: caches have to know (RFC 9110 12.5.5).
fn vary_by_accept(headers: &Headers<'_>) -> Option<Edit> {
    let Some(vary) = headers.get("vary") else { return Some(Edit::set("vary", "Accept")) };
    let mut names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let named = names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept"));
    (!named).then(|| Edit::set("vary", [&vary, &b", Accept"[..]].concat()))
}

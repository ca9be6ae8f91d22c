//! One HTTP stream through the filter: the state machine that the shell drives.
//!
//! ```text
//! request    headers ──▶ Forward ─────────────────────────▶ body, trailers: Forward
//!               │ CBOR
//!               ▼
//!             Hold ──body: Hold──▶ last piece or trailers: Take ──whole──▶ Replace
//!               │                                  │                          │
//!               └── too large, compressed ─────────┴── malformed, too large ──┴──▶ Reply; no more of the request
//!
//! response   the same with JSON, for a client that reads CBOR; the reply is 502
//! ```
//!
//! The host's order is taken as it comes: an answer may begin while the request is still held, or before its headers were
//! ever seen (a reply of the host's own). The filter's own replies are left as they are when they come by.

use crate::client::Client;
use crate::config::Config;
use crate::headers::Headers;
use crate::hold::Hold;
use crate::reply::MatrixError;
use crate::step::{Step, Then};
use crate::{request, response};

/// One stream.
#[derive(Debug)]
pub struct Exchange {
    config: Config,
    client: Client,
    request: Hold,
    response: Hold,
    answered: bool,
}

impl Exchange {
    /// A stream that has just begun.
    pub fn new(config: Config) -> Self {
        let client = Client::unknown(&config);
        Exchange { config, client, request: Hold::Free, response: Hold::Free, answered: false }
    }

    /// The request's header fields have come; `end`: and there is no body.
    pub fn request_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        self.client = Client::of(&self.config, headers);
        let step = request::headers(&self.config, &self.client, headers, end);
        if matches!(&step, Ok(Step { then: Then::Hold, .. })) {
            self.request = Hold::Held;
        }
        self.conclude(step)
    }

    /// A piece of the request's body has come; `held` bytes are in the host's hands now. `end`: that is all of it.
    pub fn request_body(&mut self, held: usize, end: bool) -> Step {
        if self.answered {
            return Then::Hold.into();
        }
        let limit = self.config.max_request_bytes;
        let then = self.request.piece(held, end, limit);
        self.conclude(then.map(Step::from).map_err(|_| MatrixError::too_large(limit)))
    }

    /// Trailers follow the request's body, which is complete with that.
    pub fn request_trailers(&mut self) -> Step {
        if self.answered {
            return Then::Hold.into();
        }
        self.request.trailers().into()
    }

    /// The request's body, after [`Then::Take`].
    pub fn request_whole(&mut self, body: &[u8]) -> Step {
        let Some(released) = self.request.release() else { return Then::Forward.into() };
        let step = request::whole(&self.config, &mut self.client, &released, body);
        self.conclude(step)
    }

    /// The answer's header fields have come; `end`: and there is no body.
    pub fn response_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        if self.answered || self.client.media {
            return Then::Forward.into();
        }
        let step = response::headers(&self.config, &self.client, headers, end);
        if matches!(&step, Ok(Step { then: Then::Hold, .. })) {
            self.response = Hold::Held;
        }
        self.conclude(step)
    }

    /// A piece of the answer's body has come; `held` bytes are in the host's hands now. `end`: that is all of it.
    pub fn response_body(&mut self, held: usize, end: bool) -> Step {
        let then = self.response.piece(held, end, self.config.max_response_bytes);
        let limit = self.config.max_response_bytes;
        self.conclude(then.map(Step::from).map_err(|_| MatrixError::answer_too_large(limit)))
    }

    /// Trailers follow the answer's body, which is complete with that.
    pub fn response_trailers(&mut self) -> Step {
        self.response.trailers().into()
    }

    /// The answer's body, after [`Then::Take`].
    pub fn response_whole(&mut self, body: &[u8]) -> Step {
        let Some(released) = self.response.release() else { return Then::Forward.into() };
        let step = response::whole(&self.config, &self.client, &released, body);
        self.conclude(step)
    }

    /// The host refused a call, so that the message in hand is neither the old one nor the new one: it must not go on.
    pub fn host_refused(&mut self) -> Step {
        self.conclude(Err(MatrixError::internal()))
    }

    /// An error is told to the client in its own form, and ends the stream for both directions.
    fn conclude(&mut self, step: Result<Step, MatrixError>) -> Step {
        step.unwrap_or_else(|error| {
            self.answered = true;
            (self.request, self.response) = (Hold::Free, Hold::Free);
            Then::Reply(error.reply(self.client.reads, self.client.keys)).into()
        })
    }
}

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
//! response   the same with JSON, for a client that reads CBOR; but a long one flows (`response`). The reply is 502
//! ```
//!
//! Without `hold_headers` the headers are edited and forwarded in place of the first Hold, and all else is
//! equal: the homeserver sees a request that breaks off where the client gets its Reply. Once the headers of
//! the answer have left, a Reply is a Cut.
//!
//! Any order of the host's calls is accepted: an answer may begin while the request is still held, or before
//! its headers were ever seen (a reply of the host's own). The filter's own replies pass unchanged when the
//! host hands them back.

use crate::client::Client;
use crate::common::Common;
use crate::headers::Headers;
use crate::hold::Hold;
use crate::metrics::{Direction, Metric, Outcome, Tally};
use crate::negotiate::Form;
use crate::reply::MatrixError;
use crate::response::Answer;
use crate::step::{Step, Then};
use crate::{request, response};
use std::sync::Arc;

/// The state of one stream: a request and its response.
#[derive(Debug)]
pub struct Exchange {
    common: Arc<Common>,
    client: Client,
    request: Hold,
    response: Answer,
    answer_headers: HeaderState,
    /// True if the request has begun and not ended.
    begun: bool,
    /// True if the stream has ended with an error.
    over: bool,
    tally: Tally,
}

/// Where header fields are. A step may fail, so it is certain that they have left only when the next phase
/// comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderState {
    Here,
    Leaving,
    Gone,
}

impl Exchange {
    /// Makes the state of a stream that has just begun. A [`Config`](crate::config::Config) does for a stream
    /// that shares nothing with others.
    pub fn new(common: impl Into<Arc<Common>>) -> Self {
        let common = common.into();
        let client = Client::unknown(&common.config);
        Exchange {
            common,
            client,
            request: Hold::Free,
            response: Answer::Free,
            answer_headers: HeaderState::Here,
            begun: false,
            over: false,
            tally: Tally::default(),
        }
    }

    /// Takes out the counts since the last call.
    pub fn counted(&mut self) -> impl Iterator<Item = (Metric, u64)> {
        self.tally.drain()
    }

    /// Returns true if the client reads CBOR, as far as its request has shown.
    pub fn reads_cbor(&self) -> bool {
        self.client.reads == Form::Cbor
    }

    /// Returns true if the header fields of this direction wait for the body. A host that stops the body as
    /// well, as Envoy does without `allow_on_headers_stop_iteration`, never ends this wait.
    pub fn headers_wait(&self, direction: Direction) -> bool {
        let held = match direction {
            Direction::Request => self.request != Hold::Free,
            Direction::Response => matches!(self.response, Answer::Held(_)),
        };
        held && self.common.config.hold_headers
    }

    /// Takes the request's header fields. `end`: there is no body.
    pub fn request_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        self.client = Client::of(&self.common.config, headers);
        self.begun = !end;
        let decided = request::headers(&self.common.config, &self.client, headers, end);
        let step = decided.map(|(step, hold)| {
            self.request = hold;
            if hold == Hold::Free {
                self.tally.message(Direction::Request, Outcome::Passed);
            }
            step
        });
        self.conclude(Direction::Request, step)
    }

    /// Takes a piece of the request's body, of which the host now holds `held` bytes. `end`: the body is
    /// complete.
    pub fn request_body(&mut self, held: usize, end: bool) -> Step {
        self.begun &= !end;
        if self.over {
            return Then::Hold.into();
        }
        self.next_phase();
        let then = self.request.piece(held, end, self.common.config.max_request_bytes);
        self.conclude(Direction::Request, then.map(Step::from))
    }

    /// Takes note of trailers after the request's body, which is thereby complete.
    pub fn request_trailers(&mut self) -> Step {
        self.begun = false;
        if self.over {
            return Then::Hold.into();
        }
        self.next_phase();
        let then = self.request.trailers();
        self.conclude(Direction::Request, then.map(Step::from))
    }

    /// Takes the request's body, after [`Then::Take`].
    pub fn request_taken(&mut self, body: &[u8]) -> Step {
        let Some(released) = self.request.release() else { return Then::Forward.into() };
        let step = request::whole(&self.common.config, &mut self.client, &mut self.tally, &released, body);
        self.conclude(Direction::Request, step)
    }

    /// Takes the answer's header fields. `end`: there is no body.
    pub fn response_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        if self.over {
            return Then::Forward.into();
        }
        let (step, answer) = match self.client.media {
            true => (Then::Forward.into(), Answer::Free),
            false => response::headers(&self.common.config, &self.client, &mut self.tally, headers, end),
        };
        if matches!(answer, Answer::Free) {
            self.tally.message(Direction::Response, Outcome::Passed);
        }
        self.response = answer;
        self.conclude(Direction::Response, Ok(step))
    }

    /// Takes a piece of the answer's body, of which the host now holds `held` bytes. `end`: the body is
    /// complete.
    pub fn response_body(&mut self, held: usize, end: bool) -> Step {
        self.next_phase();
        self.response.chunk(held, end).into()
    }

    /// Takes note of trailers after the answer's body, which is thereby complete.
    pub fn response_trailers(&mut self) -> Step {
        self.next_phase();
        let then = self.response.trailers(&mut self.tally);
        self.conclude(Direction::Response, then.map(Step::from))
    }

    /// Takes the part of the answer's body that the host held, after [`Then::Take`].
    pub fn response_taken(&mut self, bytes: &[u8]) -> Step {
        let step = self.response.taken(&self.common, &self.client, &mut self.tally, bytes);
        self.conclude(Direction::Response, step)
    }

    /// Returns how many of the `held` bytes in the host's hands it holds for us; `None` once the request has
    /// ended.
    pub fn unfinished(&self, held: usize) -> Option<usize> {
        let bytes = if self.request == Hold::Free { 0 } else { held };
        (self.begun && !self.over).then_some(bytes)
    }

    /// Refuses the request, which has not ended, because others need the room.
    pub fn no_room(&mut self) -> Step {
        self.conclude(Direction::Request, Err(MatrixError::no_room()))
    }

    /// Cuts the request for want of room where an answer is not possible.
    pub fn cut_for_room(&mut self) -> Step {
        self.answer_headers = HeaderState::Gone;
        self.no_room()
    }

    /// Ends the stream after the host refused a call: the message in hand is neither the old one nor the new
    /// one, and must not go on.
    pub fn host_refused(&mut self, direction: Direction) -> Step {
        self.conclude(direction, Err(MatrixError::internal()))
    }

    /// Notes that the host has carried out the last phase's step.
    fn next_phase(&mut self) {
        if self.answer_headers == HeaderState::Leaving {
            self.answer_headers = HeaderState::Gone;
        }
    }

    /// Ends the stream for both directions after an error, which is reported to the client in its own form
    /// unless an answer has begun.
    fn conclude(&mut self, direction: Direction, step: Result<Step, MatrixError>) -> Step {
        let error = match step {
            Ok(step) => {
                let goes = matches!(step.then, Then::Forward | Then::Replace(_));
                if goes && direction == Direction::Response && self.answer_headers == HeaderState::Here {
                    self.answer_headers = HeaderState::Leaving;
                }
                return step;
            }
            Err(error) => error,
        };
        self.over = true;
        self.request = Hold::Free;
        if self.answer_headers == HeaderState::Gone {
            self.response = Answer::Gone;
            self.tally.failure(direction, Outcome::Cut, error.reason);
            return Then::Cut.into();
        }
        self.response = Answer::Free;
        self.tally.failure(direction, Outcome::Refused, error.reason);
        Then::Reply(error.reply(self.client.reads, self.client.keys)).into()
    }
}

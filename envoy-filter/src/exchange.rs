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
//! Without `hold_headers` the headers are edited and forwarded in place of the first Hold, and all else
//! stays: the homeserver sees a request that breaks off where the client gets its Reply. Once the headers of
//! the answer have left, a Reply is a Cut.
//!
//! The host's order is taken as it comes: an answer may begin while the request is still held, or before its
//! headers were ever seen (a reply of the host's own). The filter's own replies are left as they are when
//! they come by.

use crate::client::Client;
use crate::config::Config;
use crate::headers::Headers;
use crate::hold::Hold;
use crate::metrics::{Direction, Metric, Outcome, Tally};
use crate::negotiate::Form;
use crate::reply::MatrixError;
use crate::response::Answer;
use crate::step::{Step, Then};
use crate::{request, response};
use std::rc::Rc;

/// The state of one stream: a request and its response.
#[derive(Debug)]
pub struct Exchange {
    config: Rc<Config>,
    client: Client,
    request: Hold,
    response: Answer,
    answer_headers: HeaderState,
    /// The request has begun, and not ended.
    begun: bool,
    /// It has ended with an error.
    over: bool,
    tally: Tally,
}

/// Where header fields are. A step may fail, so that they have left for certain only when the
/// next phase comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderState {
    Here,
    Leaving,
    Gone,
}

impl Exchange {
    /// A stream that has just begun.
    pub fn new(config: impl Into<Rc<Config>>) -> Self {
        let config = config.into();
        let client = Client::unknown(&config);
        Exchange {
            config,
            client,
            request: Hold::Free,
            response: Answer::Free,
            answer_headers: HeaderState::Here,
            begun: false,
            over: false,
            tally: Tally::default(),
        }
    }

    /// Takes out what has been counted since the last time.
    pub fn counted(&mut self) -> impl Iterator<Item = (Metric, u64)> {
        self.tally.drain()
    }

    /// Whether the client reads CBOR, as far as its request has told.
    pub fn reads_cbor(&self) -> bool {
        self.client.reads == Form::Cbor
    }

    /// Whether the header fields of this direction wait for the body. A host that stops the body as well, as
    /// Envoy does without `allow_on_headers_stop_iteration`, never ends this.
    pub fn headers_wait(&self, direction: Direction) -> bool {
        let held = match direction {
            Direction::Request => self.request != Hold::Free,
            Direction::Response => matches!(self.response, Answer::Held(_)),
        };
        held && self.config.hold_headers
    }

    /// The request's header fields have come; `end`: and there is no body.
    pub fn request_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        self.client = Client::of(&self.config, headers);
        self.begun = !end;
        let decided = request::headers(&self.config, &self.client, headers, end);
        let step = decided.map(|(step, hold)| {
            self.request = hold;
            if hold == Hold::Free {
                self.tally.message(Direction::Request, Outcome::Passed);
            }
            step
        });
        self.conclude(Direction::Request, step)
    }

    /// A piece of the request's body has come; `held` bytes are in the host's hands now. `end`: that is
    /// all of it.
    pub fn request_body(&mut self, held: usize, end: bool) -> Step {
        self.begun &= !end;
        if self.over {
            return Then::Hold.into();
        }
        self.next_phase();
        let then = self.request.piece(held, end, self.config.max_request_bytes);
        self.conclude(Direction::Request, then.map(Step::from))
    }

    /// Trailers follow the request's body, which is complete with that.
    pub fn request_trailers(&mut self) -> Step {
        self.begun = false;
        if self.over {
            return Then::Hold.into();
        }
        self.next_phase();
        let then = self.request.trailers();
        self.conclude(Direction::Request, then.map(Step::from))
    }

    /// The request's body, after [`Then::Take`].
    pub fn request_taken(&mut self, body: &[u8]) -> Step {
        let Some(released) = self.request.release() else { return Then::Forward.into() };
        let step = request::whole(&self.config, &mut self.client, &mut self.tally, &released, body);
        self.conclude(Direction::Request, step)
    }

    /// The answer's header fields have come; `end`: and there is no body.
    pub fn response_headers(&mut self, headers: &Headers<'_>, end: bool) -> Step {
        if self.over {
            return Then::Forward.into();
        }
        let (step, answer) = match self.client.media {
            true => (Then::Forward.into(), Answer::Free),
            false => response::headers(&self.config, &self.client, &mut self.tally, headers, end),
        };
        if matches!(answer, Answer::Free) {
            self.tally.message(Direction::Response, Outcome::Passed);
        }
        self.response = answer;
        self.conclude(Direction::Response, Ok(step))
    }

    /// A piece of the answer's body has come; `held` bytes are in the host's hands now. `end`: that is
    /// all of it.
    pub fn response_body(&mut self, held: usize, end: bool) -> Step {
        self.next_phase();
        self.response.chunk(held, end).into()
    }

    /// Trailers follow the answer's body, which is complete with that.
    pub fn response_trailers(&mut self) -> Step {
        self.next_phase();
        let then = self.response.trailers(&mut self.tally);
        self.conclude(Direction::Response, then.map(Step::from))
    }

    /// What the host held of the answer's body, after [`Then::Take`].
    pub fn response_taken(&mut self, bytes: &[u8]) -> Step {
        let step = self.response.taken(&self.config, &self.client, &mut self.tally, bytes);
        self.conclude(Direction::Response, step)
    }

    /// How many bytes the host holds for us, of the so many in its hands, while the request has not come to
    /// its end; then None.
    pub fn unfinished(&self, held: usize) -> Option<usize> {
        let bytes = if self.request == Hold::Free { 0 } else { held };
        (self.begun && !self.over).then_some(bytes)
    }

    /// The request has not come to its end, and others need the room.
    pub fn no_room(&mut self) -> Step {
        self.conclude(Direction::Request, Err(MatrixError::no_room()))
    }

    /// The same where no answer can be given.
    pub fn cut_for_room(&mut self) -> Step {
        self.answer_headers = HeaderState::Gone;
        self.no_room()
    }

    /// The host refused a call, so that the message in hand is neither the old one nor the new one: it must
    /// not go on.
    pub fn host_refused(&mut self, direction: Direction) -> Step {
        self.conclude(direction, Err(MatrixError::internal()))
    }

    /// The host has carried out what the last phase asked for.
    fn next_phase(&mut self) {
        if self.answer_headers == HeaderState::Leaving {
            self.answer_headers = HeaderState::Gone;
        }
    }

    /// An error ends the stream for both directions. It is told to the client in its own form, unless an
    /// answer has begun.
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

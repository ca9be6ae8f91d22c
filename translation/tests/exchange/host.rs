//! Envoy as the exchange sees it: hands over phases, keeps held bytes, and sends on forwarded ones.
//!
//! Anything that Envoy would refuse, or would carry out wrongly, fails the test here: edits after the headers
//! have left, a body for a message that ended with its headers, a message that is neither sent nor answered.
//! And no part of a body leaves before it is known whether all of it is held or all of it flows.

use crate::messages::headers;
use lowband_translation::exchange::Exchange;
use lowband_translation::headers::Headers;
use lowband_translation::reply::Reply;
use lowband_translation::step::{Step, Then};

/// Header fields as owned pairs.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// One message, in the pieces in which it comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// All header fields.
    pub(crate) fields: Fields,
    /// The pieces of the body. Without any, the message ends with its headers (if it has no trailers).
    pub(crate) pieces: Vec<Vec<u8>>,
    /// True if an empty piece of its own marks the end of the body.
    pub(crate) late_end: bool,
    /// True if trailers follow the body.
    pub(crate) trailers: bool,
}

/// The outcome of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// The message went on, with these fields and this body.
    Sent(Fields, Vec<u8>),
    /// The client got this reply instead; no part of the body has left, but a request's fields may have.
    Replied(Reply),
    /// The message broke off after these fields and bytes.
    Cut(Fields, Vec<u8>),
}

impl Fate {
    /// Returns the fields and the body of a message that was sent.
    pub(crate) fn sent(self) -> (Fields, Vec<u8>) {
        match self {
            Fate::Sent(fields, body) => (fields, body),
            Fate::Replied(reply) => {
                panic!("replied {} {:?}", reply.status, String::from_utf8_lossy(&reply.body))
            }
            Fate::Cut(fields, body) => panic!("cut {fields:?} {body:?}"),
        }
    }

    /// Returns the reply that was given.
    pub(crate) fn replied(self) -> Reply {
        match self {
            Fate::Replied(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the parts that had left before the cut.
    pub(crate) fn cut(self) -> (Fields, Vec<u8>) {
        match self {
            Fate::Cut(fields, body) => (fields, body),
            other => panic!("{other:?}"),
        }
    }
}

/// The three phases of one direction, and the one that takes a body.
pub(crate) struct Direction {
    /// True if the client can be answered although the headers have left.
    answers_late: bool,
    headers: fn(&mut Exchange, &Headers<'_>, bool) -> Step,
    body: fn(&mut Exchange, usize, bool) -> Step,
    trailers: fn(&mut Exchange) -> Step,
    taken: fn(&mut Exchange, &[u8]) -> Step,
}

/// The direction towards the homeserver.
pub(crate) const REQUEST: Direction = Direction {
    answers_late: true,
    headers: Exchange::request_headers,
    body: Exchange::request_body,
    trailers: Exchange::request_trailers,
    taken: Exchange::request_taken,
};

/// The direction towards the client.
pub(crate) const RESPONSE: Direction = Direction {
    answers_late: false,
    headers: Exchange::response_headers,
    body: Exchange::response_body,
    trailers: Exchange::response_trailers,
    taken: Exchange::response_taken,
};

struct Passage {
    fields: Fields,
    headers_left: bool,
    has_body: bool,
    held: Vec<u8>,
    sent: Vec<u8>,
    waits: bool,
    trailers_wait: bool,
}

/// What the client got in place of the message.
enum End {
    Reply(Reply),
    Cut,
}

impl Passage {
    /// Carries a step out. Returns `Some` if the message goes no further.
    fn carry_out(&mut self, exchange: &mut Exchange, direction: &Direction, step: Step) -> Option<End> {
        assert!(
            step.edits.is_empty() || !self.headers_left,
            "edits after the headers have left: {:?}",
            step.edits
        );
        for edit in step.edits {
            self.fields.retain(|(name, _)| *name != *edit.name);
            self.fields.extend(edit.value.map(|value| (edit.name.to_vec(), value.into_owned())));
        }
        let waited = std::mem::replace(&mut self.waits, step.then == Then::Hold);
        match step.then {
            Then::Forward => {
                self.headers_left = true;
                self.sent.append(&mut self.held);
            }
            Then::Hold => assert!(self.sent.is_empty(), "held after a part of it has left"),
            Then::Take => {
                self.waits = waited;
                let body = self.held.clone();
                let step = (direction.taken)(exchange, &body);
                return self.carry_out(exchange, direction, step);
            }
            Then::Replace(body) => {
                assert!(self.has_body, "a body for a message without one");
                // The host accepts nothing more when trailers are next, unless the body waits.
                assert!(waited || !self.trailers_wait, "a body after its end");
                self.headers_left = true;
                self.held.clear();
                self.sent.extend(body);
            }
            Then::Reply(reply) => {
                assert!(direction.answers_late || !self.headers_left, "a reply after the headers have left");
                assert!(self.sent.is_empty(), "a reply after a part of the body has left");
                return Some(End::Reply(reply));
            }
            Then::Cut => {
                assert!(self.headers_left, "cut where an error could have been told");
                return Some(End::Cut);
            }
        }
        None
    }
}

impl Message {
    /// Returns true if nothing follows the headers.
    fn ends_with_headers(&self) -> bool {
        self.pieces.is_empty() && !self.trailers
    }

    /// Returns the pieces of the body, each with whether it is marked as the last.
    fn told(&self) -> Vec<(&[u8], bool)> {
        let mut told: Vec<(&[u8], bool)> =
            self.pieces.iter().map(|piece| (piece.as_slice(), false)).collect();
        if self.late_end && !told.is_empty() {
            told.push((b"", false));
        }
        if let Some((_, end)) = told.last_mut() {
            *end = !self.trailers;
        }
        told
    }
}

/// Passes one message through one direction of an exchange.
pub(crate) fn pass(exchange: &mut Exchange, direction: &Direction, message: &Message) -> Fate {
    let mut passage = Passage {
        fields: message.fields.clone(),
        headers_left: false,
        has_body: !message.pieces.is_empty(),
        held: Vec::new(),
        sent: Vec::new(),
        waits: false,
        trailers_wait: false,
    };
    match run(exchange, direction, message, &mut passage) {
        Some(End::Reply(reply)) => return Fate::Replied(reply),
        Some(End::Cut) => return Fate::Cut(passage.fields, passage.sent),
        None => {}
    }
    assert!(passage.headers_left && passage.held.is_empty() && !passage.waits, "the message hangs");
    Fate::Sent(passage.fields, passage.sent)
}

fn run(
    exchange: &mut Exchange,
    direction: &Direction,
    message: &Message,
    passage: &mut Passage,
) -> Option<End> {
    let step = (direction.headers)(exchange, &headers(message), message.ends_with_headers());
    if let Some(end) = passage.carry_out(exchange, direction, step) {
        return Some(end);
    }
    for (piece, end) in message.told() {
        passage.held.extend(piece);
        let step = (direction.body)(exchange, passage.held.len(), end);
        if let Some(end) = passage.carry_out(exchange, direction, step) {
            return Some(end);
        }
    }
    passage.trailers_wait = message.trailers;
    let step = message.trailers.then(|| (direction.trailers)(exchange))?;
    passage.carry_out(exchange, direction, step)
}

//! What an arriving message is: malformed, an answer to one of ours, a copy, or something new for the layer above.

use super::super::dedup::Answer;
use super::super::message::{Kind, Message};
use super::super::numbers::Code;
use super::{MessageLayer, Origin, Received};
use crate::SessionId;
use std::time::Instant;

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(in super::super) fn receive(
        &mut self,
        now: Instant,
        session: SessionId,
        bytes: &[u8],
    ) -> Received<O> {
        self.counters.messages_in += 1;
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(refused) => {
                self.count(refused.why);
                if let Some(id) = refused.reset {
                    self.reset(session, id);
                }
                return Received::Nothing;
            }
        };
        match (message.kind, message.code) {
            (Kind::Confirmable, Code::EMPTY) => {
                self.counters.pings += 1;
                self.reset(session, message.id);
                Received::Nothing
            }
            (Kind::NonConfirmable, Code::EMPTY) => {
                self.counters.empty_non_confirmable += 1;
                Received::Nothing
            }
            (Kind::Acknowledgement, Code::EMPTY) => match self.settle(now, session, message.id) {
                Some(owner) => Received::Acknowledged(owner),
                None => self.unmatched(),
            },
            (Kind::Reset, _) => {
                let of_copy = self.was_repeated(session, message.id);
                match self.settle(now, session, message.id) {
                    Some(of) => {
                        self.counters.resets_in += 1;
                        Received::Reset { of, of_copy }
                    }
                    None => self.unmatched(),
                }
            }
            (Kind::Acknowledgement, code) if code.is_request() => {
                self.counters.requests_in_acknowledgements += 1;
                let acknowledges = self.settle(now, session, message.id);
                match (self.recognise(session, &message), acknowledges) {
                    (None, acknowledges) => Received::Request { message, acknowledges },
                    (Some(_), Some(owner)) => Received::Acknowledged(owner),
                    (Some(_), None) => Received::Nothing,
                }
            }
            (Kind::Acknowledgement, _) => {
                let to = self.settle(now, session, message.id);
                Received::Response { message, to }
            }
            (Kind::Confirmable | Kind::NonConfirmable, _) => {
                if let Some(origin) = self.recognise(session, &message) {
                    Received::Duplicate(origin)
                } else if message.code.is_request() {
                    Received::Request { message, acknowledges: None }
                } else {
                    Received::Response { message, to: None }
                }
            }
        }
    }

    /// Whether this is a copy of a message that is remembered; it gets the same answer again.
    fn recognise(&mut self, session: SessionId, message: &Message) -> Option<Origin> {
        let origin = Origin::of(session, message);
        let answer = self.links.get(&session)?.seen.get(origin.key())?;
        if let Answer::Bytes(bytes) = answer {
            let bytes = bytes.to_vec();
            self.transmit(session, bytes);
        }
        self.counters.duplicates += 1;
        Some(origin)
    }
}

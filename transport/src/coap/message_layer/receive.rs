//! What an arriving message is: malformed, an answer to one of ours, a copy, or something new for
//! the layer above.

use super::super::dedup::{Answer, Effect};
use super::{MessageLayer, Origin, Received, path};
use crate::SessionId;
use crate::shares::Network;
use lowband_wire::coap::Code;
use lowband_wire::coap::message::{self, Kind, Message, Outgoing};
use std::time::Instant;

/// Diagnostic text for a copy of a message that has acted, when its answer has been forgotten.
const FORGOTTEN: &str = "this request has been carried out; its answer is not kept any more";

/// What deduplication knows of a message.
enum Known {
    /// A copy. Its answer, if it gets one, has been sent.
    Copy(Origin),
    /// A copy of a request whose answer seems not to pass: see [`Received::Unheard`].
    Unheard {
        answer: Vec<u8>,
        times: u8,
    },
    /// A copy that does no harm and whose answer is gone: to be carried out once more.
    Again,
    New,
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(in super::super) fn receive(
        &mut self,
        now: Instant,
        session: SessionId,
        network: Network,
        bytes: &[u8],
    ) -> Received<O> {
        self.counters.messages_in += 1;
        self.heard(now, session);
        self.has_passed(now, session, bytes.len());
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
                None => self.unmatched(session, message.id),
            },
            (Kind::Reset, _) => {
                let of_copy = self.was_repeated(session, message.id);
                match self.settle(now, session, message.id) {
                    Some(of) => {
                        self.counters.resets_in += 1;
                        Received::Reset { of, of_copy }
                    }
                    None => self.unmatched(session, message.id),
                }
            }
            (Kind::Acknowledgement, code) if code.is_request() => {
                self.counters.requests_in_acknowledgements += 1;
                let acknowledges = self.settle(now, session, message.id);
                match (self.recognise(session, network, &message), acknowledges) {
                    (Known::New, acknowledges) => Received::Request { message, acknowledges, again: false },
                    (Known::Again, acknowledges) => Received::Request { message, acknowledges, again: true },
                    // `Unheard` is returned for confirmable requests alone.
                    (Known::Copy(_) | Known::Unheard { .. }, Some(owner)) => Received::Acknowledged(owner),
                    (Known::Copy(_) | Known::Unheard { .. }, None) => Received::Nothing,
                }
            }
            (Kind::Acknowledgement, _) => {
                let to = self.settle(now, session, message.id);
                Received::Response { message, to }
            }
            (Kind::Confirmable | Kind::NonConfirmable, _) => {
                match self.recognise(session, network, &message) {
                    Known::Copy(origin) => Received::Duplicate(origin),
                    Known::Unheard { answer, times } => Received::Unheard { message, answer, times },
                    Known::New if !message.code.is_request() => Received::Response { message, to: None },
                    Known::New => Received::Request { message, acknowledges: None, again: false },
                    Known::Again => Received::Request { message, acknowledges: None, again: true },
                }
            }
        }
    }

    /// Recognises a copy of a message that is remembered; it gets the same answer again.
    fn recognise(&mut self, session: SessionId, network: Network, message: &Message) -> Known {
        let origin = Origin::of(session, network, message);
        let found = self.seen.get(session).and_then(|seen| seen.get(origin.key()));
        let Some((answer, effect)) = found else { return Known::New };
        self.counters.duplicates += 1;
        let again = match answer {
            Answer::Pending | Answer::Silence | Answer::Repeated => None,
            Answer::Acknowledged => Some(message::empty(Kind::Acknowledgement, message.id)),
            Answer::Rejected => Some(message::empty(Kind::Reset, message.id)),
            Answer::Bytes(answer) => {
                let answer = answer.to_vec();
                let seen = self.seen.get_mut(session);
                let times = seen.map_or(0, |seen| seen.count_copy(origin.key()));
                if times >= path::UNHEARD {
                    return Known::Unheard { answer, times };
                }
                Some(answer)
            }
            Answer::Gone if effect != Effect::Acts => return Known::Again,
            Answer::Gone => {
                self.counters.copies_without_answer += 1;
                let (code, token) = (Code::INTERNAL_SERVER_ERROR, message.token);
                let told = Outgoing { code, token, options: Vec::new(), payload: FORGOTTEN.into() };
                let told = self.tell_capabilities(&origin, told);
                self.encode(session, told, Kind::Acknowledgement, message.id)
            }
        };
        if let Some(bytes) = again {
            self.transmit(session, bytes);
        }
        Known::Copy(origin)
    }
}

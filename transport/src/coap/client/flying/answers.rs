//! What comes back for the blocks on their way: answers, acknowledgements, Resets.

use super::super::super::failure::{FailReason, ProtocolError};
use super::super::super::message_layer::Origin;
use super::super::Client;
use super::super::exchange::{Exchange, State};
use super::super::flight::{Answers, Asked, Part, place};
use crate::shares::Network;
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::Code;
use lowband_wire::coap::message::{Kind, Message};
use lowband_wire::coap::options::ParsedResponse;
use std::time::Instant;

impl Client {
    /// Takes note that the peer has acknowledged a request for a block: it will answer later.
    pub(in super::super) fn part_acknowledged(&mut self, now: Instant, part: Part) {
        if let Some(flight) = self.sessions.get_mut(&part.session).and_then(|state| state.flight.as_mut()) {
            flight.waits(now, part.number);
            self.fly(now, part.session);
        }
    }

    /// Takes in a Reset of a request for a block.
    pub(in super::super) fn part_reset(&mut self, now: Instant, part: Part) {
        if let Some(exchange) = self.one_by_one_or(now, part) {
            self.fail(now, exchange, FailReason::Reset);
        }
    }

    /// Takes in an acknowledgement of a request for a block that carries another token.
    pub(in super::super) fn part_contradicts(&mut self, now: Instant, part: Part) {
        if let Some(exchange) = self.one_by_one_or(now, part) {
            self.contradict(now, exchange, ProtocolError::OtherRequest);
        }
    }

    /// Goes on with one block after the other, if that has not been tried: some peers cannot take several.
    /// Else returns the exchange of the block.
    fn one_by_one_or(&mut self, now: Instant, part: Part) -> Option<ExchangeId> {
        let flight = self.sessions.get_mut(&part.session)?.flight.as_mut()?;
        if flight.may_be_one_by_one() {
            self.one_by_one(now, part.session);
            return None;
        }
        flight.get(part.number).map(|asked| asked.exchange)
    }

    /// Takes in the answer to a request for a block; false if it answers none.
    pub(in super::super) fn part_answered(
        &mut self,
        now: Instant,
        session: SessionId,
        message: &Message,
    ) -> bool {
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return false;
        };
        let number = match flight.answered_by(message) {
            Answers::Asked(number) => number,
            Answers::Copy => return true,
            Answers::Nothing => return false,
        };
        let (parsed, ignored) = ParsedResponse::parse(message);
        let refused = match place(message) {
            Some(_) => Vec::new(),
            None => flight.rest_of_list(number),
        };
        let Some(exchange) = flight.get(number).map(|asked| asked.exchange) else { return false };
        let block = flight.get(number).map(|asked| asked.block);
        let body = self.exchanges.get(&exchange).and_then(Exchange::body);
        let is_newest = body.zip(block).is_some_and(|(body, block)| body.is_newest(block, number));
        let Some((asked, id)) = flight.answered(now, number, is_newest) else { return false };
        for other in refused {
            if let Some(asked) = flight.forget(other)
                && let Some(body) = self.exchanges.get_mut(&exchange).and_then(Exchange::body_mut)
            {
                body.is_lost(asked.block, other);
            }
        }
        if let Some(id) = id {
            self.messages.forget_once(session, id);
        }
        if let Some(sent) = asked.sent.filter(|_| is_newest && asked.is_sample()) {
            self.messages.sampled(now, session, sent);
        }
        ignored.into_iter().for_each(|fault| self.messages.counters.count_fault(fault));
        if message.kind == Kind::Confirmable {
            let origin = Origin::of(session, Network::alone(session.0), message);
            self.messages.remember(now, &origin);
            match &parsed {
                Ok(_) => self.messages.acknowledge(&origin),
                Err(_) => self.messages.reject(&origin),
            }
        }
        match parsed {
            Ok(parsed) => self.take_part(now, session, &asked, message.code, parsed, message.payload()),
            Err(error) => self.contradict(now, asked.exchange, error.into()),
        }
        self.flight_due(now, session);
        true
    }

    /// Takes in what answers a request for a block of a response.
    pub(super) fn take_part(
        &mut self,
        now: Instant,
        session: SessionId,
        asked: &Asked,
        code: Code,
        mut response: ParsedResponse,
        payload: &[u8],
    ) {
        response.block2 = response.block2.or(response.q_block2);
        let (id, limit) = (asked.exchange, self.messages.limits.download);
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        let may_be_one_by_one = flight.may_be_one_by_one();
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.progressed = Some(now);
        if matches!(exchange.state, State::Sending(_)) {
            return self.block_answered(now, id, asked.block, code, response, payload);
        }
        if exchange.begins_again(code, &response) && !may_be_one_by_one {
            return self.begin_again(now, id);
        }
        let State::Downloading(download, None) = &mut exchange.state else { return };
        let code_before = download.code();
        match download.add(asked.block, code, response, payload.to_vec(), limit) {
            Ok(Some(response)) if may_be_one_by_one && response.code != code_before => {
                self.one_by_one(now, session);
            }
            Ok(Some(response)) if response.code != code_before && exchange.has_shrunk(&response) => {
                self.begin_again(now, id);
            }
            Ok(Some(response)) => self.succeed(now, id, response),
            Ok(None) => {
                if code == code_before {
                    flight.came_right();
                }
            }
            Err(_) if may_be_one_by_one => self.one_by_one(now, session),
            Err(error) => self.contradict(now, id, error),
        }
    }
}

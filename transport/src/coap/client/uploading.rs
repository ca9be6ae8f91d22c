//! Request bodies in any order, to peers of ours.
//!
//! ```text
//!   peer known:    begin_upload ------------.
//!   not yet: block 0 -- 2.31 --> go_on_in_any_order --> Sending, in the flight of the session
//!                                              ^           |  2.31: block_answered
//!             4.08, 4.13 with a smaller size:  |           |  all others have gone: send_last_block, once
//!             upload_again, under a new tag ---'           |
//!                                                          v
//!                                             last_block_answered: the response
//! ```
//!
//! A POST is not begun again once its last block has been sent: it may have been carried out.

use super::super::failure::ProtocolError;
use super::exchange::{Exchange, RESTARTS, State};
use super::sending::{Answer, Sending, judge};
use super::{Client, Owner};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::fault::Unsendable;
use lowband_wire::coap::message::{Outgoing, Token};
use lowband_wire::coap::options::{ParsedResponse, Part};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, Method, numbers};
use std::time::Instant;

impl Client {
    /// Returns whether the peer of a session takes the blocks of a request in any order.
    pub(super) fn sends_in_any_order(&self, session: SessionId) -> bool {
        let is_ours = self.sessions.get(&session).is_some_and(|state| state.is_ours == Some(true));
        is_ours && self.messages.limits.body_window > 1
    }

    /// Returns whether the peer of a session takes them so, as far as is known.
    pub(super) fn may_send_in_any_order(&self, session: SessionId) -> bool {
        let may_be_ours = self.sessions.get(&session).is_some_and(|state| state.is_ours != Some(false));
        may_be_ours && self.messages.limits.body_window > 1
    }

    /// Returns a Request-Tag that has not been used in this session.
    pub(super) fn new_tag(&mut self, session: SessionId) -> u32 {
        let Some(state) = self.sessions.get_mut(&session) else { return 0 };
        state.last_tag = state.last_tag.wrapping_add(1).max(1);
        state.last_tag
    }

    /// Begins with a body of which nothing has been sent, in blocks of this size.
    pub(super) fn begin_upload(&mut self, now: Instant, id: ExchangeId, size: BlockSize) {
        self.send_in_any_order(now, id, size, |_| {});
    }

    /// Goes on with a body after its first block, whose answer has shown that the peer is one of ours; `size`
    /// is that of the blocks to come.
    pub(super) fn go_on_in_any_order(&mut self, now: Instant, id: ExchangeId, first: Block, size: BlockSize) {
        self.send_in_any_order(now, id, first.size, |sending| {
            sending.is_taken(first);
            sending.cut(size);
        });
    }

    fn send_in_any_order(
        &mut self,
        now: Instant,
        id: ExchangeId,
        size: BlockSize,
        change: impl FnOnce(&mut Sending),
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Some(mut sending) = Sending::new(exchange.request.body.len(), size) else {
            return self.contradict(now, id, ProtocolError::TooManyBlocks { option: "Block1" });
        };
        change(&mut sending);
        exchange.state = State::Sending(Box::new(sending));
        self.take_off(now, id);
    }

    /// Sends the last block: a message that has copies, and is carried out once.
    pub(super) fn send_last_block(&mut self, now: Instant, id: ExchangeId, last: Block) {
        if let Some(State::Sending(sending)) = self.exchanges.get_mut(&id).map(|exchange| &mut exchange.state)
        {
            sending.is_ending(last);
            self.send(now, id, Part::Upload);
        }
    }

    /// Takes in the answer to a block before the last.
    pub(super) fn block_answered(
        &mut self,
        now: Instant,
        id: ExchangeId,
        block: Block,
        code: Code,
        response: ParsedResponse,
        payload: &[u8],
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let may_begin_again = exchange.may_upload_again();
        let State::Sending(sending) = &mut exchange.state else { return };
        match judge(block, code, &response) {
            Answer::Taken(size) => {
                sending.is_taken(block);
                sending.cut(size);
            }
            Answer::TooLarge(size) if may_begin_again => self.upload_again(now, id, size),
            Answer::Lost if may_begin_again => {
                let size = sending.size();
                self.upload_again(now, id, size);
            }
            Answer::TooLarge(_) | Answer::Lost | Answer::Answered => {
                self.upload_answered(now, id, code, response, payload.to_vec());
            }
            Answer::Contradiction(error) => self.contradict(now, id, error),
        }
    }

    /// Takes in the answer to the last block: that of the request.
    pub(super) fn last_block_answered(
        &mut self,
        now: Instant,
        id: ExchangeId,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
    ) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let State::Sending(sending) = &exchange.state else { return };
        let told = response.block1.map_or(sending.size(), |block| block.size.min(sending.size()));
        let is_too_large = code == Code::REQUEST_ENTITY_TOO_LARGE && told < sending.size();
        if code == Code::CONTINUE {
            return self.contradict(now, id, ProtocolError::UnexpectedContinue);
        }
        if (is_too_large || code == Code::REQUEST_ENTITY_INCOMPLETE) && exchange.may_upload_again() {
            return self.upload_again(now, id, told);
        }
        self.upload_answered(now, id, code, response, payload);
    }

    /// Goes on with the response to the whole request.
    fn upload_answered(
        &mut self,
        now: Instant,
        id: ExchangeId,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
    ) {
        self.stop_upload(now, id);
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.state = State::Asked;
            self.advance(now, id, code, response, payload);
        }
    }

    /// Sends a body from its beginning, because the peer does not have its blocks any more, or wants smaller
    /// ones.
    fn upload_again(&mut self, now: Instant, id: ExchangeId, size: BlockSize) {
        self.stop_upload(now, id);
        let Some(session) = self.exchanges.get(&id).map(|exchange| exchange.session) else { return };
        let tag = self.new_tag(session);
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.restarts += 1;
            exchange.tag = tag;
            self.messages.counters.uploads_sent_again += 1;
            self.begin_upload(now, id, size);
        }
    }

    /// Waits for no more answers to the blocks of an upload.
    fn stop_upload(&mut self, now: Instant, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let (session, token) = (exchange.session, exchange.token);
        self.leave_flight(session, id);
        self.messages.stop(now, session, Owner::Exchange(id));
        if let Some(state) = self.sessions.get_mut(&session) {
            state.tokens.remove(&token);
        }
    }

    /// Takes a last block back that has not been acknowledged and is larger than blocks may now be, unless it
    /// may have been carried out and must not be carried out twice. If the peer had it, it refuses the new
    /// one, and the body goes again.
    pub(super) fn cut_last_block(&mut self, now: Instant, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let (session, token) = (exchange.session, exchange.token);
        let owner = Owner::Exchange(id);
        if !self.messages.unsettled(session).contains(&owner) {
            return;
        }
        let waits = self.messages.waits(session, owner);
        let may_go_twice = waits || exchange.request.method != Method::Post;
        let length = exchange.request.body.len();
        let State::Sending(sending) = &mut exchange.state else { return };
        let is_too_large = |last: &Block| length - last.offset() > sending.size().bytes();
        if sending.last().filter(is_too_large).is_none() || !may_go_twice {
            return;
        }
        sending.takes_back_last();
        exchange.messages = exchange.messages.saturating_sub(u32::from(waits));
        self.messages.stop(now, session, owner);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.tokens.remove(&token);
        }
    }
}

impl Exchange {
    /// Returns whether the body may be sent from its beginning once more.
    fn may_upload_again(&self) -> bool {
        let State::Sending(sending) = &self.state else { return false };
        let may_go_twice = self.request.method != Method::Post || sending.last().is_none();
        may_go_twice && self.restarts < RESTARTS
    }

    /// Returns the message with a block before the last. Block 0 has the options of the request.
    pub(super) fn block_to_send(&self, block: Block, token: Token) -> Result<Outgoing, Unsendable> {
        let (body, begin) = (&self.request.body, block.offset());
        let mut options = self.encode(if begin == 0 { Part::First } else { Part::Upload })?;
        options.push((numbers::REQUEST_TAG, uint(self.tag)));
        options.push((numbers::BLOCK1, block.encode()));
        if let (0, Ok(length)) = (begin, u32::try_from(body.len())) {
            options.push((numbers::SIZE1, uint(length)));
        }
        let payload = body.get(begin..begin + block.size.bytes()).unwrap_or_default().to_vec();
        Ok(Outgoing { code: self.method().code(), token, options, payload })
    }
}

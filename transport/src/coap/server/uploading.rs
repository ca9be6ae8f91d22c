//! Uploads at the server (RFC 7959 section 2.5): blocks come in, a body goes on. `memory.rs` says which
//! session makes room for which.

use super::super::message_layer::Origin;
use super::super::upload::{Arrived, Filled, GaveWay, LOST, Last, Taken};
use super::exchange::State;
use super::{Server, ServerEvent, Standing, TOO_MANY, diagnostic, echo, try_again_later};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Message, Outgoing};
use lowband_wire::coap::options::{BodyKey, ParsedRequest};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, numbers};
use std::time::Instant;

impl Server {
    /// Takes in a block of a request body (RFC 7959 section 2.5).
    pub(super) fn block_arrived(
        &mut self,
        now: Instant,
        asker: Origin,
        request: ParsedRequest,
        standing: Standing,
        block: Block,
        message: &Message,
    ) {
        let session = asker.session;
        let ParsedRequest { key, options, size1, .. } = &request;
        let is_tagged = message.options().any(|(number, _)| number == numbers::REQUEST_TAG);
        let any_order = is_tagged && self.messages.is_any_order(session);
        let payload = message.payload();
        let arrived = Arrived { key, options, standing, block, payload, size: *size1, any_order };
        self.begin_bodies(&asker);
        let taken = self.change_bodies_and_count(now, session, |bodies, messages| {
            let idle = messages.times.blockwise_idle;
            bodies.uploads.take(now, arrived, idle, &messages.limits, &mut messages.counters)
        });
        let Some(taken) = taken else { return };
        // What is remembered of an upload that has ended takes room as well.
        let has_room = self.make_room_for_upload(now, &asker, key);
        let taken = match taken {
            Taken::Continue | Taken::Waits if !has_room => {
                self.messages.counters.uploads_no_memory += 1;
                let text = "the uploads of this address take all that they may; try again later";
                Taken::Refused(Code::SERVICE_UNAVAILABLE, text)
            }
            taken => taken,
        };
        match taken {
            Taken::Complete { options, standing, body } => {
                self.open(now, asker, ParsedRequest { options, ..request }, standing, body)
            }
            Taken::Waits => self.keep_last_block(now, asker, request, block),
            Taken::Filled(filled) => {
                self.go_on(now, &asker, block);
                self.open_filled(now, session, *filled);
            }
            Taken::Continue => {
                // Later blocks are recognised by their numbers; only block 0 would do harm if it acted twice.
                if block.num == 0 && !any_order {
                    self.messages.remember(now, &asker);
                }
                self.go_on(now, &asker, block);
            }
            Taken::Refused(Code::REQUEST_ENTITY_TOO_LARGE, text) => {
                let most = u32::try_from(self.messages.limits.upload).unwrap_or(u32::MAX);
                let options = vec![(numbers::SIZE1, uint(most))];
                self.answer_at_once(now, &asker, Code::REQUEST_ENTITY_TOO_LARGE, options, text);
            }
            Taken::Refused(Code::SERVICE_UNAVAILABLE, text) => self.refuse_for_now(now, &asker, text),
            Taken::Refused(code, text) => self.refuse(now, &asker, code, text),
        }
        self.tidy(session);
    }

    /// Answers a block that is not the last.
    fn go_on(&mut self, now: Instant, asker: &Origin, block: Block) {
        let size = block.size.min(self.messages.block_size(asker.session));
        let options = vec![echo(Block { size, ..block })];
        self.answer_at_once(now, asker, Code::CONTINUE, options, "");
    }

    /// Keeps the request of a last block that came before others. Like any other that waits, it is
    /// acknowledged after a while, and its copies are recognised.
    fn keep_last_block(&mut self, now: Instant, asker: Origin, request: ParsedRequest, block: Block) {
        self.messages.remember(now, &asker);
        let session = asker.session;
        let exchange = self.insert(now, asker, State::WaitingForUpload, 0);
        let last = Last { exchange, method: request.method, block1: block, block2: request.block2 };
        self.change_bodies(now, session, |bodies| bodies.uploads.wait(&request.key, last));
    }

    /// Hands on a request whose last block has waited for others.
    fn open_filled(&mut self, now: Instant, session: SessionId, filled: Filled) {
        let Filled { key, last, options, standing, body } = filled;
        let Last { exchange, method, block1, block2 } = last;
        if self.too_many_requests(session) {
            self.messages.counters.exchanges_refused += 1;
            return self.answer_last_block(now, exchange, Code::SERVICE_UNAVAILABLE, TOO_MANY);
        }
        let access_token = standing.access_token.clone();
        // A list beside a last block is only a wish.
        let (block1, list) = (Some(block1), Vec::new());
        let open = State::Open { key, access_token, block1, block2, list, head: None, body: Vec::new() };
        if self.change(exchange, |exchange| exchange.state = open).is_some() {
            self.messages.counters.requests += 1;
            self.events.push_back(ServerEvent::Request {
                session,
                exchange,
                method,
                options,
                standing,
                body,
            });
        }
    }

    /// Refuses the request of a last block whose upload has ended before it was whole.
    pub(super) fn refuse_last_block(&mut self, now: Instant, exchange: ExchangeId) {
        self.answer_last_block(now, exchange, Code::REQUEST_ENTITY_INCOMPLETE, LOST);
    }

    fn answer_last_block(&mut self, now: Instant, exchange: ExchangeId, code: Code, text: &str) {
        let answered = self.change(exchange, |exchange| {
            exchange.state = State::Done(None);
            exchange.asker.token
        });
        let Some(token) = answered else { return };
        let options = if code == Code::SERVICE_UNAVAILABLE { try_again_later() } else { Vec::new() };
        self.reply(now, exchange, Outgoing { code, token, options, payload: diagnostic(text) });
    }

    /// Makes the heaviest sessions give way for an upload that has grown. Returns false if that is this one,
    /// and nothing else of its session was left to drop.
    fn make_room_for_upload(&mut self, now: Instant, asker: &Origin, key: &BodyKey) -> bool {
        while let Some(heaviest) = self.memory.upload_gives(asker.network) {
            let last = (heaviest == asker.session).then_some(key);
            let gone = self.change_bodies(now, heaviest, |bodies| bodies.uploads.give_way(now, last));
            self.tidy(heaviest);
            match gone {
                Some(GaveWay::Upload) => self.messages.counters.uploads_gave_way += 1,
                Some(GaveWay::Memory) => {}
                Some(GaveWay::Last) | None => return false,
            }
        }
        true
    }

    /// Ends the upload that a message belongs to, if it has begun: a credential in one of its blocks cannot
    /// be read, and the rest must not go on under another one.
    pub(super) fn end_upload(&mut self, now: Instant, session: SessionId, request: &ParsedRequest) {
        if request.block1.is_some() {
            self.change_bodies(now, session, |bodies| bodies.uploads.end(now, &request.key));
            self.tidy(session);
        }
    }
}

//! Uploads at the server (RFC 7959 section 2.5): blocks come in, a body goes on. `memory.rs` says which
//! session makes room for which.

use super::super::message_layer::Origin;
use super::super::upload::{Arrived, Taken};
use super::{Server, Standing, echo};
use crate::SessionId;
use lowband_wire::coap::block::Block;
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
        payload: &[u8],
    ) {
        let session = asker.session;
        let ParsedRequest { key, options, size1, .. } = &request;
        let arrived = Arrived { key, options, standing, block, payload, size: *size1 };
        self.begin_bodies(&asker);
        let taken = self.change_bodies_and_count(now, session, |bodies, messages| {
            let idle = messages.times.blockwise_idle;
            bodies.uploads.take(now, arrived, idle, &messages.limits, &mut messages.counters)
        });
        let taken = match taken {
            Some(Taken::Continue) if !self.make_room_for_upload(now, &asker, key) => {
                self.messages.counters.uploads_no_memory += 1;
                let text = "the uploads of this address take all that they may; try again later";
                Some(Taken::Refused(Code::SERVICE_UNAVAILABLE, text))
            }
            taken => taken,
        };
        let Some(taken) = taken else { return };
        match taken {
            Taken::Complete { options, standing, body } => {
                self.open(now, asker, ParsedRequest { options, ..request }, standing, body)
            }
            Taken::Continue => {
                // Later blocks are recognised by their numbers; only block 0 would do harm if it acted twice.
                if block.num == 0 {
                    self.messages.remember(now, &asker);
                }
                let size = block.size.min(self.messages.block_size(session));
                let options = vec![echo(Block { size, ..block })];
                self.answer_at_once(now, &asker, Code::CONTINUE, options, "");
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

    /// Makes the heaviest sessions give way for an upload that has grown. Returns false if that is this one,
    /// and nothing else of its session was left to drop.
    fn make_room_for_upload(&mut self, now: Instant, asker: &Origin, key: &BodyKey) -> bool {
        while let Some(heaviest) = self.memory.upload_gives(asker.network) {
            let last = (heaviest == asker.session).then_some(key);
            let gone = self.change_bodies(now, heaviest, |bodies| bodies.uploads.give_way(now, last));
            self.tidy(heaviest);
            match gone {
                Some(false) => self.messages.counters.uploads_gave_way += 1,
                Some(true) | None => return false,
            }
        }
        true
    }

    /// Ends the upload that a message belongs to, if it has begun: a credential in one of its blocks cannot
    /// be read, and the rest must not go on under another one.
    pub(super) fn end_upload(&mut self, now: Instant, session: SessionId, request: &ParsedRequest) {
        if request.block1.is_some() {
            self.change_bodies(now, session, |bodies| bodies.uploads.end(&request.key));
            self.tidy(session);
        }
    }
}

//! Requests for several blocks at once, by Q-Block2 (RFC 9177 section 4.4).
//!
//! | Q-Block2 of a request | the request |
//! |---|---|
//! | NUM 0, M set | begins a body, and asks for all of it (`sending.rs`) |
//! | any, in a confirmable request of a client that knows bodies in any order | begins a body, and asks for these blocks besides the first |
//! | NUM 0 in a GET, and no body of this name is known or, for NUM 0 alone, on its way | begins a body, and asks for these blocks |
//! | any other | asks for these blocks of a body that is known, and never reaches the upstream |
//!
//! M asks for the rest of the set of MAX_PAYLOADS blocks as well. At the beginning of a set it confirms those
//! before it, so that a body which is sent on by itself goes on.
//!
//! Each block that exists is answered once, in a non-confirmable message; who loses it asks again. So nothing
//! is repeated here, and what is sent is bounded by what was asked for: some thirty times the bytes of a
//! list, to a peer whose address its handshake has proved. The answers to all else about a list are one
//! message.

use super::super::message_layer::Origin;
use super::super::snapshot::{List, Lookup, Snapshot, SnapshotId};
use super::blockwise::UNKNOWN;
use super::{Server, diagnostic};
use crate::SessionId;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{Kind, Outgoing};
use lowband_wire::coap::options::{MAX_LIST, ParsedRequest};
use lowband_wire::coap::{Code, Method, numbers};
use std::time::Instant;

/// Returns the blocks that are asked for, each once, in ascending order; `set` is MAX_PAYLOADS (RFC 9177
/// section 7.2).
fn expand(asked: &[Block], set: u32) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::with_capacity(asked.len());
    for block in asked {
        let last = if block.more { block.num / set * set + set - 1 } else { block.num };
        let next = blocks.last().map_or(0, |last| last.num + 1);
        blocks.extend((block.num.max(next)..=last).map(|num| Block { num, more: false, size: block.size }));
    }
    blocks.truncate(MAX_LIST.max(set as usize));
    blocks
}

impl Server {
    /// Takes the list out of a request that begins a body, and returns its blocks.
    pub(super) fn take_beside(&self, asker: &Origin, request: &mut ParsedRequest) -> Vec<Block> {
        let Some(first) = request.q_block2.first() else { return Vec::new() };
        let begins = if first.num == 0 && first.more {
            true
        } else if self.messages.is_any_order(asker.session) {
            asker.kind == Kind::Confirmable
        } else {
            // Block 0 alone may be a request for a body that has changed since, or for a block that was lost.
            let is_lost = |snapshot: &Snapshot| snapshot.option == numbers::Q_BLOCK2 && !snapshot.read;
            let known = self.snapshot_of(asker.session, &request.key);
            let is_known = known.is_some_and(|known| request.q_block2.len() > 1 || is_lost(known));
            first.num == 0 && request.method == Method::Get && !is_known
        };
        if begins { std::mem::take(&mut request.q_block2) } else { Vec::new() }
    }

    /// Answers a request for blocks of a body that another request has begun.
    pub(super) fn list_requested(&mut self, now: Instant, asker: Origin, request: ParsedRequest) {
        let session = asker.session;
        let id = self.snapshot_of(session, &request.key).map(|snapshot| snapshot.id);
        let Some((id, asked)) = id.zip(request.q_block2.first().copied()) else {
            self.messages.counters.snapshot_unknown += 1;
            return self.refuse(now, &asker, Code::REQUEST_ENTITY_INCOMPLETE, UNKNOWN);
        };
        if asker.kind != Kind::Confirmable {
            // A copy of a confirmable list needs its acknowledgement; one of any other has no use.
            self.messages.remember_repeated(now, &asker);
        }
        let set = self.pace(session).set;
        let confirms = asked.more && asked.num.is_multiple_of(set) && request.q_block2.len() == 1;
        self.judge_by_next_block(now, session, id, asked.size);
        self.earlier_blocks_arrived(now, session, id, asker.token, asked.offset());
        if confirms && self.continue_sending(now, asker, id, asked) {
            return;
        }
        // As with Block2, a block keeps its place in the body, but is smaller if larger ones do not fit.
        let size = asked.size.min(self.messages.block_size(session));
        let fits = |block: Block| Block::at(block.offset(), size, false).unwrap_or(block);
        let blocks = expand(&request.q_block2, set).into_iter().map(fits).collect();
        let wants_size = self.wants_size(session) || request.wants_size2;
        let list = List { asker, blocks, wants_size, is_answered: false, is_told: false };
        self.answer_list(now, id, list);
        self.put_off_sending(now, session, id);
        self.read_on(now, session, id);
    }

    /// Sends the blocks that the request for the first one has asked for together with it. Their numbers
    /// count in blocks of `size`, that of the first one.
    pub(super) fn send_beside(
        &mut self,
        now: Instant,
        asker: Origin,
        id: SnapshotId,
        list: Vec<Block>,
        size: BlockSize,
    ) {
        let set = self.pace(asker.session).set;
        let later = expand(&list, set).into_iter().filter(|block| block.num > 0);
        let blocks: Vec<_> = later.map(|block| Block { size, ..block }).collect();
        if blocks.is_empty() {
            return;
        }
        // The request itself has an answer, which says all else.
        let asker = Origin { kind: Kind::NonConfirmable, says: 0, ..asker };
        let wants_size = self.wants_size(asker.session);
        let list = List { asker, blocks, wants_size, is_answered: true, is_told: true };
        self.answer_list(now, id, list);
    }

    /// Returns whether each block says how long the body is (RFC 9177 section 4.6); a client of ours keeps
    /// what the first one has said.
    fn wants_size(&self, session: SessionId) -> bool {
        !self.messages.is_any_order(session)
    }

    fn answer_list(&mut self, now: Instant, id: SnapshotId, mut list: List) {
        let asker = list.asker;
        let session = asker.session;
        list.asker.kind = Kind::NonConfirmable;
        self.messages.counters.block_lists += 1;
        let snapshot = self.bodies(session).and_then(|bodies| bodies.snapshot(id));
        let grows = snapshot.is_some_and(|snapshot| snapshot.feeder.is_some());
        let room = if grows { self.room_for_block_requests(session) } else { 0 };
        let asked = self.change_snapshot(now, session, id, |snapshot| snapshot.ask_list(now, list, room));
        let Some((answers, dropped)) = asked else { return };
        self.messages.counters.waiting_blocks_dropped += dropped as u64;
        if answers.is_empty() && asker.kind == Kind::Confirmable {
            self.messages.acknowledge(&asker);
        }
        self.send_listed(now, asker, answers);
    }

    /// Sends answers to a list back to back; the first one acknowledges a confirmable list.
    fn send_listed(&mut self, now: Instant, mut asker: Origin, answers: Vec<Lookup>) {
        for lookup in answers {
            if let Some(message) = self.block_message(asker.token, lookup) {
                self.messages.respond(now, &asker, message);
                asker.kind = Kind::NonConfirmable;
            }
        }
    }

    /// Answers the lists whose blocks have come, or never will.
    pub(super) fn serve_lists(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        let served = self.change_snapshot(now, session, id, |snapshot| snapshot.serve_lists(now));
        for (asker, answers) in served.into_iter().flatten() {
            self.send_listed(now, asker, answers);
        }
    }

    /// Refuses lists whose snapshot is gone.
    pub(super) fn refuse_lists(&mut self, now: Instant, lists: Vec<List>, text: &str) {
        for List { asker, .. } in lists.into_iter().filter(|list| !list.is_told) {
            let (code, payload) = (Code::REQUEST_ENTITY_INCOMPLETE, diagnostic(text));
            let refusal = Outgoing { code, token: asker.token, options: Vec::new(), payload };
            self.messages.respond(now, &asker, refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_stands_for_the_rest_of_a_set_and_no_block_is_named_twice() {
        let numbers = |asked: &[(u32, bool)]| {
            let size = BlockSize::MAX;
            let asked: Vec<_> =
                asked.iter().map(|(num, more)| Block { num: *num, more: *more, size }).collect();
            expand(&asked, 10).iter().map(|block| block.num).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[(3, false), (7, false)]), [3, 7]);
        assert_eq!(numbers(&[(0, true)]), (0..10).collect::<Vec<_>>());
        assert_eq!(numbers(&[(10, true)]), (10..20).collect::<Vec<_>>());
        assert_eq!(numbers(&[(4, false), (17, true)]), [4, 17, 18, 19]);
        assert_eq!(numbers(&[(8, true), (9, false), (12, false)]), [8, 9, 12]);
        assert_eq!(numbers(&[(0, true), (10, true)]).len(), MAX_LIST, "at most as many as a list names");
    }
}

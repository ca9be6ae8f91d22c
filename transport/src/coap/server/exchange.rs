//! One request and its answer at the server (RFC 7252 section 5.2).
//!
//! ```text
//! Open ---- fits into one message -----------------------> Done
//!  |------- needs blocks ----> Feeding(snapshot) --------> Done     the first block has been sent, the rest is read
//! WaitingForBlock(snapshot) -- the block has come -------> Done     a block request that came before its block
//! WaitingForUpload -- the blocks before it have come ----> Open     the last block of a body came before others
//! ```
//!
//! The answer goes out piggybacked if the request has not been acknowledged yet, and otherwise as a separate
//! confirmable response; Done then lasts until that is acknowledged, reset, or given up.
//!
//! A request may come inside the acknowledgement of such a response (go-coap, and so the reference's clients,
//! ask for the next block in that way). Nothing can acknowledge such a request, and its client will not
//! repeat it. So the answer is confirmable, and repeated until the acknowledgement comes that carries the
//! next request. That cures a lost request as well: the client gets a copy of what it acknowledged, and
//! acknowledges and asks once more. Non-confirmable answers would do as long as nothing is lost; then the
//! rest would never come. New requests of any method are accepted in this way as others are, since their
//! client would not send them again. A copy is recognised by the id of our message, which is not used twice
//! while it is remembered.

mod state;

use super::super::congestion::Turn;
use super::super::message_layer::Origin;
use super::super::snapshot::{End, Snapshot, SnapshotId, negotiate};
use super::memory::Pause;
use super::{Alarm, Server, ServerEvent, diagnostic, echo};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Kind, Outgoing, Token};
use lowband_wire::coap::options::{self, ResponseOptions};
use lowband_wire::coap::{Code, numbers};
use std::collections::BTreeSet;
use std::time::Instant;

pub(super) use state::{Exchange, State};

impl Server {
    /// Changes an exchange; the only way to do so if it may begin or end thereby.
    pub(super) fn change<R>(&mut self, id: ExchangeId, change: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        let exchange = self.exchanges.get_mut(&id)?;
        let before = exchange.is_unfinished();
        let result = change(exchange);
        self.unfinished = self.unfinished + usize::from(exchange.is_unfinished()) - usize::from(before);
        Some(result)
    }

    /// Starts the answer. This method and the next two ignore unknown and cancelled exchanges.
    pub fn respond_head(
        &mut self,
        _now: Instant,
        exchange: ExchangeId,
        code: Code,
        options: ResponseOptions,
    ) {
        if let Some(Exchange { state: State::Open { head, .. }, .. }) = self.exchanges.get_mut(&exchange) {
            *head = Some((code, options));
        }
    }

    /// Adds to the body of the answer; `last` ends it. All bytes are taken; ask `wants_chunk` before sending
    /// more. Bytes before the head are ignored.
    pub fn respond_chunk(&mut self, now: Instant, exchange: ExchangeId, bytes: &[u8], last: bool) {
        let Some(session) = self.exchanges.get(&exchange).map(|found| found.asker.session) else { return };
        let own_size = self.messages.block_size(session);
        let Some(found) = self.exchanges.get_mut(&exchange) else { return };
        match &mut found.state {
            State::Open { head: Some(_), block2, list, body, .. } => {
                let size = negotiate(block2.or(list.first().copied()), own_size).bytes();
                body.extend_from_slice(bytes);
                if body.len() > size {
                    self.start_snapshot(now, exchange, last);
                } else if last {
                    self.answer_whole(now, exchange);
                }
            }
            State::Feeding(snapshot) => {
                let (session, snapshot) = (found.asker.session, *snapshot);
                self.feed(now, session, snapshot, bytes, last);
            }
            State::Open { .. } | State::WaitingForBlock(_) | State::WaitingForUpload | State::Done(_) => {}
        }
        self.wake(now);
    }

    /// Ends the exchange with a code and a diagnostic text (RFC 7252 section 5.5.2). If the first block has
    /// been sent, requests for the blocks that are still missing are answered with this code.
    pub fn fail(&mut self, now: Instant, exchange: ExchangeId, code: Code, text: &str) {
        let Some(found) = self.exchanges.get_mut(&exchange) else { return };
        match &mut found.state {
            State::Open { head, body, .. } => {
                *head = Some((code, ResponseOptions::default()));
                *body = diagnostic(text);
                self.answer_whole(now, exchange);
            }
            State::Feeding(snapshot) => {
                let (session, snapshot) = (found.asker.session, *snapshot);
                self.end_snapshot(now, session, snapshot, End::Failed(code, text.into()));
            }
            State::WaitingForBlock(_) | State::WaitingForUpload | State::Done(_) => {}
        }
        self.wake(now);
    }

    /// Returns false while the memory for this answer is used up (back-pressure), until `WantsChunk` comes.
    /// True for unknown exchanges.
    pub fn wants_chunk(&self, exchange: ExchangeId) -> bool {
        !self.memory.is_paused(exchange)
    }

    /// Answers with a body that fits into one message.
    fn answer_whole(&mut self, now: Instant, id: ExchangeId) {
        let answered = self.change(id, |exchange| {
            (exchange.asker, std::mem::replace(&mut exchange.state, State::Done(None)))
        });
        let Some((
            Origin { session, token, .. },
            State::Open { key, access_token, block1, block2, list, head: Some((code, head)), body },
        )) = answered
        else {
            return;
        };
        let own_size = self.messages.block_size(session);
        if let Some(exchange) = self.exchanges.get_mut(&id)
            && exchange.acknowledged
            && body.len() > own_size.bytes() / 2
        {
            let (head, body) = (Some((code, head.clone())), body.clone());
            let whole = State::Open { key, access_token, block1, block2, list, head, body };
            exchange.whole = Some(Box::new(whole));
        }
        let mut options = options::encode_response(&head);
        options.extend(block1.map(echo));
        // Shows a client that asked for a size that there is only one block.
        let size = negotiate(block2, own_size);
        if block2.is_some() && body.len() <= size.bytes() {
            options.push((numbers::BLOCK2, Block { num: 0, more: false, size }.encode()));
        }
        self.reply(now, id, Outgoing { code, token, options, payload: body });
    }

    /// Answers with a body that needs blocks: makes a snapshot of what has come, and answers with
    /// its first block.
    pub(super) fn start_snapshot(&mut self, now: Instant, id: ExchangeId, last: bool) {
        let (snapshot_id, etag) = self.next_snapshot();
        let state = if last { State::Done(Some(snapshot_id)) } else { State::Feeding(snapshot_id) };
        let answered =
            self.change(id, |exchange| (exchange.asker, std::mem::replace(&mut exchange.state, state)));
        let Some((asker, State::Open { key, access_token, block1, block2, list, head: Some(head), body })) =
            answered
        else {
            return;
        };
        let Origin { session, token, .. } = asker;
        let own_size = self.messages.block_size(session);
        self.messages.counters.snapshots += 1;
        let mut snapshot = Snapshot::new(now, snapshot_id, key, &asker, id, head, etag);
        if list.first().is_some_and(|first| first.num == 0) {
            snapshot.option = numbers::Q_BLOCK2;
        }
        snapshot.access_token = access_token;
        snapshot.append(&body);
        if last {
            snapshot.finish(End::Complete);
        }
        self.insert_snapshot(now, &asker, snapshot);
        let size = negotiate(block2.or(list.first().copied()), own_size);
        let first = Block { num: 0, more: true, size };
        if let Some(mut message) = self.first_block(now, session, snapshot_id, first, token) {
            message.options.extend(block1.map(echo));
            self.reply(now, id, message);
        }
        match list.first() {
            Some(Block { num: 0, more: true, .. }) => self.begin_sending(now, asker, snapshot_id, size),
            _ => self.send_beside(now, asker, snapshot_id, list, size),
        }
        self.grown(now, session, snapshot_id);
    }

    /// Sends the answer to a request, in its acknowledgement if that is still to be sent.
    pub(super) fn reply(&mut self, now: Instant, id: ExchangeId, message: Outgoing) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Origin { session, network, .. } = exchange.asker;
        if exchange.acknowledged {
            let message = self.messages.tell_capabilities(&exchange.asker, message);
            self.messages.counters.separate_responses += 1;
            let turn = if exchange.for_block { Turn::Block } else { Turn::Small };
            let snapshot = exchange.snapshot();
            let sent = self.messages.send_confirmable(now, session, network, message, turn, id);
            self.change(id, |exchange| exchange.unacknowledged = sent);
            if let (true, Some(snapshot)) = (sent, snapshot) {
                self.delivering(now, session, snapshot, true);
            }
        } else {
            // The answer carries the acknowledgement.
            exchange.acknowledged = exchange.asker.kind == Kind::Confirmable;
            self.alarms.clear(Alarm::Acknowledge(id));
            self.messages.respond(now, &exchange.asker, message);
        }
        self.forget_if_done(now, id);
    }

    /// Answers a request of which nothing is kept, because a copy would get the same answer. It is remembered
    /// only if no other message can show the client that it has arrived.
    pub(super) fn reply_at_once(
        &mut self,
        now: Instant,
        asker: &Origin,
        snapshot: Option<SnapshotId>,
        offset: usize,
        message: Outgoing,
    ) {
        if asker.kind != Kind::Acknowledgement || self.too_many_in_acknowledgements(asker.session) {
            return self.messages.respond(now, asker, message);
        }
        self.messages.remember_repeated(now, asker);
        let exchange = self.insert(now, *asker, State::Done(snapshot), offset);
        self.reply(now, exchange, message);
    }

    /// Handles a copy of a request. If that has gone unacknowledged for as long as clients with short timers
    /// expect, its client is one of them, and gets the acknowledgement.
    pub(super) fn repeated(&mut self, now: Instant, origin: &Origin) {
        let patience = self.messages.times.piggyback_wait;
        let Some(state) = self.sessions.get(&origin.session) else { return };
        let waits = |id: &&ExchangeId| {
            self.exchanges.get(id).is_some_and(|exchange| {
                exchange.asker.kind == Kind::Confirmable
                    && exchange.asker.key() == origin.key()
                    && !exchange.acknowledged
                    && exchange.arrived + patience <= now
            })
        };
        if let Some(id) = state.exchanges.iter().find(waits).copied() {
            self.messages.has_short_timers(origin.session);
            self.alarms.clear(Alarm::Acknowledge(id));
            self.acknowledge(id);
        }
    }

    /// Notes that the client asks for a block. So it has the first one, which says that there are more,
    /// unless it asked for others together with it; and those before it that went to the same token,
    /// acknowledged or not. (node-coap-client acknowledges the last one alone, and puts a copy of any other
    /// into the body a second time.)
    pub(super) fn earlier_blocks_arrived(
        &mut self,
        now: Instant,
        session: SessionId,
        snapshot: SnapshotId,
        token: Token,
        offset: usize,
    ) {
        let Some(state) = self.sessions.get(&session) else { return };
        let arrived = |id: &&ExchangeId| {
            self.exchanges.get(id).is_some_and(|exchange| {
                exchange.unacknowledged
                    && exchange.snapshot() == Some(snapshot)
                    && (exchange.offset == 0 && !exchange.has_list || exchange.asker.token == token)
                    && exchange.offset < offset
            })
        };
        let arrived: Vec<_> = state.exchanges.iter().filter(arrived).copied().collect();
        for id in arrived {
            self.messages.counters.blocks_acknowledged_by_next += 1;
            self.messages.stop(now, session, id);
            self.response_acknowledged(now, id);
        }
    }

    /// Forgets an exchange that is done and acknowledged.
    pub(super) fn forget_if_done(&mut self, now: Instant, id: ExchangeId) {
        if self
            .exchanges
            .get(&id)
            .is_some_and(|exchange| matches!(exchange.state, State::Done(_)) && !exchange.unacknowledged)
        {
            self.remove(now, id);
        }
    }

    pub(super) fn remove(&mut self, now: Instant, id: ExchangeId) {
        let Some(exchange) = self.exchanges.remove(&id) else { return };
        let session = exchange.asker.session;
        self.unfinished -= usize::from(exchange.is_unfinished());
        self.alarms.clear(Alarm::Acknowledge(id));
        self.memory.go_on(id);
        if exchange.unacknowledged {
            self.messages.stop(now, session, id);
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            state.exchanges.remove(&id);
            if state.exchanges.is_empty() {
                // An empty tree keeps its root.
                state.exchanges = BTreeSet::new();
            }
        }
        self.tidy(session);
    }

    /// Sends an empty acknowledgement while the upstream takes long, to keep the client from repeating (RFC
    /// 7252 section 5.2.2).
    pub(super) fn acknowledge(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchanges.get_mut(&id)
            && !exchange.acknowledged
        {
            exchange.acknowledged = true;
            self.messages.counters.empty_acks += 1;
            self.messages.acknowledge(&exchange.asker);
        }
    }

    pub(super) fn response_acknowledged(&mut self, now: Instant, id: ExchangeId) {
        let acknowledged = self.change(id, |exchange| {
            exchange.unacknowledged = false;
            (exchange.asker.session, exchange.snapshot())
        });
        let Some((session, snapshot)) = acknowledged else { return };
        if let Some(snapshot) = snapshot {
            self.delivering(now, session, snapshot, false);
        }
        self.forget_if_done(now, id);
    }

    /// Handles a separate response whose first copy was reset, or of which no copy was acknowledged. If it
    /// answered the client's request, the client has left, and does not want the rest of the body either. A
    /// block may have reached it in another way.
    pub(super) fn abandon(&mut self, now: Instant, id: ExchangeId) {
        let abandoned = self.change(id, |exchange| {
            exchange.unacknowledged = false;
            (exchange.asker.session, exchange.for_block, exchange.snapshot())
        });
        let Some((session, for_block, snapshot)) = abandoned else { return };
        match snapshot {
            Some(snapshot) if for_block => self.delivering(now, session, snapshot, false),
            Some(snapshot) => {
                let unread = self.bodies(session).and_then(|bodies| bodies.snapshot(snapshot));
                let unread = unread.is_some_and(|snapshot| !snapshot.read);
                self.messages.counters.bodies_given_up += u64::from(unread);
                self.drop_snapshot(now, session, snapshot, "the client has left");
            }
            None => {}
        }
        self.remove(now, id);
    }

    /// Answers a request whose block has come, or never will. A duplicate may be answered from the snapshot
    /// again, so nothing is remembered.
    pub(super) fn reply_to_waiting(&mut self, now: Instant, id: ExchangeId, message: Outgoing) {
        let waited = self.change(id, |exchange| {
            exchange.state = State::Done(exchange.snapshot());
            (exchange.acknowledged, exchange.asker)
        });
        let Some((acknowledged, asker)) = waited else { return };
        if !acknowledged {
            self.messages.forget(&asker);
        }
        self.reply(now, id, message);
    }

    /// Pauses reading from the upstream for this reason; None lets it go on.
    pub(super) fn set_paused(&mut self, exchange: ExchangeId, why: Option<Pause>) {
        match why {
            Some(why) if self.memory.pause(exchange, why) => {
                self.messages.counters.read_paused += 1;
                // This call may have reported a moment ago that the answer goes on.
                self.events.retain(|event| *event != ServerEvent::WantsChunk { exchange });
            }
            None if self.memory.go_on(exchange) => {
                self.events.push_back(ServerEvent::WantsChunk { exchange });
            }
            _ => {}
        }
    }
}

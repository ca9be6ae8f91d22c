//! Bodies in blocks at the server (RFC 7959): blocks of snapshots go out. Snapshots and uploads
//! (`uploading.rs`) share a bounded memory. `lists.rs` has requests for several blocks at once.
//!
//! A session makes room in this order: it drops what has been read of its bodies; then it stops reading from
//! the upstream. So a client that overlaps its requests does not lose one body to the next, and silence on a
//! bad link costs nothing. A snapshot with a block request waiting is read on all the same, so that no
//! request waits for ever: everything before has been read then, and little is held. A session that still
//! holds half as much again loses bodies: those read to their end first, then the oldest. `memory.rs` says
//! which session makes room for which.

use super::super::dedup::Effect;
use super::super::message_layer::{MessageLayer, Origin};
use super::super::snapshot::{Ask, End, Lookup, Snapshot, SnapshotId, Waiting, negotiate};
use super::bodies::Bodies;
use super::exchange::State;
use super::{Alarm, Server, diagnostic};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{MessageId, Outgoing, Token};
use lowband_wire::coap::options::{BodyKey, ParsedRequest};
use lowband_wire::coap::{Code, numbers};
use std::time::Instant;

/// Answer to a block request for a snapshot that does not exist (any more).
pub(super) const UNKNOWN: &str = "the body is not known (any more); start again at block 0";

/// Snapshots: a body in, blocks out.
impl Server {
    pub(super) fn change_snapshot<R>(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        change: impl FnOnce(&mut Snapshot) -> R,
    ) -> Option<R> {
        self.change_bodies(now, session, |bodies| bodies.change(id, change)).flatten()
    }

    pub(super) fn snapshot_of(&self, session: SessionId, key: &BodyKey) -> Option<&Snapshot> {
        let bodies = self.sessions.get(&session)?.bodies.as_ref()?;
        bodies.snapshots().find(|snapshot| snapshot.key == *key)
    }

    /// Answers a repeated request for the first block from the snapshot, if the request is not remembered any
    /// more. Carrying it out once more would take the body from a client that is reading it.
    pub(super) fn begins_again(&mut self, now: Instant, asker: &Origin, request: &ParsedRequest) -> bool {
        let lifetime = self.messages.times.exchange_lifetime;
        let Some(snapshot) = self.snapshot_of(asker.session, &request.key).filter(|snapshot| {
            snapshot.request == (asker.id, asker.token)
                && asker.effect != Effect::Acts
                && now < snapshot.answered + lifetime
        }) else {
            return false;
        };
        let (id, session) = (snapshot.id, asker.session);
        let size = negotiate(request.first_asked(), self.messages.block_size(session));
        let block = Block { num: 0, more: false, size };
        let Some(message) = self.first_block(now, session, id, block, asker.token) else { return false };
        self.reply_at_once(now, asker, Some(id), 0, message);
        true
    }

    /// Answers a request for a block after the first. The request never reaches the upstream.
    pub(super) fn block_requested(
        &mut self,
        now: Instant,
        asker: Origin,
        request: ParsedRequest,
        block: Block,
    ) {
        let session = asker.session;
        let asked_size = block.size;
        // The block keeps its place in the body, but is smaller if larger ones do not fit (RFC 7959 section
        // 2.4).
        let size = negotiate(Some(block), self.messages.block_size(session));
        let block = Block::at(block.offset(), size, false).unwrap_or(block);
        let id = self.snapshot_of(session, &request.key).map(|snapshot| snapshot.id);
        let asked = id.and_then(|id| {
            let ask = Ask::by_block2(block, asker.token, request.wants_size2);
            let ask = |snapshot: &mut Snapshot| snapshot.ask(now, ask);
            Some((id, self.change_snapshot(now, session, id, ask)?))
        });
        let Some((id, lookup)) = asked else {
            self.messages.counters.snapshot_unknown += 1;
            return self.refuse(now, &asker, Code::REQUEST_ENTITY_INCOMPLETE, UNKNOWN);
        };
        self.judge_by_next_block(now, session, id, asked_size);
        self.earlier_blocks_arrived(now, session, id, asker.token, block.offset());
        match self.block_message(asker.token, lookup) {
            Some(message) => self.reply_at_once(now, &asker, Some(id), block.offset(), message),
            None => self.wait_for_block(now, asker, id, block),
        }
        self.read_on(now, session, id);
    }

    /// Keeps a snapshot whose first block was asked for again: its client has not received that block yet,
    /// and wants the rest.
    pub(super) fn still_wanted(&mut self, now: Instant, session: SessionId, request: MessageId) {
        let bodies = self.sessions.get(&session).and_then(|session| session.bodies.as_ref());
        let wanted = bodies.into_iter().flat_map(|bodies| bodies.snapshots());
        let wanted = wanted.filter(|snapshot| snapshot.request.0 == request).map(|snapshot| snapshot.id);
        for id in wanted.collect::<Vec<_>>() {
            self.change_snapshot(now, session, id, |snapshot| snapshot.last_used = now);
        }
    }

    /// Makes the answer to a block request; None if it has to wait.
    pub(super) fn block_message(&mut self, token: Token, lookup: Lookup) -> Option<Outgoing> {
        let counters = &mut self.messages.counters;
        let (code, text) = match lookup {
            Lookup::Wait => return None,
            Lookup::Ready { message, again } => {
                counters.snapshot_blocks += 1;
                counters.snapshot_blocks_again += u64::from(again);
                return Some(message);
            }
            Lookup::OutOfRange => {
                counters.snapshot_out_of_range += 1;
                (Code::BAD_REQUEST, "the body ends before this block".to_owned())
            }
            Lookup::Gone => {
                counters.snapshot_blocks_gone += 1;
                (Code::REQUEST_ENTITY_INCOMPLETE, UNKNOWN.to_owned())
            }
            Lookup::Failed(code, text) => (code, text),
        };
        Some(Outgoing { code, token, options: Vec::new(), payload: diagnostic(&text) })
    }

    fn wait_for_block(&mut self, now: Instant, asker: Origin, snapshot: SnapshotId, block: Block) {
        let session = asker.session;
        if self.room_for_block_requests(session) == 0 {
            // Not refused: the client would take a refusal for the end of the body. It will ask again, and
            // must be heard then.
            self.messages.forget(&asker);
            self.messages.counters.waiting_blocks_dropped += 1;
            return;
        }
        self.messages.remember(now, &asker);
        let token = asker.token;
        let exchange = self.insert(now, asker, State::WaitingForBlock(snapshot), block.offset());
        let waiting = Waiting { exchange, block, token };
        self.change_snapshot(now, session, snapshot, |snapshot| snapshot.waiting.push_back(waiting));
    }

    /// Enters a snapshot in the place of an older answer to the same request, in a free place, or in that of
    /// the least needed one.
    pub(super) fn insert_snapshot(&mut self, now: Instant, asker: &Origin, snapshot: Snapshot) {
        let session = asker.session;
        let limits = &self.messages.limits;
        let most = limits.snapshots_per_session + 2 * limits.exchanges_per_session;
        if let Some((older, read)) =
            self.snapshot_of(session, &snapshot.key).map(|older| (older.id, older.read))
        {
            self.messages.counters.bodies_given_up += u64::from(!read);
            self.drop_snapshot(now, session, older, "a newer answer has taken its place");
        }
        while let Some(bodies) = self.bodies(session).filter(|bodies| bodies.snapshots().len() >= most.max(1))
            && let Some(goes) = bodies.least_needed(None).map(|goes| goes.id)
        {
            self.evict(now, session, goes);
        }
        self.begin_bodies(asker);
        self.change_bodies(now, session, |bodies| bodies.insert(snapshot));
    }

    /// Returns block 0, for the request that made the snapshot.
    pub(super) fn first_block(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        block: Block,
        token: Token,
    ) -> Option<Outgoing> {
        let asked = self.change_snapshot(now, session, id, |snapshot| {
            let (option, wants_size) = (snapshot.option, snapshot.option == numbers::Q_BLOCK2);
            snapshot.ask(now, Ask { block, token, option, wants_size })
        });
        self.block_message(token, asked.filter(|lookup| matches!(lookup, Lookup::Ready { .. }))?)
    }

    /// Takes in more of the body from the upstream.
    pub(super) fn feed(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        bytes: &[u8],
        last: bool,
    ) {
        self.change_snapshot(now, session, id, |snapshot| snapshot.append(bytes));
        if last {
            self.end_snapshot(now, session, id, End::Complete);
        } else {
            self.serve_waiting(now, session, id);
        }
        self.grown(now, session, id);
    }

    /// Notes that the upstream has ended, well or badly.
    pub(super) fn end_snapshot(&mut self, now: Instant, session: SessionId, id: SnapshotId, end: End) {
        let ended = self.change_snapshot(now, session, id, |snapshot| {
            let feeder = snapshot.feeder;
            snapshot.finish(end);
            feeder
        });
        let Some(feeder) = ended else { return };
        if let Some(feeder) = feeder {
            self.memory.go_on(feeder);
            if let Some(exchange) = self.exchanges.get_mut(&feeder) {
                exchange.state = State::Done(Some(id));
            }
            self.forget_if_done(now, feeder);
        }
        self.serve_waiting(now, session, id);
    }

    /// Answers the requests whose block has come, in the order of their arrival.
    fn serve_waiting(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        while let Some((waiting, lookup)) =
            self.change_snapshot(now, session, id, |snapshot| snapshot.next_ready(now)).flatten()
        {
            if let Some(message) = self.block_message(waiting.token, lookup) {
                self.reply_to_waiting(now, waiting.exchange, message);
            }
        }
        self.serve_lists(now, session, id);
        let sending = self.bodies(session).and_then(|bodies| bodies.snapshot(id)?.sending.as_ref());
        if sending.is_some_and(|sending| sending.is_stalled) {
            self.send_on(now, session, id);
        }
    }

    /// Drops a snapshot; refuses the requests that wait for it, and cancels the upstream request
    /// that fills it.
    pub(super) fn drop_snapshot(&mut self, now: Instant, session: SessionId, id: SnapshotId, text: &str) {
        let removed = self.change_bodies(now, session, |bodies| bodies.remove(id)).flatten();
        let Some(snapshot) = removed else { return };
        for Waiting { exchange, token, .. } in snapshot.waiting {
            let (code, payload) = (Code::REQUEST_ENTITY_INCOMPLETE, diagnostic(text));
            self.reply_to_waiting(now, exchange, Outgoing { code, token, options: Vec::new(), payload });
        }
        self.refuse_lists(now, snapshot.lists, text);
        self.alarms.clear(Alarm::Send(session, id));
        if let Some(feeder) = snapshot.feeder {
            self.cancelled(feeder);
            self.remove(now, feeder);
        }
        self.reconsider(session);
        self.tidy(session);
    }

    /// Notes that a block of the snapshot is under way as a separate response (`true`), or has arrived.
    pub(super) fn delivering(&mut self, now: Instant, session: SessionId, id: SnapshotId, begins: bool) {
        self.change_snapshot(now, session, id, |snapshot| {
            snapshot.last_used = now;
            snapshot.delivering = match begins {
                true => snapshot.delivering + 1,
                false => snapshot.delivering.saturating_sub(1),
            };
        });
    }

    pub(super) fn expire_bodies(&mut self, now: Instant, session: SessionId) {
        let idle = self.messages.times.snapshot_idle;
        let lifetime = self.messages.times.exchange_lifetime;
        self.change_bodies_and_count(now, session, |bodies, messages| {
            bodies.uploads.expire(now, lifetime, &mut messages.counters);
        });
        let bodies = self.bodies(session).into_iter();
        let silent = bodies
            .flat_map(Bodies::snapshots)
            .filter(|snapshot| snapshot.expires(idle).is_some_and(|at| at <= now));
        for (snapshot, read) in silent.map(|snapshot| (snapshot.id, snapshot.read)).collect::<Vec<_>>() {
            self.messages.counters.snapshots_expired += 1;
            self.messages.counters.bodies_given_up += u64::from(!read);
            self.drop_snapshot(now, session, snapshot, "no request came for it for too long");
        }
        let next = self.bodies(session).and_then(|bodies| {
            let snapshots = bodies.snapshots().filter_map(|snapshot| snapshot.expires(idle));
            snapshots.chain(bodies.uploads.next_expiry(lifetime)).min()
        });
        match next {
            Some(at) => self.alarms.set(Alarm::Bodies(session), at),
            None => self.alarms.clear(Alarm::Bodies(session)),
        }
        self.tidy(session);
    }
}

/// The accounts of uploads and snapshots.
impl Server {
    pub(super) fn bodies(&self, session: SessionId) -> Option<&Bodies> {
        self.sessions.get(&session)?.bodies.as_deref()
    }

    /// Makes a place for the bodies of a session. `change_bodies` has to follow, and removes it if
    /// it stays empty.
    pub(super) fn begin_bodies(&mut self, asker: &Origin) {
        let at_upstream = self.messages.limits.snapshot_at_upstream;
        let session = self.sessions.entry(asker.session).or_default();
        session.bodies.get_or_insert_with(|| Box::new(Bodies::new(asker.network, at_upstream)));
    }

    /// Changes the bodies of a session, keeping the account and the alarm for silence; the only way to do so.
    /// None if the session has no bodies.
    pub(super) fn change_bodies<R>(
        &mut self,
        now: Instant,
        session: SessionId,
        change: impl FnOnce(&mut Bodies) -> R,
    ) -> Option<R> {
        self.change_bodies_and_count(now, session, |bodies, _| change(bodies))
    }

    /// Changes the bodies of a session like `change_bodies`, for changes that need the limits and count.
    pub(super) fn change_bodies_and_count<R>(
        &mut self,
        now: Instant,
        session: SessionId,
        change: impl FnOnce(&mut Bodies, &mut MessageLayer<ExchangeId>) -> R,
    ) -> Option<R> {
        let state = self.sessions.get_mut(&session)?;
        let bodies = state.bodies.as_mut()?;
        let before = bodies.held();
        let result = change(bodies, &mut self.messages);
        let left = bodies.uploads.take_left();
        self.memory.account(session, bodies.network, before, bodies.held());
        if bodies.is_empty() {
            state.bodies = None;
            self.alarms.clear(Alarm::Bodies(session));
        } else {
            // Nothing can end sooner after a step of its own. The alarm may come too early, never too late.
            let idle = self.messages.times.blockwise_idle.min(self.messages.times.snapshot_idle);
            self.alarms.set_no_later(Alarm::Bodies(session), now + idle);
        }
        for exchange in left {
            self.refuse_last_block(now, exchange);
        }
        Some(result)
    }
}

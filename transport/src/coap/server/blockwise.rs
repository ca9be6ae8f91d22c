//! Bodies in blocks at the server (RFC 7959): blocks of uploads come in, blocks of snapshots go out, and both share a
//! bounded memory.
//!
//! Who has to make room, in this order: what the session has read of its bodies; then reading from the upstream stops. So
//! a client that overlaps its requests does not lose one body to the next, and silence on a bad link costs nothing. A
//! snapshot that somebody waits on is read on all the same, so that nothing waits for ever: it has been read up to its
//! end then, and holds little. A session that still has too much, by half as much again, loses bodies: those that have
//! been read to their end first, then the oldest.

use super::super::block::{Block, uint};
use super::super::message::{MessageId, Outgoing, Token};
use super::super::message_layer::Origin;
use super::super::numbers::{self, Code};
use super::super::options::ParsedRequest;
use super::super::snapshot::{End, Lookup, Snapshot, SnapshotId, Waiting, negotiate};
use super::super::upload::{Arrived, Taken};
use super::exchange::State;
use super::{Alarm, Server, Standing, diagnostic, echo};
use crate::{ExchangeId, SessionId};
use std::time::Instant;

/// What a block request gets for which there is no snapshot (any more).
const UNKNOWN: &str = "the body is not known (any more); start again at block 0";

/// Uploads.
impl Server {
    /// A block of a request body (RFC 7959 section 2.5).
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
        let limits = &self.messages.limits;
        let room = limits.blockwise_total.saturating_sub(self.held);
        let bodies = &mut self.sessions.entry(session).or_default().bodies;
        let before = bodies.bytes();
        let taken = bodies.uploads.take(now, arrived, room, limits, &mut self.messages.counters);
        self.held = self.held + bodies.bytes() - before;
        self.bodies_changed(session);
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
        self.resume_paused();
    }

    /// Ends the upload that a message belongs to, where it has begun: a credential of one of its blocks cannot be read, and
    /// the rest must not go on under another one.
    pub(super) fn end_upload(&mut self, session: SessionId, request: &ParsedRequest) {
        let Some(state) = self.sessions.get_mut(&session).filter(|_| request.block1.is_some()) else {
            return;
        };
        let before = state.bodies.bytes();
        state.bodies.uploads.end(&request.key);
        self.held = self.held + state.bodies.bytes() - before;
        self.bodies_changed(session);
        self.tidy(session);
    }
}

/// Snapshots.
impl Server {
    fn snapshot(&mut self, session: SessionId, id: SnapshotId) -> Option<&mut Snapshot> {
        self.sessions.get_mut(&session)?.bodies.snapshot(id)
    }

    /// A request for a block after the first. It never reaches the upstream.
    pub(super) fn block_requested(
        &mut self,
        now: Instant,
        asker: Origin,
        request: ParsedRequest,
        block: Block,
    ) {
        let session = asker.session;
        // The same place in the body, in smaller blocks where larger ones do not fit (RFC 7959 section 2.4).
        let size = negotiate(Some(block), self.messages.block_size(session));
        let block = Block::at(block.offset(), size, false).unwrap_or(block);
        let found = self.sessions.get_mut(&session).and_then(|session| {
            session.bodies.snapshots.iter_mut().find(|snapshot| snapshot.key == request.key)
        });
        let Some(snapshot) = found else {
            self.messages.counters.snapshot_unknown += 1;
            return self.refuse(now, &asker, Code::REQUEST_ENTITY_INCOMPLETE, UNKNOWN);
        };
        let id = snapshot.id;
        let lookup = snapshot.ask(now, block, asker.token, request.wants_size2);
        self.earlier_blocks_arrived(now, session, id, asker.token, block.offset());
        match self.block_message(asker.token, lookup) {
            Some(message) => self.reply_at_once(now, &asker, Some(id), block.offset(), message),
            None => self.wait_for_block(now, asker, id, block),
        }
        self.balance(now, session, id);
    }

    /// The request for the first block has come again: its client has not got that yet, and wants the rest.
    pub(super) fn still_wanted(&mut self, now: Instant, session: SessionId, request: MessageId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        for snapshot in state.bodies.snapshots.iter_mut().filter(|snapshot| snapshot.request == request) {
            snapshot.last_used = now;
        }
    }

    /// None: it is to be waited for.
    fn block_message(&mut self, token: Token, lookup: Lookup) -> Option<Outgoing> {
        let counters = &mut self.messages.counters;
        let (code, text) = match lookup {
            Lookup::Wait => return None,
            Lookup::Ready(message) => {
                counters.snapshot_blocks += 1;
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
        if self.too_many_block_requests(session) {
            // Not refused: the client would take that for the end of the body. It will ask again, and must be heard then.
            self.messages.forget(&asker);
            self.messages.counters.waiting_blocks_dropped += 1;
            return;
        }
        self.messages.remember(now, &asker);
        let token = asker.token;
        let exchange = self.insert(now, asker, State::WaitingForBlock(snapshot), block.offset());
        if let Some(snapshot) = self.snapshot(session, snapshot) {
            snapshot.waiting.push_back(Waiting { exchange, block, token });
        }
    }

    /// Takes its place among the session's snapshots: that of an older answer to the same request, a free one, or that of
    /// the least needed.
    pub(super) fn insert_snapshot(&mut self, now: Instant, session: SessionId, snapshot: Snapshot) {
        let limits = &self.messages.limits;
        let most = limits.snapshots_per_session + 2 * limits.exchanges_per_session;
        let older = |old: &&Snapshot| old.key == snapshot.key;
        let bodies = &self.sessions.entry(session).or_default().bodies;
        if let Some(older) = bodies.snapshots.iter().find(older).map(|older| older.id) {
            self.drop_snapshot(now, session, older, "a newer answer has taken its place");
        }
        loop {
            let bodies = &self.sessions.entry(session).or_default().bodies;
            let too_many = bodies.snapshots.len() >= most.max(1);
            let Some(goes) = bodies.least_needed(None).filter(|_| too_many) else { break };
            let goes = goes.id;
            self.evict(now, session, goes);
        }
        self.held += snapshot.bytes();
        self.sessions.entry(session).or_default().bodies.snapshots.push(snapshot);
        self.bodies_changed(session);
    }

    /// Block 0, for the request that made the snapshot.
    pub(super) fn first_block(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        block: Block,
        token: Token,
    ) -> Option<Outgoing> {
        let snapshot = self.snapshot(session, id)?;
        let Lookup::Ready(message) = snapshot.ask(now, block, token, false) else { return None };
        self.messages.counters.snapshot_blocks += 1;
        Some(message)
    }

    /// More of the body has come from the upstream.
    pub(super) fn feed(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        bytes: &[u8],
        last: bool,
    ) {
        if let Some(snapshot) = self.snapshot(session, id) {
            snapshot.append(bytes);
            self.held += bytes.len();
        }
        if last {
            self.end_snapshot(now, session, id, End::Complete);
        } else {
            self.serve_waiting(now, session, id);
        }
        self.balance(now, session, id);
    }

    /// The upstream has ended, well or badly.
    pub(super) fn end_snapshot(&mut self, now: Instant, session: SessionId, id: SnapshotId, end: End) {
        let Some(snapshot) = self.snapshot(session, id) else { return };
        let feeder = snapshot.feeder;
        snapshot.finish(end);
        if let Some(feeder) = feeder {
            self.paused.remove(&feeder);
            if let Some(exchange) = self.exchanges.get_mut(&feeder) {
                exchange.state = State::Done(Some(id));
            }
            self.settle(now, feeder);
        }
        self.serve_waiting(now, session, id);
    }

    /// Answers those whose block has come, in the order in which they asked.
    fn serve_waiting(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        while let Some((waiting, lookup)) =
            self.snapshot(session, id).and_then(|snapshot| snapshot.next_ready(now))
        {
            self.bodies_changed(session);
            if let Some(message) = self.block_message(waiting.token, lookup) {
                self.reply_to_waiting(now, waiting.exchange, message);
            }
        }
    }

    /// A snapshot goes, and with it everybody who waits for it and the upstream request that fills it.
    pub(super) fn drop_snapshot(&mut self, now: Instant, session: SessionId, id: SnapshotId, text: &str) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(at) = state.bodies.snapshots.iter().position(|snapshot| snapshot.id == id) else { return };
        let snapshot = state.bodies.snapshots.remove(at);
        self.held -= snapshot.bytes();
        for Waiting { exchange, token, .. } in snapshot.waiting {
            let (code, payload) = (Code::REQUEST_ENTITY_INCOMPLETE, diagnostic(text));
            self.reply_to_waiting(now, exchange, Outgoing { code, token, options: Vec::new(), payload });
        }
        if let Some(feeder) = snapshot.feeder {
            self.cancelled(feeder);
            self.remove(now, feeder);
        }
        self.tidy(session);
        self.resume_paused();
    }

    /// A block of the snapshot is under way as a separate response (`true`), or has arrived.
    pub(super) fn delivering(&mut self, now: Instant, session: SessionId, id: SnapshotId, begins: bool) {
        if let Some(snapshot) = self.snapshot(session, id) {
            snapshot.last_used = now;
            snapshot.delivering = match begins {
                true => snapshot.delivering + 1,
                false => snapshot.delivering.saturating_sub(1),
            };
            self.bodies_changed(session);
        }
    }

    pub(super) fn expire_bodies(&mut self, now: Instant, session: SessionId) {
        let times = &self.messages.times;
        let (upload_idle, snapshot_idle) = (times.blockwise_idle, times.snapshot_idle);
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let before = state.bodies.bytes();
        state.bodies.uploads.expire(now, upload_idle, &mut self.messages.counters);
        self.held = self.held + state.bodies.bytes() - before;
        let silent = |snapshot: &&Snapshot| snapshot.expires(snapshot_idle).is_some_and(|at| at <= now);
        let silent: Vec<_> =
            state.bodies.snapshots.iter().filter(silent).map(|snapshot| snapshot.id).collect();
        for snapshot in silent {
            self.messages.counters.snapshots_expired += 1;
            self.drop_snapshot(now, session, snapshot, "nobody has asked for it for too long");
        }
        self.bodies_changed(session);
        self.tidy(session);
        self.resume_paused();
    }

    /// Watches over the silence of what there is. The alarm may come too early, never too late.
    fn bodies_changed(&mut self, session: SessionId) {
        let times = &self.messages.times;
        let Some(state) = self.sessions.get(&session) else { return };
        let snapshots =
            state.bodies.snapshots.iter().filter_map(|snapshot| snapshot.expires(times.snapshot_idle));
        let next = snapshots.chain(state.bodies.uploads.next_expiry(times.blockwise_idle)).min();
        match next {
            Some(at) => self.alarms.set_no_later(Alarm::Bodies(session), at),
            None => self.alarms.clear(Alarm::Bodies(session)),
        }
    }
}

/// Memory.
impl Server {
    /// Makes room after a snapshot has grown, and says whether its upstream is read on.
    pub(super) fn balance(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        let share = self.messages.limits.snapshot_bytes_per_session;
        let total = self.messages.limits.blockwise_total;
        let bytes =
            |server: &Server| server.sessions.get(&session).map_or(0, |state| state.bodies.snapshot_bytes());
        let least_needed = |server: &Server| {
            let least_needed = server.sessions.get(&session)?.bodies.least_needed(Some(id))?;
            Some((least_needed.id, least_needed.read))
        };
        if (bytes(self) > share || self.held > total)
            && let Some(state) = self.sessions.get_mut(&session)
        {
            let before = state.bodies.snapshot_bytes();
            state.bodies.snapshots.iter_mut().for_each(|snapshot| snapshot.trim(share));
            self.held = self.held + state.bodies.snapshot_bytes() - before;
        }
        while let Some((other, read)) = least_needed(self)
            && (bytes(self) > share + share / 2 || (read && self.held > total))
        {
            self.evict(now, session, other);
        }
        if let Some((feeder, read_on)) = self.reads_on(session, id) {
            self.set_paused(feeder, !read_on);
        }
    }

    fn evict(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        self.messages.counters.snapshots_evicted += 1;
        self.drop_snapshot(now, session, id, "a newer body has taken its place");
    }

    /// Whose answer it is, and whether more of it may come. None when the upstream has ended.
    fn reads_on(&self, session: SessionId, id: SnapshotId) -> Option<(ExchangeId, bool)> {
        let limits = &self.messages.limits;
        let bodies = &self.sessions.get(&session)?.bodies;
        let snapshot = bodies.snapshots.iter().find(|snapshot| snapshot.id == id)?;
        let room = snapshot.ahead() < limits.read_ahead
            && bodies.snapshot_bytes() < limits.snapshot_bytes_per_session
            && self.held < limits.blockwise_total;
        Some((snapshot.feeder?, room || !snapshot.waiting.is_empty()))
    }

    /// Memory may have become free: who stands still may go on.
    pub(super) fn resume_paused(&mut self) {
        let paused: Vec<_> = self.paused.iter().copied().collect();
        for feeder in paused {
            let Some(exchange) = self.exchanges.get(&feeder) else { continue };
            if let State::Feeding(snapshot) = exchange.state
                && let Some((_, true)) = self.reads_on(exchange.asker.session, snapshot)
            {
                self.set_paused(feeder, false);
            }
        }
    }
}

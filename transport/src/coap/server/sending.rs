//! Bodies that are sent on by themselves, to clients of RFC 9177: `snapshot/sending.rs` says when.
//!
//! Every body on its way has one alarm, and a session may have [`Limits::sent_bodies_per_session`] of them.
//! One alarm sends a set at most, and the next comes later, so that one client does not keep the others from
//! theirs.
//!
//! [`Limits::sent_bodies_per_session`]: super::super::config::Limits::sent_bodies_per_session

use super::super::message_layer::Origin;
use super::super::snapshot::{Pace, Sending, SnapshotId, Step};
use super::{Alarm, Server};
use crate::SessionId;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::Kind;
use std::time::{Duration, Instant};

impl Server {
    /// Returns the parameters of RFC 9177 section 7.2 for a session. NON_TIMEOUT is two round trips if that
    /// is longer: a Continue takes one of them, and the path may need another for the set.
    pub(super) fn pace(&self, session: SessionId) -> Pace {
        let limits = &self.messages.limits;
        let least = self.messages.times.non_timeout;
        let timeout = self.messages.smoothed(session).map_or(least, |round_trip| least.max(2 * round_trip));
        Pace {
            set: limits.max_payloads.max(1),
            timeout,
            sets_in_silence: limits.non_max_retransmit,
            probing_rate: self.messages.times.probing_rate,
            patience: self.messages.times.snapshot_idle,
        }
    }

    /// Sends on a body whose block 0, of this size, has been sent. A body too many is not: its client asks
    /// for what it misses.
    pub(super) fn begin_sending(&mut self, now: Instant, asker: Origin, id: SnapshotId, size: BlockSize) {
        let session = asker.session;
        let Some(bodies) = self.bodies(session) else { return };
        if bodies.sent().count() >= self.messages.limits.sent_bodies_per_session {
            self.messages.counters.bodies_not_sent_on += 1;
            return;
        }
        let (pace, spacing) = (self.pace(session), bodies.spacing);
        let asker = Origin { kind: Kind::NonConfirmable, says: 0, ..asker };
        let round_trip = self.messages.smoothed(session);
        let sending = Sending::new(now, asker, size, pace, spacing, round_trip);
        self.messages.counters.bodies_sent_on += 1;
        self.change_snapshot(now, session, id, |snapshot| snapshot.sending = Some(Box::new(sending)));
        self.send_on(now, session, id);
    }

    /// Takes in a request which confirms that all before block `num` has arrived (RFC 9177 section 4.4).
    /// Returns false if the body is not on its way.
    pub(super) fn continue_sending(
        &mut self,
        now: Instant,
        asker: Origin,
        id: SnapshotId,
        num: Block,
    ) -> bool {
        let session = asker.session;
        let (pace, round_trip) = (self.pace(session), self.messages.smoothed(session));
        let spacing = self.change_snapshot(now, session, id, |snapshot| {
            let sending = snapshot.sending.as_mut()?;
            sending.is_heard();
            // One that comes late, after the next set has begun, says nothing of the path.
            let is_next = sending.next() == num.num && !sending.is_stalled;
            Some(is_next.then(|| sending.confirmed(now, asker, pace, round_trip)))
        });
        match spacing.flatten() {
            None => return false,
            Some(Some(spacing)) => {
                self.change_bodies(now, session, |bodies| bodies.spacing = Some(spacing));
            }
            Some(None) if asker.kind == Kind::Confirmable => self.messages.acknowledge(&asker),
            Some(None) => {}
        }
        self.send_on(now, session, id);
        true
    }

    /// Notes that the client of a body on its way has asked for blocks that it has lost.
    pub(super) fn put_off_sending(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        let put_off = self.change_snapshot(now, session, id, |snapshot| {
            snapshot.sending.as_mut().map(|sending| {
                sending.is_heard();
                sending.put_off(now);
            })
        });
        if put_off.flatten().is_some() {
            self.send_on(now, session, id);
        }
    }

    /// Sends what is due of a body on its way, and sets the alarm for the rest.
    pub(super) fn send_on(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        let pace = self.pace(session);
        let mut next = None;
        for _ in 0..=pace.set {
            let size = self.messages.block_size(session);
            match self.change_snapshot(now, session, id, |snapshot| snapshot.step(now, size, pace)) {
                Some(Step::Send(asker, lookup)) => {
                    if let Some(message) = self.block_message(asker.token, lookup) {
                        self.messages.respond(now, &asker, message);
                    }
                    next = Some(now);
                    continue;
                }
                Some(Step::At(due)) => next = Some(due),
                Some(Step::Ended { given_up }) => {
                    self.messages.counters.bodies_sent_in_vain += u64::from(given_up);
                    next = None;
                }
                Some(Step::Stalled) | None => next = None,
            }
            break;
        }
        match next {
            Some(due) => self.alarms.set(Alarm::Send(session, id), due.max(now + Duration::from_millis(1))),
            None => self.alarms.clear(Alarm::Send(session, id)),
        }
        self.read_on(now, session, id);
    }
}

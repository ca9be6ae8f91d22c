//! Which session loses what when bodies take too much, and whose upstream is read on: carries out
//! what `memory.rs` decides.

use super::super::snapshot::{Snapshot, SnapshotId};
use super::bodies::Bodies;
use super::memory::{Pause, WAKES};
use super::{Alarm, Server};
use crate::SessionId;
use std::time::{Duration, Instant};

/// Time until the next look at upstreams that still wait for memory, after some have gone on.
const AGAIN: Duration = Duration::from_millis(50);

impl Server {
    /// Makes room after a snapshot has grown, and decides whether its upstream is read on.
    pub(super) fn grown(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        self.trim(now, session);
        let share = self.messages.limits.snapshot_bytes_per_session;
        let holds = |bodies: &&Bodies| bodies.held().snapshots > share + share / 2;
        while let Some(bodies) = self.bodies(session).filter(holds)
            && let Some(other) = bodies.least_needed(Some(id)).map(|other| other.id)
        {
            self.evict(now, session, other);
        }
        let Some(network) = self.bodies(session).map(|bodies| bodies.network) else { return };
        while let Some(heaviest) = self.memory.snapshot_gives(network)
            && self.gives_way(now, heaviest, (session, id), self.memory.is_overfull(network))
        {}
        self.judge(session, id, 0);
    }

    /// Makes room after a snapshot has been read, and decides whether its upstream is read on.
    pub(super) fn read_on(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        self.trim(now, session);
        self.judge(session, id, 0);
    }

    /// Drops what a session has read, if it holds too much.
    fn trim(&mut self, now: Instant, session: SessionId) {
        let share = self.messages.limits.snapshot_bytes_per_session;
        let Some((network, before)) =
            self.bodies(session).map(|bodies| (bodies.network, bodies.held().snapshots))
        else {
            return;
        };
        if before > share || self.memory.used_up(session, network, 0).is_some() {
            self.change_bodies(now, session, |bodies| bodies.trim(share));
            if self.bodies(session).is_some_and(|bodies| bodies.held().snapshots < before) {
                self.reconsider(session);
            }
        }
    }

    /// Makes the heaviest session give up something for the snapshot that has just grown: what it has read,
    /// then bodies that it has read to their end, and if `is_overfull`, others. Returns false if it has
    /// nothing (more) to give.
    fn gives_way(
        &mut self,
        now: Instant,
        session: SessionId,
        grown: (SessionId, SnapshotId),
        is_overfull: bool,
    ) -> bool {
        let share = self.messages.limits.snapshot_bytes_per_session;
        let trimmed = self.change_bodies(now, session, |bodies| {
            let before = bodies.held().snapshots;
            bodies.trim(share);
            bodies.held().snapshots < before
        });
        if trimmed == Some(true) {
            return true;
        }
        let keep = (grown.0 == session).then_some(grown.1);
        let goes = self.least_needed(session, keep).map(|goes| (goes.id, goes.read));
        match goes {
            Some((goes, read)) if read || is_overfull => {
                self.messages.counters.snapshots_gave_way += 1;
                self.drop_snapshot(now, session, goes, "its memory was needed; start again at block 0");
                true
            }
            _ => {
                self.reconsider(session);
                false
            }
        }
    }

    fn least_needed(&self, session: SessionId, keep: Option<SnapshotId>) -> Option<&Snapshot> {
        self.bodies(session)?.least_needed(keep)
    }

    pub(super) fn evict(&mut self, now: Instant, session: SessionId, id: SnapshotId) {
        self.messages.counters.snapshots_evicted += 1;
        self.drop_snapshot(now, session, id, "a newer body has taken its place");
    }

    /// Reads the upstreams of a session on, or pauses them, as each now has to be.
    pub(super) fn reconsider(&mut self, session: SessionId) {
        let bodies = self.bodies(session).into_iter();
        let fed = bodies.flat_map(Bodies::snapshots).filter(|snapshot| snapshot.feeder.is_some());
        for id in fed.map(|snapshot| snapshot.id).collect::<Vec<_>>() {
            self.judge(session, id, 0);
        }
    }

    /// Reads the upstream of one snapshot on, or pauses it, and returns why it is paused. `expected` others
    /// have just been woken, and have not brought anything yet.
    fn judge(&mut self, session: SessionId, id: SnapshotId, expected: usize) -> Option<Pause> {
        let limits = &self.messages.limits;
        let bodies = self.bodies(session)?;
        let snapshot = bodies.snapshot(id)?;
        let feeder = snapshot.feeder?;
        let has_enough = snapshot.ahead() >= limits.read_ahead
            || bodies.held().snapshots >= limits.snapshot_bytes_per_session;
        let why = if snapshot.is_waited_for() {
            None
        } else if has_enough {
            Some(Pause::Reader)
        } else {
            self.memory.used_up(session, bodies.network, expected).map(Pause::Memory)
        };
        self.set_paused(feeder, why);
        why
    }

    /// Lets the upstreams that have waited longest for memory go on, if some has become free.
    pub(super) fn wake(&mut self, now: Instant) {
        if !self.memory.has_released() {
            self.alarms.clear(Alarm::Wake);
            return;
        }
        let mut woken = 0;
        for _ in 0..WAKES {
            let Some((share, feeder)) = self.memory.next_to_wake() else { break };
            let found =
                self.exchanges.get(&feeder).map(|exchange| (exchange.asker.session, exchange.feeds()));
            let Some((session, Some(snapshot))) = found else {
                self.memory.go_on(feeder);
                continue;
            };
            match self.judge(session, snapshot, woken) {
                Some(Pause::Memory(still)) if still == share => {
                    if woken == 0 {
                        self.memory.is_used_up(share);
                        continue;
                    }
                    break;
                }
                None => woken += 1,
                Some(_) => {}
            }
        }
        if self.memory.has_released() {
            self.alarms.set_no_later(Alarm::Wake, now + AGAIN);
        } else {
            self.alarms.clear(Alarm::Wake);
        }
    }
}

//! What the server role holds now, and what it has counted.

use super::super::counters::Counters;
use super::Server;

impl Server {
    /// Returns the counters since the start, and the gauges of now.
    pub fn counters(&self) -> Counters {
        Counters {
            remembered_bytes: self.messages.remembered_bytes() as u64,
            waiting_bytes: self.messages.waiting_bytes() as u64,
            upload_bytes: self.memory.upload_bytes() as u64,
            snapshot_bytes: self.memory.snapshot_bytes() as u64,
            snapshot_at_upstream: self.memory.at_upstream() as u64,
            ..self.messages.counters
        }
    }

    /// Returns what counts against `blockwise_total` now: bytes that uploads and snapshots hold, allocations
    /// as a whole, and bytes that are held for snapshots at the upstream.
    pub fn blockwise_bytes(&self) -> usize {
        self.memory.upload_bytes() + self.memory.snapshot_bytes() + self.memory.at_upstream()
    }

    /// Counts the sessions that have state in this layer; those at rest have none.
    pub fn sessions_in_memory(&self) -> usize {
        self.messages.sessions().max(self.sessions.len())
    }
}

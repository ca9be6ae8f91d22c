//! What a session holds of bodies in blocks, and what can be asked of it.

use super::super::snapshot::{Snapshot, SnapshotId};
use super::super::upload::Uploads;
use crate::shares::Network;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::options::ParsedRequest;
use std::time::{Duration, Instant};

/// The uploads and snapshots of one session, with an account of their own, so that nothing has to be summed
/// up.
#[derive(Debug)]
pub(super) struct Bodies {
    /// Network whose share pays for them.
    pub(super) network: Network,
    pub(super) uploads: Uploads,
    snapshots: Vec<Snapshot>,
    snapshot_bytes: usize,
    unread: usize,
    at_upstream: usize,
    /// Most bytes that one snapshot is taken to hold at the upstream.
    most_at_upstream: usize,
    /// Time between two blocks of a body that is sent on by itself, as the newest one has shown it.
    pub(super) spacing: Option<Duration>,
}

/// What a session's bodies take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Bytes of uploads.
    pub(super) uploads: usize,
    /// Bytes of snapshots.
    pub(super) snapshots: usize,
    /// Snapshots that have not been read to the end.
    pub(super) unread: usize,
    /// Bytes that are held for snapshots between here and where their bodies come from.
    pub(super) at_upstream: usize,
}

impl Bodies {
    pub(super) fn new(network: Network, most_at_upstream: usize) -> Bodies {
        Bodies {
            network,
            uploads: Uploads::default(),
            snapshots: Vec::new(),
            snapshot_bytes: 0,
            unread: 0,
            at_upstream: 0,
            most_at_upstream,
            spacing: None,
        }
    }

    pub(super) fn held(&self) -> Held {
        Held {
            uploads: self.uploads.bytes(),
            snapshots: self.snapshot_bytes,
            unread: self.unread,
            at_upstream: self.at_upstream,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.uploads.is_empty() && self.snapshots.is_empty()
    }

    /// Returns when each upload, and each snapshot that has not been read to the end, made its last step;
    /// `None` for one that waits for a step of ours.
    pub(super) fn last_steps(&self) -> impl Iterator<Item = Option<Instant>> {
        let unread = self.snapshots().filter(|snapshot| !snapshot.read);
        let read_on = unread.map(|snapshot| snapshot.expires(Duration::ZERO));
        self.uploads.last_used().into_iter().map(Some).chain(read_on)
    }

    pub(super) fn snapshots(&self) -> impl ExactSizeIterator<Item = &Snapshot> {
        self.snapshots.iter()
    }

    pub(super) fn snapshot(&self, id: SnapshotId) -> Option<&Snapshot> {
        self.snapshots().find(|snapshot| snapshot.id == id)
    }

    /// Changes a snapshot; the only way to do so.
    pub(super) fn change<R>(&mut self, id: SnapshotId, change: impl FnOnce(&mut Snapshot) -> R) -> Option<R> {
        let most = self.most_at_upstream;
        let snapshot = self.snapshots.iter_mut().find(|snapshot| snapshot.id == id)?;
        let (bytes, read, at_upstream) = (snapshot.bytes(), snapshot.read, snapshot.at_upstream(most));
        let result = change(snapshot);
        self.snapshot_bytes = self.snapshot_bytes + snapshot.bytes() - bytes;
        self.at_upstream = self.at_upstream + snapshot.at_upstream(most) - at_upstream;
        self.unread -= usize::from(snapshot.read && !read);
        Some(result)
    }

    pub(super) fn insert(&mut self, snapshot: Snapshot) {
        self.snapshot_bytes += snapshot.bytes();
        self.unread += usize::from(!snapshot.read);
        self.at_upstream += snapshot.at_upstream(self.most_at_upstream);
        self.snapshots.push(snapshot);
    }

    pub(super) fn remove(&mut self, id: SnapshotId) -> Option<Snapshot> {
        let at = self.snapshots.iter().position(|snapshot| snapshot.id == id)?;
        let snapshot = self.snapshots.remove(at);
        self.snapshot_bytes -= snapshot.bytes();
        self.unread -= usize::from(!snapshot.read);
        self.at_upstream -= snapshot.at_upstream(self.most_at_upstream);
        Some(snapshot)
    }

    /// Returns the snapshots that are sent on by themselves.
    pub(super) fn sent(&self) -> impl Iterator<Item = SnapshotId> {
        self.snapshots().filter(|snapshot| snapshot.sending.is_some()).map(|snapshot| snapshot.id)
    }

    /// Counts the blocks of lists that wait for the upstream.
    pub(super) fn listed(&self) -> usize {
        self.snapshots.iter().map(Snapshot::listed).sum()
    }

    /// Drops what has been read of all snapshots, as [`Snapshot::trim`] does.
    pub(super) fn trim(&mut self, share: usize) {
        for snapshot in &mut self.snapshots {
            let bytes = snapshot.bytes();
            snapshot.trim(share);
            self.snapshot_bytes = self.snapshot_bytes + snapshot.bytes() - bytes;
        }
    }

    /// Returns the access token of the body that a message continues, if it is known; the inner `None` stands
    /// for no token.
    pub(super) fn access_token(&self, request: &ParsedRequest) -> Option<Option<AccessToken>> {
        match request.block1 {
            _ if request.reads_on() => {
                let snapshot = self.snapshots().find(|snapshot| snapshot.key == request.key)?;
                Some(snapshot.access_token.clone())
            }
            Some(block) if self.goes_on(block, request) => self.uploads.access_token(&request.key),
            _ => None,
        }
    }

    /// Returns that token if the body is bound to it: an upload of which a block carried one, the answer to a
    /// request that did.
    pub(super) fn said_token(&self, request: &ParsedRequest) -> Option<Option<AccessToken>> {
        match request.block1 {
            _ if request.reads_on() => self.access_token(request).filter(Option::is_some),
            Some(block) if self.goes_on(block, request) => self.uploads.said_token(&request.key),
            _ => None,
        }
    }

    /// Returns whether a block of a request body is not the one that begins it.
    fn goes_on(&self, block: Block, request: &ParsedRequest) -> bool {
        block.num > 0 || self.uploads.is_in_any_order(&request.key)
    }

    /// Returns the snapshot whose loss does the least harm, other than `keep`: of those read to their end,
    /// otherwise of all, the one used longest ago.
    pub(super) fn least_needed(&self, keep: Option<SnapshotId>) -> Option<&Snapshot> {
        let others = self.snapshots().filter(|snapshot| Some(snapshot.id) != keep);
        others.min_by_key(|snapshot| (!snapshot.read, snapshot.last_used, snapshot.id))
    }
}

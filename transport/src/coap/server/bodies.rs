//! What a session holds of bodies in blocks, and what can be asked of it.

use super::super::access_token::AccessToken;
use super::super::options::ParsedRequest;
use super::super::snapshot::{Snapshot, SnapshotId};
use super::super::upload::Uploads;
use std::time::{Duration, Instant};

/// The uploads and snapshots of one session.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    pub(super) uploads: Uploads,
    pub(super) snapshots: Vec<Snapshot>,
}

impl Bodies {
    pub(super) fn bytes(&self) -> usize {
        self.uploads.bytes() + self.snapshot_bytes()
    }

    pub(super) fn snapshot_bytes(&self) -> usize {
        self.snapshots.iter().map(Snapshot::bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.uploads.is_empty() && self.snapshots.is_empty()
    }

    /// Snapshots that have not been read to the end.
    pub(super) fn unread(&self) -> usize {
        self.snapshots.iter().filter(|snapshot| !snapshot.read).count()
    }

    /// When each upload, and each snapshot that has not been read to the end, made its last step; `None` waits for one of ours.
    pub(super) fn last_steps(&self) -> impl Iterator<Item = Option<Instant>> {
        let unread = self.snapshots.iter().filter(|snapshot| !snapshot.read);
        let read_on = unread.map(|snapshot| snapshot.expires(Duration::ZERO));
        self.uploads.last_used().into_iter().map(Some).chain(read_on)
    }

    pub(super) fn snapshot(&mut self, id: SnapshotId) -> Option<&mut Snapshot> {
        self.snapshots.iter_mut().find(|snapshot| snapshot.id == id)
    }

    /// The access token under which the body runs that a message goes on with, where it is known; the inner `None` stands for no
    /// token.
    pub(super) fn access_token(&self, request: &ParsedRequest) -> Option<Option<AccessToken>> {
        match (request.block2, request.block1) {
            (Some(block), _) if block.num > 0 => {
                let snapshot = self.snapshots.iter().find(|snapshot| snapshot.key == request.key)?;
                Some(snapshot.access_token.clone())
            }
            (_, Some(block)) if block.num > 0 => self.uploads.access_token(&request.key),
            _ => None,
        }
    }

    /// The same of a body that is of one token: an upload in which one has been said, the answer to a request that had one.
    pub(super) fn said_token(&self, request: &ParsedRequest) -> Option<Option<AccessToken>> {
        match (request.block2, request.block1) {
            (Some(block), _) if block.num > 0 => self.access_token(request).filter(Option::is_some),
            (_, Some(block)) if block.num > 0 => self.uploads.said_token(&request.key),
            _ => None,
        }
    }

    /// The one whose loss does the least harm, but for `keep`: one that has been read to its end, not lately.
    pub(super) fn least_needed(&self, keep: Option<SnapshotId>) -> Option<&Snapshot> {
        let others = self.snapshots.iter().filter(|snapshot| Some(snapshot.id) != keep);
        others.min_by_key(|snapshot| (!snapshot.read, snapshot.last_used, snapshot.id))
    }
}

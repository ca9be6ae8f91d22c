//! Tables of what has an id and an address, one per address: sessions, handshakes.

use crate::SessionId;
use crate::by_number::ByNumber;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::net::SocketAddr;

/// An entry of a [`Table`].
pub(super) trait HasPeer {
    fn peer(&self) -> SocketAddr;
}

/// Finds entries by id and by address.
pub(super) struct Table<T> {
    by_id: HashMap<SessionId, Box<T>, ByNumber>,
    by_peer: HashMap<SocketAddr, SessionId, SeededHash>,
}

impl<T: HasPeer> Table<T> {
    pub(super) fn new(hash: SeededHash) -> Table<T> {
        Table { by_id: HashMap::with_hasher(ByNumber::new()), by_peer: HashMap::with_hasher(hash) }
    }
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
    /// Inserts an entry. An older one at the same address must have been removed before.
    pub(super) fn insert(&mut self, id: SessionId, value: T) {
        self.by_peer.insert(value.peer(), id);
        self.by_id.insert(id, Box::new(value));
    }
    pub(super) fn remove(&mut self, id: SessionId) -> Option<T> {
        let value = self.by_id.remove(&id)?;
        self.by_peer.remove(&value.peer());
        Some(*value)
    }
    pub(super) fn get(&self, id: SessionId) -> Option<&T> {
        self.by_id.get(&id).map(|value| &**value)
    }
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut T> {
        self.by_id.get_mut(&id).map(|value| &mut **value)
    }
    pub(super) fn id_at(&self, peer: SocketAddr) -> Option<SessionId> {
        self.by_peer.get(&peer).copied()
    }
    /// Returns all ids in order, so that nothing depends on the hash.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// The standard hasher with a secret prefix from the seed: peers choose their addresses, but cannot aim
/// at a bucket.
#[derive(Clone, Copy)]
pub(super) struct SeededHash(pub(super) [u8; 16]);

impl BuildHasher for SeededHash {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher
    }
}

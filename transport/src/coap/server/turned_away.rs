//! How many requests a session may have open: further ones are turned away.

use super::Server;
use crate::SessionId;

impl Server {
    /// Returns whether a request is one too many. A client that keeps to the same limit sends its next
    /// request when it has a response, not when we know that it has: so responses that wait for an
    /// acknowledgement have a limit of their own.
    pub(super) fn too_many_requests(&self, session: SessionId) -> bool {
        let limit = self.messages.limits.exchanges_per_session;
        let Some(state) = self.sessions.get(&session).filter(|state| state.exchanges.len() >= limit) else {
            return false;
        };
        let exchanges = || state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        let all = exchanges().filter(|exchange| !exchange.for_block).count();
        let waiting = exchanges().filter(|exchange| exchange.waits_for_upstream()).count();
        waiting >= limit || all >= 2 * limit
    }

    /// Returns whether a block request that waits for the upstream is one too many.
    pub(super) fn too_many_block_requests(&self, session: SessionId) -> bool {
        self.has_block_requests(session, self.messages.limits.waiting_blocks_per_session)
    }

    /// Returns whether a block request inside an acknowledgement is one too many. A client has one of them in
    /// each of its exchanges, and each costs a message that waits for its own acknowledgement.
    pub(super) fn too_many_in_acknowledgements(&self, session: SessionId) -> bool {
        self.has_block_requests(session, self.messages.limits.exchanges_per_session)
    }

    fn has_block_requests(&self, session: SessionId, limit: usize) -> bool {
        let Some(state) = self.sessions.get(&session).filter(|state| state.exchanges.len() >= limit) else {
            return false;
        };
        let exchanges = state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        exchanges.filter(|exchange| exchange.for_block).count() >= limit
    }
}

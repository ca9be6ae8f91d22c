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

    /// Returns how many more blocks may be asked for that wait for the upstream. Each block of a list counts.
    pub(super) fn room_for_block_requests(&self, session: SessionId) -> usize {
        let Some(state) = self.sessions.get(&session) else { return 0 };
        let exchanges = state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        let single = exchanges.filter(|exchange| exchange.for_block).count();
        let listed = state.bodies.as_ref().map_or(0, |bodies| bodies.listed());
        self.messages.limits.waiting_blocks_per_session.saturating_sub(single + listed)
    }

    /// Returns whether a block request inside an acknowledgement is one too many. A client has one of them in
    /// each of its exchanges, and each costs a message that waits for its own acknowledgement.
    pub(super) fn too_many_in_acknowledgements(&self, session: SessionId) -> bool {
        let limit = self.messages.limits.exchanges_per_session;
        let Some(state) = self.sessions.get(&session).filter(|state| state.exchanges.len() >= limit) else {
            return false;
        };
        let exchanges = state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        exchanges.filter(|exchange| exchange.for_block).count() >= limit
    }
}

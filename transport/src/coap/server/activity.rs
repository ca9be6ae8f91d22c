//! What is under way: what a graceful end waits for, and what it cuts.

use super::Server;
use super::exchange::Exchange;
use crate::{ExchangeId, SessionId};
use std::time::Instant;

/// How much of a session is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// All requests are answered, what is sent again until it is acknowledged has been, and all bodies in blocks are complete.
    AtRest,
    /// But for a body in blocks that has made no step for a while: its client may be gone.
    Silent,
    /// Something goes on.
    Busy,
}

impl Server {
    /// Of a session, where a body is silent that has made no step after `since`. One that is not known is at rest.
    pub fn activity(&self, session: SessionId, since: Instant) -> Activity {
        let Some(state) = self.sessions.get(&session) else { return Activity::AtRest };
        let mut exchanges = state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        if exchanges.any(Exchange::is_unfinished) {
            return Activity::Busy;
        }
        let moves = |step: Option<Instant>| step.is_none_or(|last| last > since);
        match state.bodies.iter().flat_map(|bodies| bodies.last_steps()).map(moves).max() {
            None => Activity::AtRest,
            Some(false) => Activity::Silent,
            Some(true) => Activity::Busy,
        }
    }

    /// What a session has open: requests without an answer, and answers that have not been acknowledged.
    pub fn exchanges_of(&self, session: SessionId) -> Vec<ExchangeId> {
        self.sessions.get(&session).map(|state| state.exchanges.iter().copied().collect()).unwrap_or_default()
    }

    /// Exchanges without a finished answer, and answers that their clients have not read to the end.
    pub fn open_exchanges(&self) -> usize {
        self.unfinished + self.memory.unread()
    }
}

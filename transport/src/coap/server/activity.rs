//! What is under way: what a graceful end waits for, and what it cuts.

use super::Server;
use super::exchange::Exchange;
use crate::{ExchangeId, SessionId};
use std::time::Instant;

/// How much of a session is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// All requests are answered, all confirmable messages acknowledged, and all bodies in blocks complete.
    AtRest,
    /// The session would be at rest but for a body in blocks that has made no step for a while: its client
    /// may be gone.
    Silent,
    /// Requests, answers or bodies are under way.
    Busy,
}

impl Server {
    /// Returns how much of a session is under way; a body that has made no step after `since` counts as
    /// silent. An unknown session is at rest.
    pub fn activity(&self, session: SessionId, since: Instant) -> Activity {
        let Some(state) = self.sessions.get(&session) else { return Activity::AtRest };
        let mut exchanges = state.exchanges.iter().filter_map(|exchange| self.exchanges.get(exchange));
        if exchanges.any(Exchange::is_unfinished) {
            return Activity::Busy;
        }
        let bodies = || state.bodies.iter().flat_map(|bodies| bodies.snapshots());
        if bodies().any(|body| body.read && body.has_gaps && body.last_used > since) {
            return Activity::Busy;
        }
        let moves = |step: Option<Instant>| step.is_none_or(|last| last > since);
        match state.bodies.iter().flat_map(|bodies| bodies.last_steps()).map(moves).max() {
            None => Activity::AtRest,
            Some(false) => Activity::Silent,
            Some(true) => Activity::Busy,
        }
    }

    /// Returns what a session has open: requests without an answer, and answers that have
    /// not been acknowledged.
    pub fn exchanges_of(&self, session: SessionId) -> Vec<ExchangeId> {
        self.sessions.get(&session).map(|state| state.exchanges.iter().copied().collect()).unwrap_or_default()
    }

    /// Counts the exchanges without a finished answer, and the answers that their clients have not read
    /// to the end.
    pub fn open_exchanges(&self) -> usize {
        self.unfinished + self.memory.unread()
    }
}

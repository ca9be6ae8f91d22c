//! Whether the peer is still there: what it owes an answer to, and pings (RFC 7252 section 4.3).
//!
//! ```text
//! ping -- Reset, acknowledgement --> Pong
//!   `---- given up: nothing else heard since --> Dead
//!                   anything at all ----------->  (nothing)
//! ```

use super::{Client, ClientEvent, Owner};
use crate::SessionId;
use std::time::Instant;

/// A peer that owes an answer and says nothing. See [`Client::silence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When the oldest message went out that is not acknowledged, or when the peer was last heard,
    /// whichever came later.
    pub since: Instant,
    /// How often that message has been sent. On a slow path only a few copies have gone out in a time that is
    /// long elsewhere.
    pub copies: u32,
}

impl Client {
    /// Sends an Empty confirmable message (RFC 7252 section 4.3), unless one is on its way already. `Pong`
    /// comes when it is answered; `Dead` when it is not, and nothing else comes either.
    pub fn ping(&mut self, now: Instant, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if state.open && state.pinged.is_none() {
            state.pinged = Some(now);
            self.messages.send_ping(now, session, Owner::Ping(session));
        }
    }

    pub(super) fn ping_answered(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.pinged = None;
        }
        self.events.push_back(ClientEvent::Pong { session });
    }

    /// Reports the peer dead, unless it has said something else: some servers answer no pings.
    pub(super) fn ping_failed(&mut self, session: SessionId) {
        let pinged = self.sessions.get_mut(&session).and_then(|state| state.pinged.take());
        if pinged.is_some_and(|pinged| !self.messages.has_heard_since(session, pinged)) {
            self.events.push_back(ClientEvent::Dead { session });
        }
    }

    /// Returns since when the peer owes us an answer, an acknowledgement at least, to what is on its way;
    /// None if it owes none. A request that has been acknowledged may wait for its response as long as it
    /// likes.
    pub fn silence(&self, session: SessionId) -> Option<Silence> {
        let message = self.messages.oldest_unacknowledged(session);
        let state = self.sessions.get(&session)?;
        let window = state.window();
        let blocks = window.and_then(|window| Some((window.owed_since()?, window.backoff() + 1)));
        let (first_sent, copies) = message.into_iter().chain(blocks).min()?;
        let heard = state.heard;
        Some(Silence { since: heard.map_or(first_sent, |heard| heard.max(first_sent)), copies })
    }
}

//! What is known of the path of a session before its first request, and what the next session may know of it.

use super::Client;
use crate::SessionId;

impl Client {
    /// Makes the blocks of a session small, because its handshake or an earlier session has shown that
    /// datagrams of more than 548 bytes do not pass. A longer message that arrives revokes it. Call it
    /// before [`Client::session_opened`].
    pub fn take_for_narrow(&mut self, session: SessionId) {
        if self.sessions.contains_key(&session) {
            self.messages.take_for_narrow(session);
        }
    }

    /// Revokes [`Client::take_for_narrow`]: a longer datagram has passed.
    pub fn take_for_wide(&mut self, session: SessionId) {
        self.messages.take_for_wide(session);
    }

    /// Returns whether the blocks of a session are smaller because of its path; `None` without such a
    /// session.
    pub fn path_is_narrow(&self, session: SessionId) -> Option<bool> {
        self.sessions.contains_key(&session).then(|| self.messages.path_is_narrow(session))
    }
}

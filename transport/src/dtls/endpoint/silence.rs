//! Sessions in the order in which they were last heard, so that the one that has been silent longest is
//! always at hand. The order is a list whose links stand in the sessions themselves: an idle session costs 16
//! bytes, and hearing from one costs a few steps.
//!
//! ```text
//! longest <-> ... <-> ... <-> shortest
//!    ^                            ^
//!    ends by idle time first      heard of last
//! ```

use super::super::session::Session;
use super::super::table::Table;
use crate::SessionId;
use std::time::Instant;

/// The neighbours of a session in the list.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dtls) struct Links {
    /// The neighbour that has been silent for longer.
    older: Option<Neighbour>,
    /// The neighbour that was heard since.
    newer: Option<Neighbour>,
}

/// A session's id. Ids begin with 1, so that a link that leads nowhere takes no room of its own.
type Neighbour = std::num::NonZeroU64;

/// Both ends of the list.
#[derive(Debug, Default)]
pub(super) struct Silence {
    longest: Option<Neighbour>,
    shortest: Option<Neighbour>,
}

impl Silence {
    /// Returns the session that has been silent longest, and when it was last heard.
    pub(super) fn longest(&self, sessions: &Table<Session>) -> Option<(SessionId, Instant)> {
        let id = SessionId(self.longest?.get());
        Some((id, sessions.get(id)?.heard))
    }

    /// Enters a new session, which has just been heard.
    pub(super) fn enter(&mut self, sessions: &mut Table<Session>, id: SessionId) {
        let Some(new) = Neighbour::new(id.0) else { return };
        let older = self.shortest.replace(new);
        if let Some(session) = sessions.get_mut(id) {
            session.links = Links { older, newer: None };
        }
        *self.newer_of(sessions, older) = Some(new);
    }

    /// Notes that a session has been heard.
    pub(super) fn heard(&mut self, sessions: &mut Table<Session>, id: SessionId) {
        if self.shortest.is_some_and(|shortest| shortest.get() == id.0) {
            return;
        }
        let Some(links) = sessions.get(id).map(|session| session.links) else { return };
        self.leave(sessions, links);
        self.enter(sessions, id);
    }

    /// Removes the session that these links belong to.
    pub(super) fn leave(&mut self, sessions: &mut Table<Session>, Links { older, newer }: Links) {
        *self.newer_of(sessions, older) = newer;
        *self.older_of(sessions, newer) = older;
    }

    /// Returns the link to the session after this one.
    fn newer_of<'a>(
        &'a mut self,
        sessions: &'a mut Table<Session>,
        of: Option<Neighbour>,
    ) -> &'a mut Option<Neighbour> {
        match of.and_then(|of| sessions.get_mut(SessionId(of.get()))) {
            Some(session) => &mut session.links.newer,
            None => &mut self.longest,
        }
    }

    /// Returns the link to the session before this one.
    fn older_of<'a>(
        &'a mut self,
        sessions: &'a mut Table<Session>,
        of: Option<Neighbour>,
    ) -> &'a mut Option<Neighbour> {
        match of.and_then(|of| sessions.get_mut(SessionId(of.get()))) {
            Some(session) => &mut session.links.older,
            None => &mut self.shortest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::table::SeededHash;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The list agrees with one that is searched from end to end.
        #[test]
        fn whoever_has_been_silent_longest_is_found(steps in prop::collection::vec((1_u64..20, any::<bool>()), 1..300)) {
            let (mut sessions, mut silence) = (Table::new(SeededHash([0; 16])), Silence::default());
            let mut expected: Vec<u64> = Vec::new();
            let start = Instant::now();
            for (number, (id, goes)) in steps.into_iter().enumerate() {
                let now = start + std::time::Duration::from_millis(number as u64);
                let was_there = expected.contains(&id);
                expected.retain(|other| *other != id);
                match (was_there, goes) {
                    (true, true) => {
                        let session = sessions.remove(SessionId(id)).unwrap();
                        silence.leave(&mut sessions, session.links);
                    }
                    (true, false) => {
                        sessions.get_mut(SessionId(id)).unwrap().heard = now;
                        silence.heard(&mut sessions, SessionId(id));
                        expected.push(id);
                    }
                    (false, _) => {
                        sessions.insert(SessionId(id), Session::heard_at(now, id));
                        silence.enter(&mut sessions, SessionId(id));
                        expected.push(id);
                    }
                }
                let longest = silence.longest(&sessions);
                prop_assert_eq!(longest.map(|(id, _)| id.0), expected.first().copied());
                let earliest = expected.iter().filter_map(|id| sessions.get(SessionId(*id))).map(|session| session.heard).min();
                prop_assert_eq!(longest.map(|(_, heard)| heard), earliest);
                prop_assert_eq!(silence.shortest.map(Neighbour::get), expected.last().copied());
            }
        }
    }
}

//! Sessions from their beginning to their end, and which one gives way to a new one.

use super::Endpoint;
use crate::SessionId;
use crate::dtls::event::{CloseReason, Event, PathSize};
use crate::dtls::handshake::Finished;
use crate::dtls::session::{CLOSE_NOTIFY_ALERT, Session};
use crate::dtls::table::HasPeer;
use crate::shares::Network;
use lowband_wire::dtls::keys::Role;
use lowband_wire::dtls::record::ContentType;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

impl Endpoint {
    /// Returns the session that ends before one more of a network is let in. None if there is room, or no
    /// session has to end for it.
    pub(super) fn gives_way(
        &mut self,
        now: Instant,
        network: Network,
        all_places_are_taken: bool,
    ) -> Option<SessionId> {
        let sessions = &self.sessions;
        let heard = |id| sessions.get(id).map(|session| session.heard);
        let least = self.crowds.over_bounds(network, heard);
        if least.is_some() || !all_places_are_taken {
            return least;
        }
        if let Some(least) = self.crowds.before_the_silent(network, heard) {
            return Some(least);
        }
        let longest = self.silence.longest(&self.sessions);
        let silent = longest.filter(|(_, heard)| *heard + self.limits.make_room_after <= now);
        silent.map(|(id, _)| id).or_else(|| self.crowds.after_the_silent(heard))
    }

    /// Ends sessions until there is room; returns false if none gives way.
    pub(super) fn make_room(&mut self, now: Instant, network: Network) -> bool {
        while let Some(least) = self.gives_way(now, network, self.sessions.len() >= self.limits.sessions) {
            self.evict(least);
        }
        self.sessions.len() < self.limits.sessions
    }

    pub(super) fn evict(&mut self, session: SessionId) {
        self.counters.sessions_evicted += 1;
        self.end_session(session, CloseReason::Evicted, true);
    }

    /// Notes that the upstream has accepted a request of the session, made under an access token. The session
    /// then ends only after all sessions of which that is not known.
    pub fn vouch(&mut self, session: SessionId) {
        if let Some(network) = self.sessions.get(session).and_then(|_| self.network(session)) {
            self.crowds.prove(session, network);
        }
    }

    /// Turns a handshake into a session.
    pub(super) fn establish(&mut self, now: Instant, id: SessionId) {
        let Some(handshake) = self.remove_handshake(id) else { return };
        let (role, took) = (handshake.role(), now.duration_since(handshake.began()));
        let finished = match handshake.finish() {
            Ok(finished) => finished,
            Err(why) => {
                self.counters.handshakes_failed += 1;
                if role == Role::Client {
                    self.events.push_back(Event::Closed { session: id, why: CloseReason::Handshake(why) });
                }
                return;
            }
        };
        let Finished { peer, local, round_trip, largest: largest_message, path, .. } = finished;
        if let Some(older) = self.sessions.id_at(peer) {
            self.counters.sessions_replaced += 1;
            self.end_session(older, CloseReason::Replaced, false);
        }
        let network = self.balancers.network(peer.ip(), id.0);
        let has_room = role == Role::Client || self.make_room(now, network);
        self.counters.handshakes += 1;
        let early = finished.early.clone();
        self.sessions.insert(id, Session::new(now, took, finished));
        self.silence.enter(&mut self.sessions, id);
        if role == Role::Server {
            self.crowds.join(id, network);
        }
        self.update_gauges();
        if !has_room {
            // The session that would have given way has been heard in the meantime.
            return self.evict(id);
        }
        if role == Role::Client {
            self.connected(id, peer, round_trip, took, largest_message, path);
        }
        for record in early {
            self.receive(now, peer, local, &record);
        }
    }

    pub(super) fn connected(
        &mut self,
        session: SessionId,
        peer: SocketAddr,
        round_trip: Option<Duration>,
        took: Duration,
        largest_message: usize,
        path: PathSize,
    ) {
        let network = self.balancers.network(peer.ip(), session.0);
        let connected = Event::Connected { session, peer, network, round_trip, took, largest_message, path };
        self.events.push_back(connected);
    }

    /// Ends a session. Reports the end only of sessions whose beginning was reported.
    pub(super) fn end_session(&mut self, id: SessionId, why: CloseReason, notify_peer: bool) {
        if notify_peer {
            self.send_record(id, ContentType::Alert, &CLOSE_NOTIFY_ALERT);
        }
        let Some(session) = self.sessions.remove(id) else { return };
        self.doubted.remove(&id);
        self.forged.remove(&id);
        self.silence.leave(&mut self.sessions, session.links);
        self.crowds.leave(id, self.balancers.network(session.peer().ip(), id.0));
        self.update_gauges();
        if session.is_confirmed() {
            self.events.push_back(Event::Closed { session: id, why });
        }
    }
}

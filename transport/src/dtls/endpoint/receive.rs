//! What arrives: to whom it belongs, and what is dropped and counted.

use super::Endpoint;
use crate::SessionId;
use crate::dtls::event::{CloseReason, Event};
use crate::dtls::front::{self, Verdict};
use crate::dtls::handshake::{Handshake, Progress};
use crate::dtls::hello::{self, ClientHello};
use crate::dtls::record::{ContentType, EPOCH, Record, Records};
use crate::dtls::session::Opened;
use crate::dtls::table::HasPeer;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, datagram: &[u8]) {
        if hello::begins_hello(datagram) {
            return self.receive_hello(now, peer, local, datagram);
        }
        if datagram.is_empty() {
            self.counters.records_malformed += 1;
        }
        for record in Records::new(datagram) {
            match record {
                Ok(record) if record.number.epoch() == 0 => self.receive_plain(now, peer, &record),
                Ok(record) if record.number.epoch() == EPOCH => {
                    self.receive_protected(now, peer, local, &record)
                }
                Ok(_) => self.counters.records_wrong_epoch += 1,
                Err(_) => self.counters.records_malformed += 1,
            }
        }
    }

    fn receive_hello(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, datagram: &[u8]) {
        if !self.accepting {
            self.counters.hellos_not_accepting += 1;
            return;
        }
        match front::judge(&mut self.cookies, &mut self.counters, now, peer, datagram) {
            Verdict::Proven(hello) => self.accept(now, peer, local, &hello),
            Verdict::Verify(answer) => self.transmit(peer, local, vec![answer]),
            Verdict::Drop => {}
        }
    }

    /// A live session at the same address goes on beside the new handshake (RFC 6347 section 4.2.8).
    fn accept(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, hello: &ClientHello<'_>) {
        let live = self.sessions.id_at(peer).and_then(|id| self.sessions.get(id));
        if live.is_some_and(|session| session.began_with(hello.random)) {
            self.counters.hellos_repeated += 1;
            return;
        }
        let mut out = Vec::new();
        if let Some(id) = self.handshakes.id_at(peer) {
            if let Some(handshake) =
                self.handshakes.get_mut(id).filter(|handshake| handshake.began_with(hello))
            {
                handshake.repeat(now, &mut self.counters, &mut out);
                self.schedule_handshake(id);
                return self.transmit(peer, local, out);
            }
            self.supersede(id);
        }
        if self.half_open.all() >= self.limits.half_open {
            self.counters.hellos_over_half_open += 1;
            return;
        }
        if self.half_open.at(peer.ip()) >= self.limits.half_open_per_address {
            self.counters.hellos_over_half_open_per_address += 1;
            return;
        }
        // Last of the limits: nobody gives way to a hello that is dropped after all. Who has a place already may use it for
        // another session.
        let is_full = self.sessions.len() + self.handshakes.len() >= self.limits.sessions;
        if is_full && self.sessions.id_at(peer).is_none() && !self.make_room(now) {
            self.counters.hellos_over_sessions += 1;
            return;
        }
        match Handshake::accept(&self.contexts, &self.limits, now, peer, local, hello, &mut out) {
            Ok(handshake) => _ = self.insert_handshake(handshake),
            Err(_) => self.counters.handshakes_failed += 1,
        }
        self.transmit(peer, local, out);
    }

    fn receive_plain(&mut self, now: Instant, peer: SocketAddr, record: &Record<'_>) {
        if let Some(id) = self.handshakes.id_at(peer) {
            return self.advance_handshake(now, id, record);
        }
        // Nobody has vouched for it: not for an alert either (RFC 6347 section 4.1.2.7).
        *match record.content_type {
            _ if self.sessions.id_at(peer).is_none() => &mut self.counters.records_no_session,
            ContentType::Alert => &mut self.counters.alerts_unprotected,
            _ => &mut self.counters.records_unprotected,
        } += 1;
    }

    fn receive_protected(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        record: &Record<'_>,
    ) {
        let (session, handshake) = (self.sessions.id_at(peer), self.handshakes.id_at(peer));
        if let Some(id) = session {
            let opened = self.sessions.get_mut(id).map(|session| session.open(&mut self.aeads, record));
            match (opened, handshake) {
                // Two ends of the same address under one roof: what the session does not know may be the handshake's.
                (Some(Opened::Forged | Opened::Replayed) | None, Some(handshake)) => {
                    self.advance_handshake(now, handshake, record);
                }
                (Some(opened), _) => self.opened(now, id, local, opened),
                (None, None) => {}
            }
        } else if let Some(id) = handshake {
            self.advance_handshake(now, id, record);
        } else {
            self.counters.records_no_session += 1;
        }
    }

    fn opened(&mut self, now: Instant, id: SessionId, local: Option<IpAddr>, opened: Opened) {
        match opened {
            Opened::Forged => return self.counters.records_forged += 1,
            Opened::Replayed => return self.counters.records_replayed += 1,
            _ => self.counters.records_in += 1,
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.heard = now;
            session.local = local.or(session.local);
        }
        match opened {
            Opened::Data(bytes) => {
                self.confirm(id);
                // RFC 5246 section 6.2.1: empty ones are allowed and say nothing.
                if !bytes.is_empty() {
                    self.events.push_back(Event::Data { session: id, bytes });
                }
            }
            Opened::Ended(why) => self.ended(id, why),
            Opened::RepeatedFlight => self.repeat_last_flight(now, id),
            Opened::Warning => self.counters.alerts_ignored += 1,
            Opened::Unexpected => self.counters.records_unexpected += 1,
            Opened::Forged | Opened::Replayed => {}
        }
    }

    /// The first application record proves that the peer has our Finished.
    fn confirm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| !session.is_confirmed()) else {
            return;
        };
        let (peer, round_trip) = (session.peer(), session.confirm());
        self.events.push_back(Event::Connected { session: id, peer, resumed: false, round_trip });
    }

    fn ended(&mut self, id: SessionId, why: CloseReason) {
        // RFC 5246 section 7.2.1: close_notify is answered with the same.
        let answer = why == CloseReason::CloseNotify;
        *if answer {
            &mut self.counters.sessions_closed_by_peer
        } else {
            &mut self.counters.sessions_alerted
        } += 1;
        self.end_session(id, why, answer);
    }

    fn repeat_last_flight(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (peer, local) = (session.peer(), session.local);
        // Byte for byte: who had read our Finished would not ask for it again.
        let flight = session.last_flight().map(|flight| flight.repeat(now, &mut self.counters).to_vec());
        self.transmit(peer, local, flight.unwrap_or_default());
    }

    fn advance_handshake(&mut self, now: Instant, id: SessionId, record: &Record<'_>) {
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        let mut out = Vec::new();
        let progress = handshake.handle_record(now, record, &mut self.counters, &mut out);
        let (peer, local) = (handshake.peer(), handshake.local());
        self.transmit(peer, local, out);
        match progress {
            Progress::Waiting => self.schedule_handshake(id),
            Progress::Finished => self.establish(now, id),
            Progress::Failed(failure) => {
                self.counters.handshakes_failed += 1;
                self.end_handshake(id, failure.into());
            }
        }
    }
}

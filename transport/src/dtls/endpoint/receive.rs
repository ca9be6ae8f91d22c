//! Arriving records: which session or handshake each belongs to, and what is dropped and counted.

use super::Endpoint;
use crate::SessionId;
use crate::dtls::event::{CloseReason, Event};
use crate::dtls::session::{self, NO_RENEGOTIATION_ALERT, Opened, Session};
use crate::dtls::table::HasPeer;
use lowband_wire::dtls::hello;
use lowband_wire::dtls::record::{ContentType, EPOCH, Record, Records};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, datagram: &[u8]) {
        if hello::begins_hello(datagram) {
            return self.receive_hello(now, peer, local, datagram);
        }
        if datagram.is_empty() {
            self.counters.records_malformed += 1;
        }
        if let Some(id) = self.handshakes.id_at(peer)
            && let Some(handshake) = self.handshakes.get_mut(id)
        {
            handshake.has_come(datagram.len());
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

    fn receive_plain(&mut self, now: Instant, peer: SocketAddr, record: &Record<'_>) {
        if let Some(id) = self.handshakes.id_at(peer) {
            return self.advance_handshake(now, id, record);
        }
        // Nothing vouches for a plaintext record: not even for an alert (RFC 6347 section 4.1.2.7).
        match (record.content_type, self.sessions.id_at(peer)) {
            (_, None) => self.counters.records_no_session += 1,
            (ContentType::Alert, Some(id)) => {
                self.counters.alerts_unprotected += 1;
                if session::is_fatal(record.fragment) {
                    self.doubt(now, id);
                }
            }
            _ => self.counters.records_unprotected += 1,
        }
    }

    /// Reports that a session is in doubt, if this end has begun it and can ask its peer whether it is still
    /// there. The interval bounds what a forger of alerts can make us send.
    fn doubt(&mut self, now: Instant, id: SessionId) {
        const INTERVAL: Duration = Duration::from_secs(10);
        let is_ours = self.sessions.get(id).is_some_and(|session| !session.is_accepted());
        let is_new = self.doubted.get(&id).is_none_or(|last| now.duration_since(*last) >= INTERVAL);
        if is_ours && is_new {
            self.doubted.insert(id, now);
            self.events.push_back(Event::Doubted { session: id });
        }
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
                // A live session and a new handshake may share an address: a record that the session cannot
                // open may belong to the handshake. It is counted all the same, since it may be an attempt to
                // forge: a handshake has few such records, and the limit is high.
                (Some(opened @ (Opened::Forged | Opened::Replayed)), Some(handshake)) => {
                    if opened == Opened::Forged {
                        self.count_try(id);
                    }
                    self.advance_handshake(now, handshake, record);
                }
                (Some(opened), _) => self.opened(now, id, local, opened),
                (None, Some(handshake)) => self.advance_handshake(now, handshake, record),
                (None, None) => {}
            }
        } else if let Some(id) = handshake {
            self.advance_handshake(now, id, record);
        } else {
            self.receive_unknown(now, peer, local, record);
        }
    }

    fn opened(&mut self, now: Instant, id: SessionId, local: Option<IpAddr>, opened: Opened) {
        match opened {
            Opened::Forged => {
                self.counters.records_forged += 1;
                return self.count_try(id);
            }
            Opened::Replayed => return self.counters.records_replayed += 1,
            _ => self.counters.records_in += 1,
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.heard = now;
            session.local = local.or(session.local);
        }
        self.silence.heard(&mut self.sessions, id);
        match opened {
            Opened::Data(bytes) => {
                self.confirm(id);
                // RFC 5246 section 6.2.1: empty records are allowed and mean nothing.
                if !bytes.is_empty() {
                    self.events.push_back(Event::Data { session: id, bytes });
                }
            }
            Opened::Ended(why) => self.ended(id, why),
            Opened::RepeatedFlight => self.repeat_last_flight(now, id),
            Opened::Renegotiation => self.refuse_renegotiation(id),
            Opened::Warning => self.counters.alerts_ignored += 1,
            Opened::Unexpected => self.counters.records_unexpected += 1,
            Opened::Forged | Opened::Replayed => {}
        }
    }

    /// Counts a record that has failed its authentication.
    fn count_try(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let tries = self.forged.entry(id).or_default();
        *tries += 1;
        if *tries >= session.max_forged() {
            self.counters.sessions_forged += 1;
            self.end_session(id, CloseReason::Forged, true);
        }
    }

    /// Notes that the peer has our Finished, which its first application record proves.
    fn confirm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some((round_trip, took, path)) = session.confirm() else { return };
        let (peer, largest_message) = (session.peer(), session.largest_message());
        self.connected(id, peer, round_trip, took, largest_message, path);
    }

    fn ended(&mut self, id: SessionId, why: CloseReason) {
        // RFC 5246 section 7.2.1: close_notify is answered with the same.
        let answer = why == CloseReason::CloseNotify;
        if answer {
            self.counters.sessions_closed_by_peer += 1;
        } else {
            self.counters.sessions_alerted += 1;
        }
        self.end_session(id, why, answer);
    }

    fn refuse_renegotiation(&mut self, id: SessionId) {
        if self.sessions.get_mut(id).is_some_and(Session::refuses_renegotiation) {
            self.counters.renegotiations_refused += 1;
            self.send_record(id, ContentType::Alert, &NO_RENEGOTIATION_ALERT);
        } else {
            self.counters.renegotiations_ignored += 1;
        }
    }

    fn repeat_last_flight(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (peer, local) = (session.peer(), session.local);
        // Resend unchanged: a peer that had read our Finished would not be asking.
        let flight = session.last_flight().map(|flight| flight.repeat(now, &mut self.counters).into_owned());
        self.transmit(peer, local, flight.unwrap_or_default());
    }

    fn advance_handshake(&mut self, now: Instant, id: SessionId, record: &Record<'_>) {
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        if let Some(work) = handshake.answer(now, record) {
            return self.answered(now, id, work);
        }
        let mut out = Vec::new();
        let progress = handshake.handle_record(now, record, &mut self.counters, &mut out);
        self.advanced(now, id, progress, out);
    }
}

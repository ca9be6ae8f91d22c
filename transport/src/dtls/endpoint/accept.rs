//! ClientHellos that arrive: from the front's verdict to a handshake, a hello that is gathered, or a refusal.
//! The table in `front.rs` lists the cases.

use super::Endpoint;
use crate::SessionId;
use crate::dtls::front::{self, Verdict};
use crate::dtls::gathering::Gathering;
use crate::dtls::handshake::{ClientRandom, Handshake};
use lowband_wire::dtls::alert::{DECODE_ERROR, INTERNAL_ERROR, PROTOCOL_VERSION};
use lowband_wire::dtls::hello::{self, ClientHello, Hello, Piece};
use lowband_wire::dtls::record::{self, Record};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Repeats of a hello that stay unanswered while a place may become free; the next one is refused
/// by an alert.
const SILENT_REPEATS: u64 = 3;

impl Endpoint {
    pub(super) fn receive_hello(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        datagram: &[u8],
    ) {
        if !self.contexts.accepts() {
            self.counters.hellos_not_accepting += 1;
            return;
        }
        let mut rest = datagram;
        while hello::begins_hello(rest) {
            let (verdict, after) = front::judge(&mut self.cookies, &mut self.counters, now, peer, rest);
            rest = after;
            match verdict {
                Verdict::Proven(hello) => self.proven(now, peer, local, &hello),
                Verdict::Later(piece) => self.gather(now, peer, local, &piece),
                Verdict::Refuse(hello) => self.refuse(peer, local, &hello, INTERNAL_ERROR),
                // One datagram in answer to one: more would be a gift to an attacker that forges addresses.
                Verdict::Verify(answer) => return self.transmit(peer, local, vec![answer]),
                Verdict::OldVersion(record) => return self.refuse_version(peer, local, &record),
                Verdict::Drop => return,
            }
        }
        if !rest.is_empty() {
            self.counters.records_malformed += 1;
        }
    }

    /// Handles a hello whose sender receives at its address.
    fn proven(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, hello: &ClientHello<'_>) {
        if self.has_had(now, peer, local, hello.random) {
            return;
        }
        if self.gatherings.id_at(peer).is_some_and(|id| self.is_gathering(id, hello)) {
            return self.gather(now, peer, local, &hello.piece);
        }
        if !self.accepting {
            self.counters.hellos_not_accepting += 1;
            return self.refuse(peer, local, hello, INTERNAL_ERROR);
        }
        if !self.may_begin(now, peer) {
            return self.refuse_repeated(peer, local, hello);
        }
        if let Some(older) = self.handshakes.id_at(peer) {
            self.supersede(older);
        }
        self.give_up_gathering_at(peer);
        if hello.piece.is_whole() {
            self.accept(now, now, peer, local, hello);
        } else {
            self.begin_gathering(now, peer, local, hello);
        }
    }

    /// Returns whether the hello has been answered before. A handshake that the hello began repeats its
    /// flight. A live session at the same address goes on beside a new handshake (RFC 6347 section 4.2.8).
    fn has_had(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        random: &ClientRandom,
    ) -> bool {
        let live = self.sessions.id_at(peer).and_then(|id| self.sessions.get(id));
        if live.is_some_and(|session| session.began_with(random)) {
            self.counters.hellos_repeated += 1;
            return true;
        }
        let Some(id) = self.handshakes.id_at(peer) else { return false };
        let Some(handshake) = self.handshakes.get_mut(id).filter(|handshake| handshake.began_with(random))
        else {
            return false;
        };
        let mut out = Vec::new();
        handshake.repeat(now, &mut self.counters, &mut out);
        self.schedule_handshake(id);
        self.transmit(peer, local, out);
        true
    }

    /// Starts a handshake; `began` is when the first piece of the hello came.
    fn accept(
        &mut self,
        now: Instant,
        began: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        hello: &ClientHello<'_>,
    ) {
        // No session gives way to a handshake that never finishes, but one must be there to do so when it
        // does. A peer that has a place already may use it for another session.
        let is_full = self.sessions.len() + self.handshakes.len() >= self.limits.sessions;
        let network = self.balancers.network(peer.ip(), self.last_id + 1);
        if is_full && self.sessions.id_at(peer).is_none() && self.gives_way(now, network, true).is_none() {
            self.counters.hellos_over_sessions += 1;
            return self.refuse(peer, local, hello, INTERNAL_ERROR);
        }
        let Some(acceptor) = self.contexts.acceptor() else { return };
        let (mut handshake, work) = Handshake::accept(acceptor, &self.limits, now, peer, local, hello);
        handshake.began_at(began);
        let id = self.insert_handshake(handshake);
        self.hand_out(now, id, work);
    }

    /// Returns whether a handshake may begin. Strangers could use up the processor with signatures.
    fn may_begin(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let network = self.balancers.network(peer.ip(), self.last_id + 1);
        if self.rates.take(now, network).is_err() {
            self.counters.hellos_over_rate += 1;
            return false;
        }
        // Asked second, so that only peers that the rates admit compete for the queue.
        let has_room = self.may_queue_a_hello();
        self.counters.hellos_over_queue += u64::from(!has_room);
        has_room
    }

    /// Refuses an old version only outside of sessions: the sender has proved nothing, and some clients
    /// believe an alert in the middle of their session or handshake.
    fn refuse_version(&mut self, peer: SocketAddr, local: Option<IpAddr>, hello: &Record<'_>) {
        if self.sessions.id_at(peer).is_none() && self.handshakes.id_at(peer).is_none() {
            self.transmit(peer, local, vec![front::refusal(hello, PROTOCOL_VERSION)]);
        }
    }

    /// Refuses a repeated hello. A place, or a token of the rates, may be there when the hello comes again,
    /// after 1, 2 and 4 seconds. If not, an alert lets its sender turn to HTTPS. The first hello with a
    /// cookie has the record number after those of the hellos that HelloVerifyRequests answered.
    fn refuse_repeated(&mut self, peer: SocketAddr, local: Option<IpAddr>, hello: &ClientHello<'_>) {
        let repeats = hello.record.number.sequence().saturating_sub(u64::from(hello.piece.message_seq));
        if repeats >= SILENT_REPEATS {
            self.refuse(peer, local, hello, INTERNAL_ERROR);
        }
    }

    fn refuse(&mut self, peer: SocketAddr, local: Option<IpAddr>, hello: &ClientHello<'_>, description: u8) {
        self.transmit(peer, local, vec![front::refusal(&hello.record, description)]);
    }
}

/// ClientHellos in pieces. One that is being gathered takes the place of a half-open handshake.
impl Endpoint {
    fn is_gathering(&self, id: SessionId, hello: &ClientHello<'_>) -> bool {
        self.gatherings.get(id).is_some_and(|gathering| gathering.began_with(hello))
    }

    fn begin_gathering(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        hello: &ClientHello<'_>,
    ) {
        if hello.piece.length > self.limits.hello {
            self.counters.hellos_over_length += 1;
            return self.refuse(peer, local, hello, INTERNAL_ERROR);
        }
        let id = self.next_id();
        let give_up = now + self.limits.handshake;
        self.take_half_open_place(id, peer);
        self.gatherings.insert(id, Gathering::new(peer, hello, now, give_up));
        self.handshake_timers.insert((give_up, id));
        self.update_gauges();
        self.gather(now, peer, local, &hello.piece);
    }

    /// Takes in a piece of a hello whose first piece has been proven, or of an unknown one.
    fn gather(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, piece: &Piece<'_>) {
        let found = self.gatherings.id_at(peer).and_then(|id| Some((id, self.gatherings.get_mut(id)?)));
        let Some((id, gathering)) = found.filter(|(_, gathering)| gathering.takes(piece)) else {
            self.counters.hello_pieces_unknown += 1;
            return;
        };
        gathering.add(piece);
        let Some(datagram) = gathering.whole() else { return };
        let began = gathering.began;
        self.remove_gathering(id);
        match hello::parse(&datagram) {
            Ok((Hello::First(hello), _)) => {
                self.counters.hellos_fragmented += 1;
                self.accept(now, began, peer, local, &hello);
            }
            _ => {
                self.counters.hellos_malformed += 1;
                self.refuse_gathered(peer, local, &datagram);
            }
        }
    }

    fn refuse_gathered(&mut self, peer: SocketAddr, local: Option<IpAddr>, datagram: &[u8]) {
        if let Ok((record, _)) = record::parse(datagram) {
            self.transmit(peer, local, vec![front::refusal(&record, DECODE_ERROR)]);
        }
    }

    pub(super) fn remove_gathering(&mut self, id: SessionId) {
        let Some(gathering) = self.gatherings.remove(id) else { return };
        self.half_open.leave(id);
        self.handshake_timers.remove(&(gathering.give_up, id));
        self.update_gauges();
    }

    pub(super) fn give_up_gathering(&mut self, id: SessionId) {
        self.counters.hello_pieces_missing += 1;
        self.remove_gathering(id);
    }

    fn give_up_gathering_at(&mut self, peer: SocketAddr) {
        if let Some(id) = self.gatherings.id_at(peer) {
            self.give_up_gathering(id);
        }
    }
}

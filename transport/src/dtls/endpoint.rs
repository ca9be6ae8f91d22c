//! Datagrams in, session data out: all sessions and handshakes of one socket.
//!
//! ```text
//! handle_datagram -> receive: a ClientHello       -> front -> accept: handshakes, or gatherings until it is whole
//!                             a plaintext record  -> handshakes
//!                             a protected record  -> sessions, or handshakes while they wait for it
//! handshakes -> (finished) -> sessions; the session that stood at the same address is replaced only now
//! ```

mod accept;
mod crowds;
mod half_open;
mod jobs;
mod lost;
mod receive;
mod sessions;
pub(super) mod silence;

use super::aead::Aeads;
use super::config::{Config, Limits, ServerIdentity};
use super::context::Contexts;
use super::cookie::{self, Cookies};
use super::counters::Counters;
use super::event::{CloseReason, Event, SendError};
use super::failure::HandshakeFailure;
use super::gathering::Gathering;
use super::handshake::Handshake;
use super::session::Session;
use super::table::{HasPeer, SeededHash, Table};
use crate::shares::{Balancers, Network, Rates};
use crate::{SessionId, SetupError, Transmit};
use crowds::Crowds;
use half_open::HalfOpen;
use jobs::Jobs;
use lowband_wire::dtls::keys::Role;
use lowband_wire::dtls::record::ContentType;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use silence::Silence;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Most idle sessions that one call ends.
const MOST_ENDED: usize = 64;

/// All sessions and handshakes of one socket: datagrams in, session data out. After each call the caller
/// drains [`Endpoint::poll_transmit`], [`Endpoint::poll_event`], [`Endpoint::poll_key_log`] and, if costly
/// steps are handed out, [`Endpoint::poll_job`], and asks [`Endpoint::poll_timeout`].
pub struct Endpoint {
    limits: Limits,
    balancers: Balancers,
    contexts: Contexts,
    cookies: Cookies,
    accepting: bool,
    sessions: Table<Session>,
    crowds: Crowds,
    handshakes: Table<Handshake>,
    gatherings: Table<Gathering>,
    half_open: HalfOpen,
    rates: Rates,
    deferred: bool,
    jobs: Jobs,
    /// The next deadline of each handshake, and of each hello that is being gathered.
    handshake_timers: BTreeSet<(Instant, SessionId)>,
    silence: Silence,
    /// Sessions whose end an unprotected alert has claimed, and when that was last reported.
    doubted: BTreeMap<SessionId, Instant>,
    /// Records of a session that failed their authentication. Few sessions have any, and each byte of
    /// a session counts.
    forged: BTreeMap<SessionId, u64>,
    /// Limits how often the peers of unknown sessions are sent an alert.
    lost_sessions: Rates,
    last_id: u64,
    aeads: Aeads,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Makes an endpoint. `seed` is the only source of our own randomness (the hash of the tables). The
    /// secret of cookies comes from the private key, so that endpoints with the same key accept each
    /// other's: see [`Endpoint::tell_time`].
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Endpoint, SetupError> {
        let contexts = Contexts::new(&config)?;
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut hash = [0; 16];
        rng.fill_bytes(&mut hash);
        let hash = SeededHash(hash);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        // A secret of our own if no other endpoint can have it.
        let secret = config.server.as_ref().and_then(cookie::secret_of).unwrap_or(secret);
        Ok(Endpoint {
            crowds: Crowds::new(config.limits.session_bounds()),
            half_open: HalfOpen::new(config.limits.half_open_bounds()),
            rates: Rates::new(config.limits.handshakes_per_address, Some(config.limits.handshakes)),
            deferred: config.deferred,
            jobs: Jobs::default(),
            limits: config.limits,
            balancers: config.balancers,
            accepting: contexts.accepts(),
            contexts,
            cookies: Cookies::new(secret),
            sessions: Table::new(hash),
            handshakes: Table::new(hash),
            gatherings: Table::new(hash),
            handshake_timers: BTreeSet::new(),
            silence: Silence::default(),
            doubted: BTreeMap::new(),
            forged: BTreeMap::new(),
            lost_sessions: lost::rates(),
            last_id: 0,
            aeads: Aeads::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    /// Starts a handshake. `server_name` goes into SNI (unless it is an IP address), and the certificate has
    /// to be valid for it. A handshake under way with the same peer ends; a session with it goes on until the
    /// new handshake finishes.
    pub fn connect(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        server_name: &str,
    ) -> Result<SessionId, SetupError> {
        let mut out = Vec::new();
        let handshake = Handshake::connect(&self.contexts, &self.limits, now, peer, server_name, &mut out)?;
        if let Some(older) = self.handshakes.id_at(peer) {
            self.supersede(older);
        }
        let id = self.insert_handshake(handshake);
        self.transmit(peer, None, out);
        Ok(id)
    }

    /// Sets the wall clock to `since_epoch`, the time since 1970. Cookies are made for periods of it, so that
    /// endpoints with one key accept each other's (RFC 6347 section 4.2.1) as long as their clocks differ by
    /// a minute at most. To be called at the start and from time to time, because the clock may be set.
    /// Without it, time begins with the first cookie.
    pub fn tell_time(&mut self, now: Instant, since_epoch: Duration) {
        self.cookies.tell_time(now, since_epoch);
    }

    /// Accepts new handshakes with this identity from now on. Sessions, and handshakes under way, keep the
    /// identity that they began with; if the new one is refused, everything does. An endpoint that does not
    /// accept refuses every identity.
    pub fn renew_identity(&mut self, now: Instant, identity: &ServerIdentity) -> Result<(), SetupError> {
        self.contexts.renew(identity)?;
        if let Some(secret) = cookie::secret_of(identity) {
            self.cookies.set_secret(now, secret);
        }
        Ok(())
    }

    /// Takes in a datagram from `peer`; `local` is the address that it arrived at, where it is known.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.receive(now, peer, local, bytes);
    }

    /// Does what is due; to be called at the time of [`Endpoint::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, id)) = self.handshake_timers.first().copied().filter(|(due, _)| *due <= now) {
            self.handshake_timers.remove(&(due, id));
            self.handshake_timeout(now, id);
        }
        // The remaining sessions stay due at once.
        for _ in 0..MOST_ENDED {
            let longest = self.silence.longest(&self.sessions);
            let silent = longest.filter(|(_, heard)| *heard + self.limits.idle <= now);
            let Some((id, _)) = silent else { break };
            self.counters.sessions_idle += 1;
            self.end_session(id, CloseReason::Idle, true);
        }
    }

    fn handshake_timeout(&mut self, now: Instant, id: SessionId) {
        if self.gatherings.get(id).is_some() {
            return self.give_up_gathering(id);
        }
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        handshake.timer = None;
        let mut out = Vec::new();
        let result = handshake.handle_timeout(now, &mut self.counters, &mut out);
        let (peer, local) = (handshake.peer(), handshake.local());
        self.transmit(peer, local, out);
        match result {
            Ok(()) => self.schedule_handshake(id),
            Err(why) => {
                self.counters.handshakes_timed_out += 1;
                self.end_handshake(id, CloseReason::Handshake(why));
            }
        }
    }

    /// Encrypts one message into one record and one datagram.
    pub fn send(&mut self, _now: Instant, session: SessionId, message: &[u8]) -> Result<(), SendError> {
        if self.sessions.get(session).is_some_and(|session| message.len() > session.largest_message()) {
            return Err(SendError::TooLong);
        }
        if self.send_record(session, ContentType::ApplicationData, message) {
            Ok(())
        } else {
            self.end_session(session, CloseReason::Unusable, false);
            Err(SendError::NoSession)
        }
    }

    /// Sends close_notify and forgets the session; an event follows. A handshake is given up without a
    /// message to the peer.
    pub fn close(&mut self, _now: Instant, session: SessionId) {
        self.end_session(session, CloseReason::Local, true);
        self.end_handshake(session, CloseReason::Local);
    }

    /// Ends a session as `close` does, for a reason that the caller has found. If the peer is there after
    /// all, it need not keep the session.
    pub fn end(&mut self, session: SessionId, why: CloseReason) {
        self.end_session(session, why, true);
    }

    /// Accepts no new handshakes from now on: clients that have proved their address get an alert. Live
    /// sessions, and handshakes under way, go on.
    pub fn stop_accepting(&mut self) {
        self.accepting = false;
    }

    /// Returns the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }
    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// Returns when to call [`Endpoint::handle_timeout`]; None while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = self.handshake_timers.first().map(|(due, _)| *due);
        let session = self.silence.longest(&self.sessions).map(|(_, heard)| heard + self.limits.idle);
        handshake.into_iter().chain(session).min()
    }
    /// Returns the next line for SSLKEYLOGFILE (NSS key log format), without its line end.
    pub fn poll_key_log(&mut self) -> Option<String> {
        self.counters.key_log_lost = self.contexts.key_log_lost();
        self.contexts.poll_key_log()
    }

    /// Returns the peer's address of a session or handshake; None for an unknown id.
    pub fn peer(&self, session: SessionId) -> Option<SocketAddr> {
        let live = self.sessions.get(session).map(HasPeer::peer);
        live.or_else(|| self.handshakes.get(session).map(HasPeer::peer))
    }
    /// Returns when the last authentic record of a live session arrived; at first, that of its handshake.
    pub fn heard(&self, session: SessionId) -> Option<Instant> {
        self.sessions.get(session).map(|session| session.heard)
    }
    /// Returns the network whose share a session uses: that of its address, or one of its own behind
    /// a balancer ([`Config::balancers`]).
    pub fn network(&self, session: SessionId) -> Option<Network> {
        Some(self.balancers.network(self.peer(session)?.ip(), session.0))
    }
    /// Returns the ids of live sessions, oldest first, including those that [`Event::Connected`] has
    /// not reported yet.
    pub fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.ids()
    }
    /// Returns the counters since the start, and the gauges of now.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn transmit(&mut self, peer: SocketAddr, local: Option<IpAddr>, datagrams: Vec<Vec<u8>>) {
        self.transmits.extend(datagrams.into_iter().map(|bytes| Transmit { peer, local, bytes }));
    }

    /// Encrypts and queues a record; returns whether that succeeded.
    fn send_record(&mut self, id: SessionId, content_type: ContentType, plaintext: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let Some(bytes) = session.seal(&mut self.aeads, content_type, plaintext) else { return false };
        self.counters.records_out += 1;
        self.transmits.push_back(Transmit { peer: session.peer(), local: session.local, bytes });
        true
    }

    fn insert_handshake(&mut self, handshake: Handshake) -> SessionId {
        let id = self.next_id();
        if handshake.role() == Role::Server {
            self.take_half_open_place(id, handshake.peer());
        }
        self.handshakes.insert(id, handshake);
        self.schedule_handshake(id);
        self.update_gauges();
        id
    }

    fn remove_handshake(&mut self, id: SessionId) -> Option<Handshake> {
        let handshake = self.handshakes.remove(id)?;
        self.half_open.leave(id);
        if let Some(timer) = handshake.timer {
            self.handshake_timers.remove(&(timer, id));
        }
        self.update_gauges();
        Some(handshake)
    }

    fn next_id(&mut self) -> SessionId {
        self.last_id += 1;
        SessionId(self.last_id)
    }

    /// Takes a place for a half-open handshake; others may have to give up theirs.
    fn take_half_open_place(&mut self, id: SessionId, peer: SocketAddr) {
        let network = self.balancers.network(peer.ip(), id.0);
        for gone in self.half_open.enter(id, network) {
            self.counters.handshakes_evicted += 1;
            self.remove_gathering(gone);
            self.remove_handshake(gone);
        }
    }

    /// Puts the next deadline of a handshake into the timers, in the place of an older one.
    fn schedule_handshake(&mut self, id: SessionId) {
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        let due = handshake.due();
        if handshake.timer == Some(due) {
            return;
        }
        if let Some(timer) = handshake.timer.replace(due) {
            self.handshake_timers.remove(&(timer, id));
        }
        self.handshake_timers.insert((due, id));
    }

    /// Ends a handshake. Only handshakes that the caller started are reported.
    fn end_handshake(&mut self, id: SessionId, why: CloseReason) {
        if self.remove_handshake(id).is_some_and(|handshake| handshake.role() == Role::Client) {
            self.events.push_back(Event::Closed { session: id, why });
        }
    }

    fn supersede(&mut self, id: SessionId) {
        self.counters.handshakes_superseded += 1;
        self.end_handshake(id, CloseReason::Handshake(HandshakeFailure::Superseded));
    }

    fn update_gauges(&mut self) {
        self.counters.sessions = self.sessions.len() as u64;
        self.counters.half_open = self.handshakes.len() as u64;
        self.counters.hellos_gathering = self.gatherings.len() as u64;
    }
}

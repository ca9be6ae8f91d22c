//! The server's face: [`crate::dtls::Endpoint`] below, [`crate::coap::Server`] above. Decides nothing
//! of its own.

use crate::coap::random::Random;
use crate::coap::{
    self, AccessToken, Activity, Code, Limits, Method, RequestOptions, ResponseOptions, ServerEvent,
    Standing, Times,
};
use crate::dtls::{self, CloseReason, PathSize};
use crate::shares::Network;
use crate::{ExchangeId, SessionId, SetupError, Transmit};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Configuration of a [`Server`].
#[derive(Debug, Clone)]
pub struct Config {
    /// DTLS: certificate, limits of sessions, key log.
    pub dtls: dtls::Config,
    /// Times of the message layer; our own are [`Times::measured`].
    pub times: Times,
    /// Limits of the CoAP layer.
    pub limits: Limits,
}

/// What the server reports to its caller.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client has connected.
    SessionOpened {
        /// Id of the new session.
        session: SessionId,
        /// Address of the client.
        peer: SocketAddr,
        /// Network whose share the session uses; see [`dtls::Endpoint::network`].
        network: Network,
        /// How long the handshake took, from the client's proof of its address to its Finished.
        took: Duration,
    },
    /// A session has ended; its exchanges were cancelled before.
    SessionClosed {
        /// Session that ended.
        session: SessionId,
        /// Reason it ended.
        why: CloseReason,
    },
    /// A whole request has arrived. The caller answers it by `respond_head` and `respond_chunk`,
    /// or by `fail`.
    Request {
        /// Session that the request came by.
        session: SessionId,
        /// Id by which the answer names the request.
        exchange: ExchangeId,
        /// Method of the request: GET, POST, PUT or DELETE.
        method: Method,
        /// Options of the request; for an upload, those of its first block.
        options: RequestOptions,
        /// Access token and CBOR version that hold for this request.
        standing: Standing,
        /// The whole body; empty if there was none.
        body: Vec<u8>,
    },
    /// The client no longer waits for this answer: the caller stops the upstream request. Later answers to it
    /// are ignored. Reported only for exchanges whose answer was not complete.
    Cancelled {
        /// The exchange that is cancelled.
        exchange: ExchangeId,
    },
    /// `wants_chunk` was false for this exchange and is true again.
    WantsChunk {
        /// The exchange whose answer may go on.
        exchange: ExchangeId,
    },
}

/// The server role: all clients of one UDP socket.
#[derive(Debug)]
pub struct Server {
    dtls: dtls::Endpoint,
    coap: coap::Server,
    events: VecDeque<Event>,
}

impl Server {
    /// Makes a server. `seed` is the only source of our own randomness. Fails if the times make no sense (see
    /// [`Times::mistakes`]) or the DTLS configuration cannot be used.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Server, SetupError> {
        SetupError::unless_empty(config.times.mistakes())?;
        let mut seeds = Random::new(seed);
        Ok(Server {
            dtls: dtls::Endpoint::new(config.dtls, seeds.seed())?,
            coap: coap::Server::new(config.times, config.limits, seeds.seed()),
            events: VecDeque::new(),
        })
    }

    /// Sets the wall clock to `since_epoch`, the time since 1970; see [`dtls::Endpoint::tell_time`].
    pub fn tell_time(&mut self, now: Instant, since_epoch: Duration) {
        self.dtls.tell_time(now, since_epoch);
    }

    /// Accepts new handshakes with this identity from now on; see [`dtls::Endpoint::renew_identity`].
    pub fn renew_identity(
        &mut self,
        now: Instant,
        identity: &dtls::ServerIdentity,
    ) -> Result<(), SetupError> {
        self.dtls.renew_identity(now, identity)
    }

    /// Takes in a datagram that arrived at `local` from `peer`.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.dtls.handle_datagram(now, peer, local, bytes);
        self.pass_on(now);
    }

    /// Returns the next costly step of a handshake to be run; see [`dtls::Endpoint::poll_job`].
    pub fn poll_job(&mut self) -> Option<dtls::Job> {
        self.dtls.poll_job()
    }

    /// Takes back a costly step of a handshake that has been run.
    pub fn handle_done(&mut self, now: Instant, done: dtls::Done) {
        self.dtls.handle_done(now, done);
        self.pass_on(now);
    }

    /// Does what is due; to be called at the time of [`Server::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        self.coap.handle_timeout(now);
        self.pass_on(now);
    }

    /// Starts the answer. This method and the next two ignore unknown and cancelled exchanges.
    pub fn respond_head(&mut self, now: Instant, exchange: ExchangeId, code: Code, options: ResponseOptions) {
        self.coap.respond_head(now, exchange, code, options);
        self.pass_on(now);
    }

    /// Adds to the body of the answer; `last` ends it. All bytes are taken; ask `wants_chunk` before sending
    /// more. Bytes before the head are ignored.
    pub fn respond_chunk(&mut self, now: Instant, exchange: ExchangeId, bytes: &[u8], last: bool) {
        self.coap.respond_chunk(now, exchange, bytes, last);
        self.pass_on(now);
    }

    /// Ends the exchange with a code and a diagnostic text (RFC 7252 section 5.5.2). If the head has been
    /// sent, requests for the blocks that are still missing are answered with this code.
    pub fn fail(&mut self, now: Instant, exchange: ExchangeId, code: Code, text: &str) {
        self.coap.fail(now, exchange, code, text);
        self.pass_on(now);
    }

    /// Returns false while the memory for this answer is used up (back-pressure). True for unknown exchanges.
    pub fn wants_chunk(&self, exchange: ExchangeId) -> bool {
        self.coap.wants_chunk(exchange)
    }

    /// Notes that the homeserver does not know this access token (any more). Where it still sticks to the
    /// session, later requests carry [`Standing::is_refused`].
    pub fn refuse_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.refuse_access_token(session, access_token);
    }

    /// Notes that the homeserver knows this access token after all.
    pub fn accept_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.accept_access_token(session, access_token);
    }

    /// Notes that the owner of this access token has logged out. Where it still sticks to the session, no
    /// token does from now on.
    pub fn end_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.end_access_token(session, access_token);
    }

    /// Notes that the upstream has accepted a request of the session that was made under an access
    /// token; see [`dtls::Endpoint::vouch`].
    pub fn vouch(&mut self, session: SessionId) {
        self.dtls.vouch(session);
    }

    /// Sends close_notify and forgets the session.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.dtls.close(now, session);
        self.pass_on(now);
    }

    /// Accepts no new handshakes from now on; live sessions go on.
    pub fn stop_accepting(&mut self) {
        self.dtls.stop_accepting();
    }

    /// Returns how much of a session is under way; a body that has made no step after `since`
    /// counts as silent.
    pub fn activity(&self, session: SessionId, since: Instant) -> Activity {
        self.coap.activity(session, since)
    }

    /// Returns what a session has open: requests without an answer, and answers that have
    /// not been acknowledged.
    pub fn exchanges_of(&self, session: SessionId) -> Vec<ExchangeId> {
        self.coap.exchanges_of(session)
    }

    /// Counts the exchanges without a finished answer, and the answers that their clients have not read
    /// to the end.
    pub fn open_exchanges(&self) -> usize {
        self.coap.open_exchanges()
    }

    /// Returns the ids of all live sessions, oldest first.
    pub fn session_ids(&self) -> Vec<SessionId> {
        self.dtls.session_ids()
    }

    /// Returns the address of a session's client; None for an unknown session.
    pub fn peer(&self, session: SessionId) -> Option<SocketAddr> {
        self.dtls.peer(session)
    }

    /// Returns the network whose share a session uses; see [`dtls::Endpoint::network`].
    pub fn network(&self, session: SessionId) -> Option<Network> {
        self.dtls.network(session)
    }

    /// Returns the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.dtls.poll_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when to call [`Server::handle_timeout`]; None while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.dtls.poll_timeout(), self.coap.poll_timeout()].into_iter().flatten().min()
    }

    /// Returns the next line for SSLKEYLOGFILE, without its line end.
    pub fn poll_key_log(&mut self) -> Option<String> {
        self.dtls.poll_key_log()
    }

    /// Returns the counters of the DTLS layer and of the CoAP layer.
    pub fn counters(&self) -> (dtls::Counters, coap::Counters) {
        (*self.dtls.counters(), self.coap.counters())
    }

    /// Returns how many bytes uploads and snapshots hold now.
    pub fn blockwise_bytes(&self) -> usize {
        self.coap.blockwise_bytes()
    }

    /// Passes messages and events between the two layers until neither has any.
    fn pass_on(&mut self, now: Instant) {
        loop {
            self.take_events();
            while let Some((session, message)) = self.coap.poll_transmit() {
                if self.dtls.send(now, session, &message).is_err() {
                    self.coap.count_unsendable();
                }
            }
            let Some(event) = self.dtls.poll_event() else { return };
            match event {
                dtls::Event::Connected {
                    session,
                    peer,
                    network,
                    round_trip,
                    took,
                    largest_message,
                    path,
                } => {
                    self.coap.limit_messages(session, largest_message);
                    if path == PathSize::Small {
                        self.coap.take_for_narrow(session);
                    }
                    self.coap.session_opened(now, session, round_trip);
                    self.events.push_back(Event::SessionOpened { session, peer, network, took });
                }
                dtls::Event::Data { session, bytes } => {
                    let network = self.dtls.network(session).unwrap_or(Network::alone(session.0));
                    self.coap.handle_message(now, session, network, &bytes);
                }
                // Reported only for sessions that this end has begun, and a server begins none.
                dtls::Event::Doubted { .. } => {}
                dtls::Event::Closed { session, why } => {
                    self.coap.session_closed(now, session);
                    self.take_events();
                    self.events.push_back(Event::SessionClosed { session, why });
                }
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.coap.poll_event() {
            self.events.push_back(match event {
                ServerEvent::Request { session, exchange, method, options, standing, body } => {
                    Event::Request { session, exchange, method, options, standing, body }
                }
                ServerEvent::Cancelled { exchange } => Event::Cancelled { exchange },
                ServerEvent::WantsChunk { exchange } => Event::WantsChunk { exchange },
            });
        }
    }
}

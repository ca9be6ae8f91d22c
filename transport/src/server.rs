//! The server's face: [`crate::dtls::Endpoint`] below, [`crate::coap::Server`] above. Decides nothing of its own.

use crate::coap::random::Random;
use crate::coap::{
    self, AccessToken, Activity, Code, Limits, Method, RequestOptions, ResponseOptions, ServerEvent,
    Standing, Times,
};
use crate::dtls::{self, CloseReason, SetupError};
use crate::shares::Network;
use crate::{ExchangeId, SessionId, Transmit};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Certificate, limits of sessions, key log.
    pub dtls: dtls::Config,
    /// Times of the message layer.
    pub times: Times,
    /// Limits of the CoAP layer.
    pub limits: Limits,
}

/// What the server has to tell.
#[derive(Debug)]
pub enum Event {
    /// A client has connected.
    SessionOpened {
        /// Its session.
        session: SessionId,
        /// Its address.
        peer: SocketAddr,
        /// Whose share it has: see [`dtls::Endpoint::network`].
        network: Network,
        /// By an abbreviated handshake.
        resumed: bool,
        /// How long the handshake took, from the client's proof of its address to its Finished.
        took: Duration,
    },
    /// A session is gone; its exchanges have been cancelled before.
    SessionClosed {
        /// Which.
        session: SessionId,
        /// Why.
        why: CloseReason,
    },
    /// A whole request. Answer with `respond_head` and `respond_chunk`, or `fail`.
    Request {
        /// On which session.
        session: SessionId,
        /// What to name in the answer.
        exchange: ExchangeId,
        /// Its method.
        method: Method,
        /// Its options; of an upload, those of its first block.
        options: RequestOptions,
        /// Access token and CBOR version that hold for it.
        standing: Standing,
        /// The whole body.
        body: Vec<u8>,
    },
    /// Nobody waits for this answer any more: stop the upstream request. Later answers to it are ignored. Comes only
    /// for exchanges whose answer was not complete.
    Cancelled {
        /// Which.
        exchange: ExchangeId,
    },
    /// `wants_chunk` was false for this exchange and is true now.
    WantsChunk {
        /// Which.
        exchange: ExchangeId,
    },
}

/// One UDP socket's worth of clients.
#[derive(Debug)]
pub struct Server {
    dtls: dtls::Endpoint,
    coap: coap::Server,
    events: VecDeque<Event>,
}

impl Server {
    /// `seed` is the only source of our own randomness. Impossible times and whatever DTLS cannot be set up with are errors.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Server, SetupError> {
        let mistakes = config.times.mistakes();
        if !mistakes.is_empty() {
            return Err(SetupError(mistakes.join("\n")));
        }
        let mut seeds = Random::new(seed);
        Ok(Server {
            dtls: dtls::Endpoint::new(config.dtls, seeds.seed())?,
            coap: coap::Server::new(config.times, config.limits, seeds.seed()),
            events: VecDeque::new(),
        })
    }

    /// The wall clock shows `since_epoch`, the time since 1970; see [`dtls::Endpoint::tell_time`].
    pub fn tell_time(&mut self, now: Instant, since_epoch: Duration) {
        self.dtls.tell_time(now, since_epoch);
    }

    /// New handshakes are accepted with this identity; see [`dtls::Endpoint::renew_identity`].
    pub fn renew_identity(
        &mut self,
        now: Instant,
        identity: &dtls::ServerIdentity,
    ) -> Result<(), SetupError> {
        self.dtls.renew_identity(now, identity)
    }

    /// A datagram has arrived at `local` from `peer`.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.dtls.handle_datagram(now, peer, local, bytes);
        self.pass_on(now);
    }

    /// The next costly step of a handshake to be run; see [`dtls::Endpoint::poll_job`].
    pub fn poll_job(&mut self) -> Option<dtls::Job> {
        self.dtls.poll_job()
    }

    /// A costly step of a handshake has been run.
    pub fn handle_done(&mut self, now: Instant, done: dtls::Done) {
        self.dtls.handle_done(now, done);
        self.pass_on(now);
    }

    /// The time of [`Server::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        self.coap.handle_timeout(now);
        self.pass_on(now);
    }

    /// Starts the answer. Unknown or cancelled exchanges are ignored, here and below.
    pub fn respond_head(&mut self, now: Instant, exchange: ExchangeId, code: Code, options: ResponseOptions) {
        self.coap.respond_head(now, exchange, code, options);
        self.pass_on(now);
    }

    /// Adds to the body of the answer; `last` ends it. Bytes are always taken; ask `wants_chunk` before the next one.
    /// Bytes before the head are ignored.
    pub fn respond_chunk(&mut self, now: Instant, exchange: ExchangeId, bytes: &[u8], last: bool) {
        self.coap.respond_chunk(now, exchange, bytes, last);
        self.pass_on(now);
    }

    /// Ends the exchange with a code and a diagnostic text (RFC 7252 section 5.5.2). After the head has gone, the blocks
    /// that are still missing are answered with this code.
    pub fn fail(&mut self, now: Instant, exchange: ExchangeId, code: Code, text: &str) {
        self.coap.fail(now, exchange, code, text);
        self.pass_on(now);
    }

    /// Back-pressure: false while the memory for this answer is used up. True for unknown exchanges.
    pub fn wants_chunk(&self, exchange: ExchangeId) -> bool {
        self.coap.wants_chunk(exchange)
    }

    /// The homeserver does not know this access token (any more): where it still sticks to the session, later requests are
    /// told so ([`Standing::is_refused`]).
    pub fn refuse_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.refuse_access_token(session, access_token);
    }

    /// The homeserver does know this access token, after all.
    pub fn accept_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.accept_access_token(session, access_token);
    }

    /// This access token has been given up by its owner: where it still sticks to the session, nothing does from now on.
    pub fn end_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        self.coap.end_access_token(session, access_token);
    }

    /// The upstream has accepted a request of the session, made under an access token; see [`dtls::Endpoint::vouch`].
    pub fn vouch(&mut self, session: SessionId) {
        self.dtls.vouch(session);
    }

    /// Sends close_notify and forgets the session.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.dtls.close(now, session);
        self.pass_on(now);
    }

    /// From now on no new handshake is accepted; live sessions go on.
    pub fn stop_accepting(&mut self) {
        self.dtls.stop_accepting();
    }

    /// How much of a session is under way, where a body is silent that has made no step after `since`.
    pub fn activity(&self, session: SessionId, since: Instant) -> Activity {
        self.coap.activity(session, since)
    }

    /// What a session has open: requests without an answer, and answers that have not been acknowledged.
    pub fn exchanges_of(&self, session: SessionId) -> Vec<ExchangeId> {
        self.coap.exchanges_of(session)
    }

    /// Exchanges without a finished answer, and answers that their clients have not read to the end.
    pub fn open_exchanges(&self) -> usize {
        self.coap.open_exchanges()
    }

    /// Live sessions.
    pub fn session_ids(&self) -> Vec<SessionId> {
        self.dtls.session_ids()
    }

    /// The address of a session.
    pub fn peer(&self, session: SessionId) -> Option<SocketAddr> {
        self.dtls.peer(session)
    }

    /// Whose share a session's is; see [`dtls::Endpoint::network`].
    pub fn network(&self, session: SessionId) -> Option<Network> {
        self.dtls.network(session)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.dtls.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Server::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.dtls.poll_timeout(), self.coap.poll_timeout()].into_iter().flatten().min()
    }

    /// The next line for SSLKEYLOGFILE, without line end.
    pub fn poll_key_log(&mut self) -> Option<String> {
        self.dtls.poll_key_log()
    }

    /// Counters of the DTLS layer and of the CoAP layer.
    pub fn counters(&self) -> (dtls::Counters, coap::Counters) {
        (*self.dtls.counters(), self.coap.counters())
    }

    /// Bytes held in uploads and snapshots now.
    pub fn blockwise_bytes(&self) -> usize {
        self.coap.blockwise_bytes()
    }

    /// How long a request waits before it is acknowledged (for tests and docs).
    pub fn piggyback_wait(&self) -> Duration {
        self.coap.piggyback_wait()
    }

    /// Carries what one layer has to say to the other, until both are silent.
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
                    resumed,
                    round_trip,
                    took,
                    largest_message,
                } => {
                    self.coap.limit_messages(session, largest_message);
                    self.coap.session_opened(now, session, round_trip);
                    self.events.push_back(Event::SessionOpened { session, peer, network, resumed, took });
                }
                dtls::Event::Data { session, bytes } => {
                    let network = self.dtls.network(session).unwrap_or(Network::alone(session.0));
                    self.coap.handle_message(now, session, network, &bytes);
                }
                // Of sessions that this end has begun, and it begins none.
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

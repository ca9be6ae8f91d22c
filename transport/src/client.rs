//! The client's face: [`crate::dtls::Endpoint`] below, [`crate::coap::Client`] above. Decides nothing of its own.

use crate::coap::random::Random;
use crate::coap::{self, ClientEvent, FailReason, Limits, Request, Response, Silence, Times};
use crate::dtls::{self, CloseReason, SetupError};
use crate::{ExchangeId, SessionId, Transmit};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Verification, key log.
    pub dtls: dtls::Config,
    /// Times of the message layer.
    pub times: Times,
    /// Limits of the CoAP layer.
    pub limits: Limits,
}

/// What the client has to tell.
#[derive(Debug)]
pub enum Event {
    /// The handshake has finished. Requests made before are on their way.
    Connected {
        /// Which session.
        session: SessionId,
        /// Round trip seen in the handshake, where one could be measured.
        round_trip: Option<Duration>,
    },
    /// A response is complete.
    Response {
        /// To which request.
        exchange: ExchangeId,
        /// What came.
        response: Response,
    },
    /// No response will come.
    Failed {
        /// To which request.
        exchange: ExchangeId,
        /// Why.
        why: FailReason,
        /// Whether some of it has gone out. Else the server has never seen it, and it can be made again without harm.
        sent: bool,
    },
    /// The server answered a ping.
    Pong {
        /// On which session.
        session: SessionId,
    },
    /// The server may have lost the session, or somebody wants us to think so; see [`dtls::Event::Doubted`]. A ping tells.
    Doubted {
        /// Which.
        session: SessionId,
    },
    /// The session is gone, or its handshake failed; its exchanges have failed before.
    Closed {
        /// Which.
        session: SessionId,
        /// Why.
        why: CloseReason,
    },
}

/// Any number of sessions to any number of servers.
#[derive(Debug)]
pub struct Client {
    dtls: dtls::Endpoint,
    coap: coap::Client,
    events: VecDeque<Event>,
    /// Sessions to be ended.
    dead: Vec<SessionId>,
}

impl Client {
    /// `seed` is the only source of our own randomness. Impossible times and whatever DTLS cannot be set up with are errors.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Client, SetupError> {
        let mistakes = config.times.mistakes();
        if !mistakes.is_empty() {
            return Err(SetupError(mistakes.join("\n")));
        }
        let mut seeds = Random::new(seed);
        Ok(Client {
            dtls: dtls::Endpoint::new(config.dtls, seeds.seed())?,
            coap: coap::Client::new(config.times, config.limits, seeds.seed()),
            events: VecDeque::new(),
            dead: Vec::new(),
        })
    }

    /// Starts a handshake; `server_name` goes into SNI and is what the certificate must be for.
    pub fn connect(
        &mut self,
        now: Instant,
        server: SocketAddr,
        server_name: &str,
    ) -> Result<SessionId, SetupError> {
        let session = self.dtls.connect(now, server, server_name)?;
        self.coap.session_opening(session);
        self.pass_on(now);
        Ok(session)
    }

    /// Sends a request, or keeps it until the handshake has finished or others have made room. On a session that is
    /// gone it fails at once.
    pub fn request(&mut self, now: Instant, session: SessionId, request: Request) -> ExchangeId {
        let exchange = self.coap.request(now, session, request);
        self.pass_on(now);
        exchange
    }

    /// Forgets a request: no event will come for it, a late separate response gets a Reset.
    pub fn cancel(&mut self, now: Instant, exchange: ExchangeId) {
        self.coap.cancel(now, exchange);
        self.pass_on(now);
    }

    /// An Empty confirmable message (RFC 7252 section 4.3), unless one is on its way already. `Pong` comes when it is answered.
    /// When it is not for [`Times::dead_after`], and nothing else comes either, the session ends with [`CloseReason::Dead`].
    pub fn ping(&mut self, now: Instant, session: SessionId) {
        self.coap.ping(now, session);
        self.pass_on(now);
    }

    /// Sends close_notify and forgets the session.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.dtls.close(now, session);
        self.pass_on(now);
    }

    /// A datagram has arrived.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.dtls.handle_datagram(now, peer, local, bytes);
        self.pass_on(now);
    }

    /// The time of [`Client::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        self.coap.handle_timeout(now);
        self.pass_on(now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.dtls.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Client::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.dtls.poll_timeout(), self.coap.poll_timeout()].into_iter().flatten().min()
    }

    /// Since when the server owes an answer on this session; None: it owes none. See [`coap::Client::silence`].
    pub fn silence(&self, session: SessionId) -> Option<Silence> {
        self.coap.silence(session)
    }

    /// When the last record of the server arrived that is authentic. None: the session is not there, or not
    /// yet.
    pub fn heard(&self, session: SessionId) -> Option<Instant> {
        self.dtls.heard(session)
    }

    /// The next line for SSLKEYLOGFILE, without line end.
    pub fn poll_key_log(&mut self) -> Option<String> {
        self.dtls.poll_key_log()
    }

    /// Counters of the DTLS layer and of the CoAP layer.
    pub fn counters(&self) -> (dtls::Counters, coap::Counters) {
        (*self.dtls.counters(), self.coap.counters())
    }

    /// Carries what one layer has to say to the other, until both are silent.
    fn pass_on(&mut self, now: Instant) {
        loop {
            self.take_events();
            for session in std::mem::take(&mut self.dead) {
                self.dtls.end(session, CloseReason::Dead);
            }
            while let Some((session, message)) = self.coap.poll_transmit() {
                if self.dtls.send(now, session, &message).is_err() {
                    self.coap.count_unsendable();
                }
            }
            let Some(event) = self.dtls.poll_event() else { return };
            match event {
                dtls::Event::Connected { session, round_trip, largest_message, .. } => {
                    self.coap.limit_messages(session, largest_message);
                    self.events.push_back(Event::Connected { session, round_trip });
                    self.coap.session_opened(now, session, round_trip);
                }
                dtls::Event::Data { session, bytes } => self.coap.handle_message(now, session, &bytes),
                dtls::Event::Doubted { session } => self.events.push_back(Event::Doubted { session }),
                dtls::Event::Closed { session, why } => {
                    self.coap.session_closed(now, session);
                    self.take_events();
                    self.events.push_back(Event::Closed { session, why });
                }
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.coap.poll_event() {
            self.events.push_back(match event {
                ClientEvent::Response { exchange, response } => Event::Response { exchange, response },
                ClientEvent::Failed { exchange, why, sent } => Event::Failed { exchange, why, sent },
                ClientEvent::Pong { session } => Event::Pong { session },
                ClientEvent::Dead { session } => {
                    self.dead.push(session);
                    continue;
                }
            });
        }
    }
}

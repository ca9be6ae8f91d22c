//! The client's face: [`crate::dtls::Endpoint`] below, [`crate::coap::Client`] above. Decides nothing
//! of its own.

use crate::coap::random::Random;
use crate::coap::{
    self, ClientEvent, FailReason, Limits, Partial, PathReport, Progress, Request, Response, Silence, Times,
};
use crate::dtls::{self, CloseReason, PathSize};
use crate::{ExchangeId, SessionId, SetupError, Transmit};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Configuration of a [`Client`].
#[derive(Debug, Clone)]
pub struct Config {
    /// DTLS: how the server's certificate is verified, limits of sessions, key log.
    pub dtls: dtls::Config,
    /// Times of the message layer; our own are [`Times::measured`].
    pub times: Times,
    /// Limits of the CoAP layer.
    pub limits: Limits,
}

/// What the client reports to its caller.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The handshake has finished. Requests made before are on their way.
    Connected {
        /// The session that [`Client::connect`] has begun.
        session: SessionId,
        /// Round trip of the handshake; None if no flight was answered at the first try.
        round_trip: Option<Duration>,
    },
    /// A response is complete.
    Response {
        /// The request that it answers.
        exchange: ExchangeId,
        /// Code, options and the whole body.
        response: Response,
    },
    /// No response will come.
    Failed {
        /// The request that has failed.
        exchange: ExchangeId,
        /// Reason for the failure.
        why: FailReason,
        /// True if a part of the request has been sent. If false, the server has never seen it, and repeating
        /// it does no harm.
        sent: bool,
    },
    /// The server answered a ping.
    Pong {
        /// Session whose server answered.
        session: SessionId,
    },
    /// The server may have lost the session, or a forger wants us to believe so; see
    /// [`dtls::Event::Doubted`]. A ping finds out which.
    Doubted {
        /// Session that is in doubt.
        session: SessionId,
    },
    /// A session has ended, or its handshake has failed; its exchanges were reported as failed before.
    Closed {
        /// Session that ended.
        session: SessionId,
        /// Reason it ended.
        why: CloseReason,
    },
}

/// Most messages that wait for [`Client::poll_message`]: far more than one datagram or timeout brings about.
/// More are not kept.
const MAX_OVERHEARD: usize = 1024;

/// A CoAP message as it stands inside of its DTLS record, with all that is secret in it.
pub struct Overheard {
    /// Whether the message was sent, and not received.
    pub sent: bool,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// Omits the bytes, among which may be an access token.
impl fmt::Debug for Overheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overheard").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// The client role: any number of sessions to any number of servers.
#[derive(Debug)]
pub struct Client {
    dtls: dtls::Endpoint,
    coap: coap::Client,
    events: VecDeque<Event>,
    /// Sessions that [`Client::pass_on`] still has to end.
    dead: Vec<SessionId>,
    /// Messages for [`Client::poll_message`]; `None` if nobody wants them.
    overheard: Option<VecDeque<Overheard>>,
}

impl Client {
    /// Makes a client. `seed` is the only source of our own randomness. Fails if the times make no sense (see
    /// [`Times::mistakes`]) or the DTLS configuration cannot be used.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Client, SetupError> {
        SetupError::unless_empty(config.times.mistakes())?;
        let mut seeds = Random::new(seed);
        Ok(Client {
            dtls: dtls::Endpoint::new(config.dtls, seeds.seed())?,
            coap: coap::Client::new(config.times, config.limits, seeds.seed()),
            events: VecDeque::new(),
            dead: Vec::new(),
            overheard: None,
        })
    }

    /// Keeps each message from now on for [`Client::poll_message`], which has to be called then as often as
    /// [`Client::poll_event`]. For programs that show the wire to people.
    pub fn overhear(&mut self) {
        self.overheard.get_or_insert_default();
    }

    /// Returns the next message in the clear that was sent or received, copies included.
    pub fn poll_message(&mut self) -> Option<Overheard> {
        self.overheard.as_mut()?.pop_front()
    }

    /// Starts a handshake. `server_name` goes into SNI, and the certificate has to be valid for it.
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

    /// Has a session begin with small blocks, because [`Client::path_is_narrow`] was true of an earlier
    /// session with the same server. A handshake in which a long datagram passes revokes it. Call it right
    /// after [`Client::connect`].
    pub fn take_for_narrow(&mut self, session: SessionId) {
        self.coap.take_for_narrow(session);
    }

    /// Returns whether the blocks of a session are smaller because its path seems to drop large datagrams;
    /// `None` for an unknown session, or one that has ended.
    pub fn path_is_narrow(&self, session: SessionId) -> Option<bool> {
        self.coap.path_is_narrow(session)
    }

    /// Returns whether the server of a session has said that it knows packed bodies, which it does in answer
    /// to the first request ([`coap::Limits::packed_bodies`]).
    pub fn knows_packed_bodies(&self, session: SessionId) -> bool {
        self.coap.knows_packed_bodies(session)
    }

    /// Sends a request, or keeps it until the handshake has finished and a place is free. On a session that
    /// has ended, it fails at once.
    pub fn request(&mut self, now: Instant, session: SessionId, request: Request) -> ExchangeId {
        let exchange = self.coap.request(now, session, request);
        self.pass_on(now);
        exchange
    }

    /// Forgets a request: no event will come for it, and a late separate response is answered by a Reset.
    pub fn cancel(&mut self, now: Instant, exchange: ExchangeId) {
        self.coap.cancel(now, exchange);
        self.pass_on(now);
    }

    /// Sends an Empty confirmable message (RFC 7252 section 4.3), unless one is on its way already.
    /// `Pong` reports the answer. If none comes for [`Times::dead_after`], nor anything else, the session
    /// ends with [`CloseReason::Dead`].
    pub fn ping(&mut self, now: Instant, session: SessionId) {
        self.coap.ping(now, session);
        self.pass_on(now);
    }

    /// Sends close_notify and forgets the session.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.dtls.close(now, session);
        self.pass_on(now);
    }

    /// Takes in a datagram from `peer`; `local` is the address that it arrived at, where it is known.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        self.dtls.handle_datagram(now, peer, local, bytes);
        self.pass_on(now);
    }

    /// Does what is due; to be called at the time of [`Client::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        self.coap.handle_timeout(now);
        self.pass_on(now);
    }

    /// Returns the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.dtls.poll_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when to call [`Client::handle_timeout`]; None while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.dtls.poll_timeout(), self.coap.poll_timeout()].into_iter().flatten().min()
    }

    /// Returns since when the server has owed an answer on this session; None if it owes
    /// none. See [`coap::Client::silence`].
    pub fn silence(&self, session: SessionId) -> Option<Silence> {
        self.coap.silence(session)
    }

    /// Returns how far the body of an exchange has come. See [`coap::Client::progress`].
    pub fn progress(&self, exchange: ExchangeId) -> Option<Progress> {
        self.coap.progress(exchange)
    }

    /// Returns what has come of a response of several blocks. See [`coap::Client::partial`].
    pub fn partial(&self, exchange: ExchangeId) -> Option<Partial<'_>> {
        self.coap.partial(exchange)
    }

    /// Returns what is known of the path of a session. See [`coap::Client::path`].
    pub fn path(&self, session: SessionId) -> Option<PathReport> {
        self.coap.path(session)
    }

    /// Returns when the last authentic record of the server arrived. None for an unknown session, or before
    /// it is established.
    pub fn heard(&self, session: SessionId) -> Option<Instant> {
        self.dtls.heard(session)
    }

    /// Returns the next line for SSLKEYLOGFILE, without its line end.
    pub fn poll_key_log(&mut self) -> Option<String> {
        self.dtls.poll_key_log()
    }

    /// Returns the counters of the DTLS layer and of the CoAP layer.
    pub fn counters(&self) -> (dtls::Counters, coap::Counters) {
        (*self.dtls.counters(), self.coap.counters())
    }

    /// Passes messages and events between the two layers until neither has any.
    fn pass_on(&mut self, now: Instant) {
        loop {
            self.take_events();
            for session in std::mem::take(&mut self.dead) {
                self.dtls.end(session, CloseReason::Dead);
            }
            while let Some((session, message)) = self.coap.poll_transmit() {
                match self.dtls.send(now, session, &message) {
                    Ok(()) => self.keep(true, &message),
                    Err(_) => self.coap.count_unsendable(),
                }
            }
            let Some(event) = self.dtls.poll_event() else { return };
            match event {
                dtls::Event::Connected { session, round_trip, largest_message, path, .. } => {
                    self.coap.limit_messages(session, largest_message);
                    match path {
                        PathSize::Unknown => {}
                        PathSize::Small => self.coap.take_for_narrow(session),
                        PathSize::Large => self.coap.take_for_wide(session),
                    }
                    self.events.push_back(Event::Connected { session, round_trip });
                    self.coap.session_opened(now, session, round_trip);
                }
                dtls::Event::Data { session, bytes } => {
                    self.keep(false, &bytes);
                    self.coap.handle_message(now, session, &bytes);
                }
                dtls::Event::Doubted { session } => self.events.push_back(Event::Doubted { session }),
                dtls::Event::Closed { session, why } => {
                    self.coap.session_closed(now, session);
                    self.take_events();
                    self.events.push_back(Event::Closed { session, why });
                }
            }
        }
    }

    fn keep(&mut self, sent: bool, message: &[u8]) {
        if let Some(overheard) = self.overheard.as_mut().filter(|overheard| overheard.len() < MAX_OVERHEARD) {
            overheard.push_back(Overheard { sent, bytes: message.to_vec() });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let dtls = dtls::Config { client: Some(dtls::Verification::None), ..dtls::Config::default() };
        let config = Config { dtls, times: Times::rfc7252(), limits: Limits::default() };
        Client::new(config, [7; 32]).unwrap()
    }

    #[test]
    fn messages_are_kept_for_who_asks_for_them_and_so_many_at_most() {
        let mut client = client();
        client.keep(true, b"x");
        client.overhear();
        assert!(client.poll_message().is_none(), "nobody had asked");
        for number in 0..=MAX_OVERHEARD {
            client.keep(number % 2 == 0, &number.to_be_bytes());
        }
        client.overhear();
        for number in 0..MAX_OVERHEARD {
            let message = client.poll_message().unwrap();
            assert_eq!(
                (message.sent, message.bytes.as_slice()),
                (number % 2 == 0, &number.to_be_bytes()[..])
            );
        }
        assert!(client.poll_message().is_none());
        client.keep(true, b"x");
        assert!(client.poll_message().is_some());
    }
}

//! The task that moves datagrams between the socket and [`lowband_transport::Client`], and the state it
//! shares with [`crate::Connection`].
//!
//! ```text
//! Connection::request, cancel, close --lock--> State --wake--> Driver: send what is due, hand out what has come, sleep until
//!                                                               a datagram, a timeout or the next wake
//! ```

use crate::error::Error;
use crate::key_log::KeyLogFile;
use crate::message::Response;
use crate::settings::Settings;
use crate::sticky::{Outcome, Sticky};
use crate::trace::{Trace, Tracer, Traffic};
use lowband_transport::client::Event;
use lowband_transport::coap::{self, FailReason};
use lowband_transport::dtls::CloseReason;
use lowband_transport::{Client, ExchangeId, SessionId};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot, watch};

/// Room for the largest DTLS record (RFC 6347 section 4.1). What is longer is cut, and
/// fails its authentication.
const RECEIVE_BUFFER: usize = 18 * 1024;

/// So many errors of the socket in a row, without a datagram between them, end the connection. A few are
/// normal: a network that comes and goes, a server that starts again.
const MAX_SOCKET_ERRORS: u32 = 1000;

/// Copies of a message that must have gone out before silence means anything: a slow way has few in a time
/// that is long elsewhere.
const LEAST_COPIES: u32 = 3;

type Answer = Result<Response, Failed>;

/// A request that got no response.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether the server can have seen it.
    pub(crate) sent: bool,
}

impl Failed {
    pub(crate) fn unsent(error: impl Into<Error>) -> Failed {
        Failed { error: error.into(), sent: false }
    }
}

/// Who waits for a response.
struct Waiting {
    sender: oneshot::Sender<Answer>,
    /// It may take minutes, with nothing to be heard meanwhile.
    long_poll: bool,
}

/// What the handles and the task share. The lock is held for single calls, never while anything
/// is waited for.
pub(crate) struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

impl Shared {
    pub(crate) fn new(state: State) -> Shared {
        Shared { state: Mutex::new(state), wake: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake_driver(&self) {
        self.wake.notify_one();
    }
}

/// What is known of a request by its method and target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// Its success ends the token that it was made under.
    pub(crate) ends_token: bool,
    /// It may wait for minutes.
    pub(crate) long_poll: bool,
}

/// The sans-IO client with everyone who waits for it.
pub(crate) struct State {
    client: Client,
    session: SessionId,
    connecting: Option<oneshot::Sender<Result<(), Error>>>,
    waiting: HashMap<ExchangeId, Waiting>,
    sticky: Sticky,
    ended: Option<CloseReason>,
    pub(crate) traffic: Traffic,
}

impl State {
    /// Also returns what tells the end of the handshake.
    pub(crate) fn new(
        client: Client,
        session: SessionId,
        settings: &Settings,
    ) -> (State, oneshot::Receiver<Result<(), Error>>) {
        let (connecting, connected) = oneshot::channel();
        let state = State {
            client,
            session,
            connecting: Some(connecting),
            waiting: HashMap::new(),
            sticky: Sticky::new(settings.token_use, settings.cbor_version),
            ended: None,
            traffic: Traffic::default(),
        };
        (state, connected)
    }

    pub(crate) fn request(
        &mut self,
        now: Instant,
        mut request: coap::Request,
        access_token: Option<String>,
        nature: Nature,
    ) -> Result<(ExchangeId, oneshot::Receiver<Answer>), Failed> {
        if let Some(why) = &self.ended {
            return Err(Failed::unsent(Error::ended(why.clone())));
        }
        let sticky = self.sticky.to_send(access_token.as_deref());
        request.options.authorization = sticky.access_token.clone();
        request.options.cbor_version = sticky.cbor_version;
        let exchange = self.client.request(now, self.session, request);
        self.sticky.sent(exchange, sticky.access_token, nature.ends_token);
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(exchange, Waiting { sender, long_poll: nature.long_poll });
        Ok((exchange, receiver))
    }

    pub(crate) fn cancel(&mut self, now: Instant, exchange: ExchangeId) {
        if self.waiting.remove(&exchange).is_some() {
            self.sticky.gave_up(exchange);
            self.client.cancel(now, exchange);
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(crate) fn close(&mut self, now: Instant) {
        if self.ended.is_none() {
            self.client.close(now, self.session);
            self.ended = Some(CloseReason::Local);
        }
    }

    /// A handshake needs no pings: it has its own retransmissions.
    fn ping(&mut self, now: Instant) {
        if self.connecting.is_none() {
            self.client.ping(now, self.session);
        }
    }

    /// When the connection is to be taken for lost, if nothing comes and `longest` is the longest silence.
    fn lost_at(&self, longest: Duration) -> Option<Instant> {
        let silence = self.client.silence(self.session)?;
        if silence.copies < LEAST_COPIES { None } else { silence.since.checked_add(longest) }
    }

    /// Whether the server is to be asked if it is still there: a request has been acknowledged and should be
    /// answered soon, and nothing else is on its way that would tell.
    fn asks_for_a_sign(&self) -> bool {
        let soon = self.waiting.values().any(|waiting| !waiting.long_poll);
        soon && self.connecting.is_none() && self.client.silence(self.session).is_none()
    }

    /// Nobody is there any more, or the way to him is not: unless something has come after all.
    fn lose(&mut self, now: Instant, longest: Duration) {
        if self.ended.is_none() && self.lost_at(longest).is_some_and(|at| at <= now) {
            self.ended = Some(CloseReason::Idle);
            // Should he be there all the same, he need not keep the session.
            self.client.close(now, self.session);
        }
    }

    /// The server's host says that nobody listens. While connecting that is an answer; later it may be a
    /// restart, and anybody on the way could have sent it, so that retransmissions go on.
    fn refused(&mut self, now: Instant, server: SocketAddr) {
        if let Some(connecting) = self.connecting.take() {
            let _nobody_waits_any_more = connecting.send(Err(Error::Refused(server)));
            self.close(now);
        }
    }

    /// Hands all events to whoever waits for them.
    fn take_events(&mut self, tracer: Option<&Tracer>) {
        // A session's exchanges fail before its end is told, and the end is what explains them.
        let mut failed = Vec::new();
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Connected { round_trip, .. } => {
                    trace(tracer, Trace::Connected(round_trip));
                    if let Some(connecting) = self.connecting.take() {
                        let _nobody_waits_any_more = connecting.send(Ok(()));
                    }
                }
                Event::Response { exchange, response } => {
                    let response = Response::from(response);
                    self.sticky.answered(exchange, Outcome::of(response.code));
                    self.answer(exchange, Ok(response));
                }
                Event::Failed { exchange, why, sent } => failed.push((exchange, why, sent)),
                Event::Pong { .. } => trace(tracer, Trace::Pong),
                Event::Doubted { .. } => self.ping(Instant::now()),
                Event::Closed { why, .. } => {
                    self.ended.get_or_insert(why);
                }
            }
        }
        for (exchange, why, sent) in failed {
            self.sticky.gave_up(exchange);
            self.answer(exchange, Err(Failed { error: Error::failed(why, self.ended.clone()), sent }));
        }
        if let Some(why) = self.ended.clone() {
            self.end(why);
        }
    }

    fn answer(&mut self, exchange: ExchangeId, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&exchange) {
            let _nobody_waits_any_more = waiting.sender.send(answer);
        }
    }

    /// Nobody may wait for a connection that has ended.
    fn end(&mut self, why: CloseReason) {
        if let Some(connecting) = self.connecting.take() {
            let _nobody_waits_any_more = connecting.send(Err(Error::ended(why.clone())));
        }
        for (_, waiting) in self.waiting.drain() {
            let error = Error::failed(FailReason::SessionClosed, Some(why.clone()));
            let _nobody_waits_any_more = waiting.sender.send(Err(Failed { error, sent: true }));
        }
        self.ended = Some(why);
    }
}

/// The task of one connection.
pub(crate) struct Driver {
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) key_log: Option<KeyLogFile>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) silence: Option<Duration>,
    /// Dropped with the driver, which is how `close` learns of its end.
    pub(crate) _ended: watch::Sender<()>,
}

impl Driver {
    /// Runs until the session has ended.
    pub(crate) async fn run(mut self) {
        let mut buffer = vec![0; RECEIVE_BUFFER];
        let mut socket_errors = 0;
        // Datagrams, pings among them.
        let mut last_datagram = Instant::now();
        let mut heard = last_datagram;
        let mut pinged = last_datagram;
        loop {
            let sent_any = self.flush().await;
            if sent_any {
                last_datagram = Instant::now();
            }
            let (ended, timeout, lost_at, somebody_waits, asks_for_a_sign) = {
                let state = self.shared.lock();
                let lost_at = self.silence.and_then(|longest| state.lost_at(longest));
                let (waits, asks) = (!state.waiting.is_empty(), state.asks_for_a_sign());
                (state.ended.is_some(), state.client.poll_timeout(), lost_at, waits, asks)
            };
            if ended {
                return;
            }
            // Copies of other requests are no sign of the server.
            let quiet_since = if somebody_waits { heard.max(pinged) } else { last_datagram };
            let keep_alive_at = self.keep_alive.and_then(|interval| quiet_since.checked_add(interval));
            let sign_at =
                self.silence.filter(|_| asks_for_a_sign).and_then(|longest| heard.checked_add(longest / 2));
            let ping_at = [keep_alive_at, sign_at].into_iter().flatten().min();
            tokio::select! {
                received = self.socket.recv(&mut buffer) => match received {
                    Ok(length) => {
                        socket_errors = 0;
                        last_datagram = Instant::now();
                        heard = last_datagram;
                        self.received(buffer.get(..length).unwrap_or_default());
                    }
                    Err(error) => {
                        socket_errors += 1;
                        self.socket_error(&error);
                        if socket_errors > MAX_SOCKET_ERRORS {
                            return;
                        }
                    }
                },
                () = sleep_until(timeout) => {
                    self.shared.lock().client.handle_timeout(Instant::now());
                }
                () = sleep_until(ping_at) => {
                    last_datagram = Instant::now();
                    pinged = last_datagram;
                    self.shared.lock().ping(last_datagram);
                }
                () = sleep_until(lost_at) => {
                    // A program that has slept, or had no processor, finds its datagrams here.
                    while let Ok(length) = self.socket.try_recv(&mut buffer) {
                        self.received(buffer.get(..length).unwrap_or_default());
                    }
                    self.shared.lock().lose(Instant::now(), self.silence.unwrap_or_default());
                }
                () = self.shared.wake.notified() => {}
            }
        }
    }

    /// Hands out events, then sends all that is due. True if there was any.
    async fn flush(&mut self) -> bool {
        let mut sent_any = false;
        loop {
            let (transmit, key_line) = {
                let mut state = self.shared.lock();
                state.take_events(self.tracer.as_ref());
                (state.client.poll_transmit(), state.client.poll_key_log())
            };
            if let (Some(line), Some(key_log)) = (&key_line, &mut self.key_log) {
                // The file could be opened; if its disk is full now, the log has a gap and the
                // connection goes on.
                let _ = key_log.append(line);
            }
            match transmit {
                Some(transmit) => {
                    sent_any = true;
                    self.send(&transmit.bytes).await;
                }
                None if key_line.is_none() => return sent_any,
                None => {}
            }
        }
    }

    async fn send(&self, datagram: &[u8]) {
        let mut result = self.socket.send(datagram).await;
        if let Err(error) = &result {
            // The error may be that of an earlier datagram (ICMP), in whose stead this one was not sent.
            self.socket_error(error);
            result = self.socket.send(datagram).await;
        }
        // A datagram that cannot be sent is a datagram lost: retransmission knows what to do.
        if result.is_ok() {
            let mut state = self.shared.lock();
            state.traffic.datagrams_out += 1;
            state.traffic.bytes_out += datagram.len() as u64;
            drop(state);
            trace(self.tracer.as_ref(), Trace::Sent(datagram));
        }
    }

    fn received(&self, datagram: &[u8]) {
        trace(self.tracer.as_ref(), Trace::Received(datagram));
        let mut state = self.shared.lock();
        state.traffic.datagrams_in += 1;
        state.traffic.bytes_in += datagram.len() as u64;
        state.client.handle_datagram(Instant::now(), self.server, None, datagram);
    }

    fn socket_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            trace(self.tracer.as_ref(), Trace::Refused);
            self.shared.lock().refused(Instant::now(), self.server);
        }
    }
}

impl Drop for Driver {
    /// However the task ends, by a dying runtime too, nobody is left waiting.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let why = state.ended.clone().unwrap_or(CloseReason::Local);
        state.end(why);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn trace(tracer: Option<&Tracer>, what: Trace<'_>) {
    if let Some(tracer) = tracer {
        tracer.see(what);
    }
}

//! What the task of a connection shares with its handles: the sans-IO client, and all callers that wait for
//! it.

use super::{masked, trace};
use crate::error::Error;
use crate::incoming::Pieces;
use crate::message::Response;
use crate::packing;
use crate::settings::Settings;
use crate::sticky::{Outcome, Sticky};
use crate::trace::{Trace, Tracer, Traffic};
use lowband_transport::client::Event;
use lowband_transport::coap::{self, FailReason, PathReport};
use lowband_transport::dtls::CloseReason;
use lowband_transport::{Client, ExchangeId, SessionId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Copies of a message that must have gone out before silence means anything: on a slow path few go out in a
/// time that is long elsewhere.
const LEAST_COPIES: u32 = 3;

type Answer = Result<Response, Failed>;

/// A request that got no response.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether the server can have seen the request.
    pub(crate) sent: bool,
}

impl Failed {
    pub(crate) fn unsent(error: impl Into<Error>) -> Failed {
        Failed { error: error.into(), sent: false }
    }
}

/// A caller that waits for a response.
struct Waiting {
    wants: Wants,
    /// The response may take minutes, with nothing to be heard meanwhile.
    long_poll: bool,
}

/// How a caller wants its response.
pub(crate) enum Wants {
    Whole(oneshot::Sender<Answer>),
    Pieces(Pieces),
}

impl Wants {
    /// Hands out an answer, or the rest of it; `most`: bytes of the longest body.
    fn finish(self, answer: Answer, most: usize) {
        match self {
            Wants::Whole(sender) => {
                let unpacked =
                    |response| packing::unpack(response, most).map_err(|error| Failed { error, sent: true });
                let _nobody_waits_any_more = sender.send(answer.and_then(unpacked));
            }
            Wants::Pieces(pieces) => pieces.finish(answer),
        }
    }
}

/// What the handles and the task share. The lock is held for single calls, never while waiting.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(super) wake: Notify,
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
    /// A success of the request ends the token that it was made under.
    pub(crate) ends_token: bool,
    /// The request may wait for minutes.
    pub(crate) long_poll: bool,
}

/// The sans-IO client with all callers that wait for it.
pub(crate) struct State {
    pub(crate) client: Client,
    session: SessionId,
    connecting: Option<oneshot::Sender<Result<(), Error>>>,
    waiting: HashMap<ExchangeId, Waiting>,
    sticky: Sticky,
    /// Bytes of the longest body of a response ([`coap::Limits::download`]).
    pub(crate) longest: usize,
    /// Whether the path is narrow; keeps its last value when the session has ended.
    pub(crate) path_is_narrow: bool,
    /// What was last known of the path.
    path: PathReport,
    pub(super) ended: Option<CloseReason>,
    pub(crate) traffic: Traffic,
}

impl State {
    /// Makes the state; also returns the receiver that reports the end of the handshake.
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
            longest: settings.limits.download,
            path_is_narrow: false,
            path: PathReport::default(),
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
        wants: Wants,
    ) -> Result<ExchangeId, Failed> {
        if let Some(why) = &self.ended {
            return Err(Failed::unsent(Error::ended(why.clone())));
        }
        let sticky = self.sticky.to_send(access_token.as_deref());
        request.options.authorization = sticky.access_token.clone();
        request.options.cbor_version = sticky.cbor_version;
        if self.client.knows_packed_bodies(self.session) {
            packing::pack(&mut request);
        }
        let exchange = self.client.request(now, self.session, request);
        self.sticky.sent(exchange, sticky.access_token, nature.ends_token);
        self.waiting.insert(exchange, Waiting { wants, long_poll: nature.long_poll });
        Ok(exchange)
    }

    /// Cancels a request; returns false if it has been answered.
    pub(crate) fn cancel(&mut self, now: Instant, exchange: ExchangeId) -> bool {
        let waits = self.waiting.remove(&exchange).is_some();
        if waits {
            self.sticky.gave_up(exchange);
            self.client.cancel(now, exchange);
        }
        waits
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Returns what is known of the path, or was when the session ended.
    pub(crate) fn path(&self) -> PathReport {
        self.client.path(self.session).unwrap_or(self.path)
    }

    pub(crate) fn close(&mut self, now: Instant) {
        if self.ended.is_none() {
            self.path = self.path();
            self.client.close(now, self.session);
            self.ended = Some(CloseReason::Local);
        }
    }

    /// Sends a ping, but not during a handshake, which has its own retransmissions.
    pub(super) fn ping(&mut self, now: Instant) {
        if self.connecting.is_none() {
            self.client.ping(now, self.session);
        }
    }

    /// Returns when the server was last heard with data that no other host can have sent. `None`: never yet.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.client.heard(self.session)
    }

    pub(super) fn somebody_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns when the connection is to be taken for lost, if nothing comes and `longest` is the longest
    /// silence.
    pub(super) fn lost_at(&self, longest: Duration) -> Option<Instant> {
        let silence = self.client.silence(self.session)?;
        if silence.copies < LEAST_COPIES { None } else { silence.since.checked_add(longest) }
    }

    /// Returns whether to ask the server if it is still there: a request has been acknowledged and should be
    /// answered soon, and nothing else is on its way that would show it.
    pub(super) fn asks_for_a_sign(&self) -> bool {
        let soon = self.waiting.values().any(|waiting| !waiting.long_poll);
        soon && self.connecting.is_none() && self.client.silence(self.session).is_none()
    }

    /// Ends the connection because the server, or the way to it, is gone; unless something has come after
    /// all.
    pub(super) fn lose(&mut self, now: Instant, longest: Duration) {
        if self.ended.is_none() && self.lost_at(longest).is_some_and(|at| at <= now) {
            self.ended = Some(CloseReason::Idle);
            // If the server is there all the same, it need not keep the session.
            self.client.close(now, self.session);
        }
    }

    /// Notes that the server's host says that no program listens. While connecting this is an answer; later
    /// it may be a restart, and anyone on the way could have sent it, so retransmissions go on.
    pub(super) fn refused(&mut self, now: Instant, server: SocketAddr) {
        if let Some(connecting) = self.connecting.take() {
            let _nobody_waits_any_more = connecting.send(Err(Error::Refused(server)));
            self.close(now);
        }
    }

    /// Hands all events to the callers that wait for them.
    pub(super) fn take_events(&mut self, tracer: Option<&Tracer>) {
        // A session's exchanges fail before its end is reported, and the end is what explains them.
        let mut failed = Vec::new();
        self.path = self.path();
        self.path_is_narrow = self.client.path_is_narrow(self.session).unwrap_or(self.path_is_narrow);
        while let Some(message) = self.client.poll_message() {
            if let Some(tracer) = tracer {
                masked::trace(tracer, message);
            }
        }
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
                // An event unknown to this client changes nothing for the waiting callers.
                _ => {}
            }
        }
        for (exchange, why, sent) in failed {
            self.sticky.gave_up(exchange);
            self.answer(exchange, Err(Failed { error: Error::failed(why, self.ended.clone()), sent }));
        }
        if let Some(why) = self.ended.clone() {
            self.end(why);
        }
        // What has failed has nothing more to hand out.
        self.hand_out();
    }

    fn answer(&mut self, exchange: ExchangeId, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&exchange) {
            waiting.wants.finish(answer, self.longest);
        }
    }

    /// Hands out what has come of the responses that are wanted in pieces.
    fn hand_out(&mut self) {
        let mut failed = Vec::new();
        for (exchange, waiting) in &mut self.waiting {
            if let Wants::Pieces(pieces) = &mut waiting.wants
                && let Err(why) = pieces.go_on(self.client.partial(*exchange))
            {
                failed.push((*exchange, why));
            }
        }
        for (exchange, why) in failed {
            self.answer(exchange, Err(why));
            self.sticky.gave_up(exchange);
            self.client.cancel(Instant::now(), exchange);
        }
    }

    /// Ends all waits: no caller may wait for a connection that has ended.
    pub(super) fn end(&mut self, why: CloseReason) {
        if let Some(connecting) = self.connecting.take() {
            let _nobody_waits_any_more = connecting.send(Err(Error::ended(why.clone())));
        }
        for (_, waiting) in self.waiting.drain() {
            let error = Error::failed(FailReason::SessionClosed, Some(why.clone()));
            waiting.wants.finish(Err(Failed { error, sent: true }), self.longest);
        }
        self.ended = Some(why);
    }
}

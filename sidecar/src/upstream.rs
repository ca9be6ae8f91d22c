//! The HTTP side: one task carries one request to Envoy, or to the homeserver itself, and its answer back.
//!
//! ```text
//! Forward -> carrier: pool (connection), or translator -> response head -> response::read -> AnswerWriter::start -> body pieces -> AnswerWriter::go_on
//! ```
//!
//! Dropping the task's future ends its request there, unless it is young ([`Settings::cancel_after`]): a
//! client that goes away ends its upstream request.
//!
//! | file | holds |
//! |---|---|
//! | `places` | the shares of requests and bytes in flight |
//! | `carrier`, `arriving` | Envoy or the homeserver, and what comes from there |
//! | `pool`, `connection` | where requests go, and which are tried again |
//! | `outgoing` | the body of a request, and the share its memory counts to |
//! | `relay` | an answer on its way to the client |
//! | `waiting` | what becomes of a stream that no client waits for |

use crate::answer::{AnswerWriter, Gone};
use crate::credentials::{News, Refused};
use crate::failure::Failure;
use crate::representation::Body;
use crate::request::{self, Forward};
use crate::translator::Translator;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, StatusCode};
use lowband_transport::SessionId;
use lowband_transport::shares::{Limit, Network};
use lowband_wire::coap::access_token::AccessToken;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

mod arriving;
mod carrier;
mod connection;
mod outgoing;
mod places;
mod pool;
mod relay;
mod usage;
mod waiting;

use arriving::Arriving;
use carrier::Carrier;
use outgoing::Outgoing;
pub use places::{Full, Holder, Permit};
use places::{Held, Places};
pub use usage::{Busy, Usage, polls_again_in};
pub(crate) use waiting::Counted;

/// Bytes of an error body that are read for its `errcode` or `retry_after_ms`.
const MAX_ERROR: usize = 16 << 10;

/// Returns the bytes that HTTP/2 and Envoy hold of an answer that is not read on: a full window here, and
/// `by_envoy` there (`--held-by-envoy`). Envoy leaves the sidecar out of its own bounds, so the bytes count
/// as held by the client. If the homeserver does not state the length of an answer, Envoy's filter may have
/// held 256 KiB of it before it lets the first byte go.
pub fn held_of_an_answer(by_envoy: usize) -> usize {
    (connection::STREAM_WINDOW as usize).saturating_add(by_envoy)
}

/// The address that the upstream listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(Authority),
}

impl Address {
    /// Returns the host in HTTP/2's terms. Behind a unix socket Envoy sets the homeserver's name.
    pub fn authority(&self) -> Authority {
        match self {
            Address::Unix(_) => Authority::from_static("localhost"),
            Address::Tcp(authority) => authority.clone(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// All settings of the upstream.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that the upstream listens on.
    pub address: Address,
    /// Most connections at a time.
    pub connections: usize,
    /// Most requests in flight.
    pub requests: usize,
    /// Most bytes of request bodies in flight.
    pub request_bytes: usize,
    /// Bytes of the largest request body.
    pub largest_body: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Longest silence before a response and within it.
    pub response_timeout: Duration,
    /// Longest time added to `response_timeout` for a long poll.
    pub longest_poll: Duration,
    /// Least time from sending a request that is cancelled to the end of its stream.
    pub cancel_after: Duration,
    /// Requests a second that the clients of a network may go away from.
    pub cancels: Limit,
    /// Longest time for which a connection over TCP takes requests.
    pub connection_age: Duration,
    /// Time between pings on a busy connection.
    pub ping: Duration,
}

/// The upstream, shared by all tasks.
#[derive(Debug)]
pub struct Upstream {
    carrier: Carrier,
    settings: Settings,
    authority: Authority,
    places: Arc<Places>,
}

/// The way one request is to be carried.
#[derive(Debug, Clone)]
struct Fetch {
    /// True if the homeserver may be asked twice.
    is_repeatable: bool,
    /// True if the client asks for an answer in fewer bytes.
    wants_packed: bool,
    /// How long the answer may take to begin.
    patience: Duration,
    permit: Arc<Permit>,
}

/// A response that may not have been read yet.
type Arrived = http::Response<Arriving>;

/// A response whose beginning may have been read.
struct Response {
    parts: http::response::Parts,
    begun: Bytes,
    body: Arriving,
}

impl Upstream {
    /// Makes the upstream; it connects when the first request comes. With a `translator` requests go through
    /// it to the homeserver, else to Envoy.
    pub fn new(settings: Settings, translator: Option<Translator>) -> Upstream {
        Upstream {
            carrier: Carrier::new(&settings, translator),
            authority: settings.address.authority(),
            places: Arc::new(Places::new(settings.requests, settings.request_bytes, settings.largest_body)),
            settings,
        }
    }

    /// Returns the host in HTTP/2's terms.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns what there is to do at the moment.
    pub fn usage(&self) -> Usage {
        let Held { requests, body_bytes, most_of_a_network } = self.places.held();
        Usage {
            requests: requests as u64,
            connections: self.carrier.connections() as u64,
            body_bytes: body_bytes as u64,
            most_of_a_network: most_of_a_network as u64,
            running_out: self.carrier.running_out() as u64,
            repeated: self.carrier.repeated(),
            up: self.carrier.is_up(),
        }
    }

    /// Takes a place for a request with a body of this length.
    pub fn place(&self, holder: Holder, body_len: usize) -> Result<Permit, Full> {
        self.places.take(holder, body_len)
    }

    /// Takes over the place of a request that has given way.
    pub fn take_over(&self, holder: Holder, body_len: usize) -> Result<Permit, Full> {
        self.places.take_over(holder, body_len)
    }

    /// Returns the number of places that a session has.
    pub fn held_by(&self, session: SessionId) -> usize {
        self.places.held_by(session)
    }

    /// Returns the number of places that the sessions of a network have.
    pub fn held_in(&self, network: Network) -> usize {
        self.places.held_in(network)
    }

    /// Carries one request and its answer.
    pub async fn carry(&self, forward: Forward, mut answer: AnswerWriter, permit: Arc<Permit>) {
        answer.asked(Instant::now().into_std());
        if let Err(End::Failed(failure)) = self.exchange(forward, &answer, permit).await {
            // On an error here the client has gone, and cannot be answered.
            let _ = answer.refuse(failure.refusal(), Some(failure)).await;
        }
    }

    async fn exchange(
        &self,
        forward: Forward,
        answer: &AnswerWriter,
        permit: Arc<Permit>,
    ) -> Result<(), End> {
        let Forward { request, credentials, long_poll, is_repeatable, wants_packed } = forward;
        let fetch = Fetch {
            is_repeatable,
            wants_packed,
            // The head of a long poll comes when the homeserver has waited for as long as it was asked to.
            patience: self.settings.response_timeout + long_poll.min(self.settings.longest_poll),
            permit,
        };
        let waits_with_a_body = !long_poll.is_zero() && credentials.second.is_none();
        let request = request.map(|body| {
            if waits_with_a_body {
                Outgoing::once(body, &fetch.permit)
            } else {
                Outgoing::new(body, &fetch.permit)
            }
        });
        let second = credentials.second.clone().and_then(|token| {
            let mut request = request.clone();
            request::authorize(&mut request, token.as_ref()).is_ok().then_some((request, token))
        });
        let mut response = self.send(request, &fetch).await?;
        let refused = self
            .note(&mut response, credentials.first.as_ref().filter(|_| credentials.refusable), answer)
            .await?;
        let expected = if credentials.first.is_some() { Refused::Unknown } else { Refused::Missing };
        if let Some((request, token)) = second.filter(|_| refused == Some(expected)) {
            let mut other = self.send(request, &fetch).await?;
            let refused = self.note(&mut other, token.as_ref(), answer).await?;
            // A client that has sent a token learns nothing from an answer that one is needed.
            if refused != Some(Refused::Missing) {
                response = other;
            }
        }
        if let Some(news) = credentials.after_success().filter(|_| response.parts.status.is_success()) {
            answer.tell(news).await?;
        }
        self.relay(response, answer, &fetch).await
    }

    async fn send(&self, request: Request<Outgoing>, fetch: &Fetch) -> Result<Response, Failure> {
        match timeout_at(Instant::now() + fetch.patience, self.carrier.send(request, fetch)).await {
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Response { parts, begun: Bytes::new(), body })
            }
            Ok(Err(failure)) => Err(failure),
            Err(_elapsed) => Err(Failure::Hung),
        }
    }

    /// Reads the reason of a 401, and reports a token that the homeserver does not know.
    async fn note(
        &self,
        response: &mut Response,
        token: Option<&AccessToken>,
        answer: &AnswerWriter,
    ) -> Result<Option<Refused>, End> {
        if response.parts.status != StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let kind = Body::of(&response.parts.headers, response.body.is_end_stream());
        let Some(format) = kind.content_format() else { return Ok(None) };
        response.begun = self.whole(Bytes::new(), &mut response.body, MAX_ERROR).await?;
        let refused = Refused::read(format, &response.begun);
        if let (Some(Refused::Unknown), Some(token)) = (refused, token) {
            answer.tell(News::Refused(token.clone())).await?;
        }
        Ok(refused)
    }
}

/// The reason why an answer is not complete.
enum End {
    /// No client waits for the answer.
    Gone,
    /// The upstream failed the request.
    Failed(Failure),
}

impl From<Gone> for End {
    fn from(_: Gone) -> End {
        End::Gone
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

//! The homeserver, asked without a proxy in between: pooled connections, over TLS or in clear text, HTTP/1.1
//! or, where the homeserver offers it (ALPN, RFC 7301), HTTP/2.
//!
//! ```text
//! request -> lane: the first with room -> client of hyper-util: an idle connection, or a new one (connector) -> the head of the response
//! ```
//!
//! Over HTTP/1.1 each request in flight has a connection of its own, and a lane is only a part of the pool.
//! Over HTTP/2 a lane is one connection. Servers allow some 100 requests on one, and further ones would
//! wait for the end of somebody's long poll.
//!
//! Dropping what `Homeserver::send` returns, or its answer, ends the request: over HTTP/1.1 with its
//! connection.

use crate::failure::Failure;
use crate::health::{Health, Hint, Watched};
use base::Base;
use connector::{Connector, Unconnected};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::iter;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub mod base;
mod connector;
mod outbound;
pub mod roots;

pub(crate) use outbound::Outbound;
pub use roots::Roots;

/// Requests in flight at which a further lane is opened: many servers allow this many on one connection.
const REQUESTS_ON_A_LANE: usize = 100;
/// How long a connection without a request is kept. Below the 60 s after which Synapse closes one: a request
/// must not meet a connection that is just closing.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of an answer that wait here until they are read: the window of a stream (RFC 9113 section 5.2), or
/// the buffer of a connection in HTTP/1.1, which also holds the head of an answer.
pub(crate) const WINDOW: u32 = 64 << 10;
/// The window of a connection in HTTP/2: room for the full windows of all requests of its lane.
const CONNECTION_WINDOW: u32 = WINDOW * (REQUESTS_ON_A_LANE as u32 + 28);
/// Largest header list of an answer in bytes. A larger one ends its request.
const MAX_HEADER_LIST: u32 = WINDOW;
/// A ping that is not answered within this time means a dead connection.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of cancelled streams of a connection whose late frames are still recognised.
const RESET_STREAMS: usize = 1024;

/// Where the homeserver is, and how it is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host and port.
    pub base: Base,
    /// The authorities that vouch for its certificate.
    pub roots: Roots,
    /// Most requests in flight for which there are lanes; further ones share the last.
    pub requests: usize,
    /// How long connecting may take, with the handshake of TLS.
    pub connect_timeout: Duration,
    /// Time between pings on a busy connection: of HTTP/2, or of TCP.
    pub ping: Duration,
}

/// A homeserver, shared by all requests.
#[derive(Debug)]
pub(crate) struct Homeserver {
    base: Base,
    connector: Connector,
    ping: Duration,
    lanes: Box<[Lane]>,
    repeated: AtomicU64,
    health: Health,
}

#[derive(Debug, Default)]
struct Lane {
    /// The client for a homeserver of which it is not known that it speaks HTTP/2, and the one for a
    /// homeserver that does: requests that come together share the connection that is being opened, instead
    /// of opening one each. Made with the first request.
    clients: [OnceLock<Client<Connector, Outbound>>; 2],
    in_flight: Arc<AtomicUsize>,
}

/// A request's share in a lane, until its answer is complete.
#[derive(Debug)]
pub(crate) struct Lease {
    in_flight: Arc<AtomicUsize>,
}

impl Lease {
    pub(crate) fn new(in_flight: &Arc<AtomicUsize>) -> Lease {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Lease { in_flight: Arc::clone(in_flight) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a request has brought no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// What has failed.
    pub(crate) failure: Failure,
    /// True if the connection ended under the request, which need not be to blame.
    pub(crate) was_cut: bool,
}

impl Homeserver {
    /// Makes the client; it connects when the first request comes.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL cannot be set up.
    pub(crate) fn new(settings: &Settings) -> Result<Homeserver, openssl::error::ErrorStack> {
        let lanes = settings.requests.div_ceil(REQUESTS_ON_A_LANE).max(1);
        Ok(Homeserver {
            base: settings.base.clone(),
            connector: Connector::new(settings)?,
            ping: settings.ping,
            lanes: iter::repeat_with(Lane::default).take(lanes).collect(),
            repeated: AtomicU64::new(0),
            health: Health::new(Watched::Homeserver(settings.base.to_string())),
        })
    }

    /// Returns the number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.connector.connections()
    }

    /// Returns whether the homeserver could be used at the last attempt; `None` before the first one.
    pub(crate) fn is_up(&self) -> Option<bool> {
        self.health.is_up()
    }

    /// Returns the number of requests that were sent again because their connection had broken off.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Counts a request that is sent again.
    pub(crate) fn count_a_repetition(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a request whose URI is a path and a query, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        mut request: Request<Outbound>,
    ) -> Result<(Lease, Response<Incoming>), Unanswered> {
        let uri = self.base.of(request.uri());
        *request.uri_mut() = uri.map_err(|why| unanswered(Failure::Broken(why.to_string())))?;
        *request.version_mut() = http::Version::HTTP_11;
        let (lease, client) =
            self.lane().ok_or_else(|| unanswered(Failure::Unreachable("no lane".to_owned())))?;
        match client.request(request).await {
            Ok(response) => {
                self.health.answered();
                // Over HTTP/1.1 the buffer alone lets more through.
                let fields = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
                match fields.sum::<usize>() > MAX_HEADER_LIST as usize {
                    true => Err(unanswered(Failure::Broken("the header fields are too long".to_owned()))),
                    false => Ok((lease, response)),
                }
            }
            Err(error) => Err(self.judge(&error)),
        }
    }

    fn lane(&self) -> Option<(Lease, &Client<Connector, Outbound>)> {
        let load = |lane: &&Lane| lane.in_flight.load(Ordering::Relaxed);
        let with_room = self.lanes.iter().find(|lane| load(lane) < REQUESTS_ON_A_LANE);
        let lane = with_room.or_else(|| self.lanes.iter().min_by_key(load))?;
        let is_http_2 = self.connector.has_met_http_2();
        let [any, http_2] = &lane.clients;
        let client = if is_http_2 { http_2 } else { any };
        Some((
            Lease::new(&lane.in_flight),
            client.get_or_init(|| make_client(self.connector.expecting(is_http_2), is_http_2, self.ping)),
        ))
    }

    /// Returns what an error means for its request, and notes what it says of the homeserver.
    fn judge(&self, error: &legacy::Error) -> Unanswered {
        if let Some(unconnected) = error.source().and_then(|source| source.downcast_ref::<Unconnected>()) {
            self.health.failed(&unconnected.to_string(), unconnected.hint());
            return unanswered(match unconnected {
                Unconnected::Hung => Failure::Hung,
                _ => Failure::Unreachable(unconnected.to_string()),
            });
        }
        let Some(http) = error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) else {
            return unanswered(Failure::Unreachable(reason(error)));
        };
        if http.is_timeout() {
            return unanswered(Failure::Hung);
        }
        let is_io = http.source().is_some_and(|cause| cause.is::<std::io::Error>());
        let was_cut = is_io || http.is_incomplete_message() || http.is_closed() || http.is_canceled();
        if was_cut {
            self.health.cut(&reason(http));
            return Unanswered { failure: Failure::Unreachable(reason(http)), was_cut };
        }
        if http.is_parse() {
            self.health.failed(&reason(http), Hint::Protocol);
        }
        Unanswered { failure: Failure::Broken(reason(http)), was_cut }
    }
}

fn make_client(connector: Connector, is_http_2: bool, ping: Duration) -> Client<Connector, Outbound> {
    Client::builder(TokioExecutor::new())
        .http2_only(is_http_2)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(WINDOW as usize)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADER_LIST)
        .http2_max_concurrent_reset_streams(RESET_STREAMS)
        // Frames for streams cancelled long ago would count as errors of ours.
        .http2_max_local_error_reset_streams(None)
        .http2_keep_alive_interval(ping)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector)
}

fn unanswered(failure: Failure) -> Unanswered {
    Unanswered { failure, was_cut: false }
}

/// Returns an error and its causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

/// Describes an error with its causes.
fn reason(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! One connection: handshake, HTTP, and its limits of time.

use super::activity::{Activity, Over};
use super::exchange;
use super::places::Id;
use super::stream::{Kind, Watched};
use super::{Orders, Shared};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use lowband_transport::shares::Network;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

/// Longest head of an HTTP/1 request with its path and query, and all fields of one of HTTP/2, in bytes.
pub(super) const HEAD: usize = 32 << 10;
/// Requests of one HTTP/2 connection at a time: a sync, some requests and some pictures.
pub(crate) const STREAMS: u32 = 64;
/// What a client may send of one request's body before the homeserver takes it, in bytes.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same of all requests of a connection.
pub(super) const CONNECTION_WINDOW: u32 = 256 << 10;
/// Requests of HTTP/2 that a client may end before they were looked at (CVE-2023-44487).
const ENDED_EARLY: usize = 20;
/// What is kept of an answer that the client does not take, in bytes, beyond its last piece.
const SEND_BUFFER: usize = 16 << 10;
/// How often a silent HTTP/2 client is asked whether it lives, and how long it may take for its answer.
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30));
/// How long a client has to close a connection that it was asked to close.
const FAREWELL: Duration = Duration::from_secs(5);

/// What there is to know of the client behind one connection.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Id,
    pub(super) peer: SocketAddr,
    pub(super) network: Network,
    pub(super) activity: Arc<Mutex<Activity>>,
    pub(super) orders: Arc<Orders>,
}

impl Client {
    /// Serves the connection until it has ended, and frees its place.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _place = Place(Arc::clone(&self));
        let mut work = pin!(Arc::clone(&self).work(stream));
        let mut farewell = None;
        loop {
            let look = farewell.unwrap_or_else(|| self.activity().look_again(Instant::now()));
            tokio::select! {
                worked = &mut work => {
                    if let Err(error) = worked {
                        tracing::debug!(peer = %self.peer, %error, "a connection has ended");
                    }
                    return;
                }
                () = self.orders.cut.notified() => return,
                () = sleep_until(look.into()) => {}
            }
            let now = Instant::now();
            let over = self.activity().ends().filter(|(at, _)| *at <= now).map(|(_, why)| why);
            match (over, farewell) {
                (Some(Over::Idle), None) => {
                    self.shared.metrics.public_ended(Over::Idle);
                    self.orders.leave.notify_one();
                    farewell = Some(now + FAREWELL);
                }
                (Some(Over::Idle), Some(until)) if until > now => {}
                (Some(why), _) => {
                    if farewell.is_none() {
                        self.shared.metrics.public_ended(why);
                    }
                    return;
                }
                (None, _) => farewell = None,
            }
        }
    }

    async fn work(
        self: Arc<Self>,
        stream: TcpStream,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let kind = match &self.shared.tls {
            None => Kind::Clear(stream),
            Some(tls) => {
                let accepted = tls.accept(stream).await;
                accepted
                    .map(|stream| Kind::Tls(Box::new(stream)))
                    .inspect_err(|_| self.shared.metrics.public_ended(Over::Handshake))?
            }
        };
        self.activity().shaken(Instant::now());
        let watched = Watched { kind, activity: Arc::clone(&self.activity) };
        let client = Arc::clone(&self);
        let service = service_fn(move |request: Request<Incoming>| {
            let client = Arc::clone(&client);
            async move { Ok::<_, Infallible>(exchange::answer(client, request).await) }
        });
        let builder = builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(watched), service));
        loop {
            tokio::select! {
                served = connection.as_mut() => return served,
                // GOAWAY; over HTTP/1 the end after this answer, at once if there is none.
                () = self.orders.leave.notified() => connection.as_mut().graceful_shutdown(),
            }
        }
    }

    /// Notes a new request, and returns its number.
    pub(super) fn begin_request(&self, is_http2: bool) -> u64 {
        self.shared.places().busy(self.id);
        if self.shared.is_leaving() {
            self.orders.leave.notify_one();
        }
        self.activity().begin(is_http2)
    }

    /// Notes the end of a request. A client that goes away from too many loses its connection: each of them
    /// has cost the homeserver its work.
    pub(super) fn end_request(&self, number: u64, is_cancelled: bool) {
        let now = Instant::now();
        if self.activity().end(now, number) {
            self.shared.places().idle(now, self.id);
        }
        // At the end of the process it is this side that goes away.
        if is_cancelled
            && !self.shared.is_leaving()
            && !self.shared.may_cancel(now, self.network)
            // Each of its requests ends when the connection does.
            && let Some(orders) = self.shared.places().remove(self.id)
        {
            self.shared.metrics.public_ended(Over::Cancels);
            orders.cut.notify_one();
        }
    }

    /// Notes whether the client has not taken what it was handed of an answer.
    pub(super) fn piece_waits(&self, number: u64, waits: bool) {
        self.activity().piece_waits(Instant::now(), number, waits);
    }

    /// Returns true if the connection is that of a balancer, which stands for many clients.
    pub(super) fn is_balancer(&self) -> bool {
        self.network.is_alone()
    }

    /// Returns true if the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.shared.tls.is_some()
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, free again when this is dropped.
struct Place(Arc<Client>);

impl Drop for Place {
    fn drop(&mut self) {
        let Place(client) = self;
        let left = {
            let mut places = client.shared.places();
            places.remove(client.id);
            places.len()
        };
        client.shared.metrics.public_connections(left);
    }
}

/// Returns how HTTP is spoken with clients.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD as u32)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(ENDED_EARLY)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

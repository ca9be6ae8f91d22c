//! A connection as the library's users see it; [`crate::driver`] moves the datagrams.

use crate::driver::{Driver, Failed, Nature, Shared, State, Wants};
use crate::error::Error;
use crate::incoming::{Incoming, Pieces};
use crate::key_log::KeyLogFile;
use crate::message::{Request, Response};
use crate::settings::Settings;
use crate::target;
use crate::trace::{Trace, Tracer, Traffic};
use lowband_system::fragmentation;
use lowband_transport::coap::{self, PathReport, Progress};
use lowband_transport::dtls::{self, CloseReason, Verification};
use lowband_transport::{Client, ExchangeId, client};
use lowband_wire::coap::Method;
use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;
use lowband_wire::coap::options::RequestOptions;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval_at};

/// Bounds the connect timeout: a server that has not taken a handshake for an hour will not take one.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(3600);

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The server's address.
    pub server: SocketAddr,
    /// Name for SNI, which the server's certificate must be made out to.
    pub server_name: String,
    /// Certificates to believe.
    pub verification: Verification,
    /// Time within which the handshake must finish.
    pub connect_timeout: Duration,
}

/// A connection: one UDP socket, one session. Cheap to clone; requests may overlap. Meant for one user (see
/// [`crate::TokenUse`]). Must be made and used inside a tokio runtime; when the last clone is dropped, the
/// session is closed.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    local: SocketAddr,
    path_codes: bool,
    tracer: Option<Tracer>,
    /// Requests under way: `Limits::exchanges_per_session`.
    permits: Arc<Semaphore>,
    /// Closes when the driver has ended.
    driver_ended: watch::Receiver<()>,
}

impl Connection {
    /// Binds a socket and makes the handshake, with the settings of [`Settings::from_environment`].
    pub async fn connect(options: ConnectOptions) -> Result<Connection, Error> {
        Connection::connect_with(options, Settings::from_environment()).await
    }

    /// Connects with the caller's settings.
    pub async fn connect_with(options: ConnectOptions, settings: Settings) -> Result<Connection, Error> {
        Connection::connect_anew(options, settings, None).await
    }

    /// Connects in place of a connection that was lost: from another local port, and with what was learnt of
    /// the path.
    pub(crate) async fn connect_anew(
        options: ConnectOptions,
        settings: Settings,
        lost: Option<&Connection>,
    ) -> Result<Connection, Error> {
        let key_log = settings.key_log.as_deref().map(KeyLogFile::open).transpose()?;
        let socket = bind(options.server, lost.map(Connection::local_address)).await?;
        socket.connect(options.server).await?;
        let local = socket.local_addr()?;
        fragmentation::allow(&socket, local.is_ipv6());
        let permits = Arc::new(Semaphore::new(settings.limits.exchanges_per_session.max(1)));
        let mut client = Client::new(transport_config(&options, &settings), seed()?)?;
        if settings.tracer.is_some() {
            client.overhear();
        }
        let session = client.connect(Instant::now(), options.server, &options.server_name)?;
        if lost.is_some_and(Connection::path_is_narrow) {
            client.take_for_narrow(session);
        }
        let (state, connected) = State::new(client, session, &settings);
        let shared = Arc::new(Shared::new(state));
        let (ended, driver_ended) = watch::channel(());
        let driver = Driver {
            socket,
            server: options.server,
            shared: Arc::clone(&shared),
            key_log,
            tracer: settings.tracer.clone(),
            meter: settings.meter.clone(),
            keep_alive: settings.keep_alive,
            silence: settings.silence,
            _ended: ended,
        };
        let Settings { path_codes, tracer, .. } = settings;
        let inner = Inner { shared, local, path_codes, tracer, permits, driver_ended };
        let connection = Connection { inner: Arc::new(inner) };
        tokio::spawn(driver.run());
        match tokio::time::timeout(options.connect_timeout, connected).await {
            Ok(Ok(result)) => result.map(|()| connection),
            Ok(Err(_driver_is_gone)) => Err(Error::Closed(CloseReason::Local)),
            Err(_elapsed) => Err(Error::ConnectTimeout(options.connect_timeout)),
        }
    }

    /// Sends a request and waits for the whole response. The only time limits are that of the retransmissions
    /// and that of the pings which show that the server is there ([`Settings::keep_alive`]). Dropping the
    /// future cancels the request.
    pub async fn request(&self, request: Request) -> Result<Response, Error> {
        self.attempt(request, None::<fn(Progress)>).await.map_err(|failed| failed.error)
    }

    /// Sends a request as [`Connection::request`] does and calls `see` ten times a second while a body of
    /// several blocks is on its way, first that of the request, then that of the response. A body that is
    /// whole sooner is not seen. `see` is called by this future, with no lock held; it may borrow what it
    /// needs, use the connection and take its time.
    ///
    /// ```no_run
    /// # async fn example(connection: &lowband_client::Connection) -> Result<(), lowband_client::Error> {
    /// use lowband_client::{Progress, Request};
    /// let avatar = Request::get("/_matrix/client/v1/media/download/example.org/abc");
    /// let show = |Progress { moved, total, .. }| match total {
    ///     Some(total) => println!("{} %", moved * 100 / total.max(1)),
    ///     None => println!("{moved} bytes"),
    /// };
    /// let response = connection.request_with_progress(avatar, show).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn request_with_progress(
        &self,
        request: Request,
        see: impl FnMut(Progress),
    ) -> Result<Response, Error> {
        self.attempt(request, Some(see)).await.map_err(|failed| failed.error)
    }

    /// Sends a request and waits for the head of the response; the body follows in pieces. A response of one
    /// block comes at once with its body, and of a longer one each piece as soon as it has no gap before it.
    pub async fn begin(&self, request: Request) -> Result<Incoming, Error> {
        self.attempt_to_begin(request).await.map_err(|failed| failed.error)
    }

    /// Makes a request as [`Connection::begin`] does; if it got no head, the error also says whether the
    /// server can have seen it.
    pub(crate) async fn attempt_to_begin(&self, request: Request) -> Result<Incoming, Failed> {
        let (sender, parts) = mpsc::unbounded_channel();
        let longest = self.inner.shared.lock().longest;
        let pieces = Pieces::new(sender, longest);
        let (pending, permit) = self.send(request, Wants::Pieces(pieces)).await?;
        Incoming::begin(parts, pending, permit).await
    }

    /// Makes a request; if it got no response, the error also says whether the server can have seen it.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        see: Option<impl FnMut(Progress)>,
    ) -> Result<Response, Failed> {
        let (sender, response) = oneshot::channel();
        let (pending, _permit) = self.send(request, Wants::Whole(sender)).await?;
        let shared = &self.inner.shared;
        let outcome = match see {
            Some(see) => watched(response, see, || shared.lock().client.progress(pending.exchange)).await,
            None => response.await,
        };
        outcome.unwrap_or_else(|_| Err(Failed { error: Error::cut_off(), sent: true }))
    }

    /// Sends a request once it has a place among those under way.
    async fn send(&self, request: Request, wants: Wants) -> Result<(Pending, OwnedSemaphorePermit), Failed> {
        let uri = target::to_options(&request.target, self.inner.path_codes).map_err(Failed::unsent)?;
        if let Some(tracer) = &self.inner.tracer {
            tracer.see(Trace::UriPath(&uri.path));
        }
        let access_token =
            request.access_token.as_deref().map(bare_token).transpose().map_err(Failed::unsent)?;
        let options = RequestOptions {
            path: uri.path,
            query: uri.query,
            content_format: request.content_format,
            accept: request.accept,
            ..RequestOptions::default()
        };
        let message = coap::Request { method: request.method, options, body: request.body };
        let permit = Arc::clone(&self.inner.permits).acquire_owned().await;
        // The semaphore is never closed.
        let permit = permit.map_err(|_| Failed::unsent(Error::cut_off()))?;
        let long_poll = is_long_poll(request.method, &request.target);
        let nature = Nature { ends_token: ends_its_token(&request.target), long_poll };
        let shared = &self.inner.shared;
        let exchange = shared.lock().request(Instant::now(), message, access_token, nature, wants)?;
        shared.wake_driver();
        Ok((Pending { connection: Arc::clone(&self.inner), exchange }, permit))
    }

    /// Sends close_notify and ends the connection, for all its clones. Requests under way fail.
    pub async fn close(self) {
        self.inner.close();
        let mut driver_ended = self.inner.driver_ended.clone();
        while driver_ended.changed().await.is_ok() {}
    }

    /// Returns the local port and, where the system has chosen one by now, the local address.
    pub fn local_address(&self) -> SocketAddr {
        self.inner.local
    }

    /// Ends the connection as [`Connection::close`] does, but does not wait for the last datagram.
    pub(crate) fn end(&self) {
        self.inner.close();
    }

    /// Returns whether the connection has ended: no more requests will be sent on it.
    pub fn has_ended(&self) -> bool {
        self.inner.shared.lock().has_ended()
    }

    /// Returns whether the path is, or was at the connection's end, taken for one that lets no large
    /// datagrams through.
    fn path_is_narrow(&self) -> bool {
        self.inner.shared.lock().path_is_narrow
    }

    /// Returns what is known of the path: the width of the window, round trips, blocks. Keeps its last value
    /// when the connection has ended.
    pub fn path(&self) -> PathReport {
        self.inner.shared.lock().path()
    }

    /// Returns the datagrams and bytes so far.
    pub fn traffic(&self) -> Traffic {
        self.inner.shared.lock().traffic
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("traffic", &self.traffic()).finish_non_exhaustive()
    }
}

impl Inner {
    fn close(&self) {
        self.shared.lock().close(Instant::now());
        self.shared.wake_driver();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Time from one call of a function that sees the progress to the next: as often as an eye can follow.
const BETWEEN_PROGRESS: Duration = Duration::from_millis(100);

/// Waits for a response and meanwhile shows how far its bodies are.
async fn watched<T>(
    response: impl Future<Output = T>,
    mut see: impl FnMut(Progress),
    progress: impl Fn() -> Option<Progress>,
) -> T {
    let mut response = pin!(response);
    let mut ticks = interval_at(tokio::time::Instant::now() + BETWEEN_PROGRESS, BETWEEN_PROGRESS);
    // After a pause, that of a phone that slept, one call is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            outcome = &mut response => return outcome,
            _ = ticks.tick() => progress().into_iter().for_each(&mut see),
        }
    }
}

/// Cancels its request when it is dropped before the answer. Keeps the connection until then.
pub(crate) struct Pending {
    connection: Arc<Inner>,
    exchange: ExchangeId,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let shared = &self.connection.shared;
        if shared.lock().cancel(Instant::now(), self.exchange) {
            shared.wake_driver();
        }
    }
}

fn transport_config(options: &ConnectOptions, settings: &Settings) -> client::Config {
    // Our own timer comes first, so that a slow handshake has one name whichever layer it was in.
    let handshake = options.connect_timeout.min(LONGEST_HANDSHAKE) + Duration::from_secs(1);
    client::Config {
        dtls: dtls::Config {
            client: Some(options.verification.clone()),
            key_log: settings.key_log.is_some(),
            limits: dtls::Limits { handshake, ..dtls::Limits::default() },
            ..dtls::Config::default()
        },
        times: settings.times.clone(),
        limits: settings.limits.clone(),
    }
}

/// Binds a socket for one server. The system may give out a port again that was just closed, so the unwanted
/// one is held meanwhile.
async fn bind(server: SocketAddr, not_from: Option<SocketAddr>) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind(any_local_address(server)).await?;
    match not_from {
        Some(not) if not.port() == socket.local_addr()?.port() => {
            Ok(UdpSocket::bind(any_local_address(server)).await?)
        }
        _ => Ok(socket),
    }
}

fn any_local_address(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed).map_err(|error| Error::Randomness(error.to_string()))?;
    Ok(seed)
}

pub(crate) fn random_number() -> Result<u64, Error> {
    let [a, b, c, d, e, f, g, h, ..] = seed()?;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// Returns whether a success ends the token of the request.
fn ends_its_token(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    ["/logout", "/logout/all", "/account/deactivate"].iter().any(|end| path.ends_with(end))
}

/// Returns whether the server may leave a request unanswered until something happens: Matrix says for how
/// long by `timeout`. Sliding sync asks by POST.
fn is_long_poll(method: Method, target: &str) -> bool {
    let query = target.split('#').next().and_then(|target| target.split_once('?'));
    let may_wait = match method {
        Method::Get => true,
        Method::Post => target.split('?').next().is_some_and(|path| path.ends_with("/sync")),
        Method::Put | Method::Delete => false,
    };
    may_wait && query.is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("timeout=")))
}

/// Removes `Bearer `: servers take the token with and without it, and without is shorter.
fn bare_token(given: &str) -> Result<String, Error> {
    let token = match given.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
        _ => given,
    };
    match token.trim() {
        token if (1..=MAX_ACCESS_TOKEN).contains(&token.len()) => Ok(token.to_owned()),
        token => Err(Error::AccessToken(token.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_without_its_scheme() {
        for given in ["abc", "Bearer abc", "bearer  abc", " abc "] {
            assert_eq!(bare_token(given).unwrap(), "abc", "{given:?}");
        }
        assert_eq!(bare_token("Bearerabc").unwrap(), "Bearerabc");
    }

    #[test]
    fn three_requests_end_their_token() {
        for target in
            ["/_matrix/client/v3/logout", "/_matrix/client/r0/logout/all?x", "/x/account/deactivate#y"]
        {
            assert!(ends_its_token(target), "{target}");
        }
        assert!(!ends_its_token("/_matrix/client/v3/sync?next=/logout"));
    }

    #[test]
    fn what_has_a_timeout_may_wait() {
        assert!(is_long_poll(Method::Get, "/_matrix/client/v3/sync?since=s1&timeout=30000"));
        assert!(!is_long_poll(Method::Get, "/_matrix/client/v3/sync?since=s1&no_timeout=1"));
        assert!(!is_long_poll(Method::Get, "/sync#?timeout=1"));
        assert!(!is_long_poll(Method::Put, "/sync?timeout=1"));
        assert!(is_long_poll(Method::Post, "/unstable/org.matrix.simplified_msc3575/sync?pos=1&timeout=1"));
        assert!(!is_long_poll(Method::Post, "/keys/query?timeout=1"));
    }

    #[test]
    fn a_token_that_option_256_cannot_carry_is_refused() {
        assert!(matches!(bare_token("Bearer "), Err(Error::AccessToken(0))));
        assert!(bare_token(&"x".repeat(MAX_ACCESS_TOKEN)).is_ok());
        assert!(
            matches!(bare_token(&"x".repeat(MAX_ACCESS_TOKEN + 1)), Err(Error::AccessToken(length)) if length == MAX_ACCESS_TOKEN + 1)
        );
    }
}

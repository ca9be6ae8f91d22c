//! A connection that outlives its sessions; [`crate::redial`] decides, this carries out.

use crate::connection::{self, ConnectOptions, Connection};
use crate::driver::Failed;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::message::{Request, Response};
use crate::redial::{self, Dial, Dials, Redial};
use crate::settings::Settings;
use crate::trace::{Trace, Traffic};
use lowband_transport::coap::{PathReport, Progress};
use lowband_transport::dtls::CloseReason;
use lowband_wire::coap::Code;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout_at};

/// A [`Connection`] that is made anew when its session has ended: the server closed it (a pod of it ends),
/// has owed an answer for [`Redial::silence`], or does not answer pings any more ([`Settings::keep_alive`]).
/// It is dialled **from a new local port**, because load balancers and NATs go on to send the flow of the old
/// one to where the server was; and only when there is a request to send.
///
/// A request that got no response is made again on the new session if it is a GET, PUT or DELETE, or if
/// nothing of it had been sent; after 5.03 with a Max-Age it is made again when that is over, unless it is a
/// POST. So a **POST that may have arrived fails** with the end of its session, and a PUT needs what Matrix
/// has in its path, a transaction id, for having its effect once. A new session knows no access token: the
/// first request on it carries its own again.
///
/// Cheap to clone; requests may overlap. Must be made and used inside a tokio runtime; when the last clone is
/// dropped, the session is closed.
#[derive(Clone)]
pub struct LastingConnection {
    inner: Arc<Inner>,
}

struct Inner {
    options: ConnectOptions,
    settings: Settings,
    redial: Redial,
    current: Mutex<Current>,
    /// Held by the caller that dials; the others wait for the session that it gets.
    dials: tokio::sync::Mutex<Dials>,
    closed: watch::Sender<bool>,
}

struct Current {
    connection: Connection,
    redials: u64,
    /// Traffic of the previous connections.
    traffic: Traffic,
}

impl LastingConnection {
    /// Shakes hands once, so that a wrong address is known at once, with the settings of
    /// [`Settings::from_environment`] and the defaults of [`Redial`].
    pub async fn connect(options: ConnectOptions) -> Result<LastingConnection, Error> {
        LastingConnection::connect_with(options, Settings::from_environment(), Redial::default()).await
    }

    /// Connects with the caller's settings.
    pub async fn connect_with(
        options: ConnectOptions,
        settings: Settings,
        redial: Redial,
    ) -> Result<LastingConnection, Error> {
        let silence = if redial.is_never() { settings.silence } else { Some(redial.silence) };
        let settings = Settings { silence, ..settings };
        let begin = Instant::now();
        let connection = Connection::connect_with(options.clone(), settings.clone()).await?;
        let dials = Dials::new(
            redial.clone(),
            begin.elapsed(),
            options.connect_timeout,
            connection::random_number()?,
        );
        let current = Current { connection, redials: 0, traffic: Traffic::default() };
        let inner = Inner {
            options,
            settings,
            redial,
            current: Mutex::new(current),
            dials: tokio::sync::Mutex::new(dials),
            closed: watch::Sender::new(false),
        };
        Ok(LastingConnection { inner: Arc::new(inner) })
    }

    /// Sends a request and waits for the whole response, over as many sessions as it takes. Dropping the
    /// future cancels the request.
    pub async fn request(&self, request: Request) -> Result<Response, Error> {
        self.persist(request, async |connection, request| {
            connection.attempt(request, None::<fn(Progress)>).await
        })
        .await
    }

    /// Sends a request as [`LastingConnection::request`] does and shows how far it is, as
    /// [`Connection::request_with_progress`] does. On a new session a body begins anew, and less has moved
    /// than before.
    pub async fn request_with_progress(
        &self,
        request: Request,
        mut see: impl FnMut(Progress),
    ) -> Result<Response, Error> {
        self.persist(request, async |connection, request| connection.attempt(request, Some(&mut see)).await)
            .await
    }

    /// Sends a request and waits for the head of the response, over as many sessions as it takes; the body
    /// follows in pieces. A session that ends in the middle of the body ends the response.
    pub async fn begin(&self, request: Request) -> Result<Incoming, Error> {
        self.persist(request, async |connection, request| connection.attempt_to_begin(request).await).await
    }

    async fn persist<A: Answer>(
        &self,
        request: Request,
        mut attempt: impl AsyncFnMut(Connection, Request) -> Result<A, Failed>,
    ) -> Result<A, Error> {
        let inner = &self.inner;
        let mut patience = inner.redial.patience;
        let mut unavailable = 0;
        loop {
            let mut connection = inner.current().connection.clone();
            if connection.has_ended() && !inner.gives_up(patience) {
                let begin = Instant::now();
                connection = inner.dial(begin + patience).await?;
                patience = patience.saturating_sub(begin.elapsed());
            }
            match attempt(connection.clone(), request.clone()).await {
                Ok(response) => {
                    // A caller that dials meanwhile has a newer loss in mind.
                    if let Ok(mut dials) = inner.dials.try_lock() {
                        dials.answered();
                    }
                    let wait = redial::waits(request.method, response.refusal())
                        .filter(|wait| unavailable < inner.redial.unavailable && *wait < patience);
                    let Some(wait) = wait else { return Ok(response) };
                    unavailable += 1;
                    patience -= wait;
                    inner.trace(Trace::Unavailable(wait));
                    inner.unless_closed(tokio::time::sleep(wait)).await?;
                }
                Err(failed) if redial::repeats(request.method, &failed) && !inner.gives_up(patience) => {
                    inner.trace(Trace::Lost(&failed.error));
                    // No acknowledgement of the request in all its time: the session is of no use, even if it
                    // has not ended.
                    connection.end();
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Sends close_notify and ends the connection, for all its clones. Requests under way fail.
    pub async fn close(self) {
        self.inner.closed.send_replace(true);
        let connection = self.inner.current().connection.clone();
        connection.close().await;
    }

    /// Returns how often the connection has been dialled anew with success.
    pub fn redials(&self) -> u64 {
        self.inner.current().redials
    }

    /// Returns whether the newest session has not ended, as far as is known.
    pub fn is_connected(&self) -> bool {
        !self.inner.current().connection.has_ended()
    }

    /// Returns what is known of the path of the newest session; see [`Connection::path`].
    pub fn path(&self) -> PathReport {
        self.inner.current().connection.path()
    }

    /// Returns the datagrams and bytes of all its sessions so far.
    pub fn traffic(&self) -> Traffic {
        let current = self.inner.current();
        current.traffic + current.connection.traffic()
    }
}

/// What a request brings.
trait Answer {
    /// Returns the code, and the Max-Age that came with it.
    fn refusal(&self) -> (Code, Option<u32>);
}

impl Answer for Response {
    fn refusal(&self) -> (Code, Option<u32>) {
        (self.code, self.max_age)
    }
}

impl Answer for Incoming {
    fn refusal(&self) -> (Code, Option<u32>) {
        (self.code, self.max_age)
    }
}

impl Inner {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gives_up(&self, patience: Duration) -> bool {
        patience.is_zero() || *self.closed.borrow()
    }

    /// Returns a connection that has not ended, by `deadline` at the latest.
    async fn dial(&self, deadline: Instant) -> Result<Connection, Error> {
        self.unless_closed(self.dial_until(deadline)).await?
    }

    async fn dial_until(&self, deadline: Instant) -> Result<Connection, Error> {
        let mut why_not = Error::ConnectTimeout(self.redial.patience);
        let Ok(mut dials) = timeout_at(deadline.into(), self.dials.lock()).await else { return Err(why_not) };
        let lost = self.current().connection.clone();
        if !lost.has_ended() {
            // Another caller has dialled meanwhile.
            return Ok(lost);
        }
        loop {
            let Dial { after, within } = dials.next();
            self.trace(Trace::Dialling(after));
            let at = Instant::now() + after;
            sleep_until(at.min(deadline).into()).await;
            if at >= deadline {
                return Err(why_not);
            }
            let within = within.min(deadline.saturating_duration_since(Instant::now()));
            let options = ConnectOptions { connect_timeout: within, ..self.options.clone() };
            let begin = Instant::now();
            let dialled = Connection::connect_anew(options, self.settings.clone(), Some(&lost));
            match dialled.await {
                Ok(connection) => {
                    dials.connected(begin.elapsed());
                    return self.replace(connection);
                }
                Err(error) if redial::may_pass(&error) => {
                    self.trace(Trace::Unreached(&error));
                    why_not = error;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn replace(&self, connection: Connection) -> Result<Connection, Error> {
        let mut current = self.current();
        if *self.closed.borrow() {
            connection.end();
            return Err(Error::Closed(CloseReason::Local));
        }
        let lost = std::mem::replace(&mut current.connection, connection.clone());
        current.traffic = current.traffic + lost.traffic();
        current.redials += 1;
        Ok(connection)
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            // An error would mean that the sender is gone, but `self` holds it.
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed(CloseReason::Local)),
            done = work => Ok(done),
        }
    }

    fn trace(&self, what: Trace<'_>) {
        if let Some(tracer) = &self.settings.tracer {
            tracer.see(what);
        }
    }
}

impl fmt::Debug for LastingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastingConnection")
            .field("redials", &self.redials())
            .field("traffic", &self.traffic())
            .finish_non_exhaustive()
    }
}

//! The public TCP port of a sidecar without Envoy: HTTPS or HTTP/1.1 and HTTP/2 in clear text, for clients
//! without low bandwidth, for media, and for discovery.
//!
//! ```text
//! accept -> places, rates -> TLS -> HTTP/1.1, HTTP/2 -> exchange -> Translator -> homeserver
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `places` | who may hold a connection, and which one gives way |
//! | `connection` | one connection from its handshake to its end |
//! | `activity` | the limits of time of a connection |
//! | `stream`, `tls` | its bytes, and what encrypts them |
//! | `exchange`, `body`, `refusal` | a request, its bodies, and answers of our own |
//! | `leaving` | the end of the process, connection by connection |
//!
//! Deliberately absent: paths, header fields and translation, which belong to the translator, as do places
//! at the homeserver.

use crate::drain;
use crate::logging::Seldom;
use crate::metrics::Metrics;
use crate::translator::Translator;
use activity::Activity;
pub(crate) use activity::Over;
pub use activity::Times;
use connection::Client;
pub(crate) use connection::STREAMS;
use leaving::{Leaving, Order};
use lowband_transport::dtls::ServerIdentity;
use lowband_transport::shares::{Balancers, Limit, Network, Rates};
use openssl::error::ErrorStack;
use places::{Id, Places};
pub(crate) use refusal::Refusal;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tls::Tls;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

mod activity;
mod body;
mod connection;
mod exchange;
mod leaving;
mod places;
mod refusal;
mod stream;
mod tls;

/// Where the port is, and whether it encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The TCP address.
    pub address: SocketAddr,
    /// True for HTTP in clear text.
    pub is_clear: bool,
}

/// The settings of the public port.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub listen: Listen,
    /// Connections at most.
    pub connections: usize,
    /// New connections a second of all clients.
    pub rate: Limit,
    /// New connections a second of one network.
    pub rate_of_a_network: Limit,
    /// Requests a second that the clients of one network may go away from.
    pub cancels: Limit,
    /// Addresses that stand for many clients. What they say of them (`x-forwarded-for`) is believed.
    pub balancers: Balancers,
    /// Limits of time of a connection.
    pub times: Times,
    /// How long the end may take.
    pub end: drain::Settings,
}

/// How far the process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// Each connection is asked to go elsewhere; new ones are served.
    Leaving,
    /// No new ones are served.
    Closing,
    /// All are cut.
    Cut,
}

/// What all connections share.
struct Shared {
    settings: Settings,
    translator: Translator,
    tls: Option<Tls>,
    places: Mutex<Places<Arc<Orders>>>,
    cancels: Mutex<Rates>,
    metrics: Arc<Metrics>,
    is_leaving: AtomicBool,
    lines: Mutex<Seldom>,
}

/// What a connection can be told.
#[derive(Debug, Default)]
struct Orders {
    /// End in order: after the requests that are open.
    leave: Notify,
    /// End at once.
    cut: Notify,
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places<Arc<Orders>>> {
        lock(&self.places)
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Returns whether clients of this network may go away from one more request.
    fn may_cancel(&self, now: Instant, network: Network) -> bool {
        lock(&self.cancels).take(now, network).is_ok()
    }

    /// Returns the number of lines left out, if one about something that strangers cause is due.
    fn take_line(&self) -> Option<u64> {
        lock(&self.lines).take(Instant::now())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The public port, before and while it serves.
#[derive(Clone)]
pub(crate) struct Public {
    shared: Arc<Shared>,
}

impl Public {
    /// Prepares the port; `identity` is shown to clients unless it is in clear text.
    pub(crate) fn new(
        settings: Settings,
        identity: &ServerIdentity,
        translator: Translator,
        metrics: Arc<Metrics>,
    ) -> Result<Public, ErrorStack> {
        let tls = if settings.listen.is_clear { None } else { Some(Tls::new(identity)?) };
        let shared = Shared {
            places: Mutex::new(Places::new(settings.connections)),
            cancels: Mutex::new(Rates::new(settings.cancels, None)),
            settings,
            translator,
            tls,
            metrics,
            is_leaving: AtomicBool::new(false),
            lines: Mutex::default(),
        };
        Ok(Public { shared: Arc::new(shared) })
    }

    /// Shows another identity to new connections.
    pub(crate) fn renew(&self, identity: &ServerIdentity) -> Result<(), ErrorStack> {
        self.shared.tls.as_ref().map_or(Ok(()), |tls| tls.renew(identity))
    }

    /// Serves until the stage has come in which no connections are served, and all have ended; see
    /// [`Stage`]. Dropping the future cuts all connections.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        mut stage: watch::Receiver<Stage>,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let mut serving = Serving {
            listener: Some(tokio::net::TcpListener::from_std(listener)?),
            rates: Rates::new(self.shared.settings.rate_of_a_network, Some(self.shared.settings.rate)),
            shared: self.shared,
            connections: JoinSet::new(),
            next: 0,
            leaving: None,
        };
        loop {
            serving.enter(*stage.borrow_and_update(), Instant::now());
            if serving.carry_out(Instant::now()) {
                return Ok(());
            }
            let due = serving.leaving.as_ref().and_then(Leaving::due);
            tokio::select! {
                accepted = accept(serving.listener.as_ref()) => serving.accepted(accepted).await,
                Some(_ended) = serving.connections.join_next() => {}
                Ok(()) = stage.changed() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
            }
        }
    }
}

async fn accept(listener: Option<&tokio::net::TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// The port while it serves.
struct Serving {
    shared: Arc<Shared>,
    /// `None` when no new connections are served.
    listener: Option<tokio::net::TcpListener>,
    /// New connections a second.
    rates: Rates,
    /// The tasks of all connections, which end with it.
    connections: JoinSet<()>,
    next: Id,
    leaving: Option<Leaving>,
}

impl Serving {
    fn enter(&mut self, stage: Stage, now: Instant) {
        if stage >= Stage::Leaving && self.leaving.is_none() {
            self.shared.is_leaving.store(true, Ordering::Relaxed);
            self.leaving = Some(self.all_leave(now, &self.shared.settings.end));
        }
        if stage >= Stage::Closing && self.listener.take().is_some() {
            let is_over = self.leaving.as_ref().is_none_or(Leaving::is_over);
            // Those that have come after the time of the others was over have a time of their own.
            if is_over {
                let end = drain::Settings { close_within: Duration::ZERO, ..self.shared.settings.end };
                self.leaving = Some(self.all_leave(now, &end));
            }
        }
        if stage >= Stage::Cut {
            self.connections.abort_all();
        }
    }

    fn all_leave(&self, now: Instant, end: &drain::Settings) -> Leaving {
        Leaving::begin(now, end, self.shared.places().all().map(|(id, _)| id).collect())
    }

    /// Carries out what is due of the end. Returns true when nothing is left to do.
    fn carry_out(&mut self, now: Instant) -> bool {
        let Some(leaving) = &mut self.leaving else { return false };
        while let Some(order) = leaving.step(now) {
            let places = self.shared.places();
            match order {
                Order::Leave(id) => places.get(id).into_iter().for_each(|orders| orders.leave.notify_one()),
                Order::Cut(id) => places.get(id).into_iter().for_each(|orders| orders.cut.notify_one()),
                Order::CutAll => places.all().for_each(|(_, orders)| orders.cut.notify_one()),
            }
        }
        self.listener.is_none() && self.connections.is_empty()
    }

    async fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.admit(stream, peer),
            Err(error) => {
                // Most likely the process is out of file descriptors: try again when some may have been
                // closed.
                if let Some(left_out) = self.shared.take_line() {
                    tracing::warn!(%error, left_out, "the public port cannot accept");
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let (now, id) = (Instant::now(), self.next);
        self.next += 1;
        let settings = &self.shared.settings;
        let network = settings.balancers.network(peer.ip(), id);
        if self.rates.take(now, network).is_err() {
            return self.refuse(RATE, peer);
        }
        let (given_up, is_free) = self.shared.places().make_room(network);
        for orders in given_up {
            self.shared.metrics.public_ended(Over::GaveWay);
            orders.cut.notify_one();
        }
        if !is_free {
            return self.refuse(PLACES, peer);
        }
        if let Err(error) = prepare(&stream) {
            // The client has gone meanwhile.
            tracing::debug!(%peer, %error, "a new connection");
            return;
        }
        let orders = Arc::new(Orders::default());
        let connections = {
            let mut places = self.shared.places();
            places.insert(now, id, network, Arc::clone(&orders));
            places.len()
        };
        self.shared.metrics.public_connections(connections);
        let client = Client {
            activity: Arc::new(Mutex::new(Activity::new(now, settings.times))),
            shared: Arc::clone(&self.shared),
            id,
            peer,
            network,
            orders,
        };
        self.connections.spawn(Arc::new(client).serve(stream));
    }

    fn refuse(&self, reason: &'static str, peer: SocketAddr) {
        self.shared.metrics.public_connection_refused(reason);
        if let Some(left_out) = self.shared.take_line() {
            tracing::info!(%peer, reason, left_out, "a connection over TCP is refused");
        }
    }
}

/// Why a connection is closed unread: its network, or all together, have made too many, or hold all places
/// that they may have.
pub(crate) const RATE: &str = "rate";
pub(crate) const PLACES: &str = "places";

/// How a connection is asked whether its client is there: after this silence, so far apart, so often.
const SILENCE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Sets what the system does for a connection: a client that has vanished is noticed, also in a long poll.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (after, apart, times) = SILENCE;
    let alive = socket2::TcpKeepalive::new().with_time(after).with_interval(apart).with_retries(times);
    socket2::SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// Binds the listener; `[::]` accepts IPv4 as well, and becomes `0.0.0.0` where IPv6 is off.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_exactly(address) {
        Err(error) if crate::udp::is_any_v6(address) && crate::udp::has_no_ipv6(&error) => {
            bind_exactly(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        other => other,
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, SockAddr, Socket, Type};
    /// Connections that wait to be accepted; the system may allow fewer (net.core.somaxconn).
    const BACKLOG: i32 = 1024;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Connections of the process before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

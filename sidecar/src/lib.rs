//! The server's shell of low-bandwidth Matrix (MSC3079): DTLS and CoAP on one UDP socket, HTTP/2 with
//! CBOR towards Envoy, or HTTP with JSON towards the homeserver.
//!
//! ```text
//! udp -> event_loop (owns lowband_transport::Server) -> target, credentials, request -> upstream (a task a request)
//! udp <- event_loop <- answer (bounded channel, back-pressure)  <- status, response <-
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `config` | every option, and all mistakes at once |
//! | `envoy` | the configuration of the Envoy behind it, rendered, and its end |
//! | `udp` | the socket, the only place that knows of datagram batches |
//! | `event_loop` | the one task that owns the transport |
//! | `backlog` | whose turn it is when datagrams come faster than they are handled |
//! | `worker` | the thread that signs |
//! | `drain` | the end, of which every client is notified |
//! | `renewal` | the certificate that is replaced while the sidecar serves |
//! | `session`, `server_names`, `target`, `reachable`, `credentials`, `document`, `request`, `request_id` | CoAP request -> HTTP request, what is reachable at all, and under which token |
//! | `status`, `response`, `failure`, `refusal` | HTTP response or failure -> CoAP response |
//! | `resources` | the list of resources for tools of CoAP, answered here |
//! | `upstream`, `answer` | HTTP/2 to Envoy, pooled, with back-pressure |
//! | `translator`, `homeserver` | in place of Envoy and its filter: translation, and HTTP to the homeserver |
//! | `health` | whether the other side can be reached, told once for each change |
//! | `wrong_port` | an upstream that is Envoy's port for clients |
//! | `man` | the man pages |
//! | `public` | without Envoy: HTTPS and HTTP for clients over TCP |
//! | `rate`, `metrics`, `admin`, `readiness`, `key_log`, `logging`, `lines`, `notes`, `open_files`, `service` | operation |
//!
//! Deliberately absent: JSON, which belongs to the codec and the translation; and everything about records,
//! messages and blocks, which belongs to the transport.

use crate::config::Config;
use crate::event_loop::EventLoop;
use crate::key_log::KeyLog;
use crate::metrics::Metrics;
use crate::notes::{Given, Note};
use crate::public::{Public, Stage};
use crate::readiness::Readiness;
use crate::renewal::Watch;
use crate::translator::Translator;
use crate::udp::Socket;
use crate::worker::Worker;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub mod admin;
pub mod answer;
pub mod backlog;
pub mod config;
pub mod credentials;
pub mod document;
pub mod drain;
pub mod envoy;
pub mod event_loop;
pub mod failure;
mod health;
pub mod homeserver;
pub mod key_log;
pub mod lines;
pub mod logging;
pub mod man;
pub mod metrics;
pub mod notes;
mod open_files;
pub mod packing;
pub mod public;
pub mod rate;
pub mod reachable;
pub mod readiness;
pub mod refusal;
pub mod renewal;
pub mod representation;
pub mod request;
pub mod request_id;
pub mod resources;
pub mod response;
pub mod server_names;
mod service;
pub mod session;
pub mod status;
pub mod target;
pub mod translator;
pub mod udp;
pub mod upstream;
pub mod worker;
pub mod wrong_port;

/// Bound sockets: the caller that binds them (main, a test on port 0, a supervisor) hands them over.
#[derive(Debug)]
pub struct Sockets {
    /// The UDP socket for clients.
    pub udp: UdpSocket,
    /// The listener for clients over TCP; `None` for none.
    pub public: Option<TcpListener>,
    /// The listener of the pages for operators; `None` for none.
    pub admin: Option<TcpListener>,
}

/// What went wrong while running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot bind {address}/{protocol} ({flag}): {source}")]
    Bind {
        /// The address, as it was given.
        address: SocketAddr,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The flag that gives it.
        flag: &'static str,
        /// Why it cannot be bound.
        source: io::Error,
    },
    /// The key log cannot be used.
    #[error("cannot use the key log (--key-log, LOWBAND_KEY_LOG) {}: {source}", path.display())]
    KeyLog {
        /// The file's name, as it was given.
        path: PathBuf,
        /// Why it cannot be used.
        source: io::Error,
    },
    /// The system allows too few open files.
    #[error(
        "the limit of open files is {limit}, and {LEAST_FILES} are needed at least (ulimit -n, LimitNOFILE=)"
    )]
    Files {
        /// The limit of this process.
        limit: u64,
    },
    /// The transport cannot be set up.
    #[error("cannot set up DTLS: {0}")]
    Transport(#[from] lowband_transport::SetupError),
    /// The system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(#[from] openssl::error::ErrorStack),
    /// TLS towards the homeserver cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(openssl::error::ErrorStack),
    /// A socket fails.
    #[error("a socket fails: {0}")]
    Socket(#[from] io::Error),
}

/// Open files without which not even one client can be served: standard streams, what waits for events and
/// signals, the sockets, a connection to the upstream and one to the pages for operators.
const LEAST_FILES: u64 = 16;

/// Finds out whether a start with this configuration would fail, as far as that shows without the ports,
/// which another sidecar may be serving. No file is made.
pub fn check(config: &Config) -> Result<(), Error> {
    check_limits()?;
    if let Some(path) = &config.key_log {
        KeyLog::check(path).map_err(|source| Error::KeyLog { path: path.clone(), source })?;
    }
    lowband_transport::Server::new(config.transport(), seed()?)?;
    Ok(())
}

/// Checks what the system allows this process, before anything is opened.
pub fn check_limits() -> Result<(), Error> {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < LEAST_FILES => Err(Error::Files { limit }),
        _ => Ok(()),
    }
}

impl Sockets {
    /// Binds the addresses that the configuration names.
    pub fn bind(config: &Config) -> Result<Sockets, Error> {
        let refused = |address, protocol, flag| move |source| Error::Bind { address, protocol, flag, source };
        let udp = udp::bind(config.listen).map_err(refused(config.listen, "udp", "--listen"))?;
        let public = match config.public.as_ref().map(|public| public.listen.address) {
            Some(address) => Some(public::bind(address).map_err(refused(address, "tcp", "--public"))?),
            None => None,
        };
        let admin = match config.admin {
            Some(address) => Some(TcpListener::bind(address).map_err(refused(address, "tcp", "--admin"))?),
            None => None,
        };
        Ok(Sockets { udp, public, admin })
    }
}

/// Serves until `shutdown` resolves and every client has been notified, see [`drain`]. When `hurry` resolves
/// after it, all sessions are closed at once. Dropping the future ends without notifying the clients. Each
/// message of `reload` has certificate and key checked without delay.
pub async fn run(
    config: Config,
    sockets: Sockets,
    shutdown: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
    reload: mpsc::Receiver<()>,
) -> Result<(), Error> {
    let key_log = config.key_log.as_deref().map(open_key_log).transpose()?;
    let server = lowband_transport::Server::new(config.transport(), seed()?)?;
    let socket = Socket::new(sockets.udp, config.udp_buffer)?;
    let listen = socket.local_addr()?;
    let translator = config.homeserver.as_ref().map(Translator::new).transpose().map_err(Error::Tls)?;
    let metrics = Metrics::new(&config);
    let metrics = Arc::new(match &translator {
        Some(translator) => metrics.with_translation(translator.counts()),
        None => metrics,
    });
    let admin = sockets.admin.as_ref().map(TcpListener::local_addr).transpose()?;
    let public = sockets.public.as_ref().map(TcpListener::local_addr).transpose()?;
    if config.homeserver.is_some() {
        open_files::raise();
    }
    let given = Given {
        receive_buffer: socket.buffer_sizes().ok().map(|(receive, _send)| receive),
        open_files: open_files::limit(),
        udp: listen,
        public,
    };
    tell_start(&config, admin, &given);
    let port = match (&config.public, sockets.public, &translator) {
        (Some(settings), Some(listener), Some(translator)) => {
            let (identity, translator) = (&config.identity.server, translator.clone());
            let public = Public::new(settings.clone(), identity, translator, Arc::clone(&metrics))?;
            Some((public, listener))
        }
        _ => None,
    };

    let (event_loop, inspector) =
        EventLoop::new(&config, server, socket, Worker::start()?, key_log, Arc::clone(&metrics), translator);
    // The watch ends with this future.
    let mut watching = JoinSet::new();
    metrics.certificate_served(config.identity.validity.not_after());
    let watch = Watch {
        paths: config.identity_files,
        identity: config.identity,
        check: config.certificate_check,
        asked: reload,
        inspector: inspector.clone(),
        public: port.as_ref().map(|(public, _)| public.clone()),
        metrics: Arc::clone(&metrics),
    };
    watching.spawn(watch.run());
    watching.spawn(service::keep_alive(inspector.clone()));
    if config.homeserver.is_none() {
        watching.spawn(wrong_port::look_out(config.upstream.address.clone()));
    }
    service::ready();
    let (begin, mut begun) = oneshot::channel();
    let (stage, reached) = watch::channel(Stage::Serving);
    let shutdown = async {
        shutdown.await;
        service::stopping();
        raise(&stage, Stage::Leaving);
        if let Some(port) = config.envoy_admin_port {
            // The asking is awaited below.
            let _ = begin.send(tokio::spawn(envoy::drain::ask(port)));
        }
    };
    let mut hurried = reached.clone();
    // Boxed, as it is large and is moved into the futures around it.
    let served = Box::pin(event_loop.run(shutdown, async move {
        // The sender outlives the loop.
        let _ = hurried.wait_for(|stage| *stage == Stage::Cut).await;
    }));
    let over_udp = async {
        let served = served.await;
        raise(&stage, Stage::Closing);
        if let Ok(asking) = begun.try_recv() {
            // The task logs its own outcome.
            let _ = asking.await;
        }
        served
    };
    let over_tcp = async {
        match port {
            Some((public, listener)) => public.run(listener, reached.clone()).await,
            None => Ok(()),
        }
    };
    let hurrying = async {
        hurry.await;
        raise(&stage, Stage::Cut);
        std::future::pending().await
    };
    let serving = async {
        tokio::select! {
            served = async { tokio::try_join!(over_udp, over_tcp).map(|_| ()) } => served,
            never = hurrying => never,
        }
    };
    let Some(listener) = sockets.admin else { return Ok(serving.await?) };
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let readiness = Readiness::new(listen, Arc::clone(&metrics), inspector.clone());
    let admin = admin::serve(listener, admin::Admin { metrics, inspector, readiness });
    tokio::select! {
        served = serving => Ok(served?),
        () = admin => Ok(()),
    }
}

/// Enters a stage of the end, unless a later one has come already.
fn raise(stage: &watch::Sender<Stage>, reached: Stage) {
    stage.send_if_modified(|stage| {
        let is_later = reached > *stage;
        *stage = reached.max(*stage);
        is_later
    });
}

fn open_key_log(path: &Path) -> Result<KeyLog, Error> {
    KeyLog::open(path).map_err(|source| Error::KeyLog { path: path.to_owned(), source })
}

/// Returns the seed of the transport, its only source of randomness.
fn seed() -> Result<[u8; 32], openssl::error::ErrorStack> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed)?;
    Ok(seed)
}

fn tell_start(config: &Config, admin: Option<SocketAddr>, given: &Given) {
    let listen = given.udp;
    let version = env!("CARGO_PKG_VERSION");
    let admin = admin.map_or_else(|| "off".to_owned(), |address| address.to_string());
    match &config.homeserver {
        None => {
            tracing::info!(version, udp = %listen, upstream = %config.upstream.address, %admin, "serving")
        }
        Some(settings) => {
            let homeserver = &settings.homeserver.base;
            tracing::info!(version, udp = %listen, %homeserver, %admin, "serving without Envoy");
        }
    }
    if let (Some(settings), Some(tcp)) = (&config.public, given.public) {
        let scheme = if settings.listen.is_clear { "http" } else { "https" };
        tracing::info!(%tcp, scheme, "serving clients over TCP");
    }
    tracing::info!("times of messages: {}", config.times.derived());
    notes::at_the_start(config, given).iter().for_each(Note::log);
}

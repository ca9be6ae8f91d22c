//! The event loop: one task that owns the transport, the UDP socket and everything known about sessions and
//! exchanges.
//!
//! ```text
//! datagram, timer, Command -> transport::Server -> carry_out: events -> exchanges -> tasks (upstream.rs)
//!                                                          transmits -> socket
//! ```
//!
//! The loop decides nothing about HTTP or CoAP messages; it passes things on between the parts that do.

use crate::answer::{CHANNEL, Command};
use crate::backlog::Backlog;
use crate::config::Config;
use crate::drain::{BODY_SILENCE, Condition, Drain, Phase, Sessions, Settings, Step};
use crate::key_log::KeyLog;
use crate::logging::{self, Seldom};
use crate::metrics::{Metrics, Snapshot, Unsent};
use crate::translator::Translator;
use crate::udp::{Batch, Outbox, Sent, Socket};
use crate::upstream::Upstream;
use crate::worker::Worker;
use exchanges::{Asked, Exchanges};
pub(crate) use exchanges::{loggable, whole_millis};
pub use inspector::Inspector;
use inspector::Question;
use lowband_transport::dtls::{CloseReason, Done};
use lowband_transport::server::Event;
use lowband_transport::{ExchangeId, Server, SessionId};
use lowband_wire::dtls::hello;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

mod exchanges;
mod inspector;
mod own_time;
mod polls;

/// Commands handled between two batches of datagrams.
const COMMANDS_PER_ROUND: usize = 64;

/// The state of the loop.
#[derive(Debug)]
pub struct EventLoop {
    server: Server,
    socket: Socket,
    outbox: Outbox,
    worker: Worker,
    /// When the last batch of datagrams was read.
    read: Instant,
    backlog: Backlog,
    exchanges: Exchanges,
    upstream: Arc<Upstream>,
    commands: mpsc::Receiver<(ExchangeId, Command)>,
    questions: mpsc::Receiver<Question>,
    metrics: Arc<Metrics>,
    key_log: Option<KeyLog>,
    alerts: Seldom,
    drain: Option<Drain>,
    end: Settings,
    phase: watch::Sender<Phase>,
    /// Number of sessions that were closed before all was answered.
    cut: u64,
}

/// The reasons why the loop goes on.
enum Wake {
    Readable(io::Result<()>),
    Commands(usize),
    Timer,
    Signed(io::Result<Done>),
    Question(Question),
    Shutdown,
    Hurry,
}

impl EventLoop {
    /// Makes the loop; nothing runs yet. A `translator` takes the place of the upstream's pool.
    pub fn new(
        config: &Config,
        server: Server,
        socket: Socket,
        worker: Worker,
        key_log: Option<KeyLog>,
        metrics: Arc<Metrics>,
        translator: Option<Translator>,
    ) -> (EventLoop, Inspector) {
        let (answers, commands) = mpsc::channel(CHANNEL);
        let (ask, questions) = mpsc::channel(1);
        let (phase, watched) = watch::channel(Phase::Serving);
        let upstream = Arc::new(Upstream::new(config.upstream.clone(), translator));
        let exchanges = Exchanges::new(config, Arc::clone(&upstream), answers, Arc::clone(&metrics));
        let inspector = Inspector::new(ask, watched);
        let event_loop = EventLoop {
            server,
            socket,
            outbox: Outbox::default(),
            worker,
            read: Instant::now(),
            backlog: Backlog::new(config.coap_limits.exchanges_per_session),
            exchanges,
            upstream,
            commands,
            questions,
            metrics,
            key_log,
            alerts: Seldom::default(),
            drain: None,
            end: config.end,
            phase,
            cut: 0,
        };
        (event_loop, inspector)
    }

    /// Runs until `shutdown` has resolved and all clients have been notified ([`crate::drain`]), or until
    /// `hurry` has resolved as well: then all sessions are closed at once, whatever they have open. Dropping
    /// the future ends everything without notifying the clients.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let mut hurry = pin!(hurry);
        let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
        let mut batch = Vec::with_capacity(COMMANDS_PER_ROUND);
        self.tell_time(Instant::now());
        loop {
            self.carry_out().await;
            let now = Instant::now();
            self.exchanges.sent(now);
            if self.take_steps(now) == Phase::Over {
                break;
            }
            self.carry_out().await;
            let ends = self.drain.as_ref().and_then(Drain::poll_timeout);
            let due = [self.server.poll_timeout(), ends].into_iter().flatten().min();
            let due = due.map(tokio::time::Instant::from_std);
            if let Some(due) = due
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            let is_serving = self.drain.is_none();
            let wake = tokio::select! {
                ready = self.socket.readable() => Wake::Readable(ready),
                count = self.commands.recv_many(&mut batch, COMMANDS_PER_ROUND) => Wake::Commands(count),
                () = &mut timer, if due.is_some() => Wake::Timer,
                done = self.worker.result() => Wake::Signed(done),
                Some(question) = self.questions.recv() => Wake::Question(question),
                () = &mut shutdown, if is_serving => Wake::Shutdown,
                () = &mut hurry, if !is_serving => Wake::Hurry,
            };
            match wake {
                Wake::Readable(ready) => {
                    ready?;
                    self.receive();
                }
                Wake::Commands(_count) => {
                    let now = Instant::now();
                    for (exchange, command) in batch.drain(..) {
                        self.exchanges.command(now, &mut self.server, exchange, command);
                    }
                }
                Wake::Signed(done) => self.signed(Instant::now(), done?),
                Wake::Timer => self.server.handle_timeout(Instant::now()),
                Wake::Question(question) => self.answer(question),
                Wake::Shutdown => self.begin_end(Instant::now()),
                Wake::Hurry => {
                    tracing::warn!("a second signal: ending at once");
                    break;
                }
            }
        }
        self.end().await;
        Ok(())
    }

    fn signed(&mut self, now: Instant, done: Done) {
        self.server.handle_done(now, done);
        while let Some(done) = self.worker.try_result() {
            self.server.handle_done(now, done);
        }
    }

    fn answer(&mut self, question: Question) {
        // The asking side may have gone.
        match question {
            Question::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Question::Renew(identity, answer) => {
                drop(answer.send(self.server.renew_identity(Instant::now(), &identity)));
            }
        }
    }

    /// Passes the wall clock to the transport: replicas accept each other's cookies by it.
    fn tell_time(&mut self, now: Instant) {
        // A clock before 1970 counts as 1970.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.server.tell_time(now, since_epoch);
    }

    fn receive(&mut self) {
        let now = Instant::now();
        self.read = now;
        self.tell_time(now);
        let EventLoop { socket, server, metrics, backlog, .. } = self;
        // Clients that have a session do not wait for those that want one.
        let received = socket.receive(hello::begins_hello, |peer, local, bytes| {
            metrics.datagram_in(bytes.len());
            if backlog.admits(peer) {
                server.handle_datagram(now, peer, local, bytes);
            } else {
                metrics.over_share();
            }
        });
        backlog.received(matches!(received, Ok(true)));
        match received {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // For instance an ICMP error of an earlier datagram: the next call reads on.
            Err(error) => tracing::debug!(%error, "receiving"),
        }
    }

    /// Takes everything that is to be done out of the transport, and does it.
    async fn carry_out(&mut self) {
        let now = Instant::now();
        loop {
            while let Some(event) = self.server.poll_event() {
                self.handle(now, event);
            }
            let EventLoop { socket, server, metrics, outbox, .. } = self;
            let Some(batch) = outbox.batch(socket.most_at_once(), || server.poll_transmit()) else { break };
            send(socket, metrics, &batch).await;
        }
        let EventLoop { worker, server, .. } = self;
        worker.feed(|| server.poll_job());
        while let Some(line) = self.server.poll_key_log() {
            if let Some(key_log) = &self.key_log {
                key_log.line(&line);
            }
        }
    }

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::SessionOpened { session, peer, took, .. } => {
                self.metrics.connected(peer, took);
                tracing::debug!(session = session.0, %peer, "session opened");
            }
            Event::SessionClosed { session, why } => {
                self.exchanges.forget(session);
                match why {
                    CloseReason::Alert(alert) => match self.alerts.take(now) {
                        Some(left_out) => {
                            tracing::info!(session = session.0, alert, left_out, "session closed by an alert")
                        }
                        None => tracing::debug!(session = session.0, alert, "session closed by an alert"),
                    },
                    why => tracing::debug!(session = session.0, %why, "session closed"),
                }
            }
            Event::Request { session, exchange, method, options, standing, body } => {
                let asked = Asked { read: self.read, session, method, options, standing, body };
                self.exchanges.request(now, &mut self.server, exchange, asked);
            }
            Event::Cancelled { exchange } => self.exchanges.cancelled(now, exchange),
            Event::WantsChunk { exchange } => self.exchanges.go_on(&self.server, exchange),
            // The transport reports something that was not asked for here.
            _ => {}
        }
    }

    fn snapshot(&self) -> Snapshot {
        let (dtls, coap) = self.server.counters();
        let mut upstream = self.upstream.usage();
        upstream.running_out += self.exchanges.left() as u64;
        Snapshot {
            dtls,
            coap,
            blockwise_bytes: self.server.blockwise_bytes() as u64,
            exchanges: self.server.open_exchanges() as u64,
            rate_addresses: self.exchanges.rate_networks() as u64,
            upstream,
            log_lines_lost: logging::lost(),
            key_log_lines_lost: self.key_log.as_ref().map_or(0, KeyLog::lost),
        }
    }

    fn begin_end(&mut self, now: Instant) {
        let sessions = self.server.session_ids().len();
        let exchanges = self.server.open_exchanges();
        let Settings { grace_period, close_within, .. } = self.end;
        tracing::info!(
            sessions,
            exchanges,
            close_within_seconds = close_within.as_secs_f64(),
            grace_period_seconds = grace_period.as_secs_f64(),
            "draining: each session is told to go elsewhere; a second signal ends at once"
        );
        self.metrics.draining();
        let drain = Drain::begin(now, self.end, &Live { server: &self.server, now });
        self.phase.send_replace(drain.phase());
        self.drain = Some(drain);
    }

    /// Carries out the steps of the end that are due now.
    fn take_steps(&mut self, now: Instant) -> Phase {
        let EventLoop { drain: Some(drain), server, exchanges, .. } = self else { return Phase::Serving };
        while let Some(step) = drain.step(now, &Live { server, now }) {
            match step {
                Step::Dismiss { session, max_age } => exchanges.dismiss(now, server, session, max_age),
                Step::Close { session, cut } => {
                    self.cut += u64::from(cut);
                    server.close(now, session);
                }
                Step::Enter(phase) => {
                    match phase {
                        Phase::Sweeping => {
                            let newer = server.session_ids().len();
                            server.stop_accepting();
                            tracing::info!(
                                newer,
                                "draining: all sessions that were open at the signal are closed; new ones are refused"
                            );
                        }
                        Phase::Lingering => {
                            let linger = self.end.linger;
                            tracing::info!(
                                cut = self.cut,
                                linger_seconds = linger.as_secs_f64(),
                                "draining: all sessions have been notified; not ready any more"
                            );
                        }
                        Phase::Serving | Phase::Telling | Phase::Over => {}
                    }
                    self.phase.send_replace(phase);
                }
            }
        }
        drain.phase()
    }

    /// Sends close_notify in the sessions that are left.
    async fn end(mut self) {
        for session in self.server.session_ids() {
            self.server.close(Instant::now(), session);
            self.carry_out().await;
        }
        self.carry_out().await;
        if self.cut > 0 {
            tracing::warn!(
                sessions = self.cut,
                "closed with open requests: the grace period was too short for them, or their clients were silent"
            );
        }
        tracing::info!("ended");
    }
}

/// Sends a batch; where the system refuses it as a whole, its datagrams one by one.
async fn send(socket: &Socket, metrics: &Metrics, batch: &Batch<'_>) {
    match hand_over(socket, metrics, batch).await {
        refused if batch.count() > 1 && !matches!(refused, Sent::Done) => {
            tracing::debug!(datagrams = batch.count(), "the datagrams of a batch go one by one");
            for datagram in batch.singly() {
                tell(metrics, &datagram, hand_over(socket, metrics, &datagram).await);
            }
        }
        sent => tell(metrics, batch, sent),
    }
}

/// Hands a batch to the socket. Until there is room nothing else is read or sent: that is the back-pressure
/// of the socket.
async fn hand_over(socket: &Socket, metrics: &Metrics, batch: &Batch<'_>) -> Sent {
    loop {
        metrics.handing_over();
        match socket.send(batch) {
            Sent::Blocked => {
                metrics.send_waits();
                socket.writable().await;
            }
            sent => return sent,
        }
    }
}

/// Counts what has become of a batch.
fn tell(metrics: &Metrics, batch: &Batch<'_>, sent: Sent) {
    match sent {
        Sent::Done | Sent::Blocked => metrics.datagrams_out(batch.count(), batch.bytes.len()),
        Sent::TooLarge => {
            tracing::debug!(bytes = batch.bytes.len(), "a datagram is larger than any may be");
            metrics.unsent(Unsent::TooLarge);
        }
        Sent::Failed(error) => {
            tracing::debug!(%error, "a datagram cannot be sent");
            metrics.unsent(Unsent::Failed);
        }
    }
}

/// The transport's sessions, in the form that [`crate::drain`] asks for.
struct Live<'a> {
    server: &'a Server,
    now: Instant,
}

impl Sessions for Live<'_> {
    fn all(&self) -> Vec<SessionId> {
        self.server.session_ids()
    }

    fn condition(&self, session: SessionId) -> Condition {
        let since = self.now.checked_sub(BODY_SILENCE).unwrap_or(self.now);
        match self.server.peer(session) {
            None => Condition::Gone,
            Some(_) => Condition::Open(self.server.activity(session, since)),
        }
    }
}

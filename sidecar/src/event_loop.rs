//! The event loop: one task that owns the transport, the UDP socket and everything known about sessions and exchanges.
//!
//! ```text
//! datagram, timer, Command -> transport::Server -> settle: events -> exchanges -> tasks (upstream.rs)
//!                                                          transmits -> socket
//! ```
//!
//! It decides nothing about HTTP and nothing about CoAP messages; it carries things between those who do.

use crate::answer::{CHANNEL, Command};
use crate::config::Config;
use crate::key_log::KeyLog;
use crate::metrics::{Metrics, Snapshot, Unsent};
use crate::udp::{Sent, Socket};
use crate::upstream::Upstream;
use exchanges::{Asked, Exchanges};
use lowband_transport::dtls::CloseReason;
use lowband_transport::server::Event;
use lowband_transport::{ExchangeId, Server};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

mod exchanges;

/// Commands taken between two rounds of datagrams.
const COMMANDS_PER_ROUND: usize = 64;

/// The loop's state.
#[derive(Debug)]
pub struct EventLoop {
    server: Server,
    socket: Socket,
    exchanges: Exchanges,
    commands: mpsc::Receiver<(ExchangeId, Command)>,
    questions: mpsc::Receiver<oneshot::Sender<Snapshot>>,
    metrics: Arc<Metrics>,
    key_log: Option<KeyLog>,
    draining: Arc<AtomicBool>,
    grace_period: Duration,
}

/// What others may ask the loop.
#[derive(Debug, Clone)]
pub struct Inspector {
    questions: mpsc::Sender<oneshot::Sender<Snapshot>>,
    draining: Arc<AtomicBool>,
}

impl Inspector {
    /// The transport's numbers; `None` when the loop has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, snapshot) = oneshot::channel();
        self.questions.send(answer).await.ok()?;
        snapshot.await.ok()
    }

    /// True once the end has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Why the loop goes on.
enum Wake {
    Readable(io::Result<()>),
    Commands(usize),
    Timer,
    Question(oneshot::Sender<Snapshot>),
    Shutdown,
    GraceOver,
}

impl EventLoop {
    /// Nothing runs yet.
    pub fn new(
        config: &Config,
        server: Server,
        socket: Socket,
        key_log: Option<KeyLog>,
        metrics: Arc<Metrics>,
    ) -> (EventLoop, Inspector) {
        let (answers, commands) = mpsc::channel(CHANNEL);
        let (ask, questions) = mpsc::channel(1);
        let draining = Arc::new(AtomicBool::new(false));
        let upstream = Arc::new(Upstream::new(config.upstream.clone()));
        let exchanges = Exchanges::new(config, upstream, answers, Arc::clone(&metrics));
        let inspector = Inspector { questions: ask, draining: Arc::clone(&draining) };
        let grace_period = config.grace_period;
        let event_loop = EventLoop {
            server,
            socket,
            exchanges,
            commands,
            questions,
            metrics,
            key_log,
            draining,
            grace_period,
        };
        (event_loop, inspector)
    }

    /// Runs until `shutdown` has resolved and the open exchanges have ended or the grace period is over. Dropping the
    /// future ends everything at once, without a word to the clients.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
        let mut grace = pin!(sleep_until(tokio::time::Instant::now()));
        let mut batch = Vec::with_capacity(COMMANDS_PER_ROUND);
        let mut is_draining = false;
        loop {
            self.settle().await?;
            if is_draining && self.server.open_exchanges() == 0 {
                break;
            }
            let due = self.server.poll_timeout().map(tokio::time::Instant::from_std);
            if let Some(due) = due
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            let wake = tokio::select! {
                ready = self.socket.readable() => Wake::Readable(ready),
                count = self.commands.recv_many(&mut batch, COMMANDS_PER_ROUND) => Wake::Commands(count),
                () = &mut timer, if due.is_some() => Wake::Timer,
                Some(question) = self.questions.recv() => Wake::Question(question),
                () = &mut shutdown, if !is_draining => Wake::Shutdown,
                () = &mut grace, if is_draining => Wake::GraceOver,
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
                Wake::Timer => self.server.handle_timeout(Instant::now()),
                Wake::Question(question) => {
                    // Whoever asked may have gone.
                    let _ = question.send(self.snapshot());
                }
                Wake::Shutdown => {
                    is_draining = true;
                    self.drain();
                    grace.as_mut().reset(tokio::time::Instant::now() + self.grace_period);
                }
                Wake::GraceOver => break,
            }
        }
        self.end().await
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let EventLoop { socket, server, metrics, .. } = self;
        let received = socket.receive(|peer, local, bytes| {
            metrics.datagram_in(bytes.len());
            server.handle_datagram(now, peer, local, bytes);
        });
        match received {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An ICMP error of an earlier datagram, for instance: the next call reads on.
            Err(error) => tracing::debug!(%error, "receiving"),
        }
    }

    /// Takes everything out of the transport that is to be done.
    async fn settle(&mut self) -> io::Result<()> {
        let now = Instant::now();
        loop {
            while let Some(event) = self.server.poll_event() {
                self.handle(now, event);
            }
            let Some(transmit) = self.server.poll_transmit() else { break };
            loop {
                match self.socket.send(&transmit) {
                    Sent::Done => {
                        self.metrics.datagram_out(transmit.bytes.len());
                        break;
                    }
                    // Until there is room nothing else is read or sent: that is the back-pressure of the socket.
                    Sent::Blocked => {
                        self.metrics.unsent(Unsent::Waited);
                        self.socket.writable().await?;
                    }
                    Sent::TooLarge => {
                        tracing::debug!(
                            bytes = transmit.bytes.len(),
                            "a datagram is larger than its path takes"
                        );
                        self.metrics.unsent(Unsent::TooLarge);
                        break;
                    }
                    Sent::Failed(error) => {
                        tracing::debug!(%error, "a datagram cannot be sent");
                        self.metrics.unsent(Unsent::Failed);
                        break;
                    }
                }
            }
        }
        while let Some(line) = self.server.poll_key_log() {
            if let Some(key_log) = &mut self.key_log {
                key_log.line(&line);
            }
        }
        Ok(())
    }

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::SessionOpened { session, peer, resumed } => {
                tracing::debug!(session = session.0, %peer, resumed, "session opened");
            }
            Event::SessionClosed { session, why } => {
                self.exchanges.forget(session);
                match why {
                    CloseReason::Alert(alert) => {
                        tracing::info!(session = session.0, alert, "session closed by an alert")
                    }
                    why => tracing::debug!(session = session.0, ?why, "session closed"),
                }
            }
            Event::Request { session, exchange, method, options, standing, body } => {
                let asked = Asked { session, method, options, standing, body };
                self.exchanges.request(now, &mut self.server, exchange, asked);
            }
            Event::Cancelled { exchange } => self.exchanges.cancelled(now, exchange),
            Event::WantsChunk { exchange } => self.exchanges.go_on(&self.server, exchange),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let (dtls, coap) = self.server.counters();
        Snapshot {
            dtls_now: dtls.gauges().collect(),
            dtls: dtls.each().collect(),
            coap: coap.each().collect(),
            blockwise_bytes: self.server.blockwise_bytes() as u64,
            exchanges: self.server.open_exchanges() as u64,
        }
    }

    fn drain(&mut self) {
        let sessions = self.server.session_ids().len();
        let exchanges = self.server.open_exchanges();
        tracing::info!(sessions, exchanges, grace_period = ?self.grace_period, "draining: no new sessions");
        self.draining.store(true, Ordering::Relaxed);
        self.metrics.draining();
        self.server.stop_accepting();
    }

    /// close_notify to everybody.
    async fn end(mut self) -> io::Result<()> {
        let cut = self.server.open_exchanges();
        for session in self.server.session_ids() {
            self.server.close(Instant::now(), session);
            self.settle().await?;
        }
        self.settle().await?;
        if cut > 0 {
            tracing::warn!(exchanges = cut, "the grace period was too short for open requests");
        }
        tracing::info!("ended");
        Ok(())
    }
}

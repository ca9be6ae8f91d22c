//! The task that moves datagrams between the socket and [`lowband_transport::Client`], and the state it
//! shares with [`crate::Connection`].
//!
//! ```text
//! Connection::request, cancel, close --lock--> State --wake--> Driver: send what is due, hand out what has come, sleep until
//!                                                               a datagram, a timeout or the next wake
//! ```

mod masked;
mod quiet;
mod state;

use crate::key_log::KeyLogFile;
use crate::trace::{Meter, Trace, Tracer};
use lowband_transport::dtls::CloseReason;
use quiet::Quiet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::watch;

pub(crate) use state::{Failed, Nature, Shared, State, Wants};

/// Room for the largest DTLS record (RFC 6347 section 4.1). A longer datagram is cut, and fails its
/// authentication.
const RECEIVE_BUFFER: usize = 18 * 1024;

/// Number of socket errors in a row, without a datagram between them, that ends the connection. A few are
/// normal: a network that comes and goes, a server that starts again.
const MAX_SOCKET_ERRORS: u32 = 1000;

/// The task of one connection.
pub(crate) struct Driver {
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) key_log: Option<KeyLogFile>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) silence: Option<Duration>,
    /// Dropped with the driver, which is how `close` learns of its end.
    pub(crate) _ended: watch::Sender<()>,
}

impl Driver {
    /// Runs until the session has ended.
    pub(crate) async fn run(mut self) {
        let mut buffer = vec![0; RECEIVE_BUFFER];
        let mut socket_errors = 0;
        let mut quiet = Quiet::new(Instant::now(), self.keep_alive, self.silence);
        loop {
            let sent_any = self.flush().await;
            if sent_any {
                quiet.sent(Instant::now());
            }
            let (ended, timeout, lost_at, ping_at) = {
                let state = self.shared.lock();
                let lost_at = self.silence.and_then(|longest| state.lost_at(longest));
                let ping_at = quiet.ping_at(state.heard(), state.somebody_waits(), state.asks_for_a_sign());
                (state.ended.is_some(), state.client.poll_timeout(), lost_at, ping_at)
            };
            if ended {
                return;
            }
            tokio::select! {
                received = self.socket.recv(&mut buffer) => match received {
                    Ok(length) => {
                        socket_errors = 0;
                        self.received(buffer.get(..length).unwrap_or_default());
                    }
                    Err(error) => {
                        socket_errors += 1;
                        self.socket_error(&error);
                        if socket_errors > MAX_SOCKET_ERRORS {
                            return;
                        }
                    }
                },
                () = sleep_until(timeout) => {
                    self.shared.lock().client.handle_timeout(Instant::now());
                }
                () = sleep_until(ping_at) => {
                    let now = Instant::now();
                    quiet.pinged(now);
                    self.shared.lock().ping(now);
                }
                () = sleep_until(lost_at) => {
                    // A program that has slept, or had no processor, finds its datagrams here.
                    while let Ok(length) = self.socket.try_recv(&mut buffer) {
                        self.received(buffer.get(..length).unwrap_or_default());
                    }
                    self.shared.lock().lose(Instant::now(), self.silence.unwrap_or_default());
                }
                () = self.shared.wake.notified() => {}
            }
        }
    }

    /// Hands out events, then sends all that is due. Returns whether there were any events.
    async fn flush(&mut self) -> bool {
        let mut sent_any = false;
        loop {
            let (transmit, key_line) = {
                let mut state = self.shared.lock();
                state.take_events(self.tracer.as_ref());
                (state.client.poll_transmit(), state.client.poll_key_log())
            };
            if let (Some(line), Some(key_log)) = (&key_line, &mut self.key_log) {
                // The file could be opened; if its disk is full now, the log has a gap and the connection
                // goes on.
                let _ = key_log.append(line);
            }
            match transmit {
                Some(transmit) => {
                    sent_any = true;
                    self.send(&transmit.bytes).await;
                }
                None if key_line.is_none() => return sent_any,
                None => {}
            }
        }
    }

    async fn send(&self, datagram: &[u8]) {
        let mut result = self.socket.send(datagram).await;
        if let Err(error) = &result {
            // The error may be that of an earlier datagram (ICMP), in whose stead this one was not sent.
            self.socket_error(error);
            result = self.socket.send(datagram).await;
        }
        // A datagram that cannot be sent is a lost datagram: retransmission copes with it.
        if result.is_ok() {
            let mut state = self.shared.lock();
            state.traffic.datagrams_out += 1;
            state.traffic.bytes_out += datagram.len() as u64;
            drop(state);
            if let Some(meter) = &self.meter {
                meter.sent(datagram.len() as u64);
            }
            trace(self.tracer.as_ref(), Trace::Sent(datagram));
        }
    }

    fn received(&self, datagram: &[u8]) {
        trace(self.tracer.as_ref(), Trace::Received(datagram));
        if let Some(meter) = &self.meter {
            meter.received(datagram.len() as u64);
        }
        let mut state = self.shared.lock();
        state.traffic.datagrams_in += 1;
        state.traffic.bytes_in += datagram.len() as u64;
        state.client.handle_datagram(Instant::now(), self.server, None, datagram);
    }

    fn socket_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            trace(self.tracer.as_ref(), Trace::Refused);
            self.shared.lock().refused(Instant::now(), self.server);
        }
    }
}

impl Drop for Driver {
    /// Ends all waits: however the task ends, even when the runtime shuts down, no caller is left waiting.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let why = state.ended.clone().unwrap_or(CloseReason::Local);
        state.end(why);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn trace(tracer: Option<&Tracer>, what: Trace<'_>) {
    if let Some(tracer) = tracer {
        tracer.see(what);
    }
}

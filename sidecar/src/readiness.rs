//! /readyz: a DTLS request to the sidecar's own resource through the real UDP socket, as a client
//! would send it.
//!
//! Each check makes a whole handshake, so that a broken certificate shows. The upstream is deliberately not
//! asked: a homeserver that is down must not take its clients' sessions down as well. Turning newcomers away
//! at a limit, of sessions or of handshakes, does not fail readiness either: a balancer that goes by
//! readiness would move the flows of all sessions to a server that does not know them. Metrics report it.

use crate::event_loop::Inspector;
use crate::metrics::Metrics;
use crate::target::READY_PATH;
use lowband_transport::client::{Client, Config, Event};
use lowband_transport::coap::{self, FailReason, Request};
use lowband_transport::dtls::{self, CloseReason, Verification};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// A good result holds for this long. A bad one is checked again each time, so that two failures in a row are
/// two.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time for an answer; on loopback anything longer is a failure. A second try follows, because a failure that
/// counts is expensive: a balancer moves the flows of all clients to a server that does not know their
/// sessions.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The probe, and when it was last answered.
#[derive(Debug)]
pub struct Readiness {
    server: SocketAddr,
    metrics: Arc<Metrics>,
    inspector: Inspector,
    answered: Mutex<Option<Instant>>,
}

impl Readiness {
    /// Makes a probe of a server bound to `listen`.
    pub fn new(listen: SocketAddr, metrics: Arc<Metrics>, inspector: Inspector) -> Readiness {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            exact => exact,
        };
        let server = SocketAddr::new(ip, listen.port());
        Readiness { server, metrics, inspector, answered: Mutex::new(None) }
    }

    /// Returns whether the server is ready, or why not. Concurrent callers share one request.
    pub async fn check(&self) -> Result<(), String> {
        let mut answered = self.answered.lock().await;
        if answered.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        let before = self.turned_away().await;
        let mut result = self.ask_in_time().await;
        if result.is_err() {
            result = self.ask_in_time().await;
        }
        if result.is_err() && self.turned_away().await > before {
            result = Ok(());
        }
        *answered = result.is_ok().then(Instant::now);
        result
    }

    /// Returns how often a newcomer found no place; `None` when the loop has ended, which compares as less
    /// than any number. Hellos that wait for their signature do not count: if the thread that signs hangs,
    /// the pod is not ready.
    async fn turned_away(&self) -> Option<u64> {
        let dtls = self.inspector.snapshot().await?.dtls;
        Some(dtls.hellos_over_rate + dtls.hellos_over_sessions + dtls.handshakes_evicted)
    }

    async fn ask_in_time(&self) -> Result<(), String> {
        match timeout(TIMEOUT, ask(self.server, &self.metrics)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(format!("no answer over DTLS within {TIMEOUT:?}")),
        }
    }
}

async fn ask(server: SocketAddr, metrics: &Metrics) -> Result<(), String> {
    let local: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await.map_err(|why| why.to_string())?;
    socket.connect(server).await.map_err(|why| why.to_string())?;
    metrics.probe_from(socket.local_addr().map_err(|why| why.to_string())?);
    let config = Config {
        // The certificate is for the name that clients use, not for loopback.
        dtls: dtls::Config { client: Some(Verification::None), ..dtls::Config::default() },
        times: coap::Times::measured(),
        limits: coap::Limits::default(),
    };
    let mut client =
        Client::new(config, crate::seed().map_err(|why| why.to_string())?).map_err(|why| why.to_string())?;
    let session = client.connect(now(), server, "localhost").map_err(|why| why.to_string())?;
    let path = READY_PATH.map(str::to_owned).to_vec();
    let options = RequestOptions { path, ..RequestOptions::default() };
    client.request(now(), session, Request { method: Method::Get, options, body: Vec::new() });
    let result = until_answered(&mut client, &socket, server).await;
    client.close(now(), session);
    while let Some(transmit) = client.poll_transmit() {
        let _ = socket.try_send(&transmit.bytes);
    }
    result
}

async fn until_answered(client: &mut Client, socket: &UdpSocket, server: SocketAddr) -> Result<(), String> {
    let mut buffer = vec![0; 2048];
    loop {
        while let Some(transmit) = client.poll_transmit() {
            socket.send(&transmit.bytes).await.map_err(|why| why.to_string())?;
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Response { response, .. } if response.code == Code::CONTENT => return Ok(()),
                Event::Response { response, .. } => return Err(format!("answered {}", response.code)),
                // The next event says why the session has ended.
                Event::Failed { why: FailReason::SessionClosed, .. } => {}
                Event::Failed { why, .. } => return Err(why.to_string()),
                Event::Closed { why: CloseReason::Refused, .. } => return Ok(()),
                Event::Closed { why, .. } => return Err(why.to_string()),
                _ => {}
            }
        }
        let deadline = client.poll_timeout().map_or_else(|| Instant::now() + TIMEOUT, Instant::from_std);
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                let len = received.map_err(|why| why.to_string())?;
                client.handle_datagram(now(), server, None, buffer.get(..len).unwrap_or_default());
            }
            () = tokio::time::sleep_until(deadline) => client.handle_timeout(now()),
        }
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

//! Datagrams to CoAP requests and back, for both ends of the low-bandwidth wire (MSC3079).
//!
//! ```text
//!   a client                                                             a server
//!   Client::request      Event::Response                Event::Request      Server::respond_head, respond_chunk
//!        |                     ^                              ^                  |
//!        v                     |                              |                  v
//!   coap::Client: tokens, blocks, whole bodies          coap::Server: exchanges, uploads, snapshots
//!        |     message layer: message ids, acknowledgements, repetition, duplicates     |
//!        v                     ^                              ^                         v
//!   dtls::Endpoint: handshakes, sessions, records       dtls::Endpoint
//!        |                     ^                              ^                         |
//!        `-- Transmit ---------+------- datagrams ------------+-------------------------'
//! ```
//!
//! No I/O, no clock, no randomness of its own: `now`, bytes and a seed come in; transmits, timeouts and
//! events come out. `clippy.toml` keeps it so.
//!
//! # The loop around it
//!
//! After each `handle_*` or command the caller sends what `poll_transmit` has, acts on what `poll_event` has,
//! and calls `handle_timeout` when it is the time of `poll_timeout`. For a client over a socket of the
//! standard library that is all there is to it, and for a [`Server`] it is the same:
//!
//! ```
//! use lowband_transport::Client;
//! use lowband_transport::client::Event;
//! use std::io::{self, ErrorKind};
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//!
//! /// Moves datagrams until something has happened.
//! fn next_event(client: &mut Client, socket: &UdpSocket) -> io::Result<Event> {
//!     let mut datagram = [0; 2048];
//!     loop {
//!         while let Some(transmit) = client.poll_transmit() {
//!             socket.send_to(&transmit.bytes, transmit.peer)?;
//!         }
//!         if let Some(event) = client.poll_event() {
//!             return Ok(event);
//!         }
//!         let wait = client.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
//!         if wait == Some(Duration::ZERO) {
//!             client.handle_timeout(Instant::now());
//!             continue;
//!         }
//!         socket.set_read_timeout(wait)?;
//!         match socket.recv_from(&mut datagram) {
//!             Ok((length, peer)) => client.handle_datagram(Instant::now(), peer, None, &datagram[..length]),
//!             Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
//!             Err(why) => return Err(why),
//!         }
//!     }
//! }
//! ```
//!
//! `examples/echo` has both ends with all that belongs to them. [`dtls::Config::deferred`] adds `poll_job` to
//! the loop of a server that leaves the costly steps of handshakes to another thread.
//!
//! # Errors
//!
//! Nothing that arrives from the network is an error of the API: what cannot be used is dropped, and one of
//! the [counters] says how often, by its reason. Only setting up fails, with a [`SetupError`]
//! that has all [mistakes](Mistake) of the configuration. A session ends with a [`dtls::CloseReason`], a
//! request without a response with a [`coap::FailReason`]; both say whose fault it is. Reasons are values
//! to match on, and their `Display` is for people. After any of them the [`Server`] or [`Client`] goes on
//! as before.
//!
//! Events and reasons are `non_exhaustive`: any version may have more of them, and a program may ignore those
//! that it does not know. Limits, times and options stay open structs: fill them with `..Default::default()`,
//! and a new field breaks nothing.
//!
//! # Layers
//!
//! [`coap`] knows nothing of [`dtls`]: it works above anything that delivers messages within sessions, which
//! is how its own tests run it. [`Server`] and [`Client`] put one on the other and decide nothing.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "an Instant, the zero of a fake clock, cannot be made in any other way"
    )
)]

use std::net::{IpAddr, SocketAddr};

mod by_number;
pub mod client;
pub mod coap;
pub mod counters;
pub mod dtls;
#[cfg(test)]
mod page_of_protocol;
pub mod server;
mod setup;

pub use client::Client;
pub use lowband_shares as shares;
pub use server::Server;
pub use setup::{CertificateMistake, KeyMistake, Mistake, SetupError};

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Address and port that it goes to.
    pub peer: SocketAddr,
    /// The local address that the peer has been talking to, where known: a server answers from the address
    /// that was asked.
    pub local: Option<IpAddr>,
    /// The payload of one UDP datagram.
    pub bytes: Vec<u8>,
}

/// One DTLS association and all that hangs on it. The id is never reused within a process, and does not
/// depend on the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// One request and its response. The id is never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

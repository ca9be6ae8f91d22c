//! The sidecar between a real DTLS client of ours on loopback and a stub of Envoy on a unix socket. Each file
//! covers one phenomenon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

mod answers;
mod bursts;
mod client;
mod credentials;
mod crowded;
mod ending;
mod exhaustion;
mod failures;
mod greedy_neighbours;
mod harness;
mod hostile_datagrams;
mod hostile_messages;
mod identity;
mod long_polls;
mod operation;
mod packed;
mod process;
mod raw;
mod renewal;
mod replicas;
mod representations;
mod requests;
mod service;
mod shutdown;
mod stub;
mod upstream_health;

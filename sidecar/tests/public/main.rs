//! The public port of a sidecar without Envoy: real clients over TCP, with and without TLS, before a stub of
//! a homeserver. Each file covers one phenomenon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

mod client;
mod ending;
mod flags;
mod greedy;
mod harness;
mod homeserver;
mod hostile;
#[path = "../chain/identity.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod identity;
mod renewal;
mod serving;

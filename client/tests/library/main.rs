//! The library against a stub server on loopback: DTLS and CoAP are the real ones, only what stands behind
//! them is made up. Nothing here sleeps; waiting is for events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod certificate;
mod connection;
mod connection_ends;
mod fragments;
mod incoming;
mod lasting;
mod packed;
mod progress;
mod slow_link;
#[allow(dead_code, reason = "the rest is for the tests of the command line")]
mod stub_server;
#[path = "../../examples/versions.rs"]
#[allow(dead_code, reason = "its `main` is for a command line")]
mod versions;

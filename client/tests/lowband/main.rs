//! The library and the `lowband` binary against a stub server on loopback: DTLS and CoAP are the real ones, only what stands
//! behind them is made up. Nothing here sleeps; waiting is for events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod certificate;
mod coap_command;
mod coap_failures;
mod command;
mod connection;
mod connection_ends;
mod fragments;
mod http_command;
mod jc_command;
mod lasting;
mod stub_server;
mod tutorial;

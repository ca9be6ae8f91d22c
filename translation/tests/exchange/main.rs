//! Whole streams through the state machine, without Envoy: the messages that homeserver and client get.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of these tests fail the test that uses them"
)]

mod bodies;
mod by_content;
mod clients;
mod counts;
mod documents;
mod early;
mod errors;
mod flow;
mod host;
mod limits;
mod messages;
mod phases;

//! The Envoy filter: CBOR towards JSON on the way to the homeserver, JSON towards CBOR on the way back.
//!
//! ```text
//!          Envoy ──callback──▶ shell ──phase──▶ exchange ─▶ request   (negotiate, codec)
//!          Envoy ◀──host call─ shell ◀──Step─── exchange ─▶ response  (negotiate, codec)
//! ```
//!
//! Everything that decides is plain Rust without a host: [`exchange`] is told of each phase of one HTTP
//! stream and answers with a [`Step`](step::Step). The shell carries it out. All that crosses the border goes
//! through one file (`host`), and a call that can fail comes back as a status: a panic would end the VM with
//! all its streams.
//!
//! A request is held whole: the homeserver hears nothing of one that turns out to be broken, or no more than
//! header fields where those must not wait. An answer is held up to a limit, and above it becomes CBOR chunk
//! by chunk. What is counted comes out beside the steps ([`metrics`]).

mod client;
pub mod config;
pub mod discovery;
pub mod exchange;
pub mod headers;
pub mod held;
mod hold;
mod members;
pub mod metrics;
pub mod negotiate;
mod path;
pub mod reply;
mod request;
mod response;
pub mod step;

mod host;
mod shell;

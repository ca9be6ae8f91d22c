//! The Envoy filter: CBOR towards JSON on the way to the homeserver, JSON towards CBOR on the way back.
//!
//! ```text
//!          Envoy ──callback──▶ shell ──phase──▶ exchange ─▶ request   (negotiate, codec)
//!          Envoy ◀──host call─ shell ◀──Step─── exchange ─▶ response  (negotiate, codec)
//! ```
//!
//! Everything that decides is plain Rust without a host: [`exchange`] is told of each phase of one HTTP stream and
//! answers with a [`Step`](step::Step). The shell carries it out. A host call that can fail goes through one file
//! (`host`) and comes back as a status, because the SDK's own functions panic and a panic ends the VM with all its
//! streams.
//!
//! Deliberately absent: streaming (both bodies are held whole), the rewriting of discovery documents, and metrics.

mod client;
pub mod config;
pub mod exchange;
pub mod headers;
mod hold;
pub mod negotiate;
pub mod reply;
mod request;
mod response;
pub mod step;

mod host;
mod shell;

//! The Envoy filter: CBOR towards JSON on the way to the homeserver, JSON towards CBOR on the way back.
//!
//! ```text
//!  Envoy ──callback──▶ entry ─▶ shell ──phase──▶ exchange ─▶ request   (negotiate, codec)
//!  Envoy ◀──call into── host ◀─ shell ◀──Step─── exchange ─▶ response  (negotiate, codec)
//! ```
//!
//! Every decision is made in plain Rust without a host: [`exchange`] is notified of each phase of one HTTP
//! stream and answers with a [`Step`](step::Step), which the shell carries out. Envoy's calls come in through
//! one file (`entry`) and go out through another (`host`), where a call that can fail returns a status: a
//! panic would end the VM with all its streams.
//!
//! A request is held whole: the homeserver sees nothing of a request that turns out to be broken, or only its
//! header fields if those must not wait. An answer is held up to a limit, and above it becomes CBOR chunk by
//! chunk. Counts are returned beside the steps ([`metrics`]).

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

mod entry;
mod host;
mod shell;

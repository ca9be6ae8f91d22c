//! The translation of low-bandwidth Matrix, apart from any program: CBOR towards JSON on the way to the
//! homeserver, JSON towards CBOR on the way back.
//!
//! ```text
//!  a program ──phase──▶ exchange ─▶ request   (negotiate, codec)
//!  a program ◀──Step─── exchange ─▶ response  (negotiate, codec)
//! ```
//!
//! Every decision is made in plain Rust without a host: [`exchange`] is notified of each phase of one HTTP
//! stream and answers with a [`Step`](step::Step), which the program carries out: the filter in Envoy, or the
//! server that translates by itself. "The host" stands for what carries the stream there.
//!
//! A request is held whole: the homeserver sees nothing of a request that turns out to be broken, or only its
//! header fields if those must not wait. An answer is held up to a limit, and above it becomes CBOR chunk by
//! chunk. Counts are returned beside the steps ([`metrics`]).

mod client;
pub mod common;
pub mod config;
pub mod discovery;
pub mod exchange;
pub mod headers;
pub mod held;
mod hold;
pub mod members;
pub mod metrics;
pub mod negotiate;
pub mod path;
pub mod reply;
mod request;
mod response;
pub mod step;

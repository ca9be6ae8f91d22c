//! The Envoy filter: CBOR towards JSON on the way to the homeserver, JSON towards CBOR on the way back.
//!
//! ```text
//!  Envoy ──callback──▶ entry ─▶ shell ──phase──▶ lowband_translation::exchange
//!  Envoy ◀──call into── host ◀─ shell ◀──Step─── lowband_translation::exchange
//! ```
//!
//! Every decision is made in `lowband_translation`. Envoy's calls come in through one file (`entry`) and go
//! out through another (`host`), where a call that can fail returns a status: a panic would end the VM with
//! all its streams.

pub mod config;

mod entry;
mod host;
mod shell;

//! Fuzz targets: each takes bytes and panics if a property does not hold. The binaries in `fuzz_targets/`
//! give them to libFuzzer; `tests/seeds.rs` runs them over the seeds and over changed seeds, without
//! libFuzzer.
//!
//! All targets use the public interfaces of the crates. Equal bytes have equal effects each time, handshakes
//! included.

pub mod annotate;
pub mod capture_exchanges;
pub mod capture_file;
pub mod capture_ip;
pub mod capture_records;
pub mod client;
mod coap;
pub mod codec;
pub mod diagnostic;
pub mod dice;
mod dtls;
pub mod filter;
pub mod front;
pub mod handshake;
pub mod key_log;
pub mod messages;
mod openssl_random;
pub mod packed;
pub mod push;
pub mod records;
pub mod sequence;
pub mod server;
pub mod sessions;

//! The DTLS endpoint, end to end: in memory under a fake clock, over a link that can lose, repeat and
//! reorder; and with OpenSSL's own programs over loopback. One file per phenomenon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the zero of a fake clock; sockets and time for the foreign programs"
)]

#[path = "dtls/certificates.rs"]
mod certificates;
#[path = "dtls/data.rs"]
mod data;
#[path = "dtls/ending.rs"]
mod ending;
#[path = "dtls/extensions.rs"]
mod extensions;
#[path = "dtls/foreign.rs"]
mod foreign;
#[path = "dtls/greedy.rs"]
mod greedy;
#[path = "dtls/handshake.rs"]
mod handshake;
#[path = "dtls/hostile.rs"]
mod hostile;
#[path = "dtls/jobs.rs"]
mod jobs;
#[path = "dtls/key_log.rs"]
mod key_log;
#[path = "dtls/limits.rs"]
mod limits;
#[path = "dtls/loss.rs"]
mod loss;
#[path = "dtls/lost_sessions.rs"]
mod lost_sessions;
#[path = "dtls/networks.rs"]
mod networks;
#[path = "dtls/pair.rs"]
mod pair;
#[path = "dtls/pieces.rs"]
mod pieces;
#[path = "dtls/refusals.rs"]
mod refusals;
#[path = "dtls/renewal.rs"]
mod renewal;
#[path = "dtls/replicas.rs"]
mod replicas;
#[path = "dtls/setup.rs"]
mod setup;
#[path = "dtls/short_records.rs"]
mod short_records;
#[path = "dtls/small_path.rs"]
mod small_path;
#[path = "dtls/verification.rs"]
mod verification;

//! The local proxy for low-bandwidth Matrix (MSC3079): for clients that know nothing of it.
//!
//! ```text
//! HTTP client -> listener -> guard (Host), cors (OPTIONS) -> exchange -> sessions (one for each access token) -> UDP
//!                                                                     -> https (media, what 5.05 refuses) -> TCP
//! ```
//!
//! A client asks in JSON over HTTP and gets the JSON value that its homeserver would have given; on the wire it
//! is CBOR over CoAP and DTLS where that gets through, and HTTPS where not. Access tokens, queries and bodies
//! never reach the log.

mod body;
#[cfg(test)]
#[allow(dead_code, reason = "the rest is for the client library's tests")]
#[path = "../../client/tests/library/certificate.rs"]
mod certificate;
mod discovery;
mod error;
mod https;
mod names;
mod settings;
mod stats;
#[cfg(test)]
#[allow(dead_code, reason = "the rest is for the client library's tests")]
#[path = "../../client/tests/library/stub_server.rs"]
mod stub_server;
#[cfg(test)]
mod testing;
mod ways;

pub use error::Error;
pub use names::{Family, Fixed};
pub use settings::{Identity, Limits, Settings, Times};
pub use stats::{Stats, Summary};

//! Why the proxy cannot begin.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the proxy cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Caller: the homeserver is neither a name nor a URL that can be used.
    #[error("the homeserver {told:?}: {why}")]
    Homeserver {
        /// What the caller calls it.
        told: String,
        /// What is wrong with it.
        why: String,
    },
    /// Caller: other machines would reach the address.
    #[error("{0} can be reached from other machines: anyone there could use the proxy; it has to be allowed")]
    Remote(SocketAddr),
    /// Machine: the address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Caller: the listener's certificate or key cannot be used.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The file of the certificate or the key.
        path: PathBuf,
        /// OpenSSL's reason for refusing it.
        source: openssl::error::ErrorStack,
    },
    /// Caller: the listener's private key is not that of its certificate.
    #[error(
        "the private key {} and the certificate {} do not belong together: {source}",
        key.display(),
        certificate.display()
    )]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// OpenSSL's reason for refusing them.
        source: openssl::error::ErrorStack,
    },
    /// Caller: the key log cannot be written.
    #[error("{0}")]
    KeyLog(lowband_client::Error),
    /// Machine: OpenSSL cannot be set up.
    #[error("OpenSSL: {0}")]
    Tls(#[from] openssl::error::ErrorStack),
    /// Machine: the listener fails.
    #[error("the listener fails: {0}")]
    Io(#[from] std::io::Error),
}

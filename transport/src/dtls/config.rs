//! What an endpoint is made of, and what is said when it cannot be made.

use super::extensions::MaxFragmentLength;
use super::fragments::HANDSHAKE_HEADER;
use super::private_key::PrivateKey;
use super::record::MAX_PLAINTEXT;
use crate::shares::Balancers;
use std::fmt;
use std::time::Duration;

/// What an endpoint is made of. One endpoint may accept, connect, or both.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Set to accept handshakes.
    pub server: Option<ServerIdentity>,
    /// Set to start handshakes.
    pub client: Option<Verification>,
    /// Produce NSS key log lines ([`super::Endpoint::poll_key_log`]). They decrypt everything. Sessions then take AES-GCM, 8 bytes
    /// more a record, because Wireshark cannot read ChaCha20-Poly1305 in DTLS.
    pub key_log: bool,
    /// Asks the server for short records, for links on which long datagrams are lost; what has been agreed is kept both
    /// ways. None by default. A server agrees to what its clients ask for, whatever stands here.
    pub max_fragment_length: Option<MaxFragmentLength>,
    /// See [`Limits`].
    pub limits: Limits,
    /// What comes from their addresses has no share of a network: see [`super::Endpoint::network`]. None by default.
    pub balancers: Balancers,
}

/// Certificate and key of the accepting side.
#[derive(Clone)]
pub struct ServerIdentity {
    /// PEM, leaf first.
    pub certificate_chain: Vec<u8>,
    /// PEM, PKCS#8 or SEC1 or PKCS#1, not encrypted. P-256, or RSA of at least 2048 bits.
    pub private_key: PrivateKey,
}

impl fmt::Debug for ServerIdentity {
    // The key must not reach a log by way of `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").finish_non_exhaustive()
    }
}

/// Whom the connecting side believes.
#[derive(Debug, Clone)]
pub enum Verification {
    /// OpenSSL's default store.
    System,
    /// These CA certificates, PEM.
    Roots(Vec<u8>),
    /// Nobody is checked (`-k`).
    None,
}

/// Upper bounds; each has a counter of what it turned away.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Established sessions; handshakes that were accepted count as well.
    pub sessions: usize,
    /// Accepted handshakes (past the cookie) that have not finished, in all. Each holds some 80 kB
    /// (OpenSSL 3.0); one whose ClientHello is still being gathered from pieces holds twice `hello` at most.
    pub half_open: usize,
    /// The same per IPv4 address or IPv6 /64.
    pub half_open_per_address: usize,
    /// A ClientHello in pieces may have this many bytes, 256 to 16372; a longer one is refused. One datagram may bring
    /// any.
    pub hello: usize,
    /// A handshake that takes longer is dropped.
    pub handshake: Duration,
    /// A session that has not been heard of for longer is closed.
    pub idle: Duration,
    /// When all places are taken, the session that has been silent longest gives its place to a newcomer, if it has been
    /// silent for this long. Otherwise whoever opens sessions and leaves would lock everybody out for `idle`.
    pub make_room_after: Duration,
    /// Largest UDP payload we send in a handshake, 256 to 16384. 1232 passes every IPv6 path and holds the flight of an
    /// RSA-2048 certificate.
    pub mtu: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions: 100_000,
            half_open: 1_000,
            half_open_per_address: 16,
            hello: 4096,
            handshake: Duration::from_secs(60),
            idle: Duration::from_secs(24 * 3600),
            make_room_after: Duration::from_secs(600),
            mtu: 1232,
        }
    }
}

/// Times are added to the clock, which must not overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Once put together, it goes to OpenSSL as one record.
const LONGEST_HELLO: usize = MAX_PLAINTEXT - HANDSHAKE_HEADER;

impl Limits {
    pub(super) fn check(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (name, value) in [
            ("sessions", self.sessions),
            ("half_open", self.half_open),
            ("half_open_per_address", self.half_open_per_address),
        ] {
            if value == 0 {
                mistakes.push(format!("limit {name} must not be 0"));
            }
        }
        for (name, value) in
            [("handshake", self.handshake), ("idle", self.idle), ("make_room_after", self.make_room_after)]
        {
            if value.is_zero() || value > LONGEST {
                mistakes.push(format!("limit {name} must be more than 0 and at most a year"));
            }
        }
        if !(256..=LONGEST_HELLO).contains(&self.hello) {
            mistakes.push(format!("limit hello is {}; it must be 256 to {LONGEST_HELLO} bytes", self.hello));
        }
        if !(256..=16_384).contains(&self.mtu) {
            mistakes.push(format!("limit mtu is {}; it must be 256 to 16384 bytes", self.mtu));
        }
        mistakes
    }
}

/// Why something cannot be set up, in words for an operator: one line for each mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

impl SetupError {
    /// All mistakes together.
    pub(super) fn from_mistakes(mistakes: &[String]) -> SetupError {
        SetupError(mistakes.join("\n"))
    }

    /// The mistakes one by one.
    pub fn mistakes(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}

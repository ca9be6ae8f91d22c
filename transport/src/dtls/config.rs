//! What an endpoint is made of, and what is wrong when it cannot be made.

use super::private_key::PrivateKey;
use crate::Mistake;
use crate::setup::LONGEST_TIME;
use crate::shares::{Balancers, Bounds, Limit};
use lowband_wire::dtls::extension::MaxFragmentLength;
use lowband_wire::dtls::fragments::HANDSHAKE_HEADER;
use lowband_wire::dtls::record::MAX_PLAINTEXT;
use std::fmt;
use std::time::Duration;

/// What an endpoint is made of. One endpoint may accept, connect, or both; by default it does neither.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Certificate and key with which handshakes are accepted. None by default: handshakes are not accepted.
    pub server: Option<ServerIdentity>,
    /// Which servers to believe in handshakes that this endpoint starts. None by default: it starts none.
    pub client: Option<Verification>,
    /// Produces NSS key log lines ([`super::Endpoint::poll_key_log`]), which decrypt everything. Off by
    /// default. Sessions then take AES-GCM, 8 bytes more a record, because Wireshark cannot read
    /// ChaCha20-Poly1305 in DTLS.
    pub key_log: bool,
    /// Asks the server for short records, for links on which long datagrams are lost; what has been agreed is
    /// kept both ways. None by default. A server agrees to what its clients ask for, whatever this field
    /// says.
    pub max_fragment_length: Option<MaxFragmentLength>,
    /// Hands out the costly steps of accepted handshakes ([`super::Endpoint::poll_job`]), to be run where
    /// no session waits for them. Off by default: they are run at once.
    pub deferred: bool,
    /// Upper bounds of what peers can make grow.
    pub limits: Limits,
    /// Addresses of load balancers: what comes from them has no share of a network, see
    /// [`super::Endpoint::network`]. None by default.
    pub balancers: Balancers,
}

/// Certificate and key of the accepting side.
#[derive(Clone)]
pub struct ServerIdentity {
    /// Certificates in PEM form, the server's own first, its issuers after it.
    pub certificate_chain: Vec<u8>,
    /// The key in PEM form (PKCS#8, SEC1 or PKCS#1), not encrypted: P-256, or RSA of at least 2048 bits.
    pub private_key: PrivateKey,
}

impl fmt::Debug for ServerIdentity {
    // The key must not reach a log by way of `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").finish_non_exhaustive()
    }
}

/// Which servers the connecting side believes.
#[derive(Debug, Clone)]
pub enum Verification {
    /// The CA certificates of OpenSSL's default store.
    System,
    /// These CA certificates in PEM form, and no others.
    Roots(Vec<u8>),
    /// Any server is believed: an attacker on the path can read everything.
    None,
}

/// Upper bounds; each has a counter of what it turned away.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sessions in all, 100,000 by default; handshakes that were accepted count as well.
    pub sessions: usize,
    /// Sessions per IPv4 address or IPv6 /64, 25,000 by default; twice as many per /24 or /48. One more
    /// pushes out another of the same network, see `endpoint/crowds.rs`.
    pub sessions_per_address: usize,
    /// Accepted handshakes (past the cookie) that have not finished, in all, 1,000 by default. Each holds
    /// some 80 kB (OpenSSL 3.0); one whose ClientHello is still being gathered from pieces holds twice
    /// `hello` at most. One more pushes out another, see `endpoint/half_open.rs`.
    pub half_open: usize,
    /// Handshakes that have not finished per IPv4 address or IPv6 /64, 250 by default; a quarter of all, or
    /// this if it is more, per /24 or /48.
    pub half_open_per_address: usize,
    /// New handshakes of all clients, 300 a second by default, 600 at once. One costs 0.3 to 0.6 ms of
    /// processor time with a P-256 certificate, by the machine, 0.6 to 1.4 ms with RSA-2048: the default is
    /// less than half a core.
    pub handshakes: Limit,
    /// New handshakes per IPv4 address or IPv6 /64, 20 a second by default, 200 at once; eight times as
    /// many per /24 or /48. The burst lets an office behind one address come back at once.
    pub handshakes_per_address: Limit,
    /// Hellos that wait for a signature, if those are handed out ([`Config::deferred`]), 256 by default;
    /// one more is dropped. Its client repeats it a second later.
    pub waiting_hellos: usize,
    /// Bytes of a ClientHello that comes in pieces, 256 to 16372, 4096 by default; a longer one is refused.
    /// A hello in one datagram may be as long as that.
    pub hello: usize,
    /// A handshake that takes longer is given up, 60 s by default.
    pub handshake: Duration,
    /// A session whose peer has been silent for longer is closed, 24 hours by default.
    pub idle: Duration,
    /// When all places are taken and no session is worth less, the one that has been silent longest gives
    /// its place to a newcomer, if it has been silent for this long, 10 minutes by default.
    pub make_room_after: Duration,
    /// Bytes of the largest UDP payload that is sent in a handshake, 256 to 16384. The default of 1232
    /// passes every IPv6 path and holds the flight of an RSA-2048 certificate.
    pub mtu: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions: 100_000,
            sessions_per_address: 25_000,
            half_open: 1_000,
            half_open_per_address: 250,
            handshakes: Limit { per_second: 300, burst: 600 },
            handshakes_per_address: Limit { per_second: 20, burst: 200 },
            waiting_hellos: 256,
            hello: 4096,
            handshake: Duration::from_secs(60),
            idle: Duration::from_secs(24 * 3600),
            make_room_after: Duration::from_secs(600),
            mtu: 1232,
        }
    }
}

/// Longest ClientHello, in bytes: once put together, it goes to OpenSSL as one record.
const LONGEST_HELLO: usize = MAX_PLAINTEXT - HANDSHAKE_HEADER;

impl Limits {
    pub(super) fn session_bounds(&self) -> Bounds {
        Bounds {
            total: self.sessions,
            per_network: self.sessions_per_address,
            per_site: self.sessions_per_address.saturating_mul(2),
        }
    }

    pub(super) fn half_open_bounds(&self) -> Bounds {
        Bounds {
            total: self.half_open,
            per_network: self.half_open_per_address,
            per_site: (self.half_open / 4).max(self.half_open_per_address),
        }
    }

    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (limit, value) in [
            ("sessions", self.sessions),
            ("sessions_per_address", self.sessions_per_address),
            ("half_open", self.half_open),
            ("half_open_per_address", self.half_open_per_address),
            ("waiting_hellos", self.waiting_hellos),
            ("handshakes", self.handshakes.per_second.min(self.handshakes.burst) as usize),
            (
                "handshakes_per_address",
                self.handshakes_per_address.per_second.min(self.handshakes_per_address.burst) as usize,
            ),
        ] {
            if value == 0 {
                mistakes.push(Mistake::LimitOfZero { limit });
            }
        }
        for (limit, value) in
            [("handshake", self.handshake), ("idle", self.idle), ("make_room_after", self.make_room_after)]
        {
            if value.is_zero() || value > LONGEST_TIME {
                mistakes.push(Mistake::LimitInTime { limit, value });
            }
        }
        for (limit, value, least, most) in
            [("hello", self.hello, 256, LONGEST_HELLO), ("mtu", self.mtu, 256, 16_384)]
        {
            if !(least..=most).contains(&value) {
                mistakes.push(Mistake::LimitInBytes { limit, value, least, most });
            }
        }
        mistakes
    }
}

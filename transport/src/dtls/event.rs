//! What an endpoint reports to its caller.

use super::failure::{CertificateFailure, HandshakeFailure};
use crate::SessionId;
use crate::shares::Network;
use std::net::SocketAddr;
use std::time::Duration;

/// What an endpoint reports to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A handshake has finished and the peer is known to have our Finished: at the accepting side this is
    /// reported just before the first [`Event::Data`], at the connecting side when the server's Finished has
    /// been verified.
    Connected {
        /// The new session.
        session: SessionId,
        /// Address of the peer.
        peer: SocketAddr,
        /// Network whose share the session has: see [`super::Endpoint::network`].
        network: Network,
        /// Round trip seen in the handshake, where one could be measured (no sample from what was sent
        /// twice).
        round_trip: Option<Duration>,
        /// How long the handshake took: at the accepting side from the first piece of the hello with a
        /// valid cookie, at the connecting side from the first hello, until the other end's Finished had
        /// been verified.
        took: Duration,
        /// The longest message that one record may carry, in bytes: 2^14, or less where the hellos have
        /// agreed on a max_fragment_length (RFC 6066 section 4).
        largest_message: usize,
        /// What the handshake has shown of its path.
        path: PathSize,
    },
    /// Decrypted application data, one record.
    Data {
        /// The session that received the data.
        session: SessionId,
        /// The plaintext of the record, never empty.
        bytes: Vec<u8>,
    },
    /// Connecting side: a fatal alert without protection has come for a live session, as a server sends it
    /// that has lost the session. The alert proves nothing, because anybody can write one (RFC 6347 section
    /// 4.1.2.7), and the session goes on: ask the peer whether it is still there. Reported once in 10
    /// seconds.
    Doubted {
        /// The session that may be lost at the server.
        session: SessionId,
    },
    /// The session is gone; its id is never used again. Also ends a `connect` that failed.
    Closed {
        /// The session that ended.
        session: SessionId,
        /// The reason why it ended.
        why: CloseReason,
    },
}

/// What a handshake has shown of the datagrams that its path lets through. A guess: the length of a
/// datagram is not authenticated, and the long ones may have been lost by chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathSize {
    /// Nothing: no datagram was long.
    #[default]
    Unknown,
    /// The handshake went on only after a flight had been repeated in datagrams of at most 548 bytes, which a
    /// path of 576 bytes lets through (RFC 791 section 3.1).
    Small,
    /// A datagram of more than 548 bytes has passed.
    Large,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The caller has closed it.
    #[error("closed by this side")]
    Local,
    /// The peer has closed it, by close_notify.
    #[error("the peer closed it (close_notify)")]
    CloseNotify,
    /// The peer has sent an authentic fatal alert; the value is its AlertDescription (RFC 5246 section 7.2).
    #[error("the peer sent the fatal DTLS alert {0}")]
    Alert(u8),
    /// A new handshake from the same address finished (RFC 6347 section 4.2.8).
    #[error("replaced by a new handshake from the same address")]
    Replaced,
    /// The peer was silent for longer than [`super::Limits::idle`].
    #[error("silent for too long")]
    Idle,
    /// Client: the server has not answered a ping, and nothing else has come. See
    /// [`crate::coap::Times::dead_after`].
    #[error("the peer does not answer any more")]
    Dead,
    /// The session was worth least when another one needed its place.
    #[error("ended to make room for others")]
    Evicted,
    /// Client: the handshake failed or timed out.
    #[error("{0}")]
    Handshake(HandshakeFailure),
    /// Client: the server is there and takes no session now, for want of room or because it is about to end
    /// (alert internal_error).
    #[error("alert internal error: the server has no room for another session or is about to end, try HTTPS")]
    Refused,
    /// Client: the server's certificate is not believed.
    #[error("{0}")]
    Certificate(CertificateFailure),
    /// More records of the peer have failed their authentication than the AEAD bears (RFC 9147 section
    /// 4.5.3): 2^36, or 2^16 with CCM_8. That is an attempt to forge one.
    #[error("too many forged records")]
    Forged,
    /// Nothing can be encrypted in the session any more: all 2^48 record numbers are used up, or OpenSSL
    /// refused.
    #[error("nothing can be encrypted on it any more")]
    Unusable,
}

/// Why a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is unknown (or has ended), or its handshake has not finished.
    #[error("no such session, or its handshake has not finished")]
    NoSession,
    /// The message is longer than a record of this session may be (RFC 6347 section 4.1: 2^14 bytes; RFC 6066
    /// section 4).
    #[error("longer than a record may be")]
    TooLong,
}

//! What cannot be read, and why.

use crate::exchange::MessageRef;
use lowband_wire::coap::message::Malformed;
use std::fmt;

/// A record or message that belongs to no exchange, because it cannot be read or assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// [`Session::number`](crate::Session::number) of its session; None if it cannot be told.
    pub session: Option<u32>,
    /// Where it stands.
    pub message: MessageRef,
    /// Why it cannot be read.
    pub why: Why,
}

/// Why a record or message cannot be read, or belongs to no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The key log has no line for the session.
    NoKey,
    /// The capture has no handshake of the session, or not the hellos of it: without their randoms nothing
    /// can be decrypted.
    NoHandshake,
    /// The session's suite has no AEAD that DTLS 1.2 knows.
    UnknownSuite {
        /// Number in IANA's registry.
        number: u16,
    },
    /// The record is not authentic under the keys of the session: it was changed, or the line of the key log
    /// belongs to another session.
    NotAuthentic,
    /// The capture does not have the whole datagram.
    Truncated,
    /// The record belongs to keys that a second handshake within the session has agreed on.
    Renegotiated,
    /// The rest of the datagram is not a record of DTLS.
    MalformedRecord,
    /// The record has a Connection ID that no handshake of the capture has agreed on.
    UnknownConnectionId,
    /// The session sent this without protection, although only protected records may carry it.
    Unprotected,
    /// It is not a message of CoAP.
    MalformedMessage(Malformed),
    /// It acknowledges or resets a message that is not in the capture.
    Stray,
    /// It is a copy that came after its exchange was settled.
    Late {
        /// [`Exchange::number`](crate::Exchange::number) of the exchange.
        exchange: u64,
    },
    /// The payload was put together from fragments of IP, and does not stand in the file as a whole. Said of
    /// details only.
    Fragmented,
    /// The file does not have the bytes (any more), or the session is not kept any more. Said of details
    /// only.
    Gone,
    /// The messages before it have used up [`Limits::details`](crate::Limits::details). Said of details only.
    DetailTooLong,
}

impl Why {
    /// Returns a short stable word for JSON, e.g. `no_key`.
    pub fn name(self) -> &'static str {
        match self {
            Why::NoKey => "no_key",
            Why::NoHandshake => "no_handshake",
            Why::UnknownSuite { .. } => "unknown_suite",
            Why::NotAuthentic => "not_authentic",
            Why::Truncated => "truncated",
            Why::Renegotiated => "renegotiated",
            Why::MalformedRecord => "malformed_record",
            Why::UnknownConnectionId => "unknown_connection_id",
            Why::Unprotected => "unprotected",
            Why::MalformedMessage(_) => "malformed_message",
            Why::Stray => "stray",
            Why::Late { .. } => "late",
            Why::Fragmented => "fragmented",
            Why::Gone => "gone",
            Why::DetailTooLong => "detail_too_long",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoKey => f.write_str("the key log has no line for the session"),
            Why::NoHandshake => f.write_str("the handshake of the session is not in the capture"),
            Why::UnknownSuite { number } => write!(f, "the session's suite {number:#06x} cannot be read"),
            Why::NotAuthentic => f.write_str("the record is not authentic under the keys of the session"),
            Why::Truncated => f.write_str("the capture does not have the whole datagram"),
            Why::Renegotiated => f.write_str("the session was renegotiated"),
            Why::MalformedRecord => f.write_str("it is not a record of DTLS"),
            Why::UnknownConnectionId => {
                f.write_str("no handshake in the capture agreed on its Connection ID")
            }
            Why::Unprotected => f.write_str("it was sent without protection"),
            Why::MalformedMessage(_) => f.write_str("it is not a message of CoAP"),
            Why::Stray => f.write_str("it answers a message that is not in the capture"),
            Why::Late { exchange } => write!(f, "it is a late copy for exchange {exchange}"),
            Why::DetailTooLong => f.write_str("the messages before it are too long to show more"),
            Why::Fragmented => f.write_str("the datagram was fragmented by IP and is not kept"),
            Why::Gone => {
                f.write_str("the bytes of the file or the keys of the session are not there any more")
            }
        }
    }
}

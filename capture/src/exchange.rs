//! What an exchange is, once it has been put together: a summary, and where its datagrams stand in the file.

use crate::Time;
use lowband_wire::coap::Code;
use lowband_wire::packed::NotPacked;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

/// One request and its response, with everything that was sent for them: copies, acknowledgements, all blocks
/// of both bodies. Or a ping, or one notification.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// Number in the order of beginning, from 1.
    pub number: u64,
    /// [`Session::number`](crate::Session::number) of its session.
    pub session: u32,
    /// When its first datagram was captured.
    pub time: Time,
    /// Address and port of the client, when the exchange began.
    pub client: SocketAddr,
    /// Address and port of the server, when the exchange began.
    pub server: SocketAddr,
    /// What it is.
    pub kind: Kind,
    /// True if the end that is the session's server has asked, as CoAP allows.
    pub from_server: bool,
    /// Method of the request; None for a ping, and if the request is not in the capture.
    pub method: Option<Code>,
    /// Path with path codes expanded, percent-encoded, without the query; empty if there is none.
    pub path: String,
    /// The path code that the path was sent as, if it was.
    pub path_code: Option<char>,
    /// Uri-Query values as they were sent, secrets and all.
    pub query: Vec<String>,
    /// Code of the response that ended the exchange.
    pub code: Option<Code>,
    /// How it ended.
    pub state: State,
    /// What its client sent for it.
    pub up: Traffic,
    /// What its server sent for it.
    pub down: Traffic,
    /// Messages that were sent again: with the same id, or for blocks that earlier ones had carried or asked
    /// for.
    pub repeats: u32,
    /// From its first datagram to the one that completed the response; None if nothing did.
    pub duration: Option<Duration>,
    /// What the request carried.
    pub request_body: Option<Body>,
    /// What the response carried.
    pub response_body: Option<Body>,
    /// True if the request asked to observe, and for notifications.
    pub observe: bool,
    /// True if the request carried an access token itself (option 256 of MSC3079).
    pub access_token: bool,
    /// The key table that the client knows: option 257 of the request or of an earlier one of the session.
    pub cbor_version: Option<u32>,
    /// What the client is capable of, likewise (option 65020).
    pub capabilities: Option<u32>,
    /// Its messages in the order of the capture.
    pub messages: Vec<MessageRef>,
    /// What is remarkable about it, each once.
    pub notes: Vec<Note>,
}

impl fmt::Debug for Exchange {
    // Without the query, which may have secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exchange { number, session, time, kind, method, path, code, state, notes, .. } = self;
        f.debug_struct("Exchange")
            .field("number", number)
            .field("session", session)
            .field("time", time)
            .field("kind", kind)
            .field("method", method)
            .field("path", path)
            .field("code", code)
            .field("state", state)
            .field("notes", notes)
            .finish_non_exhaustive()
    }
}

/// What an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A request and its response.
    Request,
    /// An Empty confirmable message and the Reset that it asks for (RFC 7252 section 4.3).
    Ping,
    /// A response to a registration that has been answered before (RFC 7641 section 3.2).
    Notification {
        /// [`Exchange::number`] of the registration.
        registration: u64,
        /// Value of its Observe option, if it has one.
        sequence: Option<u32>,
    },
}

impl Kind {
    /// Returns a short stable word for JSON: `request`, `ping` or `notification`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Ping => "ping",
            Kind::Notification { .. } => "notification",
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The response is there, with all of its blocks.
    Complete,
    /// No response came, or not all of its blocks, although the capture goes on.
    Unanswered,
    /// One end refused a message of it by a Reset.
    Reset,
    /// The capture begins or ends within it.
    Cut,
}

impl State {
    /// Returns a short stable word for JSON: `complete`, `unanswered`, `reset` or `cut`.
    pub fn name(self) -> &'static str {
        match self {
            State::Complete => "complete",
            State::Unanswered => "unanswered",
            State::Reset => "reset",
            State::Cut => "cut",
        }
    }
}

/// How much was sent in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of UDP payload, with all of DTLS.
    pub bytes: u64,
    /// Datagrams; one with several messages counts for the first.
    pub datagrams: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, other: Traffic) {
        self.bytes += other.bytes;
        self.datagrams += other.datagrams;
    }
}

/// A body, all blocks together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// Bytes as sent. Of a body with missing blocks, those that are there.
    pub bytes: u64,
    /// Bytes of the JSON that it stands for, without any white space of our own; None if it is neither CBOR
    /// nor JSON, or not whole.
    pub json_bytes: Option<u64>,
    /// Content-Format (option 12) as sent.
    pub format: Option<u16>,
    /// What it is, by format and content.
    pub kind: BodyKind,
    /// Blocks that were sent; 0 for a body that came in one message without a block option.
    pub blocks: u32,
    /// Why it cannot be read, if it cannot, with the offset of the byte.
    pub error: Option<BodyError>,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is not what its format says, or has no form in JSON.
    #[error(transparent)]
    Malformed(lowband_codec::Error),
    /// The same of the CBOR that a packed body stands for, in which the offset is.
    #[error("unpacked, {0}")]
    Unpacked(lowband_codec::Error),
    /// It is labelled packed CBOR, and no packer has made it, or not all of it is there.
    #[error(transparent)]
    NotPacked(NotPacked),
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// CBOR, packed or not, also where it is labelled JSON, as the reference implementation labels it.
    Cbor,
    /// JSON as text.
    Json,
    /// Text for people: a diagnostic payload (RFC 7252 section 5.5.2), or of format 0.
    Text,
    /// Neither of these, by its format and by its bytes.
    Other,
}

impl BodyKind {
    /// Returns a short stable word for JSON: `cbor`, `json`, `text` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            BodyKind::Cbor => "cbor",
            BodyKind::Json => "json",
            BodyKind::Text => "text",
            BodyKind::Other => "other",
        }
    }
}

/// Where a message stands in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// Number of its packet in the file, from 1.
    pub frame: u64,
    /// Where the payload of its datagram begins in the file; None if that was put together from fragments of
    /// IP, and cannot be read again.
    pub offset: Option<u64>,
    /// Bytes of the datagram's payload that were captured.
    pub length: u32,
    /// Where its record begins in the payload; 0 without DTLS.
    pub record_at: u32,
    /// When it was captured.
    pub time: Time,
    /// True if the session's client sent it.
    pub from_client: bool,
    /// Whether it is the first of its copies.
    pub mark: Mark,
}

/// Whether a message is the first of its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is the first.
    First,
    /// Its sender has sent it before, or has carried or asked for its blocks by an earlier message.
    Repeat,
    /// The capture has the very same record twice: the network doubled it, or it was captured in two places.
    Duplicate,
}

impl Mark {
    /// Returns a short stable word for JSON: `first`, `repeat` or `duplicate`.
    pub fn name(self) -> &'static str {
        match self {
            Mark::First => "first",
            Mark::Repeat => "repeat",
            Mark::Duplicate => "duplicate",
        }
    }
}

/// What is remarkable about an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Its beginning is not in the capture.
    BeginsBefore,
    /// Blocks of the request's body are not in the capture.
    UploadIncomplete,
    /// Blocks of the response's body are not in the capture.
    DownloadIncomplete,
    /// Blocks came in another order than that of the body.
    BlocksOutOfOrder,
    /// The ETag changed between two blocks: the body was begun anew.
    EtagChanged,
    /// Q-Block1 or Q-Block2 (RFC 9177), which are not put together here.
    QBlock,
    /// A request stood in an acknowledgement, against RFC 7252 section 4.2.
    RequestInAcknowledgement,
    /// A body is larger than [`Limits::body`](crate::Limits::body), and was not put together.
    BodyTooLarge,
    /// A body is CBOR and labelled JSON.
    MislabelledCbor,
    /// The Uri-Path options have no path: see the codec's `PathError`.
    OddPath,
    /// More messages than [`Limits::messages`](crate::Limits::messages); the later ones are counted only.
    TooManyMessages,
    /// Path and query are longer than [`Limits::target`](crate::Limits::target), and cut off.
    TargetCut,
    /// It was given up for [`Limits::open_exchanges`](crate::Limits::open_exchanges),
    /// [`Limits::open_messages`](crate::Limits::open_messages) or
    /// [`Limits::sessions`](crate::Limits::sessions).
    PushedOut,
    /// Its token was used again before it was answered.
    TokenReused,
}

impl Note {
    /// Returns a short stable word for JSON, e.g. `etag_changed`.
    pub fn name(self) -> &'static str {
        match self {
            Note::BeginsBefore => "begins_before",
            Note::UploadIncomplete => "upload_incomplete",
            Note::DownloadIncomplete => "download_incomplete",
            Note::BlocksOutOfOrder => "blocks_out_of_order",
            Note::EtagChanged => "etag_changed",
            Note::QBlock => "q_block",
            Note::RequestInAcknowledgement => "request_in_acknowledgement",
            Note::BodyTooLarge => "body_too_large",
            Note::MislabelledCbor => "mislabelled_cbor",
            Note::OddPath => "odd_path",
            Note::TooManyMessages => "too_many_messages",
            Note::TargetCut => "target_cut",
            Note::PushedOut => "pushed_out",
            Note::TokenReused => "token_reused",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Note::BeginsBefore => "its beginning is not in the capture",
            Note::UploadIncomplete => "blocks of the request are not in the capture",
            Note::DownloadIncomplete => "blocks of the response are not in the capture",
            Note::BlocksOutOfOrder => "blocks came out of order",
            Note::EtagChanged => "the ETag changed between two blocks",
            Note::QBlock => "it uses Q-Block1, whose blocks are not put together",
            Note::RequestInAcknowledgement => "a request stands in an acknowledgement",
            Note::BodyTooLarge => "a body is too large to be put together",
            Note::MislabelledCbor => "a CBOR body is labelled JSON",
            Note::OddPath => "the Uri-Path options are not a path",
            Note::TooManyMessages => "it has more messages than are kept",
            Note::TargetCut => "its path or query is longer than what is kept",
            Note::PushedOut => "it was given up, since too many exchanges or sessions were open",
            Note::TokenReused => "its token was used again before the answer",
        })
    }
}

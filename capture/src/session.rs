//! What is told of a session.

use crate::Time;
use crate::exchange::Traffic;
use crate::unread::Why;
use lowband_wire::dtls::suite::Suite;
use std::net::SocketAddr;

/// One DTLS association, or all plain CoAP between two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Number in the order of beginning, from 1.
    pub number: u32,
    /// Address and port of the client; the latest, if it moved.
    pub client: SocketAddr,
    /// Address and port of the server.
    pub server: SocketAddr,
    /// When its first datagram was captured.
    pub first: Time,
    /// When its last datagram was captured.
    pub last: Time,
    /// What protects it.
    pub protection: Protection,
    /// The suite that the server chose, if it is one whose records can be read.
    pub suite: Option<Suite>,
    /// Whether there are keys.
    pub keys: Keys,
    /// True if the server took up an earlier session (RFC 5246 section 7.3).
    pub resumed: bool,
    /// How many times the client's address changed, which a Connection ID allows (RFC 9146).
    pub moves: u32,
    /// Bytes of the Connection ID in what the client sends; None if there is none.
    pub connection_id_up: Option<u8>,
    /// Bytes of the Connection ID in what the server sends; None if there is none.
    pub connection_id_down: Option<u8>,
    /// Datagrams of the client without a message: handshakes and alerts.
    pub handshake_up: Traffic,
    /// Datagrams of the server without a message.
    pub handshake_down: Traffic,
    /// All datagrams of the client.
    pub up: Traffic,
    /// All datagrams of the server.
    pub down: Traffic,
    /// Datagrams that the capture has twice. They are in no other count.
    pub duplicates: u64,
    /// Records and messages that could not be read or assigned: why, and how many; each reason once.
    pub unread: Vec<(Why, u64)>,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// The last alert that was sent without protection: of a handshake that failed, of a server that does not
    /// know the session, or of somebody else.
    pub unprotected_alert: Option<UnprotectedAlert>,
    /// What its client said last of the key table that it knows (option 257 of MSC3079).
    pub cbor_version: Option<u32>,
    /// What its client said last of what it is capable of (option 65020).
    pub capabilities: Option<u32>,
    /// True if its client has sent an access token (option 256 of MSC3079).
    pub access_token: bool,
}

/// An alert in the clear, which proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprotectedAlert {
    /// True if it came from the client's address.
    pub from_client: bool,
    /// True if it is fatal, by its level (RFC 5246 section 7.2).
    pub is_fatal: bool,
    /// Number of the description (RFC 5246 section 7.2).
    pub description: u8,
}

/// What protects a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: CoAP over UDP (RFC 7252).
    Plain,
    /// DTLS 1.2 (RFC 6347).
    Dtls,
}

/// Whether a session can be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It is not protected.
    NotNeeded,
    /// There are none; the reasons are among [`Session::unread`].
    Missing,
    /// There are some that have not opened a record yet.
    Unproven,
    /// They have opened a record.
    Proven,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// By an alert under its protection.
    Alert {
        /// True if its client sent it.
        from_client: bool,
        /// Number of the description, 0 for close_notify (RFC 5246 section 7.2).
        description: u8,
    },
    /// Another session began between the same addresses.
    Replaced {
        /// [`Session::number`] of that session.
        by: u32,
    },
}

impl Session {
    pub(crate) fn new(number: u32, client: SocketAddr, server: SocketAddr, first: Time) -> Session {
        Session {
            number,
            client,
            server,
            first,
            last: first,
            protection: Protection::Dtls,
            suite: None,
            keys: Keys::Missing,
            resumed: false,
            moves: 0,
            connection_id_up: None,
            connection_id_down: None,
            handshake_up: Traffic::default(),
            handshake_down: Traffic::default(),
            up: Traffic::default(),
            down: Traffic::default(),
            duplicates: 0,
            unread: Vec::new(),
            end: None,
            unprotected_alert: None,
            cbor_version: None,
            capabilities: None,
            access_token: false,
        }
    }

    /// Counts something that cannot be read. Details of the reason other than the suite are not told apart.
    pub(crate) fn count_unread(&mut self, why: Why) {
        match self.unread.iter_mut().find(|(known, _)| known.name() == why.name()) {
            Some((_, count)) => *count += 1,
            None => self.unread.push((why, 1)),
        }
    }
}

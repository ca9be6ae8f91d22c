//! A ClientHello in pieces (RFC 6347 section 4.2.3), put together once its first piece has brought
//! a valid cookie.
//!
//! The cookie covers what the first piece holds, so the rest is gathered only for senders that receive at
//! their address. Where pieces overlap, the bytes that came first stay: if that changes the hello, the
//! Finished will show it.

use super::handshake::ClientRandom;
use super::table::HasPeer;
use lowband_wire::dtls::fragments::HANDSHAKE_HEADER;
use lowband_wire::dtls::hello::{self, ClientHello, Piece};
use lowband_wire::dtls::record::{MAX_PLAINTEXT, RecordNumber};
use std::net::SocketAddr;
use std::time::Instant;

/// One hello of which pieces are missing.
pub(super) struct Gathering {
    peer: SocketAddr,
    /// Number of the first piece's record; the hello is answered under it. The random comes from that piece,
    /// too.
    number: RecordNumber,
    random: ClientRandom,
    message_seq: u16,
    body: Vec<u8>,
    /// For each byte of the body, whether it has come.
    is_there: Vec<bool>,
    pub(super) began: Instant,
    /// When gathering is given up; the endpoint's timers have this time.
    pub(super) give_up: Instant,
}

impl HasPeer for Gathering {
    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Gathering {
    /// Starts with none of the bytes. `hello.piece.length` must have been checked against the limit.
    pub(super) fn new(
        peer: SocketAddr,
        hello: &ClientHello<'_>,
        began: Instant,
        give_up: Instant,
    ) -> Gathering {
        let length = hello.piece.length.min(MAX_PLAINTEXT - HANDSHAKE_HEADER);
        Gathering {
            peer,
            number: hello.record.number,
            random: *hello.random,
            message_seq: hello.piece.message_seq,
            body: vec![0; length],
            is_there: vec![false; length],
            began,
            give_up,
        }
    }

    /// Returns whether `hello` is a copy of the beginning of the hello that is being gathered.
    pub(super) fn began_with(&self, hello: &ClientHello<'_>) -> bool {
        self.random == *hello.random && self.takes(&hello.piece)
    }

    /// Returns whether the piece can belong to this hello.
    pub(super) fn takes(&self, piece: &Piece<'_>) -> bool {
        self.message_seq == piece.message_seq && self.body.len() == piece.length
    }

    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        let places = self.body.iter_mut().zip(&mut self.is_there).skip(piece.offset);
        for ((byte, is_there), new) in places.zip(piece.bytes) {
            if !*is_there {
                (*byte, *is_there) = (*new, true);
            }
        }
    }

    /// Returns the hello as if it had come in one datagram; None while bytes are missing.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        let is_whole = self.is_there.iter().all(|is_there| *is_there);
        is_whole.then(|| hello::build(self.number, self.message_seq, &self.body))
    }
}

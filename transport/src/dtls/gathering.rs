//! A ClientHello in pieces (RFC 6347 section 4.2.3), put together once its first piece has brought a valid cookie.
//!
//! The cookie covers what the first piece holds, so the rest is gathered only for who receives at its address. Where
//! pieces overlap the bytes that came first stay: whatever they make of the hello, the Finished will show it.

use super::fragments::HANDSHAKE_HEADER;
use super::handshake::ClientRandom;
use super::hello::{self, ClientHello, Piece};
use super::record::{MAX_PLAINTEXT, RecordNumber};
use super::table::HasPeer;
use std::net::SocketAddr;
use std::time::Instant;

/// One hello of which pieces are missing.
pub(super) struct Gathering {
    peer: SocketAddr,
    /// Of the first piece, as well as the random: the hello is answered under it.
    number: RecordNumber,
    random: ClientRandom,
    message_seq: u16,
    body: Vec<u8>,
    /// For each byte of the body.
    is_there: Vec<bool>,
    pub(super) began: Instant,
    /// When the rest is not waited for any more; under this time it stands in the endpoint's timers.
    pub(super) give_up: Instant,
}

impl HasPeer for Gathering {
    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Gathering {
    /// Holds none of the bytes yet. `hello.piece.length` must have been checked against the limit.
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

    /// Whether `hello` is the beginning of the one that is being gathered, come again.
    pub(super) fn began_with(&self, hello: &ClientHello<'_>) -> bool {
        self.random == *hello.random && self.takes(&hello.piece)
    }

    /// Whether the piece can be one of this hello.
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

    /// As if it had come in one datagram, when nothing is missing.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        let is_whole = self.is_there.iter().all(|is_there| *is_there);
        is_whole.then(|| hello::build(self.number, self.message_seq, &self.body))
    }
}

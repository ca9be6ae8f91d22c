//! What a record is to a handshake: what OpenSSL must not see of it, and what shows that something was lost,
//! or what passes.

use super::super::event::PathSize;
use super::super::front::MAX_MESSAGE_SEQ;
use super::super::pipe::Pipe;
use super::super::recut::SMALL_DATAGRAM;
use super::Handshake;
use lowband_wire::dtls::fragments::{Fragment, Fragments, HANDSHAKE_HEADER, Malformed};
use lowband_wire::dtls::handshake::{CLIENT_KEY_EXCHANGE, HELLO_VERIFY_REQUEST, SERVER_HELLO_DONE};
use lowband_wire::dtls::keys::Role;
use lowband_wire::dtls::record::{ContentType, Record};
use openssl::ssl::SslStream;
use std::time::Instant;

/// A client's messages are short (no certificate, a key of 65 bytes); OpenSSL would reserve any length that
/// is claimed.
const MAX_CLIENT_MESSAGE: usize = 512;

impl Handshake {
    /// Returns whether the record is the client's answer to our flight.
    pub(super) fn is_answer(&self, record: &Record<'_>) -> bool {
        let holds_the_key = |fragment: Fragment| fragment.kind == CLIENT_KEY_EXCHANGE;
        self.role == Role::Server
            && (record.number.epoch(), record.content_type) == (0, ContentType::Handshake)
            && !self.reads_protected()
            && self.is_acceptable(record)
            && Fragments::new(record.fragment).flatten().any(holds_the_key)
    }

    /// Returns whether all messages of a client's record are short and whole within it.
    pub(super) fn is_acceptable(&self, record: &Record<'_>) -> bool {
        let is_short = |fragment: Result<Fragment, Malformed>| {
            fragment.is_ok_and(|fragment| fragment.length <= MAX_CLIENT_MESSAGE)
        };
        self.role == Role::Client || Fragments::new(record.fragment).all(is_short)
    }

    /// Returns whether a HelloVerifyRequest is one too many. Nothing vouches for it, and OpenSSL answers one
    /// after the other, each with a hello: an attacker on the path could keep it at that at the speed of the
    /// link. OpenSSL takes them in the order of their message_seq (RFC 6347 section 4.2.2), so those that the
    /// server repeats because hellos were lost are not counted here.
    pub(super) fn asks_for_a_cookie_too_often(&self, record: &Record<'_>) -> bool {
        let is_one_too_many = |fragment: Fragment| {
            fragment.kind == HELLO_VERIFY_REQUEST && fragment.message_seq >= MAX_MESSAGE_SEQ
        };
        self.role == Role::Client && Fragments::new(record.fragment).flatten().any(is_one_too_many)
    }

    /// Returns whether the server has not had our last flight: it says its ServerHelloDone again, later than
    /// it could have had that flight.
    pub(super) fn is_repeated_flight(&self, now: Instant, record: &Record<'_>) -> bool {
        let our_finished_is_sent = self.numbering.protected() > 0;
        let ends_with_done = record.content_type == ContentType::Handshake
            && record.fragment.len().checked_sub(HANDSHAKE_HEADER).and_then(|at| record.fragment.get(at))
                == Some(&SERVER_HELLO_DONE);
        self.role == Role::Client
            && our_finished_is_sent
            && ends_with_done
            && self.flight.age(now) > self.round_trips.latest()
    }

    /// Notes the length of a datagram that arrived for this handshake.
    pub(in crate::dtls) fn has_come(&mut self, bytes: usize) {
        self.answer = self.answer.saturating_add(bytes);
        if bytes > SMALL_DATAGRAM {
            self.path = PathSize::Large;
        }
    }

    /// Judges the path when our flight has been answered.
    pub(super) fn judge_path(&mut self, now: Instant) {
        let came_small = self.answer > SMALL_DATAGRAM && self.flight.has_waited_for_recut(now);
        match self.flight.path_size() {
            _ if self.path == PathSize::Large => {}
            PathSize::Unknown if came_small => self.path = PathSize::Small,
            PathSize::Unknown => {}
            shown => self.path = shown,
        }
        self.answer = 0;
    }

    /// Returns whether OpenSSL has read the client's ChangeCipherSpec. Until then it would keep up to 100
    /// protected records in buffers of 17 kB each. At the connecting side that does no harm: only the server
    /// that it has chosen could make use of it.
    pub(super) fn reads_protected(&self) -> bool {
        let has_cipher = |stream: &SslStream<Pipe>| stream.ssl().current_cipher().is_some();
        self.role == Role::Client || self.stream.as_ref().is_some_and(has_cipher)
    }
}

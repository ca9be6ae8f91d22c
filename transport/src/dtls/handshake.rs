//! One handshake (RFC 6347 section 4.2): OpenSSL's messages in our datagrams, our timer, our record numbers.
//!
//! ```text
//! accept  -> flight 4 (ServerHello ... ServerHelloDone)      connect -> flight 1 (ClientHello)
//! records -> flight 6 (CCS, Finished): done                  records -> flight 3 (with cookie), flight 5 (... Finished)
//!                                                            records (CCS, Finished): done
//! ```
//!
//! A flight is all that OpenSSL writes in answer to one record; it replaces the previous flight, which the
//! peer has evidently received.

mod accepting;
mod judging;

use super::aead::Aeads;
use super::config::Limits;
use super::context::Contexts;
use super::counters::Counters;
use super::event::PathSize;
use super::extensions;
use super::failure::{Failure, HandshakeFailure};
use super::flight::{Flight, Numbering};
use super::job::Step;
use super::patience::{Patience, RoundTrips};
use super::pipe::Pipe;
use super::secrets::secrets_of;
use super::table::HasPeer;
use crate::{Mistake, SetupError};
use lowband_wire::dtls::fragments::Fragments;
use lowband_wire::dtls::handshake::HELLO_VERIFY_REQUEST;
use lowband_wire::dtls::keys::{Keys, Role};
use lowband_wire::dtls::record::{ContentType, EPOCH, HEADER, MAX_PLAINTEXT, Record, RecordNumber, Records};
use openssl::ssl::{ErrorCode, SslStream};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(super) use accepting::GoOn;

/// Protected records that overtook the end of the handshake: kept until the keys are there. A client asks
/// one thing first; what is lost is sent again by CoAP.
const EARLY_RECORDS: usize = 4;
/// Most bytes of all early records together.
const EARLY_BYTES: usize = 4096;

/// The `random` of a ClientHello (RFC 5246 section 7.4.1.2).
pub(super) type ClientRandom = [u8; 32];

/// A handshake under way.
pub(super) struct Handshake {
    /// OpenSSL's object; None while a [`Job`](super::job::Job) has it.
    stream: Option<SslStream<Pipe>>,
    peer: SocketAddr,
    local: Option<IpAddr>,
    role: Role,
    /// Random by which a repeated hello is distinguished from a new one (accepting side).
    client_random: Option<ClientRandom>,
    mtu: usize,
    /// Number of the next epoch-0 record for OpenSSL. Nothing is gained by its replay window there, and a
    /// peer that repeats a flight byte for byte would lose what OpenSSL threw away for coming too early.
    fed: u64,
    numbering: Numbering,
    flight: Flight,
    early: Vec<Vec<u8>>,
    round_trips: RoundTrips,
    path: PathSize,
    /// Bytes of the datagrams that have come since our flight was sent.
    answer: usize,
    /// Connecting side: the record number of the hello that is being answered by a HelloVerifyRequest.
    verified_hello: Option<u64>,
    /// Records in plaintext that came while a job was run.
    waiting: Vec<Vec<u8>>,
    /// Alert for the client if no flight comes of its hello (accepting side).
    refusal: Option<Vec<u8>>,
    began: Instant,
    give_up: Instant,
    /// Time under which the handshake stands in the endpoint's timers.
    pub(super) timer: Option<Instant>,
}

/// Where a handshake stands after a record.
#[derive(Debug)]
pub(super) enum Progress {
    Waiting,
    /// The keys are there: [`Handshake::finish`] takes them out.
    Finished,
    /// The handshake has failed; an alert to the peer may be among the datagrams.
    Failed(Failure),
}

/// What a handshake that has finished leaves behind.
pub(super) struct Finished {
    pub(super) peer: SocketAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) role: Role,
    pub(super) keys: Keys,
    /// First free sequence number of epoch 1.
    pub(super) next_write: u64,
    /// The client's random, at the accepting side.
    pub(super) client_random: Option<ClientRandom>,
    /// The last flight that we have sent.
    pub(super) last_flight: Flight,
    pub(super) round_trip: Option<Duration>,
    /// Bytes of plaintext that a record may have.
    pub(super) largest: usize,
    pub(super) path: PathSize,
    /// Protected records to be handled now.
    pub(super) early: Vec<Vec<u8>>,
}

impl HasPeer for Handshake {
    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Handshake {
    pub(super) fn connect(
        contexts: &Contexts,
        limits: &Limits,
        now: Instant,
        peer: SocketAddr,
        server_name: &str,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<Handshake, SetupError> {
        let stream = contexts.connect(server_name)?;
        let mut handshake =
            Handshake::new(Some(stream), limits, now, peer, None, Role::Client, Numbering::starting_at(0));
        match handshake.step(now, out) {
            Progress::Failed(failure) => Err(Mistake::OpenSsl(failure.why.to_string()).into()),
            _ => Ok(handshake),
        }
    }

    fn new(
        stream: Option<SslStream<Pipe>>,
        limits: &Limits,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        role: Role,
        numbering: Numbering,
    ) -> Handshake {
        Handshake {
            stream,
            peer,
            local,
            role,
            client_random: None,
            mtu: limits.mtu,
            fed: 0,
            numbering,
            flight: Flight::new(now, Vec::new(), Patience::DEFAULT),
            early: Vec::new(),
            round_trips: RoundTrips::default(),
            path: PathSize::Unknown,
            answer: 0,
            verified_hello: None,
            waiting: Vec::new(),
            refusal: None,
            began: now,
            give_up: now + limits.handshake,
            timer: None,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }
    /// Sets when the handshake began, which was before its hello was whole.
    pub(super) fn began_at(&mut self, began: Instant) {
        self.began = began;
    }
    pub(super) fn began(&self) -> Instant {
        self.began
    }
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.local
    }
    /// Returns whether a hello with this random is the one that this handshake began with.
    pub(super) fn began_with(&self, random: &ClientRandom) -> bool {
        self.client_random.as_ref() == Some(random)
    }
    /// Returns when to call [`Handshake::handle_timeout`].
    pub(super) fn due(&self) -> Instant {
        let due = self.flight.due().filter(|_| !self.flight.datagrams().is_empty());
        due.map_or(self.give_up, |due| due.min(self.give_up))
    }

    /// Repeats the flight, or returns why the handshake is over.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        counters: &mut Counters,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<(), HandshakeFailure> {
        if now >= self.give_up {
            let answered = self.fed > 0 || self.role == Role::Server;
            return Err(if answered { HandshakeFailure::FellSilent } else { HandshakeFailure::NoAnswer });
        }
        if self.flight.due().is_some_and(|due| now >= due) {
            let datagrams = self.flight.repeat_by_timer(now, counters).into_owned();
            self.send_again(&datagrams, out);
        }
        Ok(())
    }

    /// Sends our flight again: the peer has repeated its own, so ours seems lost.
    pub(super) fn repeat(&mut self, now: Instant, counters: &mut Counters, out: &mut Vec<Vec<u8>>) {
        if self.flight.datagrams().is_empty() {
            return;
        }
        let datagrams = self.flight.repeat(now, counters).into_owned();
        self.send_again(&datagrams, out);
    }

    /// Sends each record under a new number (RFC 6347 section 4.1): a peer that keeps a replay window would
    /// not look at the old ones, and an OpenSSL server whose last flight was lost would never send it again.
    fn send_again(&mut self, datagrams: &[Vec<u8>], out: &mut Vec<Vec<u8>>) {
        if datagrams.is_empty() {
            return;
        }
        self.flight.number(self.numbering.plain());
        for datagram in datagrams {
            let records = Records::new(datagram).flatten();
            out.push(records.flat_map(|record| self.under_new_number(&record)).collect());
        }
    }

    fn under_new_number(&mut self, record: &Record<'_>) -> Vec<u8> {
        if record.number.epoch() == 0 {
            return record.renumbered(self.numbering.next_plain());
        }
        // Our Finished. OpenSSL has sealed it; its keys open it.
        let secrets = self.stream.as_ref().and_then(|stream| secrets_of(stream.ssl()).ok());
        let sealed = secrets.and_then(|secrets| {
            let Keys { aead, write, .. } = Keys::derive(&secrets, self.role);
            let mut aeads = Aeads::default();
            let plaintext = aeads.open(aead, &write, record)?;
            aeads.seal(aead, &write, self.numbering.next_protected(), record.content_type, &plaintext).ok()
        });
        sealed.unwrap_or_else(|| record.raw.to_vec())
    }

    pub(super) fn handle_record(
        &mut self,
        now: Instant,
        record: &Record<'_>,
        counters: &mut Counters,
        out: &mut Vec<Vec<u8>>,
    ) -> Progress {
        match (record.number.epoch(), record.content_type) {
            (0, ContentType::ApplicationData) => counters.records_unprotected += 1,
            (0, ContentType::Handshake) if !self.is_acceptable(record) => counters.records_unexpected += 1,
            (0, ContentType::Handshake) if self.asks_for_a_cookie_too_often(record) => {
                counters.cookies_over_message_seq += 1;
            }
            (0, _) if self.stream.is_none() => {
                keep(&mut self.waiting, record, counters);
            }
            (0, _) => {
                if self.is_repeated_flight(now, record) {
                    self.repeat(now, counters, out);
                }
                let progress = self.feed_plain(now, record, out);
                return match progress {
                    Progress::Waiting if record.content_type == ContentType::ChangeCipherSpec => {
                        self.feed_early(now, out)
                    }
                    other => other,
                };
            }
            (EPOCH, ContentType::Handshake | ContentType::Alert) if self.reads_protected() => {
                return self.feed(now, record.raw.to_vec(), out);
            }
            (EPOCH, _) => keep(&mut self.early, record, counters),
            _ => counters.records_wrong_epoch += 1,
        }
        Progress::Waiting
    }

    /// Hands over a Finished that overtook its ChangeCipherSpec.
    fn feed_early(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) -> Progress {
        if !self.reads_protected() {
            return Progress::Waiting;
        }
        let is_application = |bytes: &Vec<u8>| bytes.first() == Some(&(ContentType::ApplicationData as u8));
        let (data, messages) = std::mem::take(&mut self.early).into_iter().partition(is_application);
        self.early = data;
        for bytes in messages {
            match self.feed(now, bytes, out) {
                Progress::Waiting => {}
                other => return other,
            }
        }
        Progress::Waiting
    }

    fn feed_plain(&mut self, now: Instant, record: &Record<'_>, out: &mut Vec<Vec<u8>>) -> Progress {
        // RFC 6347 section 4.2.1: a HelloVerifyRequest has the number of its hello.
        let mut messages = Fragments::new(record.fragment).flatten();
        let verifies = messages.any(|message| message.kind == HELLO_VERIFY_REQUEST);
        self.verified_hello = verifies.then(|| record.number.sequence());
        let bytes = self.for_openssl(record);
        self.feed(now, bytes, out)
    }

    fn for_openssl(&mut self, record: &Record<'_>) -> Vec<u8> {
        self.fed += 1;
        record.renumbered(RecordNumber::new(0, self.fed - 1))
    }

    fn feed(&mut self, now: Instant, record: Vec<u8>, out: &mut Vec<Vec<u8>>) -> Progress {
        if let Some(stream) = &mut self.stream {
            stream.get_mut().push(record);
        }
        self.step(now, out)
    }

    fn step(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) -> Progress {
        match self.stream.take() {
            Some(stream) => self.stepped(now, Step::go_on(stream), out),
            None => Progress::Waiting,
        }
    }

    fn stepped(&mut self, now: Instant, step: Step, out: &mut Vec<Vec<u8>>) -> Progress {
        let Step { stream, result, written } = step;
        let stream = self.stream.insert(stream);
        let first = self.numbering.plain();
        // A client that asks for short records may have room for one only (Californium): no datagram holds
        // more than that.
        let agreed = stream.ssl().session().map_or(MAX_PLAINTEXT, extensions::largest_plaintext);
        let datagrams = self.numbering.pack(&written, self.mtu.min(HEADER + agreed));
        out.extend_from_slice(&datagrams);
        let progress = match result {
            Ok(()) => Progress::Finished,
            Err(error) if error.code() == ErrorCode::WANT_READ => Progress::Waiting,
            // The datagrams hold an alert at most; nothing is repeated any more.
            Err(error) => return Progress::Failed(Failure::of(stream.ssl(), &error)),
        };
        if !datagrams.is_empty() || matches!(progress, Progress::Finished) {
            self.round_trips.add(self.measure(now));
            self.judge_path(now);
            self.flight = Flight::new(now, datagrams, self.round_trips.patience(self.role));
            self.flight.number(first);
        }
        progress
    }

    /// Returns how long the peer took to answer our flight.
    fn measure(&self, now: Instant) -> Option<Duration> {
        if self.flight.datagrams().is_empty() {
            return None;
        }
        let since_hello = self.verified_hello.and_then(|number| self.flight.since(number, now));
        since_hello.or_else(|| self.flight.round_trip(now))
    }

    /// Takes the keys out; OpenSSL's object goes.
    pub(super) fn finish(self) -> Result<Finished, HandshakeFailure> {
        let stream = self.stream.ok_or(HandshakeFailure::NoSecrets)?;
        let keys = Keys::derive(&secrets_of(stream.ssl())?, self.role);
        let session = stream.ssl().session().ok_or(HandshakeFailure::NoSecrets)?;
        let largest = extensions::largest_plaintext(session);
        Ok(Finished {
            peer: self.peer,
            local: self.local,
            role: self.role,
            keys,
            next_write: self.numbering.protected(),
            client_random: self.client_random,
            last_flight: self.flight,
            round_trip: self.round_trips.first(),
            largest,
            path: self.path,
            early: self.early,
        })
    }
}

fn keep(kept: &mut Vec<Vec<u8>>, record: &Record<'_>, counters: &mut Counters) {
    let bytes: usize = kept.iter().map(Vec::len).sum();
    if kept.len() < EARLY_RECORDS && bytes + record.raw.len() <= EARLY_BYTES {
        kept.push(record.raw.to_vec());
    } else {
        counters.records_early_dropped += 1;
    }
}

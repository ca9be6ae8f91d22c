//! A session after its handshake: traffic keys, record numbers, the replay window; nothing of OpenSSL.

use super::aead::Aeads;
use super::endpoint::silence::Links;
use super::event::{CloseReason, PathSize};
use super::flight::Flight;
use super::handshake::{ClientRandom, Finished};
use super::replay::ReplayWindow;
use super::suite;
use super::table::HasPeer;
use lowband_wire::dtls::alert::{Alert, CLOSE_NOTIFY, NO_RENEGOTIATION, WARNING};
use lowband_wire::dtls::fragments::Fragments;
use lowband_wire::dtls::handshake::{CLIENT_HELLO, HELLO_REQUEST};
use lowband_wire::dtls::keys::{Keys, Role};
use lowband_wire::dtls::record::{ContentType, EPOCH, Record, RecordNumber};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// An established session. There may be a hundred thousand of them, so its size matters.
pub(super) struct Session {
    peer: SocketAddr,
    /// Local address at which the peer's last authentic record arrived.
    pub(super) local: Option<IpAddr>,
    keys: Keys,
    /// Next record number to write. Number 0 of [`EPOCH`] was that of our Finished, sealed by OpenSSL.
    next_write: u64,
    window: ReplayWindow,
    /// The beginning of the client's random (accepting side), by which a hello that comes late is recognised.
    began_with: Option<[u8; 8]>,
    /// When the peer's last authentic record arrived.
    pub(super) heard: Instant,
    /// Place in the order of silence.
    pub(super) links: Links,
    /// Some on the accepting side, until the first application record.
    unconfirmed: Option<Box<Unconfirmed>>,
    /// Most bytes of plaintext in a record (RFC 6066 section 4).
    largest: u16,
    /// Attempts to renegotiate since the last application record.
    renegotiations: u8,
}

/// Attempts to renegotiate in a row that are answered: a client repeats its hello only until it
/// has an answer.
const MAX_REFUSALS: u8 = 12;

/// Kept while the peer may not have our Finished yet.
struct Unconfirmed {
    last_flight: Flight,
    round_trip: Option<Duration>,
    took: Duration,
    path: PathSize,
}

/// What a received record contains.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Data(Vec<u8>),
    /// The peer has ended the session.
    Ended(CloseReason),
    /// The peer has repeated its last flight: see [`Session::last_flight`].
    RepeatedFlight,
    /// The peer wants to renegotiate: see [`Session::refuses_renegotiation`].
    Renegotiation,
    /// An alert that ends nothing.
    Warning,
    /// The record is authentic, but has no meaning here.
    Unexpected,
    Forged,
    Replayed,
}

impl HasPeer for Session {
    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Session {
    /// Makes a session; `took` is how long its handshake took.
    pub(super) fn new(now: Instant, took: Duration, finished: Finished) -> Session {
        let Finished {
            peer,
            local,
            role,
            keys,
            next_write,
            client_random,
            last_flight,
            round_trip,
            largest,
            path,
            early: _,
        } = finished;
        let began_with = client_random.as_ref().and_then(|random| random.first_chunk().copied());
        let unconfirmed =
            (role == Role::Server).then(|| Box::new(Unconfirmed { last_flight, round_trip, took, path }));
        Session {
            peer,
            local,
            keys,
            next_write,
            window: ReplayWindow::default(),
            began_with,
            heard: now,
            links: Links::default(),
            unconfirmed,
            largest: u16::try_from(largest).unwrap_or(u16::MAX),
            renegotiations: 0,
        }
    }

    /// Returns how many bytes one record may carry.
    pub(super) fn largest_message(&self) -> usize {
        self.largest.into()
    }

    /// Returns whether the session comes from the handshake that began with a hello of this random. (A client
    /// chooses its random itself, so a longer comparison would prove no more.)
    pub(super) fn began_with(&self, random: &ClientRandom) -> bool {
        self.began_with.is_some_and(|beginning| random.starts_with(&beginning))
    }

    /// Returns whether the other end has begun the session.
    pub(super) fn is_accepted(&self) -> bool {
        self.began_with.is_some()
    }

    /// Returns how many records may fail their authentication before the session ends.
    pub(super) fn max_forged(&self) -> u64 {
        suite::max_forged(self.keys.aead)
    }

    /// Encrypts into one record. `None` if the record numbers are used up or OpenSSL fails.
    pub(super) fn seal(
        &mut self,
        aeads: &mut Aeads,
        content_type: ContentType,
        plaintext: &[u8],
    ) -> Option<Vec<u8>> {
        if self.next_write > RecordNumber::LAST {
            return None;
        }
        let number = RecordNumber::new(EPOCH, self.next_write);
        // Before anything can fail: a number is never used twice.
        self.next_write += 1;
        aeads.seal(self.keys.aead, &self.keys.write, number, content_type, plaintext).ok()
    }

    /// Decrypts a record of [`EPOCH`].
    pub(super) fn open(&mut self, aeads: &mut Aeads, record: &Record<'_>) -> Opened {
        let sequence = record.number.sequence();
        let fresh = self.window.is_fresh(sequence);
        // pion repeats its Finished under its old number; it is answered as long as our last flight is kept.
        let may_repeat = record.content_type == ContentType::Handshake && self.unconfirmed.is_some();
        if !fresh && !may_repeat {
            return Opened::Replayed;
        }
        let Some(plaintext) = aeads.open(self.keys.aead, &self.keys.read, record) else {
            return Opened::Forged;
        };
        self.window.mark(sequence);
        match record.content_type {
            ContentType::ApplicationData => {
                self.renegotiations = 0;
                Opened::Data(plaintext)
            }
            ContentType::Alert => alert(&plaintext),
            ContentType::Handshake if begins_renegotiation(&plaintext) => {
                if fresh {
                    Opened::Renegotiation
                } else {
                    Opened::Replayed
                }
            }
            ContentType::Handshake if may_repeat => Opened::RepeatedFlight,
            ContentType::Handshake | ContentType::ChangeCipherSpec | ContentType::ConnectionId => {
                Opened::Unexpected
            }
        }
    }

    /// Returns whether one more attempt to renegotiate is answered.
    pub(super) fn refuses_renegotiation(&mut self) -> bool {
        let answers = self.renegotiations < MAX_REFUSALS;
        self.renegotiations = self.renegotiations.saturating_add(1);
        answers
    }

    /// Returns our last flight, which is kept until the peer is known to have it.
    pub(super) fn last_flight(&mut self) -> Option<&mut Flight> {
        self.unconfirmed.as_mut().map(|unconfirmed| &mut unconfirmed.last_flight)
    }

    /// Returns whether the session has been reported to the caller.
    pub(super) fn is_confirmed(&self) -> bool {
        self.unconfirmed.is_none()
    }

    /// Notes that the peer has our Finished, which its first application record proves. Returns the round
    /// trip of the handshake, its duration and what it has shown of the path, the first time.
    pub(super) fn confirm(&mut self) -> Option<(Option<Duration>, Duration, PathSize)> {
        self.unconfirmed
            .take()
            .map(|unconfirmed| (unconfirmed.round_trip, unconfirmed.took, unconfirmed.path))
    }
}

/// Returns whether the plaintext of an alert is that of one that ends sessions.
pub(super) fn is_fatal(plaintext: &[u8]) -> bool {
    Alert::parse(plaintext).is_some_and(Alert::is_fatal)
}

/// Reads the plaintext of an alert (RFC 5246 section 7.2).
fn alert(plaintext: &[u8]) -> Opened {
    match Alert::parse(plaintext) {
        Some(Alert { description: CLOSE_NOTIFY, .. }) => Opened::Ended(CloseReason::CloseNotify),
        Some(alert) if alert.is_fatal() => Opened::Ended(CloseReason::Alert(alert.description)),
        Some(_) => Opened::Warning,
        None => Opened::Unexpected,
    }
}

/// Returns whether a plaintext is the beginning of a hello, or the request for one.
fn begins_renegotiation(plaintext: &[u8]) -> bool {
    let first = Fragments::new(plaintext).next().and_then(Result::ok);
    first.is_some_and(|first| matches!(first.kind, CLIENT_HELLO | HELLO_REQUEST) && first.offset == 0)
}

/// A no_renegotiation alert, which is a warning (RFC 5246 section 7.2.2): the session goes on.
pub(super) const NO_RENEGOTIATION_ALERT: [u8; 2] =
    Alert { level: WARNING, description: NO_RENEGOTIATION }.to_wire();

/// A close_notify alert, sent as a warning (RFC 5246 section 7.2.1).
pub(super) const CLOSE_NOTIFY_ALERT: [u8; 2] = Alert { level: WARNING, description: CLOSE_NOTIFY }.to_wire();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::counters::Counters;
    use crate::dtls::patience::Patience;
    use lowband_wire::dtls::keys::Secrets;
    use lowband_wire::dtls::record;
    use lowband_wire::dtls::suite::Suite;

    impl Session {
        /// Makes a session with a peer of its own.
        pub(in crate::dtls) fn heard_at(now: Instant, number: u64) -> Session {
            let peer = format!("192.0.2.{number}:5000").parse().unwrap();
            Session { peer, ..end(now, Role::Client) }
        }
    }

    /// Makes both ends of one session, as their handshake leaves them.
    fn ends() -> [Session; 2] {
        [Role::Client, Role::Server].map(|role| end(Instant::now(), role))
    }

    fn end(now: Instant, role: Role) -> Session {
        let secrets = Secrets::new(Suite::from_id(0xcca9).unwrap(), &[7; 48], [1; 32], [2; 32]);
        let finished = Finished {
            peer: "192.0.2.1:5000".parse().unwrap(),
            local: None,
            role,
            keys: Keys::derive(&secrets, role),
            next_write: 1,
            client_random: Some([1; 32]),
            last_flight: Flight::new(now, vec![vec![9]], Patience::DEFAULT),
            round_trip: Some(Duration::from_millis(5)),
            largest: 1024,
            path: PathSize::Small,
            early: Vec::new(),
        };
        Session::new(now, Duration::ZERO, finished)
    }

    /// Returns how `to` opens a record of `from`.
    fn pass(from: &mut Session, to: &mut Session, content_type: ContentType, plaintext: &[u8]) -> Opened {
        let mut aeads = Aeads::default();
        let bytes = from.seal(&mut aeads, content_type, plaintext).unwrap();
        to.open(&mut aeads, &record::parse(&bytes).unwrap().0)
    }

    #[test]
    fn authentic_alerts_end_the_session_when_fatal_or_close_notify() {
        let table: [(&[u8], Opened); 8] = [
            (&[1, 0], Opened::Ended(CloseReason::CloseNotify)),
            (&[2, 0], Opened::Ended(CloseReason::CloseNotify)),
            (&[2, 20], Opened::Ended(CloseReason::Alert(20))),
            (&[1, 90], Opened::Warning),
            (&[1, 100], Opened::Warning),
            (&[], Opened::Unexpected),
            (&[2], Opened::Unexpected),
            (&[2, 20, 0], Opened::Unexpected),
        ];
        let [mut client, mut server] = ends();
        for (plaintext, expected) in table {
            assert_eq!(
                pass(&mut client, &mut server, ContentType::Alert, plaintext),
                expected,
                "{plaintext:?}"
            );
        }
    }

    #[test]
    fn a_repeated_finished_brings_our_last_flight_until_the_peer_has_said_something() {
        let [mut client, mut server] = ends();
        let mut aeads = Aeads::default();
        let finished = client.seal(&mut aeads, ContentType::Handshake, b"finished").unwrap();
        let (finished, _) = record::parse(&finished).unwrap();
        for _ in 0..3 {
            assert_eq!(server.open(&mut aeads, &finished), Opened::RepeatedFlight, "under the same number");
        }
        let flight = server.last_flight().unwrap();
        assert_eq!(*flight.repeat(Instant::now(), &mut Counters::default()), [[9]]);

        assert_eq!(
            pass(&mut client, &mut server, ContentType::ApplicationData, b"x"),
            Opened::Data(b"x".to_vec())
        );
        assert_eq!(server.confirm(), Some((Some(Duration::from_millis(5)), Duration::ZERO, PathSize::Small)));
        assert!(server.is_confirmed() && server.last_flight().is_none());
        assert_eq!(server.open(&mut aeads, &finished), Opened::Replayed);
        assert_eq!(pass(&mut client, &mut server, ContentType::Handshake, b"finished"), Opened::Unexpected);
        assert_eq!(pass(&mut server, &mut client, ContentType::Handshake, b"finished"), Opened::Unexpected);
    }

    #[test]
    fn twelve_tries_to_renegotiate_in_a_row_are_answered_and_the_session_goes_on() {
        // Type, length, message_seq, fragment offset, fragment length.
        let hello = [&[1, 0, 0, 3, 0, 3, 0, 0, 0, 0, 0, 3][..], b"abc"].concat();
        let hello_request = [0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0];
        for begins in [&hello[..], &hello_request] {
            let [mut client, mut server] = ends();
            for round in 0..2 {
                for number in 0..20 {
                    let opened = pass(&mut client, &mut server, ContentType::Handshake, begins);
                    assert_eq!(opened, Opened::Renegotiation, "before and after the first data");
                    assert_eq!(server.refuses_renegotiation(), number < 12, "{round}");
                }
                let data = pass(&mut client, &mut server, ContentType::ApplicationData, b"x");
                assert_eq!(data, Opened::Data(b"x".to_vec()));
                server.confirm();
            }
        }
        let [mut client, mut server] = ends();
        let mut further = hello.clone();
        (further[3], further[8]) = (6, 3);
        let opened = pass(&mut client, &mut server, ContentType::Handshake, &further);
        assert_eq!(opened, Opened::RepeatedFlight, "no beginning of a hello");
        let mut aeads = Aeads::default();
        let once = client.seal(&mut aeads, ContentType::Handshake, &hello).unwrap();
        let (once, _) = record::parse(&once).unwrap();
        assert_eq!(server.open(&mut aeads, &once), Opened::Renegotiation);
        assert_eq!(server.open(&mut aeads, &once), Opened::Replayed);
    }

    #[test]
    fn the_last_record_number_is_used_and_none_after_it() {
        let [mut client, mut server] = ends();
        client.next_write = RecordNumber::LAST;
        assert_eq!(
            pass(&mut client, &mut server, ContentType::ApplicationData, b"x"),
            Opened::Data(b"x".to_vec())
        );
        assert_eq!(client.seal(&mut Aeads::default(), ContentType::ApplicationData, b"x"), None);
    }

    #[test]
    fn a_session_takes_little_room() {
        assert!(size_of::<Session>() <= 216, "{}", size_of::<Session>());
    }
}

//! Flights (RFC 6347 section 4.2.4): records packed into datagrams and kept, so that the same fragments of
//! the same messages can be sent again. OpenSSL would cut the messages anew when it repeats; pion and GnuTLS
//! 3.7 never put such pieces together.
//!
//! ```text
//! sent    repeats: 1  2  3  4  5  6 ... 12      s: as it was sent    r: cut anew for a path of 576 bytes (recut.rs)
//! s                s  s  r  s  r  s ...
//! ```
//!
//! We cannot see whether datagrams are lost by chance or for their size. Two repeats of the same bytes serve
//! the first case. After that the two forms take turns: both kinds of path get datagrams through, and stacks
//! that cannot join pieces of one form with pieces of the other get each form whole again.

use super::counters::Counters;
use super::event::PathSize;
use super::patience::Patience;
use super::recut::{is_large, recut};
use lowband_wire::dtls::record::{self, EPOCH, RecordNumber};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How many repeats send the same bytes, before a flight is cut anew.
const REPEATS_AS_SENT: u32 = 2;
/// Most repeats of a flight, by the timer or because the peer repeated its own: that an address is proven
/// does not permit flooding it.
const MAX_REPEATS: u32 = 12;

/// How long the answer to a flight takes at least, if it had to be cut anew: the third repeat comes after 3
/// s, or a moment earlier if a repeat of ours asked for it.
const NEEDS_RECUT: Duration = Duration::from_millis(2500);

/// The flight that was sent last, and the timer that repeats it.
#[derive(Debug)]
pub(super) struct Flight {
    datagrams: Vec<Vec<u8>>,
    sent: Instant,
    patience: Patience,
    repeats: u32,
    /// Whether a repeat was cut anew.
    was_recut: bool,
    /// The record number that each copy begins with in epoch 0, and when it was sent.
    copies: Vec<(u64, Instant)>,
}

impl Flight {
    pub(super) fn new(now: Instant, datagrams: Vec<Vec<u8>>, patience: Patience) -> Flight {
        Flight { datagrams, sent: now, patience, repeats: 0, was_recut: false, copies: Vec::new() }
    }

    pub(super) fn datagrams(&self) -> &[Vec<u8>] {
        &self.datagrams
    }

    /// Returns when the timer repeats the flight next; None if it no longer does.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.repeats < MAX_REPEATS).then(|| self.sent + self.patience.interval())
    }

    /// Returns the flight to be sent again, because the timer has expired; the next interval is longer.
    pub(super) fn repeat_by_timer(&mut self, now: Instant, counters: &mut Counters) -> Cow<'_, [Vec<u8>]> {
        self.patience.grow();
        self.repeat(now, counters)
    }

    /// Returns the flight to be sent again, because the peer has repeated its own and ours seems lost. If it
    /// is cut anew it needs new record numbers.
    pub(super) fn repeat(&mut self, now: Instant, counters: &mut Counters) -> Cow<'_, [Vec<u8>]> {
        if self.repeats >= MAX_REPEATS {
            counters.flights_over_repeats += 1;
            return Cow::Borrowed(&[]);
        }
        counters.flights_repeated += 1;
        self.sent = now;
        self.repeats += 1;
        let turn = self.repeats > REPEATS_AS_SENT && (self.repeats - REPEATS_AS_SENT) % 2 == 1;
        if turn && is_large(&self.datagrams) {
            counters.flights_recut += 1;
            self.was_recut = true;
            return Cow::Owned(recut(&self.datagrams));
        }
        Cow::Borrowed(&self.datagrams)
    }

    /// Records that the copy sent last begins with this record number.
    pub(super) fn number(&mut self, first: u64) {
        self.copies.push((first, self.sent));
    }

    /// Returns how long ago the copy that begins with this record number was sent.
    pub(super) fn since(&self, number: u64, now: Instant) -> Option<Duration> {
        let (_, sent) = self.copies.iter().find(|(first, _)| *first == number)?;
        Some(now.saturating_duration_since(*sent))
    }

    /// Returns what an answer to this flight shows of the path.
    pub(super) fn path_size(&self) -> PathSize {
        match is_large(&self.datagrams) {
            false => PathSize::Unknown,
            true if self.was_recut => PathSize::Small,
            true => PathSize::Large,
        }
    }

    /// Returns whether this flight was repeated, and its answer took so long that the peer may have cut it
    /// anew.
    pub(super) fn has_waited_for_recut(&self, now: Instant) -> bool {
        let first = self.copies.first().map_or(self.sent, |(_, sent)| *sent);
        self.repeats > 0 && now.saturating_duration_since(first) >= NEEDS_RECUT
    }

    /// Returns how long ago the last copy was sent.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sent)
    }

    /// Returns how long the peer took to answer; None if the flight was sent twice (RFC 6298 section 3).
    pub(super) fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.repeats == 0).then(|| self.age(now))
    }
}

/// Numbers of the records that we send in a handshake.
#[derive(Debug)]
pub(super) struct Numbering {
    /// Next number of epoch 0, where we number the records ourselves: a server continues from the client's
    /// number (RFC 6347 section 4.2.2), which a fresh OpenSSL object does not know.
    plain: u64,
    /// Next number of epoch 1, where OpenSSL's numbers are authenticated.
    protected: u64,
}

impl Numbering {
    /// Begins with `first` in epoch 0.
    pub(super) fn starting_at(first: u64) -> Numbering {
        Numbering { plain: first, protected: 0 }
    }

    /// Returns the next sequence number of epoch 0, which is how many are used up.
    pub(super) fn plain(&self) -> u64 {
        self.plain
    }
    pub(super) fn next_plain(&mut self) -> RecordNumber {
        self.plain += 1;
        RecordNumber::new(0, self.plain - 1)
    }
    pub(super) fn next_protected(&mut self) -> RecordNumber {
        self.protected += 1;
        RecordNumber::new(EPOCH, self.protected - 1)
    }
    /// Returns the next sequence number of epoch 1, which is how many are used up.
    pub(super) fn protected(&self) -> u64 {
        self.protected
    }

    /// Packs OpenSSL's stream of records into as few datagrams of at most `mtu` bytes as their order allows.
    pub(super) fn pack(&mut self, stream: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        for record in record::Records::new(stream).flatten() {
            let bytes = if record.number.epoch() == 0 {
                record.renumbered(self.next_plain())
            } else {
                self.protected = record.number.sequence() + 1;
                record.raw.to_vec()
            };
            match datagrams.last_mut() {
                Some(last) if last.len() + bytes.len() <= mtu => last.extend(bytes),
                _ => datagrams.push(bytes),
            }
        }
        datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::dtls::record::{ContentType, DTLS_1_2, Records, header};

    fn record(number: RecordNumber, length: u16) -> Vec<u8> {
        let mut bytes = header(ContentType::Handshake, DTLS_1_2, number, length).to_vec();
        bytes.resize(bytes.len() + usize::from(length), 9);
        bytes
    }

    #[test]
    fn a_flight_is_repeated_after_1_2_4_then_6_seconds_and_no_more_than_twelve_times() {
        let start = Instant::now();
        let mut flight = Flight::new(start, vec![vec![1], vec![2]], Patience::DEFAULT);
        let mut seconds = Vec::new();
        let mut counters = Counters::default();
        while let Some(due) = flight.due() {
            assert_eq!(*flight.repeat_by_timer(due, &mut counters), [vec![1], vec![2]]);
            seconds.push((due - start).as_secs());
        }
        assert_eq!(seconds, [1, 3, 7, 13, 19, 25, 31, 37, 43, 49, 55, 61]);
        assert!(flight.repeat(start, &mut counters).is_empty());
        assert_eq!((counters.flights_repeated, counters.flights_over_repeats), (MAX_REPEATS.into(), 1));
    }

    #[test]
    fn a_round_trip_is_measured_only_when_the_flight_was_sent_once() {
        let start = Instant::now();
        let later = start + Duration::from_millis(300);
        let mut flight = Flight::new(start, vec![vec![1]], Patience::DEFAULT);
        assert_eq!(flight.round_trip(later), Some(Duration::from_millis(300)));
        assert_eq!(*flight.repeat(later, &mut Counters::default()), [[1]]);
        assert_eq!(flight.round_trip(later), None);
    }

    #[test]
    fn from_the_third_repeat_on_a_large_flight_is_by_turns_cut_anew_and_as_it_was() {
        let large = vec![record(RecordNumber::new(0, 1), 700)];
        let message = [&[11, 0, 2, 0xb0, 0, 1, 0, 0, 0, 0, 2, 0xb0][..], &[9; 688]].concat();
        let large: Vec<_> = large.into_iter().map(|record| [&record[..13], &message].concat()).collect();
        let mut flight = Flight::new(Instant::now(), large.clone(), Patience::DEFAULT);
        let mut counters = Counters::default();
        let shapes = [(); MAX_REPEATS as usize].map(|()| {
            let repeat = flight.repeat(Instant::now(), &mut counters);
            if *repeat == large {
                's'
            } else {
                assert_eq!(*repeat, recut(&large));
                'r'
            }
        });
        assert_eq!(shapes.iter().collect::<String>(), "ssrsrsrsrsrs");
        assert_eq!(counters.flights_recut, 5);
    }

    #[test]
    fn records_are_packed_up_to_the_mtu_and_numbered_on_in_epoch_0() {
        let lengths = [20, 100, 50, 60, 200, 30];
        let stream: Vec<u8> = lengths.iter().flat_map(|l| record(RecordNumber::new(0, 77), *l)).collect();
        let stream = [stream, record(RecordNumber::new(1, 0), 30)].concat();
        let mut numbering = Numbering::starting_at(5);
        let datagrams = numbering.pack(&stream, 180);
        assert_eq!(datagrams.iter().map(Vec::len).collect::<Vec<_>>(), [146, 136, 213, 86]);
        let numbers: Vec<_> = datagrams
            .iter()
            .flat_map(|d| Records::new(d).map(|r| r.unwrap().number))
            .map(|n| (n.epoch(), n.sequence()))
            .collect();
        assert_eq!(numbers, [(0, 5), (0, 6), (0, 7), (0, 8), (0, 9), (0, 10), (1, 0)]);
        assert_eq!(numbering.next_plain(), RecordNumber::new(0, 11));
        assert_eq!(numbering.next_protected(), RecordNumber::new(1, 1));
        assert_eq!(numbering.protected(), 2);
    }
}

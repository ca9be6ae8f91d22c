//! Flights (RFC 6347 section 4.2.4): records packed into datagrams and kept, so that the same fragments of the same
//! messages can be sent again. OpenSSL would cut the messages anew when it repeats; pion and GnuTLS 3.7 never put such
//! pieces together.

use super::counters::Counters;
use super::record::{self, EPOCH, RecordNumber};
use std::time::{Duration, Instant};

/// RFC 6347 section 4.2.4.1.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 6347 section 4.2.4.1: no less than 60 seconds.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// A flight is sent again at most this often, by the timer or because the peer repeated its own: a proven address is
/// no licence to be flooded.
const MAX_REPEATS: u32 = 12;

/// The flight that was sent last and the timer that repeats it.
#[derive(Debug)]
pub(super) struct Flight {
    datagrams: Vec<Vec<u8>>,
    sent: Instant,
    interval: Duration,
    repeats: u32,
}

impl Flight {
    pub(super) fn new(now: Instant, datagrams: Vec<Vec<u8>>) -> Flight {
        Flight { datagrams, sent: now, interval: FIRST_INTERVAL, repeats: 0 }
    }

    pub(super) fn datagrams(&self) -> &[Vec<u8>] {
        &self.datagrams
    }

    /// When the timer repeats it next.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.repeats < MAX_REPEATS).then(|| self.sent + self.interval)
    }

    /// The timer has expired: it is to be sent once more, the next time later.
    pub(super) fn repeat_by_timer(&mut self, now: Instant, counters: &mut Counters) -> &[Vec<u8>] {
        self.interval = (self.interval * 2).min(MAX_INTERVAL);
        self.repeat(now, counters)
    }

    /// The peer has repeated its own flight, so ours seems lost: it is to be sent once more.
    pub(super) fn repeat(&mut self, now: Instant, counters: &mut Counters) -> &[Vec<u8>] {
        if self.repeats >= MAX_REPEATS {
            counters.flights_over_repeats += 1;
            return &[];
        }
        counters.flights_repeated += 1;
        self.sent = now;
        self.repeats += 1;
        &self.datagrams
    }

    /// How long the peer took to answer; no sample from what was sent twice (RFC 6298 section 3).
    pub(super) fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.repeats == 0).then(|| now.saturating_duration_since(self.sent))
    }
}

/// The numbers of the records that we send in a handshake.
#[derive(Debug)]
pub(super) struct Numbering {
    /// Next in epoch 0, where we number the records ourselves: a server goes on from the client's number (RFC 6347
    /// section 4.2.2), which a fresh OpenSSL object does not know.
    plain: u64,
    /// Next in epoch 1, where OpenSSL's numbers are authenticated.
    protected: u64,
}

impl Numbering {
    /// Begins with `first` in epoch 0.
    pub(super) fn starting_at(first: u64) -> Numbering {
        Numbering { plain: first, protected: 0 }
    }

    pub(super) fn next_plain(&mut self) -> RecordNumber {
        self.plain += 1;
        RecordNumber::new(0, self.plain - 1)
    }
    pub(super) fn next_protected(&mut self) -> RecordNumber {
        self.protected += 1;
        RecordNumber::new(EPOCH, self.protected - 1)
    }
    /// How many of epoch 1 are used up: the sequence number of the next one.
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
    use crate::dtls::record::{ContentType, DTLS_1_2, Records, header};

    fn record(number: RecordNumber, length: u16) -> Vec<u8> {
        let mut bytes = header(ContentType::Handshake, DTLS_1_2, number, length).to_vec();
        bytes.resize(bytes.len() + usize::from(length), 9);
        bytes
    }

    #[test]
    fn a_flight_is_repeated_after_1_2_4_seconds_and_no_more_than_twelve_times() {
        let start = Instant::now();
        let mut flight = Flight::new(start, vec![vec![1], vec![2]]);
        let mut seconds = Vec::new();
        let mut counters = Counters::default();
        while let Some(due) = flight.due() {
            assert_eq!(flight.repeat_by_timer(due, &mut counters), [vec![1], vec![2]]);
            seconds.push((due - start).as_secs());
        }
        assert_eq!(seconds[..7], [1, 3, 7, 15, 31, 63, 123]);
        assert_eq!(seconds.len(), MAX_REPEATS as usize);
        assert!(flight.repeat(start, &mut counters).is_empty());
        assert_eq!((counters.flights_repeated, counters.flights_over_repeats), (MAX_REPEATS.into(), 1));
    }

    #[test]
    fn a_round_trip_is_measured_only_when_the_flight_was_sent_once() {
        let start = Instant::now();
        let later = start + Duration::from_millis(300);
        let mut flight = Flight::new(start, vec![vec![1]]);
        assert_eq!(flight.round_trip(later), Some(Duration::from_millis(300)));
        assert_eq!(flight.repeat(later, &mut Counters::default()), [[1]]);
        assert_eq!(flight.round_trip(later), None);
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

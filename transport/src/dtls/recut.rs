//! Cutting a flight anew for a path that takes small datagrams only: the same messages in smaller fragments
//! (RFC 6347 sections 4.1.1.1 and 4.2.3).
//!
//! Where a fragment ended when it was first sent, one ends here too, because some stacks (pion) put fragments
//! together only if the end of one is the beginning of the next: what has arrived of the original flight
//! stays of use. A message that fits whole is not cut.

use lowband_wire::dtls::fragments::{Fragment, Fragments, HANDSHAKE_HEADER};
use lowband_wire::dtls::record::{self, ContentType, HEADER, Record, Records};

/// UDP payload of a path of 576 bytes, which each IPv4 host must accept (RFC 791 section 3.1), without the
/// headers of IPv4 and UDP.
pub(super) const SMALL_DATAGRAM: usize = 576 - 20 - 8;

/// Shortest piece, in bytes, that is cut to fill the rest of a datagram.
const LEAST: usize = 64;

/// Returns whether a datagram of the flight is longer than a small path takes.
pub(super) fn is_large(flight: &[Vec<u8>]) -> bool {
    flight.iter().any(|datagram| datagram.len() > SMALL_DATAGRAM)
}

/// Cuts the flight into datagrams of at most [`SMALL_DATAGRAM`] bytes. All pieces of a record have its
/// number: the caller has to renumber them. What cannot be cut (anything encrypted, or not a handshake
/// message) stays whole.
pub(super) fn recut(flight: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut small = Small::default();
    for record in flight.iter().flat_map(|datagram| Records::new(datagram).flatten()) {
        let is_in_clear = record.number.epoch() == 0 && record.content_type == ContentType::Handshake;
        if is_in_clear && Fragments::new(record.fragment).all(|fragment| fragment.is_ok()) {
            for (fragment, body) in Fragments::new(record.fragment).bodies() {
                small.add_message(&record, &fragment, body);
            }
        } else {
            small.add(record.raw);
        }
    }
    small.datagrams
}

#[derive(Default)]
struct Small {
    datagrams: Vec<Vec<u8>>,
}

impl Small {
    fn room(&self) -> usize {
        SMALL_DATAGRAM - self.datagrams.last().map_or(SMALL_DATAGRAM, |last| last.len().min(SMALL_DATAGRAM))
    }

    fn add(&mut self, record: &[u8]) {
        match self.datagrams.last_mut() {
            Some(last) if last.len() + record.len() <= SMALL_DATAGRAM => last.extend(record),
            _ => self.datagrams.push(record.to_vec()),
        }
    }

    fn add_message(&mut self, record: &Record<'_>, fragment: &Fragment, body: &[u8]) {
        const HEADERS: usize = HEADER + HANDSHAKE_HEADER;
        const MOST: usize = SMALL_DATAGRAM - HEADERS;
        if body.len() <= MOST {
            return self.add(&piece(record, fragment, 0, body));
        }
        let mut rest = body;
        while !rest.is_empty() {
            let room = self.room().checked_sub(HEADERS).filter(|room| *room >= LEAST).unwrap_or(MOST);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.add(&piece(record, fragment, body.len() - rest.len(), now));
            rest = later;
        }
    }
}

/// Makes a record of the part of a fragment that begins `at` bytes into it.
fn piece(record: &Record<'_>, fragment: &Fragment, at: usize, body: &[u8]) -> Vec<u8> {
    let message = Fragment { offset: fragment.offset + at, ..*fragment }.header(body.len());
    let length = (message.len() + body.len()) as u16;
    let header = record::header(ContentType::Handshake, record.version(), record.number, length);
    [&header[..], &message, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::dtls::record::{DTLS_1_2, RecordNumber};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn fragment(kind: u8, message_seq: u16, length: usize, offset: usize, here: usize) -> Vec<u8> {
        let header = Fragment { kind, length, message_seq, offset }.header(here);
        let body = (offset..offset + here).map(|at| (at % 251) as u8 ^ kind);
        header.into_iter().chain(body).collect()
    }

    fn record(content_type: ContentType, number: RecordNumber, fragment: &[u8]) -> Vec<u8> {
        let header = record::header(content_type, DTLS_1_2, number, fragment.len() as u16);
        [&header[..], fragment].concat()
    }

    fn plain(number: u64, fragment: &[u8]) -> Vec<u8> {
        record(ContentType::Handshake, RecordNumber::new(0, number), fragment)
    }

    /// Returns `(message_seq, offset, length of the piece)` of each message in the clear,
    /// datagram by datagram.
    fn shape(flight: &[Vec<u8>]) -> Vec<Vec<(u16, usize, usize)>> {
        let pieces = |datagram: &Vec<u8>| {
            let records = Records::new(datagram).flatten();
            let plain = records
                .filter(|record| record.number.epoch() == 0 && record.content_type == ContentType::Handshake);
            plain
                .flat_map(|record| Fragments::new(record.fragment).bodies().collect::<Vec<_>>())
                .map(|(fragment, body)| (fragment.message_seq, fragment.offset, body.len()))
                .collect()
        };
        flight.iter().map(pieces).collect()
    }

    #[test]
    fn long_messages_are_cut_where_they_were_and_between_and_short_ones_stay_whole() {
        let flight = [
            [plain(1, &fragment(2, 1, 80, 0, 80)), plain(2, &fragment(11, 2, 1400, 0, 1100))].concat(),
            [
                plain(3, &fragment(11, 2, 1400, 1100, 300)),
                plain(4, &fragment(12, 3, 250, 0, 250)),
                plain(5, &fragment(14, 4, 0, 0, 0)),
            ]
            .concat(),
        ];
        assert!(is_large(&flight));
        let small = recut(&flight);
        let expected = [
            vec![(1, 0, 80), (2, 0, 418)],
            vec![(2, 418, 523)],
            vec![(2, 941, 159), (2, 1100, 300)],
            vec![(3, 0, 250), (4, 0, 0)],
        ];
        assert_eq!(shape(&small), expected);
        assert!(small.iter().all(|datagram| datagram.len() <= SMALL_DATAGRAM) && !is_large(&small));
    }

    #[test]
    fn what_is_encrypted_or_no_message_stays_as_it_is() {
        let key_exchange = plain(1, &fragment(16, 2, 66, 0, 66));
        let change = record(ContentType::ChangeCipherSpec, RecordNumber::new(0, 2), &[1]);
        let finished = record(ContentType::Handshake, RecordNumber::new(1, 0), &[7; 40]);
        let flight = [[&key_exchange[..], &change, &finished].concat()];
        assert!(!is_large(&flight));
        assert_eq!(recut(&flight), flight);
        let long = [record(ContentType::Handshake, RecordNumber::new(1, 0), &[7; 700])];
        assert_eq!(recut(&long), long);
        let lie = [plain(1, &fragment(11, 1, 700, 0, 700)[..600])];
        assert_eq!(recut(&lie), lie);
    }

    proptest! {
        #[test]
        fn every_byte_of_every_message_is_there_once_and_old_borders_stay(
            lengths in proptest::collection::vec(0usize..3000, 1..6),
            most in 600usize..1300,
        ) {
            let mut flight = Vec::new();
            let (mut borders, mut number) = (Vec::new(), 0);
            for (message_seq, length) in lengths.iter().enumerate() {
                let mut offset = 0;
                loop {
                    let here = most.min(length - offset);
                    number += 1;
                    flight.push(plain(number, &fragment(11, message_seq as u16, *length, offset, here)));
                    offset += here;
                    borders.push((message_seq as u16, offset));
                    if offset == *length { break }
                }
            }
            let small = recut(&flight);
            prop_assert!(!is_large(&small));
            let pieces: BTreeMap<(u16, usize), usize> =
                shape(&small).concat().into_iter().map(|(seq, offset, length)| ((seq, offset), length)).collect();
            let ends: Vec<_> = pieces.iter().map(|((seq, offset), length)| (*seq, offset + length)).collect();
            prop_assert!(borders.iter().all(|border| ends.contains(border)));
            for (message_seq, length) in lengths.iter().enumerate() {
                let mut at = 0;
                while at < *length {
                    let here = pieces.get(&(message_seq as u16, at));
                    prop_assert!(here.is_some(), "{} of message {}", at, message_seq);
                    at += here.unwrap();
                }
                prop_assert_eq!(at, *length);
            }
            let bytes = |flight: &[Vec<u8>]| {
                let mut all = Vec::new();
                for record in flight.iter().flat_map(|datagram| Records::new(datagram).flatten()) {
                    all.extend(Fragments::new(record.fragment).bodies().flat_map(|(_, body)| body.to_vec()));
                }
                all
            };
            prop_assert_eq!(bytes(&small), bytes(&flight));
        }
    }
}

//! Input made to hurt: nothing panics, nothing is kept, an honest client is served.

use crate::pair::{End, LATENCY, Pair, client_config, data};
use lowband_transport::dtls::Endpoint;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

fn stranger(number: u32) -> SocketAddr {
    ((0x0b00_0000 + number).to_be_bytes(), 1000).into()
}

#[test]
fn sixty_thousand_forged_hellos_leave_nothing_and_an_honest_client_is_served_between_them() {
    let mut pair = Pair::default();
    let mut forger = Endpoint::new(client_config(), [3; 32]).unwrap();
    forger.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let mut hello = forger.poll_transmit().unwrap().bytes;
    let mut flood = |pair: &mut Pair, from: u32| {
        for number in from..from + 30_000 {
            hello[30..34].copy_from_slice(&number.to_be_bytes());
            pair.server.handle_datagram(pair.now, stranger(number), None, &hello);
            let answer = pair.server.poll_transmit().unwrap();
            assert!(answer.bytes.len() < hello.len());
            assert!(pair.server.poll_transmit().is_none());
        }
    };
    flood(&mut pair, 0);
    let (client, _) = pair.establish();
    flood(&mut pair, 30_000);
    pair.client.send(pair.now, client, b"x").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(data(&pair.server_events), [b"x"]);
    let counters = pair.server.counters();
    assert_eq!((counters.half_open, counters.sessions, counters.cookies_sent), (0, 1, 60_001));
}

/// Splits a datagram into its records.
fn records(mut datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while datagram.len() >= 13 {
        let length = 13 + usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
        records.push(datagram[..length].to_vec());
        datagram = &datagram[length..];
    }
    records
}

/// Makes a pair whose client has just sent its last flight (ClientKeyExchange, ChangeCipherSpec, Finished),
/// which was lost.
fn before_the_last_flight() -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::default();
    pair.link =
        Box::new(|sent| if sent.from == End::Client && sent.number == 2 { vec![] } else { vec![LATENCY] });
    pair.connect();
    pair.run_for(LATENCY * 5);
    let flight = records(&pair.trace.last().unwrap().bytes);
    assert_eq!(flight.iter().map(|record| record[0]).collect::<Vec<_>>(), [22, 20, 22]);
    (pair, flight)
}

#[test]
fn the_last_flight_in_pieces_and_in_any_order_finishes_the_handshake() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (mut pair, flight) = before_the_last_flight();
        for at in order {
            pair.inject(End::Server, &flight[at]);
        }
        // OpenSSL drops a ChangeCipherSpec that precedes its ClientKeyExchange: the client
        // repeats its flight.
        let at_once = order.iter().position(|at| *at == 0) < order.iter().position(|at| *at == 1);
        assert_eq!(pair.server.counters().handshakes, u64::from(at_once), "{order:?}");
        pair.run_for(Duration::from_secs(2));
        assert_eq!(pair.server.counters().handshakes, 1, "{order:?}");
        assert_eq!(pair.client.counters().handshakes, 1, "{order:?}");
    }
}

#[test]
fn the_servers_flight_in_pieces_and_backwards_finishes_the_handshake() {
    let mut pair = Pair::default();
    pair.link =
        Box::new(|sent| if sent.from == End::Server && sent.number == 1 { vec![] } else { vec![LATENCY] });
    pair.connect();
    pair.run_for(LATENCY * 4);
    let flight = records(&pair.trace.last().unwrap().bytes);
    assert!(flight.len() >= 4);
    for record in flight.iter().rev() {
        pair.inject(End::Client, record);
    }
    pair.run_for(LATENCY * 2);
    assert_eq!(pair.client.counters().handshakes, 1);
}

#[test]
fn protected_records_before_the_end_of_the_handshake_are_kept_up_to_four_and_4096_bytes() {
    let record = |length: u16, sequence: u8| {
        let [l0, l1] = length.to_be_bytes();
        let mut bytes = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, sequence, l0, l1];
        bytes.resize(13 + usize::from(length), 7);
        bytes
    };
    for (length, kept) in [(50, 4), (1500, 2), (5000, 0)] {
        let (mut pair, flight) = before_the_last_flight();
        for sequence in 0..10 {
            pair.inject(End::Server, &record(length, sequence));
        }
        assert_eq!(pair.server.counters().records_early_dropped, 10 - kept);
        pair.inject(End::Server, &flight.concat());
        assert_eq!(pair.server.counters().handshakes, 1);
        assert_eq!(pair.server.counters().records_forged, kept, "they are looked at when the keys are there");
    }
}

#[test]
fn a_message_that_claims_to_be_long_does_not_reach_openssl() {
    let (mut pair, flight) = before_the_last_flight();
    // A first piece of 1 byte of a message of 100,000, and one with a wrong length of its piece.
    for (length, fragment) in [([1, 0x86, 0xa0], [0, 0, 1]), ([0, 0, 10], [0, 0, 200])] {
        let message = [&[16][..], &length, &[0, 2, 0, 0, 0], &fragment, &[7]].concat();
        let record = [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 13][..], &message].concat();
        pair.inject(End::Server, &record);
    }
    assert_eq!(pair.server.counters().records_unexpected, 2);
    pair.inject(End::Server, &flight.concat());
    assert_eq!(pair.server.counters().handshakes, 1);
}

#[test]
fn garbage_instead_of_finished_does_not_finish_the_handshake() {
    let (mut pair, flight) = before_the_last_flight();
    let mut forged = flight[2].clone();
    *forged.last_mut().unwrap() ^= 1;
    pair.inject(End::Server, &[&flight[0][..], &flight[1], &forged].concat());
    assert_eq!(pair.server.counters().handshakes, 0);
    pair.inject(End::Server, &flight[2]);
    assert_eq!(pair.server.counters().handshakes, 1, "the true one still does");
}

/// Returns what both ends send each other in a handshake and a first exchange.
fn conversation() -> Vec<(End, Vec<u8>)> {
    let mut pair = Pair::default();
    let client = pair.connect();
    pair.run_for(Duration::from_secs(1));
    pair.client.send(pair.now, client, b"request").unwrap();
    pair.run_for(LATENCY);
    pair.trace.into_iter().map(|sent| (sent.from, sent.bytes)).collect()
}

#[test]
fn each_datagram_of_a_conversation_cut_at_each_byte_is_survived() {
    for (from, bytes) in conversation() {
        let (mut live, _, _) = Pair::connected();
        let (mut pending, _) = before_the_last_flight();
        for end in 0..bytes.len() {
            live.inject(from.other(), &bytes[..end]);
            pending.inject(from.other(), &bytes[..end]);
        }
        assert_eq!((live.server.counters().sessions, live.client.counters().sessions), (1, 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_datagrams_are_survived(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20),
        to_server: bool,
    ) {
        let (mut pair, client, _) = Pair::connected();
        let to = if to_server { End::Server } else { End::Client };
        for datagram in &datagrams {
            pair.inject(to, datagram);
        }
        pair.clear();
        pair.client.send(pair.now, client, b"x").unwrap();
        pair.run_for(LATENCY);
        prop_assert_eq!(data(&pair.server_events), [b"x"]);
    }

    #[test]
    fn changed_datagrams_of_a_handshake_are_survived(
        which in 0usize..6, at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut pair = Pair::default();
        pair.link = Box::new(move |sent| if sent.number == which / 2 { vec![] } else { vec![LATENCY] });
        pair.connect();
        pair.run_for(LATENCY * 6);
        let from = if which % 2 == 0 { End::Client } else { End::Server };
        let Some(sent) = pair.trace.iter().find(|sent| sent.from == from && sent.number == which / 2) else {
            return Ok(());
        };
        let mut bytes = sent.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = value;
        pair.inject(from.other(), &bytes);
        bytes.truncate(cut.index(bytes.len()) + 1);
        pair.inject(from.other(), &bytes);
        pair.run_for(Duration::from_secs(100));
        prop_assert_eq!(pair.server.counters().half_open, 0);
        prop_assert_eq!(pair.client.counters().half_open, 0);
    }
}

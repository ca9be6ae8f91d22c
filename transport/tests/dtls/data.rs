//! Application data on an established session: what passes, what is dropped and counted.

use crate::pair::{End, LATENCY, Pair, data, oddities};
use lowband_transport::SessionId;
use lowband_transport::dtls::{Event, SendError};
use std::time::Duration;

#[test]
fn messages_of_all_sizes_pass_both_ways() {
    let (mut pair, client, server) = Pair::connected();
    for length in [1, 100, 1200, 16_384] {
        let message = vec![length as u8; length];
        pair.client.send(pair.now, client, &message).unwrap();
        pair.server.send(pair.now, server, &message).unwrap();
        pair.run_for(LATENCY);
        assert_eq!(data(&pair.server_events), [&message]);
        assert_eq!(data(&pair.client_events), [&message]);
        pair.clear();
    }
    assert_eq!(pair.client.send(pair.now, client, &[0; 16_385]), Err(SendError::TooLong));
    assert_eq!(pair.client.send(pair.now, SessionId(99), b"x"), Err(SendError::NoSession));
}

#[test]
fn an_empty_message_is_authentic_and_says_nothing() {
    let (mut pair, client, _) = Pair::connected();
    pair.client.send(pair.now, client, b"").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(pair.server_events, []);
    assert_eq!(oddities(pair.server.counters()), []);
}

/// Makes records of the client, numbered by their content; no record reaches the server by itself.
fn sealed(pair: &mut Pair, client: SessionId, count: u8) -> Vec<Vec<u8>> {
    pair.link = Box::new(|_| vec![]);
    for number in 0..count {
        pair.client.send(pair.now, client, &[number]).unwrap();
    }
    pair.run_for(LATENCY);
    pair.trace.drain(..).map(|sent| sent.bytes).collect()
}

#[test]
fn a_replayed_record_is_delivered_once() {
    let (mut pair, client, _) = Pair::connected();
    let records = sealed(&mut pair, client, 1);
    for _ in 0..3 {
        pair.inject(End::Server, &records[0]);
    }
    assert_eq!(data(&pair.server_events), [[0]]);
    assert_eq!(oddities(pair.server.counters()), [("records_replayed", 2)]);
}

#[test]
fn records_arrive_in_any_order_within_a_window_of_64() {
    let (mut pair, client, _) = Pair::connected();
    let records = sealed(&mut pair, client, 66);
    for record in records.iter().rev() {
        pair.inject(End::Server, record);
    }
    let expected: Vec<[u8; 1]> = (2..66).rev().map(|n| [n]).collect();
    assert_eq!(data(&pair.server_events), expected);
    assert_eq!(oddities(pair.server.counters()), [("records_replayed", 2)]);
}

#[test]
fn several_records_in_one_datagram_are_all_read() {
    let (mut pair, client, _) = Pair::connected();
    let records = sealed(&mut pair, client, 3);
    pair.inject(End::Server, &records.concat());
    assert_eq!(data(&pair.server_events), [[0], [1], [2]]);
}

#[test]
fn garbage_after_a_record_costs_nothing_but_itself() {
    let (mut pair, client, _) = Pair::connected();
    let mut datagram = sealed(&mut pair, client, 1).remove(0);
    datagram.extend([23, 0xfe, 0xfd, 0]);
    pair.inject(End::Server, &datagram);
    assert_eq!(data(&pair.server_events), [[0]]);
    assert_eq!(oddities(pair.server.counters()), [("records_malformed", 1)]);
}

#[test]
fn a_record_changed_or_cut_at_any_byte_is_dropped_and_the_session_goes_on() {
    let (mut pair, client, _) = Pair::connected();
    let record = sealed(&mut pair, client, 1).remove(0);
    let dropped =
        |pair: &Pair| -> u64 { oddities(pair.server.counters()).iter().map(|(_, value)| value).sum() };
    for at in 0..record.len() {
        let mut forged = record.clone();
        forged[at] ^= 0x10;
        for datagram in [&forged, &record[..at]] {
            let before = dropped(&pair);
            pair.inject(End::Server, datagram);
            assert!(dropped(&pair) > before, "byte {at} is not counted");
        }
    }
    assert_eq!(pair.server_events, []);
    pair.inject(End::Server, &record);
    assert_eq!(data(&pair.server_events), [[0]]);
}

#[test]
fn a_record_of_another_epoch_or_from_a_stranger_is_dropped() {
    let (mut pair, client, _) = Pair::connected();
    let record = sealed(&mut pair, client, 1).remove(0);
    let mut future = record.clone();
    future[4] = 2;
    pair.inject(End::Server, &future);
    let stranger = "192.0.2.1:5001".parse().unwrap();
    pair.server.handle_datagram(pair.now, stranger, None, &record);
    assert_eq!(pair.server.poll_transmit().map(|alert| alert.peer), Some(stranger), "told that it is none");
    pair.inject(End::Server, &[]);
    assert_eq!(
        oddities(pair.server.counters()),
        [
            ("records_malformed", 1),
            ("records_no_session", 1),
            ("records_wrong_epoch", 1),
            ("lost_sessions_told", 1)
        ]
    );
    assert_eq!(pair.server_events, []);
}

#[test]
fn an_answer_goes_out_from_the_address_that_was_asked_last() {
    let (mut pair, client, server) = Pair::connected();
    let local = "198.51.100.1".parse().ok();
    let record = sealed(&mut pair, client, 1).remove(0);
    pair.server.handle_datagram(pair.now, End::Client.address(), local, &record);
    pair.server.send(pair.now, server, b"x").unwrap();
    assert_eq!(pair.server.poll_transmit().unwrap().local, local);
}

#[test]
fn a_session_is_known_by_its_id_and_its_address() {
    let (mut pair, client, server) = Pair::connected();
    assert_eq!(pair.server.session_ids(), [server]);
    assert_eq!(pair.server.peer(server), Some(End::Client.address()));
    assert_eq!(pair.client.peer(client), Some(End::Server.address()));
    pair.server.close(pair.now, server);
    assert_eq!(pair.server.session_ids(), []);
    assert_eq!(pair.server.peer(server), None);
    pair.run_for(LATENCY);
    assert!(matches!(pair.server_events[..], [Event::Closed { .. }]));
}

#[test]
fn only_what_is_authentic_counts_as_heard() {
    let (mut pair, client, server) = Pair::connected();
    let heard = pair.client.heard(client).unwrap();
    pair.server.send(pair.now, server, b"x").unwrap();
    let record = pair.server.poll_transmit().unwrap().bytes;
    pair.run_for(Duration::from_secs(1));
    let mut forged = record.clone();
    *forged.last_mut().unwrap() ^= 1;
    for datagram in [&forged[..], &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 10], &[7; 40], &[]] {
        pair.inject(End::Client, datagram);
    }
    assert_eq!(pair.client.heard(client), Some(heard));
    pair.inject(End::Client, &record);
    assert_eq!(pair.client.heard(client), Some(pair.now));
    pair.run_for(Duration::from_secs(1));
    pair.inject(End::Client, &record);
    assert!(pair.client.heard(client) < Some(pair.now), "it has been heard before");
    pair.client.close(pair.now, client);
    assert_eq!(pair.client.heard(client), None);
}

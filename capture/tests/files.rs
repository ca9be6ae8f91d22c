//! Captures that real programs wrote; `data/README.md` says which and how.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what helps a test may fail as the test does, and reads files and clocks"
)]

use lowband_capture::datagrams::{Found, PacketFault};
use lowband_capture::file::{Item, Reader};
use lowband_capture::{Datagram, Datagrams, KeyLog};
use std::fs;
use std::path::Path;

/// One datagram, without what was lent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    frame: u64,
    nanoseconds: u64,
    ends: String,
    payload: Vec<u8>,
    length: usize,
}

/// What a file held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    datagrams: Vec<Seen>,
    others: Vec<(u64, String)>,
    unreadable: Vec<(u64, PacketFault)>,
    secrets: Vec<Vec<u8>>,
}

impl Contents {
    /// Adds what is found in a piece of `file`, at the places that the datagrams tell.
    fn note(&mut self, file: &[u8], found: Found<'_>) {
        match found {
            Found::Datagram(Datagram { frame, offset, time, from, to, payload, length }) => {
                if let Some(offset) = offset {
                    assert_eq!(&file[offset as usize..][..payload.len()], payload, "frame {frame}");
                }
                self.datagrams.push(Seen {
                    frame,
                    nanoseconds: time.0,
                    ends: format!("{from} {to}"),
                    payload: payload.to_vec(),
                    length,
                });
            }
            Found::Other { frame, kind } => self.others.push((frame, kind.to_string())),
            Found::Unreadable { frame, why } => self.unreadable.push((frame, why)),
        }
    }
}

fn load(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn read(file: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let (mut reader, mut datagrams) = (Reader::new(), Datagrams::new());
    let mut take = |item: Item<'_>| match item {
        Item::Packet(packet) => datagrams.take(&packet, &mut |found| contents.note(file, found)),
        Item::Secrets(text) => contents.secrets.push(text.to_vec()),
        Item::Unreadable(unreadable) => panic!("{unreadable:?}"),
    };
    for piece in file.chunks(1_000) {
        reader.push(piece, &mut take);
    }
    reader.finish(&mut take);
    datagrams.finish(&mut |found| contents.note(file, found));
    contents
}

#[test]
fn the_kernels_packets_are_the_same_over_each_link() {
    let large: Vec<u8> = (0..=255).cycle().take(3_072).collect();
    let mut expected = Vec::new();
    for (first, host) in [(1, "127.0.0.1"), (7, "[::1]")] {
        let ends = format!("{host}:50000 {host}:8008");
        expected.push((first, ends.clone(), b"small".to_vec()));
        expected.push((first + 3, ends, large.clone()));
        expected.push((first + 4, format!("{host}:50000 {host}:9"), b"x".to_vec()));
    }
    let mut times = Vec::new();
    for name in ["ethernet.pcap", "cooked1.pcap", "cooked2.pcapng"] {
        let contents = read(&load(name));
        let seen: Vec<_> = contents
            .datagrams
            .iter()
            .inspect(|seen| assert_eq!(seen.length, seen.payload.len()))
            .map(|seen| (seen.frame, seen.ends.clone(), seen.payload.clone()))
            .collect();
        assert_eq!(seen, expected, "{name}");
        assert_eq!(contents.others, [(6, "ICMP".to_owned()), (12, "ICMPv6".to_owned())]);
        assert_eq!(contents.unreadable, []);
        times.push(contents.datagrams.iter().map(|seen| seen.nanoseconds).collect::<Vec<_>>());
    }
    // The two in nanoseconds agree with each other; the other one is in microseconds.
    assert_eq!(times[1], times[2]);
    let microseconds = |times: &[u64]| times.iter().map(|time| time / 1_000).collect::<Vec<_>>();
    assert_eq!(microseconds(&times[0]), microseconds(&times[1]));
}

#[test]
fn secrets_stand_before_the_interfaces_and_change_no_packet() {
    let chain = read(&load("chain.pcap"));
    assert_eq!(chain.datagrams.len(), 69);
    let with_secrets = read(&load("secrets.pcapng"));
    assert_eq!(with_secrets.datagrams, chain.datagrams[..18]);
    assert_eq!(with_secrets.secrets, [load("chain.keys")]);
    let mut log = KeyLog::new();
    let added = log.add(&with_secrets.secrets[0], 1);
    assert_eq!((added.secrets, added.unread.len(), log.len()), (5, 0, 5));
}

#[test]
fn the_random_of_each_hello_has_its_secret() {
    /// Where the random begins: behind the headers of record and message, and the version (RFC 6347 section
    /// 4.1).
    const RANDOM: usize = 13 + 12 + 2;
    let mut log = KeyLog::new();
    log.add(&load("chain.keys"), 1);
    let hellos: Vec<[u8; 32]> = read(&load("chain.pcap"))
        .datagrams
        .iter()
        .filter(|seen| seen.payload[0] == 22 && seen.payload[13] == 1)
        .map(|seen| seen.payload[RANDOM..][..32].try_into().unwrap())
        .collect();
    // Four clients, each once without and once with a cookie.
    assert_eq!(hellos.len(), 8);
    assert!(hellos.iter().all(|random| log.master_secret(random).is_some()));
}

#[test]
fn sections_one_behind_the_other_are_one_capture() {
    let (first, second) = (load("secrets.pcapng"), load("cooked2.pcapng"));
    let both = read(&[first.clone(), second.clone()].concat());
    let [first, second] = [read(&first), read(&second)];
    assert_eq!(both.secrets, first.secrets);
    assert_eq!(both.datagrams[..18], first.datagrams);
    let shifted: Vec<_> =
        second.datagrams.into_iter().map(|seen| Seen { frame: seen.frame + 18, ..seen }).collect();
    assert_eq!(both.datagrams[18..], shifted);
}

#[test]
fn what_was_not_kept_of_a_packet_is_known_by_its_length() {
    let chain = read(&load("chain.pcap"));
    let snapped = read(&load("snapped.pcapng"));
    let mut cut = 0;
    assert_eq!(snapped.datagrams.len(), 18);
    for (whole, seen) in chain.datagrams.iter().zip(&snapped.datagrams) {
        assert_eq!((seen.length, &seen.ends), (whole.length, &whole.ends));
        // 300 bytes, without the headers of IPv4 and UDP.
        assert_eq!(seen.payload, whole.payload[..whole.length.min(272)]);
        cut += usize::from(seen.payload.len() < seen.length);
    }
    assert!(cut >= 4, "{cut}");
}

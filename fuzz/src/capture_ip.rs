//! Packets of a capture from their links on: each is a datagram, something else, unreadable, or a fragment of
//! one of these, and is told once.
//!
//! One byte of a link type; then for each packet a byte of seconds since the last one, one of bytes that were
//! not kept, two of its length, and the packet.

use lowband_capture::datagrams::Found;
use lowband_capture::file::{LinkType, Packet};
use lowband_capture::{Datagrams, Time};
use std::collections::BTreeSet;

const LINKS: [u32; 10] = [1, 113, 276, 101, 228, 229, 0, 108, 12, 105];
/// Bytes before the first packet, so that offsets and addresses differ.
const BEFORE: u64 = 100;

pub fn run(data: &[u8]) {
    let [link, rest @ ..] = data else { return };
    let link = LinkType(LINKS[usize::from(*link) % LINKS.len()]);
    let mut datagrams = Datagrams::new();
    let mut told = BTreeSet::new();
    let (mut rest, mut frame, mut now) = (rest, 0, 0);
    while let [seconds, lost, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (bytes, behind) = behind.split_at(length);
        rest = behind;
        frame += 1;
        now += u64::from(*seconds) * 1_000_000_000;
        let length = bytes.len() + usize::from(*lost);
        let packet = Packet { frame, offset: BEFORE, time: Time(now), link, bytes, length };
        datagrams.take(&packet, &mut |found| check(&packet, found, &mut told));
    }
    let nothing = Packet { frame, offset: BEFORE, time: Time(now), link, bytes: &[], length: 0 };
    datagrams.finish(&mut |found| {
        assert!(matches!(found, Found::Unreadable { .. }), "{found:?}");
        check(&nothing, found, &mut told);
    });
    // Nothing waits any more.
    datagrams.finish(&mut |found| panic!("{found:?}"));
}

fn check(packet: &Packet<'_>, found: Found<'_>, told: &mut BTreeSet<u64>) {
    let frame = match found {
        Found::Datagram(datagram) => {
            assert!(datagram.payload.len() <= datagram.length);
            assert_eq!((datagram.frame, datagram.time), (packet.frame, packet.time));
            match datagram.offset {
                Some(offset) => {
                    let begin = (offset - packet.offset) as usize;
                    assert_eq!(&packet.bytes[begin..][..datagram.payload.len()], datagram.payload);
                    assert!(begin + datagram.length <= packet.length);
                }
                None => assert!(datagram.length <= 65_535),
            }
            datagram.frame
        }
        Found::Other { frame, kind } => {
            assert_eq!(frame, packet.frame);
            assert!(!kind.to_string().is_empty());
            frame
        }
        Found::Unreadable { frame, why } => {
            assert!(frame <= packet.frame && !why.to_string().is_empty());
            frame
        }
    };
    assert!(told.insert(frame), "frame {frame} told again: {found:?}");
}

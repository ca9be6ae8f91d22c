//! Captures that others made, for their own readers: our packets are Wireshark's, by frame, time and length.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_capture::file::{Item, Reader};
use lowband_e2e::parts::{Parts, system_program};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes captured, bytes on the wire, and nanoseconds since 1970 unless the packet is without a time.
type Packet = (usize, usize, Option<u64>);

/// What Wireshark calls a frame that holds no packet: Custom Blocks and those of the systemd journal.
const NO_PACKET: &str = "data";

/// Reads a capture by tshark: None for a frame that holds no packet.
fn by_tshark(capture: &Path) -> BTreeMap<u64, Option<Packet>> {
    let mut command = Command::new(system_program("tshark", "setup-test").unwrap());
    command.arg("-r").arg(capture).args(["-T", "fields"]);
    for field in ["number", "time_epoch", "cap_len", "len", "protocols"] {
        command.arg("-e").arg(format!("frame.{field}"));
    }
    // tshark ends with an error for a file whose end it cannot read, after the rows of what comes before.
    let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let row = |line: &str| {
        let [number, time, captured, length, protocols] = *line.split('\t').collect::<Vec<_>>() else {
            panic!("{line:?}")
        };
        let nanoseconds = time.split_once('.').map(|(seconds, fraction)| {
            seconds.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
        });
        let packet = (captured.parse().unwrap(), length.parse().unwrap(), nanoseconds);
        (number.parse().unwrap(), (protocols != NO_PACKET).then_some(packet))
    };
    told.lines().map(row).collect()
}

fn by_ourselves(capture: &Path) -> BTreeMap<u64, Packet> {
    let mut packets = BTreeMap::new();
    let mut take = |item: Item<'_>| {
        if let Item::Packet(packet) = item {
            let read = (packet.bytes.len(), packet.length, Some(packet.time.0));
            assert_eq!(packets.insert(packet.frame, read), None);
        }
    };
    let mut reader = Reader::new();
    reader.push(&std::fs::read(capture).unwrap(), &mut take);
    reader.finish(&mut take);
    packets
}

fn captures(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn packets_of_foreign_captures_are_those_of_wireshark() {
    let (mut files, mut compared) = (0, 0);
    for capture in captures(Parts::from_environment().file(".tools/captures")) {
        let (theirs, ours) = (by_tshark(&capture), by_ourselves(&capture));
        let packets: Vec<_> =
            theirs.iter().filter(|(_, packet)| packet.is_some()).map(|(frame, _)| frame).collect();
        assert!(ours.keys().eq(packets), "{}: {ours:?} {theirs:?}", capture.display());
        for (frame, packet) in &ours {
            let (captured, length, time) = theirs[frame].unwrap();
            // A Simple Packet Block has no time.
            let time = time.or(packet.2);
            assert_eq!(*packet, (captured, length, time), "{}, frame {frame}", capture.display());
            compared += 1;
        }
        files += 1;
    }
    assert!(files >= 55 && compared > 26_000, "{compared} packets of {files} files");
}

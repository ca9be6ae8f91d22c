//! The section of docs/limits.md about captures has the limits that hold.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "what helps a test may fail, and reads files"
)]

use lowband_capture::Limits;
use lowband_capture::datagrams::{LONGEST_WAIT, MOST_BYTES, MOST_DATAGRAMS};
use lowband_capture::file::{LARGEST_BLOCK, LARGEST_PACKET, MOST_INTERFACES};
use lowband_capture::key_log::MOST_SECRETS;
use std::path::Path;

/// Writes a number as the page does, with commas.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let parts: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|part| str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

#[test]
fn the_page_of_limits_has_those_of_captures() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
    // The package alone has no pages beside it.
    let Ok(page) = std::fs::read_to_string(page) else { return };
    let (_, section) = page.split_once("\n## Reading captures\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let section = section.split_whitespace().collect::<Vec<_>>().join(" ");
    let limits = Limits::default();
    for told in [
        format!("a packet of {} KiB", LARGEST_PACKET >> 10),
        format!("a block of {} MiB", LARGEST_BLOCK >> 20),
        format!("{} interfaces", grouped(MOST_INTERFACES)),
        format!("{} secrets", grouped(MOST_SECRETS)),
        format!(
            "{MOST_DATAGRAMS} datagrams and {} MiB, for {} s",
            MOST_BYTES >> 20,
            LONGEST_WAIT / 1_000_000_000
        ),
        format!("{} sessions", grouped(limits.sessions)),
        format!("{} open exchanges", grouped(limits.open_exchanges)),
        format!("{} bytes of path and query", grouped(limits.target)),
        format!("{} messages each and {} in all", grouped(limits.messages), grouped(limits.open_messages)),
        format!("bodies of {} MiB and of {} MiB in all", limits.body >> 20, limits.bodies >> 20),
        format!("{} MiB of messages in one detail", limits.details >> 20),
    ] {
        assert!(section.contains(&told), "the page lacks: {told}");
    }
}

//! The fuzz targets without a fuzzer: each seed, and a fixed number of changed seeds.
//!
//! Finds mistakes that show at once, in seconds and always the same; `make fuzz` searches further.

use lowband_fuzz::dice::Dice;
use lowband_fuzz::{
    annotate, capture_exchanges, capture_file, capture_ip, capture_records, client, codec, diagnostic,
    filter, front, handshake, key_log, messages, packed, push, records, sequence, server, sessions,
};
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

#[test]
fn the_codec_holds_over_changed_seeds() {
    over_changed_seeds("codec", codec::run, 20_000);
}

#[test]
fn the_annotator_holds_over_changed_seeds() {
    over_changed_seeds("annotate", annotate::run, 20_000);
}

#[test]
fn diagnostic_notation_holds_over_changed_seeds() {
    over_changed_seeds("diagnostic", diagnostic::run, 20_000);
}

#[test]
fn the_ends_of_documents_hold_over_changed_seeds() {
    over_changed_seeds("sequence", sequence::run, 20_000);
}

#[test]
fn packed_bodies_hold_over_changed_seeds() {
    over_changed_seeds("packed", packed::run, 20_000);
}

#[test]
fn the_filter_holds_over_changed_seeds() {
    over_changed_seeds("filter", filter::run, 20_000);
}

#[test]
fn push_mode_holds_over_changed_seeds() {
    over_changed_seeds("push", push::run, 3_000);
}

#[test]
fn the_front_holds_over_changed_seeds() {
    over_changed_seeds("front", front::run, 1_500);
}

#[test]
fn the_record_layer_holds_over_changed_seeds() {
    over_changed_seeds("records", records::run, 500);
}

#[test]
fn handshakes_hold_over_changed_seeds() {
    over_changed_seeds("handshake", handshake::run, 500);
}

#[test]
fn sessions_hold_over_changed_seeds() {
    over_changed_seeds("sessions", sessions::run, 300);
}

#[test]
fn messages_hold_over_changed_seeds() {
    over_changed_seeds("messages", messages::run, 5_000);
}

#[test]
fn blockwise_at_the_server_holds_over_changed_seeds() {
    over_changed_seeds("server", server::run, 5_000);
}

#[test]
fn blockwise_at_the_client_holds_over_changed_seeds() {
    over_changed_seeds("client", client::run, 5_000);
}

#[test]
fn files_of_captures_hold_over_changed_seeds() {
    over_changed_seeds("capture_file", capture_file::run, 5_000);
}

#[test]
fn packets_of_captures_hold_over_changed_seeds() {
    over_changed_seeds("capture_ip", capture_ip::run, 20_000);
}

#[test]
fn records_of_captures_hold_over_changed_seeds() {
    over_changed_seeds("capture_records", capture_records::run, 2_000);
}

#[test]
fn exchanges_of_captures_hold_over_changed_seeds() {
    over_changed_seeds("capture_exchanges", capture_exchanges::run, 20_000);
}

#[test]
fn key_logs_hold_over_changed_seeds() {
    over_changed_seeds("key_log", key_log::run, 5_000);
}

fn over_changed_seeds(target: &str, run: fn(&[u8]), changes: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, seed) in paths.iter().zip(&seeds) {
        survive(run, seed, &path.display().to_string());
    }
    for number in 0..changes {
        let mut dice = Dice::new(number as u64);
        let mut input = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(6) {
            change(&mut dice, &mut input, &seeds);
        }
        survive(run, &input, &format!("change {number} of {target}"));
    }
}

/// Runs a target; a failure shows the input, which can be written to a file and given to `cargo fuzz run`.
fn survive(run: fn(&[u8]), input: &[u8], what: &str) {
    if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| run(input))) {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{what}: {hex}");
        panic::resume_unwind(failure);
    }
}

/// Lengths and numbers at which behaviour changes.
const EDGES: [u8; 12] = [0, 1, 2, 4, 12, 13, 14, 0x40, 0x7f, 0x80, 0xfe, 0xff];

fn change(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = dice.below(input.len() + 1);
    match dice.below(7) {
        0 => input.truncate(at),
        1 => input.insert(at, dice.u64() as u8),
        2 => input
            .splice(at..at, (0..dice.below(16)).map(|_| dice.u64() as u8).collect::<Vec<_>>())
            .for_each(drop),
        3 => {
            let end = (at + dice.below(16)).min(input.len());
            input.drain(at..end);
        }
        4 => {
            let other = &seeds[dice.below(seeds.len())];
            let from = dice.below(other.len() + 1);
            input.truncate(at);
            input.extend(&other[from..]);
        }
        5 => input.get_mut(at).into_iter().for_each(|byte| *byte = EDGES[dice.below(EDGES.len())]),
        _ => input.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << dice.below(8)),
    }
}

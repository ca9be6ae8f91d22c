//! Checks the tables of docs/protocol.md: codes, content formats, header fields to the filter, table sizes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use http::uri::Authority;
use lowband_codec::{KeyTable, PathTable};
use lowband_sidecar::credentials::Credentials;
use lowband_sidecar::packing;
use lowband_sidecar::reachable::judge;
use lowband_sidecar::request::{Asker, forward};
use lowband_sidecar::status;
use lowband_sidecar::target::{Target, map};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method, content_format};
use std::collections::BTreeSet;
use std::path::Path;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")).unwrap()
}

/// Returns the rows of the table under this head, cell by cell.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, after) = page.split_once(&format!("\n{head}\n")).unwrap_or_else(|| panic!("no table {head}"));
    let rows = after.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// Returns what stands between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn path(segments: &[String]) -> String {
    let options = RequestOptions { path: segments.to_vec(), ..RequestOptions::default() };
    match map(Method::Get, &options).unwrap() {
        Target::Upstream(target) => {
            judge(target.path()).unwrap();
            target.path_and_query
        }
        Target::Ready | Target::Core => panic!("{segments:?} is the sidecar's own"),
    }
}

/// Returns the code of a status by a row's cell: a code, or the status itself as one.
fn code(cell: &str, status: u16) -> Code {
    if cell == "same" {
        return Code::new((status / 100) as u8, (status % 100) as u8);
    }
    let (class, detail) = cell.split_once('.').unwrap();
    Code::new(class.parse().unwrap(), detail.parse().unwrap())
}

#[test]
fn each_status_has_the_code_of_the_page() {
    let rows = table("| HTTP | CoAP | |");
    let of = |status: u16| {
        let named = rows.iter().find(|row| row[0].split(' ').any(|word| word == status.to_string()));
        let class = format!("other {}xx", status / 100);
        let row = named.or_else(|| rows.iter().find(|row| row[0] == class));
        let row = row.or_else(|| rows.iter().find(|row| row[0] == "anything else")).unwrap();
        code(&row[1], status)
    };
    for status in 100..=999 {
        assert_eq!(of(status), status::code_for(status), "{status}");
    }
}

#[test]
fn content_formats_have_the_numbers_of_the_page() {
    let known = [
        (content_format::CBOR, "application/cbor"),
        (content_format::JSON, "application/json"),
        (content_format::OCTET_STREAM, "application/octet-stream"),
        (content_format::TEXT, "text/plain; charset=utf-8"),
        (content_format::PACKED, "application/cbor"),
    ];
    let rows = table("| number | type | in requests | in responses |");
    let told: Vec<_> = rows.iter().map(|row| (row[0].parse().unwrap(), quoted(&row[1]).concat())).collect();
    assert_eq!(told, known.map(|(number, name)| (number, name.to_owned())));
    for row in rows {
        let mut options = RequestOptions {
            path: vec!["9".into(), "!r".into(), "t".into(), "1".into()],
            content_format: row[0].parse().ok(),
            ..RequestOptions::default()
        };
        let mut body = vec![0xa0];
        packing::unpack(Method::Put, &mut options, &mut body, 1).unwrap();
        let sent = request(&options, body).map(|request| {
            let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
            kind.strip_prefix("application/").unwrap().to_uppercase()
        });
        assert_eq!(sent.unwrap_or_else(|code| code.to_string()), row[2], "{row:?}");
    }
}

fn request(options: &RequestOptions, body: Vec<u8>) -> Result<http::Request<bytes::Bytes>, Code> {
    let method = Method::Put;
    let Ok(Target::Upstream(target)) = map(method, options) else { panic!("{options:?}") };
    let credentials = Credentials { first: Some("token".into()), ..Credentials::default() };
    let asker = Asker { credentials, cbor_version: 1, peer: Some("192.0.2.7".parse().unwrap()), id: None };
    let forward = forward(&Authority::from_static("localhost"), method, options, target, asker, body);
    forward.map(|forward| forward.request).map_err(|refusal| refusal.code)
}

#[test]
fn the_filter_gets_the_fields_of_the_page() {
    let options = RequestOptions {
        path: vec!["9".into(), "!r".into(), "t".into(), "1".into()],
        ..RequestOptions::default()
    };
    let request = request(&options, vec![0xa0]).unwrap();
    let sent: BTreeSet<String> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let told = table("| field | value |").iter().flat_map(|row| quoted(&row[0])).collect::<BTreeSet<_>>();
    assert_eq!(sent, told);
}

#[test]
fn paths_are_those_of_the_page() {
    let rows = table("| options | path |");
    assert!(rows.len() >= 4, "{rows:?}");
    for row in rows {
        assert_eq!(path(&quoted(&row[0])), quoted(&row[1]).concat(), "{row:?}");
    }
}

#[test]
fn the_tables_of_the_codec_have_the_sizes_of_the_page() {
    let words = page().split_whitespace().collect::<Vec<_>>().join(" ");
    let integers: Vec<u64> = KeyTable::v1().iter().map(|(_, integer)| integer).collect();
    let (least, most) = (integers.iter().min().unwrap(), integers.iter().max().unwrap());
    let keys = format!("has {} names with the integers {least} to {most}", integers.len());
    let codes = format!("has {} codes", PathTable::v1().iter().len());
    for told in [keys, codes] {
        assert!(words.contains(&told), "the page does not say {told:?}");
    }
}

//! The report over a capture of the demo, beside the bytes that the demo has measured of its HTTPS side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what helps a test may fail as the test does, and reads files and clocks"
)]

use lowband_capture::report::hide::Secrets;
use lowband_capture::report::text::{self, Colours};
use lowband_capture::report::{Totals, https, json};
use lowband_capture::{Capture, Detail, Event, Exchange, Note, Options, Session};
use std::fs;
use std::path::Path;

fn load(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// A capture that has been read.
struct Read {
    file: Vec<u8>,
    capture: Capture,
    exchanges: Vec<Exchange>,
    sessions: Vec<Session>,
}

impl Read {
    fn with(file: &str, keys: &str, options: Options) -> Read {
        let file = load(file);
        let mut capture = Capture::new(options);
        capture.add_secrets(&load(keys), 1);
        let (mut exchanges, mut sessions) = (Vec::new(), Vec::new());
        let mut take = |event| match event {
            Event::Exchange(exchange) => exchanges.push(exchange),
            Event::Session(session) => sessions.push(session),
            other => panic!("{other:?}"),
        };
        capture.push(&file, &mut take);
        capture.finish(&mut take);
        Read { file, capture, exchanges, sessions }
    }

    fn detail(&self, exchange: &Exchange) -> Detail {
        self.capture.detail(exchange, &mut |offset, length| {
            self.file.get(offset as usize..)?.get(..length).map(<[u8]>::to_vec)
        })
    }
}

/// A step of the demo's table, on the HTTPS side.
#[derive(Debug)]
struct Measured {
    step: String,
    segments: u64,
    payload: u64,
    wire: u64,
}

fn measured() -> Vec<Measured> {
    let table = String::from_utf8(load("demo.table")).unwrap();
    let row = |line: &str| {
        let [step, _, https, _] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [segments, payload, wire] = https
            .split_whitespace()
            .map(|number| number.replace(',', "").parse().unwrap())
            .collect::<Vec<u64>>()[..]
        else {
            panic!("{line}")
        };
        Measured { step: step.trim().to_owned(), segments, payload, wire }
    };
    table.lines().filter(|line| line.contains('%')).map(row).collect()
}

/// Returns whether an estimate is within so many percent of what was measured.
fn is_near(estimate: u64, measured: u64, percent: u64) -> bool {
    100 * estimate.abs_diff(measured) <= percent * measured
}

#[test]
fn the_estimate_of_https_is_near_what_the_demo_has_measured() {
    let demo = Read::with("demo.pcap", "demo.keys", Options::default());
    // The sidecar's look at itself is not a step of the demo.
    let steps: Vec<&Exchange> =
        demo.exchanges.iter().filter(|exchange| exchange.path.starts_with("/_matrix/")).collect();
    let mut rows = measured();
    let all = rows.pop().unwrap();
    assert_eq!((all.step.as_str(), rows.len(), steps.len()), ("all", 8, 8));
    let mut with_token = Vec::new();
    let mut sum = https::Cost::default();
    for (exchange, row) in steps.into_iter().zip(rows) {
        if exchange.access_token {
            with_token.push(exchange.session);
        }
        let mut cost = https::exchange(exchange, with_token.contains(&exchange.session));
        if row.step.starts_with("connect") {
            cost += https::connection();
        }
        assert!(is_near(cost.payload, row.payload, 3), "{row:?} {cost:?}");
        assert!(is_near(cost.wire(), row.wire, 8), "{row:?} {cost:?}");
        assert!(cost.segments.abs_diff(row.segments) <= 1, "{row:?} {cost:?}");
        sum += cost;
    }
    assert!(is_near(sum.payload, all.payload, 2), "{all:?} {sum:?}");
    assert!(is_near(sum.wire(), all.wire, 2), "{all:?} {sum:?}");
}

#[test]
fn totals_are_those_of_all_datagrams() {
    let demo = Read::with("demo.pcap", "demo.keys", Options::default());
    let mut totals = Totals::default();
    demo.exchanges.iter().for_each(|exchange| {
        totals.exchange(exchange);
    });
    demo.sessions.iter().for_each(|session| totals.session(session));
    let mut out = String::new();
    totals.json(&mut out);
    // 56 datagrams in the file, of 42 bytes of headers each, and 16 bytes of the file's.
    let bytes = demo.file.len() - 24 - 56 * (16 + 42);
    let begin =
        "{\"totals\":{\"exchanges\":9,\"sessions\":3,\"not_complete\":0,\"repeats\":0,\"datagrams\":56,";
    assert!(
        out.starts_with(&format!("{begin}\"bytes\":{bytes},\"wire_bytes\":{},", bytes + 56 * 28)),
        "{out}"
    );
    // Over HTTPS, each session would have been a connection.
    let mut exchanges = https::Cost::default();
    let mut alone = Totals::default();
    demo.exchanges.iter().for_each(|exchange| exchanges += alone.exchange(exchange));
    assert_eq!(alone.https(), exchanges);
    (0..3).for_each(|_| exchanges += https::connection());
    assert_eq!(totals.https(), exchanges);
    // A session of which nothing was shown is not counted.
    let mut totals = Totals::default();
    totals.exchange(&demo.exchanges[0]);
    demo.sessions.iter().for_each(|session| totals.session(session));
    let mut out = String::new();
    totals.text(&mut out);
    assert!(out.starts_with("1 exchange in 1 session: 10 datagrams, "), "{out}");
}

#[test]
fn what_is_of_no_exchange_is_counted_besides() {
    let demo = Read::with("demo.pcap", "demo.keys", Options::default());
    let mut totals = Totals::default();
    demo.exchanges.iter().skip(1).for_each(|exchange| {
        totals.exchange(exchange);
    });
    demo.sessions.iter().for_each(|session| totals.session(session));
    let [mut text, mut json] = [String::new(), String::new()];
    totals.besides_text(&mut text);
    totals.besides_json(&mut json);
    // The first exchange is the only one of its session.
    let first = &demo.sessions[0];
    let (datagrams, bytes) = (first.up.datagrams + first.down.datagrams, first.up.bytes + first.down.bytes);
    let expected = format!("of no exchange: {datagrams} datagrams, 1,");
    assert!(text.starts_with(&expected) && text.ends_with("; 1 session without an exchange\n"), "{text}");
    let expected =
        format!("{{\"besides\":{{\"datagrams\":{datagrams},\"bytes\":{bytes},\"sessions\":1}}}}\n");
    assert_eq!(json, expected);
    // Where all was shown there is nothing else.
    let mut all = Totals::default();
    demo.exchanges.iter().for_each(|exchange| {
        all.exchange(exchange);
    });
    demo.sessions.iter().for_each(|session| all.session(session));
    let mut out = String::new();
    all.besides_text(&mut out);
    all.besides_json(&mut out);
    assert_eq!(out, "");
}

/// Writes all that the report can say of a capture's exchanges, as text and as JSON.
fn everything(read: &Read, secrets: Secrets) -> String {
    let mut out = String::new();
    for exchange in &read.exchanges {
        let detail = read.detail(exchange);
        text::line(&mut out, exchange, secrets, Colours::Plain);
        text::details(&mut out, exchange, &detail, secrets, Colours::Plain);
        json::exchange(&mut out, exchange, 0, Some(&detail), secrets);
        out.push('\n');
    }
    out
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    for (file, keys, password) in
        [("demo.pcap", "demo.keys", "alice-demo"), ("chain.pcap", "chain.keys", "capture-secret")]
    {
        let hidden = everything(&Read::with(file, keys, Options::default()), Secrets::Hidden);
        let options = Options { keep_access_tokens: true, ..Options::default() };
        let shown = everything(&Read::with(file, keys, options), Secrets::Shown);
        // Synapse's access tokens begin so.
        for secret in [password, "syt_"] {
            assert!(!hidden.contains(secret), "{file}: {secret}");
            assert!(shown.contains(secret), "{file}: {secret}");
        }
        // A token in the query, as HTTPS has it.
        let mut read = Read::with(file, keys, Options::default());
        read.exchanges.iter_mut().for_each(|exchange| exchange.query.push("access_token=abc".to_owned()));
        let with_query = everything(&read, Secrets::Hidden);
        assert!(!with_query.contains("access_token=abc") && with_query.contains("access_token=(hidden)"));
        assert!(everything(&read, Secrets::Shown).contains("access_token=abc"));
        // What is not secret is there.
        assert!(hidden.contains("\"room_id\":\"!"));
    }
}

#[test]
fn bodies_are_hidden_where_nobody_knows_what_they_are() {
    let mut read = Read::with("chain.pcap", "chain.keys", Options::default());
    assert!(everything(&read, Secrets::Hidden).contains("\"room_id\":\"!"));
    for (path, code, method) in [("/Z/x", None, true), ("/%C3%A9", None, true), ("/ZZ/x", None, false)] {
        for exchange in &mut read.exchanges {
            exchange.path = path.to_owned();
            exchange.path_code = code;
            exchange.method = exchange.method.filter(|_| method);
        }
        assert!(!everything(&read, Secrets::Hidden).contains("room_id"), "{path}");
        assert!(everything(&read, Secrets::Shown).contains("\"room_id\":\"!"), "{path}");
    }
    let mut read = Read::with("chain.pcap", "chain.keys", Options::default());
    read.exchanges.iter_mut().for_each(|exchange| exchange.notes.push(Note::TargetCut));
    assert!(!everything(&read, Secrets::Hidden).contains("room_id"));
}

#[test]
fn passwords_and_tokens_are_hidden_on_any_path() {
    let mut read = Read::with("chain.pcap", "chain.keys", Options::default());
    read.exchanges.iter_mut().for_each(|exchange| exchange.path = "/_matrix/client/v3/x".to_owned());
    let hidden = everything(&read, Secrets::Hidden);
    assert!(hidden.contains("\"password\":\"(hidden)\"") && hidden.contains("\"room_id\":\"!"));
    assert!(!hidden.contains("capture-secret") && !hidden.contains("syt_"));
}

#[test]
fn what_is_told_in_errors_has_no_query() {
    let mut read = Read::with("chain.pcap", "chain.keys", Options::default());
    let mut exchange = read.exchanges.remove(0);
    exchange.query.push("access_token=abc".to_owned());
    let told = format!("{:?}", Event::Exchange(exchange));
    assert!(told.contains("/register") && !told.contains("abc"), "{told}");
}

#[test]
fn colours_change_nothing_else() {
    let chain = Read::with("chain.pcap", "chain.keys", Options::default());
    let (mut plain, mut coloured) = (String::new(), String::new());
    for exchange in &chain.exchanges {
        text::line(&mut plain, exchange, Secrets::Hidden, Colours::Plain);
        text::line(&mut coloured, exchange, Secrets::Hidden, Colours::Coloured);
    }
    assert!(coloured.contains("\x1b[32m2.05\x1b[m"));
    let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[m"]
        .iter()
        .fold(coloured, |text, escape| text.replace(escape, ""));
    assert_eq!(stripped, plain);
}

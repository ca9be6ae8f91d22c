//! A day of two users of a Matrix library that others wrote, with end-to-end encryption: what it asked, what
//! it was answered and what it made of that. The programs are `sdk/nio/day.py`, `sdk/js/day.mjs` and those of
//! `sdk/rust`.
//!
//! Two such days, through two servers, are compared note by note. What is drawn at random and is no id is
//! compared by its length: a key that arrives changed decrypts nothing.

use crate::error::{Error, Result};
use crate::parts::Parts;
use crate::twins::Twins;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// The longest that a day may take: some twenty times what it does on a machine of two cores.
const DAY_WITHIN: Duration = Duration::from_secs(90);

/// A library whose users live a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// matrix-nio, in Python.
    Nio,
    /// matrix-js-sdk with its Rust cryptography, in Node.
    Js,
    /// matrix-rust-sdk, in a program built for it.
    Rust,
}

impl Library {
    fn command(self, parts: &Parts) -> Result<Command> {
        let (program, script) = match self {
            Library::Nio => (parts.nio_python()?, Some(parts.own("sdk/nio/day.py"))),
            Library::Js => (parts.sdk_node()?, Some(parts.sdk_day()?)),
            Library::Rust => (parts.rust_sdk_day()?, None),
        };
        let mut command = Command::new(program);
        command.args(script);
        Ok(command)
    }

    /// Returns whether the library decides by itself when it makes the exchange of this note: matrix-js-sdk
    /// polls, and matrix-rust-sdk looks for keys of devices and uploads its own beside other requests.
    fn asks_by_itself(self, note: &Value) -> bool {
        let asked = note.get("asked").and_then(Value::as_str);
        match self {
            Library::Nio => false,
            Library::Js => asked.is_some(),
            Library::Rust => asked.is_some_and(|asked| {
                ["upload", "query"].iter().any(|what| asked == format!("POST /_matrix/client/v3/keys/{what}"))
            }),
        }
    }
}

/// The server that a day goes to.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// The URL that clients are given.
    pub url: String,
    /// The certificate to believe besides those of the system, a PEM file.
    pub ca: Option<PathBuf>,
    /// Other URLs by which answers may name it. They and its own are taken out before days are compared.
    pub names: Vec<String>,
}

/// Lets the users live their day, in `folder`, which takes their keys and what the library says of itself.
/// `begin` is called before each step with its name, and at last with `end`. Returns the notes.
pub async fn live(
    parts: &Parts,
    library: Library,
    server: &Server,
    folder: &Path,
    begin: impl AsyncFnMut(&str) -> Result<()>,
) -> Result<Vec<Value>> {
    let mut settings = json!({"server": server.url, "folder": folder});
    if let (Some(ca), Some(members)) = (&server.ca, settings.as_object_mut()) {
        members.insert("ca".to_owned(), json!(ca));
    }
    let log = folder.join("day.log");
    let file = std::fs::File::create(&log).map_err(Error::io(format!("write {}", log.display())))?;
    let mut command = library.command(parts)?;
    command.arg(settings.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
    let what = format!("a day of {library:?}");
    let late = Error::NoAnswer { what: what.clone(), why: format!("still running after {DAY_WITHIN:?}") };
    let whole = tokio::time::timeout(DAY_WITHIN, read(command, begin)).await.map_err(|_| late)?;
    let (status, notes) = whole.map_err(Error::io(format!("run {what}")))?;
    let notes = notes?;
    if status.success() {
        return Ok(notes);
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let from = said.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    let last = notes.last().cloned().unwrap_or_default();
    let got = format!("{status} after {last}\n{}", said.get(from..).unwrap_or_default());
    Err(Error::Wrong { what, expected: "status 0".to_owned(), got })
}

/// Characters of a library's log that a failure tells.
const LAST_WORDS: usize = 3_000;

type Outcome = (std::process::ExitStatus, Result<Vec<Value>>);

async fn read(mut command: Command, begin: impl AsyncFnMut(&str) -> Result<()>) -> std::io::Result<Outcome> {
    let mut child = command.kill_on_drop(true).spawn()?;
    let gone = || std::io::Error::other("a pipe of the child is missing");
    let mut input = child.stdin.take().ok_or_else(gone)?;
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(gone)?).lines();
    let mut begin = begin;
    let mut notes = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let Ok(note) = serde_json::from_str::<Value>(&line) else {
            let wrong = Error::Wrong { what: "a day".into(), expected: "lines of JSON".into(), got: line };
            return Ok((child.wait().await?, Err(wrong)));
        };
        if let Some(step) = note.get("step").and_then(Value::as_str) {
            if let Err(why) = begin(step).await {
                return Ok((child.wait().await?, Err(why)));
            }
            // A child that has ended by itself reads no more.
            let _ = input.write_all(b"\n").await;
        }
        notes.push(note);
    }
    Ok((child.wait().await?, Ok(notes)))
}

/// Returns how two days of one library differ, each at its server: one text for each difference.
pub fn differences(library: Library, days: [(&[Value], &Server); 2]) -> Vec<String> {
    let [left, right] = days.map(|(day, server)| {
        let compared = |note| {
            let mut note = with_template(note);
            if library == Library::Rust {
                leave_counts_out(&mut note);
            }
            settled(&note, server)
        };
        day.iter().map(compared).collect::<Vec<_>>()
    });
    let by_itself = |note: &&Value| library.asks_by_itself(note);
    let ((own, left), (others, mut right)): ((Vec<_>, Vec<_>), (Vec<_>, Vec<_>)) =
        (left.iter().partition(by_itself), right.iter().partition(by_itself));
    let mut found = asked_otherwise(&own, &others);
    if left.len() != right.len() {
        found.push(format!("{} notes and {}", left.len(), right.len()));
    }
    if library == Library::Rust {
        right = in_order_of(&left, right);
    }
    let mut twins = Twins::default();
    for (one, other) in left.iter().zip(&right) {
        if let Err(why) = twins.compare(one, other) {
            found.push(format!("{}\n    {why}", what(one)));
        }
    }
    found.extend(right.iter().skip(left.len()).map(|other| format!("only on the right: {}", what(other))));
    found
}

/// Returns what a note is about.
fn what(note: &Value) -> Value {
    note.get("asked").or(note.get("saw")).or(note.get("step")).cloned().unwrap_or_default()
}

/// Returns the notes of the right in the order of the left, for a library that asks several things at a time:
/// the first of its kind beside the first, and so on. Nothing stands beside a note that has no other.
fn in_order_of<'a>(left: &[&Value], right: Vec<&'a Value>) -> Vec<&'a Value> {
    let kind = |note: &Value| ["step", "saw", "user", "asked"].map(|name| note.get(name).cloned());
    let mut rest: VecDeque<_> = right.into();
    let mut beside = |note: &&Value| {
        let same = rest.iter().position(|other| kind(other) == kind(note));
        same.and_then(|at| rest.remove(at)).unwrap_or(&Value::Null)
    };
    let mut ordered: Vec<_> = left.iter().map(&mut beside).collect();
    ordered.extend(rest);
    ordered
}

/// Compares which requests were made and how they were answered. What a library asks by itself it may ask
/// more often in one day than in the other.
fn asked_otherwise(left: &[&Value], right: &[&Value]) -> Vec<String> {
    let [left, right] = [left, right].map(|asked| {
        let kind = |note: &Value| {
            let field = |name: &str| note.get(name).cloned().unwrap_or_default();
            let asked = field("asked");
            let asked = asked.as_str().unwrap_or_default();
            format!("{} {asked} -> {} {}", field("user"), field("status"), field("type"))
        };
        asked.iter().map(|note| kind(note)).collect::<BTreeSet<_>>()
    });
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>, side: &str| {
        one.difference(other).map(|asked| format!("only {side}: {asked}")).collect::<Vec<_>>()
    };
    [only(&left, &right, "on the left"), only(&right, &left, "on the right")].concat()
}

/// Returns the note with the template of what was asked, where it is of an exchange.
fn with_template(note: &Value) -> Value {
    let mut note = note.clone();
    if let Some(asked) = note.get_mut("asked") {
        *asked = Value::String(template(asked.as_str().unwrap_or_default()));
    }
    note
}

/// Takes the number of keys for single use out of an answer to sliding sync: matrix-rust-sdk uploads keys
/// while it polls, and the number is that of before or after.
fn leave_counts_out(note: &mut Value) {
    if let Some(Value::Object(e2ee)) = note.pointer_mut("/body/extensions/e2ee") {
        e2ee.remove("device_one_time_keys_count");
    }
}

/// Returns method and path with a star for each segment that looks like no word of the specification.
fn template(asked: &str) -> String {
    /// Words that are not of small letters alone.
    const NAMES: [&str; 4] = ["v1", "v3", "createRoom", "sendToDevice"];
    let is_word = |segment: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || b"._".contains(&byte);
        segment.starts_with("org.matrix.") || NAMES.contains(&segment) || segment.bytes().all(is_plain)
    };
    let (method, path) = asked.split_once(' ').unwrap_or_default();
    let segments: Vec<&str> =
        path.split('/').map(|segment| if is_word(segment) { segment } else { "*" }).collect();
    format!("{method} {}", segments.join("/"))
}

/// Members that are drawn at random and too short to look so, or are none of base64: a check of what is
/// encrypted in a key backup, and the id that matrix-rust-sdk gives to what it sends to a device.
const DRAWN: [&str; 2] = ["mac", "org.matrix.msgid"];

/// What a low-bandwidth server says of itself in `/versions`, and the proxy passes on as all else.
const OF_THE_CHAIN: &str = "org.matrix.msc3079.low_bandwidth";

/// Returns the value with the names of the server itself and with random texts taken out.
fn settled(value: &Value, server: &Server) -> Value {
    match value {
        Value::String(text) => Value::String(settled_text(text, server)),
        Value::Array(items) => items.iter().map(|item| settled(item, server)).collect(),
        Value::Object(members) => {
            let mut found: Vec<_> = members
                .iter()
                .filter(|(key, _)| *key != OF_THE_CHAIN)
                .map(|(key, member)| match member {
                    Value::String(_) if DRAWN.contains(&key.as_str()) => (key.clone(), json!("<drawn>")),
                    _ => (settled_text(key, server), settled(member, server)),
                })
                .collect();
            // Names that were drawn at random came in a random order.
            found.sort_by_cached_key(|(key, member)| (key.clone(), member.to_string()));
            let mut all = Map::new();
            for (mut key, member) in found {
                while all.contains_key(&key) {
                    key.push('\'');
                }
                all.insert(key, member);
            }
            Value::Object(all)
        }
        other => other.clone(),
    }
}

fn settled_text(text: &str, server: &Server) -> String {
    let mut text = text.to_owned();
    for name in server.names.iter().chain([&server.url]).filter(|name| !name.is_empty()) {
        text = text.replace(name, "SERVER");
    }
    // A base URL may end with a slash or without.
    if text == "SERVER/" {
        text.pop();
    }
    without_random(&text)
}

/// Replaces what is base64 of 16 bytes or more by its length, and device ids within a text by a word. Ids of
/// events and rooms stay, and a device id that is the whole text.
fn without_random(text: &str) -> String {
    const RANDOM: usize = 22;
    const DEVICE: usize = 10;
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_id = matches!(first, '$' | '!');
        let (begin, in_run): (usize, &[u8]) = if is_id { (1, b"-_") } else { (0, b"+/=") };
        let tail = rest.get(begin..).unwrap_or_default();
        let run =
            tail.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || in_run.contains(byte)).count();
        let end = if begin + run == 0 { first.len_utf8() } else { begin + run };
        let (piece, after) = rest.split_at(end);
        let is_device = piece.len() == DEVICE && piece.bytes().all(|byte| byte.is_ascii_uppercase());
        match () {
            () if is_id => out.push_str(piece),
            () if piece.len() >= RANDOM && piece.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                out.push_str(&format!("<{}>", piece.len()));
            }
            () if is_device && piece.len() < text.len() => out.push_str("<device>"),
            () => out.push_str(piece),
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_are_blanked_by_their_length_and_ids_stay() {
        let key = format!("{}A", "a/".repeat(21));
        let event = format!("${}", "aB-_".repeat(10));
        let text = format!("é{event} {key}: ed25519:ABCDEFGHIJ");
        assert_eq!(without_random(&text), format!("é{event} <43>: ed25519:<device>"));
        for kept in ["", "ABCDEFGHIJ", "/matrix/client/unstable/org", "how are you?", "A/b"] {
            assert_eq!(without_random(kept), kept);
        }
        let server = Server { url: "http://a".to_owned(), ..Server::default() };
        assert_eq!(settled(&json!({"x": "http://a/"}), &server), json!({"x": "SERVER"}));
        let (one, other) = ("B".repeat(43), "C".repeat(43));
        assert_eq!(settled(&json!({&one: 2, &other: 1}), &server), json!({"<43>": 1, "<43>'": 2}));
        let session = json!({"mac": "a+b", "count": 1, "x": {"mac": 2}});
        assert_eq!(settled(&session, &server), json!({"mac": "<drawn>", "count": 1, "x": {"mac": 2}}));
        let versions = json!({"versions": ["v1.1"], OF_THE_CHAIN: {"dtls": 8008}});
        assert_eq!(settled(&versions, &server), json!({"versions": ["v1.1"]}));
    }

    #[test]
    fn days_of_a_library_that_asks_several_things_at_a_time_are_compared_kind_by_kind() {
        let server = Server::default();
        let differ =
            |left: &[Value], right: &[Value]| differences(Library::Rust, [(left, &server), (right, &server)]);
        let asked = |what: &str, body: u8| json!({"asked": what, "user": "a", "status": 200, "body": body});
        let left = [asked("GET /x", 1), asked("GET /y", 2), asked("GET /x", 3)];
        assert!(differ(&left, &[asked("GET /y", 2), asked("GET /x", 1), asked("GET /x", 3)]).is_empty());
        assert_eq!(differ(&left, &[asked("GET /x", 3), asked("GET /x", 1), asked("GET /y", 2)]).len(), 2);
        let other = [asked("GET /x", 1), asked("GET /z", 2), asked("GET /x", 3)];
        let told = differ(&left, &other);
        assert!(told[0].starts_with("\"GET /y\""), "{told:?}");
        assert_eq!(told[1..], ["only on the right: \"GET /z\""]);
        assert_eq!(differ(&left, &left[..2])[0], "3 notes and 2");
        let slid = |keys: u8, more: u8| {
            let e2ee = json!({"device_one_time_keys_count": {"signed_curve25519": keys}, "more": more});
            [json!({"asked": "POST /x", "body": {"extensions": {"e2ee": e2ee}}})]
        };
        let query = [asked("POST /_matrix/client/v3/keys/query", 1), asked("GET /x", 1)];
        assert!(
            differ(&query, &[query[1].clone(), asked("POST /_matrix/client/v3/keys/query", 2)]).is_empty()
        );
        assert_eq!(differ(&query, &query[1..]).len(), 1);
        assert!(differ(&slid(99, 1), &slid(100, 1)).is_empty());
        assert_eq!(
            differ(&slid(99, 1), &slid(99, 2)),
            ["\"POST /x\"\n    /body/extensions/e2ee/more: 1 and 2"]
        );
    }

    #[test]
    fn days_of_a_library_that_polls_by_itself_are_compared_by_what_was_asked_at_all() {
        let server = Server::default();
        let differ = |library, left: &[Value], right: &[Value]| {
            differences(library, [(left, &server), (right, &server)])
        };
        let asked = |room: char, status: u16| {
            let asked = format!("GET /_matrix/client/v3/rooms/%21{room}/x");
            json!({"asked": asked, "user": "a", "status": status})
        };
        let left = [asked('a', 200)];
        let twice = [asked('a', 200), asked('b', 200)];
        assert!(differ(Library::Js, &left, &twice).is_empty());
        let told = differ(Library::Nio, &left, &twice);
        assert_eq!(told, ["1 notes and 2", "only on the right: \"GET /_matrix/client/v3/rooms/*/x\""]);
        let told = differ(Library::Js, &left, &[asked('a', 200), asked('b', 504)]);
        assert_eq!(told, ["only on the right: \"a\" GET /_matrix/client/v3/rooms/*/x -> 504 null"]);
        let saw = |value: u8| [json!({"saw": "x", "value": value})];
        assert_eq!(differ(Library::Js, &saw(1), &saw(2)), ["\"x\"\n    /value: 1 and 2"]);
    }
}

//! A day of two users of a Matrix library that others wrote, with end-to-end encryption: what it asked, what
//! it was answered and what it made of that. The programs are `sdk/nio/day.py` and `sdk/js/day.mjs`.
//!
//! Two such days, through two servers, are compared note by note. What is drawn at random and is no id is
//! compared by its length: a key that arrives changed decrypts nothing.

use crate::error::{Error, Result};
use crate::parts::Parts;
use crate::twins::Twins;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
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
}

impl Library {
    fn command(self, parts: &Parts) -> Result<Command> {
        let (program, script) = match self {
            Library::Nio => (parts.nio_python()?, parts.own("sdk/nio/day.py")),
            Library::Js => (parts.sdk_node()?, parts.sdk_day()?),
        };
        let mut command = Command::new(program);
        command.arg(script);
        Ok(command)
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
        day.iter().map(|note| settled(&with_template(note), server)).collect::<Vec<_>>()
    });
    let mut found = Vec::new();
    if library == Library::Js {
        found.extend(asked_otherwise(&left, &right));
    }
    let compared = |note: &&Value| library == Library::Nio || note.get("asked").is_none();
    let (left, right): (Vec<_>, Vec<_>) =
        (left.iter().filter(compared).collect(), right.iter().filter(compared).collect());
    if left.len() != right.len() {
        found.push(format!("{} notes and {}", left.len(), right.len()));
    }
    let mut twins = Twins::default();
    for (one, other) in left.iter().zip(&right) {
        if let Err(why) = twins.compare(one, other) {
            let what = one.get("asked").or(one.get("saw")).or(one.get("step")).cloned().unwrap_or_default();
            found.push(format!("{what}\n    {why}"));
        }
    }
    found
}

/// Compares which requests were made and how they were answered. A library that polls by itself asks some of
/// them more often in one day than in the other.
fn asked_otherwise(left: &[Value], right: &[Value]) -> Vec<String> {
    let [left, right] = [left, right].map(|day| {
        let asked = day.iter().filter(|note| note.get("asked").is_some());
        let kind = |note: &Value| {
            let field = |name: &str| note.get(name).cloned().unwrap_or_default();
            let asked = field("asked");
            let asked = asked.as_str().unwrap_or_default();
            format!("{} {asked} -> {} {}", field("user"), field("status"), field("type"))
        };
        asked.map(kind).collect::<BTreeSet<_>>()
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

/// Returns the value with the names of the server itself and with random texts taken out.
fn settled(value: &Value, server: &Server) -> Value {
    match value {
        Value::String(text) => Value::String(settled_text(text, server)),
        Value::Array(items) => items.iter().map(|item| settled(item, server)).collect(),
        Value::Object(members) => {
            let mut all = Map::new();
            for (key, member) in members {
                let mut key = settled_text(key, server);
                while all.contains_key(&key) {
                    key.push('\'');
                }
                all.insert(key, settled(member, server));
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
        assert_eq!(settled(&json!({one: 1, other: 2}), &server), json!({"<43>": 1, "<43>'": 2}));
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
        assert_eq!(differ(Library::Nio, &left, &twice), ["1 notes and 2"]);
        let told = differ(Library::Js, &left, &[asked('a', 200), asked('b', 504)]);
        assert_eq!(told, ["only on the right: \"a\" GET /_matrix/client/v3/rooms/*/x -> 504 null"]);
        let saw = |value: u8| [json!({"saw": "x", "value": value})];
        assert_eq!(differ(Library::Js, &saw(1), &saw(2)), ["\"x\"\n    /value: 1 and 2"]);
    }
}

//! `-w FORMAT`: what is known of a transfer, in the user's words.

use super::answer::Answer;
use crate::exit::{Exit, Failure};
use lowband_client::PathReport;
use lowband_client::trace::Traffic;
use std::fmt::Write;
use std::time::Duration;

/// What was measured of a transfer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measures {
    /// Time until there was a connection; zero on one that was there.
    pub(super) connect: Duration,
    /// Time from the request to the whole answer.
    pub(super) answered: Duration,
    /// Time of all of it.
    pub(super) total: Duration,
    /// Datagrams and their bytes; zero with `--http`.
    pub(super) traffic: Traffic,
    /// The path, its counts those of this transfer.
    pub(super) path: PathReport,
    /// Bytes of the body that was to be sent.
    pub(super) body: usize,
    /// Tries after the first.
    pub(super) retries: u32,
}

/// A transfer that is over.
pub(super) struct Transfer<'t> {
    pub(super) url: &'t str,
    pub(super) method: &'static str,
    pub(super) measures: &'t Measures,
    pub(super) answer: Option<&'t Answer>,
    pub(super) failure: Option<&'t Failure>,
}

type Fill = fn(&Transfer<'_>, &mut String);

/// The variables, with what `--help` says of each.
const VARIABLES: [(&str, &str, Fill); 21] = [
    ("code", "code of the answer: 2.05, with --http 200; 0.00 without one", |t, out| {
        out.push_str(t.answer.map_or("0.00", |answer| &answer.code));
    }),
    ("http_code", "what the code is in HTTP: 200 for 2.05; 000 without an answer", |t, out| {
        let _infallible = write!(out, "{:03}", t.answer.map_or(0, |answer| answer.http_code));
    }),
    ("content_type", "media type of the answer", |t, out| {
        out.push_str(&t.answer.map(|answer| answer.form.name()).unwrap_or_default());
    }),
    ("url", "path and query of the URL", |t, out| out.push_str(t.url)),
    ("method", "GET, POST, PUT or DELETE", |t, out| out.push_str(t.method)),
    ("size_upload", "bytes of the body sent", |t, out| number(t.measures.body as u64, out)),
    ("size_download", "bytes of the answer's body, as it came", |t, out| {
        number(t.answer.map_or(0, |answer| answer.body.len()) as u64, out);
    }),
    ("bytes_out", "bytes sent, as payload of UDP, those of the handshake included", |t, out| {
        number(t.measures.traffic.bytes_out, out);
    }),
    ("bytes_in", "bytes received", |t, out| number(t.measures.traffic.bytes_in, out)),
    ("datagrams_out", "datagrams sent", |t, out| number(t.measures.traffic.datagrams_out, out)),
    ("datagrams_in", "datagrams received", |t, out| number(t.measures.traffic.datagrams_in, out)),
    ("time_connect", "seconds until there was a session; 0 if it was there", |t, out| {
        seconds(t.measures.connect, out);
    }),
    ("time_total", "seconds of all of it", |t, out| seconds(t.measures.total, out)),
    ("round_trip", "smoothed round trip in seconds; 0 if it was not measured", |t, out| {
        seconds(t.measures.path.round_trip.unwrap_or_default(), out);
    }),
    ("window", "blocks on their way at once; 0 if no body came in blocks", |t, out| {
        number(t.measures.path.window.unwrap_or(0).into(), out);
    }),
    ("blocks", "blocks after the first of a body", |t, out| number(t.measures.path.blocks, out)),
    ("blocks_again", "blocks that were asked for or sent again", |t, out| {
        number(t.measures.path.blocks_again, out);
    }),
    ("lists", "requests that named several blocks", |t, out| number(t.measures.path.lists, out)),
    ("num_retries", "tries after the first (--retry)", |t, out| number(t.measures.retries.into(), out)),
    ("exitcode", "exit status of this transfer", |t, out| {
        let exit = t.failure.map_or(Exit::Success, |failure| failure.exit);
        number(exit.status().into(), out);
    }),
    ("errormsg", "what went wrong", |t, out| {
        out.push_str(t.failure.and_then(|failure| failure.message.as_deref()).unwrap_or_default());
    }),
];

fn number(number: u64, out: &mut String) {
    let _infallible = write!(out, "{number}");
}

fn seconds(time: Duration, out: &mut String) {
    let _infallible = write!(out, "{:.6}", time.as_secs_f64());
}

/// A parsed format.
#[derive(Clone, Debug)]
pub(super) struct Format(Vec<Element>);

#[derive(Clone, Debug)]
enum Element {
    Text(String),
    Variable(Fill),
}

/// Returns the list of the variables for `--help`.
pub(super) fn help() -> String {
    let mut text = String::from("Variables of -w, of one URL each:\n");
    for (name, meaning, _) in VARIABLES {
        let _infallible = writeln!(text, "  {name:<13}  {meaning}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Parses a format, or the file that `@FILE` names. A variable that there is not is named.
pub(super) fn parse(given: &str) -> Result<Format, String> {
    let from_file;
    let mut rest = match given.strip_prefix('@') {
        None => given,
        Some(path) => {
            from_file = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            from_file.as_str()
        }
    };
    let mut parts = Vec::new();
    let mut text = String::new();
    while let Some(next) = rest.chars().next() {
        let variable = rest.strip_prefix("%{").and_then(|rest| rest.split_once('}'));
        if let Some((name, after)) = variable {
            let Some((.., write)) = VARIABLES.iter().find(|(known, ..)| same(known, name)) else {
                let all: Vec<_> = VARIABLES.iter().map(|(known, ..)| *known).collect();
                return Err(format!("there is no variable {name:?}; there are {}", all.join(", ")));
            };
            parts.push(Element::Text(std::mem::take(&mut text)));
            parts.push(Element::Variable(*write));
            rest = after;
            continue;
        }
        let escapes = [("%%", '%'), ("\\n", '\n'), ("\\r", '\r'), ("\\t", '\t'), ("\\\\", '\\')];
        let escape = escapes.iter().find_map(|(escape, is)| Some((rest.strip_prefix(escape)?, *is)));
        let (after, character) = escape.unwrap_or((rest.get(next.len_utf8()..).unwrap_or_default(), next));
        text.push(character);
        rest = after;
    }
    parts.push(Element::Text(text));
    Ok(Format(parts))
}

/// Returns whether a variable has this name; curl knows the code by a second one.
fn same(known: &str, name: &str) -> bool {
    known == name || (known == "http_code" && name == "response_code")
}

impl Format {
    /// Returns the text for a transfer.
    pub(super) fn fill(&self, transfer: &Transfer<'_>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Element::Text(text) => out.push_str(text),
                Element::Variable(write) => write(transfer, &mut out),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(format: &str) -> String {
        let measures = Measures { connect: Duration::from_millis(1500), body: 7, ..Measures::default() };
        let failure = Failure::new(Exit::Timeout, "too late");
        let (answer, failure) = (None, Some(&failure));
        let transfer = Transfer { url: "/a", method: "GET", measures: &measures, answer, failure };
        parse(format).unwrap().fill(&transfer)
    }

    #[test]
    fn variables_and_escapes_are_replaced_and_all_else_is_left() {
        for (format, expected) in [
            ("", ""),
            ("%{code} %{http_code} %{response_code}\\n", "0.00 000 000\n"),
            ("%{exitcode}: %{errormsg}%%", "28: too late%"),
            ("%{method} %{url}\\t%{time_connect}\\r%{size_upload}", "GET /a\t1.500000\r7"),
            ("%{window},%{round_trip},%{blocks}%{content_type}", "0,0.000000,0"),
            ("50% %x \\x \\\\n \u{e9} %{", "50% %x \\x \\n \u{e9} %{"),
        ] {
            assert_eq!(fill(format), expected, "{format}");
        }
    }

    #[test]
    fn a_variable_that_there_is_not_is_named() {
        let why = parse("%{code} %{speed}").unwrap_err();
        assert!(why.contains("\"speed\"") && why.contains("bytes_in"), "{why}");
        assert!(parse("@/nonexistent").unwrap_err().starts_with("/nonexistent: "));
    }

    #[test]
    fn help_names_each_variable() {
        let help = help();
        assert!(VARIABLES.iter().all(|(name, ..)| help.contains(&format!("\n  {name} "))), "{help}");
    }
}

//! `-v`: what goes over the wire, on stderr. `*` marks our own notes, `>` what goes out, `<` what comes in.
//! Never shows the access token, and of a body its length alone, unless `-vv` asks for the bytes.

use crate::words::counted;
use lowband_capture::report::text;
use lowband_client::PathReport;
use lowband_client::trace::{Message, Trace, Tracer, Traffic, records};
use lowband_wire::coap::message::Kind;
use std::collections::VecDeque;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Messages whose copies are known for copies; they come soon or never.
const REMEMBERED: usize = 1024;

/// How much is written to stderr: nothing, messages with `-v`, their bytes too with `-vv`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbose {
    level: u8,
}

impl Verbose {
    pub(crate) fn new(level: u8) -> Verbose {
        Verbose { level }
    }

    pub(crate) fn note(self, text: impl Display) {
        self.line('*', text);
    }

    fn out(self, text: impl Display) {
        self.line('>', text);
    }

    fn came(self, text: impl Display) {
        self.line('<', text);
    }

    fn line(self, mark: char, text: impl Display) {
        if self.level > 0 {
            // A stderr without a reader is not a reason to fail.
            let _ = writeln!(io::stderr().lock(), "{mark} {text}");
        }
    }

    /// Returns a tracer for the connection; `None` if `-v` was not given.
    pub(crate) fn tracer(self) -> Option<Tracer> {
        (self.level > 0).then(|| {
            let copies = Mutex::new(Copies::default());
            Tracer::new(move |what| self.see(what, &copies))
        })
    }

    fn see(self, what: Trace<'_>, copies: &Mutex<Copies>) {
        match what {
            Trace::Sent(datagram) => self.datagram("->", datagram),
            Trace::Received(datagram) => self.datagram("<-", datagram),
            Trace::MessageSent(message) => self.message(true, message, copies),
            Trace::MessageReceived(message) => self.message(false, message, copies),
            Trace::Unreadable(why) => self.note(format_args!("<- not a CoAP message: {why}")),
            Trace::Refused => self.note("<- port unreachable"),
            Trace::UriPath(path) => self.note(format_args!("Uri-Path {}", path.join(" / "))),
            Trace::Connected(Some(time)) => {
                self.note(format_args!("connected by DTLS, round trip {time:.1?}"))
            }
            Trace::Connected(None) => self.note("connected by DTLS"),
            Trace::Lost(why) => self.note(format_args!("{why}; the request is made again")),
            Trace::Dialling(after) => self.note(format_args!("dialling from a new port in {after:.1?}")),
            Trace::Unreached(why) => self.note(why),
            Trace::Unavailable(time) => {
                self.note(format_args!("5.03: the request is made again in {time:.1?}"))
            }
            other => self.note(format_args!("{other:?}")),
        }
    }

    /// Writes what a datagram holds. Of one that holds nothing but application data the message has a line.
    fn datagram(self, arrow: &str, datagram: &[u8]) {
        let records = records(datagram);
        if self.level > 1 || records.split(", ").any(|record| record != "application data") {
            self.note(format_args!("{arrow} {}: {records}", counted(datagram.len(), "byte")));
        }
    }

    /// Writes a message in a line, and with `-vv` its bytes.
    fn message(self, sent: bool, message: Message<'_>, copies: &Mutex<Copies>) {
        let Ok(view) = message.view() else { return };
        let mut line = String::from(if sent { "-> " } else { "<- " });
        text::message(&mut line, &view, message.bytes());
        let is_reply = matches!(view.kind, Kind::Acknowledgement | Kind::Reset);
        let copy = copies.lock().unwrap_or_else(PoisonError::into_inner).count((sent, is_reply, view.id.0));
        if copy > 1 {
            let _infallible = write!(line, "  [copy {copy}]");
        }
        self.note(line);
        if self.level > 1 {
            for (at, row) in message.bytes().chunks(16).enumerate() {
                self.note(format_args!("   {}", dump(16 * at, row)));
            }
        }
    }

    /// Writes what has come and gone, in one line whose form does not change (cli/README.md).
    pub(crate) fn traffic(self, traffic: Traffic) {
        let Traffic { datagrams_out, bytes_out, datagrams_in, bytes_in } = traffic;
        self.note(format_args!(
            "sent {bytes_out} bytes in {datagrams_out} datagrams, received {bytes_in} in {datagrams_in} (UDP payload)"
        ));
    }

    /// Writes what the path was like, in one line whose form does not change (cli/README.md).
    pub(crate) fn path(self, path: PathReport) {
        self.note(format_args!("path: {}", in_words(path)));
    }

    /// Writes how long the answer took, in one line whose form does not change (cli/README.md).
    pub(crate) fn answered(self, took: Duration) {
        self.note(format_args!("answered in {:.3} s", took.as_secs_f64()));
    }

    /// Writes the lines of a request; `headers` as they were given.
    pub(crate) fn request<'h>(
        self,
        first: impl Display,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        body: usize,
    ) {
        self.out(first);
        for (name, value) in headers {
            let shown = if name.eq_ignore_ascii_case("authorization") { "(not shown)" } else { value };
            self.out(format_args!("{name}: {shown}"));
        }
        if body > 0 {
            self.out(format_args!("({} of body)", counted(body, "byte")));
        }
    }

    /// Writes the lines of an answer's head, as `-i` would write them.
    pub(crate) fn answer(self, head: &str, body: usize) {
        head.lines().filter(|line| !line.is_empty()).for_each(|line| self.came(line));
        self.came(format_args!("({} of body)", counted(body, "byte")));
    }
}

/// The last messages and how often each has gone out or come.
#[derive(Debug, Default)]
struct Copies(VecDeque<(Which, u32)>);

/// Whether a message was sent, whether it is an acknowledgement or a reset, and its id.
type Which = (bool, bool, u16);

impl Copies {
    /// Counts a message, and returns how often it has been there.
    fn count(&mut self, which: Which) -> u32 {
        if let Some((_, times)) = self.0.iter_mut().rev().find(|(known, _)| *known == which) {
            *times += 1;
            return *times;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((which, 1));
        1
    }
}

/// Returns a line of up to 16 bytes: offset, hexadecimal, and what is visible ASCII.
fn dump(offset: usize, bytes: &[u8]) -> String {
    let mut line = format!("{offset:04x} ");
    for at in 0..16 {
        let _infallible = match bytes.get(at) {
            Some(byte) => write!(line, " {byte:02x}"),
            None => write!(line, "   "),
        };
    }
    line.push_str("  ");
    line.extend(bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
    line
}

fn in_words(path: PathReport) -> String {
    let window = path.window.map_or_else(|| "none".into(), |blocks| format!("{blocks} blocks"));
    let time = |time: Option<Duration>| {
        time.map_or_else(|| "unknown".into(), |time| format!("{:.0} ms", time.as_secs_f64() * 1000.0))
    };
    let (smoothed, least) = (time(path.round_trip), time(path.least_round_trip));
    let PathReport { blocks, blocks_again, lists, .. } = path;
    format!(
        "window {window}, round trip {smoothed}, least {least}; {blocks} blocks, {blocks_again} of them again, {lists} lists"
    )
}

/// Removes the value of an `access_token` from the query of a target.
pub(crate) fn without_secrets(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let shown: Vec<_> = query
        .split('&')
        .map(|pair| if pair.starts_with("access_token=") { "access_token=(not shown)" } else { pair })
        .collect();
    format!("{path}?{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_path_keeps_its_form() {
        let mut path = PathReport::default();
        let nothing = "window none, round trip unknown, least unknown; 0 blocks, 0 of them again, 0 lists";
        assert_eq!(in_words(path), nothing);
        path.window = Some(23);
        path.round_trip = Some(Duration::from_micros(612_345));
        path.least_round_trip = Some(Duration::from_millis(600));
        (path.blocks, path.blocks_again, path.lists) = (97, 3, 12);
        let all = "window 23 blocks, round trip 612 ms, least 600 ms; 97 blocks, 3 of them again, 12 lists";
        assert_eq!(in_words(path), all);
    }

    #[test]
    fn a_token_in_the_query_is_not_shown() {
        assert_eq!(
            without_secrets("/sync?a=b&access_token=secret&c"),
            "/sync?a=b&access_token=(not shown)&c"
        );
        assert_eq!(without_secrets("/sync"), "/sync");
    }

    #[test]
    fn copies_are_known_by_direction_kind_and_id() {
        let mut copies = Copies::default();
        for (which, times) in [
            ((true, false, 7), 1),
            ((true, false, 7), 2),
            ((false, true, 7), 1),
            ((false, false, 7), 1),
            ((true, false, 8), 1),
            ((true, false, 7), 3),
        ] {
            assert_eq!(copies.count(which), times, "{which:?}");
        }
        for id in 100..100 + REMEMBERED as u16 {
            assert_eq!(copies.count((true, false, id)), 1);
        }
        assert_eq!(copies.0.len(), REMEMBERED);
        assert_eq!(copies.count((true, false, 7)), 1, "forgotten");
    }

    #[test]
    fn bytes_have_their_offset_and_their_text() {
        assert_eq!(
            dump(16, b"GET a\x00\xff"),
            format!("0010  47 45 54 20 61 00 ff{}  GET.a..", " ".repeat(27))
        );
        assert_eq!(dump(0, b"0123456789abcdef").split("  ").last(), Some("0123456789abcdef"));
    }
}

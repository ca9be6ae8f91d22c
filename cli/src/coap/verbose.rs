//! `-v`: what goes over the wire, on stderr. `*` marks our own notes, `>` what goes out, `<` what comes in.
//! Never shows the access token, and nothing of a body but its length.

use lowband_client::PathReport;
use lowband_client::trace::{Trace, Tracer, Traffic, records};
use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// Writes to stderr, or stays silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbose {
    on: bool,
}

impl Verbose {
    pub(crate) fn new(on: bool) -> Verbose {
        Verbose { on }
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
        if self.on {
            // A stderr without a reader is not a reason to fail.
            let _ = writeln!(io::stderr().lock(), "{mark} {text}");
        }
    }

    /// Returns a tracer for the connection; `None` if `-v` was not given.
    pub(crate) fn tracer(self) -> Option<Tracer> {
        self.on.then(|| Tracer::new(move |what| self.see(what)))
    }

    fn see(self, what: Trace<'_>) {
        match what {
            Trace::Sent(datagram) => {
                self.note(format_args!("-> {} bytes: {}", datagram.len(), records(datagram)))
            }
            Trace::Received(datagram) => {
                self.note(format_args!("<- {} bytes: {}", datagram.len(), records(datagram)))
            }
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
            self.out(format_args!("({body} bytes of body)"));
        }
    }

    /// Writes the lines of an answer's head, as `-i` would write them.
    pub(crate) fn answer(self, head: &str, body: usize) {
        head.lines().filter(|line| !line.is_empty()).for_each(|line| self.came(line));
        self.came(format_args!("({body} bytes of body)"));
    }
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
}

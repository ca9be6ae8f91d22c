//! How far a long conversion is: a bar on stderr, where that is a terminal and nothing else is written there.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Removed from the terminal when dropped, so that what is said next stands on a line of its own.
pub(super) struct Progress {
    /// Bytes there are to read, where that is known.
    len: Option<u64>,
    wanted: bool,
    since: Instant,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `to_stdout`: the output goes there, perhaps to the same terminal.
    pub(super) fn new(len: Option<u64>, to_stdout: bool) -> Progress {
        let among_output = to_stdout && io::stdout().is_terminal();
        let wanted = io::stderr().is_terminal() && !among_output;
        Progress { len, wanted, since: Instant::now(), done: 0, bar: None }
    }

    /// So many bytes more have been read and converted.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.done += bytes as u64;
        if self.wanted && self.since.elapsed() >= PATIENCE {
            let (len, since) = (self.len, self.since);
            self.bar.get_or_insert_with(|| bar(len, since)).set_position(self.done);
        }
    }
}

fn bar(len: Option<u64>, since: Instant) -> ProgressBar {
    let (bar, template) = match len {
        Some(len) => {
            (ProgressBar::new(len), "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        }
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    // A template that is wrong would be seen by whoever wrote it; the user gets a plain bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_elapsed(since.elapsed())
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_have_a_style_of_their_own() {
        for template in [
            "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            "{spinner} {bytes}, {bytes_per_sec}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}

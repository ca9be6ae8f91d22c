//! Progress of a long conversion: a bar on stderr, where that is a terminal and nothing else is written to
//! it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Time before the bar is shown: a shorter conversion needs none.
const PATIENCE: Duration = Duration::from_millis(500);

/// A progress bar. Removed from the terminal when dropped, so that the next message has a line of its own.
pub(super) struct Progress {
    since: Instant,
    /// Counts unseen until it is shown; `None` where stderr is not a terminal for it.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Makes the bar. `len`: bytes there are to read, where that is known. `to_stdout`: the output goes
    /// there, perhaps to the same terminal.
    pub(super) fn new(len: Option<u64>, to_stdout: bool) -> Progress {
        let among_output = to_stdout && io::stdout().is_terminal();
        let seen = io::stderr().is_terminal() && !among_output;
        Progress { since: Instant::now(), bar: seen.then(|| bar(len)) }
    }

    /// Notes that so many bytes more have been read and converted.
    pub(super) fn advance(&mut self, bytes: usize) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() && self.since.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.inc(bytes as u64);
    }
}

const WITH_LENGTH: &str = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const WITHOUT_LENGTH: &str = "{spinner} {bytes}, {bytes_per_sec}";

fn bar(len: Option<u64>) -> ProgressBar {
    let template = if len.is_some() { WITH_LENGTH } else { WITHOUT_LENGTH };
    // A test makes sure that the template is valid.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden()).with_style(style)
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
    fn the_templates_are_templates() {
        for template in [WITH_LENGTH, WITHOUT_LENGTH] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_bar_counts_before_it_is_shown() {
        let bar = bar(Some(10));
        let mut progress = Progress { since: Instant::now(), bar: Some(bar.clone()) };
        progress.advance(3);
        progress.advance(4);
        assert_eq!((bar.position(), bar.length(), bar.is_hidden()), (7, Some(10), true));
        drop(progress);
        assert!(bar.is_finished());
    }
}

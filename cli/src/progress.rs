//! Progress of a long conversion or transfer: a bar on stderr, where that is a terminal and nothing else is
//! written to it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Time before the bar is shown: what takes less needs none.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bytes of a transfer up to which no bar is shown, however long they take: there is little to see of so few
/// blocks.
const FEW_BLOCKS: u64 = 8 << 10;

/// A progress bar. Removed from the terminal when dropped, so that the next message has a line of its own.
pub(crate) struct Progress {
    since: Instant,
    /// Counts unseen until it is shown; `None` where stderr is not a terminal for it.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Makes the bar. `len`: bytes there are to read, where that is known. `to_stdout`: the output goes
    /// there, perhaps to the same terminal.
    pub(crate) fn new(len: Option<u64>, to_stdout: bool) -> Progress {
        let among_output = to_stdout && io::stdout().is_terminal();
        let seen = io::stderr().is_terminal() && !among_output;
        Progress { since: Instant::now(), bar: seen.then(|| bar(len)) }
    }

    /// Notes that so many bytes more have been read and converted.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.show_in_time();
        if let Some(bar) = &self.bar {
            bar.inc(bytes as u64);
        }
    }

    /// Writes before the bar what it is about.
    pub(crate) fn with_prefix(self, what: &'static str) -> Progress {
        if let Some(bar) = &self.bar {
            bar.set_prefix(what);
        }
        self
    }

    /// Notes how many bytes of a transfer have been moved in all, and how many there are, where that is
    /// known. To be called now and then although nothing moves: the rate falls meanwhile.
    pub(crate) fn stands_at(&mut self, moved: u64, total: Option<u64>) {
        if total.unwrap_or(moved) > FEW_BLOCKS {
            self.show_in_time();
        }
        let Some(bar) = &self.bar else { return };
        if bar.length() != total {
            bar.set_style(style(total));
            total.map_or_else(|| bar.unset_length(), |total| bar.set_length(total));
        }
        bar.set_position(moved);
    }

    fn show_in_time(&self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| bar.is_hidden())
            && self.since.elapsed() >= PATIENCE
        {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

const WITH_LENGTH: &str = "{prefix}{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const WITHOUT_LENGTH: &str = "{prefix}{spinner} {bytes}, {bytes_per_sec}";

fn style(len: Option<u64>) -> ProgressStyle {
    let template = if len.is_some() { WITH_LENGTH } else { WITHOUT_LENGTH };
    // A test makes sure that the template is valid.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn bar(len: Option<u64>) -> ProgressBar {
    ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden()).with_style(style(len))
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

    #[test]
    fn a_transfer_may_learn_its_length_later_and_begin_anew() {
        let bar = bar(None);
        let mut progress = Progress { since: Instant::now(), bar: Some(bar.clone()) };
        for (moved, total) in [(2048, None), (4096, Some(100_000)), (1024, Some(100_000)), (5000, None)] {
            progress.stands_at(moved, total);
            assert_eq!((bar.position(), bar.length()), (moved, total));
        }
    }
}

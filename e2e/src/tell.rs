//! Output of the demo while it works: plain lines, none of them late.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;
use tokio::time::Instant;

/// The longest silence; the demo promises less than ten seconds.
const SILENCE: Duration = Duration::from_secs(5);

/// Writes one line to standard output. A reader that has gone (a closed pipe) is not a reason to stop.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Whether a story is written to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Lines are written for the user who runs the demo.
    Aloud,
    /// No lines are written: in a test.
    Silent,
}

impl Voice {
    /// Writes a line as [`say`] does, if aloud.
    pub fn say(self, line: impl Display) {
        if self == Voice::Aloud {
            say(line);
        }
    }

    /// Does work as [`patiently`] does, silently if not aloud.
    pub async fn patiently<T>(self, what: &str, work: impl Future<Output = T>) -> T {
        match self {
            Voice::Aloud => patiently(what, work).await,
            Voice::Silent => work.await,
        }
    }
}

/// Waits for `work`, and now and then says that it is still waiting.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut reminder = tokio::time::interval_at(begin + SILENCE, SILENCE);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            now = reminder.tick() => say(format_args!("      still waiting: {what} ({} s)", (now - begin).as_secs())),
        }
    }
}

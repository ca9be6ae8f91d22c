//! The log: lines on standard error.
//!
//! debug: normal events. info: what an operator may want to know, and a line for each request that is passed
//! to the upstream. warn: a peer misbehaves. error: the fault is ours. Access tokens, queries, bodies and
//! keys are never logged.
//!
//! Logging never waits for a reader ([`crate::lines`]). An event that peers can cause as often as they like
//! is logged once a second at most, at info and above ([`Seldom`]), unless it is a request that has a place
//! at the upstream.

use crate::config::{Config, LogFormat, LogLevel};
use crate::lines::Lines;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the end of the process waits for the last lines to be read.
const LAST_LINES: Duration = Duration::from_millis(500);
/// Time between two lines about what peers cause.
const SELDOM: Duration = Duration::from_secs(1);

/// The lines of this process.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Waits a moment for the last lines to be written when it is dropped.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log {
    lines: &'static Lines,
    format: LogFormat,
}

/// Sets up logging for the process.
pub fn init(config: &Config) -> io::Result<Log> {
    let level = match config.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let started = Lines::new("log", io::stderr(), |lines, error| {
        let error = error.map(tracing::field::display);
        tracing::warn!(lines, error, "lines of this log are lost: it is not taken as fast as it comes");
    })?;
    let lines = LINES.get_or_init(|| started);
    // Only lines of this crate: hyper and h2 would log header fields.
    let ours = tracing_subscriber::filter::Targets::new().with_target("lowband_sidecar", level);
    let registry = tracing_subscriber::registry().with(ours);
    let layer = tracing_subscriber::fmt::layer().with_writer(Queued(lines));
    match config.log_format {
        LogFormat::Text => {
            let is_terminal = io::stderr().is_terminal();
            registry.with(layer.with_ansi(is_terminal).with_target(false)).init();
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
    Ok(Log { lines, format: config.log_format })
}

/// Returns the number of log lines that no reader took in time.
pub fn lost() -> u64 {
    LINES.get().map_or(0, Lines::lost)
}

impl Log {
    /// Writes a line whatever the level of the log is, in the form of mistakes in the configuration.
    pub fn tell(&self, line: &str) {
        write(self.format, Queued(self.lines), line);
    }
}

/// Returns whether standard error takes colours: a terminal, unless the environment is against it
/// (<https://no-color.org>).
pub fn is_coloured() -> bool {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    io::stderr().is_terminal() && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb"
}

/// Writes a line to standard error when there is no log yet: a text for people, or an object like those of
/// the log.
pub fn print(format: LogFormat, line: &str) {
    write(format, io::stderr, line);
}

fn write(format: LogFormat, to: impl for<'w> MakeWriter<'w> + Send + Sync + 'static, line: &str) {
    match format {
        LogFormat::Text => {
            // Nobody is there to be told that standard error is closed.
            let _ = to.make_writer().write_all(format!("lowband-sidecar: {line}\n").as_bytes());
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().with_writer(to).json().flatten_event(true);
            let alone = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(alone, || tracing::error!("{line}"));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.flush(LAST_LINES);
    }
}

struct Queued(&'static Lines);

impl<'a> MakeWriter<'a> for Queued {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self.0
    }
}

/// One kind of line that peers can cause: one line a second, and how many have been left out before it.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Returns the number of lines left out since the last one, if a line is due now; `None` if the line
    /// belongs at debug.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < SELDOM) {
            self.left_out += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_is_told_with_the_number_of_those_before_it() {
        let start = Instant::now();
        let mut seldom = Seldom::default();
        let told: Vec<_> = [0, 1, 999, 1000, 1001, 5000, 6000]
            .map(|millis| seldom.take(start + Duration::from_millis(millis)))
            .to_vec();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}

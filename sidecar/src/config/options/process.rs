//! Options for the process and its log.

use crate::config::{Mistakes, values};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Threads, log and key log.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Process {
    /// Threads; 1 is cheapest for each request, more help only with thousands of requests a second.
    #[arg(long, env = "LOWBAND_THREADS", value_name = "COUNT", default_value = "1")]
    threads: String,
    /// Least severe message that is logged to standard error. info has a line for each request that is passed
    /// on, with its peer, its session and its x-request-id, and one a second at most for those that are
    /// refused here. Access tokens, queries and bodies are never logged.
    #[arg(long, env = "LOWBAND_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// text, or json with one object a line.
    #[arg(long, env = "LOWBAND_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: String,
    /// Appends the secrets of every session for Wireshark. Whoever has that file reads everything,
    /// passwords included. Sessions then take AES-GCM, 8 bytes more a record: Wireshark cannot read
    /// ChaCha20-Poly1305 in DTLS.
    #[arg(long, env = "LOWBAND_KEY_LOG", value_name = "FILE")]
    key_log: Option<PathBuf>,
}

/// The values of [`Process`].
pub(in crate::config) struct Parsed {
    pub(in crate::config) threads: usize,
    pub(in crate::config) log_level: LogLevel,
    pub(in crate::config) log_format: LogFormat,
    pub(in crate::config) key_log: Option<PathBuf>,
}

/// The least severe message that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people to read.
    Text,
    /// One JSON object a line.
    Json,
}

impl Process {
    /// Returns the form of lines that are written before all options have been checked.
    pub(in crate::config) fn format(&self) -> LogFormat {
        one_of(&self.log_format).unwrap_or(LogFormat::Text)
    }

    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<Parsed> {
        let threads = mistakes.parse("--threads", &self.threads, values::within(1..=64));
        let log_level = mistakes.parse("--log-level", &self.log_level, one_of::<LogLevel>);
        let log_format = mistakes.parse("--log-format", &self.log_format, one_of::<LogFormat>);
        Some(Parsed {
            threads: threads?,
            log_level: log_level?,
            log_format: log_format?,
            key_log: self.key_log.clone(),
        })
    }
}

fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<_> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        format!("is not one of {}", names.join(", "))
    })
}

//! Lines on standard error.
//!
//! debug: the normal, one line a request. info: what an operator may want to know. warn: somebody else misbehaves. error: we
//! are at fault. Access tokens, queries, bodies and keys are never logged.

use crate::config::{Config, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;

/// Sets up logging for the process.
pub fn init(config: &Config) {
    let level = match config.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Only our own lines: hyper and h2 would log header fields.
    let ours = tracing_subscriber::filter::Targets::new().with_target("lowband_sidecar", level);
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let registry = tracing_subscriber::registry().with(ours);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(is_terminal).with_target(false)).init();
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
}

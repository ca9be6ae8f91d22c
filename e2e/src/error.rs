//! What can go wrong in the harness: always what was expected, what came instead, and where to look.

use std::path::PathBuf;
use std::time::Duration;

/// The harness's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a part did not start or a step did not give the right answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program or file that an installation step provides is not there.
    #[error("{what} is missing ({}): run `make {target}`", path.display())]
    Missing {
        /// The missing part in words.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The make target that provides it.
        target: &'static str,
    },
    /// Another program listens on the port.
    #[error("port {port}/{protocol} is in use: choose another with {variable}=NUMBER")]
    PortInUse {
        /// The number of the port.
        port: u16,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// The user has no right to use the port.
    #[error(
        "port {port}/{protocol} may not be bound by this user: choose one from 1024 on with {variable}=NUMBER"
    )]
    PortForbidden {
        /// The number of the port.
        port: u16,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// A program or file that an installation step provides is there and cannot be looked at.
    #[error("{what} cannot be read by this user ({}): {source}", path.display())]
    Unreadable {
        /// The part in words.
        what: &'static str,
        /// The path of the part.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The machine or the user's input stands in the way; the text says what to do.
    #[error("{0}")]
    Setup(String),
    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, in words.
        doing: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A part ended although it was not asked to.
    #[error("{name} ended by itself ({status}); its log is {}{}", log.display(), tail(log))]
    Ended {
        /// The part that has ended.
        name: String,
        /// How it has ended.
        status: std::process::ExitStatus,
        /// The log of the part.
        log: PathBuf,
    },
    /// Something that should come true did not within its time.
    #[error("{what} did not happen within {after:?}: {last}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long was waited.
        after: Duration,
        /// What was there instead at the last look.
        last: String,
    },
    /// An exchange failed below Matrix: no answer at all.
    #[error("{what}: no answer: {why}")]
    NoAnswer {
        /// The request that was made.
        what: String,
        /// The error message of the layer that failed.
        why: String,
    },
    /// An answer came, but not the right one.
    #[error("{what}: expected {expected}, got {got}")]
    Wrong {
        /// The step or request.
        what: String,
        /// What was expected.
        expected: String,
        /// What came in its place.
        got: String,
    },
}

impl Error {
    /// Makes a function for `map_err` on system calls.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}

/// Returns the last lines of a log, for a message that a person reads; empty when there are none.
fn tail(log: &std::path::Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(5);
    lines.iter().skip(start).map(|line| format!("\n    {line}")).collect()
}

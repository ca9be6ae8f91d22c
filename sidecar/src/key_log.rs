//! The secrets of sessions in NSS key log format, for Wireshark.

use crate::lines::Lines;
use lowband_system::secret_file;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long the end waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The open file. Sessions do not wait for the disk: a thread writes the lines.
#[derive(Debug)]
pub struct KeyLog(Lines);

impl KeyLog {
    /// Opens the file to append to it; a new file is readable by its owner only, and an existing one must be
    /// so too.
    pub fn open(path: &Path) -> io::Result<KeyLog> {
        // A full disk must not end sessions.
        let lines = Lines::new("key-log", secret_file::append(path)?, |lines, error| {
            let error = error.map(tracing::field::display);
            tracing::warn!(lines, error, "lines of the key log are lost");
        })?;
        Ok(KeyLog(lines))
    }

    /// Returns the error with which [`KeyLog::open`] would fail now. No file is made.
    pub fn check(path: &Path) -> io::Result<()> {
        secret_file::check(path)
    }

    /// Takes one line to be written.
    pub fn line(&self, line: &str) {
        self.0.push(format!("{line}\n").as_bytes());
    }

    /// Returns the number of lines that could not be written, or not in time.
    pub fn lost(&self) -> u64 {
        self.0.lost()
    }
}

impl Drop for KeyLog {
    fn drop(&mut self) {
        self.0.finish(LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_a_file_that_is_not_ours_alone_is_refused() {
        let path = std::env::temp_dir().join(format!("lowband-key-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        KeyLog::open(&path).unwrap().line("one");
        KeyLog::open(&path).unwrap().line("two");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        std::fs::remove_file(&path).unwrap();
        assert!(KeyLog::open(Path::new("/dev/null")).unwrap_err().to_string().contains("name another one"));
    }
}

//! SSLKEYLOGFILE: the secrets of sessions in NSS key log format, for Wireshark.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The open file.
#[derive(Debug)]
pub struct KeyLog {
    file: File,
}

impl KeyLog {
    /// Appends to the file; a new one is for its owner only.
    pub fn open(path: &Path) -> io::Result<KeyLog> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(KeyLog { file })
    }

    /// Writes one line. A full disk must not end sessions.
    pub fn line(&mut self, line: &str) {
        if let Err(error) = self.file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_file_is_private_and_lines_are_appended() {
        let path = std::env::temp_dir().join(format!("lowband-key-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        KeyLog::open(&path).unwrap().line("one");
        KeyLog::open(&path).unwrap().line("two");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
    }
}

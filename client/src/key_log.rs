//! `SSLKEYLOGFILE`: the secrets of a session, one line each, for Wireshark.

use crate::error::Error;
use lowband_system::secret_file;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file in NSS key log format that lines are appended to.
#[derive(Debug)]
pub struct KeyLogFile {
    path: PathBuf,
    file: File,
}

impl KeyLogFile {
    /// Opens the file, or makes one that only its owner can read: a program that can read it can read all
    /// traffic. Refuses a link, a file that is not a regular file, and one that another user owns or can
    /// open.
    pub fn open(path: &Path) -> Result<KeyLogFile, Error> {
        match secret_file::append(path) {
            Ok(file) => Ok(KeyLogFile { path: path.to_owned(), file }),
            Err(source) => Err(Error::KeyLog { path: path.to_owned(), source }),
        }
    }

    /// Appends one line, in one write, because several processes may share the file.
    pub fn append(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| Error::KeyLog { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_a_file_that_is_not_ours_alone_is_refused() {
        let path = std::env::temp_dir().join(format!("lowband-client-key-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        KeyLogFile::open(&path).unwrap().append("one").unwrap();
        KeyLogFile::open(&path).unwrap().append("two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        std::fs::remove_file(&path).unwrap();
        let refused = KeyLogFile::open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(refused.contains("/dev/null") && refused.contains("name another one"), "{refused}");
    }
}

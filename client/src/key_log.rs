//! `SSLKEYLOGFILE`: the secrets of a session, one line each, for Wireshark.

use crate::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file in NSS key log format that lines are appended to.
#[derive(Debug)]
pub struct KeyLogFile {
    path: PathBuf,
    file: File,
}

impl KeyLogFile {
    /// Opens it, or makes it readable for its owner alone: who can read it can read all traffic.
    pub fn open(path: &Path) -> Result<KeyLogFile, Error> {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = opened.map_err(|source| Error::KeyLog { path: path.to_owned(), source })?;
        Ok(KeyLogFile { path: path.to_owned(), file })
    }

    /// Appends one line, in one write: several processes may share the file.
    pub fn append(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| Error::KeyLog { path: self.path.clone(), source })
    }
}

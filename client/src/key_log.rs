//! `SSLKEYLOGFILE`: the secrets of a session, one line each, for Wireshark.

use crate::error::Error;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Permissions of the group and of all others.
const OF_OTHERS: u32 = 0o077;
const NO_FILE: &str = "not a regular file: name another one";

/// A file in NSS key log format that lines are appended to.
#[derive(Debug)]
pub struct KeyLogFile {
    path: PathBuf,
    file: File,
}

impl KeyLogFile {
    /// Opens it, or makes it readable for its owner alone: who can read it can read all traffic. A link, what is no regular file,
    /// belongs to somebody else or can be opened by others is refused.
    pub fn open(path: &Path) -> Result<KeyLogFile, Error> {
        match open(path) {
            Ok(file) => Ok(KeyLogFile { path: path.to_owned(), file }),
            Err(source) => Err(Error::KeyLog { path: path.to_owned(), source }),
        }
    }

    /// Appends one line, in one write: several processes may share the file.
    pub fn append(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| Error::KeyLog { path: self.path.clone(), source })
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK a pipe would keep us until somebody reads it.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags as i32).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link: name the file itself"),
        Some(Errno::NXIO) => io::Error::other(NO_FILE),
        _ => error,
    })?;
    match mistake(&file.metadata()?, geteuid().as_raw()) {
        None => Ok(file),
        Some(why) => Err(io::Error::other(why)),
    }
}

/// Why it is not a file that `we` alone can open, and what to do.
fn mistake(found: &Metadata, we: u32) -> Option<String> {
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if !found.is_file() {
        return Some(NO_FILE.to_owned());
    }
    if owner != we {
        return Some(format!("it belongs to somebody else (uid {owner}): remove it, or name another one"));
    }
    (mode & OF_OTHERS != 0).then(|| format!("others can open it (mode {mode:04o}): chmod 600, or remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lowband-client-key-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn refusal(path: &Path) -> String {
        KeyLogFile::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_its_owner_alone_can_open_is_appended_to_and_no_other() {
        let path = fresh("mode");
        KeyLogFile::open(&path).unwrap().append("one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o644, 0o620, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let why = refusal(&path);
            assert!(why.contains(&format!("mode {mode:04o}")) && why.contains("chmod 600"), "{why}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        KeyLogFile::open(&path).unwrap().append("two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(mistake(&found, found.uid()), None);
        assert!(mistake(&found, found.uid() + 1).unwrap().contains("somebody else"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn links_pipes_and_devices_are_refused() {
        let (target, link, pipe) = (fresh("target"), fresh("link"), fresh("pipe"));
        symlink(&target, &link).unwrap();
        assert!(refusal(&link).contains("symbolic link"));
        assert!(!target.exists());
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refusal(&pipe).contains("not a regular file"));
        assert!(refusal(Path::new("/dev/null")).contains("not a regular file"));
        for path in [link, pipe] {
            std::fs::remove_file(&path).unwrap();
        }
    }
}

//! What worked the last time, in a file: a proxy that starts again need not look for it. A hint, and nothing
//! more: what does not work any more is looked for anew.

use crate::discovery::Homeserver;
use crate::discovery::base::Base;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a remembered discovery stands; the specification leaves it to the client.
pub(super) const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of the file.
const LONGEST: u64 = 64 * 1024;

/// What is remembered of a homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) homeserver: Homeserver,
    /// Whether datagrams got through.
    pub(crate) udp: bool,
    /// When it was found, in seconds since 1970.
    pub(crate) found: u64,
}

impl Remembered {
    /// Returns whether discovery need not be asked yet.
    pub(crate) fn is_fresh(&self) -> bool {
        let age = now().checked_sub(self.found);
        age.is_some_and(|age| age < FRESH.as_secs())
    }

    /// Reads what is remembered of the homeserver that the user calls so. Of a file that is not there, is of
    /// another homeserver or cannot be read, nothing is.
    pub(crate) fn read(path: &Path, told: &str, clear_text: bool) -> Option<Remembered> {
        let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
        let text = (metadata.len() <= LONGEST).then(|| fs::read(path).ok()).flatten()?;
        let file: Value = serde_json::from_slice(&text).ok()?;
        let is_it = file.get("homeserver").and_then(Value::as_str) == Some(told);
        let base_url = file.get("base_url").and_then(Value::as_str).filter(|_| is_it)?;
        let port = file.get("udp_port").and_then(Value::as_u64);
        let homeserver = Homeserver {
            base: Base::parse(base_url, clear_text).ok()?,
            udp_port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            cbor: file.get("cbor").and_then(Value::as_bool)?,
        };
        let udp = file.get("udp").and_then(Value::as_bool)?;
        Some(Remembered { homeserver, udp, found: file.get("found").and_then(Value::as_u64)? })
    }

    /// Writes the file for this user alone, in a folder that is made where it is missing.
    pub(crate) fn write(&self, path: &Path, told: &str) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let Homeserver { base, udp_port, cbor } = &self.homeserver;
        let file = json!({
            "homeserver": told, "base_url": base.to_string(), "udp_port": udp_port, "cbor": cbor,
            "udp": self.udp, "found": self.found,
        });
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        // Of a process of the same number that was killed.
        let _ = fs::remove_file(&beside);
        let mut options = OpenOptions::new();
        let mut out = options.write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = writeln!(out, "{file}").and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// Returns the seconds since 1970; 0 for a clock before that.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lowband-remembered-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn remembered() -> Remembered {
        let base = Base::parse("https://hs.example.org/x", false).unwrap();
        Remembered {
            homeserver: Homeserver { base, udp_port: Some(8009), cbor: true },
            udp: true,
            found: now(),
        }
    }

    #[test]
    fn what_was_written_is_read_by_its_owner_alone() {
        let folder = folder("written");
        let path = folder.join("deep/example.org.json");
        for udp in [true, false] {
            let written = Remembered { udp, ..remembered() };
            written.write(&path, "example.org").unwrap();
            assert_eq!(Remembered::read(&path, "example.org", false), Some(written));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(Remembered::read(&path, "other.org", false), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_broken_or_missing_is_nothing() {
        let folder = folder("broken");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("file");
        assert_eq!(Remembered::read(&path, "example.org", false), None);
        remembered().write(&path, "example.org").unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for broken in [
            whole.replace("https://hs", "http://hs"),
            whole.replace("\"cbor\":true", "\"cbor\":1"),
            whole.replace("\"base_url\"", "\"url\""),
            whole[..whole.len() / 2].to_owned(),
            format!("{whole}{}", " ".repeat(70_000)),
            String::new(),
        ] {
            fs::write(&path, broken).unwrap();
            assert_eq!(Remembered::read(&path, "example.org", false), None);
        }
        fs::write(&path, whole.replace("8009", "80090")).unwrap();
        assert_eq!(Remembered::read(&path, "example.org", false).unwrap().homeserver.udp_port, None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_day_makes_it_old_and_so_does_a_clock_that_was_wrong() {
        let age = |found| Remembered { found, ..remembered() }.is_fresh();
        assert!(age(now()) && age(now() - FRESH.as_secs() + 60));
        assert!(!age(now() - FRESH.as_secs()) && !age(now() + 60));
    }
}

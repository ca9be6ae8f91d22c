//! Where the proxy remembers what worked, unless `--state` says so.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Returns a file of its own for each homeserver: in the folder that systemd gives a service, else in that of
/// the user's caches (XDG Base Directory Specification). `None` where there is neither.
pub(super) fn file(homeserver: &str) -> Option<PathBuf> {
    file_in(homeserver, |name| std::env::var_os(name))
}

fn file_in(homeserver: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // A relative path is to be ignored, by the same specification; systemd's is never one.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = folder("CACHE_DIRECTORY")
        .or_else(|| folder("XDG_CACHE_HOME").map(|caches| caches.join("lowband")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/lowband")))?;
    let name = homeserver.rsplit("://").next().unwrap_or_default().trim_end_matches('/');
    let harmless = |character: char| {
        let is_harmless = character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
        if is_harmless { character.to_ascii_lowercase() } else { '_' }
    };
    let name: String = name.chars().take(LONGEST).map(harmless).collect();
    Some(folder.join(format!("proxy-{name}.json")))
}

/// Finds out whether the file can be written, by a file beside it that is removed again: what works is
/// written only once something has worked, which is late for a mistake. Makes the folder where it is missing.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        // Of a file in the place of a folder the system says that it exists.
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
            _ => error,
        })?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.probe", std::process::id()));
    // Of a process of the same number that was killed.
    let _ = fs::remove_file(&beside);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    fs::remove_file(&beside)
}

/// Most characters of the homeserver in the name of its file. A longer one shares a file with others, and the
/// file says whose it is.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_noticed_and_a_probe_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("lowband-probed-{}", std::process::id()));
        probe(&folder.join("deep/file")).unwrap();
        assert_eq!(fs::read_dir(folder.join("deep")).unwrap().count(), 0);
        assert_eq!(probe(&folder).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(probe(Path::new("/dev/null/file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn each_homeserver_has_a_file_where_caches_are() {
        let of = |homeserver: &str, set: &[(&str, &str)]| {
            let value = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            file_in(homeserver, value).map(|path| path.to_str().unwrap().to_owned())
        };
        let home = ("HOME", "/home/u");
        for (homeserver, set, path) in [
            ("Example.org", &[home][..], Some("/home/u/.cache/lowband/proxy-example.org.json")),
            ("https://hs:8448/x/", &[home], Some("/home/u/.cache/lowband/proxy-hs_8448_x.json")),
            ("../../etc", &[home], Some("/home/u/.cache/lowband/proxy-.._.._etc.json")),
            ("a", &[home, ("XDG_CACHE_HOME", "/c")], Some("/c/lowband/proxy-a.json")),
            ("a", &[home, ("XDG_CACHE_HOME", "c")], Some("/home/u/.cache/lowband/proxy-a.json")),
            ("a", &[("CACHE_DIRECTORY", "/s/lowband"), home], Some("/s/lowband/proxy-a.json")),
            ("a", &[], None),
        ] {
            assert_eq!(of(homeserver, set).as_deref(), path, "{homeserver}");
        }
        assert!(of(&"a".repeat(5000), &[home]).unwrap().len() < 255);
    }
}

//! Files of secrets, readable by their owner alone.

use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Permissions of the group and of all others.
const OF_OTHERS: u32 = 0o077;
const NO_FILE: &str = "not a regular file: name another one";

/// Opens a file to append to that only this user can read; a new one gets mode 0600. The error names the
/// remedy: anything else at this path, a link, a pipe, another user's file or one that others can open, would
/// give the secrets to the user who put it there.
pub fn append(path: &Path) -> io::Result<File> {
    open(path, true)
}

/// Returns the error with which [`append`] would fail now. No file is made.
pub fn check(path: &Path) -> io::Result<()> {
    match open(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            Ok(rustix::fs::access(folder, Access::EXISTS | Access::WRITE_OK | Access::EXEC_OK)?)
        }
        opened => opened.map(drop),
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe would block until another process reads it.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened =
        OpenOptions::new().append(true).create(create).mode(0o600).custom_flags(flags as i32).open(path);
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

/// Returns why `we` are not the only user who can open the file, and the remedy.
fn mistake(found: &Metadata, we: u32) -> Option<String> {
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if !found.is_file() {
        return Some(NO_FILE.to_owned());
    }
    if owner != we {
        return Some(format!("it belongs to another user (uid {owner}): remove it, or name another one"));
    }
    (mode & OF_OTHERS != 0).then(|| format!("others can open it (mode {mode:04o}): chmod 600, or remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lowband-secret-file-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn refusal(path: &Path) -> String {
        append(path).unwrap_err().to_string()
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_is_appended_to() {
        let path = fresh("new");
        append(&path).unwrap().write_all(b"one").unwrap();
        append(&path).unwrap().write_all(b"two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "onetwo");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_others_can_open_is_refused_with_the_remedy_and_not_written_to() {
        let path = fresh("mode");
        std::fs::write(&path, "before").unwrap();
        for mode in [0o644, 0o620, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let why = refusal(&path);
            assert!(why.contains(&format!("mode {mode:04o}")) && why.contains("chmod 600"), "{why}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        append(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_check_says_what_opening_would_say_and_makes_no_file() {
        let path = fresh("check");
        check(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "before").unwrap();
        for (mode, is_fine) in [(0o600, true), (0o644, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check(&path).is_ok(), is_fine, "{mode:o}");
        }
        for path in [path.as_path(), &path.join("below"), Path::new("/nonexistent/x"), Path::new("/dev/null")]
        {
            assert_eq!(check(path).unwrap_err().to_string(), refusal(path), "{path:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_somebody_else_is_refused() {
        let path = fresh("owner");
        let found = append(&path).unwrap().metadata().unwrap();
        assert_eq!(mistake(&found, found.uid()), None);
        let why = mistake(&found, found.uid() + 1).unwrap();
        assert!(why.contains(&format!("uid {}", found.uid())), "{why}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn links_pipes_folders_and_devices_are_refused() {
        let (target, link) = (fresh("target"), fresh("link"));
        symlink(&target, &link).unwrap();
        assert!(refusal(&link).contains("symbolic link"), "{}", refusal(&link));
        assert!(!target.exists());
        let pipe = fresh("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refusal(&pipe).contains("not a regular file"));
        // The pipe also has a reader.
        let reader =
            OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&pipe).unwrap();
        assert!(refusal(&pipe).contains("not a regular file"));
        drop(reader);
        assert!(refusal(Path::new("/dev/null")).contains("not a regular file"));
        assert!(append(&std::env::temp_dir()).is_err());
        for path in [link, pipe] {
            std::fs::remove_file(&path).unwrap();
        }
    }
}

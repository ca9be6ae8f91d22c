//! Where bytes go: stdout, or a file that is there whole or not at all.

use super::exit::{Exit, Failure};
use lowband_capture::report::text::Colours;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Where the output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Stdout,
    File(PathBuf),
}

impl Sink {
    /// Parses an argument; an absent one or `-` is stdout.
    pub(crate) fn parse(argument: Option<&OsStr>) -> Sink {
        match argument {
            Some(path) if path != "-" => Sink::File(path.into()),
            _ => Sink::Stdout,
        }
    }

    /// Returns whether what is written appears on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self == &Sink::Stdout && io::stdout().is_terminal()
    }

    /// Writes all bytes.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_in_pieces(|out| out.write(bytes))
    }

    /// Writes what `fill` gives. When `fill` fails, a file stays as it was; what went to stdout has left.
    pub(crate) fn write_in_pieces(
        &self,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                fill(&mut Writer { sink: self, to: &mut stdout })?;
                stdout.flush().map_err(|error| self.failure(error))
            }
            Sink::File(path) => {
                to_file(path, |file| fill(&mut Writer { sink: self, to: file }), |error| self.failure(error))
            }
        }
    }

    /// Makes the failure. Unlike `println!`, does not panic when the reader has gone: `| head` has what it
    /// wants.
    fn failure(&self, error: io::Error) -> Failure {
        match self {
            Sink::Stdout if error.kind() == ErrorKind::BrokenPipe => Failure::silent(Exit::Success),
            Sink::Stdout => Failure::new(Exit::Write, format!("stdout: {error}")),
            Sink::File(path) => Failure::new(Exit::Write, format!("{}: {error}", path.display())),
        }
    }
}

/// What a [`Sink`] is filled through.
pub(crate) struct Writer<'w> {
    sink: &'w Sink,
    to: &'w mut dyn Write,
}

impl Writer<'_> {
    /// Writes the whole piece.
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.to.write_all(piece).map_err(|error| self.sink.failure(error))
    }
}

/// What stands before each message on stderr.
const NAME: &str = "lowband:";
/// What the parser of the command line has in its place.
const PARSERS_NAME: &str = "error:";

/// Writes one line to stderr. A stderr without a reader is not a reason to fail.
pub(crate) fn message(text: &str) {
    // In one piece: another program may write to the same terminal.
    let _ = io::stderr().lock().write_all(format!("{NAME} {text}\n").as_bytes());
}

/// Writes to stderr what the parser of the command line refuses, and why, as [`message`] does.
pub(crate) fn refusal(error: &clap::Error) {
    let rendered = error.render();
    let plain = rendered.to_string();
    let text = match colours_on(io::stderr().is_terminal()) {
        Colours::Coloured => rendered.ansi().to_string(),
        Colours::Plain => plain.clone(),
    };
    // What is told where arguments are missing altogether is the help.
    let text = if plain.starts_with(PARSERS_NAME) { text.replacen(PARSERS_NAME, NAME, 1) } else { text };
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Returns whether what goes to stdout gets colours: on a terminal, unless the environment is against it.
pub(crate) fn colours() -> Colours {
    colours_on(io::stdout().is_terminal())
}

fn colours_on(is_terminal: bool) -> Colours {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    choose_colours(is_terminal, &variable("NO_COLOR"), &variable("TERM"))
}

/// Chooses as <https://no-color.org> says: any text in NO_COLOR is against colours.
fn choose_colours(is_terminal: bool, no_color: &OsStr, term: &OsStr) -> Colours {
    if is_terminal && no_color.is_empty() && term != "dumb" { Colours::Coloured } else { Colours::Plain }
}

/// Writes by way of a file beside the target, renamed when it is whole. It gets the permissions of the file
/// that it replaces, else those of any new file: what is written here is the user's own, and a user who wants
/// it secret has a umask.
fn to_file(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), Failure>,
    failure: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let replaced = fs::metadata(path).ok();
    if replaced.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        // A device or a pipe is to be written to, not to be replaced.
        return fill(&mut OpenOptions::new().write(true).open(path).map_err(failure)?);
    }
    // Written through a symbolic link, not in its place.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&path).map_err(&failure)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(&beside).map_err(&failure)?;
    let written = fill(&mut file).and_then(|()| {
        replaced
            .map_or(Ok(()), |old| fs::set_permissions(&beside, old.permissions()))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(&failure)
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn to_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        Sink::File(path.to_owned()).write(bytes)
    }

    /// Makes a folder for this test alone.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lowband-output-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn absent_and_a_dash_are_stdout() {
        assert_eq!(Sink::parse(None), Sink::Stdout);
        assert_eq!(Sink::parse(Some("-".as_ref())), Sink::Stdout);
        assert_eq!(Sink::parse(Some("x".as_ref())), Sink::File("x".into()));
    }

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_else_is_left() {
        let folder = folder("replace");
        let file = folder.join("out");
        to_file(&file, b"first").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        to_file(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(&folder), ["out"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let folder = folder("link");
        to_file(&folder.join("target"), b"old").unwrap();
        symlink("target", folder.join("link")).unwrap();
        to_file(&folder.join("link"), b"new").unwrap();
        assert_eq!(fs::read(folder.join("target")).unwrap(), b"new");
        assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        to_file(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let folder = folder("fails");
        fs::create_dir(folder.join("is_a_folder")).unwrap();
        assert!(to_file(&folder.join("is_a_folder"), b"x").is_err());
        assert!(to_file(&folder.join("absent/out"), b"x").is_err());
        let failure = Sink::File(folder.join("absent/out")).write(b"x").unwrap_err();
        assert_eq!(failure.exit, Exit::Write);
        let failure = Sink::File(folder.join("half")).write_in_pieces(|out| {
            out.write(b"x")?;
            Err(Failure::silent(Exit::BadInput))
        });
        assert_eq!(failure.unwrap_err().exit, Exit::BadInput);
        assert_eq!(names(&folder), ["is_a_folder"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn colours_are_for_terminals_that_are_not_asked_to_do_without() {
        let chosen = |is_terminal, no_color: &str, term: &str| {
            choose_colours(is_terminal, no_color.as_ref(), term.as_ref())
        };
        assert_eq!(chosen(true, "", "xterm"), Colours::Coloured);
        assert_eq!(chosen(true, "", ""), Colours::Coloured);
        for (is_terminal, no_color, term) in [(false, "", "xterm"), (true, "1", "xterm"), (true, "", "dumb")]
        {
            assert_eq!(chosen(is_terminal, no_color, term), Colours::Plain);
        }
    }
}

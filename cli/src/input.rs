//! Where bytes come from: written out as an argument, `@FILE`, or `-` for stdin.

use super::exit::{Exit, Failure};
use super::words::counted;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

/// An argument that names bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    Inline(&'a OsStr),
    File(&'a OsStr),
    Stdin,
}

impl<'a> Source<'a> {
    /// Parses an argument; `-` and `@-` are stdin.
    pub(crate) fn parse(argument: &'a OsStr) -> Source<'a> {
        match argument.as_bytes() {
            b"-" | b"@-" => Source::Stdin,
            [b'@', path @ ..] => Source::File(OsStr::from_bytes(path)),
            _ => Source::Inline(argument),
        }
    }

    /// Reads all bytes, but not more than `limit`.
    pub(crate) fn read(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        match self.open()?.read_to_limit(limit)? {
            (bytes, true) => Ok(bytes),
            (_, false) => Err(self.longer_than(limit)),
        }
    }

    /// Opens the source for reading it in pieces.
    pub(crate) fn open(&self) -> Result<Input<'a>, Failure> {
        let (from, len): (Box<dyn Read + 'a>, _) = match *self {
            Source::Inline(argument) => {
                (Box::new(argument.as_bytes()), Some(argument.as_bytes().len() as u64))
            }
            Source::File(path) => {
                let file = File::open(path).map_err(|error| self.failure(error))?;
                let len = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|file| file.len());
                (Box::new(file), len)
            }
            Source::Stdin => (Box::new(io::stdin().lock()), None),
        };
        Ok(Input { name: self.to_string(), from, len })
    }

    pub(crate) fn longer_than(&self, limit: usize) -> Failure {
        Failure::new(Exit::Read, format!("{self} is longer than {}", counted(limit, "byte")))
    }

    fn failure(&self, error: io::Error) -> Failure {
        Failure::new(Exit::Read, format!("{self}: {error}"))
    }
}

/// An open [`Source`].
pub(crate) struct Input<'a> {
    name: String,
    from: Box<dyn Read + 'a>,
    /// Length of the source in bytes, where that is known.
    len: Option<u64>,
}

impl<'a> Input<'a> {
    /// Makes an input of bytes that an argument stands for.
    pub(crate) fn of(bytes: Vec<u8>) -> Input<'a> {
        let len = Some(bytes.len() as u64);
        Input { name: "the argument".to_owned(), from: Box::new(io::Cursor::new(bytes)), len }
    }

    /// Returns the length of the source in bytes, where that is known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Reads up to `limit` bytes; the flag is true if that was all. Otherwise there may be one byte more, so
    /// that an input that is too long shows.
    pub(crate) fn read_to_limit(&mut self, limit: usize) -> Result<(Vec<u8>, bool), Failure> {
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.failure(error))?;
        let all = bytes.len() <= limit;
        Ok((bytes, all))
    }

    /// Reads the next piece, up to the length of `buffer`; empty at the end.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure> {
        loop {
            match self.from.read(buffer) {
                Ok(len) => return Ok(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(error)),
            }
        }
    }

    fn failure(&self, error: io::Error) -> Failure {
        Failure::new(Exit::Read, format!("{}: {error}", self.name))
    }
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Inline(_) => f.write_str("the argument"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Stdin => f.write_str("stdin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_stdin_an_at_sign_a_file_and_all_else_the_bytes_themselves() {
        assert_eq!(Source::parse("-".as_ref()), Source::Stdin);
        assert_eq!(Source::parse("@-".as_ref()), Source::Stdin);
        assert_eq!(Source::parse("@a b".as_ref()), Source::File("a b".as_ref()));
        for inline in ["", "{}", "--", "-5", "a@b"] {
            assert_eq!(Source::parse(inline.as_ref()), Source::Inline(inline.as_ref()));
            assert_eq!(Source::parse(inline.as_ref()).read(10).unwrap(), inline.as_bytes());
        }
    }

    #[test]
    fn the_limit_itself_is_read_and_one_byte_more_is_not() {
        assert!(Source::Inline("abc".as_ref()).read(3).is_ok());
        let failure = Source::Inline("abcd".as_ref()).read(3).unwrap_err();
        assert_eq!(
            (failure.exit, failure.to_string().as_str()),
            (Exit::Read, "the argument is longer than 3 bytes")
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = Source::parse("@/nonexistent/file".as_ref()).read(3).unwrap_err();
        assert_eq!(failure.exit, Exit::Read);
        assert!(failure.to_string().starts_with("/nonexistent/file: "), "{failure}");
    }
}

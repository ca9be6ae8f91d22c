//! Where bytes come from: written out as an argument, `@FILE`, or `-` for stdin.

use super::exit::{Exit, Failure};
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
    /// `-` and `@-` are stdin.
    pub(crate) fn parse(argument: &'a OsStr) -> Source<'a> {
        match argument.as_bytes() {
            b"-" | b"@-" => Source::Stdin,
            [b'@', path @ ..] => Source::File(OsStr::from_bytes(path)),
            _ => Source::Inline(argument),
        }
    }

    /// Reads all of it, but not more than `limit` bytes.
    pub(crate) fn read(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let bytes = match self {
            Source::Inline(argument) => Ok(argument.as_bytes().to_vec()),
            Source::File(path) => File::open(path).and_then(|file| read_to_limit(file, limit)),
            Source::Stdin => read_to_limit(io::stdin().lock(), limit),
        };
        match bytes {
            Ok(bytes) if bytes.len() <= limit => Ok(bytes),
            Ok(_) => Err(Failure::new(Exit::Read, format!("{self} is longer than {limit} bytes"))),
            Err(error) => Err(Failure::new(Exit::Read, format!("{self}: {error}"))),
        }
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

/// One byte more than the limit, so that what is too long shows.
fn read_to_limit(source: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
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

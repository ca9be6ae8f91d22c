//! The key log, read on as it grows.

use crate::exit::{Exit, Failure};
use crate::output;
use crate::words::counted;
use lowband_capture::Capture;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Bytes that are read at once. A line that is longer counts as several that cannot be read.
const PIECE: usize = 1 << 20;
/// Lines that cannot be read and are named one by one, where not all are wanted.
const SOME: usize = 3;

/// A key log on its way into a capture.
pub(super) struct Keys {
    path: Option<PathBuf>,
    file: Option<File>,
    /// More may come: the last line counts once it has its end.
    is_growing: bool,
    verbose: bool,
    /// The beginning of a line that is not whole: a pipe gives it once only.
    begun: Zeroizing<Vec<u8>>,
    /// Number of the next line.
    line: u64,
    /// Lines with secrets, repeated ones too.
    secrets: usize,
    /// Lines that cannot be read.
    unread: usize,
}

impl Keys {
    /// Opens the key log. One that `is_growing` may be made later.
    pub(super) fn open(path: Option<PathBuf>, is_growing: bool, verbose: bool) -> Result<Keys, Failure> {
        let begun = Zeroizing::default();
        let mut keys = Keys { path, file: None, is_growing, verbose, begun, line: 1, secrets: 0, unread: 0 };
        keys.reopen()?;
        Ok(keys)
    }

    /// Opens the file, if it is not open and there is one.
    fn reopen(&mut self) -> Result<(), Failure> {
        let Some(path) = self.path.as_ref().filter(|_| self.file.is_none()) else { return Ok(()) };
        match File::open(path) {
            Ok(file) => self.file = Some(file),
            Err(error) if self.is_growing && error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(self.failure(&error)),
        }
        Ok(())
    }

    /// Adds to the capture what is new in the key log.
    pub(super) fn read(&mut self, capture: &mut Capture) -> Result<(), Failure> {
        self.reopen()?;
        while let Some(text) = self.piece()? {
            let added = capture.add_secrets(&text, self.line);
            self.line += text.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.secrets += added.secrets + added.repeated;
            for unread in &added.unread {
                if self.verbose || self.unread < SOME {
                    output::message(&format!("{}: {unread}", self.name()));
                }
                self.unread += 1;
            }
            self.unread += added.more_unread;
        }
        Ok(())
    }

    /// Reads the next lines; None if there are none.
    fn piece(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let Some(file) = &mut self.file else { return Ok(None) };
        // In one piece: a Vec that grows leaves copies of secrets behind.
        let mut text = Zeroizing::new(Vec::with_capacity(PIECE + 1));
        text.extend_from_slice(&self.begun);
        let read = file.take((PIECE - text.len()) as u64).read_to_end(&mut text);
        read.map_err(|error| self.failure(&error))?;
        let is_last = text.len() < PIECE;
        let end = match text.iter().rposition(|byte| *byte == b'\n') {
            // A file that does not grow ends with its last byte.
            _ if is_last && !self.is_growing => text.len(),
            Some(end) => end + 1,
            None if is_last => 0,
            None => text.len(),
        };
        self.begun = Zeroizing::new(text.get(end..).unwrap_or_default().to_vec());
        text.truncate(end);
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Tells what to do about sessions without keys, and how many lines could not be read.
    pub(super) fn hint(&self, lacks_keys: bool) {
        if !self.verbose && self.unread > SOME {
            let more = counted(self.unread - SOME, "more line");
            output::message(&format!("{}: {more} cannot be read", self.name()));
        }
        match &self.path {
            None if lacks_keys => output::message("sessions without keys: give a key log with --key-log"),
            Some(_) if self.file.is_none() => {
                output::message(&format!("key log {}: there was no such file", self.name()));
            }
            Some(path) if lacks_keys && self.secrets == 0 => {
                output::message(&format!("{}: no line of it begins with CLIENT_RANDOM", path.display()));
            }
            _ => {}
        }
    }

    fn name(&self) -> String {
        self.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::CaFile, format!("key log {}: {error}", self.name()))
    }
}

//! Where the bytes of a capture come from: a file, a file that grows, or a pipe.

use crate::exit::{Exit, Failure};
use lowband_capture::file::{Item, Reader};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Bytes of a pipe that are kept for details, which are made from bytes that have passed.
const KEPT: usize = 64 << 20;
/// How often a live capture is looked at when nothing comes.
const POLL: Duration = Duration::from_millis(200);
/// Pieces of a pipe that wait to be read.
const WAITING: usize = 4;

/// Set by Ctrl-C, which ends a live capture: what is open is shown.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// What comes next.
pub(super) enum Piece<'s> {
    Bytes(&'s [u8]),
    /// Nothing has come for so long.
    Quiet(Duration),
    End,
}

/// An open capture.
pub(super) struct Source {
    name: String,
    from: From,
    is_live: bool,
    /// Bytes that have been read.
    offset: u64,
    buffer: Vec<u8>,
    /// When bytes came last.
    last: Instant,
    kept: Option<Kept>,
}

enum From {
    File(File),
    Pipe(Receiver<io::Result<Vec<u8>>>),
}

/// The last bytes of a pipe.
#[derive(Default)]
struct Kept {
    /// Offset of the first one.
    offset: u64,
    bytes: Vec<u8>,
}

impl Source {
    /// Opens the capture. With `for_details`, the bytes of a pipe are kept as well.
    pub(super) fn open(file: &OsStr, follow: bool, for_details: bool) -> Result<Source, Failure> {
        let is_stdin = file == "-";
        let name = if is_stdin { "stdin".to_owned() } else { file.display().to_string() };
        let failure = |error: io::Error| Failure::new(Exit::Read, format!("{name}: {error}"));
        let (from, is_pipe) = if is_stdin {
            (pipe(io::stdin()).map_err(failure)?, true)
        } else {
            let file = File::open(file).map_err(failure)?;
            let is_file = file.metadata().map_err(failure)?.is_file();
            if is_file { (From::File(file), false) } else { (pipe(file).map_err(failure)?, true) }
        };
        let is_live = follow || is_pipe;
        if is_live {
            end_with_ctrl_c().map_err(failure)?;
        }
        let kept = (for_details && is_pipe).then(Kept::default);
        Ok(Source { name, from, is_live, offset: 0, buffer: Vec::new(), last: Instant::now(), kept })
    }

    /// Returns true if the capture may be going on.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives the secrets in a file to `take`, wherever they stand. Those of a pipe come with its bytes.
    pub(super) fn secrets(&mut self, take: &mut impl FnMut(&[u8])) -> Result<(), Failure> {
        let From::File(file) = &self.from else { return Ok(()) };
        let mut reader = Reader::new();
        let mut buffer = vec![0; PIECE];
        let mut offset = 0;
        loop {
            let length = file.read_at(&mut buffer, offset).map_err(|error| self.failure(&error))?;
            let bytes = buffer.get(..length).unwrap_or_default();
            reader.push(bytes, &mut |item| {
                if let Item::Secrets(text) = item {
                    take(text);
                }
            });
            offset += length as u64;
            if length == 0 || reader.has_ended() || !reader.may_hold_secrets() {
                return Ok(());
            }
        }
    }

    /// Waits for what comes next.
    pub(super) fn next(&mut self) -> Result<Piece<'_>, Failure> {
        match &mut self.from {
            From::File(file) => {
                // Asked before the file is: what was written before the end is read.
                let is_over = !self.is_live || IS_OVER.load(Ordering::Relaxed);
                self.buffer.resize(PIECE, 0);
                let length = read(file, &mut self.buffer).map_err(|error| failure(&self.name, &error))?;
                self.buffer.truncate(length);
                self.offset += length as u64;
                if length == 0 && is_over {
                    return Ok(Piece::End);
                }
                if length == 0 {
                    let has_shrunk = file.metadata().map(|now| now.len() < self.offset);
                    if has_shrunk.map_err(|error| failure(&self.name, &error))? {
                        let error = io::Error::other("the file has become shorter");
                        return Err(failure(&self.name, &error));
                    }
                    std::thread::sleep(POLL);
                    return Ok(Piece::Quiet(self.last.elapsed()));
                }
            }
            From::Pipe(pieces) => match pieces.recv_timeout(POLL) {
                Ok(piece) => self.buffer = piece.map_err(|error| failure(&self.name, &error))?,
                Err(RecvTimeoutError::Timeout) => return Ok(Piece::Quiet(self.last.elapsed())),
                Err(RecvTimeoutError::Disconnected) => return Ok(Piece::End),
            },
        }
        self.last = Instant::now();
        if let Some(kept) = &mut self.kept {
            kept.add(&self.buffer);
        }
        Ok(Piece::Bytes(&self.buffer))
    }

    /// Returns bytes that have come before; None if they are not kept any more.
    pub(super) fn again(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        match &self.from {
            From::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
            }
            From::Pipe(_) => self.kept.as_ref()?.get(offset, length).map(<[u8]>::to_vec),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        failure(&self.name, error)
    }
}

fn failure(name: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Read, format!("{name}: {error}"))
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads a pipe in a thread of its own, so that silence shows.
fn pipe(mut from: impl Read + Send + 'static) -> io::Result<From> {
    let (pieces, receiver): (SyncSender<io::Result<Vec<u8>>>, _) = sync_channel(WAITING);
    std::thread::Builder::new().name("pipe".to_owned()).spawn(move || {
        loop {
            let mut buffer = vec![0; PIECE];
            let piece = read(&mut from, &mut buffer).map(|length| {
                buffer.truncate(length);
                buffer
            });
            let is_end = piece.as_ref().map_or(true, Vec::is_empty);
            if piece.as_ref().is_ok_and(Vec::is_empty) || pieces.send(piece).is_err() || is_end {
                return;
            }
        }
    })?;
    Ok(From::Pipe(receiver))
}

/// Lets the first Ctrl-C end the capture and not the program: a pipe's end comes by itself, since what writes
/// it gets the signal as well. The second one ends the program.
fn end_with_ctrl_c() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _context = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            interrupts.recv().await;
            IS_OVER.store(true, Ordering::Relaxed);
            interrupts.recv().await;
            // As a shell tells of it: 128 and the number of the signal.
            std::process::exit(130);
        });
    })?;
    Ok(())
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Moving what stays is cheap if it is done seldom.
        if self.bytes.len() > 2 * KEPT {
            let over = self.bytes.len() - KEPT;
            self.bytes.drain(..over);
            self.offset += over as u64;
        }
    }

    fn get(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        self.bytes.get(at..)?.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_of_a_pipe_are_kept_under_their_offsets() {
        let mut kept = Kept::default();
        let piece: Vec<u8> = (0..=255).cycle().take(KEPT / 4).collect();
        for _ in 0..9 {
            kept.add(&piece);
        }
        assert!(kept.bytes.len() <= 2 * KEPT);
        let all = 9 * piece.len() as u64;
        assert_eq!(kept.offset + kept.bytes.len() as u64, all);
        assert_eq!(kept.get(all - 256, 256), Some(&piece[..256]));
        assert_eq!(kept.get(all - 256, 257), None);
        assert_eq!(kept.get(kept.offset, 3), Some(&piece[..3]));
        assert_eq!(kept.get(kept.offset - 1, 3), None);
    }
}

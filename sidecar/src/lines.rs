//! Lines on their way to a file or a pipe that may be slow, or without a reader.
//!
//! ```text
//! push -> a queue of bounded size -> a thread -> write
//!      -> counted as lost, when there is no room
//! ```
//!
//! Lines that come quickly are written together: the thread is woken for the first line after a silence, and
//! looks again `GATHER` after each writing.
//!
//! The loss of lines is reported once a second at most, with the number lost since the last report.
//!
//! Pushing never waits for the reader. Between pushing and writing there are no more than [`MOST_WAITING`]
//! bytes, and as many again that are being written.

use crate::logging::Seldom;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes that wait to be written: some thousand lines.
pub const MOST_WAITING: usize = 1 << 20;
/// Bytes of memory that the queue keeps when it has been emptied.
const KEPT: usize = 16 << 10;
/// Least time between two writings: otherwise each line of a busy server would wake a thread.
const GATHER: Duration = Duration::from_millis(10);
/// How long the writer waits before it tries again a file that takes nothing now (`O_NONBLOCK`).
const AGAIN: Duration = Duration::from_millis(10);

/// The queue that lines are pushed to. Clones share one queue.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signals that something is to be written.
    work: Condvar,
    /// Signals that what waits is wanted now.
    hurry: Condvar,
    /// Signals that all is written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    is_writing: bool,
    /// True when somebody waits until all is written.
    is_wanted: bool,
    /// True when no more lines will be pushed.
    is_over: bool,
    lost: u64,
    /// How many of the lost lines have been reported.
    told: u64,
}

impl Lines {
    /// Starts a thread of this name that writes to `to`. It calls `tell` once a second at most, with the
    /// number of lines that have been lost and the last error that caused a loss, if there was one; `tell`
    /// may push to these lines.
    pub fn new<W, T>(name: &str, to: W, tell: T) -> io::Result<Lines>
    where
        W: Write + Send + 'static,
        T: Fn(u64, Option<&io::Error>) + Send + 'static,
    {
        Lines::by_clock(name, to, tell, Instant::now)
    }

    fn by_clock<W, T, C>(name: &str, to: W, tell: T, clock: C) -> io::Result<Lines>
    where
        W: Write + Send + 'static,
        T: Fn(u64, Option<&io::Error>) + Send + 'static,
        C: Fn() -> Instant + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let shared_with_us = Arc::clone(&shared);
        let (seldom, error, written) = (Seldom::default(), None, None);
        let writer = Writer { shared: shared_with_us, to, tell, clock, seldom, error, written };
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        Ok(Lines(shared))
    }

    /// Takes one line, its end included, or counts it as lost.
    pub fn push(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        if queue.waiting.len() + line.len() > MOST_WAITING {
            queue.lost += 1;
            return;
        }
        let is_first = queue.waiting.is_empty();
        queue.waiting.extend_from_slice(line);
        let is_much = queue.waiting.len() > MOST_WAITING / 2;
        drop(queue);
        if is_first {
            self.0.work.notify_one();
        } else if is_much {
            self.0.hurry.notify_one();
        }
    }

    /// Returns the number of lines lost so far.
    pub fn lost(&self) -> u64 {
        self.0.lock().lost
    }

    /// Waits until all is written, but no longer than `most`.
    pub fn flush(&self, most: Duration) {
        let waits = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let mut queue = self.0.lock();
        queue.is_wanted = waits(&mut queue);
        self.0.hurry.notify_one();
        drop(self.0.idle.wait_timeout_while(queue, most, waits));
    }

    /// Waits as [`Lines::flush`] does; then the thread ends when it can. Lines pushed later are not written.
    pub fn finish(&self, most: Duration) {
        self.flush(most);
        self.0.lock().is_over = true;
        self.0.work.notify_one();
    }
}

/// One call of `write` is one line: the log's formatter calls once for each.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the thread.
struct Writer<W, T, C> {
    shared: Arc<Shared>,
    to: W,
    tell: T,
    clock: C,
    seldom: Seldom,
    /// Last error of lines whose loss has not been reported; `None` if there was none.
    error: Option<io::Error>,
    /// When lines were written last.
    written: Option<Instant>,
}

impl<W: Write, T: Fn(u64, Option<&io::Error>), C: Fn() -> Instant> Writer<W, T, C> {
    fn run(mut self) {
        let mut taken = Vec::new();
        while self.take(&mut taken) {
            let written = write_all(&mut self.to, &taken).and_then(|()| self.to.flush());
            let lines = if written.is_err() { lines_in(&taken) } else { 0 };
            taken.clear();
            taken.shrink_to(KEPT);
            self.written = Some(Instant::now());
            self.tell_lost(lines, written.err());
        }
    }

    /// Waits for something to write; returns false at the end.
    fn take(&self, taken: &mut Vec<u8>) -> bool {
        let mut queue = self.shared.lock();
        queue.is_writing = false;
        while queue.waiting.is_empty() {
            queue.is_wanted = false;
            self.shared.idle.notify_all();
            if queue.is_over {
                return false;
            }
            queue = self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let left = self.written.map_or(Duration::ZERO, |written| GATHER.saturating_sub(written.elapsed()));
        let may_wait =
            |queue: &mut Queue| !queue.is_wanted && !queue.is_over && queue.waiting.len() <= MOST_WAITING / 2;
        let gathered = self.shared.hurry.wait_timeout_while(queue, left, may_wait);
        let mut queue = gathered.unwrap_or_else(PoisonError::into_inner).0;
        queue.is_writing = true;
        std::mem::swap(&mut queue.waiting, taken);
        true
    }

    fn tell_lost(&mut self, more: u64, error: Option<io::Error>) {
        self.error = error.or(self.error.take());
        let mut queue = self.shared.lock();
        queue.lost += more;
        let untold = queue.lost - queue.told;
        if untold == 0 || self.seldom.take((self.clock)()).is_none() {
            return;
        }
        queue.told = queue.lost;
        drop(queue);
        (self.tell)(untold, self.error.take().as_ref());
    }
}

/// Writes everything, as [`Write::write_all`] does, to a file that may be a pipe that does not block.
fn write_all(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    const FOR_EVER: Duration = Duration::MAX;

    /// A writer that reports what it is to write, and waits until it may.
    struct Slow {
        written: Sender<Vec<u8>>,
        go_on: Receiver<io::Result<()>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).unwrap();
            self.go_on.recv().unwrap_or(Ok(())).map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Told = Receiver<(u64, bool)>;

    fn slow() -> (Lines, Receiver<Vec<u8>>, Sender<io::Result<()>>, Told) {
        slow_by_clock(Instant::now)
    }

    fn slow_by_clock(
        clock: impl Fn() -> Instant + Send + 'static,
    ) -> (Lines, Receiver<Vec<u8>>, Sender<io::Result<()>>, Told) {
        let (written, writes) = channel();
        let (go, go_on) = channel();
        let (tell, told) = channel();
        let tell = move |lost, error: Option<&io::Error>| tell.send((lost, error.is_some())).unwrap();
        (Lines::by_clock("slow", Slow { written, go_on }, tell, clock).unwrap(), writes, go, told)
    }

    #[test]
    fn who_pushes_waits_for_nobody_and_what_has_no_room_is_counted_and_told_once() {
        let (lines, writes, go_on, told) = slow();
        lines.push(b"first\n");
        assert_eq!(writes.recv().unwrap(), b"first\n");
        // The writer is stuck from here on.
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        (0..1500).for_each(|_| lines.push(&line));
        assert_eq!(lines.lost(), 1500 - 1024);
        lines.flush(Duration::ZERO);
        go_on.send(Ok(())).unwrap();
        assert_eq!(told.recv().unwrap(), (476, false));
        assert_eq!(writes.recv().unwrap().len(), MOST_WAITING);
        drop(go_on);
        lines.finish(FOR_EVER);
        assert_eq!(told.recv().ok(), None, "the thread has ended, and nothing more was lost");
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_the_next_lines_are_tried_again() {
        let (lines, writes, go_on, told) = slow();
        lines.push(b"one\ntwo\n");
        writes.recv().unwrap();
        go_on.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        assert_eq!(told.recv().unwrap(), (2, true));
        lines.push(b"three\n");
        assert_eq!(writes.recv().unwrap(), b"three\n");
        go_on.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
        assert_eq!(writes.recv().unwrap(), b"three\n", "not now is not never");
        go_on.send(Ok(())).unwrap();
        lines.flush(FOR_EVER);
        assert_eq!((lines.lost(), told.try_recv().ok()), (2, None));
    }

    #[test]
    fn that_lines_are_lost_is_told_once_a_second() {
        let (begin, millis) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let now = Arc::clone(&millis);
        let clock = move || begin + Duration::from_millis(now.load(Ordering::SeqCst));
        let (lines, writes, go_on, told) = slow_by_clock(clock);
        for time in [0, 10, 999, 1000, 1001] {
            millis.store(time, Ordering::SeqCst);
            lines.push(b"lost\n");
            writes.recv().unwrap();
            go_on.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
            lines.flush(FOR_EVER);
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, true), (3, true)]);
        millis.store(2000, Ordering::SeqCst);
        lines.push(b"written\n");
        writes.recv().unwrap();
        go_on.send(Ok(())).unwrap();
        lines.flush(FOR_EVER);
        assert_eq!((told.try_iter().collect::<Vec<_>>(), lines.lost()), (vec![(1, true)], 5));
    }

    #[test]
    fn a_log_that_tells_of_itself_and_can_write_nothing_comes_to_rest() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let itself = Arc::new(std::sync::OnceLock::<Lines>::new());
        let begin = Instant::now();
        let told_of = Arc::clone(&itself);
        let tell = move |_lost, _error: Option<&io::Error>| told_of.wait().push(b"lines are lost\n");
        let lines = Lines::by_clock("full", Full, tell, move || begin).unwrap();
        itself.set(lines.clone()).unwrap();
        lines.push(b"one\n");
        lines.flush(FOR_EVER);
        assert_eq!(lines.lost(), 2);
    }

    #[test]
    fn lines_that_come_quickly_are_written_together() {
        let (lines, writes, go_on, _told) = slow();
        lines.push(b"first\n");
        assert_eq!(writes.recv().unwrap(), b"first\n");
        go_on.send(Ok(())).unwrap();
        lines.flush(FOR_EVER);
        let written = Instant::now();
        lines.push(b"second\n");
        lines.push(b"third\n");
        drop(go_on);
        let together = writes.recv().unwrap();
        // A test that is delayed may push them one by one.
        assert!(together == b"second\nthird\n" || written.elapsed() >= GATHER, "{together:?}");
    }

    #[test]
    fn all_is_written_when_it_is_flushed() {
        let (lines, writes, go_on, _told) = slow();
        drop(go_on);
        (0..100).for_each(|n| lines.push(format!("{n}\n").as_bytes()));
        lines.flush(FOR_EVER);
        let written: Vec<u8> = writes.try_iter().flatten().collect();
        assert_eq!(lines_in(&written), 100);
    }
}

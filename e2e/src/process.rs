//! Child processes that never outlive this one, and that can be stopped, frozen and started again.
//!
//! Each child has its own process group (a Ctrl-C at the terminal reaches only this process, which ends the
//! rest in order), its output in a log file, and a pid file. A drop ends the child; if there is no drop (a
//! static, `exit`, a kill), the kernel ends it together with this process.

use crate::error::{Error, Result};
use crate::sys;
pub use crate::sys::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Time that a program gets to end when asked to; our parts drain for less.
const GRACE: Duration = Duration::from_secs(10);
/// Time between two looks at a condition. Short, because each look is cheap and a person or a test waits.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How to start a part, as often as wanted.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the part in messages, and of its log and pid files.
    pub name: &'static str,
    /// The program to start.
    pub program: PathBuf,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// Variables added to our environment.
    pub environment: Vec<(String, String)>,
    /// Working directory of the part; takes the log and pid files too.
    pub folder: PathBuf,
}

/// A running part.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts the part, with an empty log. Whether it is ready is another question, which the part's own
    /// module asks.
    pub fn start(recipe: Recipe) -> Result<Process> {
        let log = log_path(&recipe);
        File::create(&log).map_err(Error::io(format!("write {}", log.display())))?;
        let process = Process { recipe, child: Mutex::new(None) };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the part when it does not run.
    pub fn start_again(&self) -> Result<()> {
        let mut child = self.child();
        if let Some(running) = child.as_mut()
            && running.try_wait().map_err(Error::io(format!("wait for {}", self.recipe.name)))?.is_none()
        {
            return Ok(());
        }
        let started =
            spawn(self.command()?).map_err(Error::io(format!("start {}", self.recipe.program.display())))?;
        PidFile::write(&self.recipe.folder, self.recipe.name, started.id())?;
        *child = Some(started);
        Ok(())
    }

    /// Returns the process id while the part runs.
    pub fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Returns the log: what the part wrote to standard output and error.
    pub fn log(&self) -> PathBuf {
        log_path(&self.recipe)
    }

    /// Returns an error if the part ended by itself.
    pub fn check(&self) -> Result<()> {
        let Some(status) = self.ended() else { return Ok(()) };
        Err(Error::Ended { name: self.recipe.name.to_owned(), status, log: self.log() })
    }

    /// Sends a signal to the part and to all processes that it started.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(id) = self.id() else { return Ok(()) };
        sys::signal_group(id, signal).map_err(Error::io(format!("signal {}", self.recipe.name)))
    }

    /// Asks the part to end, and after a while makes it end. Returns how it ended; `None` if it did not run.
    pub fn stop(&self) -> Option<ExitStatus> {
        self.end(Signal::Terminate)
    }

    /// Ends the part without warning, as a crash would.
    pub fn kill(&self) -> Option<ExitStatus> {
        self.end(Signal::Kill)
    }

    fn end(&self, how: Signal) -> Option<ExitStatus> {
        let mut slot = self.child();
        let mut child = slot.take()?;
        // A frozen process takes no SIGTERM before it is thawed; a group that is gone already needs neither.
        for signal in [how, Signal::Continue] {
            let _ = sys::signal_group(child.id(), signal);
        }
        let mut status = wait(&mut child, GRACE);
        if status.is_none() {
            let _ = sys::signal_group(child.id(), Signal::Kill);
            status = child.wait().ok();
        }
        PidFile::remove(&self.recipe.folder, self.recipe.name);
        status
    }

    /// Returns how the part ended, if it has ended by itself.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self) -> Result<Command> {
        let path = self.log();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(Error::io(format!("open {}", path.display())))?;
        let copy = log.try_clone().map_err(Error::io(format!("open {}", path.display())))?;
        let mut command = Command::new(&self.recipe.program);
        command
            .args(&self.recipe.arguments)
            .envs(self.recipe.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.recipe.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy);
        Ok(command)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn log_path(recipe: &Recipe) -> PathBuf {
    recipe.folder.join(format!("{}.log", recipe.name))
}

/// Waits for the child's end, for `limit` at most.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

type Job = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts all children on one thread, which lives as long as this process does. The kernel's signal on a
/// parent's death is tied to the *thread* that started the child: a child started by a test's own thread
/// would die with that test.
static STARTER: LazyLock<Mutex<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (jobs, queue) = mpsc::channel::<Job>();
    std::thread::spawn(move || {
        for (mut command, reply) in queue {
            let _ = reply.send(command.spawn());
        }
    });
    Mutex::new(jobs)
});

/// Starts a command in its own process group, bound to the life of this process.
pub fn spawn(mut command: Command) -> std::io::Result<Child> {
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    sys::die_with_starting_thread(&mut command);
    let (reply, started) = mpsc::channel();
    let gone = || std::io::Error::other("the thread that starts programs is gone");
    STARTER.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// `NAME.pid` in a run folder: the process id and the moment that process began. The moment shows whether the
/// number has been given to another process since.
#[derive(Debug, PartialEq, Eq)]
pub struct PidFile {
    /// Name of the part.
    pub name: String,
    id: u32,
    began: u64,
}

impl PidFile {
    /// Writes the file for a process that runs now.
    pub fn write(folder: &Path, name: &str, id: u32) -> Result<()> {
        let began = began(id).unwrap_or_default();
        let path = folder.join(format!("{name}.pid"));
        std::fs::write(&path, format!("{id} {began}\n"))
            .map_err(Error::io(format!("write {}", path.display())))
    }

    /// Removes the file when its process has ended.
    pub fn remove(folder: &Path, name: &str) {
        // The file may be gone already, which is what was wanted.
        let _ = std::fs::remove_file(folder.join(format!("{name}.pid")));
    }

    /// Returns the part of this name in `folder`, if it still runs.
    pub fn running(folder: &Path, name: &str) -> Option<PidFile> {
        let text = std::fs::read_to_string(folder.join(format!("{name}.pid"))).ok()?;
        let mut words = text.split_ascii_whitespace();
        let id = words.next()?.parse().ok()?;
        let noted = words.next()?.parse().ok()?;
        (began(id) == Some(noted)).then(|| PidFile { name: name.to_owned(), id, began: noted })
    }

    /// Returns all parts in `folder` that still run.
    pub fn all_running(folder: &Path) -> Vec<PidFile> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".pid").map(str::to_owned))
            .collect();
        names.sort();
        names.iter().filter_map(|name| PidFile::running(folder, name)).collect()
    }

    /// Returns the process id of the part.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Asks the part to end and waits; after the grace time makes it end. Returns true when it is gone.
    pub fn end(&self) -> bool {
        let _ = sys::signal_process(self.id, Signal::Terminate);
        if self.gone_within(GRACE + GRACE) {
            return true;
        }
        let _ = sys::signal_process(self.id, Signal::Kill);
        self.gone_within(GRACE)
    }

    fn gone_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while began(self.id) == Some(self.began) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }
}

/// Returns when a live process began, in clock ticks since the boot: field 22 of `/proc/PID/stat`, counted
/// from behind the name in parentheses (`proc(5)`). A zombie has ended.
fn began(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    const FROM_STATE_TO_START: usize = 22 - 3 - 1;
    let start = fields.nth(FROM_STATE_TO_START)?.parse().ok()?;
    (state != "Z").then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lowband-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn recipe(folder: &Path, script: &str) -> Recipe {
        Recipe {
            name: "part",
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("WORD".into(), "hello".into())],
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn a_dropped_process_is_gone_with_its_children_and_its_pid_file() {
        let folder = folder("drop");
        let process = Process::start(recipe(&folder, "sleep 1000 & wait")).unwrap();
        let noted = PidFile::running(&folder, "part").unwrap();
        assert_eq!(Some(noted.id()), process.id());
        drop(process);
        assert_eq!(PidFile::running(&folder, "part"), None);
        assert!(noted.gone_within(Duration::ZERO));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_process_that_ends_by_itself_is_told_with_its_last_words() {
        let folder = folder("ended");
        let process = Process::start(recipe(&folder, "echo $WORD; exit 3")).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while process.check().is_ok() && Instant::now() < until {
            std::thread::sleep(LOOK_AGAIN);
        }
        let told = process.check().unwrap_err().to_string();
        assert!(
            told.contains("part ended by itself (exit status: 3)") && told.contains("\n    hello"),
            "{told}"
        );
        drop(process);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_frozen_process_is_ended_all_the_same_and_can_be_started_again() {
        let folder = folder("frozen");
        let process = Process::start(recipe(&folder, "exec sleep 1000")).unwrap();
        let first = process.id();
        process.signal(Signal::Stop).unwrap();
        let begin = Instant::now();
        process.stop();
        assert!(begin.elapsed() < GRACE);
        process.start_again().unwrap();
        assert_ne!(process.id(), first);
        drop(process);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pid_file_whose_number_belongs_to_somebody_else_now_is_not_ours() {
        let folder = folder("reuse");
        let own = std::process::id();
        PidFile::write(&folder, "part", own).unwrap();
        assert!(PidFile::running(&folder, "part").is_some());
        std::fs::write(folder.join("part.pid"), format!("{own} 1\n")).unwrap();
        assert_eq!(PidFile::running(&folder, "part"), None);
        assert_eq!(PidFile::all_running(&folder), []);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

//! A terminal for the commands of the tests.

use crate::command::lowband;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::Stdio;
use std::thread::JoinHandle;

/// A terminal: the end for a program, and what has been shown.
pub(crate) struct Terminal {
    program_end: File,
    shown: JoinHandle<Vec<u8>>,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let program_end = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let shown = std::thread::spawn(move || {
            let mut shown = Vec::new();
            // When its last program has gone, a terminal ends with an error.
            let _ = File::from(master).read_to_end(&mut shown);
            shown
        });
        Terminal { program_end, shown }
    }

    pub(crate) fn to_program(&self) -> Stdio {
        self.program_end.try_clone().unwrap().into()
    }

    /// Returns all that was shown, once no program has the terminal any more.
    pub(crate) fn shown(self) -> String {
        drop(self.program_end);
        String::from_utf8_lossy(&self.shown.join().unwrap()).into_owned()
    }
}

/// Runs `lowband ARGUMENTS` with stdout on a terminal and `more` in its environment. Returns the status,
/// what the terminal has shown, with its line ends as a program writes them, and stderr.
pub(crate) fn run_on_terminal(arguments: &[&str], more: &[(&str, &str)]) -> (i32, String, String) {
    let terminal = Terminal::new();
    let mut command = lowband();
    command.args(arguments).env("TERM", "xterm").env_remove("NO_COLOR").envs(more.iter().copied());
    command.stdout(terminal.to_program()).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    drop(command);
    let shown = terminal.shown().replace("\r\n", "\n");
    (output.status.code().unwrap(), shown, String::from_utf8(output.stderr).unwrap())
}

//! Running the `lowband` binary.

use crate::stub_server::StubServer;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Returns the binary, with nothing of the environment that would change what it does.
pub(crate) fn lowband() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowband"));
    command.env_remove("SSLKEYLOGFILE").stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    lowband().args(arguments).output().unwrap()
}

pub(crate) fn run_with_stdin(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = lowband()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read to the end is judged by its output.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// Runs `lowband coap -k ARGUMENTS URL`.
pub(crate) fn coap(stub: &StubServer, target: &str, arguments: &[&str]) -> Output {
    let url = stub.url(target);
    run(&[&["coap", "-k"], arguments, &[&url]].concat())
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().expect("the command was killed")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts that a command went well, and had nothing to say.
pub(crate) fn assert_quiet_success(output: &Output) {
    assert_eq!((status(output), stderr(output).as_str()), (0, ""));
}

/// A file of this test process, removed when dropped.
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl TemporaryFile {
    pub(crate) fn with(name: &str, content: &[u8]) -> TemporaryFile {
        let file = TemporaryFile::absent(name);
        std::fs::write(&file.0, content).unwrap();
        file
    }

    pub(crate) fn absent(name: &str) -> TemporaryFile {
        let name = format!("{name}-{}", std::process::id());
        TemporaryFile(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn at(&self) -> String {
        format!("@{}", self.path())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! The system calls that no safe crate of ours offers, each behind a safe function. This file decides
//! nothing.

#![allow(
    unsafe_code,
    reason = "prctl, kill and TCP_INFO have no safe form among our crates; this file is the only one"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals that the harness sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks the process to end.
    Terminate,
    /// Ends the process at once.
    Kill,
    /// Freezes the process: from outside it looks like a hung program.
    Stop,
    /// Lets the process go on after a stop.
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
            Signal::Stop => libc::SIGSTOP,
            Signal::Continue => libc::SIGCONT,
        }
    }
}

/// Sends a signal to every process of the group that `leader` leads.
pub(crate) fn signal_group(leader: u32, signal: Signal) -> io::Result<()> {
    let group = libc::pid_t::try_from(leader).map_err(io::Error::other)?;
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    check(unsafe { libc::kill(-group, signal.number()) })
}

/// Sends a signal to one process.
pub(crate) fn signal_process(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    check(unsafe { libc::kill(pid, signal.number()) })
}

/// Makes the kernel kill the child when the thread that starts it ends, and so in any case when our process
/// does.
pub(crate) fn die_with_starting_thread(command: &mut Command) {
    let ask_for_the_signal = || {
        // SAFETY: prctl is async-signal-safe and takes plain numbers here.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
    };
    // SAFETY: the closure runs between fork and exec and calls one async-signal-safe function.
    unsafe { command.pre_exec(ask_for_the_signal) };
}

/// Segments of a TCP connection since it began, its SYNs and bare acknowledgements included, as the
/// kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Number of segments sent by this end.
    pub(crate) sent: u64,
    /// Number of segments received by this end.
    pub(crate) received: u64,
}

/// Reads the segments counted in `TCP_INFO` of a socket.
pub(crate) fn tcp_segments(socket: BorrowedFd<'_>) -> io::Result<Segments> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    // SAFETY: the struct is plain numbers, and was zeroed before.
    let info = unsafe { info.assume_init() };
    Ok(Segments { sent: info.tcpi_segs_out.into(), received: info.tcpi_segs_in.into() })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

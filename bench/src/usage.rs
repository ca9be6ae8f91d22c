//! What a process has used, as the kernel counts it (`proc(5)`).

use lowband_e2e::{Error, Result};
use std::time::Duration;

/// USER_HZ: the unit in which `/proc` counts processor time, whatever the kernel's own clock is. 100 on every
/// Linux that we build for.
const TICK: Duration = Duration::from_millis(10);

/// Returns utime + stime of all threads of a process.
pub fn processor_time(pid: u32) -> Result<Duration> {
    time_of(&format!("/proc/{pid}/stat"))
}

/// Returns utime + stime of the calling thread.
pub fn own_thread_time() -> Result<Duration> {
    time_of("/proc/thread-self/stat")
}

/// Returns the time for which all threads of a process that live now have run, to the nanosecond:
/// `/proc/PID/task/TID/schedstat` of the kernel's scheduler. Interrupts taken meanwhile are in it.
pub fn running_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let threads = std::fs::read_dir(&folder).map_err(Error::io(format!("read {folder}")))?;
    threads.flatten().try_fold(Duration::ZERO, |sum, thread| {
        let path = thread.path().join("schedstat").display().to_string();
        let line = read(&path)?;
        let ran = line.split_ascii_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok());
        Ok(sum + Duration::from_nanos(ran.ok_or_else(|| unreadable(&path))?))
    })
}

/// Reads fields 14 and 15, which count from behind the name in parentheses.
fn time_of(path: &str) -> Result<Duration> {
    let stat = read(path)?;
    const FROM_STATE_TO_UTIME: usize = 14 - 3;
    let mut fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split_ascii_whitespace();
    let mut next = |skip| fields.nth(skip).and_then(|ticks| ticks.parse::<u32>().ok());
    match (next(FROM_STATE_TO_UTIME), next(0)) {
        (Some(user), Some(system)) => Ok(TICK * user + TICK * system),
        _ => Err(unreadable(path)),
    }
}

/// Returns VmRSS of `/proc/PID/status`, in kB of 1,024 bytes.
pub fn resident(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = read(&path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.ok_or_else(|| unreadable(&path))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(format!("read {path}")))
}

fn unreadable(path: &str) -> Error {
    Error::Setup(format!("{path} does not read as proc(5) says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_processor_time_and_pages_that_were_written_to_as_memory() {
        let own = std::process::id();
        let (before, memory) = (processor_time(own).unwrap(), resident(own).unwrap());
        let ran = running_time(own).unwrap();
        let mut pages = vec![0u8; 64 << 20];
        let mut round = 0u8;
        while processor_time(own).unwrap() < before + 5 * TICK {
            round = round.wrapping_add(1);
            pages.iter_mut().step_by(512).for_each(|byte| *byte = round);
        }
        // Other tests run in this process as well.
        assert!(running_time(own).unwrap() >= ran + 2 * TICK);
        let grown = resident(own).unwrap() - memory;
        assert!(grown > 60.0 * 1024.0, "{grown} kB");
        assert!(pages.iter().step_by(512).all(|byte| *byte == round));
    }
}

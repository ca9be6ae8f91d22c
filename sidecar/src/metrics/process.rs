//! The metrics that Prometheus' client libraries report for every process, under the names that dashboards
//! know. They are read from /proc with each scrape; a number that cannot be read is left out.

use super::snapshot::{counter, gauge};
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Panics of this process. A panic in a task ends that task alone, one in the event loop ends the process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts panics from now on, and reports them in the log: standard error, where they go by default, may be a
/// pipe without a reader.
pub fn count_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        // Empty unless RUST_BACKTRACE asks for a trace.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&trace));
        let thread = std::thread::current();
        tracing::error!(thread = thread.name(), trace, "{panic}");
    }));
}

/// Returns the number of panics since the start.
pub(super) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Collects the numbers of this process from /proc.
#[derive(Debug)]
pub(super) struct ProcessNumbers;

impl Collector for ProcessNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(process) = Process::myself() else { return Ok(()) };
        let encoder = &mut encoder;
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            let cpu = (stat.utime + stat.stime) as f64 / ticks;
            counter(
                encoder,
                "process_cpu_seconds",
                "Time that its threads have used, in user and system mode",
                cpu,
            )?;
            let resident = stat.rss.saturating_mul(procfs::page_size());
            gauge(encoder, "process_resident_memory_bytes", "Memory that is there", resident)?;
            gauge(encoder, "process_virtual_memory_bytes", "Memory that is mapped", stat.vsize)?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = boot as f64 + stat.starttime as f64 / ticks;
                gauge(
                    encoder,
                    "process_start_time_seconds",
                    "When it started, in seconds since 1970",
                    start,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            gauge(encoder, "process_open_fds", "File descriptors that are open", open as u64)?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            gauge(encoder, "process_max_fds", "File descriptors that may be open", most)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_process_is_told_of() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessNumbers));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name}\n{text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}

//! The sidecar under load, and what it reports about itself.

use lowband_bench::usage;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::{Error, Result, http1};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const FULL_WITHIN: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A running sidecar.
pub(crate) struct Subject {
    sidecar: Sidecar,
    pub(crate) address: SocketAddr,
    pid: u32,
}

impl Subject {
    /// Starts the sidecar with its defaults but for these flags.
    pub(crate) async fn start(
        parts: &Parts,
        folder: &Path,
        certificate: &Certificate,
        more: &[String],
    ) -> Result<Subject> {
        let port = Port::free_for_both()?;
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let sidecar = Sidecar::start(parts, folder, &port, certificate, &more)?;
        sidecar.ready().await?;
        let pid =
            sidecar.process.id().ok_or_else(|| Error::Setup("the sidecar has no process id".to_owned()))?;
        Ok(Subject { sidecar, address: port.loopback(), pid })
    }

    /// Reads what the sidecar has used and counted until now.
    pub(crate) async fn look(&self) -> Result<Look> {
        let page = http1::get(self.sidecar.admin(), "/metrics").await?;
        let metrics = String::from_utf8_lossy(page.body()).into_owned();
        Ok(Look { cpu: usage::processor_time(self.pid)?, metrics })
    }

    /// Waits until a gauge has grown and grows no more, for a while at most.
    pub(crate) async fn until_full(&self, gauge: &str) -> Result<()> {
        let (begin, mut last) = (Instant::now(), 0.0);
        while begin.elapsed() < FULL_WITHIN {
            sleep(BETWEEN_LOOKS).await;
            let now = sum(&self.look().await?.metrics, gauge);
            if now > 0.0 && now <= last {
                break;
            }
            last = now;
        }
        Ok(())
    }

    /// Returns the resident memory in MB of 10^6 bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        Ok(usage::resident(self.pid)? * 1024.0 / 1e6)
    }
}

/// The numbers of one moment.
pub(crate) struct Look {
    cpu: Duration,
    metrics: String,
}

impl Look {
    /// Returns the seconds of processor time since an earlier look.
    pub(crate) fn cpu_since(&self, before: &Look) -> f64 {
        (self.cpu - before.cpu).as_secs_f64()
    }

    /// Returns what a counter has grown by, all its labels together.
    pub(crate) fn grown_since(&self, before: &Look, counter: &str) -> f64 {
        sum(&self.metrics, counter) - sum(&before.metrics, counter)
    }

    /// Returns the time in seconds, by the sidecar's own clock, that so many of a hundred requests since then
    /// do not exceed; evenly spread within a bucket, as `histogram_quantile` has it.
    pub(crate) fn own_time(&self, before: &Look, percent: usize) -> f64 {
        let (now, then) = (buckets(&self.metrics), buckets(&before.metrics));
        let counts = now
            .iter()
            .enumerate()
            .map(|(at, (border, count))| (*border, count - then.get(at).map_or(0.0, |(_, count)| *count)));
        quantile(&counts.collect::<Vec<_>>(), percent)
    }
}

/// Returns the samples of a family, with or without labels.
fn samples<'a>(metrics: &'a str, name: &str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
    })
}

fn sum(metrics: &str, name: &str) -> f64 {
    samples(metrics, name).map(|(_, value)| value).sum()
}

/// Returns the upper borders, and how many requests are below each.
fn buckets(metrics: &str) -> Vec<(f64, f64)> {
    let border = |labels: &str| labels.strip_prefix("{le=\"")?.strip_suffix("\"}")?.parse().ok();
    samples(metrics, "lowband_request_own_seconds_bucket")
        .filter_map(|(labels, count)| Some((border(labels)?, count)))
        .collect()
}

fn quantile(buckets: &[(f64, f64)], percent: usize) -> f64 {
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let rank = all * percent as f64 / 100.0;
    let (mut from, mut below) = (0.0, 0.0);
    for &(border, count) in buckets {
        if count >= rank && count > below {
            // Nothing is known of a time beyond the last border but that it is beyond.
            return if border.is_finite() {
                from + (border - from) * (rank - below) / (count - below)
            } else {
                from
            };
        }
        (from, below) = (border, count);
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE lowband_request_own_seconds histogram
lowband_request_own_seconds_sum 1.5
lowband_request_own_seconds_bucket{le=\"0.01\"} 90
lowband_request_own_seconds_bucket{le=\"0.02\"} 100
lowband_request_own_seconds_bucket{le=\"+Inf\"} 100
lowband_requests_total{method=\"GET\",code=\"2.05\"} 7
lowband_requests_total{method=\"PUT\",code=\"2.05\"} 2
lowband_requests_total_other 100
";

    #[test]
    fn counters_are_summed_over_their_labels_and_times_read_between_the_borders() {
        let look = |metrics: &str| Look { cpu: Duration::ZERO, metrics: metrics.to_owned() };
        let (before, after) = (look(""), look(PAGE));
        assert_eq!(after.grown_since(&before, "lowband_requests_total"), 9.0);
        assert_eq!(after.own_time(&before, 45), 0.005);
        assert!((after.own_time(&before, 99) - 0.019).abs() < 1e-9);
        assert_eq!(after.own_time(&after, 99), 0.0);
    }
}

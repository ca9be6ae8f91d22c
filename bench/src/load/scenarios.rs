//! The scenarios: what is done to the sidecar, in which order, and what is looked at.

use crate::figures::{self, Figures};
use crate::greedy;
use crate::phase::{ANSWER, Crowd, Phase, percentile};
use crate::strangers::Strangers;
use crate::subject::{Look, Subject};
use clap::ValueEnum;
use lowband_bench::stub::Stub;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::parts::Parts;
use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How much of everything a run does.
pub(crate) struct Plan {
    sessions: usize,
    /// Handshakes a second, while a crowd comes in.
    connects_per_second: u32,
    per_second: u32,
    steady: Duration,
    greedy: Duration,
    /// Bytes that nine unfinished uploads hold.
    upload_bytes: usize,
    live: usize,
    live_per_second: u32,
    newcomers: usize,
    hellos: Duration,
    hellos_per_second: u32,
    /// Flags of the sidecar: pools so small that a short run fills them.
    flags: &'static [&'static str],
}

const SECOND: Duration = Duration::from_secs(1);
/// Bytes that nine uploads leave free in the pool, because each counts for more than its bytes.
const NEARLY: usize = 10 << 10;
/// One of so many requests beside greedy clients is an upload in blocks.
const UPLOAD_IN: usize = 50;

impl Plan {
    /// Returns the plan that the figures are about.
    pub(crate) fn full() -> Plan {
        Plan {
            sessions: 5_000,
            connects_per_second: 100,
            per_second: 2_000,
            steady: 300 * SECOND,
            greedy: 120 * SECOND,
            upload_bytes: (64 << 20) - NEARLY,
            live: 1_000,
            live_per_second: 200,
            newcomers: 100,
            hellos: 40 * SECOND,
            hellos_per_second: 8_000,
            flags: &[],
        }
    }

    /// Returns the plan with another rate of the steady crowd.
    pub(crate) fn with_rate(self, per_second: Option<u32>) -> Plan {
        Plan { per_second: per_second.unwrap_or(self.per_second), ..self }
    }

    /// Returns a plan with little of everything.
    pub(crate) fn quick() -> Plan {
        Plan {
            sessions: 100,
            connects_per_second: 100,
            per_second: 300,
            steady: 4 * SECOND,
            greedy: 4 * SECOND,
            upload_bytes: (8 << 20) - NEARLY,
            live: 50,
            live_per_second: 50,
            newcomers: 10,
            hellos: 2 * SECOND,
            hellos_per_second: 2_000,
            flags: &["--dedup-memory=1MiB", "--blockwise-memory=8MiB", "--half-open=64"],
        }
    }
}

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Many sessions that ask now and then.
    Steady,
    /// The same, and then beside greedy clients.
    Greedy,
    /// Hellos without number, from one port and from many addresses.
    Hellos,
}

/// What all parts need.
pub(crate) struct Bench {
    plan: Plan,
    parts: Parts,
    folder: PathBuf,
    certificate: Certificate,
    sidecar: Vec<String>,
    _upstream: Upstream,
}

/// The stub on a thread of its own; the thread ends with this handle.
struct Upstream {
    _end: oneshot::Sender<()>,
}

impl Bench {
    pub(crate) fn new(plan: Plan, sidecar: Vec<String>) -> Result<Bench> {
        let parts = Parts::from_environment();
        let folder = parts.test_folder(&format!("load-{}", std::process::id()))?;
        let certificate = Certificate::make(&folder)?;
        let upstream = Upstream::start(&folder)?;
        Ok(Bench { plan, parts, folder, certificate, sidecar, _upstream: upstream })
    }

    /// Runs all parts, or only those named.
    pub(crate) async fn run(&self, only: &[Part], figures: &mut Figures) -> Result<()> {
        let wanted = |part| only.is_empty() || only.contains(&part);
        if wanted(Part::Steady) || wanted(Part::Greedy) {
            self.steady(wanted(Part::Greedy), figures).await?;
        }
        if wanted(Part::Hellos) {
            self.hellos(1, &figures::ONE_PORT, figures).await?;
            self.hellos(64, &figures::MANY_ADDRESSES, figures).await?;
        }
        // After a failure the folder stays, because the logs are in it.
        std::fs::remove_dir_all(&self.folder).map_err(Error::io(format!("remove {}", self.folder.display())))
    }

    async fn start(&self) -> Result<Subject> {
        let flags = self.plan.flags.iter().map(|&flag| flag.to_owned());
        let flags: Vec<_> = flags.chain(self.sidecar.iter().cloned()).collect();
        Subject::start(&self.parts, &self.folder, &self.certificate, &flags).await
    }

    async fn crowd(&self, subject: &Subject, count: usize) -> Result<Crowd> {
        let per_second = self.plan.connects_per_second;
        say(format_args!("{count} clients connect, {per_second} a second"));
        Crowd::connect(subject.address, count, per_second).await
    }

    async fn steady(&self, with_greedy: bool, figures: &mut Figures) -> Result<()> {
        let Plan { sessions, per_second, steady: length, .. } = self.plan;
        let subject = self.start().await?;
        let mut crowd = self.crowd(&subject, sessions).await?;
        say(format_args!("{per_second} requests a second, {length:?}"));
        let phase = Phase { length, per_second, upload_in: 0, newcomers: 0 };
        let before = subject.look().await?;
        let tally = crowd.pass(phase).await?;
        let after = subject.look().await?;

        figures.add(figures::STEADY_RATE, tally.answered as f64 / tally.length.as_secs_f64());
        figures.add(figures::STEADY_REFUSED, tally.refused as f64);
        figures.add(figures::STEADY_FAILED, tally.failed as f64);
        figures.add(figures::STEADY_COPIES, copies(&before, &after));
        figures.add(figures::STEADY_MEMORY, subject.memory()?);
        figures.add(figures::STEADY_OWN_P50, after.own_time(&before, 50) * 1e3);
        figures.add(figures::STEADY_OWN_P99, after.own_time(&before, 99) * 1e3);
        figures.add(figures::STEADY_P50, tally.wait(50) * 1e3);
        figures.add(figures::STEADY_P99, tally.wait(99) * 1e3);
        figures.add(figures::STEADY_CPU, after.cpu_since(&before) * 1e3 / tally.asked.max(1) as f64);
        figures.add(figures::GENERATOR_COST, tally.cost());
        figures.add(figures::GENERATOR_LATE, percentile(&tally.late, 99) * 1e3);
        if with_greedy {
            self.greedy(&subject, &mut crowd, (tally.wait(99), after.own_time(&before, 99)), figures).await?;
        }
        Ok(())
    }

    async fn greedy(
        &self,
        subject: &Subject,
        crowd: &mut Crowd,
        (alone, own_alone): (f64, f64),
        figures: &mut Figures,
    ) -> Result<()> {
        let Plan { per_second, greedy: length, upload_bytes, .. } = self.plan;
        say(format_args!(
            "beside one that asks as fast as it can, and one that never finishes nine uploads, {length:?}"
        ));
        let uploader = greedy::start(&self.folder, "uploader", subject.address, Some(upload_bytes))?;
        subject.until_full("lowband_blockwise_bytes").await?;
        let asker = greedy::start(&self.folder, "asker", subject.address, None)?;
        let before = subject.look().await?;
        let phase = Phase { length, per_second, upload_in: UPLOAD_IN, newcomers: 0 };
        let tally = crowd.pass(phase).await?;
        let after = subject.look().await?;
        asker.check()?;
        uploader.check()?;

        figures.add(figures::GREEDY_RATE, tally.answered as f64 / tally.length.as_secs_f64());
        figures.add(figures::GREEDY_REFUSED, tally.refused as f64);
        figures.add(figures::GREEDY_UPLOADS_REFUSED, tally.uploads_refused as f64);
        figures.add(figures::GREEDY_FAILED, tally.failed as f64);
        let own = after.own_time(&before, 99);
        figures.add(figures::GREEDY_OWN_P99, own * 1e3);
        figures.add(figures::GREEDY_OWN_RATIO, ratio(own, own_alone));
        figures.add(figures::GREEDY_P99, tally.wait(99) * 1e3);
        figures.add(figures::GREEDY_RATIO, ratio(tally.wait(99), alone));
        let (answered, refused) = greedy::progress(&asker);
        let seconds = tally.length.as_secs_f64();
        figures.add(figures::GREEDY_ASKER, answered as f64 / seconds);
        figures.add(figures::GREEDY_ASKER_REFUSED, refused as f64 / seconds);
        figures.add(figures::GREEDY_MEMORY, subject.memory()?);
        Ok(())
    }

    async fn hellos(&self, addresses: u8, rows: &figures::Hellos, figures: &mut Figures) -> Result<()> {
        let Plan { live, live_per_second, newcomers, hellos: length, hellos_per_second, .. } = self.plan;
        let subject = self.start().await?;
        let mut crowd = self.crowd(&subject, live).await?;
        let phase = Phase { length, per_second: live_per_second, upload_in: 0, newcomers };
        say(format_args!("{live} live sessions and {newcomers} newcomers alone, {length:?}"));
        let looks = (subject.look().await?, crowd.pass(phase).await?, subject.look().await?);
        let (begin, alone, middle) = looks;
        say(format_args!("the same beside {hellos_per_second} hellos a second from {addresses} addresses"));
        let strangers = Strangers::start(subject.address, addresses, hellos_per_second);
        let beside = crowd.pass(phase).await;
        let sent = strangers.stop()?;
        let (beside, end) = (beside?, subject.look().await?);

        figures.add(rows.sent, sent);
        figures.add(rows.connected_alone, alone.connected.len() as f64);
        figures.add(rows.connected, share(beside.connected.len(), newcomers));
        let (before, after) = (percentile(&alone.connected, 95), percentile(&beside.connected, 95));
        figures.add(rows.connect_p95, after * 1e3);
        figures.add(rows.connect_ratio, ratio(after, before));
        figures.add(rows.live_answered, share(beside.answered, beside.asked));
        figures.add(rows.live_p99, beside.wait(99) * 1e3);
        figures.add(rows.live_ratio, ratio(beside.wait(99), alone.wait(99)));
        let own = (middle.own_time(&begin, 99), end.own_time(&middle, 99));
        figures.add(rows.own_ratio, ratio(own.1, own.0));
        let cores = (end.cpu_since(&middle) - middle.cpu_since(&begin)) / length.as_secs_f64();
        figures.add(rows.cpu, cores);
        Ok(())
    }
}

impl Upstream {
    fn start(folder: &Path) -> Result<Upstream> {
        let (end, ended) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let folder = folder.to_owned();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let serve = |runtime: tokio::runtime::Runtime| {
                runtime.block_on(async {
                    let stub = Stub::start(&folder, ANSWER);
                    let _ = tell.send(stub.as_ref().map(drop).map_err(ToString::to_string));
                    // The message never comes; the wait ends when its sender is dropped.
                    let _ = ended.await;
                });
            };
            runtime.map(serve)
        });
        let started = told.recv().map_err(|_| "its thread has ended".to_owned());
        match started.and_then(|started| started) {
            Ok(()) => Ok(Upstream { _end: end }),
            Err(why) => Err(Error::Setup(format!("the upstream cannot start: {why}"))),
        }
    }
}

/// Returns how many messages came that the sidecar has seen before, for each of its requests.
fn copies(before: &Look, after: &Look) -> f64 {
    let grown = |counter| after.grown_since(before, counter);
    grown("lowband_coap_duplicates_total") / grown("lowband_coap_requests_total").max(1.0)
}

/// Returns a share in percent.
fn share(of: usize, all: usize) -> f64 {
    100.0 * of as f64 / all.max(1) as f64
}

fn ratio(with: f64, without: f64) -> f64 {
    if without > 0.0 { with / without } else { 0.0 }
}

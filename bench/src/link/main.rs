//! `make bench-link`: how long bodies take over links of all kinds, in times of what the link itself needs.
//!
//! ```text
//! lowband coap, or another client --DTLS, CoAP--> relay (a link) --> lowband-sidecar --HTTP/2--> upstream
//! ```
//!
//! Each run has a relay, a sidecar and clients of its own, and all runs take place at the same time: the
//! links are slow, the machine is not. The seed of a run says what its link loses.

mod cells;
mod figures;
mod run;
mod upstream;

use cells::{Cell, Who, Work};
use clap::Parser;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::parts::Parts;
use lowband_e2e::{Error, Result};
use run::{Bench, Run};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, LocalSet};

/// Bodies over loopback: bytes of each, and their number.
const LOOPBACK: (usize, usize) = (lowband_bench::stub::LARGE, 100);
/// Time after which a line says that the runs go on.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Measures bodies over slow and lossy links: a table of times over the least that each link allows, then one
/// JSON object a line.
///
/// Programs are the release binaries in target/release, or in LOWBAND_BIN_DIR. Each run leaves a line in
/// target/bench-link/runs.jsonl; one that is beyond its target leaves the relay's log there as well.
#[derive(Parser)]
#[command(name = "bench-link", max_term_width = 120)]
struct Options {
    /// Three cells with one seed, without other clients: a quarter of a minute
    #[arg(long)]
    quick: bool,
    /// Only cells whose letter and title, such as "b 1 MB down", contain this; may be given several times
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Leave out the clients of others
    #[arg(long)]
    ours: bool,
    /// Number of seeds of each cell; by default 5, and 3 beside other clients
    #[arg(long, value_name = "NUMBER")]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    first_seed: u64,
    /// Folder for the results, in place of target/bench-link
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-link: {why}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let parts = Parts::from_environment();
    let folder = parts.test_folder(&format!("link-{}", std::process::id()))?;
    let certificate = Certificate::make(&folder)?;
    let results = options.into.clone().unwrap_or_else(|| parts.file("target/bench-link"));
    std::fs::create_dir_all(&results).map_err(Error::io(format!("make {}", results.display())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::io("start a runtime"))?;
    let bench = Arc::new(Bench { parts, folder, certificate });
    // Links and sidecars' upstreams run on the runtime's threads, what waits for programs on this one.
    let local = LocalSet::new();
    let done = local.block_on(&runtime, async {
        let failed = |why| Error::io("wait for signals")(why);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            done = all(options, &bench, &results) => done,
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
        }
    });
    // Ends what still runs, each run with its programs.
    drop((local, runtime));
    done?;
    std::fs::remove_dir_all(&bench.folder).map_err(Error::io(format!("remove {}", bench.folder.display())))
}

fn interrupted() -> Error {
    Error::Setup("interrupted".to_owned())
}

async fn all(options: &Options, bench: &Arc<Bench>, results: &Path) -> Result<()> {
    let cells: Vec<Cell> = cells::all().into_iter().filter(|cell| is_wanted(options, cell)).collect();
    let mut rows = Vec::new();
    if options.only.is_empty() {
        let (body, count) = LOOPBACK;
        eprintln!("{count} bodies of {body} bytes over loopback");
        // Runs first, and alone: it counts processor time.
        rows.extend(figures::loopback(bench.processor_time(body, count).await?));
    }
    let runs = run_all(options, bench, &cells, results).await?;
    for (number, cell) in cells.iter().enumerate() {
        let of_cell: Vec<&Run> = runs.iter().filter(|run| run.cell == number).collect();
        rows.extend(figures::rows(cell, &of_cell));
    }
    figures::tell(&rows);
    let is_ours = |run: &&Run| cells.get(run.cell).is_some_and(is_ours);
    match runs.iter().filter(is_ours).find_map(|run| run.values.as_ref().err()) {
        Some(why) => Err(Error::Setup(format!("a run failed: {why}"))),
        None => Ok(()),
    }
}

/// Returns whether the client of a cell is one of this project, all of whose runs must get their bodies.
fn is_ours(cell: &Cell) -> bool {
    !matches!(cell.work, Work::Download(Who::Reference | Who::GoCoap | Who::Libcoap))
}

fn is_wanted(options: &Options, cell: &Cell) -> bool {
    let name = format!("{} {}", cell.link.name, cell.title());
    (options.only.is_empty() || options.only.iter().any(|text| name.contains(text)))
        && (cell.quick || !options.quick)
        && (is_ours(cell) || !options.ours)
}

async fn run_all(options: &Options, bench: &Arc<Bench>, cells: &[Cell], results: &Path) -> Result<Vec<Run>> {
    let record = Record::create(results)?;
    let mut under_way = JoinSet::new();
    for (number, cell) in cells.iter().copied().enumerate() {
        let seeds = options.seeds.unwrap_or(if options.quick { 1 } else { cell.seeds });
        for seed in options.first_seed..options.first_seed.saturating_add(seeds) {
            let bench = Arc::clone(bench);
            under_way.spawn_local(async move { bench.run(cell, number, seed).await });
        }
    }
    let (began, total) = (Instant::now(), under_way.len());
    let mut runs = Vec::with_capacity(total);
    loop {
        match tokio::time::timeout(HEARTBEAT, under_way.join_next()).await {
            Ok(None) => return Ok(runs),
            Ok(Some(Ok(run))) => {
                if let Some(cell) = cells.get(run.cell) {
                    record.add(cell, &run)?;
                    eprintln!(
                        "{:>3}/{total} {:>4} s  {}",
                        runs.len() + 1,
                        began.elapsed().as_secs(),
                        line(cell, &run)
                    );
                }
                runs.push(run);
            }
            Ok(Some(Err(why))) => return Err(Error::Setup(format!("a run broke off: {why}"))),
            Err(_) => eprintln!("{:>3}/{total} {:>4} s", runs.len(), began.elapsed().as_secs()),
        }
    }
}

/// Says what came of a run.
fn line(cell: &Cell, run: &Run) -> String {
    let mut line = format!("{} {}, seed {}: ", cell.link.name, cell.title(), run.seed);
    let _infallible = match (&run.values, figures::of_run(cell, run)) {
        (Err(why), _) => write!(line, "{why}"),
        (Ok(_), Some(figure)) => write!(line, "{figure:.2}"),
        (Ok(_), None) => write!(line, "done"),
    };
    line
}

/// The folder of results.
struct Record<'a> {
    folder: &'a Path,
    runs: PathBuf,
}

impl Record<'_> {
    fn create(folder: &Path) -> Result<Record<'_>> {
        let runs = folder.join("runs.jsonl");
        std::fs::write(&runs, "").map_err(Error::io(format!("write {}", runs.display())))?;
        Ok(Record { folder, runs })
    }

    /// Writes a run down; one beyond its target with the relay's log and what its client said.
    fn add(&self, cell: &Cell, run: &Run) -> Result<()> {
        let failed = || Error::io(format!("write to {}", self.folder.display()));
        let mut lines = std::fs::File::options().append(true).open(&self.runs).map_err(failed())?;
        std::io::Write::write_all(&mut lines, format!("{}\n", figures::record(cell, run)).as_bytes())
            .map_err(failed())?;
        if figures::misses(cell, run) {
            let path = self.folder.join(cell.file_name(run.seed));
            std::fs::write(path.with_extension("log"), figures::log_of(run)).map_err(failed())?;
            // Only command lines have said anything.
            let _ = std::fs::copy(run.folder.join("client.log"), path.with_extension("client.log"));
        }
        Ok(())
    }
}

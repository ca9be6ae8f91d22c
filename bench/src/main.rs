//! `make bench-wire`: what the sidecar costs in bytes, memory, processor time and waiting, beside
//! the reference's figures.
//!
//! ```text
//! fleet (clients without I/O, one UDP socket each) --DTLS, CoAP--> lowband-sidecar (its own process) --HTTP/2--> stub
//! ```
//!
//! `make bench-chain` has a real Envoy with the filter between sidecar and stub, and counts the processor
//! time of both.
//!
//! Processor time is utime + stime of the sidecar's process, so that neither the clients nor the stub count;
//! but on loopback the sender of a datagram also does the work of its delivery, which therefore counts for
//! the sidecar. All parts use the real release binary with its defaults, except the limit of handshakes per
//! address: here all clients share one.

mod calibration;
mod figures;
mod measure;

use clap::Parser;
use figures::Figures;
use lowband_bench::stub::{self, Stub};
use lowband_e2e::certificate::Certificate;
use lowband_e2e::envoy::Envoy;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::process::Process;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::{Error, Result};
use measure::Subject;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Measures the sidecar: a table beside the reference's figures, then one JSON object a line.
///
/// The sidecar is the release binary in target/release, or in LOWBAND_BIN_DIR.
#[derive(Parser)]
#[command(name = "bench-wire", max_term_width = 120)]
struct Options {
    /// Run for seconds with small numbers; fail if a figure is impossible, or beyond its gate for
    /// bytes or datagrams
    #[arg(long)]
    quick: bool,
    /// Measure sidecar, a real Envoy and the filter together, in place of everything else
    #[arg(long, conflicts_with_all = ["quick", "busy_only"])]
    chain: bool,
    /// Leave out the idle sessions, which take ten minutes
    #[arg(long)]
    busy_only: bool,
    /// Measure the idle sessions alone
    #[arg(long, conflicts_with_all = ["chain", "busy_only"])]
    idle_only: bool,
    /// Measure the large responses alone
    #[arg(long, conflicts_with_all = ["chain", "busy_only", "idle_only"])]
    bodies_only: bool,
    /// Seconds between the last request and the measurement of memory. The sidecar remembers an exchange for
    /// 247 s (EXCHANGE_LIFETIME of RFC 7252): with less, the figure includes what is remembered
    #[arg(long, value_name = "SECONDS", default_value_t = 255)]
    settle: u64,
}

/// How much of each thing to measure.
struct Plan {
    calibration: Duration,
    echoes: u32,
    gets: usize,
    downloads: usize,
    handshakes: usize,
    few: usize,
    many: usize,
    settle: Duration,
    idle: Duration,
}

impl Plan {
    fn full(settle: Duration) -> Plan {
        Plan {
            calibration: Duration::from_secs(1),
            echoes: 50_000,
            gets: 20_000,
            downloads: 500,
            handshakes: 2_000,
            few: 2_000,
            many: 12_000,
            settle,
            idle: Duration::from_secs(60),
        }
    }

    /// Returns a small plan, with enough of each part to take several of the kernel's ticks of processor
    /// time: a run may miss all of a single tick.
    fn quick() -> Plan {
        Plan {
            calibration: Duration::from_millis(200),
            echoes: 10_000,
            gets: 5_000,
            downloads: 500,
            handshakes: 400,
            few: 50,
            many: 500,
            settle: Duration::ZERO,
            idle: Duration::from_secs(2),
        }
    }
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-wire: {why}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let plan = if options.quick { Plan::quick() } else { Plan::full(Duration::from_secs(options.settle)) };
    let mut figures = Figures::default();
    if !options.idle_only {
        // Runs first, and alone: it counts the processor time of this process.
        measure::machine(&plan, &mut figures)?;
    }
    // One thread, so that the other core of a small machine is the sidecar's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("start a runtime"))?.block_on(async {
        let parts = Parts::from_environment();
        let folder = parts.test_folder(&format!("wire-{}", std::process::id()))?;
        let certificate = Certificate::make(&folder)?;
        if options.chain {
            let homeserver = stub::Homeserver::start().await?;
            let public = Port::free_for_both()?;
            let url = format!("http://{}", homeserver.address);
            let envoy = Envoy::start(&parts, &folder, &public, &url, None)?;
            envoy.ready().await?;
            let (_sidecar, subject) = start(&parts, &folder, &certificate).await?;
            measure::chain(&plan, subject, id_of(&envoy.process)?, &mut figures).await?;
            drop(envoy);
            return remove(&folder);
        }
        let _stub = Stub::start(&folder, stub::SMALL)?;
        if !options.idle_only {
            let (_sidecar, subject) = start(&parts, &folder, &certificate).await?;
            if !options.bodies_only {
                measure::bytes(subject, &mut figures).await?;
                measure::work(&plan, subject, &mut figures).await?;
            }
            measure::bodies(&plan, subject, &mut figures).await?;
            if !options.bodies_only {
                measure::crowd(subject, &mut figures).await?;
            }
        }
        if !options.busy_only && !options.bodies_only {
            // A new sidecar, whose memory is unused yet.
            let (_sidecar, subject) = start(&parts, &folder, &certificate).await?;
            measure::idleness(&plan, subject, &mut figures).await?;
        }
        remove(&folder)
    })?;
    figures.tell();
    if options.quick { figures.check() } else { Ok(()) }
}

/// Lifts the limits of one address and of strangers, which are not measured.
const MANY_CLIENTS_AT_ONE_ADDRESS: [&str; 8] = [
    "--half-open-per-address",
    "1000",
    "--handshakes-per-second",
    "100000",
    "--handshakes-per-address",
    "100000",
    "--handshake-burst",
    "100000",
];

/// Removes the folder of a run; after a failure it stays, because the logs are in it.
fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(Error::io(format!("remove {}", folder.display())))
}

fn id_of(process: &Process) -> Result<u32> {
    process.id().ok_or_else(|| Error::Setup("a process has no id".to_owned()))
}

async fn start(parts: &Parts, folder: &Path, certificate: &Certificate) -> Result<(Sidecar, Subject)> {
    let port = Port::free_for_both()?;
    let sidecar = Sidecar::start(parts, folder, &port, certificate, &MANY_CLIENTS_AT_ONE_ADDRESS)?;
    sidecar.ready().await?;
    let pid = id_of(&sidecar.process)?;
    Ok((sidecar, Subject { address: port.loopback(), pid }))
}

//! `make bench-load`: whether all clients are served, and how soon, while many ask, one takes all it can get,
//! and strangers knock.
//!
//! ```text
//! crowd (this process, one UDP socket and one network each) --+
//! asker, uploader (processes of their own, of low priority) --+--DTLS, CoAP--> lowband-sidecar (its own process)
//! strangers (a thread: ClientHellos and nothing else) --------+                        |
//!                                                        stub (a thread) <--HTTP/2-----+
//! ```
//!
//! A table and then one JSON object a line, as the other benchmarks have it. Requests are asked for at a
//! fixed rate, whether or not those before have been answered. Time is the client's (asked to answered), or
//! the sidecar's own as its histogram has it. Clients, stub and sidecar share the machine: on two cores what
//! greedy clients and strangers cost *here* is in the clients' times as well.

mod figures;
mod greedy;
mod phase;
mod scenarios;
mod strangers;
mod subject;

use clap::{Parser, Subcommand};
use figures::Figures;
use lowband_e2e::{Error, Result};
use scenarios::{Bench, Plan};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Loads the sidecar: a table, then one JSON object a line.
///
/// The sidecar is the release binary in target/release, or in LOWBAND_BIN_DIR. It runs with its defaults.
#[derive(Parser)]
#[command(name = "bench-load", max_term_width = 120, args_conflicts_with_subcommands = true)]
struct Options {
    /// A run of seconds with small numbers, which fails when a count or a share is not as it must be; times
    /// are only told.
    #[arg(long)]
    quick: bool,
    /// Only some parts.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<scenarios::Part>,
    /// Requests a second of the steady crowd, where the machine cannot make the 2,000 of the figures.
    #[arg(long, value_name = "COUNT")]
    per_second: Option<u32>,
    /// Further arguments of the sidecar, such as --sessions=9000.
    #[arg(long, value_name = "FLAG=VALUE", allow_hyphen_values = true)]
    sidecar: Vec<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does as a process beside the one that measures.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// Asks as fast as it can.
    #[command(hide = true)]
    Asker { server: SocketAddr },
    /// Begins nine uploads of so many bytes and finishes none.
    #[command(hide = true)]
    Uploader { server: SocketAddr, bytes: usize },
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // One thread: the other core of a small machine is the sidecar's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("start a runtime"))?;
    match options.role {
        Some(Role::Asker { server }) => runtime.block_on(greedy::ask(server)),
        Some(Role::Uploader { server, bytes }) => runtime.block_on(greedy::upload(server, bytes)),
        None => {
            let plan = if options.quick { Plan::quick() } else { Plan::full() };
            let plan = plan.with_rate(options.per_second);
            let mut figures = Figures::default();
            runtime.block_on(async {
                let bench = Bench::new(plan, options.sidecar)?;
                bench.run(&options.only, &mut figures).await
            })?;
            figures.tell();
            if options.quick { figures.check() } else { Ok(()) }
        }
    }
}
